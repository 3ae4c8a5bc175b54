"""A stage of a schedule: fixed band limits in space and state, how long to stay, and what moves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Stage", "work_of"]


@dataclass(frozen=True)
class Stage:
    """One stage.

    Parameters
    ----------
    name : str
    max_radius : float
        Band limit in space [cycles per box edge].
    max_degree : int
        Band limit in the state; 0 solves for the mean molecule.
    sweeps : int
        At most this many.
    kindled_sweeps : int
        Of these, how many at the start read weak state functions at fixed strength, against a
        smooth prior: a power iteration out of a random start.
    solve_iterations : int
        Conjugate gradient steps per sweep; twice as many where states start and stop being kindled.
    settle : float
        Stop early when states move less than this per sweep (mean absolute change).
    searches : bool
        Before its sweeps every pose that moves is looked for on the whole grid again.
    rotation, shift : {"metropolis", "exact", "hold"}
        How poses that are not known move: rotations by Metropolis steps, shifts by exact draws.
    state : {"exact", "draw", "hold"}
        Whole posterior tables; one draw of state and contrast; or as the stage finds them.
    contrast : {"exact", "hold"}
        With the state, or 1.
    theta : {"solve", "draw", "hold"}
        The likeliest coefficients given the others, or one draw of them.
    pose_steps : int
        Metropolis steps of every rotation a sweep.
    temperature : float
        Factor on the log likelihood by which poses, states and contrasts are judged.
    """

    name: str
    max_radius: float
    max_degree: int
    sweeps: int
    kindled_sweeps: int = 0
    solve_iterations: int = 3
    settle: float = 0.0
    searches: bool = False
    rotation: Literal["metropolis", "hold"] = "metropolis"
    shift: Literal["exact", "hold"] = "exact"
    state: Literal["exact", "draw", "hold"] = "exact"
    contrast: Literal["exact", "hold"] = "exact"
    theta: Literal["solve", "draw", "hold"] = "solve"
    pose_steps: int = 4
    temperature: float = 1.0


def work_of(stages: Sequence[Stage]) -> float:
    """Planned work of all stages, in samples times sweeps."""
    return sum(s.sweeps * s.max_radius**2 * (1 + s.max_degree) for s in stages)
