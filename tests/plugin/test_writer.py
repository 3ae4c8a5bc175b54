"""Maps out and in again."""

import numpy as np
import pytest

from napari_hypermol.errors import OutputExistsError, VolumeFileError
from napari_hypermol.io.mrc import Volume, read_volume
from napari_hypermol.plugin.layers import maps_layer, volume_layer
from napari_hypermol.plugin.writer import write_image


@pytest.mark.parametrize("origin", [(0.0, 0.0, 0.0), (10.0, 20.0, 30.0)])
def test_volume_round_trip(tmp_path, rng, origin):
    volume = Volume(rng.random((6, 7, 8), dtype=np.float32), 1.25, origin)
    data, attributes, _ = volume_layer(volume, "map.mrc")
    path = str(tmp_path / "out.mrc")
    assert write_image(path, data, attributes) == [path]
    again = read_volume(path)
    np.testing.assert_array_equal(again.values, volume.values)
    assert again.pixel_size == pytest.approx(1.25)
    assert again.origin == pytest.approx(origin)


def test_the_named_file_may_be_replaced(tmp_path, rng):
    data, attributes, _ = volume_layer(Volume(np.ones((4, 4, 4), "f4"), 1.0, (0, 0, 0)), "m.mrc")
    path = str(tmp_path / "out.mrc")
    write_image(path, data, attributes)
    write_image(path, 2 * data, attributes)
    assert read_volume(path).values.max() == 2


def test_states_become_series(tmp_path, small_maps):
    data, attributes, _ = maps_layer(small_maps(dims=2), 3.0, "m", {}, steps=5)
    written = write_image(str(tmp_path / "m.mrc"), data, attributes)
    names = [path.rsplit("/", 1)[-1] for path in written]
    assert names[:2] == ["m_tau1_00.mrc", "m_tau1_01.mrc"]
    assert [n for n in names if n.endswith(".cxc")] == ["m_tau1.cxc", "m_tau2.cxc"]
    assert len(names) == 12
    last = read_volume(tmp_path / "m_tau1_04.mrc")
    assert last.values[4, 4, 4] == pytest.approx(1.0 + 2 * 0.5)  # tau1 at its end, tau2 half way
    assert last.pixel_size == pytest.approx(3.0)


def test_series_of_every_kind(tmp_path, mixed_maps):
    data, attributes, _ = maps_layer(mixed_maps, 3.0, "m", {}, steps=5)
    names = [
        path.rsplit("/", 1)[-1] for path in write_image(str(tmp_path / "m.mrc"), data, attributes)
    ]
    circle = [f"m_tau1_{i:02d}.mrc" for i in range(4)]  # five stops less the one it began with
    classes = [f"m_tau2_class{k}.mrc" for k in (1, 2, 3, 4)]
    position = [f"m_tau3_{i:02d}.mrc" for i in range(5)]
    assert names == [*circle, "m_tau1.cxc", *classes, "m_tau2.cxc", *position, "m_tau3.cxc"]
    # the value is tau1 + 2 tau2 + 4 tau3; of four classes the third is in the middle
    for name, expected in (
        ("m_tau1_03.mrc", 0.75 + 2 * 0.625 + 4 * 0.5),
        ("m_tau2_class1.mrc", 0.5 + 2 * 0.125 + 4 * 0.5),
        ("m_tau3_04.mrc", 0.5 + 2 * 0.625 + 4 * 1.0),
    ):
        assert read_volume(tmp_path / name).values[4, 4, 4] == pytest.approx(expected)
    assert "oscillate" not in (tmp_path / "m_tau1.cxc").read_text()


def test_layer_that_is_not_ours(tmp_path, small_maps):
    data, attributes, _ = maps_layer(small_maps(dims=1), 3.0, "m", {}, steps=3)
    attributes |= {"metadata": {}, "axis_labels": ("time", "z", "y", "x")}
    assert write_image(str(tmp_path / "m.mrc"), data, attributes)[0].endswith("m_time_00.mrc")
    del attributes["axis_labels"]
    assert write_image(str(tmp_path / "m.mrc"), data, attributes)[0].endswith("m_axis1_00.mrc")


def test_series_overwrites_nothing(tmp_path, small_maps):
    data, attributes, _ = maps_layer(small_maps(dims=1), 3.0, "m", {}, steps=3)
    write_image(str(tmp_path / "m.mrc"), data, attributes)
    with pytest.raises(OutputExistsError, match=r"m_tau1_00\.mrc"):
        write_image(str(tmp_path / "m.mrc"), data, attributes)


def test_pictures_are_refused(tmp_path):
    with pytest.raises(VolumeFileError, match="2 dimensions"):
        write_image(str(tmp_path / "p.mrc"), np.zeros((4, 4)), {"scale": (1, 1)})


def test_unequal_voxels_are_refused(tmp_path):
    with pytest.raises(VolumeFileError, match="cubes"):
        write_image(str(tmp_path / "p.mrc"), np.zeros((4, 4, 4)), {"scale": (1, 1, 2)})


@pytest.mark.qt
def test_save_and_open_in_napari(make_napari_viewer_proxy, plugin, tmp_path, small_maps, rng):
    viewer = make_napari_viewer_proxy()
    values = rng.random((6, 6, 6), dtype=np.float32)
    layer = viewer.add_image(values, scale=(2, 2, 2), translate=(-6, -6, -6))
    viewer.layers.selection = {layer}
    path = str(tmp_path / "saved.mrc")
    assert viewer.layers.save(path, selected=True) == [path]
    (again,) = viewer.open(path, plugin="napari-hypermol")
    np.testing.assert_array_equal(again.data, values)
    np.testing.assert_allclose(again.scale, layer.scale)
    np.testing.assert_allclose(again.translate, layer.translate)
