"""A stage's problem, and moments, from arrays that tests make up or draw from the model."""

import numpy as np

from examples import pretzel_like, random_rotations, scene
from napari_hypermol.imaging import projector
from napari_hypermol.imaging.forward import shell_sums
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.sweep import state_tables


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


class Simulated:
    """Images drawn from the model itself: a known molecule, CTF, contrasts, states and noise."""

    def __init__(self, rng, n, premultiplied=False, amplitude=1.0, levels=(1.0, 4.0)):
        here = self.here = scene(pretzel_like(16, degree=1), 6)
        molecule, samples = here.molecule, here.samples
        tables = state_tables(molecule)
        n_k, n_shells = len(samples.kx), int(samples.shells.max()) + 1
        self.theta = (amplitude * rng.normal(size=molecule.n_coefficients)).astype(np.float32)
        contrasts = rng.uniform(0.8, 1.2, n)
        c = np.ones((n, sum(molecule.n_functions)))
        self.states = np.empty((n, len(tables)))
        for axis, table in enumerate(tables):
            drawn = rng.integers(len(table.states), size=n)
            self.states[:, axis] = table.states[drawn, 0]
            c[:, table.columns] = table.functions[drawn]
        self.moments = posterior_of(
            contrasts[:, None] * c, (contrasts**2)[:, None, None] * c[:, :, None] * c[:, None, :]
        )
        groups = np.arange(n) % len(levels)
        self.noise = np.outer(levels, rng.uniform(0.5, 2, n_shells))
        sigma_square = self.noise[groups][:, samples.shells]
        ctf = rng.uniform(0.2, 1, size=(n, n_k)) * rng.choice([-1, 1], size=(n, n_k))
        rotations = random_rotations(rng, n)
        slices = projector.forward(rotations, molecule.grids(self.theta), here.placements, samples)
        normal = rng.normal(size=(2, n, n_k)) * np.sqrt(sigma_square / 2)
        y = ctf * np.einsum("nkq,nq->nk", slices, self.moments.first) + normal[0] + 1j * normal[1]
        scale = samples.weights / sigma_square
        whitened = scale * ctf * y
        once = ctf**2 if premultiplied else np.ones_like(ctf)
        self.images = WhitenedImages(
            data=np.stack([whitened.real, whitened.imag], axis=1).astype(np.float32),
            weights=(scale * ctf**2).astype(np.float32),
            power=shell_sums(samples.weights * once * abs(y) ** 2, samples, n_shells),
            fill=shell_sums(samples.weights * once, samples, n_shells),
            is_premultiplied=np.full(n, premultiplied),
            groups=groups,
            rotations=rotations,
        )
        self.problem = problem_of(here, self.images)
        spectra = [np.full((q, b.n_shells), amplitude**2) for (q, _), b in zip(
            molecule.set_shapes, molecule.bases, strict=True)]  # fmt: skip
        self.estimate = Estimate(self.theta, spectra, self.noise, 0.1)
