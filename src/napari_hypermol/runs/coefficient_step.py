"""Coefficients and noise given what the particles say of themselves: the M step of Eq. (23).

A regularised least-squares solve given the moments of states and contrasts, then signal spectra
that fit it. The normal operator itself, a slice and an adjoint of every particle, is applied as few
times as can be; a stand-in on the Fourier grid (`gridded_normal`) solves for what it says is left.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import DEVICE_OUT_OF_MEMORY, array_module, as_device, as_numpy
from napari_hypermol.coordinates.grids import FourierSamples
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.posterior.priors import (
    posterior_covariance,
    precision_of,
    signal_precision,
    updated_spectrum,
    weighted_moments,
)
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.protocols import CoefficientPrior
from napari_hypermol.runs.device_images import DeviceImages
from napari_hypermol.runs.gridded_normal import gridded_normal
from napari_hypermol.runs.image_work import spread, total
from napari_hypermol.runs.noise_step import residual_and_noise, updated_noise
from napari_hypermol.runs.remote_images import RemoteImages
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.whitening import mean_weights
from napari_hypermol.samplers.conjugate_gradient import SolveInfo, refine, solve

__all__ = ["StandIn", "blockwise", "maximisation", "precisions", "stand_in"]

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
Operator = Callable[[Float32], Float32]
# Components that overlap near a hinge, where they hardly move against one another, are told apart
# slowly, and what is left unsolved grows from sweep to sweep: with trajectories a solve may take
# longer.
_PATIENCE, _ENOUGH = 5, 0.03
_MOST_INNER, _INNER_TOLERANCE = 30, 0.1  # of a solve with the stand-in: it is no nearer than that


def precisions(problem: StageProblem, second: Float32) -> list[Float64]:
    """Data precision of every coefficient set, shell by shell."""
    molecule = problem.molecule
    if isinstance(problem.images, RemoteImages):
        about = problem.samples, problem.mean_weights.shape[1], molecule.placement_columns
        flat = total(problem.images, _weighed, (second,), about)
        widths = [q for q, _ in molecule.set_shapes]
        parts = np.split(flat, np.cumsum([q * q for q in widths])[:-1], axis=1)
        products = [part.reshape(-1, q, q) for part, q in zip(parts, widths, strict=True)]
    else:
        products = _set_moments(problem.mean_weights, second, molecule.placement_columns)
    return [precision_of(p, basis) for p, basis in zip(products, molecule.bases, strict=True)]


def _set_moments(
    weights: Float64, second: Float32, placed: Sequence[tuple[int, slice]]
) -> list[Float64]:
    """Weighted second moments (shells, q, q) of every coefficient set."""
    n_sets = 1 + max(owner for owner, _ in placed)
    # placements of one set meet the same modes: their moments add up
    blocks: list[Any] = [
        sum(second[:, c, c] for owner, c in placed if owner == s) for s in range(n_sets)
    ]
    return [weighted_moments(weights, block) for block in blocks]


def _weighed(
    images: WhitenedImages,
    second: Float32,
    samples: FourierSamples,
    n_shells: int,
    placed: Sequence[tuple[int, slice]],
) -> Float64:
    """`_set_moments` of one chunk, side by side; (shells, all q^2)."""
    weights = mean_weights(images.weights, samples, n_shells)
    parts = _set_moments(weights, second, placed)
    flat = [part.reshape(n_shells, -1) for part in parts]
    return array_module(images.weights).concatenate(flat, axis=1)  # type: ignore[no-any-return]


def blockwise(molecule: LinearMolecule, gains: list[Float64]) -> Callable[[Float32], Float32]:
    """Radial filters, one per coefficient set, as one operator on theta, wherever that is."""
    compact = [_diagonal_if_possible(gain) for gain in gains]

    def apply(theta: Float32) -> Float32:
        parts = zip(molecule.bases, molecule.split(theta), compact, strict=True)
        pieces = [basis.filter(part, gain).ravel() for basis, part, gain in parts]
        return array_module(theta).concatenate(pieces)  # type: ignore[no-any-return]

    return apply


def _diagonal_if_possible(gain: Float64) -> Float32:
    """(n_shells, q, q), or (n_shells, q) where nothing mixes the functions."""
    diagonal = np.einsum("sqq->sq", gain)
    is_diagonal = np.count_nonzero(gain) == np.count_nonzero(diagonal)
    return np.ascontiguousarray(diagonal if is_diagonal else gain, dtype=np.float32)


class StandIn(NamedTuple):
    """The cheap operator of a solve, all priors included.

    Attributes
    ----------
    operator : callable, (k,) -> (k,)
    solved : callable, (k,) -> (k,)
        Its inverse applied, roughly.
    is_whole : bool
        Nothing of the operator it stands for is left out.
    """

    operator: Operator
    solved: Operator
    is_whole: bool


def stand_in(
    problem: StageProblem, second: Any, prior: Operator, radial: Operator
) -> StandIn | None:
    """What stands in for the normal operator of `second` plus `prior`; None where nothing does.

    Parameters
    ----------
    problem : StageProblem
    second : (n, q, q) float32 ndarray, or spread
    prior : callable
        Precision of the coefficients.
    radial : callable
        Preconditioner of solves with the stand-in.
    """
    gridded = gridded_normal(problem, second)
    if gridded is None:
        return None

    def operator(x: Float32) -> Float32:
        return gridded(x) + prior(x)

    def solved(right: Float32) -> Float32:
        start = array_module(right).zeros_like(right)
        x, _ = solve(operator, right, start, radial, _MOST_INNER, _INNER_TOLERANCE)
        return x.astype(np.float32, copy=False)

    return StandIn(operator, solved, gridded.is_whole)


def maximisation(
    problem: StageProblem,
    estimate: Estimate,
    posterior: ParticlePosterior,
    iterations: int,
    tolerance: float | None = None,
    check: Callable[[], None] = lambda: None,
    priors: Sequence[Float64] | None = None,
    further: Sequence[Sequence[CoefficientPrior]] = (),
    is_brief: bool = False,
    updates_noise: bool = False,
) -> tuple[Estimate, SolveInfo]:
    """MAP coefficients given the moments, signal spectra that fit them, and the noise.

    Parameters
    ----------
    problem : StageProblem
    estimate : Estimate
    posterior : ParticlePosterior
    iterations : int
        Of conjugate gradients with the normal operator itself, at most.
    tolerance : float or None
        On the relative preconditioned residual. None: as near as one sweep among others needs,
        which is a single step where the operator's stand-in leaves nothing out.
    check : callable
        Called before every pass over the particles; may raise to stop.
    priors : sequence of (n_shells, q, q) float64 ndarray or None
        Prior precision of every coefficient set; None: of its signal spectra.
    further : sequence of sequence of CoefficientPrior
        More priors of every coefficient set; those that are not quadratic by the parabola that
        touches them at ``estimate.theta``.
    is_brief : bool
        A single step suffices even where the stand-in leaves something out, as for sweeps in which
        poses move: what is left is less than what changes with them, and the next one goes on.
    updates_noise : bool
        Noise spectra too: of ``estimate.theta`` where its residuals are found on the way, and else
        of the coefficients found.

    Notes
    -----
    On the device that has the images, or, if its memory runs out, in main memory.
    """
    asked = (
        estimate, posterior, iterations, tolerance, check, priors, further, is_brief, updates_noise,
    )  # fmt: skip
    try:
        return _maximisation(problem, *asked)
    except DEVICE_OUT_OF_MEMORY:
        if not isinstance(problem.images, DeviceImages) or not problem.solves_on_device:
            raise
        problem.images.leave_to_images()
    return _maximisation(problem, *asked)


def _maximisation(
    problem: StageProblem,
    estimate: Estimate,
    posterior: ParticlePosterior,
    iterations: int,
    tolerance: float | None,
    check: Callable[[], None],
    priors: Sequence[Float64] | None,
    further: Sequence[Sequence[CoefficientPrior]],
    is_brief: bool,
    updates_noise: bool,
) -> tuple[Estimate, SolveInfo]:
    """The solve, wherever the problem says."""
    noise: Float64 | None = None
    is_seen_in_residual = updates_noise and bool(estimate.theta.any())
    molecule = problem.molecule
    second = spread(problem.images, posterior.second)
    first = spread(problem.images, posterior.first)
    data = precisions(problem, posterior.second)
    priors = [signal_precision(s) for s in estimate.spectra] if priors is None else priors
    given = blockwise(molecule, list(priors))
    to = as_device if problem.solves_on_device else as_numpy
    start = to(estimate.theta)
    curvature, slope = _touching(molecule, estimate.theta, further)
    slope = to(slope)
    covariances = [posterior_covariance(h, p) for h, p in zip(data, priors, strict=True)]
    radial = blockwise(molecule, covariances)

    def prior(theta: Float32) -> Float32:
        own = given(theta)
        return own + to(curvature(as_numpy(theta))) if any(further) else own

    def operator(theta: Float32) -> Float32:
        check()
        return problem.normal(theta, second) + prior(theta)

    cheap = stand_in(problem, second, prior, radial)
    if cheap is not None and (cheap.is_whole or is_brief) and tolerance is None:

        def residual(theta: Float32) -> Float32:
            nonlocal noise
            check()
            if is_seen_in_residual:
                found, noise = residual_and_noise(problem, estimate, first, second)
            else:
                found = problem.residual(theta, first, second)
            gradient: Float32 = to(found) + slope - prior(theta)
            return gradient

        def curved(step: Float32, is_rough: bool = False) -> float:
            check()
            return problem.curvature(step, second, is_rough) + float(step @ prior(step))

        theta, info = refine(
            residual, cheap.operator, curved, start, radial, _MOST_INNER, _INNER_TOLERANCE,
            partial(curved, is_rough=True),
        )  # fmt: skip
    else:
        is_patient = any(t is not None for t in molecule.trajectories)
        # blocks of the components stand in well enough to leave out every third iteration
        is_fewer = cheap is not None and tolerance is None
        theta, info = solve(
            operator,
            problem.adjoint(first, problem.solves_on_device) + slope,
            start,
            radial if cheap is None else cheap.solved,
            max(1, 2 * iterations // 3) if is_fewer else iterations,
            3e-3 if tolerance is None else tolerance,
            _PATIENCE if is_patient else 1,
            _ENOUGH,
            is_flexible=cheap is not None,
        )
    theta = as_numpy(theta)
    spectra = [
        updated_spectrum(part, h, p, basis)
        for part, h, p, basis in zip(
            molecule.split(theta), data, priors, molecule.bases, strict=True
        )
    ]
    solved = estimate._replace(theta=theta, spectra=spectra)
    if updates_noise and noise is None:
        check()
        noise = updated_noise(problem, solved, posterior)
    return solved if noise is None else solved._replace(noise=noise), info


def _touching(
    molecule: LinearMolecule, theta: Float32, priors: Sequence[Sequence[CoefficientPrior]]
) -> tuple[Callable[[Float32], Float32], Float32]:
    """Curvature C of the priors at `theta`, and C theta + gradient, for the right-hand side."""
    parts = molecule.split(theta)
    curvatures = [
        [prior.curvature(part) for prior in own]
        for part, own in zip(parts, priors or [()] * len(parts), strict=True)
    ]

    def apply(x: Float32) -> Float32:
        out = np.zeros_like(x)
        for target, part, own in zip(
            molecule.split(out), molecule.split(x), curvatures, strict=True
        ):
            for curvature in own:
                target += curvature(part)
        return out

    slope = apply(theta)
    for target, part, own in zip(
        molecule.split(slope), parts, priors or [()] * len(parts), strict=True
    ):
        for prior in own:
            target += prior.gradient(part)
    return apply, slope
