import json

import pytest

from napari_hypermol.runs.store import Run
from napari_hypermol.runs.verdicts import HALF_SETS_OFF, entanglement_verdict, verdicts


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy whose metrics a test may change."""
    for name in ("run.json", "recipe.yaml", "metrics.json"):
        (tmp_path / name).write_bytes((tiny_run.run.path / name).read_bytes())
    return Run.open(tmp_path)


def change(run, **changes):
    path = run.path / "metrics.json"
    path.write_text(json.dumps(run.metrics | changes))


def said(run, word):
    (found,) = [one for one in verdicts(run) if word in one.text]
    return found


def test_a_run_without_half_sets_and_draws(run):
    assert said(run, "half_sets: true").kind == "attention"
    assert said(run, "half_sets: true").text == HALF_SETS_OFF + "."
    assert said(run, "is finished").kind == "good"
    assert said(run, "posterior: {draws: 200}").kind == "note"
    assert said(run, "keeps the hand").kind == "note"
    few = [one for one in verdicts(run) if "from 60 particles, " in one.text]
    assert {one.kind for one in few} == {"attention"}
    assert all(one.text.endswith(".") for one in verdicts(run))


def test_findings_decide_the_kind(run):
    halves = {"states": [[]], "fsc": [[1.0]], "resolution": [10.0, 12.0], "threshold": 0.143}
    mixed = {"has_mixed": True, "sentence": "the posterior has mixed"}
    use = {"component": "arm", "is_used": False, "gain": 1.0, "cost": 2.0, "information": 0.1}
    pair = {"component": "arm", "names": ["0.1", "0.9"], "mirrored": 0.99, "rotated": 0.5}
    found = {"states": [use], "mirrors": [pair | {"is_mirror": True}]}
    change(run, half_sets=halves, posterior=mixed, diagnostics=found, is_done=False)
    assert said(run, "10.0 Å in the best state and to 12.0").kind == "good"
    assert said(run, "has mixed").kind == "good"
    assert said(run, "arm is not used").kind == "attention"
    assert said(run, "are mirror images").kind == "attention"
    assert said(run, "not finished").kind == "attention"
    change(run, half_sets=halves | {"resolution": [10.0, 20.0]})
    assert said(run, "20.0 Å in the worst").kind == "attention"


def test_before_anything_is_known(run):
    (run.path / "metrics.json").unlink()
    assert said(run, "not finished").kind == "attention"


def test_entanglement():
    assert entanglement_verdict("tau1", 0.02).kind == "good"
    bad = entanglement_verdict("tau1", 0.4)
    assert bad.kind == "attention"
    assert "40 % of the spread of tau1" in bad.text
