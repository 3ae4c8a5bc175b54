"""Which files are ours, and that napari shows them as it should."""

import bz2
import gzip

import numpy as np
import pytest
from napari.utils.notifications import notification_manager

from napari_hypermol.io.mrc import write_stack, write_volume
from napari_hypermol.plugin.lazy_states import RecentVolumes
from napari_hypermol.plugin.reader import NOTHING, get_reader


@pytest.fixture
def volume_file(tmp_path, rng):
    values = rng.random((12, 12, 12), dtype=np.float32)
    write_volume(tmp_path / "map.mrc", values, 2.0)
    return tmp_path / "map.mrc"


@pytest.fixture
def empty_run(run_folder, tmp_path):
    """A run that has just begun."""
    for name in ("recipe.yaml", "run.json"):
        (tmp_path / name).write_bytes((run_folder / name).read_bytes())
    return tmp_path


def test_declines_what_is_not_ours(tmp_path, volume_file):
    (tmp_path / "job.star").write_text("data_job\n\n_rlnJobTypeLabel relion.import\n")
    (tmp_path / "text.mrc").write_text("not an MRC file")
    (tmp_path / "empty.mrcs").touch()
    (tmp_path / "some.cs").write_bytes(b"\x93NUMPY" + bytes(200))
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "broken.mrc.gz").write_bytes(b"\x1f\x8bnothing")
    cut = volume_file.read_bytes()[:-100]
    (tmp_path / "cut.mrc").write_bytes(cut)
    for name in ("job.star", "text.mrc", "empty.mrcs", "some.cs", "run.json", "broken.mrc.gz",
                 "cut.mrc", "missing.star", "missing.mrc", "picture.tif", "."):  # fmt: skip
        assert get_reader(str(tmp_path / name)) is None, name
    assert get_reader([str(volume_file), str(tmp_path / "text.mrc")]) is None


def test_volume_or_stack_by_header_then_name(tmp_path, volume_file):
    write_stack(tmp_path / "images.mrc", np.zeros((5, 8, 8)), 2.0)
    write_volume(tmp_path / "wrong.mrcs", np.zeros((5, 8, 8)), 2.0)
    labels = {}
    for name in ("map.mrc", "images.mrc", "wrong.mrcs"):
        ((_, attributes, _),) = get_reader(str(tmp_path / name))(str(tmp_path / name))
        labels[name] = attributes["axis_labels"][0]
    assert labels == {"map.mrc": "z", "images.mrc": "image", "wrong.mrcs": "image"}


@pytest.mark.parametrize(("ending", "module"), [(".gz", gzip), (".bz2", bz2)])
def test_compressed_maps(volume_file, ending, module):
    packed = volume_file.with_name(f"map.MRC{ending}")
    packed.write_bytes(module.compress(volume_file.read_bytes()))
    ((data, attributes, _),) = get_reader(str(packed))(str(packed))
    assert data.shape == (12, 12, 12)
    assert attributes["name"] == "map"


def test_list_of_files(volume_file, pretzel_folder):
    paths = [str(volume_file), str(pretzel_folder / "particles.star")]
    assert len(get_reader(paths)(paths)) == 2


def test_run_by_folder_or_by_its_file(run_folder):
    for path in (run_folder, run_folder / "run.json"):
        ((data, attributes, _),) = get_reader(str(path))(str(path))
        assert data.ndim == 5
        assert attributes["name"] == "run_1"


@pytest.fixture
def told(monkeypatch):
    """What the user was told."""
    messages: list[str] = []
    monkeypatch.setattr("napari_hypermol.plugin.reader.show_error", messages.append)
    return messages


def test_run_without_snapshot_is_a_sentence(empty_run, told):
    assert get_reader(str(empty_run))(str(empty_run)) == NOTHING
    assert "holds no snapshot yet" in told[0]


def test_missing_stack_is_a_sentence(pretzel_folder, tmp_path, told):
    copy = tmp_path / "particles.star"
    copy.write_bytes((pretzel_folder / "particles.star").read_bytes())
    assert get_reader(str(copy))(str(copy)) == NOTHING
    assert "particles.mrcs" in told[0]


@pytest.mark.qt
def test_particles_in_napari(make_napari_viewer_proxy, plugin, pretzel_folder):
    viewer = make_napari_viewer_proxy()
    (layer,) = viewer.open(pretzel_folder / "particles.star", plugin="napari-hypermol")
    assert viewer.dims.axis_labels == ("particle", "y", "x")
    assert [str(unit) for unit in viewer.dims.units] == ["angstrom"] * 3
    viewer.dims.set_current_step(0, 17)
    point = layer.world_to_data(viewer.dims.point)
    assert point[0] == pytest.approx(17)
    assert len(layer.metadata["hypermol"]["table"]) == 60


@pytest.mark.qt
def test_volume_in_napari(make_napari_viewer_proxy, plugin, volume_file):
    viewer = make_napari_viewer_proxy()
    (layer,) = viewer.open(volume_file, plugin="napari-hypermol")
    np.testing.assert_allclose(layer.world_to_data((0.0, 0.0, 0.0)), (6, 6, 6))
    assert [str(unit) for unit in layer.units] == ["angstrom"] * 3


@pytest.mark.qt
def test_run_in_napari(make_napari_viewer_proxy, plugin, run_folder, monkeypatch):
    computed = []
    original = RecentVolumes.chunk
    monkeypatch.setattr(
        RecentVolumes,
        "chunk",
        lambda self, block_id: computed.append(block_id[:2]) or original(self, block_id),
    )
    viewer = make_napari_viewer_proxy()
    (layer,) = viewer.open(run_folder, plugin="napari-hypermol")
    assert len(set(computed)) <= 2
    layer.rendering = "mip"
    assert viewer.dims.axis_labels == ("tau1", "tau2", "z", "y", "x")
    units = [str(unit) for unit in viewer.dims.units]
    assert units == ["dimensionless"] * 2 + ["angstrom"] * 3
    limits = layer.contrast_limits
    viewer.dims.ndisplay = 3
    for tau1, tau2 in ((0.0, 0.0), (0.35, 0.8), (1.0, 0.5)):
        viewer.dims.set_point((0, 1), (tau1, tau2))
        i, j = viewer.dims.current_step[:2]
        assert (i, j) == (round(20 * tau1), round(20 * tau2))
        assert (i, j) in computed
    assert layer.contrast_limits == limits


@pytest.mark.qt
def test_run_without_snapshot_in_napari(make_napari_viewer_proxy, plugin, empty_run):
    viewer = make_napari_viewer_proxy()
    assert viewer.open(empty_run, plugin="napari-hypermol") == []
    assert "holds no snapshot yet" in notification_manager.records[-1].message
