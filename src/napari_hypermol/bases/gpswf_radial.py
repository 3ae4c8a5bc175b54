"""Radial parts Phi_{N,n} of the generalized prolate spheroidal functions on the unit ball [1]_.

Psi(x) = Phi_{N,n}(|x|) Y_{Nm}(x / |x|) is band-limited as well as the ball allows: its Fourier
transform at c x is, inside the ball, Psi itself times an eigenvalue, and mu_{N,n} is the share of
its energy at frequencies below c. Not here: coefficients, voxels, or the angular part.

References
----------
.. [1] Lederman (2017), arXiv:1710.02874.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigvalsh_tridiagonal
from scipy.special import gammaln, spherical_jn

from napari_hypermol.bases.table_cache import cached_tables
from napari_hypermol.errors import ShapeError

__all__ = ["RadialOrder", "radial_order", "radial_orders", "shannon_number", "transforms"]

Float64 = NDArray[np.float64]

# Zernike terms beyond c / 2 + n, where the coefficients of Phi_{N,n} fall faster than
# exponentially: the last one is below 1e-30 up to c = 500.
_SPARE_TERMS = 50
_SPARE_FUNCTIONS = 8  # more than c / pi of one N: the width of the fall of mu from 1 to 1e-10


@dataclass(frozen=True)
class RadialOrder:
    """The radial functions of one angular order N.

    Parameters
    ----------
    bandwidth : float
        c.
    order : int
        N.
    chi : (n,) float64 ndarray
        Eigenvalues of the differential operator, falling; they order the functions.
    gamma : (n,) float64 ndarray
        Eigenvalues of the weighted Hankel transform, of sign (-1)^n.
    terms : (n, t) float64 ndarray
        Coefficients of x Phi_{N,n} in the Zernike functions T_{N,t}; rows of unit norm.
    """

    bandwidth: float
    order: int
    chi: Float64
    gamma: Float64
    terms: Float64

    @property
    def n_functions(self) -> int:
        """Radial functions kept."""
        return len(self.chi)

    @cached_property
    def mu(self) -> Float64:
        """Share of the energy inside the band, c gamma^2; (n,)."""
        return np.asarray(self.bandwidth * self.gamma**2)

    def evaluate(self, radii: ArrayLike) -> Float64:
        """Phi_{N,n}(x) for x in [0, 1]; (r,) -> (r, n)."""
        return np.asarray(zernike(self.order, self.terms.shape[1], radii) @ self.terms.T)

    def transform_inside(self, frequencies: ArrayLike) -> Float64:
        """Spherical Bessel transform at frequencies c x, x in [0, 1]; (r,) -> (r, n).

        Notes
        -----
        Integral of j_N(c x y) Phi(y) y^2 dy over [0, 1] = sqrt(pi / 2) gamma Phi(x) / c.
        """
        scale = np.sqrt(np.pi / 2) * self.gamma / self.bandwidth
        return np.asarray(self.evaluate(frequencies) * scale)

    def transform(self, frequencies: ArrayLike) -> Float64:
        """Spherical Bessel transform at any frequency c x, x >= 0; (r,) -> (r, n).

        Notes
        -----
        The transform of T_{N,t} is (-1)^t h_t j_{2t+N+1}(c x) / (c x), which needs no eigenvalue;
        inside the band it is `transform_inside` to rounding of the largest value.
        """
        highest = 2 * self.terms.shape[1] + self.order
        bessel = _bessel_over_argument(self.bandwidth * np.asarray(frequencies), highest)
        return self._from_bessel(bessel)

    def _from_bessel(self, bessel: Float64) -> Float64:
        """`transform`, from j_v(c x) / (c x), v = 0, 1, 2, ...; (r, v) -> (r, n)."""
        index = np.arange(self.terms.shape[1])
        factors = self.terms * _norms(self.order, index) * (-1.0) ** index
        return np.asarray(bessel[:, 2 * index + self.order + 1] @ factors.T)


def transforms(orders: tuple[RadialOrder, ...], frequencies: ArrayLike) -> list[Float64]:
    """Spherical Bessel transforms of all orders at c x; a list of (r, n).

    Inside the band from the eigenvalues, beyond it from the Bessel functions, computed once.
    """
    x = np.asarray(frequencies, dtype=np.float64)
    is_inside = x <= 1
    highest = max(2 * order.terms.shape[1] + order.order for order in orders)
    bessel = _bessel_over_argument(orders[0].bandwidth * x[~is_inside], highest)
    found = []
    for order in orders:
        values = np.empty((len(x), order.n_functions))
        values[is_inside] = order.transform_inside(x[is_inside])
        values[~is_inside] = order._from_bessel(bessel)
        found.append(values)
    return found


def _bessel_over_argument(z: Float64, highest: int) -> Float64:
    """j_v(z) / z for v = 0 to `highest`; (r,) -> (r, v). For v = 0, meaningless at z = 0."""
    safe = np.maximum(z, 1e-100)  # j_1(z) / z has the limit 1/3 at 0, all higher ones 0
    return np.asarray(spherical_jn(np.arange(highest + 1), safe[:, None]) / safe[:, None])


def shannon_number(bandwidth: float) -> float:
    """Functions a ball can hold, counting each by its mu: sum (2N + 1) mu = 2 c^3 / (9 pi)."""
    return float(2 * bandwidth**3 / (9 * np.pi))


def zernike(order: int, count: int, radii: ArrayLike) -> Float64:
    """T_{N,t}(x) / x, t < `count`, orthonormal for x^2 dx on [0, 1]; (r,) -> (r, count).

    Notes
    -----
    h_t (-1)^t x^N P_t^{(N + 1/2, 0)}(1 - 2 x^2), by the recurrence in t, which grows or
    oscillates but never falls: it is stable.
    """
    x = np.asarray(radii, dtype=np.float64)
    alpha, argument = order + 0.5, 1 - 2 * x**2
    values = np.empty((count, len(x)))
    last, now = np.zeros_like(x), x**order
    for t in range(count):
        values[t] = now
        twice = 2 * t + alpha
        scale = 2 * (t + 1) * (t + alpha + 1) * twice
        slope = (twice + 1) * ((twice + 2) * twice * argument + alpha**2) / scale
        drop = 2 * (t + alpha) * t * (twice + 2) / scale
        last, now = now, slope * now - drop * last
    index = np.arange(count)
    return np.asarray((values * (_norms(order, index) * (-1.0) ** index)[:, None]).T)


def radial_order(
    bandwidth: float, order: int, min_eigenvalue: float = 0.0, max_functions: int | None = None
) -> RadialOrder:
    """Radial functions of one angular order, until mu falls below `min_eigenvalue`.

    Parameters
    ----------
    bandwidth : float
        c > 0.
    order : int
        N >= 0.
    min_eigenvalue : float
        Functions with mu below it are left out.
    max_functions : int, optional
        At most so many; needed if `min_eigenvalue` is zero.

    Returns
    -------
    RadialOrder
        Possibly of no function.

    Notes
    -----
    The operator is tridiagonal in the Zernike functions. Its eigenvectors are computed with every
    component, however small, to full relative accuracy, so that gamma_0 follows from their
    behaviour at 0 and the other gamma from ratios, without loss where mu is tiny.
    """
    if max_functions:
        return _above(_leading(bandwidth, order, max_functions), min_eigenvalue)
    return _order_above(bandwidth, order, min_eigenvalue, int(bandwidth / np.pi) + _SPARE_FUNCTIONS)


def _order_above(bandwidth: float, order: int, min_eigenvalue: float, guess: int) -> RadialOrder:
    """As many functions as there are; `guess` is how many to try first."""
    while True:
        kept = _above(_leading(bandwidth, order, guess), min_eigenvalue)
        if kept.n_functions < guess:
            return kept
        guess *= 2


def _above(found: RadialOrder, min_eigenvalue: float) -> RadialOrder:
    """Only the functions with mu of at least `min_eigenvalue`; mu falls with n."""
    n = int(np.count_nonzero(found.mu >= min_eigenvalue))
    terms = _without_tail(found.terms[:n])
    return RadialOrder(found.bandwidth, found.order, found.chi[:n], found.gamma[:n], terms)


def _without_tail(terms: Float64) -> Float64:
    """Terms up to the last that shows in a value; gamma needed more. (n, t) -> (n, fewer)."""
    matters = np.flatnonzero((abs(terms) > 1e-20).any(axis=0))
    return terms[:, : matters[-1] + 1] if len(matters) else terms[:, :0]


def radial_orders(bandwidth: float, min_eigenvalue: float) -> tuple[RadialOrder, ...]:
    """All radial functions with mu at least `min_eigenvalue`, by N; kept on disk.

    Parameters
    ----------
    bandwidth : float
        c > 0.
    min_eigenvalue : float
        In (0, 1).

    Returns
    -------
    tuple of RadialOrder
        N = 0, 1, 2, ... until an order has none.
    """
    if not 0 < min_eigenvalue < 1:
        raise ShapeError(f"prolate functions: eigenvalue {min_eigenvalue} is not between 0 and 1")
    if not 0 < bandwidth < np.inf:
        raise ShapeError(f"prolate functions: bandwidth {bandwidth}; it must be above 0")

    def compute() -> dict[str, Float64]:
        orders = [radial_order(bandwidth, 0, min_eigenvalue)]
        while orders[-1].n_functions:  # mu falls with N too, so never more than the last had
            guess = orders[-1].n_functions + 1
            orders.append(_order_above(bandwidth, len(orders), min_eigenvalue, guess))
        return _as_tables(orders[:-1])

    name = f"gpswf-1-{float(bandwidth).hex()}-{float(min_eigenvalue).hex()}"
    return _from_tables(bandwidth, cached_tables(name, compute))


def _as_tables(orders: list[RadialOrder]) -> dict[str, Float64]:
    """One array of each kind for all orders; rows of `terms` are filled with zeros."""
    counts = np.array([order.n_functions for order in orders], dtype=np.float64)
    n_terms = max((order.terms.shape[1] for order in orders), default=0)
    terms = [np.pad(o.terms, ((0, 0), (0, n_terms - o.terms.shape[1]))) for o in orders]
    return {
        "counts": counts,
        "chi": np.concatenate([np.zeros(0), *(order.chi for order in orders)]),
        "gamma": np.concatenate([np.zeros(0), *(order.gamma for order in orders)]),
        "terms": np.concatenate([np.zeros((0, n_terms)), *terms]),
    }


def _from_tables(bandwidth: float, tables: dict[str, Float64]) -> tuple[RadialOrder, ...]:
    ends = np.cumsum(tables["counts"]).astype(np.int64)[:-1]
    parts = [np.split(tables[name], ends) for name in ("chi", "gamma", "terms")]
    return tuple(
        RadialOrder(bandwidth, order, chi, gamma, _without_tail(terms))
        for order, (chi, gamma, terms) in enumerate(zip(*parts, strict=True))
        if len(chi)
    )


# ---- the tridiagonal problem -------------------------------------------------------------------


def _norms(order: int, index: NDArray[np.int64]) -> Float64:
    """h_t = T_{N,t}(1), the norms of the Zernike functions."""
    return np.asarray(np.sqrt(2 * (2 * index + order + 1.5)))


def _operator(bandwidth: float, order: int, count: int) -> tuple[Float64, Float64]:
    """Diagonal (t,) and off-diagonal (t - 1,) of the differential operator."""
    m, c2 = order + 0.5, bandwidth**2
    t = np.arange(count, dtype=np.float64)
    kappa = (m + 2 * t + 0.5) * (m + 2 * t + 1.5)
    average = (2 * t * (t + 1) + m * (2 * t + m + 1)) / ((2 * t + m) * (2 * t + m + 2))
    t = t[1:]
    step = t * (t + m) / ((2 * t + m) * (2 * t + m + 1) * np.sqrt(1 - 2 / (2 * t + m + 1)))
    return -(kappa + c2 * average), -c2 * step


def _leading(bandwidth: float, order: int, count: int) -> RadialOrder:
    """The first `count` radial functions of one order."""
    n_terms = int(bandwidth / 2) + count + _SPARE_TERMS
    diagonal, step = _operator(bandwidth, order, n_terms)
    highest = (n_terms - count, n_terms - 1)
    found = eigvalsh_tridiagonal(diagonal, step, select="i", select_range=highest)
    chi = np.asarray(found[::-1], dtype=np.float64)
    for _ in range(2):  # once is enough; the second time for the last bits of chi
        vectors, correction = _twisted_eigenvectors(diagonal, step, chi)
        chi = chi + correction
    # gamma_n has the sign of d_0 / Phi(0+): positive near zero means d_0 of sign (-1)^n.
    terms = np.ascontiguousarray((vectors * (-1.0) ** np.arange(count)).T)
    gamma = _first_gamma(bandwidth, order, terms[0]) * _gamma_ratios(order, terms)
    return RadialOrder(bandwidth, order, chi, gamma, terms)


def _twisted_eigenvectors(
    diagonal: Float64, step: Float64, chi: Float64
) -> tuple[Float64, Float64]:
    """Unit eigenvectors (t, n), each component to relative accuracy, and what chi lacks.

    The first component is positive, also where it is too small for a float.
    Factors T - chi from both ends and joins where they fit best ("twisted factorisation"): each
    half of the vector is then a product of ratios, computed in the direction in which it grows.
    """
    n_terms, n = len(diagonal), len(chi)
    shifted = diagonal[:, None] - chi
    tiny = 1e-300  # an exact zero pivot stands for one beyond the last bit
    down, up = np.empty((n_terms, n)), np.empty((n_terms, n))
    down[0], up[-1] = shifted[0], shifted[-1]
    for t in range(1, n_terms):
        down[t - 1] = np.where(down[t - 1] == 0, tiny, down[t - 1])
        down[t] = shifted[t] - step[t - 1] ** 2 / down[t - 1]
    for t in range(n_terms - 1, 0, -1):
        up[t] = np.where(up[t] == 0, tiny, up[t])
        up[t - 1] = shifted[t - 1] - step[t - 1] ** 2 / up[t]
    residual = down + up - shifted
    twist = np.argmin(abs(residual), axis=0)
    vectors = np.zeros((n_terms, n))
    vectors[twist, np.arange(n)] = 1.0
    for t in range(1, n_terms):
        vectors[t] = np.where(t > twist, -step[t - 1] / up[t] * vectors[t - 1], vectors[t])
    for t in range(n_terms - 2, -1, -1):
        vectors[t] = np.where(t < twist, -step[t] / down[t] * vectors[t + 1], vectors[t])
    squares = (vectors**2).sum(axis=0)
    # Off-diagonals are negative: a component changes sign against its neighbour where `down` < 0.
    changes = ((down < 0) & (np.arange(n_terms)[:, None] < twist)).sum(axis=0)
    return vectors * (-1.0) ** changes / np.sqrt(squares), residual[twist, np.arange(n)] / squares


def _first_gamma(bandwidth: float, order: int, terms: Float64) -> float:
    """gamma_0, from the integral equation divided by x^(N + 1) at x = 0.

    gamma sum_t |d_t| h_t binom(t + M, t) = c^(M + 1/2) d_0 / (2^M Gamma(M + 1) h_0), M = N + 1/2;
    the signs of d_t alternate for n = 0, so nothing cancels. In logarithms: the terms overflow.
    """
    m, t = order + 0.5, np.arange(len(terms))
    log_binomial = np.concatenate([[0.0], np.cumsum(np.log((t[1:] + m) / t[1:]))])
    with np.errstate(divide="ignore"):  # terms that have underflowed
        logs = np.log(abs(terms)) + np.log(_norms(order, t)) + log_binomial
    log_left = logs.max() + np.log(np.exp(logs - logs.max()).sum())
    log_right = (m + 0.5) * np.log(bandwidth) - m * np.log(2.0) - gammaln(m + 1)
    log_right += np.log(abs(terms[0])) - np.log(_norms(order, t[:1])[0])
    return float(np.exp(log_right - log_left))


def _gamma_ratios(order: int, terms: Float64) -> Float64:
    """gamma_n / gamma_0; (n, t) -> (n,).

    gamma_{n+1} / gamma_n = <phi_{n+1}, x phi_n'> / <phi_n, x phi_{n+1}'>, and <T_s, x T_t'> is
    h_s h_t for s < t, 2t + N + 1 for s = t and 0 for s > t; N + 1 drops out by orthogonality.
    """
    index = np.arange(terms.shape[1])
    scaled = terms * _norms(order, index)
    beyond = np.zeros_like(scaled)  # sum over t > s
    beyond[:, :-1] = np.cumsum(scaled[:, :0:-1], axis=1)[:, ::-1]
    slopes = _norms(order, index) * beyond + 2 * index * terms  # <T_s, x phi_n'>, up to N + 1
    upper = (terms[1:] * slopes[:-1]).sum(axis=1)
    lower = (terms[:-1] * slopes[1:]).sum(axis=1)
    return np.concatenate([[1.0], np.cumprod(upper / lower)])
