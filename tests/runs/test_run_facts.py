import json

import pytest

from napari_hypermol.errors import RunFolderError
from napari_hypermol.runs.run_facts import FORMAT_VERSION, is_run_folder, read_facts

FACTS = {
    "format": FORMAT_VERSION, "box_size": 16, "pixel_size": 3.0, "n_particles": 6,
    "particles": "/data/particles.star", "data_dir": None,
}  # fmt: skip


def written(folder, facts):
    (folder / "run.json").write_text(json.dumps(facts))
    return folder


def test_facts_are_those_written(tmp_path):
    assert read_facts(written(tmp_path, FACTS)) == FACTS


def test_what_a_run_folder_is(tmp_path):
    assert not is_run_folder(written(tmp_path, FACTS))
    (tmp_path / "recipe.yaml").write_text("{}\n")
    assert is_run_folder(tmp_path)
    assert not is_run_folder(tmp_path / "missing")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("box_size", 0), ("box_size", True), ("pixel_size", "3"), ("pixel_size", 0),
        ("n_particles", -1), ("particles", None), ("particles", "a\x00b"), ("data_dir", 3),
    ],
)  # fmt: skip
def test_impossible_values_are_named(tmp_path, key, value):
    with pytest.raises(RunFolderError, match=f"damaged \\({key} missing or impossible"):
        read_facts(written(tmp_path, FACTS | {key: value}))


def test_another_version_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match="has format 7"):
        read_facts(written(tmp_path, FACTS | {"format": 7}))
