"""Langevin and Hamiltonian steps of coefficients against their dense posterior."""

from dataclasses import replace

import numpy as np
import pytest

from napari_hypermol.posterior.coefficient_priors import Ridge
from napari_hypermol.runs.coefficient_kernels import move_coefficients
from napari_hypermol.runs.step_sizes import NO_STEPS
from small_coefficients import Tiny


def steps(here, rng, kernel, n, begin, priors=None, further=((),), warm_up=60):
    """(n, k) coefficients after each call of one step, and the mean acceptance."""
    theta, sizes, kept, rates = begin.astype(np.float32), NO_STEPS, [], []
    for step in range(-warm_up, n):
        if step == 0:
            sizes = replace(sizes, is_warming_up=False)
        theta, sizes, rate = move_coefficients(
            rng, here.problem, theta, here.drawn, priors or here.priors, further, kernel, 1, sizes,
            n_done=step + warm_up,
        )  # fmt: skip
        if step >= 0:
            kept.append(theta)
            rates.append(rate)
    return np.array(kept), np.mean(rates)


def drawn(here, rng):
    root = np.linalg.cholesky(here.precision)
    return here.mean() + np.linalg.solve(root.T, rng.normal(size=len(root)))


@pytest.mark.parametrize(("kernel", "n"), [("mala", 700), ("hmc", 90)])
def test_spread_and_mean_are_those_of_the_posterior(rng, kernel, n):
    """From a draw on: squares of whitened coefficients are 1 on average, along the whole chain."""
    here = Tiny(rng)
    kept, rate = steps(here, rng, kernel, n, drawn(here, rng))
    assert 0.3 < rate < 0.97
    squares = (here.whitened(kept) ** 2).mean(axis=1)
    # independent after some tens of Langevin steps; the projector's 1 % on both sides
    assert squares.mean() == pytest.approx(1, abs=0.12)
    wrong, _ = steps(here, rng, kernel, n, drawn(here, rng), priors=[0.2 * here.priors[0]])
    assert (here.whitened(wrong) ** 2).mean() > 1.25


def test_chain_forgets_where_it_began(rng):
    here = Tiny(rng)
    kept, _ = steps(here, rng, "hmc", 60, np.zeros(len(here.right)))
    moved = here.whitened(kept[30:])
    assert (moved**2).mean() == pytest.approx(1, abs=0.2)
    again = np.corrcoef(moved[0], moved[-1])[0, 1]
    assert abs(again) < 0.3


def test_batches_lead_to_the_posterior_too(rng, monkeypatch):
    """Steps on a quarter of the particles, small enough that what they add is little."""
    monkeypatch.setattr("napari_hypermol.runs.coefficient_kernels._LEAST_BATCH", 3)
    here = Tiny(rng)
    begin = drawn(here, rng)
    kept, rate = steps(here, rng, "langevin", 900, begin, warm_up=0)
    assert rate == 1
    whitened = here.whitened(kept)
    assert (whitened**2).mean() == pytest.approx(1, abs=0.25)
    assert np.corrcoef(whitened[-1], here.whitened(begin))[0, 1] < 0.75


def test_priors_that_are_no_precision_count(rng):
    """Strong enough, they say what the coefficients are."""
    here = Tiny(rng)
    k = len(here.right)
    strong = 100 * np.diag(here.precision).max()
    kept, _ = steps(here, rng, "mala", 40, np.zeros(k), further=[[Ridge(strong)]], warm_up=250)
    assert strong * (kept**2).mean() == pytest.approx(1, abs=0.3)
    free, _ = steps(here, rng, "mala", 5, drawn(here, rng))
    assert strong * (free**2).mean() > 10


def test_same_seed_same_steps():
    here = Tiny(np.random.default_rng(1))
    one, two = (
        steps(here, np.random.default_rng(2), "mala", 3, np.zeros(len(here.right)))[0]
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)


def test_stopped_between_passes(rng):
    here = Tiny(rng)

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move_coefficients(
            rng, here.problem, here.problem.molecule.zeros(), here.drawn, here.priors, [()], "mala",
            1, NO_STEPS, check=stop,
        )  # fmt: skip
