"""The stacked formulas against the particle-by-particle ones, in main memory.

On a device `test_states.py` has them, through `table_posterior`.
"""

import numpy as np
import pytest

from napari_hypermol.posterior import states_cuda
from napari_hypermol.posterior.states import contrast_moments as plain_moments
from napari_hypermol.posterior.states_cuda import contrast_moments, joint_tables
from oracles.state_posterior import state_posterior


@pytest.mark.parametrize("std", [0.0, 0.05, 0.3, 5.0])
def test_contrast_moments_everywhere(rng, std):
    """From far in the lower tail, through its border at -30, to where the truncation is nothing."""
    linear = np.concatenate([rng.normal(size=200) * 300, np.linspace(-500, 500, 1001)])
    square = rng.uniform(0, 200, size=linear.shape)
    found = contrast_moments(linear, square, std)
    expected = np.array([plain_moments(u, v, std) for u, v in zip(linear, square, strict=True)])
    # the plain version has series for the tail, good to 1e-8
    np.testing.assert_allclose(found[0], expected[:, 0], rtol=1e-9, atol=3e-8)
    # centre + ratio cancels like z^2 near the border: 900 times 1e-16 / 1e-3, and series to 1e-8
    np.testing.assert_allclose(found[1], expected[:, 1], rtol=1e-8)
    np.testing.assert_allclose(found[2], expected[:, 2], rtol=1e-6)


def random_tables(rng, n=5, n_q=6):
    roots = rng.normal(size=(n, n_q, n_q + 2))
    f1, f2 = np.zeros((4, n_q)), np.zeros((3, n_q))
    f1[:, 1:3], f2[:, 3:6] = rng.normal(size=(4, 2)), rng.normal(size=(3, 3))
    rigid = np.array([1.0, 0, 0, 0, 0, 0])
    b, g = 2 * rng.normal(size=(n, n_q)), roots @ np.swapaxes(roots, 1, 2) / n_q
    return b, g, rigid, f1, f2, rng.normal(size=4), rng.normal(size=3)


def test_tables_against_brute_force(rng):
    b, g, rigid, f1, f2, prior1, prior2 = random_tables(rng)
    found = joint_tables(b, g, rigid, f1, f2, prior1, prior2, 0.2, 1.0, 0.0)
    plain = [(f1[:, 1:3], prior1, slice(1, 3)), (f2[:, 3:6], prior2, slice(3, 6))]
    for i in range(len(b)):
        answer = state_posterior(b[i], g[i], plain, 0.2)
        np.testing.assert_allclose(found.p1[i], answer.marginals[0], atol=1e-8)
        np.testing.assert_allclose(found.p2[i], answer.marginals[1], atol=1e-8)
        np.testing.assert_allclose(found.first[i], answer.first, atol=1e-8)
        np.testing.assert_allclose(found.second[i], answer.second, atol=1e-8)
        np.testing.assert_allclose(found.evidence[i], answer.log_evidence, atol=1e-8)
        np.testing.assert_allclose(
            found.contrast[i], [answer.contrast_mean, answer.contrast_std], rtol=1e-7
        )


def test_a_few_particles_at_a_time(rng, monkeypatch):
    arguments = (*random_tables(rng), 0.2, 1.0, 0.0)
    whole = joint_tables(*arguments)
    monkeypatch.setattr(states_cuda, "_ENTRIES", 150)
    for one, other in zip(joint_tables(*arguments), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_no_particles(rng):
    b, g, *rest = random_tables(rng)
    found = joint_tables(b[:0], g[:0], *rest, 0.2, 1.0, 0.0)
    assert found.p1.shape == (0, 4)
    assert found.second.shape == (0, 6, 6)
