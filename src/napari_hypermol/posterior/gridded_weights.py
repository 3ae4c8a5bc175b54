"""The normal operator of one coefficient set as a product on its Fourier grid.

Particle by particle the operator of Eq. (23) costs a slice and an adjoint for everyone, every time.
But on densities rho_q of one placed set it is a convolution,

    (N rho)_q (r) = sum_p sum_r' h_qp(r - r') rho_p(r'),
    h_qp(d) = sum_i E[a^2 c_q c_p] sum_k W_ik cos(2 pi k.R_i d / N),

so on the Fourier grid of the cube, padded to twice its edge, it is a multiplication by H_qp = the
weights of all samples, each spread over the eight grid points around it. That takes one pass over
the images; then an application costs some transforms, however many particles there are. Spreading
blurs H by a grid step: the product is within a few per cent of the operator, good enough to solve
with where the operator itself says what is left to solve (`samplers.conjugate_gradient.refine`).

E[a^2 c c^T] of all particles lie in few directions (products of Q cosines are 2 Q - 1 cosines), so
weights are spread for those, not for all Q (Q + 1) / 2 pairs.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from napari_hypermol.backend import array_module
from napari_hypermol.coordinates.grids import FourierSamples
from napari_hypermol.errors import ShapeError
from napari_hypermol.imaging.projector import Placements, summed
from napari_hypermol.imaging.weight_spreading import spread_weights
from napari_hypermol.posterior import gridded_weights_cuda
from napari_hypermol.posterior.likelihood import WhitenedImages, particle_order

__all__ = ["PaddedGrid", "gridded_weights", "pair_products", "paired", "principal_pairs"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


class PaddedGrid(NamedTuple):
    """Where the weights of a coefficient set are gathered.

    Attributes
    ----------
    edge : int
        Points along an edge, even: twice the set's own voxels.
    scale : float
        Grid steps per frequency index of the image.
    pairs : (p, r) float32 ndarray
        Directions, in the pairs q <= p of `paired`, in which second moments differ.
    """

    edge: int
    scale: float
    pairs: Float32

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(z, y, x, r) with x >= 0."""
        return (self.edge, self.edge, self.edge // 2 + 1, self.pairs.shape[1])


def paired(second: Any) -> Any:
    """The entries on and above the diagonal, row by row; (n, q, q) -> (n, q (q + 1) / 2)."""
    xp = array_module(second)
    rows, columns = (xp.asarray(index) for index in np.triu_indices(second.shape[-1]))
    return second[:, rows, columns]


def pair_products(
    images: WhitenedImages, second: Any, placed: Sequence[tuple[int, slice]]
) -> Float64:
    """Sum over particles and placements of the outer products of `paired` second moments.

    Parameters
    ----------
    images : WhitenedImages
        Not looked at.
    second : (n, q, q) float32 ndarray
        E[a^2 c c^T] of all columns.
    placed : sequence of (set, columns)
        Of every placement.

    Returns
    -------
    (total,) float64 ndarray
        One flat (pairs, pairs) matrix after the other, set by set.
    """
    xp = array_module(second)
    n_sets = 1 + max(owner for owner, _ in placed)
    out: list[Any] = []
    for s in range(n_sets):
        total: Any = 0.0
        for owner, columns in placed:
            if owner == s:
                pairs = paired(second[:, columns, columns])
                total = total + (pairs.T @ pairs).astype(np.float64)
        out.append(total.ravel())
    flat: Float64 = xp.concatenate(out)
    return flat


def principal_pairs(products: Float64, tolerance: float = 1e-3) -> Float32:
    """Orthonormal directions that second moments keep to.

    Parameters
    ----------
    products : (p, p) float64 ndarray
        Of one set, as `pair_products` sums them.
    tolerance : float
        Directions weaker than this, beside the strongest, are left out.

    Returns
    -------
    (p, r) float32 ndarray
    """
    with _blas().limit(limits=1, user_api="blas"):
        values, vectors = np.linalg.eigh(products)
    kept = values > tolerance**2 * values[-1]
    return np.ascontiguousarray(vectors[:, kept], dtype=np.float32)


@cache
def _blas() -> ThreadpoolController:
    """Threads of NumPy's linear algebra: of a hundred columns it hands pieces to all, and waits."""
    return ThreadpoolController()


def gridded_weights(
    images: WhitenedImages,
    second: Any,
    placements: Placements,
    samples: FourierSamples,
    grids: Sequence[PaddedGrid],
) -> Float32:
    """Weights of all samples on the padded grids, times second moments in their directions.

    Parameters
    ----------
    images : WhitenedImages
    second : (n, q, q) float32 array
        E[a^2 c c^T] of all columns.
    placements : Placements
    samples : FourierSamples
    grids : sequence of PaddedGrid
        One a coefficient set.

    Returns
    -------
    (total,) float32 array
        Flat grids of `PaddedGrid.shape`, one set after the other; where the images are.

    Raises
    ------
    ShapeError
        If samples reach beyond a grid.
    """
    xp = array_module(images.weights)
    _check_radius(samples, grids)
    out = [
        _of_set(images, second, placements, np.flatnonzero(placements.grids == s), samples, grid)
        for s, grid in enumerate(grids)
    ]
    values: Float32 = out[0] if len(out) == 1 else xp.concatenate(out)
    return values


def _check_radius(samples: FourierSamples, grids: Sequence[PaddedGrid]) -> None:
    """Refuse samples beyond the grids: the loops would write past their end."""
    radius = float(np.hypot(samples.kx, samples.ky).max())
    limit = min(grid.edge / 2 / float(grid.scale) for grid in grids)
    if radius > limit * (1 + 1e-6):  # rounding; there is room for a step more
        raise ShapeError(
            f"samples reach {radius:.4g} cycles per box edge, beyond the {limit:.4g} that the "
            "molecule's voxels hold; discretise it at least as finely as the samples"
        )


def _of_set(
    images: WhitenedImages, second: Any, placements: Placements, placed: Any,
    samples: FourierSamples, grid: PaddedGrid,
) -> Any:  # fmt: skip
    """One set's flat grid; its own function, so that copies of the grid are soon given back."""
    xp = array_module(images.weights)
    n_z, n_y, n_x, rank = grid.shape
    # one column more: the far point of the last step, whose weight is zero
    shape = (n_z, n_y, n_x + 1, rank)
    width, pairs, seen = _width(grid), xp.asarray(grid.pairs), []
    for m in placed:
        columns = slice(placements.starts[m], placements.starts[m] + width)
        moments = paired(second[:, columns, columns]) @ pairs
        seen.append((xp.ascontiguousarray(moments, dtype=np.float32), placements.rotations[m]))
    scale = np.float32(grid.scale)
    if xp is np:
        order = particle_order(images)
        targets = np.zeros((numba.get_num_threads(), *shape), dtype=np.float32)
        for moments, rotation in seen:
            spread_weights(
                images.weights, moments, images.rotations, rotation, scale, samples.kx, samples.ky,
                order, targets,
            )  # fmt: skip
        total = summed(targets)
    else:
        total = gridded_weights_cuda.spread(
            images.weights, images.rotations, samples.kx, samples.ky, seen, float(scale), shape
        )
    total = total[:, :, :n_x]
    for plane in (0, n_x - 1):  # these hold both k and -k
        total[:, :, plane] += xp.roll(total[::-1, ::-1, plane], 1, axis=(0, 1))
    return total.ravel()


def _width(grid: PaddedGrid) -> int:
    """Q of q (q + 1) / 2 pairs."""
    return int((np.sqrt(8 * len(grid.pairs) + 1) - 1) // 2)
