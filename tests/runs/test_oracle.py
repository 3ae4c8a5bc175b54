"""The best the data allow, in limits where it is known."""

from dataclasses import replace

import numpy as np
import pytest

from napari_hypermol.runs.oracle import oracle_states
from napari_hypermol.runs.score import score
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.truth import read_truth
from small_runs import PRETZEL, recovered, simulated


def test_oracle_knows_nearly_everything_without_noise(tmp_path):
    brief = [{"resolution": 24, "degree": 0, "sweeps": 2}]
    data = simulated(tmp_path / "d", PRETZEL._replace(n=60, snr=500.0), schedule=brief)
    run = recovered(data, tmp_path / "run").run
    truth = read_truth(data / "truth.star")
    # its noise is what its rigid map could not explain; the true noise is far below
    estimate = run.snapshot.estimate._replace(noise=np.full_like(run.snapshot.estimate.noise, 0.01))
    known = Run(run.path, run.facts)
    known.__dict__["snapshot"] = replace(run.snapshot, estimate=estimate)
    states, scale = oracle_states(known, truth)
    # true maps are 5 % of the range apart
    assert np.sqrt(np.mean((states - truth.states) ** 2)) < 0.03
    assert scale == pytest.approx(1, abs=0.02)


def test_maps_of_any_scale_have_the_same_oracle(pretzel_run, truth):
    result = score(pretzel_run.run, truth)
    components = [replace(c, volumes=7 * c.volumes) for c in truth.components]
    again = score(pretzel_run.run, replace(truth, components=components))
    np.testing.assert_allclose(
        [s["oracle"] for s in again["states"]], [s["oracle"] for s in result["states"]], atol=1e-3
    )
    assert again["true_map_scale"] == pytest.approx(result["true_map_scale"] / 7, rel=1e-3)
