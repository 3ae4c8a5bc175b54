import numpy as np
import pytest

from napari_hypermol.errors import RunFolderError
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.runs.from_recipe import composite_of
from napari_hypermol.runs.halfway import read_halfway, write_halfway
from napari_hypermol.runs.pose_guide import Guide
from napari_hypermol.runs.stage_point import StagePoint, at_poses, rewhitened
from napari_hypermol.runs.trimming import cuts_among
from napari_hypermol.samplers.pose_metropolis import PoseGuide
from small_poses import PIXEL, rigid_stack


def some_guide(n):
    rng = np.random.default_rng(5)
    shapes = (n, 3, 3), (n, 3, 3), (n, 2, 3)
    return Guide(PoseGuide(*(rng.normal(size=s).astype(np.float32) for s in shapes)), 7.5, 4)


@pytest.fixture(scope="module")
def point(mixed_run):
    snapshot = mixed_run.run.snapshot
    noise = snapshot.estimate.noise
    n = len(snapshot.posterior.state_mean)
    return StagePoint(
        stage=snapshot.stage, position=2, sweep=3, estimate=snapshot.estimate,
        posterior=snapshot.posterior, molecule=snapshot.molecule,
        noises=(0.5 * noise, noise),
        rotations=np.tile(np.eye(3, dtype=np.float32), (n, 1, 1)), shifts=np.full((n, 2), 1 / 3),
        trace=[{"stage": "x", "sweep": 1.0, "value": 0.1}],
        random=np.random.default_rng(3).bit_generator.state, edge_share=0.7, guide=some_guide(n),
    )  # fmt: skip


def test_to_disk_and_back(point, mixed_run, tmp_path):
    run = mixed_run.run
    write_halfway(tmp_path, point.halfway())
    halfway, stage = read_halfway(tmp_path), run.snapshot.stage
    composite = composite_of(run.recipe, run.path, run.box_size, run.pixel_size)
    cuts = cuts_among(halfway.facts["n_cuts"], halfway.arrays)
    composite = composite.trimmed(cuts) if cuts else composite
    molecule = composite.discretise(stage.max_radius, stage.max_degree)
    again = StagePoint.of(halfway, stage, molecule, point.noises[0].shape[1])
    for name in ("stage", "position", "sweep", "trace", "random", "edge_share"):
        assert getattr(again, name) == getattr(point, name)
    for name in ("theta", "noise", "contrast_std"):
        np.testing.assert_array_equal(getattr(again.estimate, name), getattr(point.estimate, name))
    for one, two in zip(again.estimate.spectra, point.estimate.spectra, strict=True):
        np.testing.assert_array_equal(one, two)
    for one, two in zip(again.posterior.tables, point.posterior.tables, strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(again.posterior.state_mean, point.posterior.state_mean)
    np.testing.assert_array_equal(again.rotations, point.rotations)
    np.testing.assert_array_equal(again.shifts, point.shifts)
    np.testing.assert_array_equal(again.noises, point.noises)
    one, two = (m.trajectories[2].turn for m in (again.molecule, point.molecule))
    np.testing.assert_array_equal(one.axis, two.axis)
    np.testing.assert_array_equal(one.pivot, two.pivot)
    np.testing.assert_array_equal(one.angles, two.angles)
    assert again.guide[1:] == (7.5, 4)
    for one, two in zip(again.guide.poses, point.guide.poses, strict=True):
        np.testing.assert_array_equal(one, two)
    assert again.generator().random() == np.random.default_rng(3).random()


def test_coefficients_of_another_molecule_are_said(point):
    coarser = point.molecule.components, point.molecule.box_size
    molecule = Composite(*coarser).discretise(3.0, 0)
    with pytest.raises(RunFolderError, match=r"halfway.npz.*coefficients, its stage has"):
        StagePoint.of(point.halfway(), point.stage, molecule, point.noises[0].shape[1])


def test_noise_of_other_shells_is_said(point):
    """As a version wrote it that kept all shells of an image."""
    n_shells = point.noises[0].shape[1]
    with pytest.raises(RunFolderError, match=r"halfway.npz: noise of other shells.*remove it"):
        StagePoint.of(point.halfway(), point.stage, point.molecule, n_shells - 1)


@pytest.fixture(scope="module")
def problem():
    stack = rigid_stack()
    return stack.problem(stack.told)


def test_rewhitened_repeats_every_step(problem):
    noise = np.ones((1, problem.mean_weights.shape[1]))
    noises = [noise, 1.7 * noise, 0.9 * noise]
    stepped = problem.with_noise(noises[0], noises[1]).with_noise(noises[1], noises[2])
    again = rewhitened(problem, noises)
    np.testing.assert_array_equal(again.images.data, stepped.images.data)
    np.testing.assert_array_equal(again.images.weights, stepped.images.weights)
    assert rewhitened(problem, noises[:1]) is problem


def test_at_poses(problem):
    n = len(problem.shifts)
    turned = np.tile(np.diag([1.0, -1.0, -1.0]).astype(np.float32), (n, 1, 1))
    moved = at_poses(problem, turned, np.full((n, 2), PIXEL))
    np.testing.assert_array_equal(moved.images.rotations, turned)
    np.testing.assert_array_equal(moved.shifts, PIXEL)
    assert moved.images.data is problem.images.data
