"""A tiny run with draws, its poses nearly known: what is in its folder."""

import json

import numpy as np
import pytest

from napari_hypermol.io import read_star, read_volume
from napari_hypermol.runs.recipe import PosteriorRecipe
from napari_hypermol.runs.report import report_page
from napari_hypermol.runs.sampled import draws_work
from napari_hypermol.schedules.stage import Stage
from small_runs import BRIEF, TINY, recovered, simulated

N_DRAWS = 4


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sampled")
    changes = {
        "schedule": BRIEF,
        "posterior": {"chains": 2, "draws": N_DRAWS, "warm_up": 1},
        "latents": {"rotation": "refine", "shift": "refine"},
        "priors": {"rotation": {"near": 3.0}, "shift": {"std": 4.0}},
    }
    return recovered(simulated(folder / "data", TINY, **changes), folder / "run").run


def table_of(run):
    blocks = read_star(run.path / "particles.star").values()
    table = next(t for t in blocks if "rlnImageName" in t)
    return table.filter(like="hypermol").astype(float)


@pytest.mark.slow
def test_every_map_of_a_series_has_its_deviation(drawn):
    volumes = drawn.path / "volumes"
    series = {p.name for p in volumes.glob("tau*_*.mrc")}
    assert {p.name.removeprefix("std_") for p in volumes.glob("std_*.mrc")} == series
    deviation = read_volume(volumes / "std_tau1_00.mrc")
    assert deviation.pixel_size == pytest.approx(TINY.pixel_size)
    assert deviation.values.min() >= 0
    assert deviation.values.max() > 0


def test_particles_have_intervals(drawn):
    table = table_of(drawn)
    for axis in (1, 2):
        low, high = table[f"hypermolState{axis}Low"], table[f"hypermolState{axis}High"]
        assert (low >= 0).all()
        assert (low <= high).all()
        assert (high <= 1).all()
    assert (table["hypermolRotationStd"] > 0).all()


def test_draws_are_kept(drawn):
    kept = drawn.posterior
    assert kept["states"].shape == (2, N_DRAWS, TINY.n, 2)
    assert kept["states"].dtype == np.float32
    assert kept["rotation_angles"].shape == (2, N_DRAWS, TINY.n)
    assert kept["occupancy_bands"].shape[:2] == (3, 2)
    angles = np.degrees(np.sqrt((kept["rotation_angles"] ** 2).mean(axis=(0, 1))))
    np.testing.assert_allclose(table_of(drawn)["hypermolRotationStd"], angles, rtol=1e-4)


def test_metrics_say_whether_it_has_mixed(drawn):
    found = json.loads((drawn.path / "metrics.json").read_text())["posterior"]
    assert found["draws"] == N_DRAWS
    assert 0 < found["acceptance"]["poses"] < 1
    assert not found["has_mixed"]  # eight draws cannot
    assert "give more draws" in found["sentence"]
    assert found["sentence"] in (drawn.path / "log.txt").read_text()


def test_report_shows_it(drawn):
    page = report_page(drawn)
    assert "What the data leave open" in page
    assert "The posterior has not mixed" in page
    assert "acceptance of poses" in page
    assert "From where the particles are seen" in page


def test_nothing_is_drawn_unless_asked(tiny_run):
    run = tiny_run.run
    assert run.posterior == {}
    assert "posterior" not in run.metrics
    assert not list((run.path / "volumes").glob("std_*"))
    assert "hypermolState1Low" not in table_of(run)
    assert "What the data leave open" not in report_page(run)


def test_planned_work_grows_with_draws():
    stage = Stage("fine", 10.0, 2, sweeps=4)
    assert draws_work(PosteriorRecipe(), stage) == 0
    some = draws_work(PosteriorRecipe(draws=10, warm_up=0), stage)
    assert draws_work(PosteriorRecipe(draws=20, warm_up=0, chains=4), stage) == 4 * some
