"""Fourier shell correlation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.fourier import radius_index, volume_to_half_space
from napari_hypermol.errors import ShapeError

__all__ = ["fourier_shell_correlation", "resolution_at"]


def fourier_shell_correlation(one: NDArray[Any], two: NDArray[Any]) -> NDArray[np.float64]:
    """FSC of two maps.

    Parameters
    ----------
    one, two : (n, n, n) float ndarray

    Returns
    -------
    fsc : (n // 2 + 1,) float64 ndarray
        Real part, per shell of |k| rounded to whole cycles per box edge; 1 in shell 0.
    """
    if one.shape != two.shape or len(set(one.shape)) != 1:
        raise ShapeError(f"FSC of maps of shapes {one.shape} and {two.shape}; expected equal cubes")
    n = one.shape[0]
    a, b = (volume_to_half_space(v.astype(np.float64)) for v in (one, two))
    shells = radius_index(n).ravel()
    weights = np.full(a.shape, 2.0)
    weights[..., 0] = 1.0
    if n % 2 == 0:
        weights[..., -1] = 1.0

    def total(values: NDArray[Any]) -> NDArray[np.float64]:
        sums = np.bincount(shells, (values * weights).ravel())[: n // 2 + 1]
        return np.asarray(sums, dtype=np.float64)

    cross = total((a * b.conj()).real)
    power = total(np.abs(a) ** 2) * total(np.abs(b) ** 2)
    fsc = np.divide(cross, np.sqrt(power), out=np.zeros_like(cross), where=power > 0)
    fsc[0] = 1.0
    return fsc


def resolution_at(fsc: NDArray[np.float64], threshold: float, edge: float) -> float:
    """Resolution [Å] where the FSC first falls below `threshold`; `edge` of the box [Å]."""
    below = np.flatnonzero(fsc < threshold)
    if not len(below):
        return edge / (len(fsc) - 1)
    shell = int(below[0])
    drop = fsc[shell - 1] - fsc[shell]
    crossing = shell - 1 + (fsc[shell - 1] - threshold) / drop if drop > 0 else float(shell)
    return float(edge / max(crossing, 1e-9))
