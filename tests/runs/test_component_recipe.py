from pathlib import Path

import numpy as np
import pytest

from napari_hypermol.errors import RecipeError
from napari_hypermol.runs.recipe_text import read_recipe, recipe_from, write_recipe


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


ROUND = "support: {ball: {radius: 30}}"


BALL = {"support": {"ball": {"radius": 30}}}


@pytest.mark.parametrize("dims", [0, 3])
def test_states_have_one_or_two_dimensions(dims):
    with pytest.raises(RecipeError, match=f"1 or 2 dimensions, not {dims}"):
        recipe_from({"components": {"a": {"support": {"mask": "m"}, "state": {"dims": dims}}}})


MOVES = "trajectory: {turn: {}}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"a: {{{ROUND}, state: {{basis: classes}}}}", "needs their number"),
        (f"a: {{{ROUND}, state: {{classes: 1}}}}", "2 or more are possible"),
        (f"a: {{{ROUND}, state: {{classes: 1000}}}}", "classes: expected 100 or less (got 1000)"),
        (f"a: {{{ROUND}, state: {{classes: 3, dims: 2}}}}", "one dimension of the state"),
        (f"a: {{{ROUND}, state: {{dims: 3}}}}", "1 or 2 dimensions, not 3"),
        (f"a: {{{ROUND}, state: 5}}", "a.state: expected keys such as 'basis:'"),
        (f"a: {{{ROUND}, trajectory: {{}}}}", "a turn, a translation or both"),
        (f"a: {{{ROUND}, trajectory: turn}}", "a.trajectory: expected keys such as 'turn:'"),
        (f"a: {{{ROUND}, trajectory: {{turn: {{axis: [0, 0, 0]}}}}}}", "(0, 0, 0) has none"),
        (f"a: {{{ROUND}, trajectory: {{turn: {{range: 0}}}}}}", "0 degrees stays"),
        (
            f"a: {{{ROUND}, trajectory: {{turn: {{degree: 6}}}}}}",
            "degree: expected 5 or less (got 6)",
        ),
        (f"a: {{{ROUND}, trajectory: {{turn: {{axes: [0, 0, 1]}}}}}}", "did you mean 'axis'?"),
        (f"a: {{{ROUND}, trajectory: {{translation: {{dims: 3}}}}}}", "translation.dims"),
        (
            f"a: {{{ROUND}, trajectory: {{translation: {{dims: 2, vector: [1, 0, 0]}}}}}}",
            "a vector goes with one state",
        ),
        (
            f"a: {{{ROUND}, trajectory: {{translation: {{vector: [0, 0, 0]}}}}}}",
            "a translation by (0, 0, 0) stays",
        ),
        (
            f"a: {{{ROUND}, trajectory: {{turn: {{}}, translation: {{dims: 2}}}}}}",
            "goes with a turn has one state",
        ),
        (
            f"a: {{{ROUND}, state: {{}}, trajectory: {{translation: {{dims: 2}}}}}}",
            "two state coordinates at most",
        ),
        (f"a: {{{ROUND}, {MOVES}, state: {{dims: 2}}}}", "one continuous state"),
        (f"a: {{{ROUND}, {MOVES}, state: {{classes: 2}}}}", "one continuous state"),
        (f"a: {{{ROUND}, tied: true, {MOVES}}}", "needs both a state and a trajectory"),
        (f"a: {{{ROUND}, tied: true, state: {{}}}}", "needs both a state and a trajectory"),
        (f"a: {{{ROUND}}}\n  b: {{share: a, {MOVES}}}", "moves as that one"),
        (f"a: {{{ROUND}}}\n  b: {{share: a, symmetry: C2}}", "the component that is shared"),
        (f"a: {{{ROUND}, symmetry: T}}", "cyclic or dihedral, such as C3 or D2 (got 'T')"),
        (f"a: {{{ROUND}, symmetry: C0}}", "cyclic or dihedral"),
        (f"a: {{{ROUND}, symmetry: D}}", "cyclic or dihedral"),
        (f"a: {{{ROUND}, placed: {{angle: 9}}}}", "is placed"),
        ("a: {share: b, placed: {matrix: [[1, 0, 0], [0, 1, 0], [0, 0, 2]]}}", "not orthonormal"),
        ("a: {share: b, placed: {matrix: [[1, 0, 0], [0, 1, 0], [0, 0, -1]]}}", "mirror image"),
        ("a: {share: b, placed: {matrix: [[1, 0, 0], [0, 1, 0]]}}", "placed.matrix.2"),
        (
            "a: {share: b, placed: {angle: 5, matrix: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}}",
            "either an axis and an angle or a matrix",
        ),
        ("a: {support: {mask: m.mrc}, basis: gpswf}", "basis gpswf needs a ball"),
        (f"a: {{{ROUND}, basis: wavelet}}", "components.a.basis"),
    ],
)
def test_impossible_motions_are_one_sentence_with_the_file(tmp_path, text, says):
    path = written(tmp_path, f"components:\n  {text}\n")
    with pytest.raises(RecipeError) as problem:
        read_recipe(path)
    message = str(problem.value)
    assert message.startswith(f"{path}: ")
    assert says in message
    assert "\n" not in message
    assert "Recipe" not in message  # no names of ours


@pytest.mark.parametrize(
    "item",
    [
        {"state": {"basis": "classes", "classes": 3}},
        {"state": {"basis": "fourier", "classes": 2}},
        {"trajectory": {"turn": {"axis": [0, 0, 1], "refine": True}}},
        {"trajectory": {"translation": {"dims": 2, "degree": 2}}},
        {"state": {}, "tied": True, "trajectory": {"turn": {"range": 40}}},
        {"symmetry": "D3", "basis": "gpswf"},
    ],
)
def test_motions_are_written_and_read_again(tmp_path, item):
    placed = {"share": "a", "placed": {"matrix": np.eye(3).tolist(), "shift": [1.0, 2, 3]}}
    recipe = recipe_from({"components": {"a": BALL | item, "b": placed}})
    write_recipe(recipe, tmp_path / "again.yaml")
    assert read_recipe(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize(
    ("component", "words"),
    [
        ({"trajectory": {"turn": {"range": 1000}}}, "expected 360 or less"),
        (
            {"trajectory": {"turn": {}}, "state": {"basis": "classes", "classes": 3}, "tied": True},
            "classes cannot be tied",
        ),
    ],
)
def test_motions_that_mean_nothing_are_refused(component, words):
    ball = {"support": {"ball": {"radius": 20}}}
    with pytest.raises(RecipeError, match=words):
        recipe_from({"components": {"lid": ball | component}})


def test_a_copy_has_the_basis_of_its_original():
    ball = {"support": {"ball": {"radius": 20}}}
    with pytest.raises(RecipeError, match="give the basis to the component that is shared"):
        recipe_from({"components": {"a": ball, "b": {"share": "a", "basis": "gpswf"}}})
