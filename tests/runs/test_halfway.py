import errno
import os
import time

import numpy as np
import pytest

from napari_hypermol.runs.halfway import (
    Halfway,
    Keeper,
    forget_halfway,
    generator_at,
    read_halfway,
    write_halfway,
)

HERE = Halfway("stage", {"position": 2, "x": 0.1}, {"a": np.arange(3.0)})


def test_written_and_read(tmp_path):
    assert read_halfway(tmp_path) is None
    write_halfway(tmp_path, HERE)
    place, facts, arrays = read_halfway(tmp_path)
    assert (place, facts) == (HERE.place, HERE.facts)
    np.testing.assert_array_equal(arrays["a"], HERE.arrays["a"])
    assert [p.name for p in tmp_path.iterdir()] == ["halfway.npz"]
    forget_halfway(tmp_path)
    assert read_halfway(tmp_path) is None


def test_generators_go_on(rng, tmp_path):
    rng.random(7)
    write_halfway(tmp_path, Halfway("stage", {"random": rng.bit_generator.state}, {}))
    again = generator_at(read_halfway(tmp_path).facts)
    np.testing.assert_array_equal(again.random(5), rng.random(5))


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def objects(path):
    np.savez(path, about=np.array('{"place": "x", "facts": {}}'), a=np.array([{}], dtype=object))


def linked(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize("damage", [cut, objects, linked, lambda path: path.write_bytes(b"no")])
def test_damaged_is_none(tmp_path, damage):
    write_halfway(tmp_path, HERE)
    damage(tmp_path / "halfway.npz")
    assert read_halfway(tmp_path) is None


@pytest.fixture
def full_disk(monkeypatch):
    """Every fsync says that the disk is full, until it is emptied."""
    state = {"is_full": True}
    real = os.fsync

    def fsync(place):
        if state["is_full"]:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(place)

    monkeypatch.setattr(os, "fsync", fsync)
    return state


def test_a_full_disk_keeps_the_one_before(tmp_path, full_disk):
    full_disk["is_full"] = False
    write_halfway(tmp_path, HERE)
    full_disk["is_full"] = True
    said = []
    keeper = Keeper(tmp_path, every=0, on_trouble=said.append)
    keeper.offer(lambda: Halfway("stage", {"position": 3}, {}))
    assert read_halfway(tmp_path).facts["position"] == 2
    assert [p.name for p in tmp_path.iterdir()] == ["halfway.npz"]
    (sentence,) = said
    assert "No space left on device" in sentence
    full_disk["is_full"] = False
    keeper.flush()  # what was not written is tried again
    assert read_halfway(tmp_path).facts["position"] == 3


def test_a_folder_that_vanishes_and_comes_back(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    said = []
    keeper = Keeper(folder, every=0, on_trouble=said.append)
    folder.rename(tmp_path / "away")
    keeper.offer(lambda: HERE)
    assert len(said) == 1
    (tmp_path / "away").rename(folder)
    keeper.offer(lambda: HERE)
    assert len(said) == 1
    assert read_halfway(folder) is not None


def test_kept_every_so_often_by_a_steady_clock(tmp_path, monkeypatch):
    now = {"steady": 100.0, "wall": 0.0}
    monkeypatch.setattr(time, "monotonic", lambda: now["steady"])
    monkeypatch.setattr(time, "time", lambda: now["wall"])
    keeper = Keeper(tmp_path, every=60)
    keeper.offer(lambda: HERE)
    assert read_halfway(tmp_path) is None
    now["wall"] = 1e9  # somebody sets the clock
    keeper.offer(lambda: HERE)
    assert read_halfway(tmp_path) is None
    now.update(steady=160.0, wall=-1e9)
    keeper.offer(lambda: HERE)
    assert read_halfway(tmp_path) is not None


def test_what_is_forgotten_is_not_written(tmp_path):
    keeper = Keeper(tmp_path, every=60)
    keeper.offer(lambda: HERE)
    keeper.forget()
    keeper.flush()
    assert read_halfway(tmp_path) is None


def test_begun_only_where_it_stood(tmp_path):
    write_halfway(tmp_path, HERE)
    assert Keeper(tmp_path).begun("stage") is None  # a run that is not resumed
    keeper = Keeper(tmp_path, is_resumed=True)
    assert keeper.begun("stage", position=2).facts["x"] == 0.1
    assert keeper.begun("stage", position=1) is None
    assert keeper.begun("draws") is None
