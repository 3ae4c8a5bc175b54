"""A run's folder is begun once, with its masks in it, and replaces nothing unasked."""

import shutil

import pytest

from napari_hypermol.errors import OutputExistsError
from napari_hypermol.runs.recipe_text import recipe_from
from napari_hypermol.runs.run_writer import RunWriter, check_output
from napari_hypermol.runs.store import Run

FACTS = {"box_size": 24, "pixel_size": 8.0, "particles": "/p.star", "n_particles": 60}


def test_folder_can_be_moved_with_its_masks(tmp_path):
    (tmp_path / "here").mkdir()
    mask = tmp_path / "here" / "my.mrc"
    mask.write_bytes(b"bytes of a mask")
    support = {"support": {"mask": "my.mrc"}}
    recipe = recipe_from({"components": {"a": support, "b": support, "c": {"share": "a"}}})
    RunWriter(tmp_path / "run", recipe, tmp_path / "here", FACTS)
    shutil.rmtree(tmp_path / "here")
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    components = Run.open(moved).recipe.components
    assert components["b"].support.mask == "masks/b.mrc"
    assert (moved / components["a"].support.mask).read_bytes() == b"bytes of a mask"


@pytest.mark.parametrize("kind", ["file", "folder", "folder of a recipe"])
def test_what_is_not_a_run_is_never_replaced(tmp_path, kind):
    path = tmp_path / "precious"
    if kind == "file":
        path.write_text("data")
    else:
        path.mkdir()
        (path / ("recipe.yaml" if "recipe" in kind else "data")).write_text("data")
    before = sorted(tmp_path.rglob("*"))
    for overwrite, says in ((False, "exists already"), (True, "is not a run folder")):
        with pytest.raises(OutputExistsError, match=says):
            RunWriter(path, recipe_from({}), tmp_path, FACTS, overwrite=overwrite)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_is_replaced_only_when_asked(folder, tmp_path):
    with pytest.raises(OutputExistsError, match="--overwrite to replace"):
        RunWriter(folder, recipe_from({}), tmp_path, FACTS)
    assert Run.open(folder).snapshots() == [1, 2]
    RunWriter(folder, recipe_from({}), tmp_path, FACTS, overwrite=True)
    assert Run.open(folder).snapshots() == []


def test_empty_folder_may_be_used(tmp_path):
    check_output(tmp_path, overwrite=False)
    check_output(tmp_path / "new", overwrite=False)
    assert not (tmp_path / "new").exists()
