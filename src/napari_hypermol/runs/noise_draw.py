"""Noise spectra drawn given everything else."""

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.posterior.likelihood import explained_power
from napari_hypermol.runs.coefficient_draw import moments
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.samplers.conjugate import noise_spectra
from napari_hypermol.samplers.state_draws import StateDraw

__all__ = ["noise_draw"]

Float64 = NDArray[np.float64]


def noise_draw(
    rng: np.random.Generator, problem: StageProblem, estimate: Estimate, drawn: StateDraw
) -> Float64:
    """Noise spectra given everything else, inside the band limit; (groups, shells).

    Notes
    -----
    A shell's residual power is sigma^2 times a chi-square of as many degrees of freedom as its
    half-plane weights sum to: 2 for a sample inside, 2 for the two copies on x = 0, 1 for zero
    frequency. Premultiplied images' samples count by their CTF^2, which is not exact.
    """
    (problem, images), noise = problem.here(), estimate.noise.copy()
    explained = explained_power(
        images, *moments(drawn), noise.astype(np.float32), problem.grids(estimate.theta),
        problem.placements, problem.samples,
    )  # fmt: skip
    inside = np.unique(problem.samples.shells)
    for group in np.unique(images.groups):
        rows = images.groups == group
        fill = images.fill[rows].sum(axis=0, dtype=np.float64)[inside]
        residual = (images.power[rows] - explained[rows]).sum(axis=0)[inside]
        # float32 leaves 1e-7 of the power; a shell of zeros has no noise to draw
        power = np.maximum(residual, 1e-3 * noise[group, inside] * fill)
        seen = (fill > 0) & (power > 0)
        drawn_noise = noise_spectra(rng, power[None, seen], fill[None, seen])[0]
        noise[group, inside[seen]] = drawn_noise
    return noise
