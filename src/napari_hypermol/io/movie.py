"""Movies of pictures: MP4 and GIF.

Not here: where the pictures come from.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import HypermolError
from napari_hypermol.io.replacing import replacing

__all__ = ["MOVIE_SUFFIXES", "write_movie"]

MOVIE_SUFFIXES = (".mp4", ".gif")
_QUALITY = 8  # of 10; a map on black takes some 50 kB a second


def write_movie(
    path: str | os.PathLike[str],
    frames: Sequence[NDArray[np.uint8]],
    rate: float,
    overwrite: bool = False,
) -> None:
    """Write pictures as a movie; what it is follows from the name.

    Parameters
    ----------
    path : path
        .mp4 (H.264, which every player shows) or .gif, which goes on for ever.
    frames : sequence of (rows, columns, 3 or 4) uint8 ndarray
        All of one size; an odd row or column is left out of an MP4, which cannot have it.
    rate : float
        Frames per second.
    overwrite : bool

    Raises
    ------
    HypermolError
        If the name ends otherwise, or there are no frames.
    OutputExistsError
        If `path` exists and `overwrite` is False.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in MOVIE_SUFFIXES:
        raise HypermolError(f"{path}: ends in {suffix or 'nothing'}, expected .mp4 or .gif")
    if not len(frames):
        raise HypermolError(f"{path}: no frames to write, expected at least one")
    pictures = np.stack([frame[..., :3] for frame in frames])
    with replacing(path, overwrite) as temporary:
        if suffix == ".gif":
            imageio.imwrite(temporary, pictures, duration=1000 / rate, loop=0)
            return
        rows, columns = (2 * (n // 2) for n in pictures.shape[1:3])
        imageio.imwrite(
            temporary, pictures[:, :rows, :columns], plugin="FFMPEG", fps=rate, codec="libx264",
            quality=_QUALITY, macro_block_size=2, output_params=["-movflags", "+faststart"],
        )  # fmt: skip
