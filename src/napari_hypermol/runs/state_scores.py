"""How well found states agree with true ones, by the kind of the true state.

Aligned over the gauge of each kind: a range has no direction and no parametrisation, a full turn no
direction and no start, classes no order.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

__all__ = [
    "CircularMatch",
    "ClassMatch",
    "adjusted_rand_index",
    "best_cuts",
    "circular_match",
    "class_match",
    "class_of",
    "spearman",
    "spearman_error",
]

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


# ---- a range ---------------------------------------------------------------------------------


def spearman(a: Float64, b: Float64) -> float:
    """Spearman's coefficient; 0 where one of them does not vary."""
    from scipy.stats import spearmanr  # a second to import, which a starting run has not

    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(spearmanr(a, b).statistic)


def spearman_error(value: float, n: int) -> float:
    """Standard error of a Spearman coefficient (Fisher's z, factor 1.03 for ranks)."""
    return float(1.03 * (1 - value**2) / np.sqrt(max(n - 3, 1)))


# ---- a full turn -----------------------------------------------------------------------------


class CircularMatch(NamedTuple):
    """How a found full turn corresponds to a true one: found = direction * true + offset.

    Attributes
    ----------
    correlation : float
        0 to 1; see `circular_match`.
    direction : int
        1 or -1.
    offset : float
        In [0, 1) [turns].
    median_error : float
        Median of |found - direction * true - offset|, 0 to 0.5 [turns].
    """

    correlation: float
    direction: int
    offset: float
    median_error: float

    def found_at(self, true: Float64 | float) -> Float64:
        """The found state that stands for a true one."""
        return np.asarray((self.direction * true + self.offset) % 1.0)


def circular_match(found: Float64, true: Float64) -> CircularMatch:
    """Compare periodic states, after the best direction and offset.

    With phasors z = exp(2 pi i tau), the correlation is |cov(z_found, z_true^direction)| over the
    product of their standard deviations. For even occupancy it is |mean exp(2 pi i (tau_found
    -+ tau_true))|; taking the means off first makes it vanish for unrelated states whatever their
    occupancy, up to 1 / sqrt(n).

    Parameters
    ----------
    found, true : (n,) float64 ndarray
        [turns]
    """
    z, w = np.exp(2j * np.pi * found), np.exp(2j * np.pi * true)
    spread = np.sqrt(np.mean(abs(z - z.mean()) ** 2) * np.mean(abs(w - w.mean()) ** 2))
    correlations = {}
    for direction, phasor in ((1, w), (-1, w.conj())):
        covariance = np.mean(z * phasor.conj()) - z.mean() * phasor.mean().conj()
        # states that do not vary have a spread of rounding errors
        correlations[direction] = float(abs(covariance) / spread) if spread > 1e-12 else 0.0
    direction = max(correlations, key=lambda d: correlations[d])
    difference = found - direction * true
    offset = float(np.angle(np.mean(np.exp(2j * np.pi * difference))) / (2 * np.pi) % 1.0)
    error = abs((difference - offset + 0.5) % 1.0 - 0.5)
    return CircularMatch(correlations[direction], direction, offset, float(np.median(error)))


# ---- classes ---------------------------------------------------------------------------------


class ClassMatch(NamedTuple):
    """How found classes correspond to true ones.

    Attributes
    ----------
    error : float
        Share of particles outside the found class that stands for their true one.
    rand_index : float
        Adjusted for chance: 1 for the same partition, 0 on average for unrelated ones.
    found_class : (true classes,) int64 ndarray
        The found class that stands for each true one; -1 where there are too few.
    """

    error: float
    rand_index: float
    found_class: Int64


def class_of(states: Float64, n_classes: int) -> Int64:
    """Class k of states (k + 0.5) / K."""
    return np.clip(np.rint(states * n_classes - 0.5).astype(np.int64), 0, n_classes - 1)


def class_match(found: Int64, true: Int64, n_found: int, n_true: int) -> ClassMatch:
    """Compare two partitions of the particles, after the best assignment of classes (Hungarian)."""
    table = _contingency(found, true, n_found, n_true)
    rows, columns = linear_sum_assignment(table, maximize=True)
    found_class = np.full(n_true, -1)
    found_class[columns] = rows
    right = table[rows, columns].sum()
    return ClassMatch(float(1 - right / len(true)), adjusted_rand_index(table), found_class)


def _contingency(found: Int64, true: Int64, n_found: int, n_true: int) -> Int64:
    """Particles in each found (row) and true (column) class."""
    return np.bincount(found * n_true + true, minlength=n_found * n_true).reshape(n_found, n_true)


def adjusted_rand_index(table: Int64) -> float:
    """Agreement over pairs of particles, from a contingency table (Hubert and Arabie, 1985)."""

    def pairs(counts: NDArray[np.generic]) -> float:
        numbers = np.asarray(counts, dtype=np.float64)
        return float((numbers * (numbers - 1) / 2).sum())

    together, in_rows, in_columns = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    everything = pairs(np.array([table.sum()]))
    expected = in_rows * in_columns / everything if everything else 0.0
    largest = 0.5 * (in_rows + in_columns)
    if largest == expected:  # both trivial: all particles in one class, or each in its own
        return 1.0
    return float((together - expected) / (largest - expected))


def best_cuts(found: Float64, true: Int64, n_classes: int) -> Int64:
    """Cut a continuous state into intervals, one for each class, with the most particles right.

    The most a continuous state can say about classes: K - 1 cuts are fitted to the truth, a bias
    of about K / n. By dynamic programming over sets of classes used from the left; 2^K K n steps.

    Parameters
    ----------
    found : (n,) float64 ndarray
    true : (n,) int64 ndarray
        0 to K - 1.
    n_classes : int

    Returns
    -------
    (n,) int64 ndarray
        The class whose interval each particle lies in.
    """
    values, place = np.unique(found, return_inverse=True)  # no cut can part equal states
    counts = np.zeros((len(values) + 1, n_classes))
    np.add.at(counts, (place + 1, true), 1)
    below = counts.cumsum(axis=0)  # particles of each class left of each cut
    full = 2**n_classes - 1
    right = np.full((full + 1, len(values) + 1), -np.inf)
    right[0, 0] = 0.0
    for used in range(1, full + 1):
        for k in range(n_classes):
            if used >> k & 1:
                gain = np.maximum.accumulate(right[used ^ (1 << k)] - below[:, k]) + below[:, k]
                right[used] = np.maximum(right[used], gain)
    labels = np.empty(len(values), dtype=np.int64)
    used, end = full, len(values)
    while used:
        starts = {}
        for k in range(n_classes):
            if used >> k & 1:
                before = right[used ^ (1 << k), : end + 1] - below[: end + 1, k]
                starts[k] = (float(before.max() + below[end, k]), int(before.argmax()))
        k = max(starts, key=lambda k: starts[k][0])
        start = starts[k][1]
        labels[start:end] = k
        used, end = used ^ (1 << k), start
    return labels[place]
