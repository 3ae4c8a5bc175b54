"""What the live plots show of a run's sweeps."""

import numpy as np
import pyqtgraph as pg
import pytest

from napari_hypermol.plugin.widgets.traces import Traces

pytestmark = pytest.mark.qt


@pytest.fixture
def traces(qtbot):
    traces = Traces()
    qtbot.addWidget(traces)
    return traces


def rows_of(n, **more):
    first = {"position": 1, "sweep": 1, "stage": "mean", "max_degree": 0}
    return [first | {"log_likelihood_per_particle": -90.0}] + [
        {
            "position": 2,
            "sweep": i + 1,
            "stage": "states 1",
            "max_degree": 1,
            "log_likelihood_per_particle": -5.0 + i,
            **more,
        }
        for i in range(n)
    ]


def curves(plot):
    return [item.getData() for item in plot.listDataItems()]


def lines(plot):
    return [i for i in plot.getPlotItem().items if isinstance(i, pg.InfiniteLine)]


def test_nothing_to_plot(traces):
    assert all(p.isHidden() for p in (traces.likelihood, traces.acceptance, traces.fsc))


def test_sweeps_with_stage_boundaries(traces):
    traces.show_sweeps(rows_of(3))
    assert not traces.likelihood.isHidden()
    assert traces.acceptance.isHidden()
    ((numbers, values),) = curves(traces.likelihood)
    np.testing.assert_array_equal(numbers, [2, 3, 4])  # the first had no molecule yet
    np.testing.assert_array_equal(values, [-5, -4, -3])
    assert [line.value() for line in lines(traces.likelihood)] == [0.5, 1.5]
    traces.show_sweeps(rows_of(4, pose_acceptance=0.4))
    assert len(curves(traces.likelihood)) == 1
    assert not traces.acceptance.isHidden()
    np.testing.assert_array_equal(curves(traces.acceptance)[0][1], [0.4] * 4)


def test_fsc_of_half_sets(traces):
    traces.show_fsc({"fsc": [[1.0, 0.8, 0.1], [1.0, 0.9, 0.2]]}, edge=100.0)
    assert not traces.fsc.isHidden()
    assert len(curves(traces.fsc)) == 2
    np.testing.assert_allclose(curves(traces.fsc)[0][0], [0, 0.01, 0.02])
    assert lines(traces.fsc)[0].value() == 0.143
    traces.clear()
    assert traces.fsc.isHidden()


def test_themes_have_other_inks(traces):
    traces.show_sweeps(rows_of(3))
    axis = traces.likelihood.getPlotItem().getAxis("left")
    dark = axis.textPen().color().lightness()
    traces.set_theme(False)
    assert axis.textPen().color().lightness() < 100 < dark
    assert len(curves(traces.likelihood)) == 1  # drawn again


def test_a_sweep_that_has_read_no_states_yet_is_left_out(traces):
    rows = rows_of(4)
    rows[1]["log_likelihood_per_particle"] = 0.0
    traces.show_sweeps(rows)
    ((numbers, values),) = curves(traces.likelihood)
    assert numbers.tolist() == [3, 4, 5]
    assert values.tolist() == [-4.0, -3.0, -2.0]
