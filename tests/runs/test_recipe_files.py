from pathlib import Path

import pytest
import yaml

from napari_hypermol.errors import OutputExistsError, RecipeError
from napari_hypermol.runs.recipe_files import free_path, open_draft, save_draft
from napari_hypermol.runs.recipe_text import read_recipe, recipe_from

DRAFT = {
    "components": {
        "body": {"support": {"mask": "masks/body.mrc"}},
        "arm": {"support": {"mask": "masks/arm.mrc"}, "state": {"degree": 2}},
    },
    "priors": {"coefficients": {"solvent_mask": "masks/body.mrc", "solvent": 100.0}},
    "particles": "particles.star",
}


@pytest.fixture
def made(tmp_path):
    """A folder with the masks of the draft."""
    (tmp_path / "from" / "masks").mkdir(parents=True)
    for name in ("body", "arm"):
        (tmp_path / "from" / "masks" / f"{name}.mrc").write_text(name)
    return tmp_path / "from"


def test_masks_go_with_the_recipe(made, tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    saved = save_draft(DRAFT, made, there / "recipe.yaml", overwrite=False)
    assert saved["particles"] == "../from/particles.star"
    assert saved["components"] == DRAFT["components"]
    assert (there / "masks" / "arm.mrc").read_text() == "arm"
    assert open_draft(there / "recipe.yaml") == saved
    assert read_recipe(there / "recipe.yaml") == recipe_from(saved)


def test_nothing_is_overwritten_unasked(made, tmp_path):
    target = tmp_path / "recipe.yaml"
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "arm.mrc").write_text("somebody else's")
    target.write_text("seed: 1")
    with pytest.raises(OutputExistsError):
        save_draft(DRAFT, made, target, overwrite=False)
    assert target.read_text() == "seed: 1"
    saved = save_draft(DRAFT, made, target, overwrite=True)
    assert (tmp_path / "masks" / "arm.mrc").read_text() == "somebody else's"
    # the folder of the masks is below that of the recipe, so they are named where they are
    assert saved["components"]["arm"]["support"]["mask"] == "from/masks/arm.mrc"


def test_a_mask_of_the_same_name_gets_another(made, tmp_path):
    there = tmp_path / "there"
    (there / "masks").mkdir(parents=True)
    (there / "masks" / "arm.mrc").write_text("somebody else's")
    saved = save_draft(DRAFT, made, there / "r.yaml", overwrite=False)
    assert saved["components"]["arm"]["support"]["mask"] == "masks/arm_2.mrc"
    assert (there / "masks" / "arm_2.mrc").read_text() == "arm"
    again = save_draft(saved, there, there / "r.yaml", overwrite=True)
    assert again == saved
    assert len(list((there / "masks").iterdir())) == 3


def test_wrong_values_can_be_opened_and_wrong_files_not(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"seed": "many"}))
    assert open_draft(path) == {"seed": "many"}
    path.write_text("")
    assert open_draft(path) == {}
    for text in ("a: [", "3"):
        path.write_text(text)
        with pytest.raises(RecipeError, match=r"recipe.yaml"):
            open_draft(path)
    with pytest.raises(RecipeError):
        open_draft(Path("nowhere.yaml"))


def test_free_names(tmp_path):
    assert free_path(tmp_path / "a.mrc") == tmp_path / "a.mrc"
    (tmp_path / "a.mrc").touch()
    (tmp_path / "a_2.mrc").touch()
    assert free_path(tmp_path / "a.mrc") == tmp_path / "a_3.mrc"
