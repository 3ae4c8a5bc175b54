"""What follows from a state basis' values alone: Gram matrix, roughness, embedding in a finer one.

Integrals over the uniform density of [0, 1]^d by the basis' own quadrature, exact for products.
"""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import ShapeError
from napari_hypermol.protocols import StateBasis

__all__ = ["checked_states", "embedding", "gauss_legendre", "gram", "roughness"]

Float64 = NDArray[np.float64]


def checked_states(states: NDArray[np.floating], dims: int) -> Float64:
    """States as float64, (n, dims).

    Raises
    ------
    ShapeError
        If they have another shape.
    """
    values = np.asarray(states, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != dims:
        raise ShapeError(f"states of shape {values.shape}, expected (n, {dims})")
    return values


def gauss_legendre(n_nodes: int, n_pieces: int = 1) -> tuple[Float64, Float64]:
    """Nodes (t, 1) and weights (t,) on [0, 1], exact to degree 2 n - 1 on each of equal pieces."""
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    starts = np.arange(n_pieces)[:, None] / n_pieces
    places = starts + 0.5 * (nodes + 1) / n_pieces
    return places.reshape(-1, 1), np.tile(0.5 * weights / n_pieces, n_pieces)


def gram(basis: StateBasis) -> Float64:
    """E[P P^T] for uniform states; (q, q)."""
    states, weights = basis.quadrature()
    values = basis.evaluate(states)
    return np.asarray((values * weights[:, None]).T @ values)


def roughness(basis: StateBasis) -> Float64:
    """E[sum_d dP/dtau_d dP/dtau_d^T] for uniform states, the quadratic form of Eq. (24); (q, q)."""
    states, weights = basis.quadrature()
    slopes = basis.derivative(states)
    return np.asarray(np.einsum("t,tqd,tpd->qp", weights, slopes, slopes, optimize=True))


def embedding(coarse: StateBasis, fine: StateBasis) -> Float64:
    """Coefficients in `fine` of every function of `coarse`; (q_fine, q_coarse).

    Exact where `coarse` is a part of `fine`, as `capped` makes it; least squares otherwise. A basis
    without a state is the constant of any other.
    """
    if coarse.dims != fine.dims:
        if coarse.dims:
            raise ShapeError(f"{coarse.dims} state coordinates do not fit into {fine.dims}")
        return np.eye(fine.n_functions, 1)
    states, weights = fine.quadrature()
    values = fine.evaluate(states) * np.sqrt(weights)[:, None]
    wanted = coarse.evaluate(states) * np.sqrt(weights)[:, None]
    found = np.linalg.lstsq(values, wanted, rcond=None)[0]
    found[np.abs(found) < 1e-12] = 0.0  # rounding, so that nested functions stay exactly apart
    return np.asarray(found)
