"""Chains of states against fine tables of the same posterior."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from contracts.kernel import LARGEST_SCORE
from examples import scene
from napari_hypermol.bases.classes import ClassBasis
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.errors import ShapeError
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.posterior.states import contrast_moments, table_posterior
from napari_hypermol.runs.state_kernels import move_states
from napari_hypermol.runs.step_sizes import NO_STEPS
from napari_hypermol.runs.sweep import state_tables
from napari_hypermol.samplers.state_draws import draw_states

N, STD = 500, 0.2
BALLS = [Ball((-3.0, 0.0, 0.0), 3.0, 1.0), Ball((3.0, 0.0, 1.0), 3.0, 1.0)]


def molecule_of(*bases):
    parts = [Component(f"c{i}", BALLS[i], basis) for i, basis in enumerate(bases)]
    return scene(Composite(parts, 16), 5.0).molecule


MOLECULES = {
    "interval": (CosineBasis(2),),
    "circle": (FourierBasis(1),),
    "two, one still": (ConstantBasis(), CosineBasis(2)),
}


def case_of(name, rng, occupancy=None):
    """One particle N times, moderately telling."""
    molecule = molecule_of(*MOLECULES[name])
    n_q = sum(molecule.n_functions)
    half = rng.normal(size=(n_q, n_q))
    g = np.tile(0.5 * half @ half.T, (N, 1, 1)).astype(np.float32)
    b = np.tile(1.5 * rng.normal(size=n_q), (N, 1)).astype(np.float32)
    occupancies = () if occupancy is None else (occupancy,)
    tables = state_tables(molecule, occupancies)
    return SimpleNamespace(molecule=molecule, b=b, g=g, tables=tables)


def statistics(states, contrasts, kind):
    if kind == "circle":
        waves = [np.cos(2 * np.pi * states), np.sin(2 * np.pi * states), np.cos(4 * np.pi * states)]
        return np.concatenate([*waves, contrasts[:, None], contrasts[:, None] * waves[0]], axis=1)
    powers = [states, states**2, (states < 0.1).astype(float)]
    return np.concatenate([*powers, contrasts[:, None], contrasts[:, None] * states], axis=1)


def chain(case, rng, kernel, std=STD, n_kept=25, n_between=12, kind="interval"):
    drawn = draw_states(rng, case.b, case.g, case.tables, std)
    sizes, kept, rates = NO_STEPS, [], []
    for i in range(-10, n_kept):
        if i == 0:
            sizes = replace(sizes, is_warming_up=False)
        drawn, sizes, rate = move_states(
            rng, case.b, case.g, case.molecule, case.tables, std, drawn, kernel, n_between, sizes
        )
        if i >= 0:
            kept.append(statistics(drawn.states, drawn.contrasts, kind))
            rates.append(rate)
    return np.array(kept), drawn, np.mean(rates)


def expected(case, kind, fine=3000):
    """Sums over a table so fine that its steps do not count."""
    (table,) = case.tables
    (m,) = [m for m in range(len(case.molecule.components)) if case.molecule.kinds(m)]
    states, functions = case.molecule.table(m, fine)
    c = np.ones((fine, case.b.shape[1]))
    c[:, case.molecule.columns[m]] = functions
    linear, square = c @ case.b[0], np.einsum("tq,qp,tp->t", c, case.g[0], c)
    pairs = zip(linear, square, strict=True)
    evidence, contrasts, _ = np.array([contrast_moments(x, y, STD) for x, y in pairs]).T
    coarse = np.abs(states[:, None, 0] - table.states[None, :, 0]).argmin(axis=1)
    log_p = evidence + table.log_prior[coarse]
    p = np.exp(log_p - log_p.max())
    return p @ statistics(states, contrasts, kind) / p.sum()


def largest(kept, mean):
    means = kept.mean(axis=0)
    error = means.std(axis=0, ddof=1) / np.sqrt(len(means))
    return (abs(means.mean(axis=0) - mean) / error).max()


@pytest.mark.parametrize("name", MOLECULES)
@pytest.mark.parametrize("kernel", ["metropolis", "mala", "hmc"])
def test_states_and_contrasts_have_their_posterior(rng, name, kernel):
    case, kind = case_of(name, rng), "circle" if name == "circle" else "interval"
    mean = expected(case, kind)
    kept, drawn, rate = chain(case, rng, kernel, kind=kind)
    assert 0.1 < rate < 0.97
    assert largest(kept, mean) < LARGEST_SCORE
    wrong, _, _ = chain(case, rng, kernel, std=0.5, kind=kind)
    assert largest(wrong, mean) > LARGEST_SCORE
    (table,) = case.tables
    near = table.states[drawn.entries[:, 0], 0]
    assert abs(near - drawn.states[:, 0]).max() <= 0.5 / len(table.states) + 1e-9
    assert len(np.unique(drawn.states)) > len(table.states)  # states that no table has


@pytest.mark.parametrize("kernel", ["metropolis", "mala", "hmc"])
def test_occupancy_counts(rng, kernel):
    occupancy = np.linspace(0.2, 1.8, 32) ** 2
    case = case_of("interval", rng, occupancy / occupancy.sum())
    kept, _, _ = chain(case, rng, kernel)
    assert largest(kept, expected(case, "interval")) < LARGEST_SCORE
    uniform = case_of("interval", np.random.default_rng(1))
    case.tables = uniform.tables
    assert largest(kept, expected(case, "interval")) > LARGEST_SCORE


def test_classes_are_drawn_anew(rng):
    molecule = molecule_of(ClassBasis(3))
    tables = state_tables(molecule)
    b = np.tile([0.5, 1.0, -0.5], (N, 1)).astype(np.float32)
    g = np.tile(np.eye(3), (N, 1, 1)).astype(np.float32)
    case = SimpleNamespace(molecule=molecule, b=b, g=g, tables=tables)
    p = table_posterior(b[:1], g[:1], tables, STD).tables[0][0]
    drawn, shares = draw_states(rng, b, g, tables, STD), []
    for _ in range(40):
        drawn, _, _ = move_states(
            rng, b, g, molecule, tables, STD, drawn, "metropolis", 6, NO_STEPS
        )
        shares.append(np.eye(3)[drawn.entries[:, 0]])
    assert largest(np.array(shares)[:, :, :2], p[:2]) < LARGEST_SCORE
    with pytest.raises(ShapeError, match="a class has no gradient"):
        chain(case, rng, "mala")


def test_stopped_warm_up_keeps_its_steps(rng):
    case = case_of("interval", rng)
    drawn = draw_states(rng, case.b, case.g, case.tables, STD)
    given = case.b, case.g, case.molecule, case.tables, STD, drawn, "mala"
    _, sizes, _ = move_states(rng, *given, 20, NO_STEPS)
    frozen = replace(sizes, is_warming_up=False)
    _, after, _ = move_states(rng, *given, 5, frozen)
    assert after.of("state mala") == frozen.of("state mala")
