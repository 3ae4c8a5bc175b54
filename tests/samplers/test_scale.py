import numpy as np
from scipy.stats import kstest

from napari_hypermol.samplers.scale import scale_draw


def test_scale_has_its_density(rng):
    """Against the distribution function of the log density, summed over a fine grid."""
    contrasts, k, power, std = rng.normal(1.1, 0.1, 40), 30, 25.0, 0.1
    u = np.linspace(-0.5, 0.5, 20_001)
    s = np.exp(u)
    log_p = (k - 40) * u - 0.5 * s**2 * power
    log_p -= 0.5 * ((contrasts[:, None] / s - 1) ** 2).sum(axis=0) / std**2
    p = np.exp(log_p - log_p.max())
    total = np.cumsum(p) / p.sum()
    draws = np.log([scale_draw(rng, power, k, contrasts, std) for _ in range(2000)])
    assert kstest(np.interp(draws, u, total), "uniform").pvalue > 1e-4
    assert kstest(np.interp(1.3 * draws, u, total), "uniform").pvalue < 1e-4


def test_leaves_the_joint_density_alone(rng):
    """x_i ~ N(0, 1), a_i ~ N(1, 0.2) and the step keep every moment; without the volume not."""
    k, n, std = 3, 5, 0.2
    lengths, levels = [], []
    for _ in range(4000):
        theta, a = rng.normal(size=k), np.maximum(rng.normal(1, std, n), 1e-6)
        s = scale_draw(rng, float(theta @ theta), k, a, std)
        lengths.append((s * theta) @ (s * theta))
        levels.append((a / s).mean())
    assert abs(np.mean(lengths) - k) < 5 * np.sqrt(2 * k / 4000)
    assert abs(np.mean(levels) - 1) < 5 * std / np.sqrt(4000 * n)
