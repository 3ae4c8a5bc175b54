"""How the states are occupied: uniform, Beta, or a histogram learned from the particles.

Densities are with respect to the uniform measure on [0, 1]^d: the uniform prior's log density is 0.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.special import betaln, logsumexp, xlog1py, xlogy

from napari_hypermol.errors import RecipeError, ShapeError
from napari_hypermol.protocols import StateKind

__all__ = ["BetaState", "HistogramState", "UniformState", "updated_probabilities"]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]


def _checked_states(states: Float) -> Float64:
    states = np.asarray(states, dtype=np.float64)
    if states.ndim != 2 or (states.size and not 0 <= states.min() <= states.max() <= 1):
        raise ShapeError(f"state prior: states of shape {states.shape}, expected (n, d) in [0, 1]")
    return np.asarray(states, dtype=np.float64)


def _normalised(log_density: Float64) -> Float64:
    """Log probabilities of a grid from log densities on it; (t,)."""
    total = logsumexp(log_density)
    if not np.isfinite(total):
        raise ShapeError("state prior: the grid touches a state of infinite density, or has none")
    return np.asarray(log_density - total)


def updated_probabilities(
    responsibilities: Float,
    shape: tuple[int, ...],
    kinds: tuple[StateKind, ...],
    pseudo_count: float = 1.0,
    smooth: float = 0.5,
) -> Float64:
    """The next histogram of expectation maximisation; see `HistogramState.updated`.

    Parameters
    ----------
    responsibilities : (n, t) float ndarray
        Rows of sum 1.
    shape : tuple of int
        Entries along every state coordinate; their product is t.
    kinds : tuple of StateKind
        Intervals are blurred up to their ends, circles all round, classes not at all.
    pseudo_count, smooth : float

    Returns
    -------
    (t,) float64 ndarray
        Of sum 1.
    """
    n, t = np.shape(responsibilities)
    if t != np.prod(shape) or n == 0:
        raise ShapeError(
            f"state prior: posterior tables of shape {(n, t)}, "
            f"expected (n, {int(np.prod(shape))}), n > 0"
        )
    if not pseudo_count > 0:
        raise RecipeError(f"state prior: a pseudo-count of {pseudo_count}; it must be above 0")
    counts = np.sum(responsibilities, axis=0, dtype=np.float64) + pseudo_count
    table: Float64 = np.asarray((counts / counts.sum()).reshape(shape))
    for axis, kind in enumerate(kinds):
        if smooth > 0 and kind == "circle":
            table = gaussian_filter1d(table, smooth, axis=axis, mode="wrap")
        elif smooth > 0 and kind == "interval":  # nothing leaves [0, 1]
            table = gaussian_filter1d(table, smooth, axis=axis, mode="reflect")
    return np.asarray((table / table.sum()).ravel())


@dataclass(frozen=True)
class UniformState:
    """Every state alike."""

    def log_density(self, values: Float) -> Float64:
        """States (n, d) in [0, 1] -> (n,)."""
        return np.zeros(len(_checked_states(values)))

    def gradient(self, values: Float) -> Float64:
        """(n, d)."""
        return np.zeros_like(_checked_states(values))

    def log_prior_on(self, states: Float) -> Float64:
        """Log probabilities of a grid, (t, d) -> (t,)."""
        return _normalised(self.log_density(states))


@dataclass(frozen=True)
class BetaState:
    """Beta density of every coordinate, independent of one another.

    Parameters
    ----------
    alpha, beta : float
        (1, 1) is uniform; both above 1: the middle is preferred; both below: the ends.

    Notes
    -----
    Log density sum_d (alpha - 1) log tau + (beta - 1) log(1 - tau) - log B(alpha, beta). At 0 and 1
    it may be infinite; a table's states are midpoints, and never there.
    """

    alpha: float
    beta: float

    def __post_init__(self) -> None:
        if not (0 < self.alpha < np.inf and 0 < self.beta < np.inf):
            raise RecipeError(
                f"state prior: beta [{self.alpha}, {self.beta}]; both must be above 0"
            )

    def log_density(self, values: Float) -> Float64:
        """States (n, d) in [0, 1] -> (n,)."""
        tau = _checked_states(values)
        inner = xlogy(self.alpha - 1, tau) + xlog1py(self.beta - 1, -tau)
        return np.asarray((inner - betaln(self.alpha, self.beta)).sum(axis=1))

    def gradient(self, values: Float) -> Float64:
        """(n, d)."""
        tau = _checked_states(values)
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.where(self.alpha == 1, 0.0, (self.alpha - 1) / tau)
            right = np.where(self.beta == 1, 0.0, (self.beta - 1) / (1 - tau))
        return np.asarray(left - right)

    def log_prior_on(self, states: Float) -> Float64:
        """Log probabilities of a grid, (t, d) -> (t,)."""
        return _normalised(self.log_density(states))


@dataclass(frozen=True, eq=False)
class HistogramState:
    """Occupancy as a table on the grid of midpoints, learned by expectation maximisation.

    Parameters
    ----------
    log_probabilities : (b, ..., b) float64 ndarray
        One axis for each state coordinate; b midpoints along each. The coordinates need not be
        independent of one another.

    Notes
    -----
    Between midpoints the log density is interpolated linearly in every coordinate, beyond the outer
    ones it is constant, so that it has a gradient.
    """

    log_probabilities: Float64

    def __post_init__(self) -> None:
        table = np.asarray(self.log_probabilities)
        if table.ndim == 0 or len(set(table.shape)) != 1 or not np.isfinite(table).all():
            raise ShapeError(
                f"state prior: a histogram of shape {table.shape}; expected the same number of "
                "finite entries along every coordinate"
            )
        if abs(logsumexp(table)) > 1e-6:
            raise ShapeError("state prior: the probabilities of the histogram do not add up to 1")

    @classmethod
    def uniform(cls, n_states: int, dims: int = 1) -> Self:
        """Equal probabilities of `n_states` midpoints along each of `dims` coordinates."""
        return cls(np.full((n_states,) * dims, -dims * np.log(n_states)))

    @property
    def dims(self) -> int:
        """State coordinates, d."""
        return self.log_probabilities.ndim

    @property
    def n_states(self) -> int:
        """Midpoints along each coordinate, b."""
        return len(self.log_probabilities)

    def log_density(self, values: Float) -> Float64:
        """States (n, d) in [0, 1] -> (n,)."""
        corners, weights, _ = self._interpolation(values)
        return np.asarray((weights.prod(axis=2) * self._log_density_at(corners)).sum(axis=1))

    def gradient(self, values: Float) -> Float64:
        """(n, d); constant between midpoints along that coordinate."""
        corners, weights, slopes = self._interpolation(values)
        table = self._log_density_at(corners)
        out = np.empty((len(table), self.dims))
        for axis in range(self.dims):
            factors = weights.copy()
            factors[:, :, axis] = slopes[:, :, axis]
            out[:, axis] = (factors.prod(axis=2) * table).sum(axis=1)
        return out

    def log_prior_on(self, states: Float) -> Float64:
        """Log probabilities of a grid, (t, d) -> (t,); on its own grid, the table."""
        return _normalised(self.log_density(states))

    def updated(
        self, responsibilities: Float, pseudo_count: float = 1.0, smooth: float = 0.5
    ) -> Self:
        """The next histogram of expectation maximisation.

        Parameters
        ----------
        responsibilities : (n, t) float ndarray
            Posterior probabilities of the t = b^d states, in C order, each row of sum 1, under this
            histogram as the prior.
        pseudo_count : float
            Added to the count of every state: none is ever held for impossible.
        smooth : float
            Standard deviation of a Gaussian that the result is blurred with [grid steps]; 0: none.
            Images cannot tell neighbouring states apart: left free, the histogram slowly becomes
            spikes.

        Returns
        -------
        HistogramState

        Notes
        -----
        pi_t = (sum_i p_it + a) / (n + a t), then blurred. For two humps seen through noise of 0.07
        (4000 particles, 32 states) the total variation from the truth is 0.037 with the blur, after
        10 updates or 300; without it 0.036 after 10 and 0.083 after 300.
        """
        shape = self.log_probabilities.shape
        interval: StateKind = "interval"
        kinds = (interval,) * self.dims
        table = updated_probabilities(responsibilities, shape, kinds, pseudo_count, smooth)
        return type(self)(np.log(table).reshape(shape))

    def _log_density_at(self, corners: NDArray[np.int64]) -> Float64:
        """Log density at grid points (n, c, d); (n, c)."""
        table = self.log_probabilities + self.dims * np.log(self.n_states)
        return np.asarray(table[tuple(np.moveaxis(corners, -1, 0))])

    def _interpolation(self, values: Float) -> tuple[NDArray[np.int64], Float64, Float64]:
        """The 2^d midpoints around each state, and their weights by coordinate.

        Returns
        -------
        corners : (n, 2^d, d) int64 ndarray
        weights, slopes : (n, 2^d, d) float64 ndarray
        """
        states = _checked_states(values)
        if states.shape[1] != self.dims:
            raise ShapeError(
                f"state prior: {states.shape[1]} state coordinates, the histogram has {self.dims}"
            )
        position = states * self.n_states - 0.5
        is_between = (position >= 0) & (position < self.n_states - 1)
        position = np.clip(position, 0, self.n_states - 1)
        below = np.minimum(position.astype(np.int64), max(self.n_states - 2, 0))
        fraction = position - below
        upper = np.array(list(np.ndindex((2,) * self.dims)), dtype=np.int64)  # (2^d, d)
        corners = np.minimum(below[:, None] + upper, self.n_states - 1)
        weights = np.where(upper, fraction[:, None], 1 - fraction[:, None])
        slopes = np.where(upper, 1.0, -1.0) * is_between[:, None] * self.n_states
        return corners, weights, slopes
