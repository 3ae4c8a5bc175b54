"""What is read for browsing."""

import numpy as np

from napari_hypermol.runs.browsing import browse


def test_browse(mixed_run):
    run = mixed_run.run
    found = browse(run)
    assert found.n == len(run.contrasts)
    assert found.has_states
    np.testing.assert_array_equal(found.states, run.states)
    assert [o.axis for o in found.occupancies] == list(found.axes)
    assert found.bands is None


def test_bands_of_other_axes_are_left_out(tiny_run, monkeypatch):
    run = tiny_run.run
    monkeypatch.setitem(run.__dict__, "posterior", {"occupancy_bands": np.zeros((3, 2, 20))})
    assert browse(run).bands.shape == (3, 2, 20)
    monkeypatch.setitem(run.__dict__, "posterior", {"occupancy_bands": np.zeros((3, 1, 20))})
    assert browse(run).bands is None
