"""Against sums over shifts, states and contrasts of the likelihood itself, Eq. (10)."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import logsumexp

from examples import one_ball, pretzel_like, random_rotations, scene
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.coordinates.rotations import angles_between, turned
from napari_hypermol.errors import ShapeError
from napari_hypermol.imaging import projector
from napari_hypermol.imaging.forward import whiten
from napari_hypermol.particles import Optics
from napari_hypermol.posterior.collapsed import (
    CollapsedModel,
    PosePrior,
    angle_square,
    collapsed_evidence,
    lines_of,
    moved_data,
)
from napari_hypermol.posterior.likelihood import WhitenedImages

N, J, S, T = 3, 2, 4, 3
BOX = 12


def noise_of(rng, samples):
    return rng.uniform(0.5, 2, (1, int(samples.shells.max()) + 1))


class Problem:
    """Images of random molecules, whitened with shifts undone, and the model they are judged by."""

    def __init__(self, rng, composite, std=0.2, temperature=1.0, own_nodes=False):
        self.here = scene(composite, 4)
        samples = self.samples = self.here.samples
        k, n_q = len(samples.kx), sum(self.here.molecule.n_functions)
        theta = rng.normal(size=self.here.molecule.n_coefficients)
        self.grids = self.here.molecule.grids((0.3 * theta).astype(np.float32))
        self.noise = noise_of(rng, samples)
        self.images_ft = rng.normal(size=(N, k)) + 1j * rng.normal(size=(N, k))
        self.shifts = rng.normal(size=(N, 2))
        self.rotations = random_rotations(rng, N * J).reshape(N, J, 3, 3)
        self.offsets = rng.normal(size=(N, S, 2))
        self.nodes = rng.normal(size=(N if own_nodes else 1, T, n_q)).astype(np.float32)
        self.log_prior = np.log(rng.dirichlet(np.ones(T)))
        self.std, self.temperature = std, temperature
        centres = turned(self.rotations[:, 0], 0.3 * rng.normal(size=(N, 3)))
        self.prior = PosePrior(
            centres.astype(np.float32), 3.0, self.shifts + rng.normal(size=(N, 2)), 0.7
        )
        data, weights = self.whitened(self.shifts)
        shells = np.zeros((N, 1), dtype=np.float32)
        groups = np.zeros(N, dtype=np.int64)
        self.images = WhitenedImages(
            data, weights, shells, shells, groups.astype(bool), groups, self.rotations[:, 0]
        )

    def whitened(self, shifts):
        optics = Optics(("o",), *np.ones((3, 1)), np.array([False]))
        groups = np.zeros(N, dtype=np.int64)
        images = self.images_ft.astype(np.complex64)
        return whiten(images, shifts, None, optics, groups, self.noise, self.samples, 1.0)[:2]

    def model(self):
        return CollapsedModel(
            self.grids, self.here.placements, self.samples, self.nodes, self.log_prior, self.std,
            self.temperature,
        )  # fmt: skip

    def found(self):
        return collapsed_evidence(
            self.images, self.rotations, self.offsets, self.shifts, self.prior, self.model()
        )

    def likelihood_ratio(self, i, slices, shift, c):
        """Log of the likelihood over that of the empty molecule, contrast integrated out."""
        s, y = self.samples, self.images_ft[i]
        scale = s.weights / self.noise[0, s.shells]
        phases = np.exp(-2j * np.pi / BOX * (s.kx * shift[0] + s.ky * shift[1]))
        model = phases * (slices @ c)
        a, weights = np.ones(1), np.ones(1)
        if self.std:
            a = np.linspace(0, 1 + 9 * self.std, 4001)
            weights = np.exp(-0.5 * ((a - 1) / self.std) ** 2)
            weights[0] /= 2
        residual = (scale * abs(y - a[:, None] * model) ** 2).sum(axis=1)
        return logsumexp(0.5 * ((scale * abs(y) ** 2).sum() - residual), b=weights / weights.sum())

    def expected(self):
        evidence, by_shift = np.empty((N, J)), np.empty((N, J, S))
        for i in range(N):
            slices = projector.forward(
                self.rotations[i], self.grids, self.here.placements, self.samples
            )
            for j in range(J):
                for s in range(S):
                    shift = self.shifts[i] + self.offsets[i, s]
                    terms = [
                        self.temperature * self.likelihood_ratio(i, slices[j], shift, c) + prior
                        for c, prior in zip(
                            self.nodes[i % len(self.nodes)], self.log_prior, strict=True
                        )
                    ]
                    away = ((shift - self.prior.shifts[i]) ** 2).sum()
                    by_shift[i, j, s] = logsumexp(terms) - 0.5 * self.prior.shift_precision * away
                angle = angles_between(self.rotations[i, j], self.prior.rotations[i])
                rotation = -0.5 * self.prior.rotation_precision * angle**2
                evidence[i, j] = logsumexp(by_shift[i, j]) + rotation
        return evidence, by_shift


@pytest.mark.parametrize("own_nodes", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.3])
@pytest.mark.parametrize("std", [0, 0.2])
@pytest.mark.parametrize("molecule", [one_ball, pretzel_like])
def test_evidence_is_the_sum_of_likelihoods(rng, molecule, std, temperature, own_nodes):
    problem = Problem(rng, molecule(BOX), std, temperature, own_nodes)
    for found, expected in zip(problem.found(), problem.expected(), strict=True):
        # float32 sums of terms as large as |Y|^2, some 100
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("change", ["sign", "temperature", "std", "prior", "precision"])
def test_something_else_is_noticed(rng, change):
    problem = Problem(rng, one_ball(BOX))
    expected = problem.expected()[0]
    prior = problem.prior
    if change == "sign":
        problem.offsets = -problem.offsets
    elif change == "temperature":
        problem.temperature = 0.9
    elif change == "std":
        problem.std = 0.3
    elif change == "prior":
        problem.log_prior = problem.log_prior[::-1].copy()
    else:
        problem.prior = prior._replace(rotation_precision=2.0)
    assert abs(problem.found()[0] - expected).max() > 0.01


def test_flat_priors_say_nothing(rng):
    problem = Problem(rng, one_ball(BOX))
    problem.prior = problem.prior._replace(rotation_precision=0.0, shift_precision=0.0)
    before = problem.found()[0]
    elsewhere = problem.prior._replace(shifts=problem.prior.shifts + 5)
    problem.prior = elsewhere._replace(rotations=random_rotations(rng, N))
    np.testing.assert_allclose(problem.found()[0], before, rtol=1e-12)


@pytest.mark.parametrize(("box", "radius"), [(12, 4), (13, 6), (12, 5), (12, 9), (13, 9)])
def test_moved_data_are_those_of_another_shift(rng, box, radius):
    """Radii beyond the box's edge reach into its corners."""
    samples = fourier_samples(box, radius)
    y = (rng.normal(size=(1, len(samples.kx), 2)) @ [1, 1j]).astype(np.complex64)
    optics = Optics(("o",), *np.ones((3, 1)), np.array([False]))
    shift, offset = rng.normal(size=(2, 2))

    def data(shift):
        groups = np.zeros(1, dtype=np.int64)
        noise = np.ones((1, int(samples.shells.max()) + 1))
        return whiten(y, shift[None], None, optics, groups, noise, samples, 1.0)[0][0]

    out = np.empty((2, len(samples.kx)), dtype=np.float32)
    moved_data(data(shift), offset, samples, lines_of(samples), out)
    np.testing.assert_allclose(out, data(shift + offset), atol=1e-5)
    assert abs(out - data(shift - offset)).max() > 0.1
    order, disordered = rng.permutation(len(samples.kx)), np.empty_like(out)
    taken = samples._replace(kx=samples.kx[order], ky=samples.ky[order])
    moved_data(data(shift)[:, order].copy(), offset, taken, lines_of(taken), disordered)
    np.testing.assert_allclose(disordered, out[:, order], atol=1e-6)


def test_lines_of_samples_in_any_order(rng):
    samples = fourier_samples(13, 6)
    lines = lines_of(samples)
    assert len(lines) - 1 == len(np.unique(samples.ky))
    shuffled = rng.permutation(len(samples.kx))
    in_disorder = samples._replace(kx=samples.kx[shuffled], ky=samples.ky[shuffled])
    for taken in (samples, in_disorder):
        lines = lines_of(taken)
        for (start, kx, ky), (stop, _, _) in pairwise(lines):
            np.testing.assert_array_equal(taken.kx[start:stop], kx + np.arange(stop - start))
            np.testing.assert_array_equal(taken.ky[start:stop], ky)
        assert lines[0, 0] == 0
        assert lines[-1, 0] == len(samples.kx)


@pytest.mark.parametrize("angle", [0.0, 1e-3, 1.0, 3.0])
def test_square_of_the_angle(rng, angle):
    first = random_rotations(rng, 1)[0].astype(np.float64)
    second = turned(first, np.array([0.6, 0, 0.8]) * angle)
    assert angle_square(first, second) == pytest.approx(angle**2, rel=1e-5, abs=1e-12)


def test_permuting_particles_permutes_results(rng):
    problem = Problem(rng, one_ball(BOX), own_nodes=True)
    evidence, by_shift = problem.found()
    order = np.array([2, 0, 1])
    problem.images = WhitenedImages(*(column[order] for column in problem.images))
    prior = problem.prior
    problem.prior = prior._replace(rotations=prior.rotations[order], shifts=prior.shifts[order])
    for name in ("rotations", "offsets", "shifts", "nodes"):
        setattr(problem, name, getattr(problem, name)[order])
    np.testing.assert_array_equal(problem.found()[0], evidence[order])
    np.testing.assert_array_equal(problem.found()[1], by_shift[order])


def test_samples_beyond_the_grid_are_refused(rng):
    problem = Problem(rng, one_ball(BOX))
    problem.grids = scene(one_ball(BOX), 2).molecule.empty_grids
    with pytest.raises(ShapeError, match="beyond the band limit"):
        problem.found()
