"""A closing window asks first, and acts only when nobody refused."""

import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QCheckBox, QMainWindow, QMessageBox, QWidget

from napari_hypermol.plugin.closing import ClosingWatch, ask_about_run, main_window_of

pytestmark = pytest.mark.qt


@pytest.fixture
def window(qtbot):
    window = QMainWindow()
    inside = QWidget()
    window.setCentralWidget(inside)
    window.show()
    yield window
    window.close()


def test_window_is_found(window, qtbot):
    assert main_window_of(window.centralWidget()) is window
    alone = QWidget()
    qtbot.addWidget(alone)
    assert main_window_of(alone) is None


def test_refused_and_granted(window):
    answers, closed = [False], []
    watch = ClosingWatch(window, lambda: answers[-1], lambda: closed.append(1))
    window.close()
    assert window.isVisible()
    assert not closed
    answers.append(True)
    window.hide()  # no closing
    window.show()
    assert not closed
    window.close()
    assert closed == [1]
    window.show()
    watch.let_go()
    answers.append(False)
    window.close()
    assert not window.isVisible()


def answered(text, is_always=False):
    """Press a button of the dialog as soon as it is there."""

    def press():
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        box.findChild(QCheckBox).setChecked(is_always)
        (button,) = [b for b in box.buttons() if text in b.text()]
        button.click()

    QTimer.singleShot(200, press)


@pytest.mark.parametrize(
    ("text", "choice"), [("Stop it", "stop"), ("Leave it", "leave"), ("Cancel", None)]
)
def test_answers(window, monkeypatch, text, choice):
    kept = []
    monkeypatch.setattr("napari_hypermol.plugin.closing.remember_closing", kept.append)
    answered(text.replace("Stop", "Stop"))
    assert ask_about_run(window, "run_1") == choice
    assert not kept
    answered(text, is_always=True)
    ask_about_run(window, "run_1")
    assert kept == ([] if choice is None else [choice])
