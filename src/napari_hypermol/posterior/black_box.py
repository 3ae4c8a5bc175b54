"""Posterior of a black-box molecule's coefficients, Eq. (29), states and contrasts integrated out.

Of the molecule nothing is used but `protocols.BlackBox`. For particle i and state t of a grid

    b_it = sum_k Re conj(S_itk) D_ik,    g_it = sum_k W_ik |S_itk|^2,

S its slice; the contrast is integrated exactly, the states are summed over the grid. By Fisher's
identity the gradient is the adjoint of p_it (E[a] D_i - E[a^2] W_i S_it), p_it the posterior of t.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.grids import FourierSamples
from napari_hypermol.errors import BlackBoxError
from napari_hypermol.imaging.forward import shell_sums
from napari_hypermol.loops import compiled
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.posterior.states import MAX_ENTRIES, contrast_moments
from napari_hypermol.protocols import BlackBox

__all__ = ["BlackBoxPosterior", "StatePosterior", "state_grid"]

Float64 = NDArray[np.float64]
Complex128 = NDArray[np.complex128]
_VALUES = 2**20  # of the slices held at once; 16 MB in double
# States less probable than this for a particle are left out of gradients: far below the float32
# rounding of the data.
_NEGLIGIBLE = 1e-9


class StatePosterior(NamedTuple):
    """Posterior of n particles over the t states of the grid.

    Attributes
    ----------
    probabilities : (n, t) float64 ndarray
    contrast_mean, contrast_square : (n, t) float64 ndarray
        E[a] and E[a^2] at every state.
    log_evidence : (n,) float64 ndarray
        Log likelihood with state and contrast integrated out, against the empty molecule.
    """

    probabilities: Float64
    contrast_mean: Float64
    contrast_square: Float64
    log_evidence: Float64


def state_grid(dims: int, n_states: int = 24) -> Float64:
    """Midpoints of a uniform grid on [0, 1]^dims.

    Parameters
    ----------
    dims : int
    n_states : int
        Along the axis of one dimension; along each of d, ``n_states // d``.

    Returns
    -------
    (t, dims) float64 ndarray
        One empty state where there are no dimensions.
    """
    per_axis = n_states // max(dims, 1)
    if per_axis < 1 or per_axis**dims > MAX_ENTRIES:
        raise BlackBoxError(
            f"black box: a grid of {per_axis} states along each of {dims} dimensions, expected "
            f"1 to {MAX_ENTRIES} states in all; change n_states or have fewer state coordinates"
        )
    axis = (np.arange(per_axis) + 0.5) / per_axis
    points = np.meshgrid(*[axis] * dims, indexing="ij")
    return np.stack(points, axis=-1).reshape(-1, dims) if dims else np.zeros((1, 0))


@compiled()
def _tables(linear: Any, square: Any, std: Any, p: Any, mean: Any, mean_square: Any) -> Any:
    """Fill (n, t) tables from overlaps, uniform prior on the states; log evidence (n,)."""
    n, n_states = linear.shape
    evidence = np.empty(n)
    for i in range(n):
        for t in range(n_states):
            p[i, t], mean[i, t], mean_square[i, t] = contrast_moments(
                linear[i, t], square[i, t], std
            )
        best = p[i].max()
        total = 0.0
        for t in range(n_states):
            p[i, t] = np.exp(p[i, t] - best)
            total += p[i, t]
        p[i] /= total
        evidence[i] = best + np.log(total / n_states)
    return evidence


@dataclass(frozen=True, eq=False)
class BlackBoxPosterior:
    """log P(theta | images) of a black-box molecule with known poses, and its gradient.

    Parameters
    ----------
    images : WhitenedImages
    molecule : BlackBox
    samples : FourierSamples
        Of `images`.
    states : (t, d) float64 ndarray
        Grid that stands for the uniform prior of the states.
    contrast_std : float
        Of the contrast's normal prior about 1; zero: contrast known to be 1.
    """

    images: WhitenedImages
    molecule: BlackBox
    samples: FourierSamples
    states: Float64
    contrast_std: float

    def log_density(self, theta: Float64) -> float:
        """Log prior and log likelihood (against the empty molecule)."""
        prior, _ = self.molecule.log_prior(theta)
        return float(prior) + float(self.state_posterior(theta).log_evidence.sum())

    def log_density_grad(self, theta: Float64) -> tuple[float, Float64]:
        """`log_density` and its gradient (p,)."""
        prior, gradient = self.molecule.log_prior(theta)
        posterior = self.state_posterior(theta)
        gradient = np.array(gradient, dtype=np.float64)
        first = posterior.probabilities * posterior.contrast_mean
        second = posterior.probabilities * posterior.contrast_square
        for t, rows in self._parts(posterior.probabilities > _NEGLIGIBLE):
            rotations, states = self._views(t, rows)
            slices = self._slices(theta, rotations, states)
            values = first[rows, t, None] * self._data(rows)
            values -= second[rows, t, None] * self.images.weights[rows] * slices
            gradient += self.molecule.slices_adjoint(theta, values, rotations, states, self.samples)
        return float(prior) + float(posterior.log_evidence.sum()), gradient

    def state_posterior(self, theta: Float64) -> StatePosterior:
        """Exact tables of every particle's state and contrast."""
        shape = (len(self.images.weights), len(self.states))
        linear, square = np.empty(shape), np.empty(shape)
        for t, rows in self._parts(np.ones(shape, dtype=np.bool_)):
            slices = self._slices(theta, *self._views(t, rows))
            linear[rows, t] = (slices.conj() * self._data(rows)).real.sum(axis=1)
            power = slices.real**2 + slices.imag**2
            square[rows, t] = (self.images.weights[rows] * power).sum(axis=1)
        p, mean, mean_square = np.empty(shape), np.empty(shape), np.empty(shape)
        evidence = _tables(linear, square, float(self.contrast_std), p, mean, mean_square)
        return StatePosterior(p, mean, mean_square, evidence)

    def explained_power(self, theta: Float64, posterior: StatePosterior, noise: Float64) -> Float64:
        """How much of each image's power the molecule explains, in expectation.

        Parameters
        ----------
        theta : (p,) float64 ndarray
        posterior : StatePosterior
            At `theta`.
        noise : (groups, shells) float64 ndarray
            The spectra the images were whitened with.

        Returns
        -------
        (n, shells) float64 ndarray
            As `posterior.likelihood.explained_power`.
        """
        images, shells = self.images, self.samples.shells
        out = np.zeros((len(images.weights), noise.shape[1]))
        first = posterior.probabilities * posterior.contrast_mean
        second = posterior.probabilities * posterior.contrast_square
        for t, rows in self._parts(posterior.probabilities > _NEGLIGIBLE):
            slices = self._slices(theta, *self._views(t, rows))
            weights = images.weights[rows].astype(np.float64)
            value = 2 * first[rows, t, None] * (slices.conj() * self._data(rows)).real
            value -= second[rows, t, None] * weights * (slices.real**2 + slices.imag**2)
            variance = noise[images.groups[rows]][:, shells]
            value *= variance
            # the model of a premultiplied image has H once more
            once = weights * variance / self.samples.weights
            value *= np.where(images.is_premultiplied[rows, None], once, 1.0)
            out[rows] += shell_sums(value, self.samples, noise.shape[1])
        return out

    def information(
        self, theta: Float64, rng: np.random.Generator, n_probes: int = 8, n_particles: int = 256
    ) -> Float64:
        """Estimate of the diagonal of the Fisher information of theta, at random states.

        Returns
        -------
        (p,) float64 ndarray
            sum_ik W_ik |dS_ik / dtheta_j|^2, as the mean square of adjoints of white noise
            (Hutchinson): good to 2 / sqrt(n_probes), which suffices for a scale.
        """
        n = len(self.images.weights)
        rows = np.arange(n) if n <= n_particles else rng.choice(n, n_particles, replace=False)
        rotations = self.images.rotations[rows].astype(np.float64)
        weights = np.sqrt(self.images.weights[rows])
        total = np.zeros(len(theta))
        for _ in range(n_probes):
            states = self.states[rng.integers(len(self.states), size=len(rows))]
            noise = rng.standard_normal((2, *weights.shape))
            values = weights * (noise[0] + 1j * noise[1])
            total += (
                self.molecule.slices_adjoint(theta, values, rotations, states, self.samples) ** 2
            )
        return np.asarray(total / n_probes * (n / len(rows)))

    def _parts(self, is_wanted: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """State after state, the particles that want it, no more at once than memory is good for.

        States outermost, so that a molecule can make its density once for each.
        """
        count = max(1, _VALUES // len(self.samples.kx))
        for t in range(len(self.states)):
            rows = np.flatnonzero(is_wanted[:, t])
            for start in range(0, len(rows), count):
                yield t, rows[start : start + count]

    def _views(self, t: int, rows: NDArray[np.int64]) -> tuple[Float64, Float64]:
        states = np.repeat(self.states[t : t + 1], len(rows), axis=0)
        return self.images.rotations[rows].astype(np.float64), states

    def _data(self, rows: NDArray[np.int64]) -> Complex128:
        data = self.images.data[rows]
        return np.asarray(data[:, 0] + 1j * data[:, 1], dtype=np.complex128)

    def _slices(self, theta: Float64, rotations: Float64, states: Float64) -> Complex128:
        slices = self.molecule.slices(theta, rotations, states, self.samples)
        return np.asarray(slices, dtype=np.complex128)
