"""Poses from nothing: which of several starts go on, and what the best has found."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from napari_hypermol.errors import RunCancelled
from napari_hypermol.runs import initial_model as module
from napari_hypermol.runs import random_start
from napari_hypermol.runs.chunks import starting_noise
from napari_hypermol.runs.control import Control
from napari_hypermol.runs.grid_search import search_images
from napari_hypermol.runs.initial_model import InitialSettings, initial_model
from napari_hypermol.runs.pose_scores import pose_scores
from napari_hypermol.runs.progress import Reporter
from small_hands import PLAN, RADIUS, ROWS, STD, small_hands, started
from small_poses import PIXEL, whole

BRIEF = InitialSettings(2, ((RADIUS, 2, 60), (6.0, 1, 60)), more_rounds=0)


@pytest.fixture(scope="module")
def simulated():
    return small_hands()


def modelled(simulated, settings, seed=0, reporter=None, rows=ROWS):
    particles, stack, _ = simulated
    rng = np.random.default_rng(seed)
    return initial_model(
        particles, stack, whole(), rows, STD, rng, reporter or Reporter(), settings
    )  # fmt: skip


@pytest.fixture(scope="module")
def good(simulated):
    return modelled(simulated, InitialSettings(2, ((RADIUS, 16, 120),), 0))


# ---- what it finds -----------------------------------------------------------------------------


def test_most_poses_are_found_up_to_hand_and_frame(simulated, good):
    _, _, true = simulated
    scores = pose_scores(
        (good.poses.rotations, good.poses.shifts / PIXEL), (true.rotations, true.shifts / PIXEL)
    )
    assert scores.median_angle < 15  # the grid's spacing [degrees]
    assert scores.within(20) > 0.75  # at random 0.1 after the best turn of either hand
    assert scores.median_shift_error < 0.7  # [pixels], half the diagonal of a grid of 1 pixel


def test_the_map_has_the_molecules_spectrum(simulated, good):
    """Neither hand nor frame is known, but how the density falls with the frequency is."""
    power = good.estimate.spectra[0][0]
    assert (power > 0).all()
    assert power[1] > power[4]
    assert np.isfinite(good.estimate.theta).all()
    assert good.molecule.n_functions == (1,)


def test_the_mode_and_the_number_of_starts_may_be_asked_for(simulated, monkeypatch):
    """By cross-correlation every particle is in one cell, as in no other mode."""
    particles, stack, _ = simulated
    cells = []

    def noted(*given, **more):
        found, sums = search_images(*given, **more)
        if sums is not None:
            cells.append((sums.mass > 0).sum() / sums.mass.sum())
        return found, sums

    monkeypatch.setattr(random_start, "search_images", noted)
    for mode in ("maxcc", "marginal"):
        given = (particles, stack, whole(), ROWS, STD, np.random.default_rng(0), Reporter(), BRIEF)
        found = initial_model(*given, mode=mode, n_starts=1)
        assert len(found.log_evidence) == 1
    half = len(cells) // 2
    assert max(cells[:half]) <= 1
    assert min(cells[half:]) > 2


def test_noise_falls_to_what_the_map_leaves(simulated, good):
    """All power to begin with, white noise of variance 1 in the end, but for what is not seen."""
    particles, stack, _ = simulated
    first, last = starting_noise(particles, stack)[0, :5], good.estimate.noise[0, :5]
    assert (last <= first).all()
    assert last[1:].mean() < 0.5 * first[1:].mean()
    assert last[1:].mean() > 0.8


def test_evidence_of_particles_not_seen_tells_a_good_start_from_a_bad_one(simulated):
    starts = [started(simulated, seed, sweeps) for seed, sweeps in ((1, 1), (2, 9))]
    noise = [start.noise for start in starts]
    scores = module._held_out_evidence(starts, ROWS[:25], RADIUS)
    assert scores.shape == (2, 25)
    assert scores[1].mean() > scores[0].mean()
    for start, before in zip(starts, noise, strict=True):  # judged under one noise, then given back
        assert start.noise is before
    assert (module._held_out_evidence(starts[:1], ROWS[:25], RADIUS) == 0.0).all()


def test_the_start_with_most_evidence_goes_on(simulated, monkeypatch):
    seen = []
    original = module.RandomStart.run

    def run(self, radius, *rest):
        seen.append((self, radius))
        original(self, radius, *rest)

    monkeypatch.setattr(module.RandomStart, "run", run)
    evidence = np.array([[-3.0, -3.1], [-1.0, -1.1]])
    monkeypatch.setattr(module, "_held_out_evidence", lambda starts, *rest: evidence)
    model = modelled(simulated, BRIEF)
    np.testing.assert_allclose(model.log_evidence, [-3.05, -1.05])
    assert [radius for _, radius in seen] == [RADIUS, RADIUS, 6.0]
    assert seen[2][0] is seen[1][0]
    assert seen[2][0] is not seen[0][0]
    np.testing.assert_array_equal(model.estimate.theta, seen[1][0].estimate.theta)


def test_half_of_the_starts_go_on_then_one(simulated, monkeypatch):
    rounds = ((RADIUS, 1, 40), (RADIUS, 1, 40), (RADIUS, 1, 40))
    ran = []
    original = module.RandomStart.run
    monkeypatch.setattr(
        module.RandomStart, "run", lambda self, *rest: ran.append(self) or original(self, *rest)
    )
    model = modelled(simulated, InitialSettings(3, rounds, 0))
    assert len(model.log_evidence) == 3
    assert [len(set(part)) for part in (ran[:3], ran[3:5], ran[5:])] == [3, 2, 1]
    assert set(ran[5:]) < set(ran[3:5]) < set(ran[:3])


@pytest.mark.parametrize(
    ("symmetries", "n_rounds"),
    [((0.9, 0.9), 1), ((0.94, 0.92, 0.92), 2), ((0.95, 0.93, 0.91, 0.89, 0.87), 3)],
)
def test_batches_go_on_while_hands_separate(symmetries, n_rounds):
    """Until the map becomes no less like its mirror image, or for three rounds."""
    values, ran = iter(symmetries), []
    start = SimpleNamespace(
        mirror_symmetry=lambda: next(values), run=lambda *given: ran.append(given[:3])
    )
    settings = InitialSettings(1, ((RADIUS, 2, 40), (6.0, 5, 60)), more_rounds=3)
    module._separate_hands(start, settings, ROWS, Reporter(), PLAN.n)
    assert ran == [(6.0, 5, 60)] * n_rounds


@pytest.mark.parametrize("n_starts", [1, 3])
def test_planned_work_is_done_whenever_hands_are_told_apart(simulated, n_starts):
    settings = InitialSettings(n_starts, ((RADIUS, 1, 40), (RADIUS, 1, 300), (6.0, 1, 40)), 2)
    reporter = Reporter()
    planned = module.initial_work(PLAN.n, None, settings)
    reporter.plan(2 * planned)
    modelled(simulated, settings, reporter=reporter)
    assert reporter.done == pytest.approx(planned)


class Symmetric:
    """A start of which only the symmetry of its map is known."""

    def __init__(self, symmetry):
        self.symmetry = symmetry

    def mirror_symmetry(self):
        return self.symmetry


def test_of_starts_that_predict_equally_well_the_least_symmetric_goes_on():
    """A map of both hands together predicts nearly as well as that of one."""
    rng = np.random.default_rng(0)
    both, one, poor = Symmetric(0.95), Symmetric(0.90), Symmetric(0.5)
    evidence = rng.normal(100.0, 5.0, 400) + rng.normal(0.0, 1.0, (3, 400))
    evidence[0] += 0.02  # less than two standard errors, 0.14
    evidence[2] -= 1.0
    assert module._best([both, one, poor], evidence, 1) == [one]
    assert module._best([both, one, poor], evidence, 2) == [one, both]
    evidence[0] += 1.0  # what predicts clearly better is taken, whatever it looks like
    assert module._best([both, one, poor], evidence, 1) == [both]
    assert module._best([both], evidence[:1], 1) == [both]


def test_held_out_particles_are_seen_by_no_start(simulated, monkeypatch):
    batches, judged = [], []
    run, evidence = module.RandomStart.run, module._held_out_evidence
    monkeypatch.setattr(
        module.RandomStart, "run", lambda self, *rest: batches.append(rest[3]) or run(self, *rest)
    )
    monkeypatch.setattr(
        module, "_held_out_evidence", lambda s, rows, r: judged.append(rows) or evidence(s, rows, r)
    )
    model = modelled(simulated, BRIEF)
    (held_out,) = judged
    assert 0 < len(held_out) < 0.2 * PLAN.n
    for rows in batches:
        assert not np.intersect1d(rows, held_out).size
    assert len(model.poses.rotations) == PLAN.n  # but get poses with all others


# ---- the same again ----------------------------------------------------------------------------


def test_same_seed_same_result(simulated):
    one, two, other = (modelled(simulated, BRIEF, seed) for seed in (3, 3, 4))
    np.testing.assert_allclose(one.log_evidence, two.log_evidence, rtol=1e-6)
    np.testing.assert_allclose(
        one.estimate.theta, two.estimate.theta, atol=1e-5 * abs(one.estimate.theta).max()
    )
    assert (one.poses.rotations == two.poses.rotations).all(axis=(1, 2)).mean() > 0.99
    assert abs(one.estimate.theta - other.estimate.theta).max() > 1e-3


def test_the_same_on_a_device(cupy, simulated, device_searches):
    particles, stack, true = simulated
    here = modelled(simulated, BRIEF)
    assert not device_searches
    there = modelled((particles, replace(stack, device="cuda"), true), BRIEF)
    # a batch a start after its first; those held out; one more at the higher band limit; all
    assert device_searches == [60, 60, 25, 25, 60, PLAN.n]
    np.testing.assert_allclose(there.log_evidence, here.log_evidence, rtol=1e-3)
    scale = abs(here.estimate.theta).max()
    np.testing.assert_allclose(there.estimate.theta, here.estimate.theta, atol=1e-3 * scale)
    is_same = (there.poses.rotations == here.poses.rotations).all(axis=(1, 2))
    assert is_same.mean() > 0.98  # two cells may be equal but for rounding


def test_poses_of_the_rows_asked_for(simulated):
    rows = np.arange(5, 65)
    model = modelled(simulated, InitialSettings(1, ((RADIUS, 2, 40),), 0), rows=rows)
    assert model.poses.rotations.shape == (60, 3, 3)
    assert model.poses.rotations.dtype == np.float32
    np.testing.assert_allclose(np.linalg.det(model.poses.rotations), 1, atol=1e-5)
    assert model.poses.shifts.shape == (60, 2)
    np.testing.assert_array_equal(model.poses.rotation_std, 0)
    # of every particle the cells beside the likeliest too, in their order
    assert model.cells.rotations.shape[0] == 60
    assert (np.diff(model.cells.log_weights, axis=1) <= 0).all()


def test_shifts_are_those_of_picking_and_the_grids(simulated):
    particles, stack, _ = simulated
    picked = np.tile([12.0, -6.0], (PLAN.n, 1))  # [Å]
    elsewhere = particles._replace(shifts=picked)
    settings = InitialSettings(1, ((RADIUS, 1, 40),), 0)
    model = initial_model(
        elsewhere, stack, whole(), ROWS, STD, np.random.default_rng(0), Reporter(), settings
    )
    away = np.linalg.norm(model.poses.shifts - picked, axis=1) / PIXEL
    assert away.max() <= 3 * STD + 1e-9


def test_a_search_can_be_stopped(simulated):
    import threading

    stop = threading.Event()
    stop.set()
    with pytest.raises(RunCancelled):
        modelled(simulated, BRIEF, reporter=Reporter(None, Control(stop)))
