"""All that a page shows of a draft, made away from the main thread: checks, supports, surfaces."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from napari_hypermol.errors import HypermolError
from napari_hypermol.plugin.painted_masks import Grid
from napari_hypermol.plugin.supports_view import Surface, surface_of
from napari_hypermol.runs.draft_check import DraftCheck, check_draft

__all__ = ["Picture", "picture_of"]

_FINEST = 96  # samples along an edge of the supports shown: a tenth of a second each


class Picture(NamedTuple):
    """What was found.

    Attributes
    ----------
    box : (int, float)
        Voxels along an edge of the particles, and theirs [Å].
    check : DraftCheck
    surfaces : list of Surface
    spacing : float
        Between the samples of the supports [Å].
    """

    box: tuple[int, float]
    check: DraftCheck
    surfaces: list[Surface]
    spacing: float

    def unlike(self, grid: Grid) -> str:
        """What to say where the map has other voxels than the particles; empty where not."""
        size, pixel = self.box
        if grid.shape == (size,) * 3 and abs(grid.pixel_size / pixel - 1) < 1e-3:
            return ""
        theirs, ours = grid.shape[-1] * grid.pixel_size, size * pixel
        words = (
            f"The map has {grid.shape[-1]} voxels of {grid.pixel_size:.3g} Å along an edge, the "
            f"particles {size} of {pixel:.3g} Å; painted masks are resampled to the particles"
        )
        return words + ("." if abs(theirs / ours - 1) < 0.01 else ", and what lies outside is cut.")


def picture_of(
    draft: dict[str, Any],
    folder: Path,
    read: Callable[[], Any] | None,
    box: tuple[int, float] | None,
    n_particles: int | None,
) -> Picture | None:
    """Look at a draft.

    Parameters
    ----------
    draft, folder
        See `check_draft`.
    read : callable or None
        Opens the particles.
    box : (int, float) or None
        Voxels and their edge [Å] where there are no particles that can be read.
    n_particles : int or None
        Likewise.

    Returns
    -------
    Picture or None
        None where nothing says how large the box is.
    """
    if read is not None:
        try:
            file = read()
            box = (file.particles.images.shape[-1], float(file.particles.pixel_size))
            n_particles = file.n
        except (HypermolError, OSError):
            pass  # the page of the particles says so
    if box is None:
        return None
    size = min(box[0], _FINEST)
    check = check_draft(draft, folder, *box, n_particles, preview=size)
    spacing = box[0] * box[1] / size
    return Picture(box, check, [surface_of(s, spacing) for s in check.supports], spacing)
