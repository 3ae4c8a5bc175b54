"""States read by tables or drawn, as a stage says."""

import numpy as np
import pytest

from calibration_cases import calibration
from napari_hypermol.runs.state_reading import read_states
from napari_hypermol.runs.sweep import expectation, state_tables
from napari_hypermol.schedules.stage import Stage


@pytest.fixture(scope="module")
def case():
    return calibration.case_of(np.random.default_rng(5), n=40)


def reading(case, rng, **keys):
    tables = state_tables(case.problem.molecule)
    stage = Stage("states", 4.0, 1, sweeps=1, **keys)
    return read_states(case.problem, case.estimate, tables, stage, rng)


def test_tables_are_those_of_the_posterior(case, rng):
    found, drawn, *_ = reading(case, rng)
    expected = expectation(case.problem, case.estimate, state_tables(case.problem.molecule), rng)
    assert drawn is None
    np.testing.assert_array_equal(found.tables[0], expected.tables[0])


def test_draws_average_to_the_tables(case, rng):
    exact, *_ = reading(case, rng)
    draws = [reading(case, rng, state="draw").posterior for _ in range(300)]
    mean = np.mean([d.tables[0] for d in draws], axis=0)
    # 300 draws: 0.03 at most of a probability; 5 standard errors
    assert abs(mean - exact.tables[0]).max() < 5 * 0.5 / np.sqrt(300)
    first = np.mean([d.first for d in draws], axis=0)
    spread = np.std([d.first for d in draws], axis=0)
    assert (abs(first - exact.first) < 5 * spread / np.sqrt(300) + 1e-3).mean() > 0.99


def test_a_draw_is_one_state_and_one_contrast(case, rng):
    found, drawn, *_ = reading(case, rng, state="draw")
    assert (found.tables[0].max(axis=1) == 1).all()
    assert (found.contrast_std == 0).all()
    np.testing.assert_allclose(found.first, drawn.contrasts[:, None] * drawn.c, rtol=1e-6)
    np.testing.assert_allclose(found.second[:, 0, 0], drawn.contrasts**2, rtol=1e-5)


def test_held_contrasts_are_one(case, rng):
    for state in ("exact", "draw"):
        found, *_ = reading(case, rng, contrast="hold", state=state)
        np.testing.assert_allclose(found.contrast_mean, 1)


def test_warmer_states_are_less_certain(case, rng):
    exact, warm = (reading(case, rng, temperature=t).posterior for t in (1.0, 0.2))
    assert (warm.state_std > exact.state_std).mean() > 0.95


def test_weak_functions_are_read_by_their_tables(case, rng):
    tables = state_tables(case.problem.molecule)
    stage = Stage("states", 4.0, 1, sweeps=1, state="draw")
    found = read_states(case.problem, case.estimate, tables, stage, rng, kindling=3.0)
    assert found.drawn is None
