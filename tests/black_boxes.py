"""A black box in a dozen lines, for tests of what works on any of them."""

import numpy as np


class Dot:
    """One Gaussian of fixed width whose centre and move are theta (6,); slices sample by sample."""

    def __init__(self, box_size=16, dims=1, width=1.5, mass=60.0):
        self.box_size, self.dims, self.n_coefficients = box_size, dims, 3 + 3 * dims
        self.width, self.mass = width, mass

    def _one(self, theta, rotation, state, samples):
        centre, moves = theta[:3], theta[3:].reshape(self.dims, 3)
        place = rotation @ (centre + (state - 0.5) @ moves)
        n = self.box_size
        square = (samples.kx**2 + samples.ky**2).astype(float) / n**2
        turns = (samples.kx * place[0] + samples.ky * place[1]) / n
        envelope = np.exp(-2 * np.pi**2 * self.width**2 * square)
        return self.mass / n * envelope * np.exp(-2j * np.pi * turns)

    def slices(self, theta, rotations, states, samples):
        pairs = zip(rotations, states, strict=True)
        return np.array([self._one(theta, r, s, samples) for r, s in pairs]).reshape(
            len(rotations), len(samples.kx)
        )

    def slices_adjoint(self, theta, values, rotations, states, samples):
        total = np.zeros(len(theta))
        k = np.stack([samples.kx, samples.ky], axis=1) / self.box_size
        for rotation, state, value in zip(rotations, states, values, strict=True):
            one = self._one(theta, rotation, state, samples)
            by_place = -2 * np.pi * (one.conj() * value).imag @ k
            by_centre = rotation[:2].T @ by_place
            total += np.concatenate([by_centre, np.outer(state - 0.5, by_centre).ravel()])
        return total

    def log_prior(self, theta):
        return -0.5 * float(theta @ theta) / 9, -theta / 9
