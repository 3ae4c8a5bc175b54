"""RELION's particle and optics tables side by side, each column asked for by its name.

Not here: what the columns mean (`relion_optics`, `relion_poses`), reading the file (`star`).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io.star import numeric
from napari_hypermol.particles import FloatArray, IntArray

__all__ = ["RelionColumns", "distinct_rows"]


@dataclass(frozen=True)
class RelionColumns:
    """A particle table with its optics table; n particles, g groups.

    Attributes
    ----------
    path : Path
        The file, for messages.
    particles : DataFrame
    optics : DataFrame or None
        None before RELION 3.1.
    group_of : (n,) int ndarray
        Row of `optics` of each particle; zeros without one.
    """

    path: Path
    particles: pd.DataFrame
    optics: pd.DataFrame | None
    group_of: IntArray

    @classmethod
    def of(
        cls, path: Path, particles: pd.DataFrame, optics: pd.DataFrame | None
    ) -> "RelionColumns":
        """Match particles and optics groups by rlnOpticsGroup."""
        n = len(particles)
        if optics is None or not len(optics):
            return cls(path, particles, None, np.zeros(n, dtype=np.int64))
        if "rlnOpticsGroup" not in particles or "rlnOpticsGroup" not in optics:
            if len(optics) > 1:
                raise ParticleFileError(
                    f"{path}: column rlnOpticsGroup missing, expected it to say which of the "
                    f"{len(optics)} optics groups a particle belongs to; add it"
                )
            return cls(path, particles, optics, np.zeros(n, dtype=np.int64))
        keys = numeric(optics, "rlnOpticsGroup", path)
        wanted = numeric(particles, "rlnOpticsGroup", path)
        order = np.argsort(keys)
        at = order[np.searchsorted(keys, wanted, sorter=order).clip(max=len(keys) - 1)]
        if (keys[at] != wanted).any():
            row = int(np.argmax(keys[at] != wanted))
            raise ParticleFileError(
                f"{path}: row {row + 1} belongs to optics group {wanted[row]:g}, expected one of "
                f"{sorted(keys.astype(int).tolist())}; add it to the optics table"
            )
        return cls(path, particles, optics, at)

    def has(self, column: str) -> bool:
        """Whether either table has a column."""
        return column in self.particles or (self.optics is not None and column in self.optics)

    def per_particle(self, column: str) -> FloatArray | None:
        """Spread a column over the particles, the optics table first as in RELION; (n,) or None."""
        if self.optics is not None and column in self.optics:
            return np.asarray(numeric(self.optics, column, self.path)[self.group_of])
        if column in self.particles:
            return numeric(self.particles, column, self.path)
        return None


def distinct_rows(values: FloatArray) -> tuple[IntArray, IntArray]:
    """Find the distinct rows of a matrix, sorted; NaN equals NaN.

    Parameters
    ----------
    values : (n, m) float ndarray

    Returns
    -------
    first : (g,) int ndarray
        Where each distinct row is first seen.
    group : (n,) int ndarray
        Which of them each row is.

    Notes
    -----
    Hashing takes 0.2 s for a million rows; ``numpy.unique(axis=0)`` sorts them for several.
    """
    table = pd.DataFrame(values)
    group = table.groupby(list(table.columns), dropna=False).ngroup().to_numpy(np.int64)
    _, first = np.unique(group, return_index=True)
    return first, group
