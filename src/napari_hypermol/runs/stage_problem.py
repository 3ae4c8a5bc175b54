"""Data and molecule of one stage, and the sums over images that sweeps are made of.

Where the images are, in this process, on a GPU or with a cluster's workers, makes no difference.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import array_module, as_numpy
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.likelihood import (
    WhitenedImages,
    image_adjoint,
    normal_operator,
    overlaps,
    residual_adjoint,
)
from napari_hypermol.runs.device_images import DeviceImages
from napari_hypermol.runs.image_work import Images, each, spread, total
from napari_hypermol.runs.pieces import GridsOf, LastGrids, joined
from napari_hypermol.runs.remote_images import RemoteImages
from napari_hypermol.runs.scratch import room
from napari_hypermol.runs.whitening import rows_of

__all__ = ["Estimate", "StageProblem"]

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
_SOME = 1024  # particles that tell how long a step is to be
_CHUNK = 4096  # particles whose D and W, or G, are made at once


class Estimate(NamedTuple):
    """What a run knows at one moment.

    Attributes
    ----------
    theta : (coefficients,) float32 ndarray
    spectra : list of (q, n_shells) float64 ndarray
        Signal spectra of every coefficient set.
    noise : (groups, shells) float64 ndarray
        sigma^2 of every optics group.
    contrast_std : float
    occupancies : tuple of (t,) float64 ndarray
        Learned probabilities of every table's states; empty where they are not learned.
    """

    theta: Float32
    spectra: list[Float64]
    noise: Float64
    contrast_std: float
    occupancies: tuple[Float64, ...] = ()


@dataclass(frozen=True, eq=False)
class StageProblem:
    """Data and molecule of one stage, on one set of particles.

    Attributes
    ----------
    images : WhitenedImages, DeviceImages or RemoteImages
    molecule : LinearMolecule
    samples : FourierSamples
    mean_weights : (n, shells) float64 ndarray
        Mean of W / w over each image shell.
    pixel_size : float
        [Å].
    shifts : (n, 2) float64 ndarray
        Undone in `images` [Å].
    """

    images: Images
    molecule: LinearMolecule
    samples: FourierSamples
    mean_weights: Float64
    pixel_size: float
    shifts: Float64
    _last_grids: LastGrids = field(default_factory=LastGrids, repr=False)

    @cached_property
    def placements(self) -> Placements:
        """Where the components are."""
        return Placements(*self.molecule.placement_arrays)

    @property
    def rotations(self) -> Float32:
        """(n, 3, 3)."""
        return self.images.rotations

    # ---- sums over images ----------------------------------------------------------------------

    def grids(self, theta: Float32) -> FourierGrids:
        """Fourier grids of an estimate, in main memory; images there too will want them again."""
        if isinstance(self.images, WhitenedImages):
            return self._last_grids.of(self.molecule, theta)
        return self.molecule.grids(theta)

    def scene(
        self, theta: Float32 | None, is_asked_again: bool = True
    ) -> tuple[GridsOf | FourierGrids, Placements, FourierSamples]:
        """What is sliced, where it is and at which samples; None: layout only.

        Grids of directions in which a solve looks are asked for once, and not kept.
        """
        grids: GridsOf | FourierGrids = GridsOf(self.molecule, theta)
        if theta is not None and is_asked_again and isinstance(self.images, WhitenedImages):
            grids = self.grids(theta)
        return grids, self.placements, self.samples

    def overlaps(
        self, theta: Float32, pairs: NDArray[np.bool_] | None = None
    ) -> tuple[Float32, Float32]:
        """B (n, q) and G (n, q, q) of every particle, `posterior.likelihood.overlaps`."""
        b, g = joined(each(self.images, overlaps, shared=(*self.scene(theta), pairs)))
        return b, g

    # Theta that comes out is where theta is that went in, in main memory or on the device.

    @property
    def solves_on_device(self) -> bool:
        """Whether theta may be on a device."""
        images = self.images
        is_there = isinstance(images, DeviceImages) and images.has_room_for_solves
        return is_there and self.molecule.is_portable

    def adjoint(self, first: Any, on_device: bool = False) -> Float32:
        """Right-hand side of the normal equations, on theta; `first` (n, q), or spread."""
        found = total(self.images, image_adjoint, (first,), self.scene(None), self.molecule)
        return found if on_device else as_numpy(found)  # type: ignore[no-any-return]

    def normal(self, theta: Float32, second: Any) -> Float32:
        """Normal operator applied to theta; `second` (n, q, q), or spread."""
        scene = self.scene(theta, is_asked_again=False)
        found = total(self.images, normal_operator, (second,), scene, self.molecule)
        return _as(theta, found)

    def residual(self, theta: Float32, first: Any, second: Any) -> Float32:
        """`adjoint` of `first` less `normal` of theta, in one pass."""
        moments, scene = (first, second), self.scene(theta)
        return _as(theta, total(self.images, residual_adjoint, moments, scene, self.molecule))

    def curvature(self, theta: Float32, second: Any, is_rough: bool = False) -> float:
        """Theta . `normal` of theta, for less than half of its cost.

        Parameters
        ----------
        theta : (coefficients,) float32 ndarray
        second : (n, q, q) float32 ndarray, or spread
        is_rough : bool
            From some of many particles, as many times as the traces of all moments exceed theirs.
            How long a step is best need not be known better: one that is off by a small part x of
            itself gains less by x^2.
        """
        n = len(self.shifts)
        about = *self.scene(theta, is_asked_again=False), self.molecule.pairs
        if is_rough and n > 2 * _SOME:
            value, own, whole = self._curvature_of_some(second, about)
            if own > 0:
                return value * (whole / own)
        moments = second, spread(self.images, np.ones(n, dtype=np.bool_))
        return float(total(self.images, _curvature, moments, about)[0])

    def _curvature_of_some(self, second: Any, about: tuple[Any, ...]) -> tuple[float, float, float]:
        """As `_curvature` has it; the same particles every time, in no order that a file has."""
        n, images = len(self.shifts), self.images
        chosen = np.sort(np.random.default_rng(0).choice(n, _SOME, replace=False))
        if isinstance(images, DeviceImages) and not images.stays:  # nor need the others come
            few = images.others(rows_of(images.host, chosen))
            moments = second[chosen], np.ones(_SOME, dtype=np.bool_)
            value, own, _ = total(few, _curvature, moments, about).tolist()
            return value, own, float(np.einsum("nqq->", second, dtype=np.float64))
        some = np.zeros(n, dtype=np.bool_)
        some[chosen] = True
        moments = second, spread(images, some)
        value, own, whole = total(images, _curvature, moments, about).tolist()
        return value, own, whole

    # ---- other images --------------------------------------------------------------------------

    def here(self) -> tuple["StageProblem", WhitenedImages]:
        """The same problem with its images in this process, and those."""
        if isinstance(self.images, RemoteImages):
            images = self.images.here()
            return replace(self, images=images), images
        if isinstance(self.images, DeviceImages):
            return replace(self, images=self.images.host), self.images.host
        return self, self.images

    def of(self, rows: NDArray[np.int64]) -> "StageProblem":
        """The same problem on some of its particles, in this process."""
        images = self.images
        if isinstance(images, RemoteImages):
            own = images.of(rows)
        else:
            own = rows_of(images.host if isinstance(images, DeviceImages) else images, rows)
        return replace(
            self,
            images=own,
            mean_weights=self.mean_weights[rows],
            shifts=self.shifts[rows],
        )

    def with_noise(self, old: Float64, new: Float64) -> "StageProblem":
        """The same data whitened with another noise: D and W scale with 1 / sigma^2."""
        ratio = (old / new)[self.images.groups].astype(np.float32)
        means = self.mean_weights * ratio
        if isinstance(self.images, RemoteImages):
            return replace(self, images=self.images.with_noise(new), mean_weights=means)
        if isinstance(self.images, DeviceImages):
            host = self.images.host
            images: Images = self.images.others(_scaled(host, ratio, self.samples))
        else:
            images = _scaled(self.images, ratio, self.samples)
        return replace(self, images=images, mean_weights=means)


def _as(theta: Float32, found: Any) -> Float32:
    """What was found, in main memory if theta is there."""
    return as_numpy(found) if array_module(theta) is np else found  # type: ignore[no-any-return]


def _curvature(
    images: WhitenedImages,
    second: Float32,
    some: NDArray[np.bool_],
    grids: FourierGrids,
    placements: Placements,
    samples: FourierSamples,
    pairs: NDArray[np.bool_],
) -> Float64:
    """Sum over some particles of second moments times G; traces of moments, of some and of all."""
    xp = array_module(second)
    rows, traces = xp.flatnonzero(some), xp.einsum("nqq->n", second)
    value = xp.zeros(3)
    value[1], value[2] = traces[rows].sum(dtype=np.float64), traces.sum(dtype=np.float64)
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        _, g = overlaps(rows_of(images, part), grids, placements, samples, pairs)
        value[0] += (g * second[part]).sum(dtype=np.float64)
    return value  # type: ignore[no-any-return]


def _scaled(images: WhitenedImages, ratio: Float32, samples: FourierSamples) -> WhitenedImages:
    """D and W times a factor for each image's shells, in as much memory as they had."""
    file = getattr(images.data, "filename", None)
    folder = None if file is None else Path(file).parent
    data = room(images.data.shape, np.float32, folder)
    weights = room(images.weights.shape, np.float32, folder)
    for start in range(0, len(ratio), _CHUNK):
        part = slice(start, start + _CHUNK)
        scale = ratio[part][:, samples.shells]
        np.multiply(images.data[part], scale[:, None], out=data[part])
        np.multiply(images.weights[part], scale, out=weights[part])
    return images._replace(data=data, weights=weights)
