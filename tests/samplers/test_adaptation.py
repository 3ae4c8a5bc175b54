import numpy as np
import pytest

from contracts.kernel import Gaussian
from napari_hypermol.errors import ShapeError
from napari_hypermol.samplers import mala
from napari_hypermol.samplers.adaptation import (
    HMC_ACCEPTANCE,
    MALA_ACCEPTANCE,
    WALK_ACCEPTANCE,
    adapt,
    frozen_steps,
    start,
    step_sizes,
)
from napari_hypermol.samplers.hmc import hmc
from napari_hypermol.samplers.metropolis import random_walk
from napari_hypermol.samplers.metropolis import start as start_walk

TARGET = Gaussian(np.zeros(8), np.diag(np.linspace(0.5, 2, 8)))


def walk(rng, chain, step):
    return random_walk(rng, chain, TARGET.log_density, step)


def langevin(rng, chain, step):
    return mala.mala(rng, chain, TARGET.log_density_grad, step)


def hamilton(rng, chain, step):
    return hmc(rng, chain, TARGET.log_density_grad, step, 5)


@pytest.mark.parametrize("first", [1e-3, 30.0])
@pytest.mark.parametrize(
    ("kernel", "target"),
    [(walk, WALK_ACCEPTANCE), (langevin, MALA_ACCEPTANCE), (hamilton, HMC_ACCEPTANCE)],
)
def test_reaches_the_wanted_acceptance_from_any_start(rng, kernel, target, first):
    values = rng.normal(size=(50, 8))
    chain = start_walk(values, TARGET.log_density)
    if kernel is not walk:
        chain = mala.start(values, TARGET.log_density_grad)
    adaptation = start(first)
    for _ in range(300):
        chain, info = kernel(rng, chain, step_sizes(adaptation)[0])
        adaptation = adapt(adaptation, info.acceptance_rate, target)
    step, rates = frozen_steps(adaptation)[0], []
    for _ in range(200):
        chain, info = kernel(rng, chain, step)
        rates.append(info.acceptance_rate.mean())
    assert np.mean(rates) == pytest.approx(target, abs=0.04)  # of the average over early steps


def test_groups_find_their_own_steps(rng):
    """Two groups whose targets differ hundredfold in scale: so do the steps."""
    scale = np.array([1.0, 100.0]).repeat(40)
    groups = np.array([0, 1]).repeat(40)

    def log_density(value):
        return -0.5 * ((value / scale[:, None]) ** 2).sum(axis=1)

    chain, adaptation = start_walk(np.zeros((80, 3)), log_density), start(1.0, 3)
    for _ in range(400):
        steps = step_sizes(adaptation)[groups]
        chain, info = random_walk(rng, chain, log_density, steps)
        adaptation = adapt(adaptation, info.acceptance_rate, 0.3, groups)
    found = frozen_steps(adaptation)
    assert found[1] / found[0] == pytest.approx(100, rel=0.2)
    assert found[2] == pytest.approx(1.0)  # nobody is in the third


def test_adapt_is_pure():
    adaptation = start([0.1, 0.2], 2)
    before = [np.copy(part) for part in adaptation]
    after = adapt(adaptation, np.array([0.0, 1.0]), 0.5, np.array([0, 1]))
    for part, copy in zip(adaptation, before, strict=True):
        np.testing.assert_array_equal(part, copy)
    low, high = step_sizes(after) / step_sizes(adaptation)
    assert low < high


def test_chains_and_groups_must_fit():
    with pytest.raises(ShapeError, match="3 chains in 2 groups"):
        adapt(start(0.1, 2), np.zeros(3), 0.5, np.array([0, 1]))
    with pytest.raises(ShapeError, match="expected one group below 2"):
        adapt(start(0.1, 2), np.zeros(2), 0.5, np.array([0, 2]))
