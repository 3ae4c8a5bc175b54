"""A stage of a schedule: fixed band limits in space and state, how long to stay, and what moves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Stage", "work_of"]

# What a sweep that moves poses takes beside its samples, in squares of a band limit: 8.0, 11.3 and
# 17.5 s at 7.7, 10.9 and 15.4 cycles per box, 20,000 particles of 151 px.
_BESIDE_SAMPLES = 90.0


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
    rotation : {"metropolis", "mala", "hold"}
        How rotations that are not known move: by Metropolis steps with all else summed out, or by
        Langevin steps given the drawn states.
    shift : {"exact", "metropolis", "mala", "hmc", "hold"}
        Drawn from patches beside the rotations, or by steps given the drawn states.
    state : {"exact", "draw", "metropolis", "mala", "hmc", "hold"}
        Whole posterior tables; one draw of state and contrast; steps, then a contrast; or as the
        stage finds them.
    contrast : {"exact", "hold"}
        With the state, or 1.
    theta : {"solve", "draw", "mala", "hmc", "langevin", "hold"}
        The likeliest coefficients given the others; one draw of them; or steps.
    noise : {"estimate", "draw", "hold"}
    pose_steps, state_steps, theta_steps : int
        Steps a sweep of every rotation and shift, of every state, and of the coefficients.
    warm_up : int or None
        Sweeps with steps in which their sizes are found; None: the first half of them.
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
    rotation: Literal["metropolis", "mala", "hold"] = "metropolis"
    shift: Literal["exact", "metropolis", "mala", "hmc", "hold"] = "exact"
    state: Literal["exact", "draw", "metropolis", "mala", "hmc", "hold"] = "exact"
    contrast: Literal["exact", "hold"] = "exact"
    theta: Literal["solve", "draw", "mala", "hmc", "langevin", "hold"] = "solve"
    noise: Literal["estimate", "draw", "hold"] = "estimate"
    pose_steps: int = 4
    state_steps: int = 4
    theta_steps: int = 4
    warm_up: int | None = None
    temperature: float = 1.0

    @property
    def warm_until(self) -> int:
        """The sweep from which on step sizes stay; steps need a draw, which the first gives."""
        first = self.kindled_sweeps + 1
        return first + (max(0, self.sweeps - first) // 2 if self.warm_up is None else self.warm_up)

    @property
    def steps_states(self) -> bool:
        """Whether states are moved by steps from where they are."""
        return self.state in ("metropolis", "mala", "hmc")

    @property
    def draws_theta(self) -> bool:
        """Whether coefficients are those of one draw or step, given drawn states."""
        return self.theta in ("draw", "mala", "hmc", "langevin")


def work_of(stages: Sequence[Stage], moves_poses: bool = False) -> float:
    """Planned work of all stages, in samples times sweeps.

    Steps of poses cost something for every particle whatever the band limit.
    """
    fixed = _BESIDE_SAMPLES if moves_poses else 0.0
    return sum(s.sweeps * (s.max_radius**2 + fixed) * (1 + s.max_degree) for s in stages)
