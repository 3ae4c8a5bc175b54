import numpy as np
import pytest

from napari_hypermol.runs.near_particles import nearest_particles

pytestmark = pytest.mark.qt


def test_nearest_particles_with_predictions(pretzel_page, qtbot):
    _, page = pretzel_page
    strip = page.strip
    page.window().show()
    assert strip.found is None  # folded: nothing is computed
    page.groups["Particles here"].is_open = True
    qtbot.waitUntil(lambda: strip.found is not None, timeout=10_000)
    page.browser.go_to((0.1, 0.9))
    expected = nearest_particles(page.browser.browsed.states, (0.1, 0.9), ("interval",) * 2)
    qtbot.waitUntil(lambda: np.array_equal(strip.found.rows, expected), timeout=10_000)
    for column, (row, match) in enumerate(zip(expected, strip.found.correlations, strict=True)):
        assert strip._captions[column].text() == f"{row + 1:,}<br><b>{match:.2f}</b>"
        assert not strip._pictures[0][column].pixmap().isNull()


def test_particles_that_are_gone_are_said(pretzel_page, qtbot):
    _, page = pretzel_page
    page.window().show()
    page.browser.file_problem = "particles.star: does not exist"
    page.groups["Particles here"].is_open = True
    qtbot.waitUntil(lambda: "does not exist" in page.strip.note.text(), timeout=5000)
