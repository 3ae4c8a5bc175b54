from pathlib import Path

import pytest

from napari_hypermol.plugin.session import session_of
from napari_hypermol.plugin.widgets.priors import PriorsPage
from napari_hypermol.plugin.widgets.studio import open_page
from napari_hypermol.runs.recipe import Recipe
from napari_hypermol.runs.recipe_text import recipe_from

pytestmark = pytest.mark.qt


@pytest.fixture
def page(make_napari_viewer_proxy, plugin):
    return open_page(make_napari_viewer_proxy(), "Priors").pages["Priors"]


def test_all_keys_but_those_of_other_pages(page):
    assert set(page.form.fields) == set(Recipe.model_fields) - {
        "components",
        "particles",
        "versions",
    }


def test_only_what_differs_goes_into_the_draft(page, qtbot):
    told = []
    page.session.draft_changed.connect(told.append)
    smooth = page.form.fields["priors"].form.fields["states"].form.fields["smooth"]
    qtbot.keyClicks(smooth.line, "0.1")
    assert page.session.draft == {"priors": {"states": {"smooth": 0.1}}}
    n = len(told)
    smooth.line.clear()
    smooth.edited.emit()
    assert page.session.draft == {}
    assert len(told) == n + 1  # no echo


def test_components_are_left_alone(page, qtbot):
    components = {"all": {"support": {"ball": {"radius": 40.0}}}}
    page.session.put(components=components)
    qtbot.keyClicks(page.form.fields["seed"].line, "7")
    assert page.session.draft == {"components": components, "seed": 7}


def test_a_loaded_recipe_fills_the_form(page):
    draft = {
        "priors": {"states": {"occupancy": {"beta": [2, 2]}}},
        "schedule": [{"resolution": 20, "degree": 0}, {"resolution": 12, "degree": 2}],
        "half_sets": True,
    }
    page.session.load(draft, Path())
    assert page.form.value() == draft
    assert page.form.fields["schedule"]._inside[1].table.rowCount() == 2
    assert recipe_from(page.session.draft).half_sets


def test_a_wrong_value_is_a_sentence_beside_its_field(page, qtbot):
    draws = page.form.fields["posterior"].form.fields["draws"]
    qtbot.keyClicks(draws.line, "-3")
    assert draws.problem.text() == "expected 0 or more (got -3)"
    page.session.load({"sede": 1, "latents": {"rotation": "search"}}, Path())
    assert "did you mean 'seed'" in page.problem.text()
    assert draws.problem.isHidden()
    page.session.load({"latents": {"rotation": "search"}}, Path())
    assert "use shift: search" in page.problem.text()


def test_it_lets_go(make_napari_viewer_proxy, plugin):
    viewer = make_napari_viewer_proxy()
    studio = open_page(viewer, "Priors")
    page = studio.pages["Priors"]
    studio.close()
    session_of(viewer).put(seed=4)
    assert page.form.value() == {}
    assert isinstance(page, PriorsPage)
