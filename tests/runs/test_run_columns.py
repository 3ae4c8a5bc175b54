from dataclasses import replace

import numpy as np
import pytest

from napari_hypermol.io import read_star
from napari_hypermol.runs.pose_step import Poses
from napari_hypermol.runs.run_columns import particle_columns, pose_columns_of, write_particles


def test_every_particle_has_its_state_spread_rank_and_contrast(pretzel_run):
    snapshot = pretzel_run.run.snapshot
    columns = particle_columns(snapshot)
    for name in ("hypermolState1", "hypermolState2Std", "hypermolContrast"):
        assert columns[name].shape == (300,)
    ranks = np.sort(columns["hypermolState1Rank"])
    np.testing.assert_allclose(ranks, (np.arange(300) + 0.5) / 300)
    order = np.argsort(columns["hypermolState1"], kind="stable")
    assert (np.diff(columns["hypermolState1Rank"][order]) > 0).all()
    assert not columns["hypermolRotationStd"].any()  # poses were known
    assert "hypermolShiftStd" not in columns


def test_poses_that_were_kept_replace_nothing(pretzel_run):
    run = pretzel_run.run
    assert pose_columns_of(run.read_particles(), run.snapshot) == {}


def test_poses_that_were_found_replace_those_of_the_file(pretzel_run):
    run = pretzel_run.run
    file = run.read_particles()
    rotations = np.tile(np.eye(3, dtype=np.float32), (file.n, 1, 1))
    spread = np.full(file.n, 0.1)
    poses = Poses(rotations, np.full((file.n, 2), 6.0), spread, spread)
    found = replace(run.snapshot, poses=poses)
    columns = pose_columns_of(file, found)
    assert np.asarray(columns["rlnAngleTilt"], dtype=float) == pytest.approx(0)
    np.testing.assert_allclose(
        particle_columns(found)["hypermolRotationStd"], np.degrees(0.1), rtol=1e-6
    )


def test_the_files_rows_are_kept_and_draws_added(pretzel_run, tmp_path):
    run = pretzel_run.run
    file = run.read_particles()
    write_particles(file, run.snapshot, tmp_path, {"hypermolDrawn": np.arange(file.n)})
    before = read_star(pretzel_run.data / "particles.star")["particles"]
    after = read_star(tmp_path / "particles.star")["particles"]
    for column in before:
        if column != "rlnImageName":  # the stack is named from where the new file lies
            assert list(after[column]) == list(before[column])
    np.testing.assert_array_equal(np.asarray(after["hypermolDrawn"], dtype=int), np.arange(file.n))


def test_what_an_earlier_run_said_and_this_one_does_not_is_left_out(pretzel_run, tmp_path):
    """Or its third state would look like one of this run's."""
    run = pretzel_run.run
    file = run.read_particles()
    of_before = file.table.assign(hypermolState3="0.5", hypermolState1="0.5", userNote="kept")
    blocks = file.blocks | {file.particle_block: of_before}
    write_particles(replace(file, blocks=blocks), run.snapshot, tmp_path)
    after = read_star(tmp_path / "particles.star")["particles"]
    assert "hypermolState3" not in after
    assert set(after["userNote"]) == {"kept"}
    found = np.asarray(after["hypermolState1"], dtype=float)
    np.testing.assert_allclose(found, run.states[:, 0], atol=1e-5)
