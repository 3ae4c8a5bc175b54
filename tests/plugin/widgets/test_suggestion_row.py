import numpy as np
import pytest

from napari_hypermol.plugin.painted_masks import Grid, mask_layer
from napari_hypermol.plugin.viewing import hypermol_of
from napari_hypermol.plugin.widgets.suggestion_row import SuggestionRow
from napari_hypermol.runs.suggest import Suggestion

pytestmark = pytest.mark.qt


@pytest.fixture
def offered(make_napari_viewer_proxy, qtbot):
    """A viewer, and a row with a suggestion of one body and two regions."""
    viewer = make_napari_viewer_proxy()
    labels = np.arange(8, dtype=np.uint8).reshape(2, 2, 2) % 4
    data, attributes, _ = mask_layer(labels, Grid.of_box(2, 4.0), "Suggested", {})
    row = SuggestionRow(viewer)
    qtbot.addWidget(row)
    layer = viewer.add_labels(data, **attributes)
    row.offer(layer, Suggestion(labels, {1: "body", 2: "region_1", 3: "region_2"}))
    return viewer, row


def test_it_waits(offered):
    viewer, row = offered
    assert not row.isHidden()
    assert row.words.text().startswith("2 regions move")
    assert row.layer.unique_id == viewer.layers[0].unique_id
    assert hypermol_of(row.layer)["kind"] == "suggestion"


def test_accepted(offered):
    viewer, row = offered
    told = []
    row.accepted.connect(lambda layer, names: told.append(names))
    row.use_button.click()
    assert told == [{1: "body", 2: "region_1", 3: "region_2"}]
    row.take(viewer.layers[0])
    assert row.isHidden()
    assert row.layer is None
    assert hypermol_of(viewer.layers[0])["names"][3] == "region_2"


def test_discarded(offered):
    viewer, row = offered
    row.discard_button.click()
    assert row.isHidden()
    assert len(viewer.layers) == 0
    row.discard()  # nothing is left to be taken away


def test_its_layer_was_removed(offered, qtbot):
    viewer, row = offered
    told = []
    row.accepted.connect(lambda *what: told.append(what))
    with qtbot.waitSignal(row.ended, timeout=1000):
        viewer.layers.clear()
    assert row.isHidden()
    row.use_button.click()
    assert told == []
