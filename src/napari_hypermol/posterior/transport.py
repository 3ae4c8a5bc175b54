"""Neighbouring states are near in the Wasserstein sense: mass moves rather than fades.

Eq. (24) compares states voxel by voxel: a domain that moved by its own size costs as much as one
that vanished here and appeared there. The Wasserstein distance grows with how far mass goes.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import ShapeError
from napari_hypermol.posterior.coefficient_priors import checked_strength
from napari_hypermol.posterior.density_priors import DensityAtStates, checked_scale
from napari_hypermol.posterior.sinkhorn import sinkhorn_divergences

__all__ = ["Transport", "neighbouring_states"]

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]

_KNEE = 0.1  # [typical density] below which a voxel weighs less than in proportion
_FLOOR = 1e-4  # [typical density] everywhere, so that an empty map has a mass too
_POWER_ITERATIONS = 6  # the largest curvature to some 20 %; _MARGIN covers that and the way to go
_MARGIN = 2.0
_STEP = 1e-3  # [typical density] of the difference quotient for the curvature


def neighbouring_states(states: Float64) -> NDArray[np.int64]:
    """Pairs of states that differ by one step of their grid in one coordinate.

    Parameters
    ----------
    states : (j, d) float ndarray
        The points of a product grid, in any order.

    Returns
    -------
    pairs : (p, 2) int64 ndarray
    """
    steps = np.stack(
        [np.unique(column, return_inverse=True)[1] for column in states.T], axis=1
    ).astype(np.int64)
    rank = {tuple(step): row for row, step in enumerate(steps.tolist())}
    pairs = []
    for row, axis in itertools.product(range(len(steps)), range(steps.shape[1])):
        beyond = steps[row].copy()
        beyond[axis] += 1
        if tuple(beyond.tolist()) in rank:
            pairs.append((row, rank[tuple(beyond.tolist())]))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


@dataclass(frozen=True, eq=False)
class Transport:
    """Penalty on the squared speed at which mass moves with the state.

    Parameters
    ----------
    densities : DensityAtStates
    states : (j, d) float ndarray
        The probe states: a product grid.
    scale : float
        A typical density inside the molecule.
    strength : float
        1: where all mass moves by the edge of the component's cube over the range of the state,
        the log density is that of a white normal prior at typical coefficients, -k / 2.
    grid : int
        Voxels along an edge of the coarse grid.
    blur : float
        Of the entropic distance [edges of the cube].

    Notes
    -----
    Log density -strength k / 2 mean S(a_i, a_j) / |tau_i - tau_j|^2 over neighbours i, j; S is the
    Sinkhorn divergence. The mass a is the density averaged over coarse voxels, rectified (0 below
    0, a parabola up to a tenth of `scale`, linear above) and normalised: a state may not gain by
    losing mass. The log density is not concave and has no parabola below it everywhere:
    `curvature` is twice the largest one found at the point, in the metric of the coarse densities,
    and stands for the neighbourhood.
    """

    densities: DensityAtStates
    states: Float64
    scale: float
    strength: float = 1.0
    grid: int = 12
    blur: float = 0.1
    tolerance: float = 1e-6

    is_quadratic = False

    def __post_init__(self) -> None:
        checked_strength("transport", self.strength)
        checked_scale("transport", self.scale)
        if np.ndim(self.states) != 2 or len(self.states) != self.densities.n_states:
            raise ShapeError(
                f"transport prior: states of shape {np.shape(self.states)}, "
                f"expected ({self.densities.n_states}, d)"
            )
        if len(self._pairs) == 0:
            raise ShapeError("transport prior: no two of the probe states are neighbours")

    @cached_property
    def _pairs(self) -> NDArray[np.int64]:
        return neighbouring_states(self.states)

    @cached_property
    def _pair_weights(self) -> Float64:
        """1 / |tau_i - tau_j|^2, mean over pairs; (p,)."""
        apart = self.states[self._pairs[:, 0]] - self.states[self._pairs[:, 1]]
        return np.asarray(1 / (apart**2).sum(axis=1) / len(self._pairs))

    def log_density(self, coefficients: Float) -> float:
        """Up to a constant."""
        coarse = self._pooled(self.densities.evaluate(coefficients))
        return self._on_coarse(coarse, coefficients.shape[1])[0]

    def gradient(self, coefficients: Float) -> Float:
        """(q, k), by the dual potentials and the chain rule."""
        cubes = self.densities.evaluate(coefficients)
        slope = self._on_coarse(self._pooled(cubes), coefficients.shape[1])[1]
        back = self.densities.evaluate_adjoint(self._pooled_adjoint(slope, cubes.shape[-1]))
        return np.asarray(back, dtype=coefficients.dtype)

    def curvature(self, coefficients: Float) -> Callable[[Float], Float]:
        """Of a parabola below the log density around `coefficients`."""
        coarse = self._pooled(self.densities.evaluate(coefficients))
        level = self._largest_curvature(coarse, coefficients.shape[1])

        def apply(x: Float) -> Float:
            cubes = self.densities.evaluate(x)
            back = self._pooled_adjoint(level * self._pooled(cubes), cubes.shape[-1])
            return np.asarray(self.densities.evaluate_adjoint(back), dtype=x.dtype)

        return apply

    # ---- on the coarse grid ------------------------------------------------------------------

    def _pooled(self, cubes: Float) -> Float64:
        """Mean density of coarse voxels; (j, n, n, n) -> (j, grid, grid, grid)."""
        m = _pooling(cubes.shape[-1], self.grid)
        pooled = np.einsum("az,by,cx,jzyx->jabc", m, m, m, cubes, optimize=True)
        return np.asarray(pooled, dtype=np.float64)

    def _pooled_adjoint(self, coarse: Float64, n: int) -> Float64:
        m = _pooling(n, self.grid)
        return np.asarray(np.einsum("az,by,cx,jabc->jzyx", m, m, m, coarse, optimize=True))

    def _on_coarse(self, coarse: Float64, n_coefficients: int) -> tuple[float, Float64]:
        """Log density and its gradient as a function of coarse densities."""
        u = coarse / self.scale
        rectified = _FLOOR + np.where(u < _KNEE, np.maximum(u, 0) ** 2 / (2 * _KNEE), u - _KNEE / 2)
        rectified_slope = np.clip(u / _KNEE, 0, 1)
        total = rectified.sum(axis=(1, 2, 3), keepdims=True)
        masses = rectified / total
        found = sinkhorn_divergences(masses, self._pairs, self.blur, self.tolerance)
        weights = -0.5 * self.strength * n_coefficients * self._pair_weights
        by_mass = np.zeros_like(masses)
        np.add.at(by_mass, self._pairs[:, 0], weights[:, None, None, None] * found.first)
        np.add.at(by_mass, self._pairs[:, 1], weights[:, None, None, None] * found.second)
        mean = (by_mass * masses).sum(axis=(1, 2, 3), keepdims=True)
        by_density = (by_mass - mean) / total * rectified_slope / self.scale
        return float(weights @ found.values), by_density

    def _largest_curvature(self, coarse: Float64, n_coefficients: int) -> float:
        """Largest eigenvalue of the Hessian by power iteration on difference quotients.

        Among directions that the state functions can make: they cannot go up and down from one
        probe state to the next, where the log density is most curved.
        """
        span = np.linalg.qr(np.asarray(self.densities.functions, dtype=np.float64))[0]
        step = _STEP * self.scale * np.sqrt(coarse.size)
        direction = np.random.default_rng(0).normal(size=coarse.shape)  # any; always the same
        level = 0.0
        for _ in range(_POWER_ITERATIONS):
            direction = np.tensordot(span @ span.T, direction, axes=1)
            direction *= step / np.linalg.norm(direction)
            beyond = self._on_coarse(coarse + direction, n_coefficients)[1]
            before = self._on_coarse(coarse - direction, n_coefficients)[1]
            direction = np.tensordot(span @ span.T, 0.5 * (before - beyond), axes=1)
            level = float(np.linalg.norm(direction)) / step
            if level == 0:
                break
        return _MARGIN * level


def _pooling(n: int, grid: int) -> Float64:
    """Share of every fine voxel in every coarse one, along one axis; (min(grid, n), n)."""
    edges = np.linspace(0, n, min(grid, n) + 1)
    fine = np.arange(n)
    overlap = np.minimum(edges[1:, None], fine + 1) - np.maximum(edges[:-1, None], fine)
    return np.asarray(np.maximum(overlap, 0) / np.diff(edges)[:, None])
