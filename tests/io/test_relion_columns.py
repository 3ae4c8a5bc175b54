from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io.relion_columns import RelionColumns, distinct_rows

PARTICLES = pd.DataFrame({"rlnOpticsGroup": ["3", "1", "3"], "rlnVoltage": ["100", "100", "100"]})
OPTICS = pd.DataFrame({"rlnOpticsGroup": ["1", "3"], "rlnVoltage": ["200", "300"]})


def test_optics_table_is_matched_by_group_and_comes_first():
    columns = RelionColumns.of(Path("x.star"), PARTICLES, OPTICS)
    np.testing.assert_array_equal(columns.group_of, [1, 0, 1])
    np.testing.assert_array_equal(columns.per_particle("rlnVoltage"), [300, 200, 300])
    assert columns.per_particle("rlnDefocusU") is None
    assert columns.has("rlnVoltage")
    assert not columns.has("rlnDefocusU")


def test_without_optics_the_particles_say_it():
    columns = RelionColumns.of(Path("x.star"), PARTICLES, None)
    np.testing.assert_array_equal(columns.per_particle("rlnVoltage"), [100, 100, 100])


def test_one_optics_group_needs_no_column():
    columns = RelionColumns.of(Path("x.star"), PARTICLES[["rlnVoltage"]], OPTICS[:1])
    np.testing.assert_array_equal(columns.per_particle("rlnVoltage"), [200, 200, 200])


def test_unknown_or_missing_groups_are_refused():
    with pytest.raises(ParticleFileError, match=r"row 1 belongs to optics group 3, .*\[1\]"):
        RelionColumns.of(Path("x.star"), PARTICLES, OPTICS[:1])
    with pytest.raises(ParticleFileError, match="rlnOpticsGroup missing"):
        RelionColumns.of(Path("x.star"), PARTICLES[["rlnVoltage"]], OPTICS)


def test_distinct_rows(rng):
    values = rng.integers(0, 3, size=(50, 2)).astype(float)
    values[:5, 1] = np.nan
    first, group = distinct_rows(values)
    np.testing.assert_array_equal(values[first][group], values)
    assert len(first) == len(np.unique(np.nan_to_num(values, nan=-1), axis=0))
