"""Whether chains of draws have mixed, what they say together, and both in plain words."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.protocols import StateKind
from napari_hypermol.runs.draws import Draws

__all__ = ["credible_interval", "mixing", "mixing_sentence", "occupancy_bands"]

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]

_MIXED = 1.05  # split R-hat up to which chains agree; 1.01 needs some 400 draws to be told from 1
_LEAST_ESS = 50.0  # below, ends of 90 % intervals wander by a fifth of a standard deviation
_FOLLOWED = 20  # particles whose states are followed
_LOW, _HIGH = 0.05, 0.95


def credible_interval(draws: NDArray[np.floating], kind: StateKind) -> Float64:
    """Ends of the 90 % interval of one coordinate of every particle.

    Parameters
    ----------
    draws : (c, d, n) float ndarray
    kind : StateKind
        Of an interval: quantiles. Of a circle: of the way from the circular mean; the low end may
        exceed the high one, the interval then runs through 1. Of a class: the least and the
        greatest that are drawn so often.

    Returns
    -------
    (n, 2) float64 ndarray
    """
    values = np.asarray(draws, dtype=np.float64).reshape(-1, draws.shape[-1])
    middle = np.zeros(values.shape[1])
    if kind == "circle":
        middle = np.angle(np.exp(2j * np.pi * values).mean(axis=0)) / (2 * np.pi)
        values = (values - middle + 0.5) % 1.0 - 0.5
    # of d independent draws exactly 90 %, which linear interpolation is not
    method: Any = "nearest" if kind == "class" else "weibull"
    ends = np.quantile(values, [_LOW, _HIGH], axis=0, method=method).T
    return np.asarray((ends + middle[:, None]) % 1.0 if kind == "circle" else ends)


def occupancy_bands(occupancies: Float32) -> Float64:
    """Low end, median and high end of 90 % bands; (c, d, dims, bins) -> (3, dims, bins)."""
    joined = occupancies.reshape(-1, *occupancies.shape[2:]).astype(np.float64)
    return np.asarray(np.quantile(joined, [_LOW, 0.5, _HIGH], axis=0, method="weibull"))


def _followed(draws: Draws, kinds: tuple[StateKind, ...]) -> dict[str, Float64]:
    """Numbers that do not depend on how the unknowns are named, by name; (c, d) each."""
    numbers: dict[str, Float64] = {"log likelihood": draws.log_likelihood}
    for band in range(draws.map_power.shape[2]):
        numbers[f"map power, band {band + 1}"] = draws.map_power[:, :, band]
    numbers["contrast spread"] = draws.contrast_std
    numbers["noise level"] = draws.noise_level
    n = draws.states.shape[2]
    rows = np.unique(np.linspace(0, n - 1, min(_FOLLOWED, n)).astype(int))
    for axis, kind in enumerate(kinds):
        own = draws.states[:, :, rows, axis].astype(np.float64)
        if kind == "circle":  # from the middle of the circle that is cut at its mean
            middle = np.angle(np.exp(2j * np.pi * own).mean(axis=(0, 1))) / (2 * np.pi)
            own = (own - middle + 0.5) % 1.0
        for column, row in enumerate(rows):
            numbers[f"state {axis + 1} of particle {row + 1}"] = own[:, :, column]
        numbers[f"mean state {axis + 1}"] = draws.states[..., axis].mean(axis=2, dtype=np.float64)
    return numbers


def mixing(draws: Draws, kinds: tuple[StateKind, ...]) -> dict[str, Any]:
    """Split R-hat and effective numbers of draws.

    Parameters
    ----------
    draws : Draws
    kinds : tuple of StateKind
        Of every state coordinate that is drawn.

    Returns
    -------
    dict
        ``chains``, ``draws``; ``summaries``, by name ``rhat`` and ``ess`` of all that moves;
        ``worst``, the name of the largest R-hat; ``least_ess``; ``acceptance``;
        ``solve_residual``; ``has_mixed``; ``sentence``.
    """
    from arviz_stats.base import array_stats  # brings scipy.stats, a second that a start has not

    summaries = {}
    for name, values in _followed(draws, kinds).items():
        if np.ptp(values) == 0:  # known, so not drawn
            continue
        rhat = float(array_stats.rhat(values, chain_axis=0, draw_axis=1))
        ess = float(array_stats.ess(values, chain_axis=0, draw_axis=1))
        if np.isfinite([rhat, ess]).all():
            summaries[name] = {"rhat": rhat, "ess": ess}
    worst = max(summaries, key=lambda name: summaries[name]["rhat"], default=None)
    largest = 1.0 if worst is None else summaries[worst]["rhat"]
    least = min((s["ess"] for s in summaries.values()), default=0.0)
    result = {
        "chains": draws.log_likelihood.shape[0],
        "draws": draws.log_likelihood.shape[1],
        "summaries": summaries,
        "worst": worst,
        "rhat": largest,
        "least_ess": least,
        "acceptance": draws.acceptance,
        "solve_residual": draws.solve_residual,
        "has_mixed": bool(worst is not None and largest <= _MIXED and least >= _LEAST_ESS),
    }
    return result | {"sentence": mixing_sentence(result)}


def mixing_sentence(result: dict[str, Any]) -> str:
    """What a person must know before trusting the intervals."""
    if result["has_mixed"]:
        return (
            f"the posterior has mixed: R-hat at most {result['rhat']:.2f}, at least "
            f"{result['least_ess']:.0f} effective draws"
        )
    if result["worst"] is None:
        return "the posterior has not mixed: nothing moved"
    if result["rhat"] > _MIXED:
        reason = f"R-hat {result['rhat']:.2f} of {result['worst']}"
    else:
        reason = f"only {result['least_ess']:.0f} effective draws"
    return (
        f"the posterior has not mixed: {reason}; take these intervals as too narrow; give more "
        "draws"
    )
