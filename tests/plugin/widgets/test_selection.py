"""Counting and saving the selection."""

import numpy as np
import pytest

from napari_hypermol.io.particle_file import read_particles

pytestmark = pytest.mark.qt


def test_count_invert_clear(pretzel_page):
    _, page = pretzel_page
    part = page.selection
    assert not part.save_button.isEnabled()
    page.session.selection = np.arange(60) < 15
    assert "<b>15</b> of 60 particles, 25 %" in part.count.text()
    assert part.save_button.isEnabled()
    part.invert_button.click()
    assert page.session.selection.sum() == 45
    part.clear_button.click()
    assert page.session.selection is None
    part.invert_button.click()
    assert page.session.selection.all()


def test_condition(pretzel_page):
    _, page = pretzel_page
    part, states = page.selection, page.browser.browsed.states
    part.condition.setText("state1 < 0.5 and state2 > 0.3")
    part.condition.returnPressed.emit()
    expected = (states[:, 0] < 0.5) & (states[:, 1] > 0.3)
    np.testing.assert_array_equal(page.session.selection, expected)
    assert "state2_std" in part.condition.toolTip()
    part.condition.setText("state9 > 1")
    part.condition.returnPressed.emit()
    np.testing.assert_array_equal(page.session.selection, expected)  # nothing is lost


def test_save_reads_back(pretzel_page, settled, pretzel_folder):
    _, page = pretzel_page
    states = page.browser.browsed.states
    lasso = [(0.0, 0.0), (0.7, 0.0), (0.7, 1.0), (0.0, 1.0)]
    page.panel.landscape.outlined.emit(lasso, "replace", True)
    mask = page.session.selection
    np.testing.assert_array_equal(mask, states[:, 0] < 0.7)
    out = pretzel_folder / "selected.star"
    try:
        page.selection.save(out)
        settled(page)
        given, written = read_particles(pretzel_folder / "particles.star"), read_particles(out)
    finally:
        out.unlink(missing_ok=True)
    same = given.table[mask].reset_index(drop=True)
    assert written.table[list(same.columns)].equals(same)
    assert written.blocks["optics"].equals(given.blocks["optics"])
    found = written.table["hypermolState1"].astype(float)
    np.testing.assert_allclose(found, states[mask, 0], atol=1e-5)


def test_the_input_is_not_replaced(pretzel_page, settled, pretzel_folder):
    _, page = pretzel_page
    page.session.selection = np.arange(60) < 5
    given = pretzel_folder / "particles.star"
    before = given.read_bytes()
    page.selection.save(given)
    settled(page)
    assert given.read_bytes() == before
