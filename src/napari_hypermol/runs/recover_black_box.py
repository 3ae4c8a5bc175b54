"""Recovery of a black-box molecule with known poses: coefficients, states and contrasts.

Climbs the log posterior of theta with states and contrasts integrated out (Eq. 29), detail after
detail; noise and the contrasts' spread are re-estimated between climbs. Of the molecule nothing is
used but `protocols.BlackBox`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.errors import BlackBoxError, ParticleFileError, RecipeError
from napari_hypermol.molecules.black_box import check_black_box
from napari_hypermol.particles import Particles
from napari_hypermol.posterior.black_box import BlackBoxPosterior, StatePosterior, state_grid
from napari_hypermol.protocols import BlackBox
from napari_hypermol.runs.chunks import starting_noise, whitened_images
from napari_hypermol.runs.fourier_stack import AnyStack, read_fourier_stack
from napari_hypermol.runs.noise_step import residual_noise
from napari_hypermol.runs.progress import Reporter

__all__ = ["BlackBoxResult", "BlackBoxSettings", "black_box_posterior", "recover_black_box"]

Float64 = NDArray[np.float64]
_MEMORY = (
    20  # steps that L-BFGS remembers: as many as a molecule of few coefficients has curvatures
)
_CURVATURE_PROBES = 4
# A climb goes no further than this from its start [standard deviations of the prior]: the line
# search may try steps at which a molecule overflows.
_REACH = 20.0


class BlackBoxSettings(NamedTuple):
    """How to recover a black box.

    Attributes
    ----------
    resolutions : sequence of float
        Of the stages [Å], coarse to fine.
    sweeps : int
        Climbs of a stage, each followed by new noise spectra and spread of contrasts.
    steps : int
        L-BFGS steps of a climb, at most.
    n_states : int
        States of the grid, along one dimension; see `posterior.black_box.state_grid`.
    contrast_std : float
        Of the contrasts about 1, to begin with; zero: all are 1.
    """

    resolutions: Sequence[float]
    sweeps: int = 2
    steps: int = 50
    n_states: int = 24
    contrast_std: float = 0.1


class BlackBoxResult(NamedTuple):
    """What is known at the end.

    Attributes
    ----------
    theta : (p,) float64 ndarray
        MAP of the last stage.
    log_density : float
        There, against the empty molecule.
    state_mean, state_std : (n, d) float64 ndarray
    contrast_mean, contrast_std : (n,) float64 ndarray
    states : (t, d) float64 ndarray
    probabilities : (n, t) float64 ndarray
        Posterior of every particle over `states`.
    noise : (groups, shells) float64 ndarray
        sigma^2.
    trace : list of dict
        One entry a sweep: resolution, sweep, start, steps, log_density, contrast_std.
    """

    theta: Float64
    log_density: float
    state_mean: Float64
    state_std: Float64
    contrast_mean: Float64
    contrast_std: Float64
    states: Float64
    probabilities: Float64
    noise: Float64
    trace: list[dict[str, float]]


def black_box_posterior(
    particles: Particles,
    stack: AnyStack,
    molecule: BlackBox,
    max_radius: float,
    noise: Float64,
    contrast_std: float = 0.1,
    n_states: int = 24,
) -> BlackBoxPosterior:
    """Log P(theta | images) at one band limit: what a sampler needs, and all it needs.

    Parameters
    ----------
    particles : Particles
        Rotations known.
    stack : FourierStack or RemoteStack
    molecule : BlackBox
    max_radius : float
        Band limit [cycles per box edge].
    noise : (groups, shells) float64 ndarray
        sigma^2.
    contrast_std : float
    n_states : int

    Returns
    -------
    BlackBoxPosterior
    """
    samples = fourier_samples(stack.samples.box_size, max_radius)
    rows = np.arange(len(particles.images))
    images = whitened_images(particles, stack, samples, noise, rows)
    states = state_grid(molecule.dims, n_states)
    return BlackBoxPosterior(images, molecule, samples, states, contrast_std)


def recover_black_box(
    particles: Particles,
    molecule: BlackBox,
    theta: Float64,
    settings: BlackBoxSettings,
    rng: np.random.Generator,
    reporter: Reporter | None = None,
) -> BlackBoxResult:
    """Recover a black-box molecule and every particle's state and contrast.

    Parameters
    ----------
    particles : Particles
        Rotations known.
    molecule : BlackBox
    theta : (p,) or (starts, p) float ndarray
        Where to begin. Of several starts the best after the first climb is followed. A molecule
        that stands still is a saddle point: let the states do something from the beginning.
    settings : BlackBoxSettings
    rng : Generator
        For the scale of the coefficients and for trying the molecule out.
    reporter : Reporter or None

    Returns
    -------
    BlackBoxResult

    Raises
    ------
    BlackBoxError
        If the molecule does not keep to its protocol.
    """
    reporter = reporter or Reporter()
    starts = np.atleast_2d(np.array(theta, dtype=np.float64))
    _check(particles, molecule, starts, settings, rng)
    edge = molecule.box_size * particles.pixel_size
    radii = [min(edge / r, molecule.box_size / 2) for r in settings.resolutions]
    stack = read_fourier_stack(particles, max(radii))
    noise, spread = starting_noise(particles, stack), settings.contrast_std
    trace: list[dict[str, float]] = []
    reporter.plan(len(starts) + len(radii) * settings.sweeps - 1)
    for stage, radius in enumerate(radii):
        for sweep in range(settings.sweeps):
            posterior = black_box_posterior(
                particles, stack, molecule, radius, noise, spread, settings.n_states
            )
            climbed = []
            for index, start in enumerate(starts):
                found = _climb(posterior, start, settings.steps, rng, reporter)
                climbed.append(found)
                resolution = settings.resolutions[stage]
                trace.append(
                    {
                        "resolution": resolution, "sweep": sweep + 1.0, "start": float(index),
                        "steps": float(found.steps), "log_density": found.log_density,
                        "contrast_std": spread,
                    }
                )  # fmt: skip
                message = f"{resolution:.1f} Å, sweep {sweep + 1}/{settings.sweeps}"
                reporter.advance(1, f"{message}: log density {found.log_density:.1f}")
            best = max(climbed, key=lambda climb: climb.log_density)
            starts = best.theta[None]
            tables = posterior.state_posterior(best.theta)
            explained = posterior.explained_power(best.theta, tables, noise)
            noise = residual_noise(posterior.images, explained, noise, posterior.samples)
            if settings.contrast_std > 0:
                spread = _contrast_spread(tables)
    posterior = black_box_posterior(
        particles, stack, molecule, radii[-1], noise, spread, settings.n_states
    )
    return _result(posterior, starts[0], noise, trace)


class _Climb(NamedTuple):
    theta: Float64
    log_density: float
    steps: int


def _climb(
    posterior: BlackBoxPosterior,
    theta: Float64,
    steps: int,
    rng: np.random.Generator,
    reporter: Reporter,
) -> _Climb:
    """L-BFGS in units in which every coefficient is about equally well known."""
    curvature = _prior_curvature(posterior.molecule, theta, rng)
    information = posterior.information(theta, rng) + curvature
    scale = np.where(information > 0, np.sqrt(information), 1.0)
    with np.errstate(divide="ignore"):  # a flat prior sets no bounds
        reach = _REACH / np.sqrt(curvature)

    def falling(x: Float64) -> tuple[float, Float64]:
        reporter.check()
        value, gradient = posterior.log_density_grad(x / scale)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            raise BlackBoxError(
                "black box: slices, log_prior or a gradient is not finite on the way up; keep the "
                "coefficients in range with a prior that is smooth everywhere"
            )
        return -value, -gradient / scale

    options: Any = {"maxiter": steps, "maxcor": _MEMORY}
    bounds = list(zip((theta - reach) * scale, (theta + reach) * scale, strict=True))
    found: Any = minimize(
        falling, theta * scale, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    return _Climb(np.asarray(found.x / scale), -float(found.fun), int(found.nit))


def _prior_curvature(molecule: BlackBox, theta: Float64, rng: np.random.Generator) -> Float64:
    """Estimate of the diagonal of the second derivative of the log prior, its size; (p,)."""
    curvature = np.zeros(len(theta))
    for _ in range(_CURVATURE_PROBES):
        step = 1e-3 * (np.abs(theta) + 1e-3) * rng.choice([-1.0, 1.0], len(theta))
        _, ahead = molecule.log_prior(theta + step)
        _, behind = molecule.log_prior(theta - step)
        curvature += (np.asarray(behind) - np.asarray(ahead)) / (2 * step) / _CURVATURE_PROBES
    return np.abs(curvature)


def _contrast_spread(tables: StatePosterior) -> float:
    """Standard deviation of the contrasts about their mean, kept between 2 and 50 %."""
    mean = (tables.probabilities * tables.contrast_mean).sum(axis=1)
    square = (tables.probabilities * tables.contrast_square).sum(axis=1)
    # relative: the molecule takes up the mean in the next climb
    return float(np.clip(np.sqrt(square.mean() / mean.mean() ** 2 - 1), 0.02, 0.5))


def _result(
    posterior: BlackBoxPosterior, theta: Float64, noise: Float64, trace: list[dict[str, float]]
) -> BlackBoxResult:
    tables = posterior.state_posterior(theta)
    p, states = tables.probabilities, posterior.states
    mean, contrast = p @ states, (p * tables.contrast_mean).sum(axis=1)
    square = (p * tables.contrast_square).sum(axis=1)
    prior, _ = posterior.molecule.log_prior(theta)
    return BlackBoxResult(
        theta=theta,
        log_density=float(prior) + float(tables.log_evidence.sum()),
        state_mean=mean,
        state_std=np.sqrt(np.maximum(p @ states**2 - mean**2, 0)),
        contrast_mean=contrast,
        contrast_std=np.sqrt(np.maximum(square - contrast**2, 0)),
        states=states,
        probabilities=p,
        noise=noise,
        trace=trace,
    )


def _check(
    particles: Particles,
    molecule: BlackBox,
    starts: Float64,
    settings: BlackBoxSettings,
    rng: np.random.Generator,
) -> None:
    if particles.rotations is None:
        raise ParticleFileError("the particles have no angles; a black box needs known poses")
    if not settings.resolutions or min(settings.resolutions) <= 0:
        raise RecipeError(
            f"black box: resolutions {list(settings.resolutions)}, expected one or more in Å"
        )
    if settings.sweeps < 1 or settings.steps < 1 or settings.contrast_std < 0:
        raise RecipeError(
            f"black box: sweeps {settings.sweeps}, steps {settings.steps}, contrast_std "
            f"{settings.contrast_std}; expected at least 1, 1 and 0"
        )
    for start in starts:
        check_black_box(molecule, start, rng)
    if molecule.box_size != particles.images.shape[-1]:
        raise BlackBoxError(
            f"black box: its box_size is {molecule.box_size}, the images have "
            f"{particles.images.shape[-1]} pixels along an edge"
        )
