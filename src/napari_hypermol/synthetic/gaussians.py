"""Molecules made of moving Gaussians, whose projections are known in closed form (Section 3.1).

The pixel-free truth behind the cat and the pretzel. Positions are in voxels of the box from its
centre, so a molecule scales with the box.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.grids import voxel_positions

__all__ = ["GaussianComponent", "GaussianMolecule"]

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class GaussianComponent:
    """A component whose Gaussians move with its state.

    Parameters
    ----------
    name : str
    centres : callable
        State in [0, 1], (n,) -> centres (n, g, 3) (x, y, z) [voxels]. A rigid component ignores
        the state.
    amplitudes, widths : (g,) float64 ndarray
        Peak density and standard deviation [voxels].
    has_state : bool
    """

    name: str
    centres: Callable[[Float64], Float64]
    amplitudes: Float64
    widths: Float64
    has_state: bool

    def volume(self, state: float, box_size: int) -> NDArray[np.float32]:
        """Density on the voxels of the box at one state; (z, y, x)."""
        positions = voxel_positions(box_size)
        volume = np.zeros(positions.shape[:-1])
        places = self.centres(np.array([state]))[0]
        for place, amplitude, width in zip(places, self.amplitudes, self.widths, strict=True):
            squares = ((positions - place) ** 2).sum(axis=-1)
            volume += amplitude * np.exp(-squares / (2 * width**2))
        return volume.astype(np.float32)


@dataclass(frozen=True)
class GaussianMolecule:
    """A sum of Gaussian components, each with its own state."""

    components: tuple[GaussianComponent, ...]

    @property
    def dims(self) -> int:
        """Number of state coordinates."""
        return sum(c.has_state for c in self.components)

    def projections_ft(
        self, rotations: Float64, states: Float64, box_size: int
    ) -> NDArray[np.complex64]:
        """Unitary transforms of the projections, in closed form.

        Parameters
        ----------
        rotations : (n, 3, 3) float64 ndarray
            Molecule to image frame.
        states : (n, d) float64 ndarray
            One column for every component that has a state.
        box_size : int

        Returns
        -------
        (n, y, x // 2 + 1) complex64 ndarray
            Unshifted half planes, sum over voxels along z.
        """
        ky = ((np.arange(box_size) + box_size // 2) % box_size - box_size // 2) / box_size
        kx = np.arange(box_size // 2 + 1) / box_size
        total = np.zeros((len(rotations), box_size, box_size // 2 + 1), dtype=np.complex64)
        column = 0
        for component in self.components:
            state = states[:, column] if component.has_state else np.zeros(len(rotations))
            column += component.has_state
            placed = np.einsum("nij,ngj->ngi", rotations[:, :2], component.centres(state))
            widths = component.widths
            mass = component.amplitudes * (np.sqrt(2 * np.pi) * widths) ** 3 / box_size
            along_y = _line(ky, placed[..., 1], widths) * mass[:, None]
            total += np.swapaxes(along_y, 1, 2) @ _line(kx, placed[..., 0], widths)
        return total


def _line(frequencies: Float64, places: Float64, widths: Float64) -> NDArray[np.complex64]:
    """1-D transform of unit Gaussians at `places` (n, g); (n, g, frequencies)."""
    envelope = np.exp(-2 * (np.pi * widths[:, None] * frequencies) ** 2)
    phases = np.exp(-2j * np.pi * places[..., None] * frequencies)
    return np.asarray(envelope * phases, dtype=np.complex64)
