"""Small whole runs of what moves: a hinge that is found, a circle, classes."""

import json
import shutil

import numpy as np
import pytest
import yaml
from scipy.stats import spearmanr

from napari_hypermol.io import read_star
from napari_hypermol.io.mrc import read_volume
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.store import Run
from small_runs import BRIEF, PRETZEL, TINY, recovered, simulated

HINGE = PRETZEL._replace(molecule="hinge", n=300, contrast_std=0.05)
UNIT = HINGE.pixel_size * HINGE.box_size / 64  # [Å] of the unit in which the hinge is written
AXIS = np.array([0.2, 1.0, 0.1]) / np.sqrt(1.05)
PIVOT = np.array([1.5, 0.0, 0.0]) * UNIT / HINGE.pixel_size  # [voxels]
STAGES = [
    {"resolution": 24, "degree": 0, "sweeps": 2},
    {"resolution": 24, "degree": 1, "sweeps": 8},
]


def ball(centre, radius):
    return {"support": {"ball": {"center": [c * UNIT for c in centre], "radius": radius * UNIT}}}


BODIES = {
    "fixed": ball([-7.5, 0, -2], 9),
    "moving": ball([9, 0, 3], 8) | {"trajectory": {"turn": {}}},
}


def angle_between(one, two):
    cosine = abs(one @ two) / np.linalg.norm(one) / np.linalg.norm(two)
    return float(np.degrees(np.arccos(min(cosine, 1.0))))


@pytest.fixture(scope="module")
def hinge(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hinge")
    data = simulated(folder / "data", HINGE, components=BODIES, schedule=STAGES)
    return recovered(data, folder / "run")


def test_a_hinge_is_found(hinge):
    still, found = hinge.run.snapshot.molecule.trajectories
    assert still is None
    # three times what was measured: 1.6 degrees, 0.19 voxels, 19.8 of 20 degrees, 0.993
    assert angle_between(found.turn.axis, AXIS) < 5
    away = found.turn.pivot - PIVOT
    assert np.linalg.norm(away - (away @ AXIS) * AXIS) < 0.6
    assert np.degrees(found.turn.angles[0]) == pytest.approx(20, abs=2)
    truth = read_star(hinge.data / "truth.star")["particles"]["trueState1"].astype(float)
    assert abs(spearmanr(hinge.run.states[:, 0], truth).statistic) > 0.97


def test_maps_along_the_state_are_the_molecules(hinge):
    """The true map at either end, up to the state's direction; blurred by 24 Å and the voxels."""
    ends = [read_volume(hinge.data / "truth" / f"hinge_{i:02d}.mrc").values for i in (2, 18)]
    found = [hinge.run.maps.volume([t]) for t in (0.1, 0.9)]
    alike = np.corrcoef([v.ravel() for v in (*found, *ends)])[:2, 2:]
    same, other = np.sort([alike.trace() / 2, (alike.sum() - alike.trace()) / 2])[::-1]
    assert same > 0.9
    assert other < same - 0.1


def test_the_folder_opens_with_the_trajectory_it_found(hinge):
    again = Run.open(hinge.run.path).snapshot
    kept = hinge.run.snapshot
    for one, two in zip(again.molecule.trajectories, kept.molecule.trajectories, strict=True):
        assert (one is None) == (two is None)
        if one is not None:
            assert one.values() == two.values()
    state = [0.2]
    np.testing.assert_array_equal(again.maps.volume(state), kept.maps.volume(state))
    given = yaml.safe_load((hinge.run.path / "recipe.yaml").read_text())
    assert given["components"]["moving"]["trajectory"]["turn"]["degree"] == 1


def test_a_run_goes_on_with_the_trajectory_it_had(hinge, tmp_path):
    """Killed in its last stage of three, it arrives where it would have."""
    stages = [*STAGES[:1], STAGES[1] | {"sweeps": 3}, STAGES[1] | {"sweeps": 2}]
    data = shutil.copytree(hinge.data, tmp_path / "data")
    recipe = yaml.safe_load((data / "recipe.yaml").read_text()) | {"schedule": stages}
    (data / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    whole = recovered(data, tmp_path / "whole").run
    half = shutil.copytree(whole.path, tmp_path / "half")
    shutil.rmtree(half / "store.zarr" / "snapshot_003")
    resumed = reconstruct(Job(None, half, resume=True))
    assert resumed.snapshots() == [1, 2, 3]
    one, two = (run.snapshot.molecule.trajectories[1].values() for run in (resumed, whole))
    for key in ("axis", "pivot", "angles"):
        # threads add in another order: float32 rounding, amplified by a few sweeps
        np.testing.assert_allclose(one[key], two[key], atol=1e-3)
    np.testing.assert_allclose(resumed.states, whole.states, atol=1e-2)


def test_refinement_begins_where_it_was_told(hinge, tmp_path):
    """A hinge given to 10 degrees and half a voxel, and refined: multi-body refinement."""
    pixel = HINGE.pixel_size
    turn = {
        "axis": [0.35, 1.0, 0.0],
        "pivot": ((PIVOT + np.array([0.3, 0, 0.3])) * pixel).tolist(),
        "range": 25,
        "refine": True,
    }
    bodies = BODIES | {"moving": BODIES["moving"] | {"trajectory": {"turn": turn}}}
    data = shutil.copytree(hinge.data, tmp_path / "data")
    recipe = yaml.safe_load((data / "recipe.yaml").read_text()) | {"components": bodies}
    (data / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    found = recovered(data, tmp_path / "run").run.snapshot.molecule.trajectories[1].turn
    assert found.axis @ AXIS > np.cos(np.radians(5))  # and not the other way round
    assert np.degrees(found.angles[0]) == pytest.approx(20, abs=2)


def test_a_circle_from_end_to_end(tmp_path):
    arm = {"state": {"basis": "fourier", "degree": 1}}
    data = simulated(tmp_path / "data", TINY, schedule=BRIEF)
    recipe = yaml.safe_load((data / "recipe.yaml").read_text())
    recipe["components"]["arm_a"] |= arm
    (data / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    run = recovered(data, tmp_path / "run").run
    assert run.maps.axis_kinds == ("circle", "circle")
    assert ((run.states >= 0) & (run.states < 1)).all()
    assert (run.state_stds <= np.sqrt(1 / 12) + 1e-9).all()
    first, last = run.maps.volume([0.0, 0.5]), run.maps.volume([1.0, 0.5])
    np.testing.assert_allclose(first, last, atol=1e-4 * abs(first).max())
    columns = read_star(run.path / "particles.star")["particles"]
    np.testing.assert_allclose(columns["hypermolState1"].astype(float), run.states[:, 0], atol=1e-5)


def test_three_classes_from_end_to_end(tmp_path):
    """Particles of a continuous motion fall into classes along it."""
    plan = HINGE._replace(n=150)
    whole = ball([0, 0, 0], 26) | {"state": {"basis": "classes", "classes": 3}}
    data = simulated(tmp_path / "data", plan, components={"all": whole}, schedule=STAGES)
    run = recovered(data, tmp_path / "run").run
    assert run.maps.axis_kinds == ("class",)
    middles = np.array([1, 3, 5]) / 6
    assert set(run.states[:, 0].round(6)) <= set(middles.round(6))
    assert ((run.state_stds >= 0) & (run.state_stds <= 2 / 3)).all()
    classes = np.rint(3 * run.states[:, 0] - 0.5).astype(int)
    truth = read_star(data / "truth.star")["particles"]["trueState1"].to_numpy(float)
    spread = sum(truth[classes == k].var() * (classes == k).mean() for k in set(classes))
    # three equal parts of a uniform state leave a ninth of the variance; early maps leave more
    assert spread < 0.5 * truth.var()
    columns = read_star(run.path / "particles.star")["particles"]
    np.testing.assert_allclose(columns["hypermolState1"].astype(float), run.states[:, 0], atol=1e-5)
    assert json.loads((run.path / "metrics.json").read_text())["is_done"]
