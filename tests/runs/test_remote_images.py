"""Three processes give what one does: sums to rounding, poses and states alike, killed or not."""

import os
import pickle
import signal
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from napari_hypermol.errors import DeviceError
from napari_hypermol.io import read_particles, read_star
from napari_hypermol.runs.chunks import renewed_problem, stage_problem, starting_noise
from napari_hypermol.runs.coefficient_step import maximisation, precisions
from napari_hypermol.runs.executors import DaskExecutor, executor_at
from napari_hypermol.runs.fourier_stack import read_fourier_stack
from napari_hypermol.runs.from_recipe import composite_of
from napari_hypermol.runs.image_work import brought, scaled, spread
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.noise_step import updated_noise
from napari_hypermol.runs.pose_guide import fresh_guide
from napari_hypermol.runs.pose_prior import pose_prior
from napari_hypermol.runs.pose_step import PoseSettings, pose_step
from napari_hypermol.runs.recipe_text import read_recipe
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.remote_images import Spread
from napari_hypermol.runs.stage_problem import Estimate
from napari_hypermol.runs.sweep import (
    expectation,
    state_tables,
)
from small_clusters import cluster_of

RADIUS = 6.0
# float32 sums of some thousand products in another order
CLOSE = {"rtol": 2e-4, "atol": 2e-5}


@pytest.fixture(scope="module")
def cluster():
    with cluster_of(3) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def executor(cluster):
    with executor_at(cluster.scheduler_address) as executor:
        yield executor


class Both:
    """The same problem in this process and at three workers, some chunks each."""

    def __init__(self, folder, executor):
        particles = read_particles(folder / "particles.star").particles
        self.particles = particles._replace(images=particles.images.rechunk((7, -1, -1)))
        self.rows = np.arange(len(particles.shifts))
        self.stacks = [
            read_fourier_stack(self.particles, 8.0),
            read_fourier_stack(self.particles, 8.0, executor=executor),
        ]
        composite = composite_of(read_recipe(folder / "recipe.yaml"), folder, 24, 8.0)
        self.molecule = composite.discretise(RADIUS, 1)
        self.noise = starting_noise(self.particles, self.stacks[0])
        self.here, self.there = self.problems(self.rows)
        draw = np.random.default_rng(5)
        theta = draw.normal(size=self.molecule.n_coefficients).astype(np.float32)
        spectra = [np.ones((q, b.n_shells)) for (q, _), b in
                   zip(self.molecule.set_shapes, self.molecule.bases, strict=True)]  # fmt: skip
        self.estimate = Estimate(theta, spectra, self.noise, 0.1)

    def problems(self, rows):
        return [
            stage_problem(self.particles, stack, self.molecule, RADIUS, self.noise, rows)
            for stack in self.stacks
        ]


@pytest.fixture(scope="module")
def both(tiny_run, executor):
    return Both(tiny_run.data, executor)


def same_images(one, two):
    for name, mine, other in zip(one._fields, one, two, strict=True):
        np.testing.assert_array_equal(mine, other, err_msg=name)


def test_there_are_several_chunks_and_they_are_not_here(both, executor):
    assert executor.n_workers() == 3
    assert len(both.there.images._chunks) > 3
    assert not hasattr(both.there.images, "data")


def test_images_brought_here_are_those_of_one_process(both):
    same_images(both.there.here()[1], both.here.images)
    np.testing.assert_array_equal(both.there.mean_weights, both.here.mean_weights)
    np.testing.assert_array_equal(both.stacks[1].power, both.stacks[0].power)


def test_rows_in_any_order_and_twice(both):
    rows = np.array([50, 3, 3, 17, 59, 0])
    same_images(both.there.of(rows).images, both.here.of(rows).images)


def test_a_half_is_a_problem_of_its_own(both):
    here, there = both.problems(both.rows[1::2])
    same_images(there.here()[1], here.images)


def test_other_noise_and_other_poses(both):
    new = 1.7 * both.noise
    here, there = (p.with_noise(both.noise, new) for p in (both.here, both.there))
    for name in ("data", "weights"):
        np.testing.assert_allclose(
            getattr(there.here()[1], name), getattr(here.images, name), rtol=1e-5, atol=1e-6
        )
    turned = both.here.rotations[::-1].copy()
    moved = [
        renewed_problem(
            replace(p, images=im, shifts=p.shifts[::-1]), both.noise, both.particles, stack,
            RADIUS, both.rows,
        )
        for p, im, stack in zip(
            (both.here, both.there),
            (both.here.images._replace(rotations=turned),
             both.there.images.at(turned, both.there.shifts[::-1])),
            both.stacks, strict=True,
        )
    ]  # fmt: skip
    same_images(moved[1].here()[1], moved[0].images)


def test_sums_agree_to_rounding(both, rng):
    n, q = len(both.rows), sum(both.molecule.n_functions)
    first = rng.normal(size=(n, q)).astype(np.float32)
    second = first[:, :, None] * first[:, None, :]
    theta = both.estimate.theta
    for one, two in (
        (both.here.adjoint(first), both.there.adjoint(first)),
        (both.here.normal(theta, second), both.there.normal(theta, second)),
    ):
        np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-5 * np.abs(one).max())
    for one, two in zip(both.here.overlaps(theta), both.there.overlaps(theta), strict=True):
        np.testing.assert_allclose(two, one, **CLOSE)


@pytest.mark.parametrize("some", [3, 20])
def test_curvature_from_the_same_particles(both, rng, some, monkeypatch):
    """Few of them: there are workers' chunks that hold none."""
    monkeypatch.setattr("napari_hypermol.runs.stage_problem._SOME", some)
    c = rng.normal(size=(len(both.rows), sum(both.molecule.n_functions)))
    second = np.einsum("nq,np->nqp", c, c).astype(np.float32)
    theta = both.estimate.theta
    expected = both.here.curvature(theta, second, is_rough=True)
    assert expected != pytest.approx(both.here.curvature(theta, second), rel=1e-3)
    for moments in (second, spread(both.there.images, second)):
        found = both.there.curvature(theta, moments, is_rough=True)
        assert found == pytest.approx(expected, rel=1e-4)


def test_a_sweep_agrees_to_rounding(both):
    same_sweep(both)


def same_sweep(both):
    tables = state_tables(both.molecule)
    found = []
    for problem in (both.here, both.there):
        rng = np.random.default_rng(1)
        posterior = expectation(problem, both.estimate, tables, rng)
        kindled = expectation(problem, both.estimate, tables, rng, kindling=3.0)
        solved, info = maximisation(problem, both.estimate, posterior, 4)
        noise = updated_noise(problem, solved, posterior)
        along, _ = maximisation(
            problem, both.estimate, posterior, 4, is_brief=True, updates_noise=True
        )
        found.append((posterior, kindled, solved, info.n_iterations, noise, along.noise))
    one, two = found
    for mine, other in zip(one[:2], two[:2], strict=True):
        np.testing.assert_allclose(other.state_mean, mine.state_mean, atol=1e-4)
        np.testing.assert_allclose(brought(other.second), mine.second, **CLOSE)
        np.testing.assert_allclose(other.log_evidence, mine.log_evidence, rtol=1e-4, atol=1e-3)
    assert two[3] == one[3]
    error = np.linalg.norm(two[2].theta - one[2].theta) / np.linalg.norm(one[2].theta)
    assert error < 1e-3
    for mine, other in zip(one[4:], two[4:], strict=True):
        np.testing.assert_allclose(other, mine, rtol=1e-4)


def test_poses_take_the_same_steps(both):
    settings = PoseSettings("refine", "refine", rotation_std=0.1, shift_std=8.0)
    prior = pose_prior(both.particles, both.rows, settings)
    found = [
        pose_step(problem, both.estimate, None, prior, settings, np.random.default_rng(2), 4)
        for problem in (both.here, both.there)
    ]
    (here, told), (there, same) = found
    # a step that is a coin's toss at rounding may fall otherwise
    agree = np.abs(there.rotations - here.rotations).max(axis=(1, 2)) < 1e-5
    assert agree.mean() > 0.95
    assert told.acceptance_rate.mean() > 0.05
    np.testing.assert_allclose(there.shifts[agree], here.shifts[agree], atol=1e-4)
    np.testing.assert_allclose(same.log_density[agree], told.log_density[agree], rtol=1e-3)
    np.testing.assert_allclose(
        there.here()[1].data[agree], here.images.data[agree], rtol=1e-3, atol=1e-3
    )


def test_workers_killed_while_they_sum_cost_nothing_but_time(both, cluster):
    n, q = len(both.rows), sum(both.molecule.n_functions)
    second = np.tile(np.eye(q, dtype=np.float32), (n, 1, 1))
    expected = both.there.normal(both.estimate.theta, second)
    for _ in range(2):
        victim = next(w.pid for w in cluster.workers.values() if w.pid)
        os.kill(victim, signal.SIGKILL)
        again = both.there.normal(both.estimate.theta.copy(), second)
        np.testing.assert_allclose(again, expected, rtol=1e-6, atol=1e-6 * np.abs(again).max())


def approx_nested(value):
    """Numbers anywhere inside, to rounding."""
    if isinstance(value, dict):
        return {key: approx_nested(item) for key, item in value.items()}
    if isinstance(value, list):
        return [approx_nested(item) for item in value]
    return pytest.approx(value, rel=1e-2, abs=1e-3) if isinstance(value, float) else value


def test_a_run_at_three_workers_is_the_run_of_one(tiny_run, cluster, tmp_path):
    data = tiny_run.data
    job = Job(
        data / "particles.star", tmp_path / "run", data / "recipe.yaml",
        scheduler=cluster.scheduler_address,
    )  # fmt: skip
    run = reconstruct(job)
    assert run.metrics["diagnostics"] == approx_nested(tiny_run.run.metrics["diagnostics"])
    one, two = (read_star(r.path / "particles.star")["particles"] for r in (tiny_run.run, run))
    for column in one:
        if column.startswith("hypermol"):
            values = (np.asarray(table[column], dtype=float) for table in (two, one))
            np.testing.assert_allclose(*values, rtol=1e-3, atol=1e-3, err_msg=column)


def test_work_that_kills_every_worker_is_given_up(tiny_run):
    def deadly(images):  # in here, so that it travels whole: workers know nothing of tests
        os._exit(1)

    with cluster_of(1) as cluster:
        cluster.scheduler.allowed_failures = 1
        with executor_at(cluster.scheduler_address) as executor:
            there = Both(tiny_run.data, executor).there
            with pytest.raises(DeviceError, match=r"died again and again.*memory"):
                there.images.each(deadly)


def test_no_worker_left_is_said(tiny_run):
    with cluster_of(1) as cluster, executor_at(cluster.scheduler_address) as executor:
        impatient = DaskExecutor(executor.client, patience=0.5)
        future = impatient.submit(time.sleep, 30)
        cluster.scale(0)
        with pytest.raises(DeviceError, match=r"no worker for 0 s|no worker for 1 s"):
            impatient.result(future)


def test_moments_stay_with_their_chunks(both):
    tables = state_tables(both.molecule)
    here, there = (
        expectation(p, both.estimate, tables, np.random.default_rng(1))
        for p in (both.here, both.there)
    )
    for name in ("first", "second"):
        kept, expected = getattr(there, name), getattr(here, name)
        assert isinstance(kept, Spread)
        np.testing.assert_allclose(brought(kept), expected, **CLOSE)
        np.testing.assert_allclose(brought(scaled(kept, 0.5)), 0.5 * expected, **CLOSE)
    for one, two in zip(
        precisions(both.here, here.second), precisions(both.there, there.second), strict=True
    ):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-6 * abs(one).max())


def test_workers_with_a_gpu_work_on_it(cupy, tiny_run):
    """Workers in this process, so that they see the device, pretended here."""
    from distributed import LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        executor_at(cluster.scheduler_address) as executor,
    ):
        both = Both(tiny_run.data, executor)
        both.stacks[1] = replace(both.stacks[1], device="cuda")
        both.there = both.problems(both.rows)[1]
        same_sweep(both)
        settings = PoseSettings("refine", "refine", rotation_std=0.1, shift_std=8.0)
        prior = pose_prior(both.particles, both.rows, settings)
        moved, _ = pose_step(
            both.there, both.estimate, None, prior, settings, np.random.default_rng(2), 2
        )
        assert np.isfinite(moved.rotations).all()
        guides = [fresh_guide(p, both.estimate, prior).poses for p in (both.here, both.there)]
        for expected, found in zip(*guides, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-3 * abs(expected).max())
        chunks = executor.results(both.there.images._chunks)
        assert all(chunk._on_device is not None for chunk in chunks)
        again = pickle.loads(pickle.dumps(chunks[0]))
        assert again._on_device is None
        same_images(again.images, chunks[0].images)


def test_one_process_for_every_gpu_needs_dask_cuda(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_cuda", None)
    with pytest.raises(DeviceError, match=r"napari-hypermol\[cluster\]"), executor_at("gpus"):
        pass
