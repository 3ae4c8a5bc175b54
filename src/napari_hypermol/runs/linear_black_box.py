"""Our own molecules, linear in theta, through the black-box door."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.grids import FourierSamples
from napari_hypermol.imaging.projector import Placements, adjoint, forward
from napari_hypermol.molecules.linear import LinearMolecule

__all__ = ["LinearBlackBox"]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]
Complex64 = NDArray[np.complex64]


@dataclass(frozen=True, eq=False)
class LinearBlackBox:
    """A composite of components with bases, Eq. (21): slices are sum_q c_q(tau) A_q(R).

    Parameters
    ----------
    molecule : LinearMolecule
    spectra : list of (q, n_shells) float64 ndarray
        Signal spectra of every coefficient set: their stationary normal prior.
    """

    molecule: LinearMolecule
    spectra: list[Float64]

    @property
    def box_size(self) -> int:
        """Edge of the particle images [pixels]."""
        return self.molecule.box_size

    @property
    def dims(self) -> int:
        """State coordinates of all components together."""
        return sum(basis.dims for basis in self.molecule.state_bases)

    @property
    def n_coefficients(self) -> int:
        """Length of theta."""
        return self.molecule.n_coefficients

    def functions(self, states: Float) -> NDArray[np.float32]:
        """State functions c of every placed component, side by side; (m, d) -> (m, q)."""
        columns, start = [], 0
        for basis in self.molecule.state_bases:
            columns.append(basis.evaluate(states[:, start : start + basis.dims]))
            start += basis.dims
        return np.concatenate(columns, axis=1).astype(np.float32)

    def slices(
        self, theta: Float64, rotations: Float, states: Float, samples: FourierSamples
    ) -> Complex64:
        """Slices of every function, summed; (m, k)."""
        grids = self.molecule.grids(theta.astype(np.float32))
        placements = Placements(*self.molecule.placement_arrays)
        slices = forward(rotations.astype(np.float32), grids, placements, samples)
        return np.asarray(np.einsum("mkq,mq->mk", slices, self.functions(states)))

    def slices_adjoint(
        self,
        theta: Float64,
        values: NDArray[np.complexfloating],
        rotations: Float,
        states: Float,
        samples: FourierSamples,
    ) -> Float64:
        """Adjoint of `slices`; the same at every theta."""
        placements = Placements(*self.molecule.placement_arrays)
        spread = (values[:, :, None] * self.functions(states)[:, None, :]).astype(np.complex64)
        layout = self.molecule.empty_grids
        stored = adjoint(spread, rotations.astype(np.float32), layout, placements, samples)
        return self.molecule.grids_adjoint(stored).astype(np.float64)

    def log_prior(self, theta: Float64) -> tuple[float, Float64]:
        """-theta . S^-1 theta / 2 of every coefficient set, and its gradient."""
        parts = self.molecule.split(theta.astype(np.float32))
        filtered = [
            basis.filter(part, (1 / spectrum.T).astype(np.float32)).ravel()
            for basis, part, spectrum in zip(self.molecule.bases, parts, self.spectra, strict=True)
        ]
        gradient = -np.concatenate(filtered).astype(np.float64)
        return 0.5 * float(theta @ gradient), gradient
