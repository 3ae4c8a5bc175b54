"""From the fields of the Run widget to a job, and to sentences where that fails."""

import pytest

from napari_hypermol.errors import HypermolError, OutputExistsError, RecipeError
from napari_hypermol.plugin.forms import RunForm, ball_recipe, free_folder


@pytest.fixture
def form(pretzel_folder, tmp_path) -> RunForm:
    return RunForm(particles=str(pretzel_folder / "particles.star"), out=str(tmp_path / "run"))


def test_job_without_recipe_is_one_ball(form, tmp_path):
    job = form.job()
    assert job.out == tmp_path / "run"
    (component,) = job.recipe.components.values()
    assert component.support.ball.radius == pytest.approx(0.45 * 24 * 4.0)
    assert component.state.degree == 4


def test_job_with_recipe_and_seed(form, pretzel_folder):
    recipe = pretzel_folder / "recipe.yaml"
    job = RunForm(form.particles, str(recipe), form.out, seed=7).job()
    assert job.recipe == recipe
    assert job.seed == 7


def test_degree_zero_is_rigid():
    (component,) = ball_recipe(100.0, 0).components.values()
    assert component.state is None


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"particles": " "}, HypermolError, "choose a STAR or .cs"),
        ({"particles": "/nowhere/p.star"}, HypermolError, "/nowhere/p.star: does not exist"),
        ({"recipe": "/nowhere/r.yaml"}, RecipeError, "/nowhere/r.yaml: does not exist"),
        ({"out": ""}, HypermolError, "no folder for the run"),
    ],
)
def test_mistakes_are_named(form, change, error, words):
    with pytest.raises(error, match=words):
        RunForm(**{**form.__dict__, **change}).check()


def test_existing_folder_is_refused(form, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(OutputExistsError, match="exists already"):
        form.check()


def test_free_folder_never_exists(tmp_path):
    assert free_folder(tmp_path / "p.star") == tmp_path / "hypermol_1"
    (tmp_path / "hypermol_1").mkdir()
    assert free_folder(tmp_path / "p.star") == tmp_path / "hypermol_2"
