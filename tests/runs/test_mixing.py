import numpy as np
import pytest

from napari_hypermol.runs.draws import OCCUPANCY_BINS, Draws
from napari_hypermol.runs.mixing import (
    credible_interval,
    mixing,
    mixing_sentence,
    occupancy_bands,
)
from napari_hypermol.runs.sampled import draw_columns


def draws_of(rng, n_chains=2, n_draws=200, apart=0.0, memory=0.0):
    """Draws of nothing in particular; chains `apart` in their level, each with a memory."""
    shape = (n_chains, n_draws)

    def numbers(*more):
        out = rng.normal(size=(*shape, *more))
        for d in range(1, n_draws):
            out[:, d] = memory * out[:, d - 1] + np.sqrt(1 - memory**2) * out[:, d]
        return out + apart * np.arange(n_chains).reshape(-1, *[1] * (1 + len(more)))

    states = (1 / (1 + np.exp(-numbers(30, 1)))).astype(np.float32)
    nothing = np.zeros((*shape, 0), dtype=np.float32)
    return Draws(
        states=states,
        contrasts=np.ones((*shape, 30), dtype=np.float32),
        rotation_angles=nothing,
        shifts=nothing[..., None],
        rotations=np.tile(np.eye(3, dtype=np.float32), (30, 1, 1)),
        log_likelihood=numbers(),
        log_density=numbers(),
        contrast_std=np.full(shape, 0.1),
        noise_level=numbers(),
        map_power=numbers(4),
        occupancies=np.full((*shape, 1, OCCUPANCY_BINS), 1 / OCCUPANCY_BINS, dtype=np.float32),
        map_mean=np.zeros((0, 4, 4, 4), dtype=np.float32),
        map_std=np.zeros((0, 4, 4, 4), dtype=np.float32),
        acceptance={"poses": 0.3},
        solve_residual=1e-3,
    )


def test_independent_draws_have_mixed(rng):
    found = mixing(draws_of(rng), ("interval",))
    assert found["has_mixed"]
    assert found["sentence"].startswith("the posterior has mixed: R-hat at most 1.0")
    assert found["least_ess"] > 200  # of 400
    assert {"log likelihood", "map power, band 4", "mean state 1"} <= found["summaries"].keys()
    assert len([name for name in found["summaries"] if "of particle" in name]) == 20
    assert "contrast spread" not in found["summaries"]  # it is known


def test_chains_apart_have_not_mixed(rng):
    found = mixing(draws_of(rng, apart=2.0), ("interval",))
    assert not found["has_mixed"]
    assert found["summaries"][found["worst"]]["rhat"] > 1.2
    assert f"R-hat {found['rhat']:.2f} of {found['worst']}" in found["sentence"]
    assert found["sentence"].endswith("take these intervals as too narrow; give more draws")


def test_drifting_chains_have_not_mixed(rng):
    """One chain whose halves differ: split R-hat sees it."""
    found = mixing(draws_of(rng, n_chains=1, memory=0.99), ("interval",))
    assert not found["has_mixed"]


def test_too_few_draws_are_said(rng):
    found = mixing(draws_of(rng, n_draws=20), ("interval",))
    assert not found["has_mixed"]
    few = found | {"rhat": 1.0, "least_ess": 12.0}
    assert "only 12 effective draws" in mixing_sentence(few)
    assert "nothing moved" in mixing_sentence(found | {"worst": None})


def test_circles_are_followed_across_their_cut(rng):
    """States about 0, which is 1: no chain is far from the other."""
    draws = draws_of(rng)
    around = (0.02 * rng.normal(size=draws.states.shape)) % 1.0
    found = mixing(draws._replace(states=around.astype(np.float32)), ("circle",))
    states = [s["rhat"] for name, s in found["summaries"].items() if "of particle" in name]
    assert max(states) < 1.05


def test_interval_holds_nine_tenths(rng):
    """Exactly, however few the draws; a 21st value falls inside 90 % of the time."""
    values = rng.normal(size=(1, 21, 20_000))
    low, high = credible_interval(values[:, :20], "interval").T
    inside = (low <= values[0, 20]) & (values[0, 20] <= high)
    assert inside.mean() == pytest.approx(0.9, abs=5 * 0.3 / np.sqrt(20_000))


def test_interval_of_a_circle_goes_through_its_cut(rng):
    turns = 0.05 * rng.normal(size=(2, 500, 3)) + np.array([0.0, 0.3, 0.97])
    low, high = credible_interval(turns % 1.0, "circle").T
    np.testing.assert_allclose((high - low) % 1.0, 2 * 1.645 * 0.05, rtol=0.15)
    assert low[0] > 0.85
    assert 0 < high[0] < 0.15
    assert ((low >= 0) & (low < 1) & (high >= 0) & (high < 1)).all()


def test_classes_are_not_averaged():
    draws = np.repeat([1 / 6, 5 / 6], [93, 7])[None, :, None]
    np.testing.assert_allclose(credible_interval(draws, "class"), [[1 / 6, 5 / 6]])


def test_bands_hold_nine_tenths_of_the_draws(rng):
    shares = rng.random((2, 100, 3, OCCUPANCY_BINS)).astype(np.float32)
    low, median, high = occupancy_bands(shares)
    assert low.shape == (3, OCCUPANCY_BINS)
    assert ((low < median) & (median < high)).all()
    inside = (low <= shares) & (shares <= high)
    assert inside.mean() == pytest.approx(0.9, abs=0.01)


def test_classes_have_no_column(rng):
    draws = draws_of(rng, n_draws=4)
    assert draw_columns(draws, ("class",)) == {}
    columns = draw_columns(draws, ("interval",))
    assert list(columns) == ["hypermolState1Low", "hypermolState1High"]
