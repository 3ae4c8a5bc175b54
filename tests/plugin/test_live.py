"""A run in a thread of its own: what it reports, how it stops, how it fails."""

import threading
import time

import pytest

from napari_hypermol.errors import HypermolError, RunCancelled
from napari_hypermol.plugin import live
from napari_hypermol.plugin.live import follow
from napari_hypermol.runs.reconstruct import Job
from napari_hypermol.runs.store import Run, is_run_folder


def drained(generator):
    """All updates, and what the generator returned."""
    updates = []
    while True:
        try:
            update = next(generator)
        except StopIteration as end:
            return updates, end.value
        if update is not None:
            updates.append(update)


@pytest.fixture
def job(pretzel_folder, tmp_path) -> Job:
    return Job(pretzel_folder / "particles.star", tmp_path / "run", pretzel_folder / "recipe.yaml")


@pytest.fixture
def long_job(job, long_recipe) -> Job:
    return Job(job.particles, job.out, long_recipe)


def test_run_to_the_end(job):
    updates, outcome = drained(follow(lambda: job, threading.Event(), lambda: (0.25, 0.75)))
    assert outcome.problem is None
    assert outcome.run.path == job.out
    assert updates[-1].fraction == pytest.approx(1)
    shown = [u for u in updates if u.maps is not None]
    assert shown
    assert {u.pixel_size for u in shown} == {4.0}
    assert {u.maps.dims for u in shown} == {2}


def test_stop(long_job):
    stop = threading.Event()
    generator = follow(lambda: long_job, stop)
    until = time.monotonic() + 60
    while not (is_run_folder(long_job.out) and Run.open(long_job.out).snapshots()):
        next(generator)
        assert time.monotonic() < until
    stop.set()
    asked = time.monotonic()
    _, outcome = drained(generator)
    assert time.monotonic() - asked < 5  # one sweep of this little is milliseconds
    assert isinstance(outcome.problem, RunCancelled)
    assert outcome.run.maps.dims == 2  # the folder is usable


def test_abandoned_generator_stops_its_run(long_job):
    generator = follow(lambda: long_job, threading.Event())
    while next(generator) is None:
        pass
    generator.close()
    assert live._busy.acquire(timeout=20)
    live._busy.release()


def test_mistake_is_an_outcome(job):
    def make_job():
        raise HypermolError("no particles: choose some")

    updates, outcome = drained(follow(make_job, threading.Event()))
    assert not updates
    assert outcome.run is None
    assert str(outcome.problem) == "no particles: choose some"


def test_bug_is_raised():
    def make_job():
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        drained(follow(make_job, threading.Event()))


def test_one_run_at_a_time(job):
    assert live._busy.acquire(blocking=False)
    try:
        _, outcome = drained(follow(lambda: job, threading.Event()))
    finally:
        live._busy.release()
    assert "another run is at work" in str(outcome.problem)
    assert not job.out.exists()
