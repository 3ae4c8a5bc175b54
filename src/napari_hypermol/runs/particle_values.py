"""Values that particles can be coloured by: every column of their table, and what a run found.

Text, such as micrographs, is numbered in the order in which it first appears.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_hypermol.io.particle_file import ParticleFile
from napari_hypermol.runs.run_columns import particle_columns
from napari_hypermol.runs.store import Run

__all__ = ["ParticleValues", "particle_values", "value_names"]

Float64 = NDArray[np.float64]
_FEW = 8  # different values that can have a colour each

# ends of column names, the first that fits; RELION's units
_UNITS = (
    ("RotationStd", "degrees"), ("ShiftStd", "Å"), ("DefocusAngle", "degrees"),
    ("DefocusU", "Å"), ("DefocusV", "Å"), ("Astigmatism", "Å"), ("PhaseShift", "degrees"),
    ("AngleRot", "degrees"), ("AngleTilt", "degrees"), ("AnglePsi", "degrees"),
    ("OriginXAngst", "Å"), ("OriginYAngst", "Å"), ("OriginX", "px"), ("OriginY", "px"),
    ("CoordinateX", "px"), ("CoordinateY", "px"), ("Voltage", "kV"),
    ("SphericalAberration", "mm"), ("CtfMaxResolution", "Å"), ("CtfBfactor", "Å²"),
    ("PixelSize", "Å"),
)  # fmt: skip


class ParticleValues(NamedTuple):
    """One value a particle.

    Attributes
    ----------
    name : str
    unit : str
        Empty where it has none, or none is known.
    values : (n,) float64 ndarray
        Numbers; of categories their index. May hold nan.
    categories : tuple of str
        Names of few different values; empty for numbers.
    is_numbered : bool
        Whether the values number texts of which there are many.
    """

    name: str
    unit: str
    values: Float64
    categories: tuple[str, ...] = ()
    is_numbered: bool = False

    @property
    def label(self) -> str:
        """Name and unit, for a legend."""
        if self.is_numbered:
            return f"{self.name}, numbered"
        return f"{self.name} [{self.unit}]" if self.unit else self.name


def value_names(run: Run, file: ParticleFile | None = None) -> list[str]:
    """Names of all that particles can be coloured by: the run's, then the file's."""
    own = list(particle_columns(run.snapshot))
    given = [] if file is None else [name for name in file.table.columns if name not in own]
    return own + given


def particle_values(run: Run, name: str, file: ParticleFile | None = None) -> ParticleValues:
    """The values of one name; of the run where both have it.

    Raises
    ------
    KeyError
        If neither has it.
    """
    own = particle_columns(run.snapshot)
    column: Any
    if name in own:
        column = pd.Series(np.asarray(own[name]))
    elif file is not None and name in file.table:
        column = file.table[name]
    else:
        raise KeyError(name)
    unit = next((u for end, u in _UNITS if name.endswith(end)), "")
    numbers: Float64 = np.asarray(pd.to_numeric(column, errors="coerce"), dtype=np.float64)
    is_text = bool(np.isnan(numbers).all())
    is_count = bool((numbers == np.rint(numbers)).all())
    if is_text or is_count:
        codes, found = pd.factorize(column if is_text else numbers, sort=not is_text)
        if len(found) <= _FEW:
            names = tuple(str(v) if is_text else f"{v:.0f}" for v in found)
            return ParticleValues(name, unit, codes.astype(np.float64), names)
        if is_text:
            return ParticleValues(name, unit, (codes + 1).astype(np.float64), is_numbered=True)
    return ParticleValues(name, unit, numbers)
