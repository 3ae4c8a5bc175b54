import json
import pickle

import numpy as np
import pytest
import zarr

from napari_hypermol.errors import RunFolderError
from napari_hypermol.runs.arrays import read_arrays, read_json


@pytest.fixture
def group(tmp_path):
    made = zarr.open_group(tmp_path / "group", mode="w")
    made.create_array("a", data=np.arange(6.0).reshape(2, 3))
    made.create_array("b", data=np.zeros(0, dtype=np.float32))
    made.attrs["position"] = 3
    return tmp_path / "group"


def changed(path, **changes):
    values = json.loads((path / "zarr.json").read_text()) | changes
    (path / "zarr.json").write_text(json.dumps(values))


def test_reads_what_zarr_wrote(group):
    attrs, arrays = read_arrays(group)
    assert attrs == {"position": 3}
    np.testing.assert_array_equal(arrays["a"], np.arange(6.0).reshape(2, 3))
    assert arrays["b"].shape == (0,)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [10**12, 3]},
        {"shape": [-1, 3]},
        {"shape": [2.0, 3]},
        {"shape": None},
        {"data_type": "variable_length_bytes"},
        {"data_type": ["float64"]},
        {"zarr_format": 2},
        {"node_type": "group"},
        {"codecs": [{"name": "numcodecs.pickle", "configuration": {}}]},
        {"codecs": "bytes"},
        {"storage_transformers": [{"name": "x"}]},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10**6, 10**6]}}},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 3]}}},
        {"chunk_grid": {"name": "rectangular", "configuration": {"chunk_shape": [2, 3]}}},
        {"shape": [10**5, 10**3]},
    ],
)
def test_refuses_other_descriptions(group, change):
    changed(group / "a", **change)
    with pytest.raises(RunFolderError, match=r"a: (is damaged|\d+ bytes announce)"):
        read_arrays(group)


def test_damaged_chunk(group):
    (chunk,) = [p for p in (group / "a").rglob("*") if p.is_file() and p.name != "zarr.json"]
    chunk.write_bytes(b"no chunk")
    with pytest.raises(RunFolderError, match="is damaged"):
        read_arrays(group)


class Payload:
    def __reduce__(self):
        return exec, ("raise SystemExit('code was run')",)


def test_pickles_of_the_old_format_are_not_read(group):
    place = group / "old"
    place.mkdir()
    described = {
        "zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "compressor": None,
        "fill_value": 0, "order": "C", "filters": [{"id": "pickle", "protocol": 5}],
    }  # fmt: skip
    (place / ".zarray").write_text(json.dumps(described))
    (place / "0").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(RunFolderError, match="is damaged"):
        read_arrays(group)


@pytest.mark.parametrize("name", ["a", "a/zarr.json"])
def test_links_are_refused(group, tmp_path, name):
    (group / name).rename(tmp_path / "elsewhere")
    (group / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunFolderError, match="is damaged"):
        read_arrays(group)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "{", '{"a": ' + "9" * 5000 + "}", "\xff"])
def test_json(tmp_path, text):
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunFolderError, match=r"x\.json: is damaged") as caught:
        read_json(tmp_path / "x.json")
    assert "\n" not in str(caught.value)
    (tmp_path / "x.json").write_text('{"a": 1}')
    assert read_json(tmp_path / "x.json") == {"a": 1}
