"""What browsing the states of a run needs, read at once: it takes seconds for a large run."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.runs.occupancy import Occupancy, occupancies
from napari_hypermol.runs.state_axes import StateAxis
from napari_hypermol.runs.store import Run

__all__ = ["Browsed", "browse"]


class Browsed(NamedTuple):
    """A run at one snapshot.

    Attributes
    ----------
    run : Run
    axes : tuple of StateAxis, length d
    states, stds : (n, d) float64 ndarray
        Posterior means and standard deviations; d is 0 while the molecule is still rigid.
    occupancies : list of Occupancy
        Along every axis.
    bands : (3, d, bins) float64 ndarray or None
        Ends and median of the 90 % bands of the occupancies; None where they were not drawn.
    """

    run: Run
    axes: tuple[StateAxis, ...]
    states: NDArray[np.float64]
    stds: NDArray[np.float64]
    occupancies: list[Occupancy]
    bands: NDArray[np.float64] | None

    @property
    def n(self) -> int:
        """Particles."""
        return len(self.states)

    @property
    def has_states(self) -> bool:
        """Whether the particles have any."""
        return bool(self.states.shape[1])


def browse(run: Run) -> Browsed:
    """Read a run's latest snapshot.

    Raises
    ------
    RunFolderError
        If it has none yet, or a damaged one.
    """
    axes = run.maps.axes
    bands = run.posterior.get("occupancy_bands")
    is_whole = bands is not None and bands.shape[1] == len(axes)
    return Browsed(
        run, axes, run.states, run.state_stds, occupancies(run), bands if is_whole else None
    )
