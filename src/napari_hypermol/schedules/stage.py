"""A stage of a schedule: fixed band limits in space and state, and how long to stay."""

from dataclasses import dataclass

__all__ = ["Stage"]


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
    solve_iterations : int
        Conjugate gradient steps per sweep.
    settle : float
        Stop early when states move less than this per sweep (mean absolute change).
    state_radius : float or None
        States are read at this band limit instead; None: at `max_radius`.
    """

    name: str
    max_radius: float
    max_degree: int
    sweeps: int
    solve_iterations: int = 4
    settle: float = 0.0
    state_radius: float | None = None
