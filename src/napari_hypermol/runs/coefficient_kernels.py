"""Coefficients moved by Langevin and Hamiltonian steps, Eq. (17) and (19), states as drawn.

The density is normal but for priors that look at the density, so `coefficient_draw` draws from it
exactly; these also take those priors, and batches of the particles (the paper's second mode).
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.likelihood import residual_adjoint
from napari_hypermol.posterior.priors import posterior_covariance
from napari_hypermol.protocols import CoefficientPrior
from napari_hypermol.runs.coefficient_draw import moments
from napari_hypermol.runs.coefficient_step import blockwise, precisions
from napari_hypermol.runs.stage_problem import StageProblem
from napari_hypermol.runs.step_sizes import StepSizes, gradient_steps
from napari_hypermol.runs.whitening import rows_of
from napari_hypermol.samplers.langevin import DecreasingSteps, LangevinChain, langevin
from napari_hypermol.samplers.preconditioner import Preconditioner
from napari_hypermol.samplers.state_draws import StateDraw

__all__ = ["ThetaKernel", "move_coefficients"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
ThetaKernel = Literal["mala", "hmc", "langevin"]
_FIRST = {"mala": 0.02, "hmc": 0.2}  # in units of the preconditioner, the posterior's own at best
_LEAPFROG = 10
_BATCHES, _LEAST_BATCH = 8, 64  # of the particles that a step on a batch looks at
# The noise of a batch's gradient must stay below the noise that is added: so much of the largest
# step where both are alike.
_BATCH_STEP, _BATCH_DELAY = 0.25, 10.0


def move_coefficients(
    rng: np.random.Generator,
    problem: StageProblem,
    theta: Float32,
    drawn: StateDraw,
    priors: Sequence[Float64],
    further: Sequence[Sequence[CoefficientPrior]],
    kernel: ThetaKernel,
    n_steps: int,
    sizes: StepSizes,
    n_done: int = 0,
    check: Callable[[], None] = lambda: None,
) -> tuple[Float32, StepSizes, float]:
    """Steps of all coefficients given states, contrasts and poses.

    Parameters
    ----------
    rng : Generator
    problem : StageProblem
    theta : (coefficients,) float32 ndarray
    drawn : StateDraw
    priors : sequence of (n_shells, q, q) float64 ndarray
        Precision of every coefficient set.
    further : sequence of sequence of CoefficientPrior
        Of every coefficient set, those that look at its density.
    kernel : {"mala", "hmc", "langevin"}
        The last on batches of the particles, nothing rejected, steps decreasing.
    n_steps : int
    sizes : StepSizes
    n_done : int
        Steps on batches before these.
    check : callable
        Called before every pass over the images; may raise to stop.

    Returns
    -------
    theta : (coefficients,) float32 ndarray
    sizes : StepSizes
    rate : float
        Mean acceptance; 1 on batches.
    """
    density = _Density(problem, theta, drawn, priors, further, check)
    ahead = density.preconditioner()
    if kernel == "langevin":
        share = 1 / max(1, min(_BATCHES, len(drawn.contrasts) // _LEAST_BATCH))
        steps = DecreasingSteps(_BATCH_STEP * share * _BATCH_DELAY**0.55, _BATCH_DELAY)
        walk = LangevinChain(np.zeros((1, len(theta))), n_done)
        for _ in range(n_steps):
            walk, _ = langevin(rng, walk, density.on_a_batch(rng, share), steps, ahead)
        return density.at(walk.value), sizes, 1.0
    sizes = sizes.begun(f"theta {kernel}", _FIRST[kernel])
    value, sizes, rate = gradient_steps(
        rng, kernel, "theta", np.zeros((1, len(theta))), density, n_steps, sizes, _LEAPFROG, ahead
    )
    return density.at(value), sizes, rate


class _Density:
    """Log posterior of coefficients x away from where they begin, and its gradient; (1, k).

    From the beginning on, since log densities of the coefficients themselves are so large that
    single precision would decide about acceptance: with r the residual there and N what the data
    and the normal priors weigh, it is r.x - x.N x / 2.
    """

    def __init__(
        self,
        problem: StageProblem,
        theta: Float32,
        drawn: StateDraw,
        priors: Sequence[Float64],
        further: Sequence[Sequence[CoefficientPrior]],
        check: Callable[[], None],
    ) -> None:
        self._problem, self._images = problem.here()
        self._molecule: LinearMolecule = problem.molecule
        self._begin, self._check, self._further = theta, check, further
        self._first, self._second = moments(drawn)
        self._priors = list(priors)
        self._prior = blockwise(self._molecule, self._priors)
        self._residual = self._data_residual(theta, self._first) - self._prior(theta)
        self._told = self._further_at(theta)[0]

    def __call__(self, x: Float64) -> tuple[Float64, Float64]:
        step = x[0].astype(np.float32)
        # no data: what is left is minus the normal operator
        weighed = self._data_residual(step, np.zeros_like(self._first)) - self._prior(step)
        value = float(np.dot(self._residual + 0.5 * weighed.astype(np.float64), x[0]))
        gradient = np.asarray(self._residual + weighed, dtype=np.float64)
        if any(self._further):
            told, slope = self._further_at(self._begin + step)
            value, gradient = value + told - self._told, gradient + slope
        return np.array([value]), gradient[None]

    def at(self, x: Float64) -> Float32:
        """The coefficients there."""
        return np.asarray(self._begin + x[0], dtype=np.float32)

    def on_a_batch(self, rng: np.random.Generator, share: float) -> Callable[[Float64], Float64]:
        """The gradient, estimated on a share of the particles that is drawn anew."""
        n = len(self._first)

        def gradient(x: Float64) -> Float64:
            rows = np.sort(rng.choice(n, max(1, round(share * n)), replace=False))
            theta = self.at(x)
            slope = self._data_residual(theta, self._first, rows) * (n / len(rows))
            slope = slope - self._prior(theta)
            if any(self._further):
                slope = slope + self._further_at(theta)[1]
            return slope.astype(np.float64)[None]

        return gradient

    def preconditioner(self) -> Preconditioner:
        """Of Eq. (19): the posterior's covariance if nothing mixed the shells.

        Its root is a filter of the coefficients, which are cut out of a cube; so A is that filter
        twice over and not that of the squared gain.
        """
        data = precisions(self._problem, self._second)
        pairs = zip(data, self._priors, strict=True)
        roots = [_root(posterior_covariance(h, p)) for h, p in pairs]
        half = blockwise(self._molecule, roots)

        def once(x: Float64) -> Float64:
            return half(x[0].astype(np.float32)).astype(np.float64)[None]

        return Preconditioner(lambda x: once(once(x)), once)

    def _data_residual(
        self, theta: Float32, first: Float32, rows: NDArray[np.int64] | None = None
    ) -> Float32:
        """A^H (D first - W A theta second), on theta."""
        self._check()
        images, second = self._images, self._second
        if rows is not None:
            images, first, second = rows_of(images, rows), first[rows], second[rows]
        values = residual_adjoint(
            images, first, second, self._molecule.grids(theta), self._problem.placements,
            self._problem.samples,
        )  # fmt: skip
        return self._molecule.grids_adjoint(values)

    def _further_at(self, theta: Float32) -> tuple[float, Float64]:
        value, slopes = 0.0, np.zeros(len(theta))
        places = self._molecule.split(slopes)  # type: ignore[arg-type]  # views of any precision
        for part, place, own in zip(
            self._molecule.split(theta), places, self._further, strict=True
        ):
            for prior in own:
                value += prior.log_density(part)
                place += prior.gradient(part)
        return value, slopes


def _root(gain: Float64) -> Float64:
    """Symmetric roots of symmetric positive matrices (shells, q, q)."""
    values, vectors = np.linalg.eigh(gain)
    roots = np.sqrt(np.maximum(values, 0.0))
    return np.asarray(np.einsum("sij,sj,skj->sik", vectors, roots, vectors))
