import json
import shutil

import numpy as np
import pytest
import yaml

from napari_hypermol.errors import RunFolderError
from napari_hypermol.io.mrc import read_volume
from napari_hypermol.io.star import read_star, write_star
from napari_hypermol.runs.run_facts import is_run_folder
from napari_hypermol.runs.store import Run


def test_folder_has_what_is_promised(tiny_run):
    path = tiny_run.run.path
    names = {p.name for p in path.iterdir()}
    assert names == {
        *("recipe.yaml", "run.json", "particles.star", "store.zarr", "volumes", "metrics.json"),
        *("report.html", "log.txt", "status.json", "trace.jsonl"),
    }
    recipe = yaml.safe_load((path / "recipe.yaml").read_text())
    assert {"numpy", "napari-hypermol", "python"} <= recipe["versions"].keys()
    assert recipe["particles"] == str((tiny_run.data / "particles.star").resolve())
    assert "done in" in (path / "log.txt").read_text()


def test_snapshot_is_read_as_it_was(tiny_run):
    run = tiny_run.run
    again = Run.open(run.path).snapshot
    kept = run.snapshot
    assert again.stage == kept.stage
    assert again.position == 2
    np.testing.assert_array_equal(again.estimate.theta, kept.estimate.theta)
    assert again.estimate.theta.dtype == np.float32
    assert len(again.trace) == 5
    assert len(again.posterior.tables) == 2
    np.testing.assert_allclose(again.posterior.tables[0].sum(axis=1), 1, atol=1e-5)
    middles = (np.arange(32) + 0.5) / 32
    np.testing.assert_allclose(again.posterior.tables[1] @ middles, run.states[:, 1], atol=1e-5)


def test_poses_are_those_of_the_written_particles(tiny_run, folder):
    run = Run.open(folder)
    given = run.read_particles().particles
    rotations, shifts = run.read_poses()
    np.testing.assert_array_equal(rotations, given.rotations)
    np.testing.assert_array_equal(shifts, given.shifts)
    blocks = read_star(folder / "particles.star")
    table = blocks["particles"].assign(rlnOriginXAngst=7.0)
    write_star(folder / "particles.star", blocks | {"particles": table}, overwrite=True)
    assert (run.read_poses()[1][:, 0] == -7).all()
    without = blocks | {"particles": table.drop(columns=["rlnAngleTilt"])}
    write_star(folder / "particles.star", without, overwrite=True)
    assert run.read_poses() is None
    (folder / "particles.star").unlink()
    assert run.read_poses() is None


def test_volumes_are_the_maps(tiny_run):
    run = tiny_run.run
    last = read_volume(run.path / "volumes" / "tau2_09.mrc")
    np.testing.assert_allclose(last.values, run.maps.volume([0.5, 1.0]), atol=1e-6)
    assert last.pixel_size == pytest.approx(8.0)


def test_particles_keep_rows_and_columns_and_gain_states(tiny_run):
    run = tiny_run.run
    given = read_star(tiny_run.data / "particles.star")["particles"]
    found = read_star(run.path / "particles.star")["particles"]
    assert list(found.columns[: given.shape[1]]) == list(given.columns)
    assert found["rlnDefocusU"].tolist() == given["rlnDefocusU"].tolist()
    states = found[["hypermolState1", "hypermolState2"]].to_numpy(dtype=float)
    np.testing.assert_allclose(states, run.states, atol=1e-5)
    ranks = np.sort(found["hypermolState1Rank"].astype(float))
    np.testing.assert_allclose(ranks, (np.arange(60) + 0.5) / 60, atol=1e-5)
    contrasts = found["hypermolContrast"].astype(float)
    np.testing.assert_allclose(contrasts, run.contrasts, atol=1e-5)


def test_columns_of_every_kind(mixed_run):
    run = mixed_run.run
    found = read_star(run.path / "particles.star")["particles"]
    own = [name for name in found.columns if name.startswith("hypermolState")]
    assert own == [
        *("hypermolState1", "hypermolState1Std"),  # a circle has no order to rank
        *("hypermolState2", "hypermolState2Std", "hypermolState2Class"),
        *("hypermolState3", "hypermolState3Std", "hypermolState3Rank"),
    ]
    classes = found["hypermolState2Class"].tolist()
    assert set(classes) <= {"1", "2", "3"}  # whole numbers, as RELION's own classes
    expected = run.snapshot.posterior.tables[1].argmax(axis=1) + 1
    np.testing.assert_array_equal(np.array(classes, dtype=int), expected)


def test_trajectories_are_in_the_metrics(mixed_run):
    run = mixed_run.run
    found = run.metrics["trajectories"]
    assert set(found) == {"lid"}
    turn = run.snapshot.molecule.trajectories[2].turn
    np.testing.assert_allclose(found["lid"]["axis"], turn.axis)
    line = np.array(found["lid"]["pivot"]) / run.pixel_size - turn.pivot
    np.testing.assert_allclose(np.cross(line, turn.axis), 0, atol=1e-9)


def test_snapshot_half_written_is_not_seen(folder):
    run = Run.open(folder)
    shutil.copytree(folder / "store.zarr" / "snapshot_002", folder / "store.zarr" / ".writing_123")
    assert run.snapshots() == [1, 2]


def test_no_snapshot_yet(folder):
    shutil.rmtree(folder / "store.zarr")
    run = Run.open(folder)
    assert run.snapshots() == []
    with pytest.raises(RunFolderError, match="holds no snapshot yet"):
        _ = run.maps


def test_not_a_run(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        assert not is_run_folder(path)
        with pytest.raises(RunFolderError, match="is not a run folder"):
            Run.open(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is damaged"),
        ("", "is damaged"),
        ("[]", "is damaged"),
        ('{"format": 99}', "has format 99, this version reads 1"),
        (
            '{"format": 1, "box_size": 24}',
            "pixel_size, particles, n_particles missing or",
        ),
    ],
)
def test_damaged_facts(folder, text, says):
    (folder / "run.json").write_text(text)
    with pytest.raises(RunFolderError, match=says):
        Run.open(folder)


def spoil_theta(store):
    (chunk,) = (store / "theta" / "c").iterdir()
    chunk.write_bytes(chunk.read_bytes()[: chunk.stat().st_size // 2])


def change_attribute(store):
    path = store / "zarr.json"
    values = json.loads(path.read_text())
    del values["attributes"]["stage"]["max_radius"]
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    "damage",
    [
        spoil_theta,
        change_attribute,
        lambda store: shutil.rmtree(store / "theta"),
        lambda store: shutil.rmtree(store / "contrast_mean"),
        lambda store: (store / "zarr.json").unlink(),
        lambda store: (store / "noise" / "zarr.json").write_text("{"),
    ],
    ids=["truncated", "attribute", "no theta", "no contrast", "no group", "json"],
)
def test_damaged_snapshot_says_so(folder, damage):
    damage(folder / "store.zarr" / "snapshot_002")
    with pytest.raises(RunFolderError, match=r"store\.zarr.* is damaged"):
        _ = Run.open(folder).snapshot
    shutil.rmtree(folder / "store.zarr" / "snapshot_002")  # the advice given
    assert Run.open(folder).snapshot.position == 1


def test_snapshot_of_another_recipe(folder):
    path = folder / "recipe.yaml"
    values = yaml.safe_load(path.read_text())
    values["components"]["body"]["support"]["ball"]["radius"] *= 0.5
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(RunFolderError, match="coefficients, the recipe has"):
        _ = Run.open(folder).snapshot


def test_damaged_metrics(folder):
    (folder / "metrics.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"metrics\.json: is damaged"):
        _ = Run.open(folder).metrics
    (folder / "metrics.json").unlink()
    assert Run.open(folder).metrics == {}
