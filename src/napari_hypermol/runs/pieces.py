"""What work on chunks of images is given and gives: grids to be made, and pieces to be joined."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import array_module
from napari_hypermol.coordinates.grids import FourierGrids
from napari_hypermol.molecules.linear import LinearMolecule

__all__ = ["GridsOf", "LastGrids", "Sums", "joined", "made_here", "on_theta", "rows_in"]


class GridsOf(NamedTuple):
    """Fourier grids of a molecule, to be made where they are needed: theta is far smaller."""

    molecule: LinearMolecule
    theta: NDArray[np.float32] | None  # None: empty

    def made(self) -> FourierGrids:
        """The grids."""
        if self.theta is None:
            return self.molecule.empty_grids
        return self.molecule.grids(self.theta)


class Sums(tuple[Any, ...]):
    """Several sums over images, which are added each to its own."""

    def __add__(self, other: Any) -> "Sums":
        return Sums(a + b for a, b in zip(self, other, strict=True))

    def copy(self) -> "Sums":
        """The same, to be added to."""
        return Sums(value.copy() for value in self)


class LastGrids:
    """Fourier grids that were made last: several steps of a sweep want those of one theta.

    They are handed out as they are, and must not be written to.
    """

    def __init__(self) -> None:
        self._last: tuple[LinearMolecule, NDArray[np.float32], FourierGrids] | None = None

    def of(self, molecule: LinearMolecule, theta: NDArray[np.float32]) -> FourierGrids:
        """The grids of a theta in main memory."""
        if self._last is not None:
            known, before, grids = self._last
            if known is molecule and np.array_equal(before, theta):
                return grids
        self._last = None  # its memory is wanted for the next
        grids = molecule.grids(theta)
        self._last = molecule, theta.copy(), grids
        return grids


def on_theta(molecule: LinearMolecule, found: Any) -> Any:
    """The adjoint of grid values: theta; of several sums the first are such values."""
    if isinstance(found, Sums):
        return Sums((molecule.grids_adjoint(found[0]), *found[1:]))
    return molecule.grids_adjoint(found)


def made_here(value: Any) -> Any:
    """A shared value as the work wants it."""
    return value.made() if isinstance(value, GridsOf) else value


def rows_in(value: Any, part: slice) -> Any:
    """Some rows of a value that particles have: arrays, in (named) tuples; the rest stays."""
    if isinstance(value, tuple):
        kind: Any = type(value)
        columns = [rows_in(column, part) for column in value]
        return kind(*columns) if hasattr(value, "_fields") else kind(columns)
    return np.ascontiguousarray(value[part]) if isinstance(value, np.ndarray) else value


def joined(pieces: Sequence[Any]) -> Any:
    """Values of all particles from those of the chunks: arrays, or (named) tuples of them."""
    first = pieces[0]
    if len(pieces) == 1 or not (isinstance(first, tuple) or hasattr(first, "shape")):
        return first  # what is with workers, or nothing
    if isinstance(first, tuple):
        columns = [joined(column) for column in zip(*pieces, strict=True)]
        kind: Any = type(first)
        return kind(*columns) if hasattr(first, "_fields") else kind(columns)
    return array_module(first).concatenate(pieces)
