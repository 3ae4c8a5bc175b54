"""Entropic Wasserstein-2 distances between masses on a cubic grid: the Sinkhorn divergence.

S(a, b) = OT(a, b) - OT(a, a) / 2 - OT(b, b) / 2, where OT(a, b) is the smallest
sum_xy P |x - y|^2 + blur^2 KL(P | a b) over plans P that move a to b. It is 0 for a = b, and
near the squared Wasserstein-2 distance for masses displaced by more or less than the blur.
Distances are in edges of the cube. The Gaussian kernel is separable, so a sum over all pairs of
points is three small matrix products (convolutional Sinkhorn).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import RecipeError, ShapeError

__all__ = ["MIN_BLUR", "Divergences", "sinkhorn_divergences"]

Float64 = NDArray[np.float64]

# exp(-max |x-y|^2 / blur^2) = exp(-600) is still far from float64's smallest number, exp(-708).
MIN_BLUR = float(np.sqrt(3 / 600))


class Divergences(NamedTuple):
    """Divergences of pairs of masses, and how they change with them.

    Attributes
    ----------
    values : (p,) float64 ndarray
        [squared edges of the cube].
    first, second : (p, n, n, n) float64 ndarray
        Derivative by the first and by the second mass of each pair, up to a constant.
    """

    values: Float64
    first: Float64
    second: Float64


def sinkhorn_divergences(
    masses: Float64,
    pairs: NDArray[np.integer],
    blur: float = 0.1,
    tolerance: float = 1e-6,
    max_iterations: int = 500,
) -> Divergences:
    """Sinkhorn divergences of chosen pairs of masses.

    Parameters
    ----------
    masses : (j, n, n, n) float64 ndarray
        Not negative, each of sum 1; zeros are allowed.
    pairs : (p, 2) int ndarray
        Which to compare.
    blur : float
        [edges of the cube]; details of the motion finer than it are not resolved.
    tolerance : float
        On the change of a potential in one iteration, in units of blur^2.
    max_iterations : int

    Returns
    -------
    Divergences

    Notes
    -----
    The derivatives are the dual potentials (envelope theorem): f_ab - f_aa and g_ab - g_bb. Also
    where a mass is zero they are defined, by the soft minimum.
    """
    if masses.ndim != 4 or len(set(masses.shape[1:])) != 1:
        raise ShapeError(f"transport: masses of shape {masses.shape}, expected (j, n, n, n)")
    if not MIN_BLUR <= blur < np.inf:
        raise RecipeError(f"transport: a blur of {blur} edges; {MIN_BLUR:.3f} is the least")
    kernel = _kernel(masses.shape[1], blur)
    epsilon = blur**2
    with np.errstate(divide="ignore"):  # the logarithm of no mass, -inf, is what is meant
        logs = np.log(masses)
    own = _own_potentials(logs, kernel, epsilon, tolerance, max_iterations)
    one, two = pairs[:, 0], pairs[:, 1]
    g = own[two]
    for _ in range(max_iterations):
        f = _soft_minimum(logs[two] + g / epsilon, kernel, epsilon)
        previous, g = g, _soft_minimum(logs[one] + f / epsilon, kernel, epsilon)
        if abs(g - previous).max(initial=0.0) <= tolerance * epsilon:
            break
    first, second = f - own[one], g - own[two]
    values = (masses[one] * first + masses[two] * second).sum(axis=(1, 2, 3))
    return Divergences(values, first, second)


def _own_potentials(
    logs: Float64, kernel: Float64, epsilon: float, tolerance: float, max_iterations: int
) -> Float64:
    """The potential of a mass against itself; (j, n, n, n). Averaged steps do not oscillate."""
    f = np.zeros_like(logs)
    for _ in range(max_iterations):
        new = _soft_minimum(logs + f / epsilon, kernel, epsilon)
        change = abs(new - f).max(initial=0.0)
        f = 0.5 * (f + new)
        if change <= tolerance * epsilon:
            break
    return f


def _kernel(n: int, blur: float) -> Float64:
    """exp(-(x - y)^2 / blur^2) along one axis of the cube; (n, n)."""
    axis = (np.arange(n) + 0.5) / n
    return np.asarray(np.exp(-(((axis[:, None] - axis) / blur) ** 2)))


def _soft_minimum(h: Float64, kernel: Float64, epsilon: float) -> Float64:
    """-epsilon log sum_y exp(h_y - |x - y|^2 / epsilon); (p, n, n, n).

    With its largest term, h*, taken out, every sum is at least exp(-3 / epsilon), the kernel over
    the cube's diagonal: nothing that matters can underflow while the blur is above `MIN_BLUR`.
    """
    top = h.max(axis=(1, 2, 3), keepdims=True)
    terms = np.exp(h - top)
    p, n = terms.shape[:2]
    along_yx = kernel @ (terms @ kernel)
    sums = (kernel @ along_yx.reshape(p, n, n * n)).reshape(terms.shape)
    return np.asarray(-epsilon * (np.log(sums) + top))
