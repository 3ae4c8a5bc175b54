"""A black-box molecule with known coefficients, as `simulated_particles` takes it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.protocols import BlackBox

__all__ = ["KnownBlackBox"]

Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class KnownBlackBox:
    """V[theta] at one theta.

    Parameters
    ----------
    molecule : BlackBox
    theta : (p,) float64 ndarray
    """

    molecule: BlackBox
    theta: Float64

    @property
    def dims(self) -> int:
        """Number of state coordinates."""
        return self.molecule.dims

    def projections_ft(
        self, rotations: Float64, states: Float64, box_size: int
    ) -> NDArray[np.complex64]:
        """Unitary transforms of the projections, zero from Nyquist on.

        Parameters
        ----------
        rotations : (n, 3, 3) float64 ndarray
        states : (n, d) float64 ndarray
        box_size : int

        Returns
        -------
        (n, y, x // 2 + 1) complex64 ndarray
        """
        samples = fourier_samples(box_size, box_size / 2)
        out = np.zeros((len(rotations), box_size, box_size // 2 + 1), dtype=np.complex64)
        slices = self.molecule.slices(self.theta, rotations, states, samples)
        out[:, samples.rows, samples.columns] = slices
        return out
