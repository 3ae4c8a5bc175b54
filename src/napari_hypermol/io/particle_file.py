"""Particle files, STAR or .cs: opened as `Particles`, written back with what was found.

Not here: what columns mean (`relion_optics`, `relion_poses`, `cryosparc`), reading pixels
(`stack`).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_hypermol.errors import ParticleFileError, ShapeError
from napari_hypermol.io.admission import shown
from napari_hypermol.io.cryosparc import (
    IMAGE_SIGN,
    ignored_fields,
    read_cs,
    relion_blocks,
    write_cs,
)
from napari_hypermol.io.image_names import locate_images
from napari_hypermol.io.mrc_header import read_header
from napari_hypermol.io.relion_columns import RelionColumns
from napari_hypermol.io.relion_optics import defocus_of, optics_of, pixel_size_of
from napari_hypermol.io.relion_poses import (
    ORIGINS,
    ORIGINS_IN_PIXELS,
    half_sets_of,
    pose_columns,
    rotations_of,
    shifts_of,
)
from napari_hypermol.io.stack import lazy_images
from napari_hypermol.io.star import numeric, read_star, text_column, write_star
from napari_hypermol.io.unsupported_optics import check_supported
from napari_hypermol.particles import FloatArray, Particles

__all__ = ["ParticleFile", "is_particle_file", "read_particles"]

IMAGE_NAME = "rlnImageName"
PARTICLE_BLOCKS = ("particles", "images", "")  # RELION 3.1 on, cryoDRGN and pyem, RELION 3.0
HEAD_BYTES = 2**20  # enough for any optics table that stands before the particles


@dataclass(frozen=True, eq=False)
class ParticleFile:
    """A particle file that was read; n particles.

    Attributes
    ----------
    path : Path
    particles : Particles
        What the file says, in our units; images are lazy.
    blocks : dict of str to DataFrame
        Every table of the file, as text; of a .cs file, RELION's form of it.
    particle_block : str
        Which of `blocks` has the particles.
    cs : (n,) structured ndarray or None
        The fields of a .cs file.
    note : str
        Which of its optics are ignored, in a sentence; empty if none are.
    """

    path: Path
    particles: Particles
    blocks: dict[str, pd.DataFrame]
    particle_block: str
    cs: NDArray[Any] | None
    note: str = ""

    @property
    def n(self) -> int:
        """Number of particles."""
        return len(self.table)

    @property
    def table(self) -> pd.DataFrame:
        """The particle table, a row a particle; `star.numeric` converts a column."""
        return self.blocks[self.particle_block]

    def pose_columns(self, rotations: ArrayLike, shifts: ArrayLike) -> dict[str, FloatArray]:
        """Columns of poses in the units this file uses: origins in Å, in pixels, or both.

        Parameters
        ----------
        rotations : (n, 3, 3) array_like
            Molecule to image frame.
        shifts : (n, 2) array_like
            (x, y) [Å].

        Returns
        -------
        columns : dict of str to (n,) ndarray
            For `write`.
        """
        in_angstrom = pose_columns(rotations, shifts)
        in_pixels = pose_columns(rotations, shifts, self.particles.pixel_size)
        has_angstrom = any(name in self.table for name in ORIGINS)
        has_pixels = any(name in self.table for name in ORIGINS_IN_PIXELS)
        if has_angstrom or not has_pixels:
            return in_angstrom | in_pixels if has_pixels else in_angstrom
        return in_pixels

    def write(
        self,
        path: str | os.PathLike[str],
        columns: Mapping[str, ArrayLike] | None = None,
        rows: ArrayLike | None = None,
        overwrite: bool = False,
        without: Sequence[str] = (),
    ) -> None:
        """Write the file again, with columns replaced or added, all rows or some.

        Parameters
        ----------
        path : path
            Ending .star, or .cs when this file is one.
        columns : mapping of str to (n,) array_like, optional
            Values for EVERY particle of this file, whatever `rows` is.
        rows : (m,) array_like of int or (n,) of bool, optional
            Particles to write, in this order; all when left out.
        overwrite : bool
            Whether an existing file may be replaced.
        without : sequence of str, optional
            Columns of this file that a STAR file is written without.

        Raises
        ------
        OutputExistsError
            If `path` exists and `overwrite` is False.
        ShapeError
            If a column does not have n values, or `rows` points outside.
        ParticleFileError
            If a .cs file is wanted of a STAR file, or no row is left.

        Notes
        -----
        Every other column and block is written as it was read. Image names are kept, so a
        relative one is still looked for around the folder of the new file.
        """
        given = {name: self._checked(name, values) for name, values in (columns or {}).items()}
        at = self._checked_rows(rows)
        suffix = Path(path).suffix.lower()
        if suffix == ".cs" and self.cs is not None:
            chosen = {name: values[at] for name, values in given.items()}
            write_cs(path, self.cs[at], chosen, self.particles.pixel_size, overwrite)
            return
        if suffix != ".star":
            raise ParticleFileError(
                f"{path}: ends in {suffix or 'nothing'}, expected .star (or .cs for particles read "
                "from a .cs file); choose such a name"
            )
        table = self.table if rows is None else self.table.iloc[at]
        new = {name: _column(values[at]).set_axis(table.index) for name, values in given.items()}
        written = table.drop(columns=list(without)).assign(**new)
        written.attrs = dict(self.table.attrs)
        write_star(path, {**self.blocks, self.particle_block: written}, overwrite)

    def _checked(self, name: str, values: ArrayLike) -> NDArray[Any]:
        array = np.asarray(values)
        if array.shape != (self.n,):
            raise ShapeError(
                f"column {name} of shape {array.shape}, expected ({self.n},): one value for each "
                f"particle of {self.path}"
            )
        return array

    def _checked_rows(self, rows: ArrayLike | None) -> NDArray[np.int64]:
        at = np.arange(self.n) if rows is None else np.asarray(rows)
        if at.dtype == bool and at.shape == (self.n,):
            at = np.flatnonzero(at)
        if not len(at):
            raise ParticleFileError(
                f"{self.path}: no particle left to write, expected at least one; widen the choice"
            )
        if at.ndim != 1 or at.dtype.kind not in "iu" or at.min() < 0 or at.max() >= self.n:
            raise ShapeError(
                f"rows of shape {at.shape} and type {at.dtype}, expected indices from 0 to "
                f"{self.n - 1} or {self.n} booleans, for {self.path}"
            )
        return at.astype(np.int64)


def read_particles(
    path: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    pixel_size: float | None = None,
    strict_optics: bool = False,
    made_from: Sequence[str | os.PathLike[str]] = (),
) -> ParticleFile:
    """Open a particle file; headers of its stacks are read, pixels are not.

    Parameters
    ----------
    path : path
        STAR of RELION 3.0 to 5, or cryoSPARC's .cs.
    data_dir : path, optional
        Folder to look in first for the image stacks.
    pixel_size : float, optional
        Edge of a pixel [Å], instead of what the file says.
    strict_optics : bool
        Refuse optics that the imaging model ignores, instead of warning.
    made_from : sequence of path
        Particle files that this one comes from; stacks are looked for around them too.

    Returns
    -------
    file : ParticleFile

    Raises
    ------
    ParticleFileError
        If the file or a stack it names cannot be used; the message says what to do.
    UnsupportedOpticsError
        If `strict_optics` and the file has such optics.
    """
    path = Path(path)
    cs = read_cs(path) if path.suffix.lower() == ".cs" else None
    blocks = read_star(path) if cs is None else relion_blocks(cs)
    block = _particle_block(path, blocks)
    table = blocks[block]
    if not len(table):
        raise ParticleFileError(f"{path}: holds no particles, expected at least one")
    columns = RelionColumns.of(path, table, blocks.get("optics"))
    note = check_supported(columns, strict_optics, also=[] if cs is None else ignored_fields(cs))
    places = locate_images(table[IMAGE_NAME].tolist(), path, data_dir, made_from)
    signs = numeric(table, IMAGE_SIGN, path) if IMAGE_SIGN in table else None
    images = lazy_images(places.paths, places.file_of, places.index_of, signs)
    if pixel_size is None:
        in_stack = read_header(places.paths[0], ParticleFileError).pixel_size
        pixel_size = pixel_size_of(columns, in_stack)
    elif not (np.isfinite(pixel_size) and pixel_size > 0):
        raise ParticleFileError(f"pixel size {pixel_size} for {path}, expected more than 0 Å")
    defocus = defocus_of(columns)
    optics, optics_group = optics_of(columns, needs_ctf=defocus is not None)
    particles = Particles(
        images=images,
        pixel_size=float(pixel_size),
        optics=optics,
        optics_group=optics_group,
        defocus=defocus,
        rotations=rotations_of(columns),
        shifts=shifts_of(columns, float(pixel_size)),
        half_sets=half_sets_of(columns),
    )
    return ParticleFile(path, particles, blocks, block, cs, note)


def is_particle_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file looks like particles with images, from its beginning; never raises.

    Other STAR files (jobs, micrographs, models) have the same ending.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    if Path(path).suffix.lower() == ".cs":
        return head.startswith(b"\x93NUMPY") and b"blob/path" in head[:65_536]
    return b"data_" in head and f"_{IMAGE_NAME}".encode() in head


def _particle_block(path: Path, blocks: Mapping[str, pd.DataFrame]) -> str:
    """Name of the block with the particles."""
    for name in (*PARTICLE_BLOCKS, *blocks):
        if name in blocks and IMAGE_NAME in blocks[name]:
            return name
    names = shown(", ".join(f"data_{name}" for name in blocks), 200)
    raise ParticleFileError(
        f"{path}: column {IMAGE_NAME} missing in {names}, expected a table of particles with "
        "images; is this the particle file of the job?"
    )


def _column(values: NDArray[Any]) -> "pd.Series[Any]":
    """Make a column of an array; text compactly."""
    if values.dtype.kind in "OUS":
        return text_column([str(v) for v in values.tolist()])
    return pd.Series(values)
