import numpy as np
import pytest

from napari_hypermol.io.statistics import statistics_of


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("at_once", [1, 7, 256, 2**14])
def test_of_several_parts_the_last_one_short(rng, offset, at_once):
    """Also far from zero, where squares cancel."""
    values = rng.normal(offset, 3, (13, 8, 10)).astype(np.float32)
    found = statistics_of(values, at_once)
    assert found.least == values.min()
    assert found.greatest == values.max()
    assert found.mean == pytest.approx(values.mean(dtype=np.float64), rel=1e-12, abs=1e-9)
    assert found.std == pytest.approx(values.std(dtype=np.float64), rel=1e-9)


def test_of_very_many(rng):
    values = rng.normal(5, 2, 3 * 2**14 + 5).astype(np.float32)
    found = statistics_of(values)
    assert found.std == pytest.approx(values.std(dtype=np.float64), rel=1e-9)
    assert (found.least, found.greatest) == (values.min(), values.max())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 255, 256, 899])
def test_numbers_that_are_none_are_found_anywhere(rng, bad, at):
    values = rng.normal(size=900).astype(np.float32)
    values[at] = bad
    assert np.isnan(statistics_of(values, 256)).all()


def test_infinities_do_not_hide_behind_one_another():
    assert np.isnan(statistics_of(np.float32([np.inf, -np.inf, 1]))).all()


def test_of_the_greatest_numbers_there_are():
    most = np.finfo(np.float32).max
    found = statistics_of(np.array([most, most, -most, -most], np.float32))
    assert (found.least, found.greatest, found.mean) == (-most, most, 0)
    assert found.std == pytest.approx(float(most), rel=1e-12)


def test_of_read_only_numbers_and_of_none():
    values = np.ones(10, np.float32)
    values.flags.writeable = False
    assert statistics_of(values) == (1, 1, 1, 0)
    assert statistics_of(values[:0]) == (0, -1, -2, -1)
