"""Grids of a search, and problems made of its sums."""

import numpy as np
import pytest

from examples import one_ball, pretzel_like, random_data, scene
from napari_hypermol.coordinates.rotations import angles_between, rotation_grid
from napari_hypermol.imaging import projector
from napari_hypermol.imaging.shift import shift_phases
from napari_hypermol.posterior.likelihood import image_adjoint, normal_operator
from napari_hypermol.runs import device_images, grid_search
from napari_hypermol.runs.device_images import DeviceImages
from napari_hypermol.runs.grid_search import (
    SearchGrid,
    explained_by_sums,
    grid_problem,
    random_grid,
    search_images,
    search_target,
    shift_grid,
)
from napari_hypermol.runs.stage_problem import Estimate
from napari_hypermol.samplers.search import SearchSums, search

BOX, RADIUS, N = 16, 5.0, 12


# ---- grids -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("std", "spacing"), [(2.0, 1.0), (0.6, 1.0), (1.5, 0.4), (0.2, 1.0)])
def test_shifts_are_a_lattice_within_three_deviations(std, spacing):
    grid, log_prior = shift_grid(std, spacing)
    assert (np.linalg.norm(grid, axis=1) <= 3 * std).all()
    lattice = grid / spacing
    np.testing.assert_allclose(lattice, np.rint(lattice), atol=1e-12)
    assert len(np.unique(np.rint(lattice), axis=0)) == len(grid)
    # the lattice has one point for each cell of the disc, less what its edge cuts off
    assert len(grid) >= 0.8 * np.pi * (3 * std / spacing - 1) ** 2
    assert (grid == 0).all(axis=1).any()
    assert np.exp(log_prior).sum() == pytest.approx(1)


def test_prior_of_shifts_has_its_deviation():
    grid, log_prior = shift_grid(2.0, 0.5)
    variance = np.exp(log_prior) @ grid**2
    # cut off at three deviations, a normal in the plane loses a twentieth of its variance
    np.testing.assert_allclose(np.sqrt(variance), 2.0, rtol=0.05)
    ratio = log_prior[:, None] - log_prior
    expected = -0.5 * ((grid**2).sum(axis=1)[:, None] - (grid**2).sum(axis=1)) / 4.0
    np.testing.assert_allclose(ratio, expected, atol=1e-12)


def test_a_grid_is_that_of_its_order_turned_as_a_whole(rng):
    grid, still = random_grid(rng, 0, 1.0, 1.0), rotation_grid(0)
    assert grid.rotations.shape == still.shape
    turns = still.swapaxes(1, 2) @ grid.rotations
    np.testing.assert_allclose(turns, np.tile(turns[0], (len(turns), 1, 1)), atol=1e-12)
    assert angles_between(turns[0], np.eye(3)) > 0.01
    other = random_grid(rng, 0, 1.0, 1.0)
    assert np.abs(other.rotations - grid.rotations).max() > 0.01
    np.testing.assert_array_equal(grid.shifts, shift_grid(1.0, 1.0)[0])


# ---- what is searched with ---------------------------------------------------------------------


@pytest.fixture(params=[one_ball, pretzel_like], ids=["one component", "copies"])
def here(request):
    return scene(request.param(BOX), RADIUS)


@pytest.fixture
def theta(here, rng):
    return rng.normal(size=here.molecule.n_coefficients).astype(np.float32)


@pytest.fixture
def nodes(here, rng):
    return rng.normal(size=(3, sum(here.molecule.n_functions))).astype(np.float32)


@pytest.fixture
def grid(rng):
    return random_grid(rng, 0, 0.7, 1.0)


def slices_of(here, theta, rotations):
    grids = here.molecule.grids(theta)
    turned = rotations.astype(np.float32)
    return projector.forward(turned, grids, here.placements, here.samples)


def close(found, expected, tolerance=1e-5):
    """To rounding of sums in float32."""
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())


def test_a_target_is_the_molecules_slices(here, theta, nodes, grid, rng):
    log_prior = np.log(rng.dirichlet(np.ones(3)))
    target = search_target(here.molecule, theta, nodes, log_prior, grid, here.samples)
    slices = slices_of(here, theta, grid.rotations)
    for t, c in enumerate(nodes):
        close(target.slices[t], slices @ c)
    assert target.slices.flags.c_contiguous
    np.testing.assert_allclose(target.log_prior, log_prior[:, None] + grid.log_prior, atol=1e-5)


def test_phases_undo_shifts(here, theta, nodes, grid):
    target = search_target(here.molecule, theta, nodes, np.zeros(3), grid, here.samples)
    # shifts in pixels, of an Å each
    close(target.phases * shift_phases(grid.shifts, here.samples, 1.0), np.ones_like(target.phases))


# ---- problems from sums ------------------------------------------------------------------------


@pytest.fixture
def sure(here, grid, rng):
    """Images, and the cell that each of them is in: rotation, state, shift; several share one."""
    images = random_data(rng, N, here.samples)
    rotation = rng.choice(rng.integers(0, len(grid.rotations), 5), N)
    return images, rotation, rng.integers(0, 3, N), rng.integers(0, len(grid.shifts), N)


def moved(images, phases):
    """Data with shifts undone."""
    data = (images.data[:, 0] + 1j * images.data[:, 1]) * phases
    return np.stack([data.real, data.imag], axis=1).astype(np.float32)


def sums_of(here, grid, sure):
    """Particle by particle, each with all its mass in its cell."""
    images, rotation, state, shift = sure
    n_k, n_r = images.weights.shape[1], len(grid.rotations)
    data, weights = np.zeros((3, n_r, 2, n_k)), np.zeros((3, n_r, n_k))
    mass, shift_mass = np.zeros((3, n_r)), np.zeros(len(grid.shifts))
    undone = moved(images, np.conj(shift_phases(grid.shifts[shift], here.samples, 1.0)))
    for i in range(N):
        data[state[i], rotation[i]] += undone[i]
        weights[state[i], rotation[i]] += images.weights[i]
        mass[state[i], rotation[i]] += 1
        shift_mass[shift[i]] += 1
    return SearchSums(data.astype(np.float32), weights.astype(np.float32), mass, shift_mass)


@pytest.fixture
def problem(here, grid, nodes, sure):
    n_shells = BOX // 2 + 1
    sums = sums_of(here, grid, sure)
    return grid_problem(sums, grid.rotations, nodes, here.molecule, here.samples, n_shells, 3.0)


def one_by_one(here, grid, nodes, sure):
    """The particles themselves at their cells, and their moments."""
    images, rotation, state, shift = sure
    undone = moved(images, np.conj(shift_phases(grid.shifts[shift], here.samples, 1.0)))
    at = np.ascontiguousarray(grid.rotations[rotation], dtype=np.float32)
    c = nodes[state]
    return images._replace(data=undone, rotations=at), c, c[:, :, None] * c[:, None, :]


def test_normal_equations_are_those_of_the_particles(here, theta, nodes, grid, sure, problem):
    found, posterior = problem
    assert len(found.images.weights) < N  # cells with nobody are left out, shared ones are one
    images, first, second = one_by_one(here, grid, nodes, sure)
    layout = here.molecule.empty_grids
    arguments = (here.placements, here.samples)
    close(
        image_adjoint(found.images, posterior.first, layout, *arguments),
        image_adjoint(images, first, layout, *arguments),
    )
    grids = here.molecule.grids(theta)
    close(
        normal_operator(found.images, posterior.second, grids, *arguments),
        normal_operator(images, second, grids, *arguments),
    )
    # and so are the mean weights that spectra are estimated from
    own = np.zeros(BOX // 2 + 1)
    np.add.at(own, here.samples.shells, images.weights.sum(axis=0))
    count = np.bincount(here.samples.shells, here.samples.weights, len(own))
    close(found.mean_weights.sum(axis=0), own / np.maximum(count, 1e-12))


def test_explained_power_is_that_of_the_particles(here, theta, nodes, grid, sure, problem):
    """2 Re conj(A c) D - W |A c|^2, sample by sample."""
    estimate = Estimate(theta, [], np.ones((2, BOX // 2 + 1)), 0.0)
    found = explained_by_sums(*problem, estimate)
    images, first, _ = one_by_one(here, grid, nodes, sure)
    slices = np.einsum("nkq,nq->nk", slices_of(here, theta, images.rotations), first)
    data = images.data[:, 0] + 1j * images.data[:, 1]
    values = 2 * (np.conj(slices) * data).real - images.weights * np.abs(slices) ** 2
    expected = np.zeros(BOX // 2 + 1)
    np.add.at(expected, here.samples.shells, values.sum(axis=0))
    close(found, expected)


def test_cells_with_next_to_nothing_are_left_out(here, grid, nodes, sure):
    sums = sums_of(here, grid, sure)
    sums = sums._replace(mass=sums.mass + 5e-4)
    arguments = (grid.rotations, nodes, here.molecule, here.samples, BOX // 2 + 1, 3.0)
    few, _ = grid_problem(sums, *arguments)
    everything, _ = grid_problem(sums, *arguments, negligible=0.0)
    assert len(few.images.weights) == len(np.unique(sure[1] + 1000 * sure[2]))
    assert len(everything.images.weights) == sums.mass.size


def test_a_search_puts_noiseless_images_where_they_come_from(here, theta, nodes, grid, rng):
    """Cell, shift and state of images made of the target itself; then their sums."""
    target = search_target(here.molecule, theta, nodes, np.zeros(3), grid, here.samples)
    rotation, state = rng.integers(0, len(grid.rotations), N), rng.integers(0, 3, N)
    shift = rng.integers(0, len(grid.shifts), N)
    images = random_data(rng, N, here.samples)
    signal = target.slices[state, rotation] * np.conj(target.phases[shift])
    weights = 1e4 / np.mean(np.abs(signal) ** 2) * images.weights
    data = weights * signal
    whitened = np.stack([data.real, data.imag], axis=1).astype(np.float32)
    cells, sums = search(whitened, weights.astype(np.float32), target)
    np.testing.assert_array_equal(cells.rotations[:, 0], rotation)
    np.testing.assert_array_equal(cells.states[:, 0], state)
    np.testing.assert_array_equal(cells.shifts[:, 0], shift)
    assert sums.mass.sum() == pytest.approx(N, rel=1e-3)
    images = images._replace(data=whitened, weights=weights.astype(np.float32))
    expected = sums_of(here, grid, (images, rotation, state, shift))
    close(sums.data, expected.data, 1e-4)
    close(sums.weights, expected.weights, 1e-4)


def test_a_grid_is_a_value(grid):
    assert isinstance(grid, SearchGrid)
    assert len(grid.shifts) == len(grid.log_prior)


# ---- where the images are ------------------------------------------------------------------------


@pytest.fixture
def posed(here, theta, nodes, grid, rng):
    """Images, and a target they are compared with."""
    target = search_target(here.molecule, theta, nodes, np.zeros(3), grid, here.samples)
    return random_data(rng, N, here.samples), target


def found_alike(found, expected):
    np.testing.assert_array_equal(found[0].rotations, expected[0].rotations)
    np.testing.assert_allclose(found[0].log_weights, expected[0].log_weights, atol=1e-4)
    assert (found[1] is None) == (expected[1] is None)
    for one, two in zip(found[1] or (), expected[1] or (), strict=True):
        assert isinstance(one, np.ndarray)
        close(one, two, 1e-4)


@pytest.mark.parametrize("with_sums", [True, False])
@pytest.mark.parametrize("batch", [N, 5, 1])
def test_a_search_on_the_device_is_that_of_the_processor(cupy, posed, batch, with_sums):
    images, target = posed
    device = DeviceImages(images)
    device.batch = batch
    how = (target, "marginal", 2, with_sums)
    found_alike(search_images(device, *how), search_images(images, *how))


def test_a_search_that_the_device_cannot_hold_is_one_in_smaller_batches(cupy, posed, monkeypatch):
    class Full(Exception):
        pass

    lengths = []

    def searched(data, *rest, **more):
        lengths.append(len(data))
        if len(data) > 3:
            raise Full
        return search(data, *rest, **more)

    images, target = posed
    expected = search_images(images, target)
    monkeypatch.setattr(device_images, "DEVICE_OUT_OF_MEMORY", (Full,))
    monkeypatch.setattr(grid_search, "search", searched)
    found_alike(search_images(DeviceImages(images), target), expected)
    assert lengths == [12, 6, 3, 3, 3, 3]
