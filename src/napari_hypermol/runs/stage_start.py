"""What a stage begins with: the last one's molecule on finer voxels, and first states."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.state_algebra import embedding
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.runs.circle_start import circle_states
from napari_hypermol.runs.coefficient_step import precisions
from napari_hypermol.runs.snapshot import RecoverySettings, Snapshot
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.trajectory_step import initial_trajectories

__all__ = [
    "NEW_FUNCTION",
    "carried",
    "first_posterior",
    "gains_states",
    "started",
]

Float64 = NDArray[np.float64]
# New state functions start from this fraction of the mean's spectrum.
NEW_FUNCTION = 0.1
_CONTRAST_STD = 0.1  # to begin with; re-estimated
_MEAN_PRIOR = 20.0  # start of the mean's spectrum, relative to the data's mean precision
_SLOPE_SHELLS = 4  # over which the fall of a spectrum is read, to go on beyond the band limit
_MOST_FALL = 30.0  # more makes solves slow, less fills new shells with noise


def gains_states(old: LinearMolecule, new: LinearMolecule) -> bool:
    """Whether a molecule that was still begins to move."""
    parts = range(len(new.components))
    return not any(old.kinds(m) for m in parts) and any(new.kinds(m) for m in parts)


def started(
    problem: StageProblem, estimate: Estimate, rng: np.random.Generator
) -> tuple[StageProblem, Estimate, ParticlePosterior | None]:
    """Where states begin: at random, or along the trajectories that the mean molecule hints at.

    With trajectories the first states are read with them; other components' new functions then
    begin as random fields, which comes to the same as random states.
    """
    molecule = problem.molecule
    if not any(t is not None for t in molecule.trajectories):
        return problem, estimate, first_posterior(problem, estimate, rng)
    molecule = molecule.with_trajectories(initial_trajectories(problem, estimate.theta))
    parts = molecule.split(estimate.theta)
    theta = []
    for part, basis, spectrum in zip(parts, molecule.bases, estimate.spectra, strict=True):
        field = rng.normal(size=part.shape).astype(np.float32)
        field[0] = 0
        gain = np.sqrt(NEW_FUNCTION * spectrum[:1]).repeat(len(part), axis=0)
        theta.append((part + basis.filter(field, gain.T)).ravel())
    new = estimate._replace(theta=np.concatenate(theta).astype(np.float32))
    return replace(problem, molecule=molecule), new, None


def carried(
    problem: StageProblem, snapshot: Snapshot | None, noise: Float64, settings: RecoverySettings
) -> Estimate:
    """Coefficients and spectra of the last stage on the voxels of this one."""
    molecule = problem.molecule
    if snapshot is None:
        q = sum(molecule.n_functions)
        ones = np.ones((len(problem.mean_weights), q, q), dtype=np.float32)
        spectra = []
        for h in precisions(problem, ones):
            diagonal = np.maximum(np.einsum("sqq->qs", h), 0)
            level = _MEAN_PRIOR / diagonal[:, 1:].max(axis=1, keepdims=True)
            spectra.append(np.broadcast_to(level, diagonal.shape).copy())
        std = _CONTRAST_STD if settings.contrast_std is None else settings.contrast_std
        std = std if settings.refine_contrast else 0.0
        return Estimate(molecule.zeros(), spectra, noise, std)
    old, estimate = snapshot.molecule, snapshot.estimate
    spectra = [
        _carried_spectrum(molecule, old, s, spectrum) for s, spectrum in enumerate(estimate.spectra)
    ]
    theta = molecule.transfer(estimate.theta, old)
    return estimate._replace(theta=theta, spectra=spectra, noise=noise)


def _carried_spectrum(
    new: LinearMolecule, old: LinearMolecule, s: int, spectrum: Float64
) -> Float64:
    """Spectra on finer voxels: same density per Å^-3, new functions at a fraction of the mean's."""
    user = int(np.flatnonzero(new.owners == s)[0])
    finer, coarser = new.bases[s], old.bases[s]
    scale = coarser.unit_volume / finer.unit_volume
    rows = [_extended(row, coarser.shell_radii, finer.shell_radii) for row in spectrum]
    extended = np.array(rows) * scale
    matrix = embedding(old.state_bases[user], new.state_bases[user])
    out = matrix**2 @ extended
    is_new = ~matrix.any(axis=1)
    out[is_new] = extended[0] * NEW_FUNCTION
    return np.asarray(out)


def _extended(spectrum: Float64, known: Float64, radii: Float64) -> Float64:
    """A spectrum at other radii; beyond those known it goes on falling as it did, by 30 at most.

    Constant, it would let the first solves at a finer band limit fill new shells with noise.
    """
    known, logs = known[:-1], np.log(spectrum[:-1])  # the last shell holds the corners
    inside = np.interp(radii, known, logs)
    back = min(_SLOPE_SHELLS, len(known) - 1)
    fall = max((logs[-1 - back] - logs[-1]) / (known[-1] - known[-1 - back]), 0.0) if back else 0.0
    beyond = np.maximum(radii - known[-1], 0.0)
    return np.asarray(np.exp(inside - np.minimum(fall * beyond, np.log(_MOST_FALL))))


def first_posterior(
    problem: StageProblem, estimate: Estimate, rng: np.random.Generator
) -> ParticlePosterior:
    """Contrast 1 and, where there are states, one for every particle: at random, or on a ring."""
    molecule, n = problem.molecule, len(problem.mean_weights)
    functions, states = [], []
    circles = circle_states(problem, estimate, rng) if estimate.theta.any() else {}
    for m, basis in enumerate(molecule.state_bases):
        own = rng.random((n, basis.dims))
        if m in circles:
            own = circles[m][:, None]
        functions.append(basis.evaluate(own))
        states.append(own)
    c = np.concatenate(functions, axis=1).astype(np.float32)
    mean = np.concatenate(states, axis=1)
    return ParticlePosterior(
        state_mean=mean,
        state_std=np.full(mean.shape, np.sqrt(1 / 12)),
        contrast_mean=np.ones(n),
        contrast_std=np.zeros(n),
        first=c,
        second=c[:, :, None] * c[:, None, :],
        log_evidence=np.zeros(n),
        tables=(),
    )
