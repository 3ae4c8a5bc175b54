from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_hypermol.errors import HypermolError, RecipeError
from napari_hypermol.io.particle_file import read_particles
from napari_hypermol.plugin.session import Session, session_of
from napari_hypermol.runs.store import Run


@pytest.fixture
def heard():
    """A session, and what it has sent."""
    session, told = Session(), []
    session.particles_changed.connect(lambda path: told.append(("particles", path)))
    session.draft_changed.connect(lambda draft: told.append(("draft", draft)))
    session.run_changed.connect(lambda run: told.append(("run", run)))
    session.run_updated.connect(lambda run: told.append(("updated", run)))
    return session, told


def test_changes_are_told_once(heard):
    session, told = heard
    session.particles = "a.star"
    session.particles = "a.star"
    assert told == [("particles", "a.star")]


def test_sections_of_the_draft(heard):
    session, told = heard
    session.put(priors={"states": {"smooth": 2.0}}, seed=3)
    session.put(seed=3)
    session.put(priors=None)
    assert [name for name, _ in told] == ["draft", "draft"]
    assert session.draft == {"seed": 3}
    assert session.recipe().seed == 3
    session.put(sed=1)
    with pytest.raises(RecipeError, match="seed"):
        session.recipe()


def test_loaded_draft(heard):
    session, told = heard
    session.load({"seed": 1}, Path("/somewhere"))
    assert session.folder == Path("/somewhere")
    assert told == [("draft", {"seed": 1})]
    assert not session.is_changed
    session.put(seed=2)
    assert session.is_changed
    session.put(seed=1)
    assert not session.is_changed


def test_same_folder_is_an_update(heard, run_folder):
    session, told = heard
    session.run = Run.open(run_folder)
    session.run = Run.open(run_folder)
    session.run = None
    assert [name for name, _ in told] == ["run", "updated", "run"]


def test_another_run_ends_the_selection(heard, run_folder):
    session, told = heard
    session.selection_changed.connect(lambda mask: told.append(("selection", mask)))
    session.run = Run.open(run_folder)
    session.selection = mask = np.ones(60, dtype=bool)
    session.run = Run.open(run_folder)
    assert session.selection is mask
    session.run = None
    session.selection = None
    assert told[1] == ("selection", mask)
    assert [name for name, _ in told] == ["run", "selection", "updated", "selection", "run"]


def test_particles_are_opened_once(pretzel_folder):
    session = Session()
    with pytest.raises(HypermolError):
        session.particle_file()
    session.particles = str(pretzel_folder / "particles.star")
    assert session.particle_file() is session.particle_file()
    assert session.particle_file().n == 60


def test_every_viewer_has_its_own():
    first, second = ViewerModel(), ViewerModel()
    assert session_of(first) is session_of(first)
    assert session_of(first) is not session_of(second)


def test_particles_read_elsewhere_are_not_read_again(heard, pretzel_folder, monkeypatch):
    session, told = heard
    file = read_particles(pretzel_folder / "particles.star")
    monkeypatch.setattr("napari_hypermol.plugin.session.open_particles", None)
    session.particles_changed.connect(lambda path: told.append(session.particle_file()))
    session.take(file)
    assert told == [("particles", str(file.path)), file]
    again = read_particles(pretzel_folder / ".." / "pretzel" / "particles.star")
    session.take(again)  # the same place under another name
    assert len(told) == 2
    assert session.particle_file() is again
