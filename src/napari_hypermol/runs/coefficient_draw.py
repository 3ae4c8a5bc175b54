"""Coefficients drawn given all else, by perturb and solve (`samplers.gaussian`)."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.posterior.likelihood import image_adjoint, normal_operator
from napari_hypermol.posterior.priors import posterior_covariance
from napari_hypermol.runs.coefficient_step import blockwise, precisions, stand_in
from napari_hypermol.runs.stage_problem import StageProblem
from napari_hypermol.runs.whitening import rows_of
from napari_hypermol.samplers.conjugate_gradient import SolveInfo
from napari_hypermol.samplers.gaussian import gaussian_draw
from napari_hypermol.samplers.state_draws import StateDraw

__all__ = ["coefficient_draw", "moments"]

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
_CHUNK = 2048  # particles that get noise data at once: as large as their images


def coefficient_draw(
    rng: np.random.Generator,
    problem: StageProblem,
    theta: Float32,
    drawn: StateDraw,
    priors: Sequence[Float64],
    max_iterations: int,
    tolerance: float,
    check: Callable[[], None] = lambda: None,
) -> tuple[Float32, SolveInfo]:
    """Coefficients given states, contrasts and poses: theta = (N + P)^-1 (A^H D + eta).

    Parameters
    ----------
    rng : Generator
    problem : StageProblem
    theta : (coefficients,) float32 ndarray
        Where the solve begins.
    drawn : StateDraw
    priors : sequence of (n_shells, q, q) float64 ndarray
        P of every coefficient set.
    max_iterations, tolerance
        Of the solve.
    check : callable
        Called before every application of N; may raise to stop.

    Returns
    -------
    theta : (coefficients,) float32 ndarray
    info : SolveInfo

    Notes
    -----
    eta ~ N(0, N + P) is noise sent through the adjoint, as N = A^H W A: real and imaginary part of
    every sample have precision W each, so that samples on x = 0, which come twice, count as the
    likelihood counts them. P's share is filtered noise of the whole cube.
    """
    problem, images = problem.here()
    molecule, samples = problem.molecule, problem.samples
    layout, placements = molecule.empty_grids, problem.placements
    first, second = moments(drawn)

    def adjoint(data: Float32, rows: slice) -> Float32:
        part = rows_of(images, rows)._replace(data=data)
        return image_adjoint(part, first[rows], layout, placements, samples)

    right = molecule.grids_adjoint(adjoint(images.data, slice(None)))
    prior = blockwise(molecule, list(priors))

    def operator(x: Float32) -> Float32:
        check()
        values = normal_operator(images, second, molecule.grids(x), placements, samples)
        return molecule.grids_adjoint(values) + prior(x)

    def perturbation(rng: np.random.Generator) -> Float32:
        noise = np.zeros_like(layout.values)
        for start in range(0, len(first), _CHUNK):
            rows = slice(start, min(start + _CHUNK, len(first)))
            data = rng.standard_normal(images.data[rows].shape, dtype=np.float32)
            data *= np.sqrt(images.weights[rows])[:, None]
            noise += adjoint(data, rows)
        return molecule.grids_adjoint(noise) + _prior_noise(rng, problem, priors)

    data = precisions(problem, second)
    covariances = [posterior_covariance(h, p) for h, p in zip(data, priors, strict=True)]
    radial = blockwise(molecule, covariances)
    cheap = stand_in(problem, second, prior, radial)
    value, info = gaussian_draw(
        rng, theta, operator, right, perturbation, radial if cheap is None else cheap.solved,
        max_iterations, tolerance, is_flexible=cheap is not None,
    )  # fmt: skip
    return np.asarray(value, dtype=np.float32), info


def _prior_noise(
    rng: np.random.Generator, problem: StageProblem, priors: Sequence[Float64]
) -> Float32:
    """A draw from N(0, P)."""
    bases = problem.molecule.bases
    pieces = [basis.filtered_noise(rng, p).ravel() for basis, p in zip(bases, priors, strict=True)]
    return np.concatenate(pieces)


def moments(drawn: StateDraw) -> tuple[Float32, Float32]:
    """A c and a^2 c c^T of a draw."""
    first = (drawn.contrasts[:, None] * drawn.c).astype(np.float32)
    return first, first[:, :, None] * first[:, None, :]
