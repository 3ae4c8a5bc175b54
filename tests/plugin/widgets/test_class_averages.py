import pytest

from napari_hypermol.io.particle_file import read_particles
from napari_hypermol.plugin.widgets.class_averages import ClassAveragesBox
from napari_hypermol.runs.store import Run

pytestmark = pytest.mark.qt


def test_averages_of_a_run(qtbot, run_folder, pretzel_folder):
    box = ClassAveragesBox()
    qtbot.addWidget(box)
    assert box.isHidden()
    box.show_run(read_particles(pretzel_folder / "particles.star"), Run.open(run_folder))
    qtbot.waitUntil(lambda: box.axis.count() == 2, timeout=10_000)
    assert not box.isHidden()
    box.axis.setCurrentIndex(1)
    box.button.click()
    assert not box.button.isEnabled()
    qtbot.waitUntil(box.button.isEnabled, timeout=30_000)
    assert box.montage.captions[0].startswith("Direction 1: ")
    assert len(box.montage._pictures) == 18
    box.show_run(None, None)
    assert box.isHidden()
    box.let_go()
