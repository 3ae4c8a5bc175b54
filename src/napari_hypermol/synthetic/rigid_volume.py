"""A rigid molecule given by a map, projected by means of its own.

Not here: the projector that recovers molecules (`imaging.projector`). The two share no formula.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_hypermol.coordinates.fourier import volume_to_half_space
from napari_hypermol.errors import ShapeError, VolumeFileError
from napari_hypermol.io.mrc import read_volume
from napari_hypermol.synthetic.gaussians import Hinge, StateKind

__all__ = ["RigidVolume", "fit_box", "is_map", "read_rigid_volume"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
_ENDINGS = (".mrc", ".map", ".ccp4")
_PADDING = 2
_ORDER: Literal[5] = (
    5  # of the splines: errors of a thousandth at the edge of the box, far less inside
)


@dataclass(frozen=True, eq=False)
class RigidVolume:
    """A molecule of one component without a state.

    Parameters
    ----------
    values : (z, y, x) float32 ndarray
        A cube; voxels are point masses.
    name : str
    """

    values: Float32
    name: str = "molecule"
    has_state: bool = False
    kind: StateKind = "interval"
    populations: tuple[float, ...] = ()
    hinge: Hinge | None = None
    symmetry: str = "C1"

    def __post_init__(self) -> None:
        """Refuse what is no cube."""
        if self.values.ndim != 3 or len(set(self.values.shape)) != 1:
            raise ShapeError(f"a map of shape {self.values.shape}; expected a cube")

    @property
    def dims(self) -> int:
        """Number of state coordinates: none."""
        return 0

    @property
    def components(self) -> "tuple[RigidVolume, ...]":
        """Itself."""
        return (self,)

    def volume(self, state: float, box_size: int) -> Float32:
        """Density on a box, whatever the state; (z, y, x)."""
        return fit_box(self.values, box_size)

    @cached_property
    def _splines(self) -> tuple[Float32, Float32]:
        """Spline coefficients of the padded transform, real and imaginary; zero frequency first."""
        n = len(self.values)
        size = _PADDING * n
        padded = np.zeros((size,) * 3)
        start = size // 2 - n // 2
        padded[start : start + n, start : start + n, start : start + n] = self.values
        half = volume_to_half_space(padded)
        whole = np.empty(padded.shape, dtype=np.complex128)
        whole[..., : half.shape[-1]] = half
        # the other half is its conjugate at the opposite frequency
        back = -np.arange(size) % size
        rest = np.arange(half.shape[-1], size)
        whole[..., rest] = half[back][:, back][..., size - rest].conj()
        real, imaginary = (
            ndimage.spline_filter(part, _ORDER, mode="grid-wrap").astype(np.float32)
            for part in (whole.real, whole.imag)
        )
        return real, imaginary

    def projections_ft(
        self,
        rotations: Float64,
        states: Float64,
        box_size: int,
    ) -> NDArray[np.complex64]:
        """Unitary transforms of the projections, zero from the Nyquist frequency on.

        Parameters
        ----------
        rotations : (n, 3, 3) float64 ndarray
            Molecule to image frame.
        states : (n, 0) float64 ndarray
        box_size : int
            The map's.

        Returns
        -------
        (n, y, x // 2 + 1) complex64 ndarray
            Unshifted half planes, sum over voxels along z.

        Notes
        -----
        The map is padded to twice its box, its transform interpolated by splines of fifth order
        at R^-1 (kx, ky, 0).
        """
        if box_size != len(self.values):
            raise ShapeError(f"a map of {len(self.values)} voxels for a box of {box_size}")
        rows, columns = np.mgrid[0:box_size, 0 : box_size // 2 + 1]
        ky = (rows + box_size // 2) % box_size - box_size // 2
        inside = np.hypot(columns, ky) < box_size / 2
        plane = np.stack([columns[inside], ky[inside]]).astype(np.float64)
        out = np.zeros((len(rotations), *inside.shape), dtype=np.complex64)
        for image, rotation in zip(out, rotations, strict=True):
            at = _PADDING * (rotation[:2].T @ plane)[::-1]  # z, y, x
            real, imaginary = (
                ndimage.map_coordinates(part, at, order=_ORDER, mode="grid-wrap", prefilter=False)
                for part in self._splines
            )
            image[inside] = (real + 1j * imaginary) / box_size
        return out


def is_map(name: str) -> bool:
    """Whether a molecule's name is that of a map file."""
    return name.lower().removesuffix(".gz").endswith(_ENDINGS)


def read_rigid_volume(path: Path, box_size: int | None = None) -> RigidVolume:
    """A molecule from a map file, cropped or padded to a box about its origin.

    Raises
    ------
    VolumeFileError
        If it is no map, no cube, or does not vary.
    """
    values = read_volume(path).values
    if values.ndim != 3 or len(set(values.shape)) != 1:
        raise VolumeFileError(f"{path}: has the shape {values.shape} (z, y, x); expected a cube")
    if not np.ptp(values) > 0:
        raise VolumeFileError(f"{path}: is the same everywhere; expected a molecule")
    return RigidVolume(fit_box(values, box_size or len(values)))


def fit_box(values: NDArray[np.floating], box_size: int) -> Float32:
    """A cube cropped or padded with zeros about its origin, index ``size // 2``; float32."""
    out = np.zeros((box_size,) * 3, dtype=np.float32)
    n = len(values)
    first = n // 2 - box_size // 2  # of the box, in the map
    source = slice(max(first, 0), min(first + box_size, n))
    place = slice(source.start - first, source.stop - first)
    out[place, place, place] = values[source, source, source]
    return out
