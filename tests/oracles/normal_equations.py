"""The coefficients' normal equations as a dense matrix, from point sums instead of grids."""

import numpy as np

from oracles.dft import slice_of_points


def dense_equations(points, masses, rotations, frequencies, box_size, weights, data, first, second):
    """Normal matrix (q k, q k) and right-hand side (q k,) of one component's coefficients.

    `masses` (k,) is what a unit coefficient puts at each of `points` (k, 3); `weights` (n, K) and
    `data` (n, K) complex are W and D; `first` (n, q), `second` (n, q, q) the particles' moments.
    """
    n_q, n_k = first.shape[1], len(points)
    matrix, right = np.zeros((n_q, n_k, n_q, n_k)), np.zeros((n_q, n_k))
    for i, rotation in enumerate(rotations):
        slices = slice_of_points(points, np.diag(masses), rotation, frequencies, box_size)
        gram = ((slices.conj().T * weights[i]) @ slices).real
        matrix += np.einsum("pq,kl->pkql", second[i], gram)
        right += np.outer(first[i], (slices.conj().T @ data[i]).real)
    return matrix.reshape(n_q * n_k, n_q * n_k), right.ravel()
