"""How likely particles are that a recovery has not seen: its predictive density.

A snapshot predicts the image of a particle as a normal density of Fourier samples, a molecule plus
noise, its states and its contrast integrated out over their priors:

    log p(Y) = - 1/2 sum_k w_k [log(2 pi sigma^2) + |Y_k|^2 / sigma^2] + log evidence,

the evidence against the empty molecule, and w_k the half-plane weights: a sample of weight w stands
for w real numbers of variance sigma^2 (transforms are unitary). Noise spectra are the snapshot's
own, fitted to the particles it was made from: what a molecule cannot explain it must predict as
noise. Samples beyond its band limit it predicts to be empty, with the noise found there. Densities
of different snapshots over the same samples can therefore be compared.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.errors import ParticleFileError
from napari_hypermol.imaging.forward import shell_sums
from napari_hypermol.imaging.noise import initial_noise
from napari_hypermol.particles import Particles
from napari_hypermol.posterior.evidence import joint_log_evidence
from napari_hypermol.posterior.states import MAX_ENTRIES
from napari_hypermol.runs.chunks import stage_problem
from napari_hypermol.runs.fourier_stack import AnyStack
from napari_hypermol.runs.noise_step import updated_noise
from napari_hypermol.runs.snapshot import Snapshot
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.sweep import expectation, state_tables

__all__ = ["check_can_be_predicted", "log_evidence", "log_predictive", "noise_of"]

Float64 = NDArray[np.float64]
Rows = NDArray[np.int64]
_NOISE_ROUNDS = 2  # states and noise in turn; the run's own noise is a close start
_PARTICLES_AT_ONCE = 4096  # whitened samples held in memory


def check_can_be_predicted(particles: Particles) -> None:
    """Refuse images that have no density over all their Fourier samples.

    Raises
    ------
    ParticleFileError
        For images multiplied by their CTF, which say nothing where it crosses zero.
    """
    groups = particles.optics.is_premultiplied[particles.optics_group.astype(np.int64)]
    if groups.any():
        raise ParticleFileError(
            "these images were multiplied by their CTF, and where it is zero their likelihood has "
            "no meaning; compare runs of the images as they were before"
        )


def _fill(stack: AnyStack) -> Float64:
    """Real numbers in each shell: the sum of the half-plane weights."""
    return np.asarray(shell_sums(stack.samples.weights[None], stack.samples, stack.n_shells)[0])


def noise_of(particles: Particles, stack: AnyStack, snapshot: Snapshot, rows: Rows) -> Float64:
    """Noise spectra under a snapshot, at all samples of the stack.

    Parameters
    ----------
    particles : Particles
    stack : FourierStack or RemoteStack
        Its samples may reach beyond the snapshot's band limit, where all power is noise.
    snapshot : Snapshot
    rows : (m,) int64 ndarray
        The particles the snapshot was made from.

    Returns
    -------
    noise : (groups, shells) float64 ndarray
        sigma^2: the mean power that the snapshot leaves unexplained.
    """
    groups, n_groups = particles.optics_group.astype(np.int64), len(particles.optics.names)
    fill, estimate, radius = _fill(stack), snapshot.estimate, snapshot.stage.max_radius
    noise = initial_noise(stack.power[rows], fill, groups[rows], n_groups)
    least = 1e-3 * np.median(noise, axis=1, keepdims=True)
    inside = np.unique(fourier_samples(stack.samples.box_size, radius).shells)
    noise[:, inside] = estimate.noise[:, inside]
    problem = stage_problem(particles, stack, snapshot.molecule, radius, noise, rows)
    # a shell may lie half inside the band limit: power and fill are of all its samples
    problem, images = problem.here()
    whole = images._replace(
        power=stack.power[rows],
        fill=np.broadcast_to(fill.astype(np.float32), stack.power[rows].shape),
    )
    problem = replace(problem, images=whole)
    tables = state_tables(snapshot.molecule, estimate.occupancies)
    rng = np.random.default_rng(0)
    for _ in range(_NOISE_ROUNDS):
        known = estimate._replace(noise=noise)
        new = updated_noise(problem, known, expectation(problem, known, tables, rng))
        new = np.maximum(new, least)  # images normalised to mean 0 have no power in shell 0
        problem, noise = problem.with_noise(noise, new), new
    return noise


def log_evidence(problem: StageProblem, estimate: Estimate) -> Float64:
    """Log evidence of every particle against the empty molecule; (n,)."""
    tables = state_tables(problem.molecule, estimate.occupancies)
    entries = float(np.prod([len(t.states) for t in tables], dtype=np.float64))
    if len(tables) <= 2 and entries <= MAX_ENTRIES:
        return expectation(problem, estimate, tables, np.random.default_rng(0)).log_evidence
    b, g = problem.overlaps(estimate.theta)
    return joint_log_evidence(b, g, tables, estimate.contrast_std)


def log_predictive(
    particles: Particles,
    stack: AnyStack,
    snapshot: Snapshot,
    noise: Float64,
    rows: Rows,
) -> Float64:
    """Log density of particles' Fourier samples under a snapshot.

    Parameters
    ----------
    particles : Particles
    stack : FourierStack or RemoteStack
        The samples the density is over.
    snapshot : Snapshot
    noise : (groups, shells) float64 ndarray
        As `noise_of` gives it; shells beyond those of the stack are not looked at.
    rows : (m,) int64 ndarray
        Particles; not those the snapshot was made from.

    Returns
    -------
    (m,) float64 ndarray
    """
    noise = noise[:, : stack.n_shells]
    own = noise[particles.optics_group[rows].astype(np.int64)]
    empty = -0.5 * (_fill(stack) * np.log(2 * np.pi * own) + stack.power[rows] / own).sum(axis=1)
    evidence = np.empty(len(rows))
    estimate = snapshot.estimate._replace(noise=noise)
    for start in range(0, len(rows), _PARTICLES_AT_ONCE):
        part = slice(start, start + _PARTICLES_AT_ONCE)
        problem = stage_problem(
            particles, stack, snapshot.molecule, snapshot.stage.max_radius, noise, rows[part]
        )
        evidence[part] = log_evidence(problem, estimate)
    return np.asarray(empty + evidence)
