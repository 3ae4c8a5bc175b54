"""What particles can be coloured by."""

import numpy as np
import pytest

from napari_hypermol.io.star import numeric
from napari_hypermol.runs.particle_values import particle_values, value_names


@pytest.fixture
def file(tiny_run):
    return tiny_run.run.read_particles()


def test_names_are_the_runs_and_the_files(tiny_run, file):
    names = value_names(tiny_run.run, file)
    assert names[0] == "hypermolState1"
    assert "rlnDefocusU" in names
    assert len(set(names)) == len(names)
    assert "rlnDefocusU" not in value_names(tiny_run.run)


def test_numbers_with_units(tiny_run, file):
    found = particle_values(tiny_run.run, "rlnDefocusU", file)
    assert found.label == "rlnDefocusU [Å]"
    np.testing.assert_array_equal(found.values, numeric(file.table, "rlnDefocusU", file.path))
    assert not found.categories
    states = particle_values(tiny_run.run, "hypermolState2")
    np.testing.assert_array_equal(states.values, tiny_run.run.states[:, 1])
    assert states.label == "hypermolState2"


def test_few_values_are_categories(tiny_run, file):
    file.table["rlnMicrographName"] = ["b.mrc"] * 20 + ["a.mrc"] * 40
    found = particle_values(tiny_run.run, "rlnMicrographName", file)
    assert found.categories == ("b.mrc", "a.mrc")
    np.testing.assert_array_equal(found.values, [0] * 20 + [1] * 40)
    file.table["rlnClassNumber"] = ["3"] * 20 + ["1"] * 40
    found = particle_values(tiny_run.run, "rlnClassNumber", file)
    assert found.categories == ("1", "3")
    np.testing.assert_array_equal(found.values, [1] * 20 + [0] * 40)


def test_many_texts_are_numbered(tiny_run, file):
    file.table["rlnMicrographName"] = [f"m{i // 2}.mrc" for i in range(60)]
    found = particle_values(tiny_run.run, "rlnMicrographName", file)
    assert found.is_numbered
    assert found.label.endswith("numbered")
    np.testing.assert_array_equal(found.values, np.repeat(np.arange(1, 31), 2))


def test_unknown_name(tiny_run, file):
    with pytest.raises(KeyError):
        particle_values(tiny_run.run, "rlnNothing", file)
