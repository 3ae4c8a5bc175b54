"""Images that live with the workers of a Dask scheduler, and work done on them there.

Only what is small travels: coefficients to every worker, moments to the chunk they belong to, and
sums back, merged in a tree. All that a worker holds is known by how it is made, from the files and
from what was sent, so that others make it again if it dies.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.particles import Optics
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.runs.device_images import DeviceImages
from napari_hypermol.runs.executors import DaskExecutor
from napari_hypermol.runs.pieces import GridsOf, joined, on_theta, rows_in
from napari_hypermol.runs.whitening import Views, columns_among, rows_of, whitened

__all__ = ["RemoteImages", "RemoteStack", "Spread"]

Float64 = NDArray[np.float64]
_KEPT_SHARES = 8  # a molecule, its samples and placements, and the last coefficients
_KEPT_GRIDS = 2  # a worker's own: those of the last coefficients, and of an empty molecule


@dataclass(frozen=True, eq=False)
class Spread:
    """One value a particle, where the chunks are."""

    pieces: list[Any]
    executor: DaskExecutor

    def scaled(self, factor: float) -> "Spread":
        """The same times a factor."""
        submit = self.executor.submit
        return replace(self, pieces=[submit(_scaled, piece, factor) for piece in self.pieces])

    def here(self) -> NDArray[Any]:
        """All values, in this process."""
        return np.concatenate(self.executor.results(self.pieces))


class _Shares:
    """Values that every worker has; the last few."""

    def __init__(self, executor: DaskExecutor) -> None:
        self._executor = executor
        self._kept: list[tuple[Any, Any]] = []

    def of(self, value: Any) -> Any:
        """The future of a value, which is sent only once; it must not be written to after."""
        future = next((f for known, f in self._kept if known is value), None)
        if future is None:
            future = self._executor.share(value)
        others = [pair for pair in self._kept if pair[0] is not value]
        self._kept = [*others[1 - _KEPT_SHARES :], (value, future)]
        return future


@dataclass(frozen=True, eq=False)
class RemoteStack:
    """Fourier samples of all particles up to the highest band limit, at the workers.

    Attributes
    ----------
    executor : DaskExecutor
    chunks : tuple of future
        Each of ((m, k) complex64 values, (m, shells) power).
    ends : (chunks,) int64 ndarray
        Row after the last of each chunk.
    samples : FourierSamples
    power : (n, shells) float32 ndarray
        Sum of w |Y|^2 in each shell.
    device : str
        "cpu" or "cuda": where a worker works on its chunks.
    """

    executor: DaskExecutor
    chunks: tuple[Any, ...]
    ends: NDArray[np.int64]
    samples: FourierSamples
    power: NDArray[np.float32]
    device: str = "cpu"
    shares: _Shares = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shares", _Shares(self.executor))

    @property
    def n_shells(self) -> int:
        """Shells, up to that of the highest band limit."""
        return int(self.power.shape[1])


@dataclass(frozen=True, eq=False)
class RemoteImages:
    """Whitened images of some particles, at the workers.

    Attributes
    ----------
    stack : RemoteStack
    rows : (m,) int64 ndarray
        Particles, ascending.
    views : Views
        Of these.
    optics : Optics
    noise : (groups, shells) float64 ndarray
    samples : FourierSamples
    pixel_size : float
        [Å].
    """

    stack: RemoteStack
    rows: NDArray[np.int64]
    views: Views
    optics: Optics
    noise: Float64
    samples: FourierSamples
    pixel_size: float

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def groups(self) -> NDArray[np.int64]:
        """Optics group of every particle."""
        return self.views.groups

    @property
    def rotations(self) -> NDArray[np.float32]:
        """(m, 3, 3)."""
        return self.views.rotations

    def with_noise(self, noise: Float64) -> "RemoteImages":
        """The same, whitened anew."""
        return replace(self, noise=noise)

    def at(self, rotations: NDArray[np.float32], shifts: Float64) -> "RemoteImages":
        """The same in other poses, whitened anew; shifts in Å."""
        return replace(self, views=self.views._replace(rotations=rotations, shifts=shifts))

    @cached_property
    def _parts(self) -> list[tuple[int, slice]]:
        """Chunks of the stack that hold any of the rows, and their places among the rows."""
        stops = np.searchsorted(self.rows, self.stack.ends)
        starts = np.concatenate([[0], stops[:-1]])
        pairs = enumerate(zip(starts, stops, strict=True))
        return [(c, slice(int(a), int(b))) for c, (a, b) in pairs if b > a]

    @cached_property
    def _chunks(self) -> list[Any]:
        """Futures of `_Chunk`."""
        stack = self.stack
        columns = columns_among(stack.samples, self.samples)
        firsts = np.concatenate([[0], stack.ends[:-1]])
        # not shared: what a chunk is made from is written down with it, so that it can be made
        # again wherever the worker is that had it
        return [
            stack.executor.submit(
                _whitened_rows,
                stack.chunks[c],
                _Folding(
                    self.rows[part] - firsts[c], columns, self.views.of(part), self.optics,
                    self.noise, self.samples, self.pixel_size,
                ),
            )
            for c, part in self._parts
        ]  # fmt: skip

    def of(self, rows: NDArray[np.int64]) -> WhitenedImages:
        """Some of them, by their places among these and in that order, in this process."""
        ascending, back = np.unique(rows, return_inverse=True)
        some = replace(self, rows=self.rows[ascending], views=self.views.of(ascending)).here()
        return rows_of(some, back)

    def here(self) -> WhitenedImages:
        """All of them in this process."""
        submit = self.stack.executor.submit
        pieces = self.stack.executor.results([submit(_images_of, c) for c in self._chunks])
        return WhitenedImages(*(np.concatenate(column) for column in zip(*pieces, strict=True)))

    def spread(self, value: Any) -> Spread:
        """One value a particle (an array, or a named tuple of some) sent to the chunks."""
        share = self.stack.executor.share
        pieces = [share(rows_in(value, part)) for _, part in self._parts]
        return Spread(pieces, self.stack.executor)

    def each(
        self,
        function: Callable[..., Any],
        spread: Sequence[Any] = (),
        shared: Sequence[Any] = (),
        staying: Sequence[str] = (),
        device: str | None = None,
    ) -> list[Any]:
        """``function(images, *spread, *shared)`` of every chunk, here, in order.

        Parameters
        ----------
        function : callable
        spread : sequence of Spread or (m, ...) ndarray
        shared : sequence
            What all chunks need; `GridsOf` are made at the workers.
        staying : sequence of str
            Fields of the named tuples that `function` gives which stay with their chunks: in the
            first of the results they are `Spread`, in the others None.
        device : str or None
            "cpu" for a function that knows no other arrays; None: the stack's.
        """
        executor = self.stack.executor
        found = self._submitted(function, spread, shared, "joined", device)
        if not staying:
            return executor.results(found)
        small = [executor.submit(_without, one, tuple(staying)) for one in found]
        stay = {
            name: Spread([executor.submit(getattr, one, name) for one in found], executor)
            for name in staying
        }
        first, *others = executor.results(small)
        return [first._replace(**stay), *others]

    def total(
        self,
        function: Callable[..., Any],
        spread: Sequence[Any] = (),
        shared: Sequence[Any] = (),
        molecule: LinearMolecule | None = None,
    ) -> Any:
        """The sum of what `each` gives, merged at the workers.

        With `molecule` it is grid values, of which the adjoint comes back: theta.
        """
        executor = self.stack.executor
        total = executor.total(self._submitted(function, spread, shared, "summed"))
        if molecule is not None:
            total = executor.submit(_adjoint, self.stack.shares.of(molecule), total)
        return executor.result(total)

    def _submitted(
        self,
        function: Callable[..., Any],
        spread: Sequence[Any],
        shared: Sequence[Any],
        batches: str,
        device: str | None = None,
    ) -> list[Any]:
        sent = [v if isinstance(v, Spread) else self.spread(v) for v in spread]
        of, values, counts = self.stack.shares.of, [], []
        for value in shared:
            pieces = value if isinstance(value, GridsOf) else (value,)
            values += [of(piece) for piece in pieces]
            counts.append(len(pieces))
        how = _How(function, tuple(counts), batches, device or self.stack.device)
        return [
            self.stack.executor.submit(
                _work, how, chunk, [value.pieces[index] for value in sent], values
            )
            for index, chunk in enumerate(self._chunks)
        ]


# ---- at the workers ------------------------------------------------------------------------------

_TURN = threading.RLock()  # one chunk at a time: compiled loops use all threads of the process
_grids: list[tuple[Any, Any, FourierGrids]] = []


@dataclass(frozen=True, eq=False)
class _Folding:
    """How some rows of a chunk are whitened; Dask does not look inside."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    views: Views
    optics: Optics
    noise: Float64
    samples: FourierSamples
    pixel_size: float


class _Chunk:
    """Whitened images of a worker, and its GPU's share in them, which ends when they do."""

    def __init__(self, images: WhitenedImages) -> None:
        self.images = images
        self._on_device: DeviceImages | None = None

    def on_device(self) -> DeviceImages:
        """The images for the worker's GPU."""
        if self._on_device is None:
            self._on_device = DeviceImages(self.images)
        return self._on_device

    def __sizeof__(self) -> int:
        return sum(column.nbytes for column in self.images)  # Dask's count of what a worker holds

    def __reduce__(self) -> Any:
        return _Chunk, (self.images,)


def _images_of(chunk: _Chunk) -> WhitenedImages:
    return chunk.images


def _whitened_rows(
    stored: tuple[NDArray[np.complex64], NDArray[np.float32]], how: _Folding
) -> _Chunk:
    values = stored[0][how.rows[:, None], how.columns]
    return _Chunk(whitened(values, how.views, how.optics, how.noise, how.samples, how.pixel_size))


@dataclass(frozen=True)
class _How:
    """What is done with a chunk; Dask does not look inside."""

    function: Callable[..., Any]
    counts: tuple[int, ...]  # of consecutive shared values that are one
    batches: str  # joined or summed, where a device takes the chunk in several
    device: str


def _work(how: _How, chunk: _Chunk, spread: list[Any], values: list[Any]) -> Any:
    """The work on one chunk, at a worker."""
    with _TURN:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)  # of this thread, not of the first
        shared, at = [], 0
        for count in how.counts:
            shared.append(values[at] if count == 1 else _made_once(*values[at : at + count]))
            at += count
        if how.device == "cuda":
            there = chunk.on_device()
            if how.batches == "summed":
                return there.total(how.function, spread, shared)
            return joined(there.each(how.function, spread, shared))
        return how.function(chunk.images, *spread, *shared)


def _made_once(molecule: LinearMolecule, theta: NDArray[np.float32] | None) -> FourierGrids:
    for known, of, grids in _grids:
        if known is molecule and of is theta:
            return grids
    grids = GridsOf(molecule, theta).made()
    _grids[:] = [*_grids[1 - _KEPT_GRIDS :], (molecule, theta, grids)]
    return grids


def _without(value: Any, names: tuple[str, ...]) -> Any:
    return value._replace(**dict.fromkeys(names))


def _scaled(values: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    return values * np.float32(factor)


def _adjoint(molecule: LinearMolecule, values: Any) -> Any:
    with _TURN:
        return on_theta(molecule, values)
