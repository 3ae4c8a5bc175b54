from dataclasses import replace

import dask.array as da
import numpy as np
import pytest

from examples import one_ball, pretzel_like, random_rotations
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.errors import ParticleFileError
from napari_hypermol.imaging import projector
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.particles import Optics, Particles
from napari_hypermol.posterior.likelihood import overlaps
from napari_hypermol.runs.chunks import stage_problem
from napari_hypermol.runs.fourier_stack import read_fourier_stack
from napari_hypermol.runs.held_out import (
    check_can_be_predicted,
    log_evidence,
    log_predictive,
    noise_of,
)
from napari_hypermol.runs.snapshot import Snapshot
from napari_hypermol.runs.stage_problem import Estimate
from napari_hypermol.runs.sweep import state_tables
from napari_hypermol.schedules.stage import Stage
from oracles.dft import cube_points, slice_of_points
from oracles.predictive_density import covariance, log_density, picture
from oracles.state_posterior import state_posterior

BOX = 12
OWN, COMMON = 3.0, 4.7  # band limits of the molecule and of the density
SHIFTS = np.array([[1.0, -0.5], [0.0, 0.0], [-0.7, 1.2]])  # [pixels]
PIXEL = 2.0  # [Å]


def particles_of(images, rotations, shifts=None, groups=None, is_premultiplied=False):
    n = len(images)
    flags = np.array([is_premultiplied, False])
    two = np.array([300.0, 300.0])
    return Particles(
        images=da.from_array(images.astype(np.float32), chunks=(n, -1, -1)),
        pixel_size=PIXEL,
        optics=Optics(("a", "b"), two, 1e7 * np.ones(2), 0.1 * np.ones(2), flags),
        optics_group=np.zeros(n, dtype=np.int64) if groups is None else groups,
        defocus=None,
        rotations=rotations,
        shifts=np.zeros((n, 2)) if shifts is None else PIXEL * shifts,
        half_sets=None,
    )


def snapshot_of(composite, theta, noise, radius=OWN, contrast_std=0.2):
    molecule = composite.discretise(radius)
    estimate = Estimate(theta(molecule), [], noise, contrast_std)
    return Snapshot(Stage("s", radius, 1, 1), 1, molecule, estimate, None, 0.0, [])


@pytest.mark.parametrize("contrast_std", [0.0, 0.2])
def test_density_against_the_covariance_of_all_pixels(rng, contrast_std):
    """A band limit inside a shell, noise of two optics groups, shifts, a state, a contrast."""
    images, rotations = rng.normal(size=(3, BOX, BOX)), random_rotations(rng, 3)
    groups = np.array([0, 1, 1])
    particles = particles_of(images, rotations, SHIFTS, groups)
    noise = rng.uniform(0.5, 2.0, size=(2, BOX // 2 + 1))
    # strong enough that states and contrast matter: log evidences of a few nats
    snapshot = snapshot_of(
        one_ball(BOX),
        lambda m: (0.15 * rng.normal(size=m.n_coefficients)).astype(np.float32),
        noise,
        contrast_std=contrast_std,
    )
    stack = read_fourier_stack(particles, COMMON)
    found = log_predictive(particles, stack, snapshot, noise, np.arange(3))

    molecule, samples = snapshot.molecule, stack.samples
    basis = molecule.bases[0]
    spacing = basis.edge / basis.size
    points = cube_points(basis.size, spacing, molecule.centres[0])
    cubes = basis.evaluate(molecule.split(snapshot.estimate.theta)[0]) * spacing**3
    masses = cubes.reshape(len(cubes), -1).T
    frequencies = list(zip(samples.kx.tolist(), samples.ky.tolist(), strict=True))
    is_own = samples.kx**2 + samples.ky**2 <= OWN**2
    assert not is_own.all()
    states = (np.arange(32) + 0.5) / 32
    empties = []
    for i in range(3):
        slices = slice_of_points(points, masses, rotations[i], frequencies, BOX)
        shift = [np.exp(-2j * np.pi * np.dot(k, SHIFTS[i]) / BOX) for k in frequencies]
        slices = slices * (np.array(shift) * is_own)[:, None]
        shown = [
            picture(BOX, frequencies, samples.weights, slices @ [1, np.sqrt(2) * np.cos(np.pi * t)])
            for t in states
        ]
        variances = noise[groups[i], samples.shells]
        cov = covariance(BOX, frequencies, samples.weights, variances)
        # what of the image has these frequencies: the density is over them
        inside = covariance(BOX, frequencies, samples.weights, np.ones(len(frequencies)))
        image = inside @ images[i].ravel()
        expected = log_density(image, cov, shown, contrast_std)
        empties.append(log_density(image, cov, [np.zeros(BOX * BOX)], 0.0))
        # slices are interpolated to about 1 %, of an evidence of a few nats
        assert found[i] == pytest.approx(expected, abs=0.05)
    assert np.abs(found - empties).max() > 1  # the molecule says something


def test_noise_is_what_the_molecule_leaves(rng):
    """White noise of variance 2 on images of a known molecule, inside and beyond its band limit."""
    n = 300
    composite = one_ball(16)
    rotations = random_rotations(rng, n)
    snapshot = snapshot_of(
        composite,
        lambda m: (0.3 * rng.normal(size=m.n_coefficients)).astype(np.float32),
        np.full((2, 9), 1.0),
        radius=4.0,
        contrast_std=0.0,
    )
    molecule, samples = snapshot.molecule, fourier_samples(16, 4.0)
    grids = molecule.grids(snapshot.estimate.theta)
    slices = projector.forward(rotations, grids, Placements(*molecule.placement_arrays), samples)
    frequencies = list(zip(samples.kx.tolist(), samples.ky.tolist(), strict=True))
    functions = np.stack([np.ones(n), np.sqrt(2) * np.cos(np.pi * rng.random(n))], axis=1)
    images = np.array(
        [
            picture(16, frequencies, samples.weights, a @ c).reshape(16, 16)
            for a, c in zip(slices, functions, strict=True)
        ]
    )
    signal = images.var()
    images += np.sqrt(2) * rng.normal(size=images.shape)
    particles = particles_of(images, rotations)
    stack = read_fourier_stack(particles, 7.0)
    assert signal > 0.1  # mean power would be far from the noise
    noise = noise_of(particles, stack, snapshot, np.arange(n))
    # shell 0 holds one number an image: its mean square is known to 2 / sqrt(2 n) of 2
    assert noise[0, 0] == pytest.approx(2, rel=0.25)
    np.testing.assert_allclose(noise[0, 1:8], 2, rtol=0.06)


def test_three_components_are_summed_exactly(rng):
    composite = pretzel_like(16, degree=1)
    third = replace(composite.components[0], state_basis=composite.components[1].state_basis)
    composite = replace(composite, components=(third, *composite.components[1:]))
    rotations = random_rotations(rng, 2)
    particles = particles_of(rng.normal(size=(2, 16, 16)), rotations)
    noise = np.ones((2, 9))
    snapshot = snapshot_of(
        composite,
        lambda m: (0.2 * rng.normal(size=m.n_coefficients)).astype(np.float32),
        noise,
        radius=4.0,
        contrast_std=0.0,
    )
    stack = read_fourier_stack(particles, 4.0)
    problem = stage_problem(particles, stack, snapshot.molecule, 4.0, noise, np.arange(2))
    found = log_evidence(problem, snapshot.estimate)
    grids = problem.molecule.grids(snapshot.estimate.theta)
    b, g = overlaps(problem.images, grids, problem.placements, problem.samples)
    tables = state_tables(snapshot.molecule)
    assert len(tables) == 3
    # every fourth state is enough for loops; the evidence is smooth in the state
    thin = [
        [(t.functions[first::4], np.full(8, -np.log(8)), t.columns) for t in tables]
        for first in (1, 2)
    ]
    for i in range(2):
        around = [
            state_posterior(b[i].astype(float), g[i].astype(float), p, 0.0).log_evidence
            for p in thin
        ]
        assert found[i] == pytest.approx(np.mean(around), abs=0.05 + np.ptp(around))


def test_premultiplied_images_are_refused(rng):
    images, rotations = rng.normal(size=(2, BOX, BOX)), random_rotations(rng, 2)
    check_can_be_predicted(particles_of(images, rotations))
    with pytest.raises(ParticleFileError, match="multiplied by their CTF"):
        check_can_be_predicted(particles_of(images, rotations, is_premultiplied=True))
    # an optics group that no particle is in does not matter
    groups = np.ones(2, dtype=np.int64)
    check_can_be_predicted(particles_of(images, rotations, None, groups, is_premultiplied=True))
