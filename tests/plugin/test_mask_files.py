import numpy as np
import pytest

from napari_hypermol.io.masks import read_mask
from napari_hypermol.plugin.mask_files import MaskFiles
from napari_hypermol.plugin.painted_masks import Grid, PaintedMasks, mask_layer
from napari_hypermol.plugin.viewing import hypermol_of

pytestmark = pytest.mark.qt
PATIENCE = 30_000  # [ms]


@pytest.fixture
def kept(make_napari_viewer_proxy, qtbot):
    """Painted masks, their files, and what was said of them."""
    from qtpy.QtWidgets import QWidget

    owner, told = QWidget(), []
    qtbot.addWidget(owner)
    masks = PaintedMasks(make_napari_viewer_proxy(), lambda layer: None)
    files = MaskFiles(masks, lambda *what: told.append(what), told.append, owner)
    yield masks, files, told
    files.let_go()
    masks.let_go()


def painted(masks, *labels):
    data = np.zeros((24,) * 3, dtype=np.uint8)
    for number, label in enumerate(labels):
        data[4:8, 4:8, 4 * number : 4 * number + 4] = label
    return masks.add(mask_layer(data, Grid.of_box(24, 4.0), "Mask", {}))


def test_every_label_is_a_component_with_a_file(kept, tmp_path, qtbot):
    masks, files, told = kept
    (tmp_path / "component_2.mrc").write_text("somebody else's")
    layer = painted(masks, 1, 5)
    files.keep(layer, ["component_1"], tmp_path, None)
    qtbot.waitUntil(lambda: not files.is_busy, timeout=PATIENCE)
    assert hypermol_of(layer)["names"] == {1: "component_2", 5: "component_3"}
    assert told == [(layer, [1, 5])]
    assert (tmp_path / "component_2.mrc").read_text() == "somebody else's"
    mask = read_mask(hypermol_of(layer)["files"][1], 24, 4.0)
    np.testing.assert_array_equal(mask, np.asarray(layer.data) == 1)


def test_files_have_the_box_of_the_particles(kept, tmp_path, qtbot):
    masks, files, _ = kept
    layer = painted(masks, 1)
    files.keep(layer, [], tmp_path, (48, 2.0))
    qtbot.waitUntil(lambda: not files.is_busy, timeout=PATIENCE)
    assert read_mask(hypermol_of(layer)["files"][1], 48, 2.0).shape == (48, 48, 48)


def test_what_cannot_be_written_is_said_and_the_next_has_its_turn(kept, tmp_path, qtbot):
    masks, files, told = kept
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    first, second = painted(masks, 1), painted(masks, 1)
    files.keep(first, [], blocked, None)
    files.keep(second, ["component_1"], tmp_path / "masks", None)
    qtbot.waitUntil(lambda: len(told) == 2 and not files.is_busy, timeout=PATIENCE)
    assert isinstance(told[0], Exception)
    assert told[1] == (second, [1])
