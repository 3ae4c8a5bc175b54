"""A stage of a schedule: fixed band limits in space and state, and how long to stay."""

from collections.abc import Sequence
from dataclasses import dataclass

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
    """

    name: str
    max_radius: float
    max_degree: int
    sweeps: int
    kindled_sweeps: int = 0
    solve_iterations: int = 3
    settle: float = 0.0
    searches: bool = False


def work_of(stages: Sequence[Stage]) -> float:
    """Planned work of all stages, in samples times sweeps."""
    return sum(s.sweeps * s.max_radius**2 * (1 + s.max_degree) for s in stages)
