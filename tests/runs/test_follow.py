import json
import shutil
import time

from napari_hypermol.runs.follow import GONE, Follower, missing_particles
from napari_hypermol.runs.preview import write_preview
from napari_hypermol.runs.status import read_status
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.trace import append_row, read_trace


def tell(folder, **changes):
    path = folder / "status.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


class Process:
    """A launch, as far as a follower looks at it."""

    def __init__(self, **facts):
        self.is_alive, self.is_stopped, self.said = True, False, {}
        self.problem = "p.star: is empty"
        self.former = None
        self.__dict__.update(facts)

    def is_told_by(self, token):
        return token != self.former


def test_finished_run_is_told_once(folder):
    follower = Follower(folder)
    look = follower.look()
    assert (look.phase, look.is_over, look.message) == ("done", True, "done")
    assert look.run.snapshots() == [1, 2]
    assert look.maps is look.run.maps
    assert look.rows == read_trace(folder)
    again = follower.look()
    assert again.run is again.maps is again.rows is None


def test_new_things_are_told_as_they_come(folder):
    tell(folder, phase="running", host="node7", heartbeat=time.time(), message="sweep 3")
    (folder / "report.html").unlink()
    last = folder / "store.zarr" / "snapshot_002"
    hidden = last.rename(folder.parent / "later")
    follower = Follower(folder)
    look = follower.look()
    assert look.message == "at work on node7: sweep 3"
    assert look.run.snapshot.position == 1
    assert not look.is_over
    row = {"position": 2, "sweep": 9, "max_radius": 8.0, "max_degree": 1}
    maps = Run.open(folder).maps
    row |= {name: getattr(look.run.snapshot.stage, name) for name in ("max_radius", "max_degree")}
    append_row(folder, row)
    write_preview(folder, maps, row)
    look = follower.look()
    assert look.run is None
    assert look.maps.theta.shape == maps.theta.shape
    assert look.rows[-1]["sweep"] == 9
    hidden.rename(last)
    assert follower.look().run.snapshot.position == 2
    write_preview(folder, maps, row)  # of a stage that has its snapshot
    assert follower.look().maps is None


def test_dead_process_is_recognised(folder):
    tell(folder, phase="running", host="node7", heartbeat=time.time() - 1e4)
    look = Follower(folder).look()
    assert (look.phase, look.is_over) == (GONE, True)
    assert "process is gone; its last stage is kept; Resume" in look.message


def test_before_there_is_a_folder(tmp_path):
    launch = Process()
    follower = Follower(tmp_path / "run", launch)
    assert follower.look().phase == "starting"
    assert "are read" in follower.look().message
    launch.said = {"fraction": 0.02, "message": "reading images, 40%"}
    assert follower.look()[:4] == ("starting", 0.02, None, "reading images, 40%")
    launch.is_alive = False
    look = follower.look()
    assert (look.phase, look.message, look.is_over) == ("failed", "p.star: is empty", True)
    launch.is_stopped = True
    assert follower.look().phase == "stopped"


def test_status_of_the_attempt_before_is_not_taken_for_ours(folder):
    launch = Process(former=read_status(folder).token)
    follower = Follower(folder, launch)
    look = follower.look()
    assert (look.phase, look.is_over) == ("starting", False)
    assert look.run is not None  # the molecule is there meanwhile
    tell(folder, token="mine", phase="running")
    assert follower.look().phase == "running"
    launch.is_alive = False
    assert follower.look().phase == GONE


def test_run_of_a_version_without_status(folder):
    (folder / "status.json").unlink()
    assert Follower(folder).look().phase == "done"
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(metrics | {"is_done": False}))
    assert Follower(folder).look().phase == "stopped"
    assert Follower(folder.parent).look().phase == "failed"


def test_missing_particles_are_said(folder, tiny_run, tmp_path):
    assert missing_particles(Run.open(folder)) is None
    data = shutil.copytree(tiny_run.data, tmp_path / "data")
    facts = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(
        json.dumps(facts | {"particles": str(data / "particles.star")})
    )
    (data / "particles.mrcs").unlink()
    look = Follower(folder).look()
    assert "particles.mrcs" in look.message
    assert "its maps can be seen" in look.message
    assert look.maps is not None
    (data / "particles.star").unlink()
    assert "is not there any more" in missing_particles(Run.open(folder))
