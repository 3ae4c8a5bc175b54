"""Pixel size, optics groups and defocus from RELION's columns, in Å, radians and kV.

Not here: the CTF they make (`imaging`), aberrations that are ignored (`unsupported_optics`).
"""

import numpy as np

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io.relion_columns import RelionColumns, distinct_rows
from napari_hypermol.io.star import numeric
from napari_hypermol.particles import Defocus, FloatArray, IntArray, Optics

__all__ = ["defocus_of", "optics_of", "pixel_size_of"]

ANGSTROM_PER_MM = 1e7
ANGSTROM_PER_UM = 1e4
PIXEL_SIZE_TOLERANCE = 1e-3  # 0.1 %: a tenth of a pixel at the edge of a box of 200
OPTICS_COLUMNS = (
    "rlnVoltage",
    "rlnSphericalAberration",
    "rlnAmplitudeContrast",
    "rlnCtfDataAreCtfPremultiplied",
)


def pixel_size_of(columns: RelionColumns, in_stack: float | None) -> float:
    """Edge of a pixel [Å], from the best column there is.

    Parameters
    ----------
    columns : RelionColumns
    in_stack : float or None
        From the header of the first stack [Å], for files that do not say.

    Returns
    -------
    pixel_size : float

    Raises
    ------
    ParticleFileError
        If nothing says it, or particles differ in it.
    """
    values: FloatArray | None = None
    for name in ("rlnImagePixelSize", "rlnPixelSize"):
        table = columns.particles if name in columns.particles else None
        values = numeric(table, name, columns.path) if table is not None else None
        values = columns.per_particle(name) if values is None else values
        if values is not None:
            break
    if values is None:
        detector = columns.per_particle("rlnDetectorPixelSize")
        magnification = columns.per_particle("rlnMagnification")
        if detector is not None and magnification is not None and (magnification > 0).all():
            values = ANGSTROM_PER_UM * detector / magnification
    if values is None and in_stack is not None:
        values = np.array([in_stack])
    if values is None or not (values > 0).all():
        raise ParticleFileError(
            f"{columns.path}: pixel size unknown, expected column rlnImagePixelSize; add it or "
            "pass --pixel-size"
        )
    low, high = float(values.min()), float(values.max())
    if high / low - 1 > PIXEL_SIZE_TOLERANCE:
        raise ParticleFileError(
            f"{columns.path}: pixel sizes from {low:.5g} to {high:.5g} Å, expected one for all "
            "particles; rescale them to one or pass --pixel-size"
        )
    return float(values[0])


def optics_of(columns: RelionColumns, needs_ctf: bool) -> tuple[Optics, IntArray]:
    """Optics groups and the group of each particle.

    Parameters
    ----------
    columns : RelionColumns
    needs_ctf : bool
        Whether there is a defocus, which means nothing without voltage, Cs and Q0.

    Returns
    -------
    optics : Optics
        The groups that have particles; NaN where the file does not say (only without a defocus).
    optics_group : (n,) int ndarray
    """
    n = len(columns.particles)
    values = np.full((n, len(OPTICS_COLUMNS)), np.nan)
    for j, name in enumerate(OPTICS_COLUMNS):
        column = columns.per_particle(name)
        if column is not None:
            values[:, j] = column
        elif name == "rlnCtfDataAreCtfPremultiplied":
            values[:, j] = 0.0
        elif needs_ctf:
            raise ParticleFileError(
                f"{columns.path}: column {name} missing, expected it beside rlnDefocusU; add it to "
                "the optics or particle table"
            )
    first, group = distinct_rows(np.column_stack([columns.group_of, values]))
    values = values[first]
    optics = Optics(
        names=_group_names(columns, columns.group_of[first]),
        voltage=values[:, 0],
        spherical_aberration=values[:, 1] * ANGSTROM_PER_MM,
        amplitude_contrast=values[:, 2],
        is_premultiplied=values[:, 3] > 0,
    )
    return optics, group


def defocus_of(columns: RelionColumns) -> Defocus | None:
    """Defocus of each particle [Å, rad], or None when the file has no CTF."""
    u = columns.per_particle("rlnDefocusU")
    if u is None:
        return None
    n = len(u)

    def column(name: str, default: float) -> FloatArray:
        values = columns.per_particle(name)
        return np.full(n, default) if values is None else values

    v = columns.per_particle("rlnDefocusV")
    return Defocus(
        u=u,
        v=u.copy() if v is None else v,
        angle=np.radians(column("rlnDefocusAngle", 0.0)),
        phase_shift=np.radians(column("rlnPhaseShift", 0.0)),
        b_factor=column("rlnCtfBfactor", 0.0),
        scale=column("rlnCtfScalefactor", 1.0),
    )


def _group_names(columns: RelionColumns, used: IntArray) -> tuple[str, ...]:
    """Take rlnOpticsGroupName where there is one."""
    optics = columns.optics
    if optics is not None and "rlnOpticsGroupName" in optics:
        names = optics["rlnOpticsGroupName"].tolist()
        return tuple(str(names[g]) for g in used)
    return tuple(f"opticsGroup{g + 1}" for g in range(len(used)))
