"""Rotations and shifts moved by kernels with gradients, given states and contrasts that are drawn.

The kernel with states and contrasts summed out, `pose_step`, mixes far better; these are for
studies, and for densities that cannot be summed out.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.rotations import turn_between
from napari_hypermol.imaging.shift import shift_phases
from napari_hypermol.posterior.collapsed import PosePrior
from napari_hypermol.posterior.pose_gradient import PosePoint, pose_gradient
from napari_hypermol.runs.pose_step import at_chain
from napari_hypermol.runs.remote_images import RemoteImages
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.step_sizes import StepSizes, gradient_steps
from napari_hypermol.samplers.adaptation import MALA_ACCEPTANCE, WALK_ACCEPTANCE
from napari_hypermol.samplers.mala import rotation_mala
from napari_hypermol.samplers.mala import start as start_gradient
from napari_hypermol.samplers.metropolis import random_walk, start
from napari_hypermol.samplers.pose_metropolis import PoseChain
from napari_hypermol.samplers.state_draws import StateDraw

__all__ = ["RotationKernel", "ShiftKernel", "move_rotations", "move_shifts", "shifted"]

Float64 = NDArray[np.float64]
RotationKernel = Literal["mala"]
ShiftKernel = Literal["metropolis", "mala", "hmc"]
_FIRST_PHASE = 0.3  # [rad at the band limit] of the first steps
_LEAPFROG = 6


def move_rotations(
    rng: np.random.Generator,
    problem: StageProblem,
    estimate: Estimate,
    drawn: StateDraw,
    prior: PosePrior,
    n_steps: int,
    sizes: StepSizes,
    temperature: float = 1.0,
) -> tuple[StageProblem, StepSizes, float]:
    """Langevin steps of all rotations, everything else as drawn.

    Returns
    -------
    problem : StageProblem
    sizes : StepSizes
    rate : float
        Mean acceptance.
    """
    density = _Density(problem, estimate, drawn, prior, temperature)
    first = _FIRST_PHASE / (np.pi * problem.samples.max_radius)
    sizes, rates = sizes.begun("rotation mala", 0.5 * first**2), []
    chain = start_gradient(problem.rotations.astype(np.float64), density.of_rotations)
    for _ in range(n_steps):
        chain, info = rotation_mala(rng, chain, density.of_rotations, sizes.of("rotation mala"))
        sizes = sizes.told("rotation mala", info.acceptance_rate, MALA_ACCEPTANCE)
        rates.append(info.acceptance_rate.mean())
    return _at(problem, chain.value, problem.shifts), sizes, float(np.mean(rates))


def move_shifts(
    rng: np.random.Generator,
    problem: StageProblem,
    estimate: Estimate,
    drawn: StateDraw,
    prior: PosePrior,
    kernel: ShiftKernel,
    n_steps: int,
    sizes: StepSizes,
    temperature: float = 1.0,
) -> tuple[StageProblem, StepSizes, float]:
    """Steps of all shifts, everything else as drawn; returns as `move_rotations`."""
    density = _Density(problem, estimate, drawn, prior, temperature)
    first = _FIRST_PHASE * problem.samples.box_size / (2 * np.pi * problem.samples.max_radius)
    sizes = sizes.begun(f"shift {kernel}", 0.5 * first**2 if kernel == "mala" else first)
    origin = np.zeros((len(problem.shifts), 2))
    if kernel == "metropolis":
        walk, rates = start(origin, lambda x: density.of_shifts(x)[0]), []
        for _ in range(n_steps):
            size = sizes.of("shift metropolis")
            walk, info = random_walk(rng, walk, lambda x: density.of_shifts(x)[0], size)
            sizes = sizes.told("shift metropolis", info.acceptance_rate, WALK_ACCEPTANCE)
            rates.append(info.acceptance_rate.mean())
        moved, rate = walk.value, float(np.mean(rates))
    else:
        moved, sizes, rate = gradient_steps(
            rng, kernel, "shift", origin, density.of_shifts, n_steps, sizes, _LEAPFROG
        )
    shifts = problem.shifts + moved * problem.pixel_size
    return _at(problem, None, shifts), sizes, rate


class _Density:
    """Log posterior of poses given all else, and its slopes."""

    def __init__(
        self,
        problem: StageProblem,
        estimate: Estimate,
        drawn: StateDraw,
        prior: PosePrior,
        temperature: float,
    ) -> None:
        problem, self._images = problem.here()
        self._rotations = self._images.rotations.astype(np.float64)
        self._shifts = problem.shifts / problem.pixel_size
        self._drawn, self._prior, self._temperature = drawn, prior, temperature
        self._scene = problem.grids(estimate.theta), problem.placements, problem.samples

    def of_rotations(self, rotations: Float64) -> tuple[Float64, Float64]:
        """(n, 3, 3) -> (n,), (n, 3)."""
        found = pose_gradient(self._images, self._at(rotations, None), *self._scene)
        away = turn_between(self._prior.rotations, rotations)
        value = -0.5 * self._prior.rotation_precision * (away**2).sum(axis=1)
        slope = self._temperature * found.rotations - self._prior.rotation_precision * away
        return self._temperature * found.log_likelihood + value, slope

    def of_shifts(self, shifts: Float64) -> tuple[Float64, Float64]:
        """Beyond the present ones [pixels]; (n, 2) -> (n,), (n, 2)."""
        found = pose_gradient(self._images, self._at(self._rotations, shifts), *self._scene)
        away = self._shifts + shifts - self._prior.shifts
        value = -0.5 * self._prior.shift_precision * (away**2).sum(axis=1)
        slope = self._temperature * found.shifts - self._prior.shift_precision * away
        return self._temperature * found.log_likelihood + value, slope

    def _at(self, rotations: Float64, shifts: Float64 | None) -> PosePoint:
        nowhere = np.zeros((len(rotations), 2)) if shifts is None else shifts
        return PosePoint(rotations, nowhere, self._drawn.contrasts, self._drawn.c)


def shifted(problem: StageProblem, shifts: Float64) -> StageProblem:
    """The same problem, on images in this process, with other shifts (n, 2) [Å] undone."""
    _, images = problem.here()
    phases = np.conj(shift_phases(shifts - problem.shifts, problem.samples, problem.pixel_size))
    data = (images.data[:, 0] + 1j * images.data[:, 1]) * phases
    pair = np.ascontiguousarray(np.stack([data.real, data.imag], axis=1), dtype=np.float32)
    return at_chain(problem, PoseChain(images.rotations, shifts / problem.pixel_size, pair))


def _at(problem: StageProblem, rotations: Float64 | None, shifts: Float64) -> StageProblem:
    """The same problem at other poses; None: the present rotations."""
    if isinstance(problem.images, RemoteImages):
        own = problem.rotations if rotations is None else rotations.astype(np.float32)
        return replace(problem, images=problem.images.at(own, shifts), shifts=shifts)
    if rotations is None:
        return shifted(problem, shifts)
    _, images = problem.here()
    chain = PoseChain(rotations.astype(np.float32), shifts / problem.pixel_size, images.data)
    return at_chain(problem, chain)
