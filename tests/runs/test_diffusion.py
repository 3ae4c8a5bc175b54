"""Slowest modes of diffusion: along open curves, round rings, through a ball without an order."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from curves import (
    OPEN_CURVES,
    ball,
    circular_correlation,
    in_noise,
    open_curve,
    plain_circle,
    walk_length,
)
from napari_hypermol.runs import diffusion as module
from napari_hypermol.runs.diffusion import diffusion_modes

SEEDS = range(4)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", OPEN_CURVES)
def test_first_mode_rises_from_end_to_end(name, seed):
    rng = np.random.default_rng(seed)
    true, points = open_curve(name, rng, 1000, 6, 0.15)
    (mode,) = diffusion_modes(points, 1, rng).T
    assert abs(spearmanr(mode, true).statistic) > 0.98  # 0.992 to 0.998; noise is the rest


def test_first_mode_is_a_cosine_along_an_evenly_occupied_curve(rng):
    """Heat between two closed ends: cos(pi t), whose ends are flat; no other order would do."""
    true = np.linspace(0, 1, 1500)
    points = np.stack([3 * true, np.zeros(1500)], axis=1) + 0.01 * rng.normal(size=(1500, 2))
    modes = diffusion_modes(points, 2, rng)
    for q in (1, 2):
        wave = np.cos(q * np.pi * true)
        assert abs(np.corrcoef(modes[:, q - 1], wave)[0, 1]) > 0.97


@pytest.mark.parametrize("seed", SEEDS)
def test_first_two_modes_go_round_a_ring(seed):
    rng = np.random.default_rng(seed)
    true = rng.random(1000)
    modes = diffusion_modes(in_noise(rng, plain_circle(true), 5, 0.1), 2, rng)
    angles = np.arctan2(modes[:, 1], modes[:, 0]) / (2 * np.pi)
    assert circular_correlation(angles, true) > 0.97  # 0.992 to 0.994
    radii = np.linalg.norm(modes, axis=1)
    assert radii.std() < 0.15 * radii.mean()  # cosine and sine of the same strength


@pytest.mark.parametrize("seed", SEEDS)
def test_a_ball_has_no_order(seed):
    """There, the points that follow one another are far apart, as they are not on a curve."""
    rng = np.random.default_rng(seed)
    _, curve = open_curve("arc", rng, 1000, 3, 0.15)
    cloud = ball(rng, 1000, 3)
    along, through = (
        walk_length(points, diffusion_modes(points, 1, rng)[:, 0]) for points in (curve, cloud)
    )
    assert along < 0.3
    assert through > 0.6


def test_a_ball_is_crossed_another_way_each_time():
    """No axis of it is special: |cos| of a random direction, evenly between 0 and 1."""
    found = []
    for seed in range(9):
        rng = np.random.default_rng(seed)
        points = ball(rng, 600, 3)
        found.append(abs(spearmanr(diffusion_modes(points, 1, rng)[:, 0], points[:, 0]).statistic))
    assert np.median(found) < 0.8
    assert min(found) < 0.4


def test_same_generator_same_modes(monkeypatch):
    monkeypatch.setattr(module, "_LANDMARKS", 300)  # so that landmarks are drawn
    _, points = open_curve("arc", np.random.default_rng(0), 700, 6, 0.2)
    one, two, other = (diffusion_modes(points, 2, np.random.default_rng(s)) for s in (7, 7, 8))
    np.testing.assert_array_equal(one, two)
    assert abs(one - other).max() > 1e-6


def test_more_points_than_landmarks(monkeypatch):
    """The others follow the landmarks that are nearest."""
    monkeypatch.setattr(module, "_LANDMARKS", 300)
    rng = np.random.default_rng(3)
    true, points = open_curve("three cosines", rng, 2000, 6, 0.15)
    modes = diffusion_modes(points, 1, rng)
    assert modes.shape == (2000, 1)
    assert abs(spearmanr(modes[:, 0], true).statistic) > 0.95


def test_scale_turn_and_place_of_the_points_do_not_matter():
    rng = np.random.default_rng(0)
    _, points = open_curve("V", rng, 500, 3, 0.1)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    moved = 100 * points @ axes + np.array([5.0, -3.0, 800.0])
    one, two = (diffusion_modes(p, 1, np.random.default_rng(1))[:, 0] for p in (points, moved))
    # up to the sign; neighbours at equal distances aside, only rounding differs
    assert abs(spearmanr(one, two).statistic) > 0.9999
