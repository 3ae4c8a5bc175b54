import pytest

from napari_hypermol.synthetic.recipes import components_of
from napari_hypermol.synthetic.simulate import MOLECULES


@pytest.mark.parametrize("molecule", MOLECULES)
def test_recipe_names_what_the_molecule_has(molecule):
    truth = MOLECULES[molecule](32).components
    recipe = components_of(molecule, 2.0)
    assert list(recipe) == [component.name for component in truth]
    for component in truth:
        entry = recipe[component.name]
        assert component.has_state == ("state" in entry or "trajectory" in entry)
        assert ("support" in entry) != ("share" in entry)


def test_words_for_each_kind_of_state():
    assert components_of("wheel", 1.0)["wheel"]["state"] == {"basis": "fourier", "degree": 4}
    state = components_of("classes", 1.0)["classes"]["state"]
    assert state == {"basis": "classes", "classes": 4}
    lid = components_of("clam", 1.0)["lid"]
    assert lid["trajectory"] == {"turn": {"degree": 1}}
    assert "state" not in lid


def test_balls_are_in_angstrom():
    one, two = (components_of("clam", unit)["lid"]["support"]["ball"] for unit in (1.0, 2.5))
    assert two["radius"] == pytest.approx(2.5 * one["radius"])
    assert two["center"] == pytest.approx([2.5 * c for c in one["center"]])


def test_recipes_share_nothing_that_could_be_changed():
    one, two = components_of("cat", 1.0), components_of("cat", 1.0)
    one["cat"]["state"]["degree"] = 1
    assert two["cat"]["state"]["degree"] == 5
