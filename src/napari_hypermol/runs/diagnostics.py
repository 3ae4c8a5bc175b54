"""What a run says about its own freedom: whether a state is used, whether two are mirror images.

Section 6.3 of the paper gives a component more freedom than it may need and looks at what becomes
of it. A state costs coefficients, and coefficients fit noise; a state is used where the particles
repay them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.particles import Particles
from napari_hypermol.posterior.priors import posterior_covariance, signal_precision
from napari_hypermol.posterior.states import StateTable
from napari_hypermol.runs.alignment import align_hands
from napari_hypermol.runs.chunks import stage_problem
from napari_hypermol.runs.coefficient_step import precisions
from napari_hypermol.runs.fourier_stack import AnyStack
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.snapshot import Snapshot
from napari_hypermol.runs.stage_problem import StageProblem
from napari_hypermol.runs.state_axes import middle_states, shown_states
from napari_hypermol.runs.sweep import expectation, state_tables

__all__ = ["diagnose", "diagnosis_sentences", "mirror_check", "state_use"]

Float64 = NDArray[np.float64]
_PARTICLES = 500  # asked; spread over the file, so that a large run takes no longer
_CANDIDATES = 4  # states along a knob of which two may be mirror images; of classes every one
_MIRROR_FIT = 0.95  # correlation a mirror image must reach
_MIRROR_SHARE = 0.5  # and the most it may leave of what the best rotation leaves unexplained


def diagnose(particles: Particles, stack: AnyStack, snapshot: Snapshot) -> dict[str, Any]:
    """Both questions, for ``metrics.json``.

    Parameters
    ----------
    particles : Particles
    stack : FourierStack or RemoteStack
    snapshot : Snapshot
        The end of a run on all particles.

    Returns
    -------
    dict
        ``states``, as `state_use`, and ``mirrors``, as `mirror_check` of every component whose
        state is used; components that share coefficients are checked once.
    """
    uses = state_use(particles, stack, snapshot)
    maps, mirrors = snapshot.maps, []
    molecule = snapshot.molecule
    names = [c.name for c in molecule.components]
    done: set[int] = set()
    for use in uses:
        owner = int(molecule.owners[names.index(use["component"])])
        if use["is_used"] and owner not in done:
            done.add(owner)
            mirrors.append(mirror_check(maps, use["component"], snapshot.posterior.state_mean))
    return {"states": uses, "mirrors": mirrors}


# ---- is the state used? ------------------------------------------------------------------------


def state_use(particles: Particles, stack: AnyStack, snapshot: Snapshot) -> list[dict[str, Any]]:
    """Whether each component with a state uses it.

    Parameters
    ----------
    particles : Particles
    stack : FourierStack or RemoteStack
    snapshot : Snapshot

    Returns
    -------
    list of dict
        One per component with a state: ``component``; ``information``, the mean divergence of
        posterior from prior [nats per particle]; ``motion``, the power of what depends on the state
        over that of the component's mean; ``gain``, by how much the state functions raise the log
        evidence of a particle, and ``cost``, the coefficients they are made of that the data
        determine [both per particle]; ``is_used``, whether the gain exceeds the cost.

    Notes
    -----
    This is Akaike's criterion. Coefficients fitted to noise raise the log evidence by half their
    number in the particles they were fitted to and lower it by as much in others; so gain less cost
    estimates what the state is worth for particles not seen. Of a coefficient shared by two
    components each bears half. The number of coefficients is the sum of 1 - C / S over them, as in
    the estimate of the spectra.

    Calibrated on 32 px images at SNR 0.03, 0.1 and 0.3, 250 to 1000 of them, of cats, pretzels and
    hinges (Section 3.1) that move, and of the same held at their middle state. In 86 runs of those
    held, gain over cost was at most 0.61, about the one half that noise alone should give, and
    mostly below 0.1, for spectra estimated from noise shrink. In 78 runs of those that move it was
    1.1 to 47 in all whose states correlated with the truth by 0.83 or more, and fell below 1 where
    few particles at low SNR showed no motion. The mean information does not tell them apart: noise
    alone reached 1.08 nats with 250 particles at SNR 0.03.
    """
    n = len(snapshot.posterior.contrast_mean)
    rows = np.unique(np.linspace(0, n - 1, min(n, _PARTICLES)).astype(np.int64))
    molecule, estimate = snapshot.molecule, snapshot.estimate
    moving = [m for m in range(len(molecule.components)) if molecule.kinds(m)]
    if not moving:
        return []
    radius = snapshot.stage.max_radius
    problem = stage_problem(particles, stack, molecule, radius, estimate.noise, rows)
    tables = state_tables(molecule, estimate.occupancies)
    asked = expectation(problem, estimate, tables, np.random.default_rng(0))
    costs = _determined(problem, snapshot, asked.second, n)
    uses = []
    for index, m in enumerate(moving):
        still_table = _held(tables[index], molecule.state_bases[m].n_functions)
        held = (*tables[:index], still_table, *tables[index + 1 :])
        still = expectation(problem, estimate, held, np.random.default_rng(0))
        gain = float((asked.log_evidence - still.log_evidence).mean())
        cost = costs[int(molecule.owners[m])] / n
        coefficients = molecule.split(estimate.theta)[int(molecule.owners[m])]
        power = (coefficients.astype(np.float64) ** 2).sum(axis=1)
        uses.append(
            {
                "component": molecule.components[m].name,
                "information": _information(asked.tables[index], tables[index]),
                "motion": float(power[1:].sum() / max(power[0], 1e-30)),
                "gain": gain,
                "cost": cost,
                "is_used": gain > cost,
            }
        )
    return uses


def _held(table: StateTable, width: int) -> StateTable:
    """The table of a component whose state changes nothing: function 0 alone, in the middle.

    `width` is the number of its state functions; a trajectory has as many at every position.
    """
    functions = np.zeros_like(table.functions)
    functions[:, (functions.shape[1] // width // 2) * width] = 1.0
    return table._replace(functions=functions)


def _information(posterior: NDArray[np.float32], table: StateTable) -> float:
    """Mean over particles of sum_t p log(p / prior) [nats]."""
    p = posterior.astype(np.float64)
    ratio = np.log(np.maximum(p, 1e-30)) - table.log_prior
    return float(np.where(p > 0, p * ratio, 0.0).sum(axis=1).mean())


def _determined(
    problem: StageProblem, snapshot: Snapshot, second: NDArray[np.float32], n: int
) -> list[float]:
    """Coefficients of state functions that n particles determine, per user of each set."""
    molecule = snapshot.molecule
    counts = []
    pairs = zip(precisions(problem, second), snapshot.estimate.spectra, strict=True)
    for s, (h, spectrum) in enumerate(pairs):
        whole = h * (n / len(problem.shifts))
        covariance = np.einsum("sqq->qs", posterior_covariance(whole, signal_precision(spectrum)))
        determined = np.clip(1 - covariance / spectrum, 0, 1)
        basis = molecule.bases[s]
        modes = basis.shell_counts * basis.fill
        users = int((molecule.owners == s).sum())
        trajectory = molecule.trajectories[s]
        learned = 0 if trajectory is None else trajectory.n_learned
        counts.append((float((determined[1:] * modes).sum()) + learned) / users)
    return counts


# ---- mirror images -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pair:
    """Two states of one component, as coordinates of the whole molecule."""

    one: list[float]
    two: list[float]


def mirror_check(maps: HyperMaps, component: str, states: Float64 | None = None) -> dict[str, Any]:
    """Whether the two most different states of a component are mirror images of each other.

    Parameters
    ----------
    maps : HyperMaps
    component : str
    states : (n, d) float64 ndarray or None
        Particles' states: only the range they fill is looked at. None: all of [0, 1].

    Returns
    -------
    dict
        ``component``; the two ``states``, and their ``names``; the correlation of their maps as
        they are (``as_is``), after the best rotation (``rotated``) and that of one with the mirror
        image of the other after the best rotation (``mirrored``); ``is_mirror``.

    Notes
    -----
    Images do not tell a molecule from its mirror image until their poses do, so a run that took
    some particles for the wrong hand shows a state with one hand at either end (Figure 5 of the
    paper). A real motion can do the same, such as the cat's, which looks left or right; the maps
    between tell: a motion passes through states as sharp as its ends.
    """
    pair = _most_different(maps, component, states)
    one, two = maps.volume(pair.one), maps.volume(pair.two)
    rotated, mirrored = align_hands(one, two)
    as_is = float(np.corrcoef(one.ravel(), two.ravel())[0, 1])
    best = max(rotated.correlation, as_is)
    is_close = mirrored.correlation > _MIRROR_FIT
    is_clear = 1 - mirrored.correlation < _MIRROR_SHARE * (1 - best)
    return {
        "component": component,
        "states": [pair.one, pair.two],
        "names": [
            ", ".join(a.text(t) for a, t in zip(maps.axes, state, strict=True))
            for state in (pair.one, pair.two)
        ],
        "as_is": as_is,
        "rotated": rotated.correlation,
        "mirrored": mirrored.correlation,
        "is_mirror": bool(is_close and is_clear),
    }


def _most_different(maps: HyperMaps, component: str, states: Float64 | None) -> _Pair:
    """Of a few states along each knob of the component, the two whose maps differ most."""
    candidates: list[list[float]] = []
    for index, axis in enumerate(maps.axes):
        if axis.component != component:
            continue
        low, high = (0.0, 1.0) if states is None else np.quantile(states[:, index], [0.02, 0.98])
        for value in shown_states(axis, _CANDIDATES, float(low), float(high)):
            state = middle_states(maps.axes)
            state[index] = float(value)
            candidates.append(state)
    volumes = np.array([maps.volume(state).ravel() for state in candidates])
    volumes -= volumes.mean(axis=0)  # distances are the same, and keep their digits
    squares = np.einsum("iv,iv->i", volumes, volumes)
    distances = squares[:, None] + squares[None] - 2 * volumes @ volumes.T
    i, j = np.unravel_index(int(np.argmax(distances)), distances.shape)
    return _Pair(*sorted((candidates[i], candidates[j])))


# ---- in words ----------------------------------------------------------------------------------


def diagnosis_sentences(diagnostics: dict[str, Any]) -> list[str]:
    """The answers as a person reads them, one line each."""
    lines = []
    for use in diagnostics["states"]:
        verdict = "used" if use["is_used"] else "not used"
        lines.append(
            f"the state of {use['component']} is {verdict}: it raises the log likelihood by "
            f"{use['gain']:.3g} per particle and costs {use['cost']:.3g}; an image tells "
            f"{use['information']:.2f} nats about it"
        )
    for mirror in diagnostics["mirrors"]:
        one, two = mirror["names"]
        if mirror["is_mirror"]:
            lines.append(
                f"states ({one}) and ({two}) of {mirror['component']} are mirror images: "
                f"correlation {mirror['mirrored']:.3f} mirrored, {mirror['rotated']:.3f} not; "
                "look whether that is a motion or two hands"
            )
        else:
            lines.append(f"states ({one}) and ({two}) are no mirror images of each other")
    return lines
