import time

import psutil
import pytest
import yaml

from napari_hypermol.runs.launch import Launch, Order, with_absolute_masks
from napari_hypermol.runs.status import read_status
from napari_hypermol.runs.store import Run
from small_runs import BRIEF, simulated


def waited(launch, seconds=120):
    end = time.monotonic() + seconds
    while launch.is_alive:
        assert time.monotonic() < end
        time.sleep(0.05)
    return launch


@pytest.fixture
def launched():
    launches = []

    def launch(*arguments):
        launches.append(Launch(Order(*arguments)))
        return launches[-1]

    yield launch
    for one in launches:
        one.stop_now()
        one.tidy()
        assert not one._desk.exists()


def test_masks_are_found_from_anywhere(tmp_path):
    draft = {
        "components": {"a": {"support": {"mask": "m/a.mrc"}}, "b": {"share": "mask"}},
        "priors": {"coefficients": {"solvent_mask": "/abs/s.mrc", "solvent": 2.0}},
    }
    out = with_absolute_masks(draft, tmp_path)
    assert out["components"]["a"]["support"]["mask"] == str(tmp_path / "m" / "a.mrc")
    assert out["components"]["b"] == {"share": "mask"}
    assert out["priors"]["coefficients"] == {"solvent_mask": "/abs/s.mrc", "solvent": 2.0}
    assert draft["components"]["a"]["support"]["mask"] == "m/a.mrc"


def test_run_by_a_draft_and_resumed(tmp_path, launched):
    data, out = simulated(tmp_path / "data", schedule=BRIEF), tmp_path / "run"
    draft = yaml.safe_load((data / "recipe.yaml").read_text())
    launch = launched(out, data / "particles.star", draft, data, 7)
    assert psutil.Process(launch.pid).nice() > psutil.Process().nice()  # windows come first
    waited(launch)
    run = Run.open(out)
    assert run.metrics["is_done"]
    assert run.recipe.seed == 7
    assert len(run.recipe.components) == 3
    assert launch.said == {"fraction": 1.0, "seconds_left": 0.0, "message": "done"}
    former = read_status(out).token
    assert launch.is_told_by(former)
    again = launched(out)
    assert not again.is_told_by(former)
    waited(again)
    assert again.is_told_by(read_status(out).token)
    assert read_status(out).phase == "done"


def test_refused_input_is_its_sentence(tmp_path, launched):
    launch = waited(launched(tmp_path / "run", tmp_path / "none.star"))
    assert launch.problem.startswith(str(tmp_path / "none.star"))
    assert launch.said == {}
    assert not (tmp_path / "run").exists()


def test_stopped_before_there_is_a_folder(tmp_path, launched):
    data = simulated(tmp_path / "data", schedule=BRIEF)
    launch = launched(tmp_path / "run", data / "particles.star")
    launch.stop()
    waited(launch, 5)
    assert launch.is_stopped
    assert not (tmp_path / "run").exists()
    assert "ended with code" in launch.problem
