"""Names and files for what is painted: every label of a mask is a component with a file of its own.

Files are written in a worker, one layer after the other; a file that was there is never written to.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

from napari_hypermol.plugin.component_edits import free_name
from napari_hypermol.plugin.latest import Latest
from napari_hypermol.plugin.painted_masks import PaintedMasks, grid_of, write_masks
from napari_hypermol.plugin.viewing import hypermol_of
from napari_hypermol.runs.recipe_files import free_path

__all__ = ["MaskFiles"]


class MaskFiles:
    """Keeps painted masks as files; call it from the main thread.

    Parameters
    ----------
    masks : PaintedMasks
    on_written : callable
        Given a layer and the labels whose files were written.
    on_problem : callable
        Given why a layer's files could not be written; the next layer has its turn.
    owner : QObject
        Nothing is heard once it is gone.
    """

    def __init__(
        self,
        masks: PaintedMasks,
        on_written: Callable[[Any, list[int]], None],
        on_problem: Callable[[Exception], None],
        owner: Any,
    ) -> None:
        self._masks = masks
        self._on_written, self._on_problem = on_written, on_problem
        self._writing = Latest(self._on_answer, self._on_trouble, owner)
        self._waiting: list[Any] = []
        self._box: tuple[int, float] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether something is being written."""
        return self._writing.is_busy

    def keep(
        self,
        layer: Any,
        taken: Collection[str],
        folder: Path,
        box: tuple[int, float] | None,
    ) -> None:
        """Name the labels that are new, then write the layer's files.

        Parameters
        ----------
        layer : napari Labels layer
        taken : collection of str
            Names that components have already.
        folder : Path
            Of the files.
        box : (int, float) or None
            Box size and pixel size [Å] of the particles; None: as the layer has them.
        """
        self._name(layer, set(taken), folder)
        self._box = box
        if layer not in self._waiting:
            self._waiting.append(layer)
        if not self.is_busy:
            self._write_next()

    def let_go(self) -> None:
        """Hear no more; what is being written is written."""
        self._waiting.clear()
        self._writing.let_go()

    def _name(self, layer: Any, taken: set[str], folder: Path) -> None:
        facts = hypermol_of(layer)
        counts = np.bincount(np.asarray(layer.data).ravel(), minlength=2)
        for label in (int(v) for v in np.flatnonzero(counts) if v):
            if label not in facts["names"]:
                facts["names"][label] = free_name("component", taken)
                taken.add(facts["names"][label])
            if label not in facts["files"]:
                facts["files"][label] = self._free_file(folder / f"{facts['names'][label]}.mrc")

    def _free_file(self, path: Path) -> Path:
        """A file that does not exist, and that no other label waits to be written to."""
        promised = {p for x in self._masks.layers() for p in hypermol_of(x)["files"].values()}
        found = free_path(path)
        while found in promised:
            found = free_path(found.with_name(f"{found.stem}_2{found.suffix}"))
        return found

    def _write_next(self) -> None:
        if not self._waiting:
            return
        layer = self._waiting.pop(0)
        grid, files = grid_of(layer), dict(hypermol_of(layer)["files"])
        box_size, pixel_size = self._box or (grid.shape[-1], grid.pixel_size)
        labels = np.array(layer.data, dtype=np.uint8)  # a copy: the brush goes on
        self._writing.ask(_written, layer, labels, grid.pixel_size, files, box_size, pixel_size)

    def _on_answer(self, answer: tuple[Any, list[int]]) -> None:
        self._on_written(*answer)
        self._write_next()

    def _on_trouble(self, problem: Exception) -> None:
        self._on_problem(problem)
        self._write_next()


def _written(layer: Any, *values: Any) -> tuple[Any, list[int]]:
    """The layer, not touched, and what was written of it."""
    return layer, write_masks(*values)
