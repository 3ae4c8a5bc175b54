import json
import shutil

import numpy as np
import pytest

from napari_hypermol.errors import OutputExistsError, RunFolderError
from napari_hypermol.plugin.run_checks import export_report, look_at_run, run_checks
from napari_hypermol.runs.half_sets import states_compared
from napari_hypermol.runs.predictions import Predictions
from napari_hypermol.runs.store import Run


@pytest.fixture
def copied(run_folder, tmp_path):
    """The run in a folder that a test may change."""
    shutil.copytree(run_folder, tmp_path / "run")
    return Run.open(tmp_path / "run")


def with_half_sets(run, states, resolution):
    curves = [[1.0, 0.8, 0.1 * k] for k in range(len(states))]
    halves = {"states": states, "fsc": curves, "resolution": resolution, "threshold": 0.143}
    (run.path / "metrics.json").write_text(json.dumps(run.metrics | {"half_sets": halves}))


def test_halves_are_told_apart_by_axis(copied):
    assert run_checks(copied)[1] == []
    states = states_compared(copied.maps.axes)
    with_half_sets(copied, states, list(range(10, 20)))
    sentences, (one, two) = run_checks(copied)
    assert (one.axis, two.axis) == ("tau1", "tau2")
    assert two.names == ["0.10", "0.30", "0.50", "0.70", "0.90"]
    assert two.resolution == [15, 16, 17, 18, 19]
    np.testing.assert_allclose(two.fsc[1], [1, 0.8, 0.6])
    np.testing.assert_allclose(one.frequency, np.arange(3) / 96)  # 24 px of 4 Å
    assert any("19.0 Å in the worst" in s.text for s in sentences)


def test_what_needs_the_images(run_folder, pretzel_folder):
    run = Run.open(run_folder)
    checks = look_at_run(run, None)
    names = [one.name for one in checks.spheres]
    assert names[:3] == ["Number of particles", "Mean of tau1", "Spread of tau1"]
    assert len(checks.entanglement) == 2
    assert checks.n_worst == 3
    evidence = run.snapshot.posterior.log_evidence
    assert checks.rows[0] == np.argmin(evidence)
    expected = Predictions(run.read_particles().particles, run.snapshot).triples(checks.rows)
    np.testing.assert_allclose(checks.triples, expected, atol=1e-5)


def test_other_particles_are_refused(copied):
    facts = copied.facts | {"n_particles": 61}
    with pytest.raises(RunFolderError, match="holds 60 particles, the run was made from 61"):
        look_at_run(Run(copied.path, facts), None)


def test_report_is_copied(copied, tmp_path):
    out = tmp_path / "mine.html"
    export_report(copied, out)
    assert out.read_text() == (copied.path / "report.html").read_text()
    with pytest.raises(OutputExistsError, match="in the folder of the run"):
        export_report(copied, copied.path / "report.html")
    (copied.path / "report.html").unlink()
    with pytest.raises(RunFolderError, match="no report yet"):
        export_report(copied, out)
