"""A stage's problem, and moments, from arrays that tests make up."""

import numpy as np

from napari_hypermol.imaging.forward import shell_sums
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.stage_problem import StageProblem


def problem_of(here, images):
    """A stage's problem on given images, with the mean weights that go with them."""
    n_shells = images.power.shape[1]
    fill = np.maximum(np.bincount(here.samples.shells, here.samples.weights, n_shells), 1e-12)
    mean_weights = shell_sums(images.weights, here.samples, n_shells) / fill
    return StageProblem(
        images, here.molecule, here.samples, mean_weights, 3.0, np.zeros((len(mean_weights), 2))
    )


def posterior_of(first, second):
    """Moments without the rest."""
    n = len(first)
    nothing, ones = np.zeros((n, 0)), np.ones(n)
    return ParticlePosterior(
        nothing, nothing, ones, 0 * ones,
        first.astype(np.float32), second.astype(np.float32), 0 * ones, (),
    )  # fmt: skip
