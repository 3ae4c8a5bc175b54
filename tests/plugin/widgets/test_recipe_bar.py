import pytest
import yaml
from qtpy.QtWidgets import QMessageBox

from napari_hypermol.plugin.session import Session
from napari_hypermol.plugin.widgets.recipe_bar import RecipeBar

pytestmark = pytest.mark.qt
DRAFT = {"components": {"all": {"support": {"ball": {"radius": 40.0}}}}, "seed": 3}


@pytest.fixture
def bar(qtbot):
    session = Session()
    bar = RecipeBar(session)
    qtbot.addWidget(bar)
    return bar, session


def test_saved_and_opened_again(bar, tmp_path):
    bar, session = bar
    session.put(**DRAFT)
    bar.save(tmp_path / "recipe.yaml")
    assert not session.is_changed
    assert session.folder == tmp_path
    session.load({}, tmp_path)
    bar.open(tmp_path / "recipe.yaml")
    assert session.draft == DRAFT


def test_a_file_is_not_overwritten_unasked(bar, tmp_path, monkeypatch):
    bar, session = bar
    said = []
    monkeypatch.setattr("napari_hypermol.plugin.widgets.recipe_bar.show_error", said.append)
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"seed": 9}))
    session.put(seed=1)
    bar.save(path)
    assert "exists already" in said[0]
    assert yaml.safe_load(path.read_text()) == {"seed": 9}
    assert session.is_changed
    bar.open(tmp_path / "nothing.yaml")
    assert "cannot be read" in said[1]


@pytest.mark.parametrize("answer", ["Yes", "No"])
def test_new_asks_when_something_would_be_lost(bar, monkeypatch, answer):
    bar, session = bar
    given = getattr(QMessageBox.StandardButton, answer)
    asked = []
    monkeypatch.setattr(QMessageBox, "question", lambda *words: asked.append(words) or given)
    session.put(seed=1)
    bar._on_new()
    assert len(asked) == 1
    assert session.draft == ({} if answer == "Yes" else {"seed": 1})
    session.load({"seed": 2}, session.folder)
    bar._on_new()
    assert len(asked) == 1
    assert session.draft == {}
