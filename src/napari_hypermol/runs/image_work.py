"""Work on a stage's images wherever they are: here, on a GPU, or at a cluster's workers."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from napari_hypermol.backend import array_module, as_device
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.runs.device_images import DeviceImages
from napari_hypermol.runs.pieces import Sums, made_here, on_theta
from napari_hypermol.runs.remote_images import RemoteImages, Spread

__all__ = ["Images", "brought", "each", "scaled", "spread", "total"]

Images = WhitenedImages | DeviceImages | RemoteImages
Value = TypeVar("Value")


def spread(images: Images, value: Value) -> Value | Any:
    """One value a particle, sent to where the images are, once for several uses."""
    if isinstance(images, RemoteImages) and not isinstance(value, Spread):
        return images.spread(value)
    return value


def each(
    images: Images,
    function: Callable[..., Any],
    spread: Sequence[Any] = (),
    shared: Sequence[Any] = (),
    staying: Sequence[str] = (),
) -> list[Any]:
    """``function(images, *spread, *shared)`` of every chunk of images.

    Parameters
    ----------
    images : WhitenedImages, DeviceImages or RemoteImages
        In this process they are one chunk.
    function : callable
    spread : sequence
        One value a particle each: (n, ...) ndarrays, named tuples of them, or what `spread` gave.
    shared : sequence
        What every chunk needs; `GridsOf` come as grids.
    staying : sequence of str
        Fields of the results, named tuples, that need not leave workers: there `Spread`.

    Returns
    -------
    list
    """
    if isinstance(images, RemoteImages):
        return images.each(function, spread, shared, staying)
    if isinstance(images, DeviceImages):
        return images.each(function, spread, shared)
    return [function(images, *spread, *map(made_here, shared))]


def total(
    images: Images,
    function: Callable[..., Any],
    spread: Sequence[Any] = (),
    shared: Sequence[Any] = (),
    molecule: LinearMolecule | None = None,
    stays: bool = False,
) -> Any:
    """The sum of what `each` gives, or `Sums`; of grid values, with `molecule`, the adjoint: theta.

    It stays on the device that has the images if `stays` says so, and theta of a molecule that is
    portable does in any case.
    """
    if isinstance(images, RemoteImages):
        return images.total(function, spread, shared, molecule)
    if isinstance(images, DeviceImages):
        if molecule is not None:
            stays = molecule.is_portable and images.has_room_for_solves
        value = images.total(function, spread, shared, stays)
    else:
        (value,) = each(images, function, spread, shared)
    found = value if molecule is None else on_theta(molecule, value)
    is_expected = isinstance(images, DeviceImages) and stays  # who asks goes on there
    return _there(found) if is_expected else found


def _there(found: Any) -> Any:
    if isinstance(found, Sums):
        return Sums(map(_there, found))
    return as_device(found) if array_module(found) is np else found


def scaled(value: Any, factor: float) -> Any:
    """One value a particle times a factor, wherever it is; float32."""
    if isinstance(value, Spread):
        return value.scaled(factor)
    return value * np.float32(factor)


def brought(value: Any) -> Any:
    """One value a particle, in this process."""
    return value.here() if isinstance(value, Spread) else value
