import re
import shutil

import numpy as np
import pytest

from napari_hypermol.errors import HypermolError, RunFolderError
from napari_hypermol.io.mrc import write_stack, write_volume
from napari_hypermol.runs.describe import describe


def test_particles(tiny_run):
    text = "\n".join(describe(tiny_run.data / "particles.star"))
    assert "60 particles of 24 x 24 px at 8 Å" in text
    assert "optics groups: 1 (o1)" in text
    assert "CTF: yes" in text
    assert "poses: yes" in text
    assert "300 kV" in text
    assert "half sets: 30 and 30" in text


def test_run(tiny_run):
    text = "\n".join(describe(tiny_run.run.path))
    assert "run of 60 particles, box 24 px at 8 Å" in text
    assert "finished, last stage 'stage 2' at 24.0 Å, degree 1" in text
    assert "tau2: state of arm_b, known to ±" in text
    assert re.search("the state of arm_b is (not )?used: it raises", text)


def test_run_of_every_kind(mixed_run):
    text = "\n".join(describe(mixed_run.run.path))
    assert re.search(r"tau1: circular state of ring, known to ± 0\.\d+ of a turn", text)
    assert re.search(r"tau2: class of lobe, with \d+ %, \d+ %, \d+ % of the particles", text)
    assert "tau3: position of lid, known to ±" in text
    assert re.search(r"lid turns by \d+\.\d° about the axis .* Å \(learned\)", text)


def test_run_that_was_stopped_early(tiny_run, tmp_path):
    folder = shutil.copytree(tiny_run.run.path, tmp_path / "run")
    (folder / "metrics.json").unlink()
    shutil.rmtree(folder / "store.zarr" / "snapshot_002")
    text = "\n".join(describe(folder))
    assert "not finished, last stage 'stage 1'" in text
    assert "tau1: state of arm_a, not yet read" in text
    shutil.rmtree(folder / "store.zarr")
    assert describe(folder)[-1] == "no stage done yet"


def test_volume_and_stack(tmp_path):
    values = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    write_volume(tmp_path / "map.mrc", values, 2.5)
    write_stack(tmp_path / "images.mrcs", values, 2.5)
    assert describe(tmp_path / "map.mrc") == [
        "volume of 4 x 4 x 4, float32, 2.5 Å",
        "density 0 to 63, mean 31.5",
    ]
    assert describe(tmp_path / "images.mrcs") == ["image stack of 4 x 4 x 4, float32, 2.5 Å"]


def test_recipe(tiny_run):
    (line,) = describe(tiny_run.data / "recipe.yaml")
    assert line == "recipe with 3 component(s): body, arm_a, arm_b"


@pytest.mark.parametrize("name", ["nothing.star", "notes.txt", "folder"])
def test_what_it_cannot_describe(tmp_path, name):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "folder").mkdir()
    with pytest.raises(HypermolError, match=name):
        describe(tmp_path / name)


def test_damaged_run(tmp_path):
    for name in ("recipe.yaml", "run.json"):
        (tmp_path / name).write_text("")
    with pytest.raises(RunFolderError, match=r"run\.json: is damaged"):
        describe(tmp_path)
