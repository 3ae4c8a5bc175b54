"""Posterior of states and contrast of one particle: loops over states, quadrature over contrast."""

import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy.integrate import quad


class Answer(NamedTuple):
    """What the posterior says; `marginals` one table per component."""

    marginals: list
    contrast_mean: float
    contrast_std: float
    first: np.ndarray
    second: np.ndarray
    log_evidence: float


def contrast_integrals(linear: float, square: float, std: float) -> tuple[float, float, float]:
    """Log of the integral of exp(a linear - a^2 square / 2) p(a), and E[a], E[a^2]."""
    if std == 0:
        return linear - 0.5 * square, 1.0, 1.0

    def exponent(a):
        return a * linear - 0.5 * a * a * square - 0.5 * ((a - 1) / std) ** 2

    precision = square + 1 / std**2
    top = max((linear + 1 / std**2) / precision, 0.0)
    width = 1 / math.sqrt(precision)
    slope = abs(linear + 1 / std**2 - top * precision)  # how fast it falls where 0 is the top
    if slope > 0:
        width = min(width, 1 / slope)
    low, high = max(top - 40 * width, 0.0), top + 40 * width
    norm = quad(lambda a: math.exp(-0.5 * ((a - 1) / std) ** 2), 0, 1 + 40 * std, points=[1])[0]
    moments = []
    for power in range(3):
        value, _ = quad(
            lambda a, p=power: a**p * math.exp(exponent(a) - exponent(top)),
            *(low, high),
            points=[top],
            epsabs=0,
            epsrel=1e-10,
            limit=200,
        )
        moments.append(value)
    log_integral = math.log(moments[0]) + exponent(top) - math.log(norm)
    return log_integral, moments[1] / moments[0], moments[2] / moments[0]


def state_posterior(b, g, tables, std: float, temperature: float = 1.0) -> Answer:
    """`tables` are (functions (t, q), log_prior (t,), columns); columns in none of them are 1."""
    n_q = len(b)
    entries = []
    for where in itertools.product(*(range(len(functions)) for functions, _, _ in tables)):
        c, log_prior = np.ones(n_q), 0.0
        for t, (functions, prior, columns) in zip(where, tables, strict=True):
            c[columns] = functions[t]
            log_prior += prior[t]
        linear = sum(c[p] * b[p] for p in range(n_q))
        square = sum(c[p] * c[q] * g[p][q] for p in range(n_q) for q in range(n_q))
        log_integral, mean, mean_square = contrast_integrals(linear, square, std)
        entries.append((where, c, log_integral * temperature + log_prior, mean, mean_square))
    best = max(entry[2] for entry in entries)
    total = sum(math.exp(entry[2] - best) for entry in entries)
    marginals = [np.zeros(len(functions)) for functions, _, _ in tables]
    first, second, mean, mean_square = np.zeros(n_q), np.zeros((n_q, n_q)), 0.0, 0.0
    for where, c, log_p, a, a_square in entries:
        p = math.exp(log_p - best) / total
        for table, t in zip(marginals, where, strict=True):
            table[t] += p
        mean += p * a
        mean_square += p * a_square
        first += p * a * c
        second += p * a_square * np.outer(c, c)
    std_of_contrast = math.sqrt(max(mean_square - mean**2, 0.0))
    return Answer(marginals, mean, std_of_contrast, first, second, best + math.log(total))
