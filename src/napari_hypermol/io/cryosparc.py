"""cryoSPARC .cs files: particles as one structured array, shown as RELION's tables.

Not here: finding and reading the images. Conventions: ``alignments3D/pose`` is the rotation
vector of the inverse rotation, ``alignments3D/shift`` is in pixels with the sign of RELION's
origin, ``blob/sign`` is -1 where the images are dark on bright.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_hypermol.coordinates.euler import (
    relion_angles_from_rotations,
    rotations_from_cryosparc_vectors,
    rotations_from_relion_angles,
)
from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io.admission import admit_file
from napari_hypermol.io.relion_columns import distinct_rows
from napari_hypermol.io.relion_poses import ANGLES, ORIGINS
from napari_hypermol.io.replacing import replacing
from napari_hypermol.io.star import text_column

__all__ = ["IMAGE_SIGN", "ignored_fields", "read_cs", "relion_blocks", "write_cs"]

IMAGE_SIGN = "hypermolImageSign"  # our own column: RELION has none for images dark on bright
UNSUPPORTED = ("ctf/tilt_A", "ctf/trefoil_A", "ctf/tetra_A", "ctf/anisomag")
OPTICS = {
    "ctf/accel_kv": "rlnVoltage",
    "ctf/cs_mm": "rlnSphericalAberration",
    "ctf/amp_contrast": "rlnAmplitudeContrast",
}
CTF = {
    "ctf/df1_A": "rlnDefocusU",
    "ctf/df2_A": "rlnDefocusV",
    "ctf/bfactor": "rlnCtfBfactor",
    "ctf/scale": "rlnCtfScalefactor",
}
# What must be text and what numbers, with the shape of a particle's own values.
TEXTS = ("blob/path", "location/micrograph_path")
NUMBERS: dict[str, tuple[int, ...]] = {
    "blob/idx": (), "blob/psize_A": (), "blob/sign": (), "alignments3D/split": (),
    "alignments3D/pose": (3,), "alignments3D/shift": (2,), "alignments3D/psize_A": (),
    "ctf/exp_group_id": (), "location/center_x_frac": (), "location/center_y_frac": (),
    "location/micrograph_shape": (2,),
}  # fmt: skip
CTF_RADIANS = {"ctf/df_angle_rad": "rlnDefocusAngle", "ctf/phase_shift_rad": "rlnPhaseShift"}


def read_cs(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read the structured array of a .cs file.

    Parameters
    ----------
    path : path

    Returns
    -------
    particles : (n,) structured ndarray
        Fields as in the file; ``blob/path`` and ``blob/idx`` are there.

    Raises
    ------
    ParticleFileError
        If the file is missing, not a .cs file, holds Python objects, or names no images.
    """
    path = Path(path)
    admit_file(path, "a .cs file", ParticleFileError)
    table = _loaded(path)
    names = table.dtype.names or ()
    for field in ("blob/path", "blob/idx"):
        if field not in names:
            raise ParticleFileError(
                f"{path}: field {field} missing, expected particles with images; export the "
                "particles of an extraction or refinement"
            )
    table = np.atleast_1d(table)
    if table.ndim != 1 or not table.size:
        raise ParticleFileError(
            f"{path}: holds particles of shape {table.shape}, expected a list of at least one; "
            "export them again"
        )
    _check_fields(path, table)
    return table


def _loaded(path: Path) -> NDArray[Any]:
    """The array of a numpy file, if it is as long as it says and holds no Python objects."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0
            read = read if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            room = path.stat().st_size - file.tell()
    except Exception:  # numpy's parser of headers fails in too many ways to be listed
        raise ParticleFileError(
            f"{path}: is not a numpy file, expected cryoSPARC's .cs; export the particles again"
        ) from None
    if dtype.hasobject:
        raise ParticleFileError(
            f"{path}: holds Python objects, which may run code when read; expected plain "
            "fields, export the particles again from cryoSPARC"
        )
    needed = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or room < needed:
        raise ParticleFileError(
            f"{path}: is cut short, expected {needed} bytes for {shape} particles, got {room}; "
            "copy the file again"
        )
    table: NDArray[Any] = np.load(path, allow_pickle=False)
    return table


def _check_fields(path: Path, table: NDArray[Any]) -> None:
    """Refuse fields that are used here and hold something else than expected."""
    for name in (name for name in TEXTS if _has(table, name)):
        if table[name].dtype.kind not in "SU" or table[name].ndim != 1:
            raise _strange(path, name, "a text")
        try:
            _texts(table[name])
        except (UnicodeError, ValueError, SystemError):
            raise ParticleFileError(
                f"{path}: field {name} is not text, expected names of files; export the particles "
                "again"
            ) from None
    numbers = NUMBERS | dict.fromkeys((*OPTICS, *CTF, *CTF_RADIANS), ())
    for name, shape in numbers.items():
        if not _has(table, name):
            continue
        values = table[name]
        is_index = name == "blob/idx"
        if values.dtype.kind not in ("iu" if is_index else "iuf") or values.shape[1:] != shape:
            raise _strange(path, name, f"numbers, {shape or 1} a particle")
        bad = np.flatnonzero(~np.isfinite(values).reshape(len(table), -1).all(axis=1))
        if len(bad):
            raise ParticleFileError(
                f"{path}: field {name} holds {values[bad[0]]} for particle {bad[0] + 1}, expected "
                "finite numbers; remove that particle"
            )
    for name in (name for name in UNSUPPORTED if _has(table, name)):
        if table[name].dtype.kind not in "iuf":
            raise _strange(path, name, "numbers")


def _strange(path: Path, name: str, expected: str) -> ParticleFileError:
    return ParticleFileError(
        f"{path}: field {name} is of a strange type or shape, expected {expected}; export the "
        "particles again"
    )


def relion_blocks(cs: NDArray[Any]) -> dict[str, pd.DataFrame]:
    """Show the particles of a .cs file as RELION's optics and particle tables.

    Parameters
    ----------
    cs : (n,) structured ndarray
        As from `read_cs`.

    Returns
    -------
    blocks : dict of str to DataFrame
        ``optics`` (where a voltage is known) and ``particles``, rows in the order of `cs`. Where
        ``blob/sign`` is -1 the particles carry the column hypermolImageSign.
    """
    columns: dict[str, Any] = {"rlnImageName": text_column(_image_names(cs))}
    columns |= _micrographs(cs)
    columns |= {new: cs[old].astype(float) for old, new in CTF.items() if _has(cs, old)}
    columns |= {
        new: np.degrees(cs[old].astype(float)) for old, new in CTF_RADIANS.items() if _has(cs, old)
    }
    columns |= _pose_columns(cs)
    if _has(cs, "alignments3D/split"):
        columns["rlnRandomSubset"] = cs["alignments3D/split"].astype(int) + 1
    if _has(cs, "blob/sign") and (cs["blob/sign"] < 0).any():
        columns[IMAGE_SIGN] = np.where(cs["blob/sign"] < 0, -1, 1)
    optics, columns["rlnOpticsGroup"] = _optics(cs)
    blocks = {"optics": optics} if len(optics.columns) > 2 else {}
    return {**blocks, "particles": pd.DataFrame(columns)}


def ignored_fields(cs: NDArray[Any]) -> list[str]:
    """Fields of aberrations that are not zero and that the imaging model does not have."""
    return [name for name in UNSUPPORTED if _has(cs, name) and np.any(cs[name])]


def write_cs(
    path: str | os.PathLike[str],
    cs: NDArray[Any],
    columns: Mapping[str, NDArray[Any]],
    pixel_size: float,
    overwrite: bool = False,
) -> None:
    """Write particles as .cs with every field kept, ``uid`` among them.

    Parameters
    ----------
    path : path
    cs : (n,) structured ndarray
        The particles to write, a subset or all of what was read.
    columns : mapping of str to (n,) ndarray
        RELION's pose columns become ``alignments3D/pose`` and ``alignments3D/shift``; any other
        becomes a field ``hypermol/<name>``.
    pixel_size : float
        Edge of a pixel [Å], for shifts.
    overwrite : bool
        Whether an existing file may be replaced.
    """
    fields = _fields_of(cs, columns, pixel_size)
    kept = [(name, *cs.dtype.fields[name][:1]) for name in cs.dtype.names or ()]  # type: ignore[index]
    added = [
        (name, values.dtype, values.shape[1:])
        for name, values in fields.items()
        if name not in (cs.dtype.names or ())
    ]
    table = np.zeros(len(cs), dtype=[*kept, *added])
    for name in cs.dtype.names or ():
        table[name] = cs[name]
    for name, values in fields.items():
        table[name] = values
    with replacing(path, overwrite) as temporary, temporary.open("wb") as file:
        np.save(file, table, allow_pickle=False)


def _has(cs: NDArray[Any], field: str) -> bool:
    return field in (cs.dtype.names or ())


def _texts(values: NDArray[Any]) -> list[str]:
    """Fixed-width bytes (or str) as str."""
    return [v.decode() if isinstance(v, bytes) else str(v) for v in values.tolist()]


def _image_names(cs: NDArray[Any]) -> list[str]:
    """``index@stack``; a leading ``>`` only marks a path as imported."""
    stacks = _texts(cs["blob/path"])
    indices = cs["blob/idx"].tolist()
    return [f"{i + 1:06d}@{s.removeprefix('>')}" for i, s in zip(indices, stacks, strict=True)]


def _micrographs(cs: NDArray[Any]) -> dict[str, Any]:
    """Where the particles were picked, so that a STAR file of them can be extracted again."""
    if not _has(cs, "location/micrograph_path"):
        return {}
    names = [name.removeprefix(">") for name in _texts(cs["location/micrograph_path"])]
    columns: dict[str, Any] = {"rlnMicrographName": text_column(names)}
    needed = ("location/center_x_frac", "location/center_y_frac", "location/micrograph_shape")
    if all(_has(cs, name) for name in needed):
        shape = cs["location/micrograph_shape"].astype(float)  # (y, x)
        columns["rlnCoordinateX"] = cs["location/center_x_frac"] * shape[:, 1]
        columns["rlnCoordinateY"] = cs["location/center_y_frac"] * shape[:, 0]
    return columns


def _pose_columns(cs: NDArray[Any]) -> dict[str, Any]:
    """RELION's angles [degrees] and origins [Å]."""
    columns: dict[str, Any] = {}
    if _has(cs, "alignments3D/pose"):
        rotations = rotations_from_cryosparc_vectors(cs["alignments3D/pose"])
        angles = relion_angles_from_rotations(rotations)
        columns |= {name: angles[:, j] for j, name in enumerate(ANGLES)}
    edges = _shift_edges(cs)
    if _has(cs, "alignments3D/shift") and edges is not None:
        origins = cs["alignments3D/shift"].astype(float) * edges[:, None]
        columns |= {name: origins[:, j] for j, name in enumerate(ORIGINS)}
    elif _has(cs, "alignments3D/shift"):
        shifts = cs["alignments3D/shift"].astype(float)
        columns |= {"rlnOriginX": shifts[:, 0], "rlnOriginY": shifts[:, 1]}
    return columns


def _shift_edges(cs: NDArray[Any]) -> NDArray[np.float64] | None:
    """Pixel [Å] the shifts are counted in: of the alignment, which may have been binned."""
    for name in ("alignments3D/psize_A", "blob/psize_A"):
        if _has(cs, name) and (cs[name] > 0).all():
            return np.asarray(cs[name], dtype=np.float64)
    return None


def _optics(cs: NDArray[Any]) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Optics table and each particle's group, counted from 1."""
    sources = {old: new for old, new in OPTICS.items() if _has(cs, old)}
    if _has(cs, "blob/psize_A"):
        sources["blob/psize_A"] = "rlnImagePixelSize"
    has_groups = _has(cs, "ctf/exp_group_id")
    keys = [cs["ctf/exp_group_id"].astype(float) if has_groups else np.zeros(len(cs))]
    keys += [cs[name].astype(float) for name in sources]
    values = np.column_stack(keys)
    first, group = distinct_rows(values)
    table = values[first]
    numbers = np.arange(1, len(table) + 1)
    optics: dict[str, Any] = {
        "rlnOpticsGroupName": text_column([f"exposureGroup{int(g)}" for g in table[:, 0]]),
        "rlnOpticsGroup": numbers,
    }
    optics |= {new: table[:, j] for j, new in enumerate(sources.values(), start=1)}
    return pd.DataFrame(optics), numbers[group]


def _fields_of(
    cs: NDArray[Any], columns: Mapping[str, NDArray[Any]], pixel_size: float
) -> dict[str, NDArray[Any]]:
    """RELION's columns as cryoSPARC's fields."""
    others = dict(columns)
    fields: dict[str, NDArray[Any]] = {}
    if all(name in others for name in ANGLES):
        angles = np.column_stack([others.pop(name) for name in ANGLES])
        inverse = np.swapaxes(rotations_from_relion_angles(angles), -1, -2)
        fields["alignments3D/pose"] = Rotation.from_matrix(inverse).as_rotvec().astype("f4")
    if all(name in others for name in ORIGINS):
        origins = np.column_stack([others.pop(name) for name in ORIGINS])
        edges = _shift_edges(cs)
        edges = np.full(len(cs), pixel_size) if edges is None else edges
        fields["alignments3D/shift"] = (origins / edges[:, None]).astype("f4")
    return fields | {f"hypermol/{name}": np.asarray(values) for name, values in others.items()}
