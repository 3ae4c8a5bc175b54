"""A GPU gives what the processor gives, in batches that fit; here on a pretended one."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from examples import pretzel_like, random_data, random_rotations, scene
from napari_hypermol import backend
from napari_hypermol.errors import ShapeError
from napari_hypermol.io import read_particles, read_star
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior import likelihood_cuda, pose_information_cuda
from napari_hypermol.posterior.collapsed import PosePrior
from napari_hypermol.runs import coefficient_step, device_images, gridded_normal, recover
from napari_hypermol.runs.chunks import stage_problem, starting_noise
from napari_hypermol.runs.coefficient_step import maximisation
from napari_hypermol.runs.device_images import DeviceImages
from napari_hypermol.runs.fourier_stack import read_fourier_stack
from napari_hypermol.runs.gridded_normal import GriddedNormal
from napari_hypermol.runs.initial_model import InitialSettings, initial_model
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.noise_step import updated_noise
from napari_hypermol.runs.pose_guide import fresh_guide
from napari_hypermol.runs.pose_step import PoseSettings, pose_step
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.sweep import expectation, state_tables
from small_runs import BRIEF, TINY, simulated

N = 11


@pytest.fixture
def problem(rng):
    here = scene(pretzel_like(16), 5.0)
    images = random_data(rng, N, here.samples)
    means = rng.uniform(0.5, 1, size=(N, images.power.shape[1]))
    return StageProblem(images, here.molecule, here.samples, means, 3.0, np.zeros((N, 2)))


@pytest.fixture
def estimate(problem, rng):
    theta = rng.normal(size=problem.molecule.n_coefficients).astype(np.float32)
    spectra = [
        np.ones((q, basis.n_shells))
        for (q, _), basis in zip(problem.molecule.set_shapes, problem.molecule.bases, strict=True)
    ]
    noise = np.ones((1, problem.images.power.shape[1]))
    return Estimate(theta, spectra, noise, 0.1)


def there(problem):
    return replace(problem, images=DeviceImages(problem.images))


def swept(problem, estimate):
    tables = state_tables(problem.molecule)
    posterior = expectation(problem, estimate, tables, np.random.default_rng(1))
    solved, _ = maximisation(problem, estimate, posterior, 3)
    brief, _ = maximisation(problem, estimate, posterior, 3, is_brief=True, updates_noise=True)
    return posterior, solved, updated_noise(problem, solved, posterior), brief


def agree(found, expected):
    np.testing.assert_allclose(found[0].state_mean, expected[0].state_mean, atol=1e-4)
    np.testing.assert_allclose(found[0].second, expected[0].second, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found[0].log_evidence, expected[0].log_evidence, rtol=1e-4)
    error = np.linalg.norm(found[1].theta - expected[1].theta)
    assert error < 1e-3 * np.linalg.norm(expected[1].theta)
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-3)
    np.testing.assert_allclose(found[3].noise, expected[3].noise, rtol=1e-3)
    error = np.linalg.norm(found[3].theta - expected[3].theta)
    assert error < 1e-3 * np.linalg.norm(expected[3].theta)
    assert isinstance(found[0].state_mean, np.ndarray)


@pytest.mark.parametrize("batch", [N, 4, 1])
def test_a_sweep_in_batches_is_that_of_the_processor(cupy, problem, estimate, batch):
    device = there(problem)
    device.images.batch = batch
    agree(swept(device, estimate), swept(problem, estimate))


def test_images_are_moved_once_where_there_is_room(cupy, problem, estimate, monkeypatch):
    moves = []
    monkeypatch.setattr(
        device_images, "as_device", lambda x: moves.append(x.shape) or backend.as_device(x)
    )
    device = there(problem)
    second = np.ones((N, *2 * (sum(problem.molecule.n_functions),)), dtype=np.float32)
    for _ in range(3):
        device.normal(estimate.theta, second)
    assert moves.count(problem.images.data.shape) == 1
    assert moves.count(second.shape) == 3


def test_images_larger_than_the_device_are_moved_each_time(cupy, problem, estimate, monkeypatch):
    size = sum(column.nbytes for column in problem.images)
    monkeypatch.setattr(device_images, "free_device_memory", lambda: size)
    device = there(problem)
    assert device.images.batch == int(0.1 * N)  # two are there at once
    agree(swept(device, estimate), swept(problem, estimate))
    assert not device.images._there


@pytest.mark.parametrize("stays", [True, False])
def test_curvature_from_some_in_batches(cupy, problem, estimate, stays, monkeypatch):
    """Where images come each time, none but those; where they stay, batches may hold none."""
    monkeypatch.setattr("napari_hypermol.runs.stage_problem._SOME", 2)
    width = sum(problem.molecule.n_functions)
    c = np.random.default_rng(3).normal(size=(N, width))
    second = np.einsum("nq,np->nqp", c, c).astype(np.float32)
    device = there(problem)
    device.images.batch, device.images.stays = 2, stays
    expected = problem.curvature(estimate.theta, second, is_rough=True)
    assert expected != pytest.approx(problem.curvature(estimate.theta, second), rel=1e-3)
    found = device.curvature(estimate.theta, second, is_rough=True)
    assert found == pytest.approx(expected, rel=1e-4)


class Full(Exception):
    pass


def out_of_memory_above(monkeypatch, n):
    """A device on which moments of more than n particles do not fit."""

    def moved(x):
        if x.ndim == 3 and x.shape[1] == x.shape[2] and len(x) > n:
            raise Full
        return backend.as_device(x)

    monkeypatch.setattr(device_images, "DEVICE_OUT_OF_MEMORY", (Full,))
    monkeypatch.setattr(device_images, "as_device", moved)
    monkeypatch.setattr(device_images, "release_device_memory", lambda: None)


def test_the_batch_is_halved_when_memory_runs_out(cupy, problem, estimate, monkeypatch):
    second = np.tile(np.eye(sum(problem.molecule.n_functions), dtype=np.float32), (N, 1, 1))
    expected = problem.normal(estimate.theta, second)
    out_of_memory_above(monkeypatch, 3)
    device = there(problem)
    found = device.normal(estimate.theta, second)
    assert device.images.batch == 2  # 11, 5, 2
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * abs(expected).max())


def stepped(problem, estimate, n_steps=4):
    settings = PoseSettings("refine", "refine", 0.5, 3.0)
    n, rng = len(problem.shifts), np.random.default_rng(5)
    about = PosePrior(random_rotations(rng, n).astype(np.float32), 4.0, np.zeros((n, 2)), 1.0)
    weak = estimate._replace(theta=0.1 * estimate.theta)
    return pose_step(problem, weak, None, about, settings, rng, n_steps)


@pytest.mark.parametrize("batch", [N, 4])
def test_poses_take_the_same_steps_and_stay_there(cupy, problem, estimate, batch, monkeypatch):
    expected, info = stepped(problem, estimate)
    device = there(problem)
    device.images.batch = batch
    found, own = stepped(device, estimate)
    np.testing.assert_allclose(own.acceptance_rate, info.acceptance_rate, atol=1e-12)
    assert 0 < info.acceptance_rate.mean() < 1
    np.testing.assert_allclose(found.shifts, expected.shifts, atol=1e-4)
    assert isinstance(found.images, DeviceImages)
    for images in (found.images.host, found.here()[1]):
        np.testing.assert_allclose(images.rotations, expected.images.rotations, atol=1e-5)
        np.testing.assert_allclose(images.data, expected.images.data, atol=1e-4)
    np.testing.assert_array_equal(device.images.host.data, problem.images.data)
    moves = []
    monkeypatch.setattr(
        device_images, "as_device", lambda x: moves.append(x.shape) or backend.as_device(x)
    )
    again, expected_again = stepped(found, estimate), stepped(expected, estimate)
    assert not [shape for shape in moves if shape[1:] == problem.images.data.shape[1:]]
    np.testing.assert_allclose(again[0].shifts, expected_again[0].shifts, atol=1e-4)


def test_poses_of_images_larger_than_the_device(cupy, problem, estimate, monkeypatch):
    size = sum(column.nbytes for column in problem.images)
    monkeypatch.setattr(device_images, "free_device_memory", lambda: size)
    found, _ = stepped(there(problem), estimate)
    assert not found.images._there
    np.testing.assert_allclose(found.shifts, stepped(problem, estimate)[0].shifts, atol=1e-4)


def test_poses_of_more_functions_than_the_device_takes_are_moved_here(
    cupy, problem, estimate, monkeypatch
):
    monkeypatch.setattr("napari_hypermol.runs.pose_step.is_possible", lambda *sizes: False)
    found, _ = stepped(there(problem), estimate)
    assert isinstance(found.images, DeviceImages)
    np.testing.assert_array_equal(found.shifts, stepped(problem, estimate)[0].shifts)


def guided(problem, estimate):
    rng, n = np.random.default_rng(6), len(problem.shifts)
    dims = sum(len(problem.molecule.kinds(m)) for m in range(len(problem.molecule.components)))
    about = PosePrior(random_rotations(rng, n).astype(np.float32), 4.0, np.zeros((n, 2)), 1.0)
    contrasts, states = rng.uniform(0.5, 1.5, n), rng.random((n, dims))
    return fresh_guide(problem, estimate, about, contrasts, states)


@pytest.mark.parametrize("batch", [N, 4])
def test_guides_of_poses_are_those_of_the_processor(cupy, problem, estimate, batch, monkeypatch):
    expected = guided(problem, estimate)
    device = there(problem)
    device.images.batch = batch
    monkeypatch.setattr(type(device), "here", None)  # images stay where they are
    found = guided(device, estimate)
    assert found.weight == expected.weight
    for name, one, other in zip(found.poses._fields, found.poses, expected.poses, strict=True):
        assert isinstance(one, np.ndarray)
        np.testing.assert_allclose(one, other, atol=1e-4 * abs(other).max(), err_msg=name)


def test_guides_of_more_functions_than_the_device_takes_are_made_here(
    cupy, problem, estimate, monkeypatch
):
    monkeypatch.setattr(pose_information_cuda, "is_possible", lambda *sizes: False)
    for one, other in zip(
        guided(there(problem), estimate).poses, guided(problem, estimate).poses, strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def no_room(monkeypatch):
    out_of_memory_above(monkeypatch, 0)


NO_ROOM = pytest.mark.filterwarnings("ignore:the molecule is too large for the GPU")


def test_no_room_for_one_is_said(cupy, problem, estimate, no_room):
    second = np.ones((N, *2 * (sum(problem.molecule.n_functions),)), dtype=np.float32)
    device = there(problem)
    with pytest.warns(UserWarning, match="too large for the GPU .*no room for a single particle"):
        found = device.normal(estimate.theta, second)
    assert not device.images.has_room
    assert device.images.batch > N
    np.testing.assert_allclose(found, problem.normal(estimate.theta, second), rtol=1e-6)


@NO_ROOM
def test_room_that_is_lost_between_batches(cupy, problem, estimate, monkeypatch):
    """What the device has summed up is not lost."""
    second = np.ones((N, *2 * (sum(problem.molecule.n_functions),)), dtype=np.float32)
    device, moves = there(problem), []
    device.images.batch = 4

    def moved(x):
        if x.ndim == 3 and x.shape[1] == x.shape[2]:
            moves.append(len(x))
            if len(moves) > 1:
                raise Full
        return backend.as_device(x)

    monkeypatch.setattr(device_images, "DEVICE_OUT_OF_MEMORY", (Full,))
    monkeypatch.setattr(device_images, "as_device", moved)
    found = device.normal(estimate.theta, second)
    assert moves[:2] == [4, 4]
    assert not device.images.has_room
    expected = problem.normal(estimate.theta, second)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * abs(expected).max())
    scaled = device.with_noise(np.ones_like(estimate.noise), 2 * estimate.noise)
    assert not scaled.images.has_room


def test_more_functions_than_a_block_has_room_for(cupy, problem, estimate, monkeypatch):
    def too_many(*sizes, **more):
        raise ShapeError("too many for the GPU")

    monkeypatch.setattr(likelihood_cuda, "plan", too_many)
    device = there(problem)
    with pytest.warns(UserWarning, match="too many for the GPU.*so the processors"):
        b, g = device.overlaps(estimate.theta)
    expected = problem.overlaps(estimate.theta)
    np.testing.assert_allclose(b, expected[0], rtol=1e-6)
    np.testing.assert_allclose(g, expected[1], rtol=1e-6)


@NO_ROOM
def test_sweeps_without_room_are_those_of_the_processor(cupy, problem, estimate, monkeypatch):
    """The moments of a solve do not fit, where those before it did: it has begun there."""
    device, seen = there(problem), []
    out_of_memory_above(monkeypatch, 0)
    normal = device_images.DeviceImages.total
    monkeypatch.setattr(
        device_images.DeviceImages, "total",
        lambda self, *args: seen.append(self.has_room_for_solves) or normal(self, *args),
    )  # fmt: skip
    agree(swept(device, estimate), swept(problem, estimate))
    assert not device.images.has_room
    assert any(seen)


@NO_ROOM
def test_poses_and_guides_without_room(cupy, problem, estimate, monkeypatch):
    device = there(problem)
    device.images.has_room = False
    found, own = stepped(device, estimate)
    expected, info = stepped(problem, estimate)
    np.testing.assert_array_equal(own.acceptance_rate, info.acceptance_rate)
    np.testing.assert_array_equal(found.shifts, expected.shifts)
    np.testing.assert_array_equal(found.images.host.data, expected.images.data)
    assert not found.images.has_room
    for one, other in zip(
        guided(device, estimate).poses, guided(problem, estimate).poses, strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_what_goes_wrong_on_the_processor_is_not_taken_for_no_room(
    cupy, problem, estimate, monkeypatch
):
    device = there(problem)
    device.images.has_room = False
    monkeypatch.setattr(device_images, "DEVICE_OUT_OF_MEMORY", (Full,))

    def fails(*args):
        raise Full

    with pytest.raises(Full):
        device.images.each(fails)


def test_theta_comes_out_where_it_went_in(cupy, problem, estimate):
    device, n_q = there(problem), sum(problem.molecule.n_functions)
    second = np.tile(np.eye(n_q, dtype=np.float32), (N, 1, 1))
    first = np.ones((N, n_q), dtype=np.float32)
    assert device.solves_on_device
    assert not problem.solves_on_device
    theta = estimate.theta
    for call in (
        lambda p, x: p.normal(x, second),
        lambda p, x: p.residual(x, first, second),
        lambda p, x: p.adjoint(first, on_device=not isinstance(x, np.ndarray)),
    ):
        expected, here, far = call(problem, theta), call(device, theta), None
        assert isinstance(here, np.ndarray)
        far = call(device, backend.as_device(theta))
        assert isinstance(far, cupy.ndarray)
        scale = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(here, expected, atol=scale)
        np.testing.assert_allclose(backend.as_numpy(far), expected, atol=scale)


def test_solves_are_done_on_the_device(cupy, problem, estimate, monkeypatch):
    kinds = set()
    whole = GriddedNormal.__call__

    def spied(self, theta):
        kinds.add(type(theta))
        return whole(self, theta)

    monkeypatch.setattr(GriddedNormal, "__call__", spied)
    swept(there(problem), estimate)
    assert kinds == {cupy.ndarray}


def test_a_stand_in_that_the_device_has_no_room_for(cupy, problem, estimate, monkeypatch):
    """Coefficients are solved for without it, as in main memory."""
    monkeypatch.setattr(gridded_normal, "free_device_memory", lambda: 1000)
    monkeypatch.setattr(gridded_normal, "is_in_memory", lambda size: False)
    agree(swept(there(problem), estimate), swept(problem, estimate))


@pytest.mark.parametrize("where", ["stand-in", "adjoint of the grids"])
def test_a_solve_that_the_device_has_no_room_for_is_done_here(
    cupy, problem, estimate, monkeypatch, where
):
    def full_if_there(whole):
        def call(self, x):
            if isinstance(x, cupy.ndarray):
                raise Full
            return whole(self, x)

        return call

    if where == "stand-in":
        whole = GriddedNormal.__call__
        monkeypatch.setattr(GriddedNormal, "__call__", full_if_there(whole))
    else:
        whole = LinearMolecule.grids_adjoint
        monkeypatch.setattr(LinearMolecule, "grids_adjoint", full_if_there(whole))
    monkeypatch.setattr(coefficient_step, "DEVICE_OUT_OF_MEMORY", (Full,))
    device = there(problem)
    agree(swept(device, estimate), swept(problem, estimate))
    assert not device.solves_on_device


def test_priors_of_densities_go_with_solves_on_the_device(cupy, problem, estimate):
    """They are in main memory: theta goes there and back."""
    further = [[SmoothPrior(0.5)], []]
    posterior = expectation(
        problem, estimate, state_tables(problem.molecule), np.random.default_rng(1)
    )
    found, expected, bare = (
        maximisation(p, estimate, posterior, 3, further=f)[0].theta
        for p, f in ((there(problem), further), (problem, further), (problem, ()))
    )
    assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)
    assert np.linalg.norm(bare - expected) > 0.02 * np.linalg.norm(expected)


class SmoothPrior:
    """Normal, of one precision everywhere."""

    is_quadratic = True

    def __init__(self, precision):
        self._precision = np.float32(precision)

    def curvature(self, coefficients):
        return lambda x: self._precision * x

    def gradient(self, coefficients):
        return -self._precision * coefficients


def test_other_problems_made_from_it(cupy, problem):
    device = there(problem)
    assert device.here()[1] is problem.images
    rows = np.array([5, 2])
    np.testing.assert_array_equal(device.of(rows).images.data, problem.images.data[rows])
    ones = np.ones((1, problem.images.power.shape[1]))
    scaled = device.with_noise(ones, 2 * ones)
    assert isinstance(scaled.images, DeviceImages)
    np.testing.assert_allclose(scaled.here()[1].data, problem.images.data / 2)


def test_stages_of_a_stack_for_the_device_work_there(cupy, tiny_run):
    particles = read_particles(tiny_run.data / "particles.star").particles
    stack = replace(read_fourier_stack(particles, 6.0), device="cuda")
    noise = starting_noise(particles, stack)
    molecule = scene(pretzel_like(24), 6.0).molecule
    problem = stage_problem(particles, stack, molecule, 6.0, noise, np.arange(60))
    assert isinstance(problem.images, DeviceImages)


def test_a_run_on_the_device_is_that_of_the_processor(cupy, tmp_path):
    data = simulated(tmp_path / "data", TINY._replace(n=24), schedule=BRIEF)
    tables = []
    for device in ("cpu", "cuda"):
        job = Job(data / "particles.star", tmp_path / device, data / "recipe.yaml", device=device)
        run = reconstruct(job)
        assert run.metrics["device"] == device
        tables.append(read_star(run.path / "particles.star")["particles"])
    for column in tables[0]:
        if column.startswith("hypermol"):
            one, two = (np.asarray(table[column], dtype=float) for table in tables)
            np.testing.assert_allclose(two, one, rtol=2e-3, atol=2e-3, err_msg=column)


def test_a_run_from_nothing_searches_on_the_device(cupy, tmp_path, monkeypatch, device_searches):
    brief = partial(initial_model, settings=InitialSettings(1, ((5.0, 2, 24),), 0))
    monkeypatch.setattr(recover, "initial_model", brief)
    whole = {"all": {"support": {"ball": {"radius": 80}}}}
    mean = {"resolution": 24, "degree": 0, "sweeps": 1}
    plan = TINY._replace(n=24, poses="none")
    latents = {"rotation": "search", "shift": "search", "search": {"starts": 2}}
    data = simulated(tmp_path / "data", plan, components=whole, schedule=[mean], latents=latents)
    recipe = data / "recipe.yaml"
    run = reconstruct(Job(data / "particles.star", tmp_path / "run", recipe, device="cuda"))
    # of two starts the second batch and those held out; everybody
    assert device_searches == [22, 22, 2, 2, 24]
    rotations, _ = run.read_poses()
    assert len(np.unique(rotations.round(4), axis=0)) > 0.9 * plan.n
