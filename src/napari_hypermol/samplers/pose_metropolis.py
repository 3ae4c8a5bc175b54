"""Metropolis on rotations with shift, state and contrast collapsed, many steps a call.

Each step places a small patch of shifts so that the present one is a random member of it, accepts
or refuses a turned rotation by the evidence summed over patch, states and contrast, then draws
the shift exactly from the patch. Slices of the present rotation are kept from step to step, so a
step costs one slice; nothing of size (n, k, q) is stored.

An image may tell one turn seven times as well as another, so an isotropic walk is either too timid
or refused. With a `PoseGuide` turns have the shape that the image allows, the patch goes along
with them as far as a turn looks like a shift, and some proposals do not depend on where the chain
is: they are drawn about the guide's centre.
"""

import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.backend import array_module
from napari_hypermol.loops import compiled, inlined
from napari_hypermol.posterior._particle_loops import tiles_of
from napari_hypermol.posterior.collapsed import (
    CollapsedModel,
    PosePrior,
    angle_square,
    lines_of,
    moved_data,
    patch_evidence,
    slice_and_gram,
    slice_scratch,
)
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.samplers import pose_metropolis_cuda

__all__ = [
    "PoseChain",
    "PoseGuide",
    "PoseInfo",
    "PoseProposals",
    "draw_proposals",
    "pose_metropolis",
]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
# Of the proposals with a guide: drawn about its centre, wider than the guide so that its tails are
# not lighter than the posterior's; and walks in no shape, should the guide be wrong. The others
# are walks in its shape, of scales about that of the greatest efficiency in three dimensions.
_LEAPS, _WIDER, _PLAIN = 0.5, 1.2, 0.1
_WALKS = (0.7, 2.0)


class PoseChain(NamedTuple):
    """Poses of n particles.

    Attributes
    ----------
    rotations : (n, 3, 3) float32 ndarray
    shifts : (n, 2) float64 ndarray
        [pixels].
    data : (n, 2, k) float32 ndarray
        D of `WhitenedImages` with the shifts undone.
    """

    rotations: Float32
    shifts: Float64
    data: Float32


class PoseGuide(NamedTuple):
    """A normal density about where each of n poses is thought to be, in the image frame.

    It must not depend on where the chain is, or the chain has another equilibrium.

    Attributes
    ----------
    centres : (n, 3, 3) float32 ndarray
    roots : (n, 3, 3) float32 ndarray
        L, lower triangles, of the covariances L L^T of omega [rad], for R = exp([omega]_x) centre.
    levers : (n, 2, 3) float32 ndarray
        How the shift that fits best changes with a turn [pixels / rad].
    """

    centres: Float32
    roots: Float32
    levers: Float32


class PoseProposals(NamedTuple):
    """Everything random in m steps of n particles.

    Attributes
    ----------
    turns : (n, m, 3) float32 ndarray
        omega [rad].
    is_leap : (n, m) bool ndarray
        Whether omega leads from the guide's centre, not from where the rotation is.
    patches : (n, p, s, 2) float64 ndarray
        Shifts to choose from, relative to the present one, which is among them [pixels]; each
        serves m / p turns, then the shift is drawn.
    uniforms : (n, m, 2) float64 ndarray
        For acceptance and for the shift.
    """

    turns: Float32
    is_leap: NDArray[np.bool_]
    patches: Float64
    uniforms: Float64


class PoseInfo(NamedTuple):
    """What the steps did.

    Attributes
    ----------
    acceptance_rate : (n,) float64 ndarray
    log_density : (n,) float64 ndarray
        Collapsed evidence of the last rotation.
    mean_turn : (n,) float64 ndarray
        Mean accepted |omega| [rad].
    """

    acceptance_rate: Float64
    log_density: Float64
    mean_turn: Float64


def draw_proposals(
    rng: np.random.Generator,
    n: int,
    n_steps: int,
    turn_scales: tuple[float, float],
    shift_scales: tuple[float, float],
    width: int = 3,
    turns_per_patch: int = 1,
    guide: PoseGuide | None = None,
) -> PoseProposals:
    """Symmetric proposals at several scales.

    Parameters
    ----------
    rng : Generator
    n, n_steps : int
    turn_scales : (least, most)
        Standard deviation of each component of omega, log-uniform between the two [rad].
    shift_scales : (least, most)
        Spacing of the patches, likewise [pixels].
    width : int
        A patch has width x width shifts.
    turns_per_patch : int
        A divisor of `n_steps`.
    guide : PoseGuide or None
        None: no leaps, and walks in all directions alike.

    Returns
    -------
    PoseProposals
    """
    lows, highs = np.log([turn_scales, shift_scales]).T
    scales = np.exp(lows + (highs - lows) * rng.random((n, n_steps, 2)))
    turns = rng.normal(size=(n, n_steps, 3)) * scales[..., :1]
    is_leap = np.zeros((n, n_steps), dtype=np.bool_)
    if guide is not None:
        kind = rng.random((n, n_steps))
        is_leap, is_plain = kind < _LEAPS, kind > 1 - _PLAIN
        low, high = np.log(_WALKS)
        size = np.where(is_leap, _WIDER, np.exp(low + (high - low) * rng.random(kind.shape)))
        shaped = np.einsum("nij,nmj->nmi", guide.roots, rng.normal(size=turns.shape))
        turns = np.where(is_plain[..., None], turns, size[..., None] * shaped)
    spacings = scales[:, ::turns_per_patch, None, 1:]
    axis = np.arange(width, dtype=np.float64)
    unit = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    own = unit[rng.integers(0, len(unit), spacings.shape[:2])]
    patches = (unit - own[:, :, None, :]) * spacings
    uniforms = rng.random((n, n_steps, 2))
    return PoseProposals(turns.astype(np.float32), is_leap, patches, uniforms)


@inlined()
def _turn(omega: Any, rotation: Any, out: Any) -> None:
    """exp([omega]_x) R by Rodrigues' formula, rows orthonormal again to rounding."""
    x, y, z = np.float64(omega[0]), np.float64(omega[1]), np.float64(omega[2])
    angle = math.sqrt(x * x + y * y + z * z)
    a = math.sin(angle) / angle if angle > 1e-12 else 1.0
    h = 0.5 * angle
    b = 0.5 * (math.sin(h) / h) ** 2 if angle > 1e-12 else 0.5
    turn = np.empty((3, 3))
    turn[0, 0], turn[0, 1], turn[0, 2] = (
        1 - b * (y * y + z * z),
        b * x * y - a * z,
        b * x * z + a * y,
    )
    turn[1, 0], turn[1, 1], turn[1, 2] = (
        b * x * y + a * z,
        1 - b * (x * x + z * z),
        b * y * z - a * x,
    )
    turn[2, 0], turn[2, 1], turn[2, 2] = (
        b * x * z - a * y,
        b * y * z + a * x,
        1 - b * (x * x + y * y),
    )
    first, second = np.zeros(3), np.zeros(3)
    for j in range(3):
        for k in range(3):
            first[j] += turn[0, k] * rotation[k, j]
            second[j] += turn[1, k] * rotation[k, j]
    first /= math.sqrt((first**2).sum())
    second -= (first * second).sum() * first
    second /= math.sqrt((second**2).sum())
    for j in range(3):
        out[0, j], out[1, j] = first[j], second[j]
    out[2, 0] = first[1] * second[2] - first[2] * second[1]
    out[2, 1] = first[2] * second[0] - first[0] * second[2]
    out[2, 2] = first[0] * second[1] - first[1] * second[0]


@inlined()
def _offset(rotation: Any, centre: Any, out: Any) -> None:
    """Fills omega, of which exp([omega]_x) centre is the rotation."""
    q = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            for k in range(3):
                q[i, j] += np.float64(rotation[i, k]) * np.float64(centre[j, k])
    out[0], out[1], out[2] = q[2, 1] - q[1, 2], q[0, 2] - q[2, 0], q[1, 0] - q[0, 1]
    sine = 0.5 * math.sqrt((out * out).sum())
    angle = math.atan2(sine, 0.5 * (q[0, 0] + q[1, 1] + q[2, 2] - 1.0))
    out *= 0.5 * (angle / sine if sine > 1e-12 else 1.0)


@inlined()
def _log_leap(omega: Any, root: Any) -> Any:
    """Log density of a leap by omega, with respect to the uniform measure of rotations."""
    solved, square = np.empty(3), 0.0
    for i in range(3):
        rest = omega[i]
        for j in range(i):
            rest -= root[i, j] * solved[j]
        solved[i] = rest / root[i, i]
        square += solved[i] * solved[i]
    half = 0.5 * math.sqrt((omega * omega).sum())
    volume = (math.sin(half) / half) ** 2 if half > 1e-6 else 1.0
    return -0.5 * square / (_WIDER * _WIDER) - math.log(volume)


@inlined()
def _drawn(log_terms: Any, uniform: Any) -> Any:
    """Index drawn with probabilities exp(log_terms), not normalised."""
    top = log_terms.max()
    target, cumulated = uniform * np.exp(log_terms - top).sum(), 0.0
    for index in range(len(log_terms) - 1):
        cumulated += math.exp(log_terms[index] - top)
        if cumulated >= target:
            return index
    return len(log_terms) - 1


@compiled(parallel=True)
def _steps(
    data: Any, weights: Any, rotations: Any, shifts: Any, prior: Any,
    grids: Any, placements: Any, samples: Any, nodes: Any, log_prior: Any, std: Any,
    temperature: Any, guide: Any, proposals: Any, tiles: Any, parts: Any, accepted: Any,
    density: Any, mean_turn: Any,
) -> None:  # fmt: skip
    n, n_samples = weights.shape
    n_q, n_steps = nodes.shape[2], proposals.turns.shape[1]
    n_shifts, every = proposals.patches.shape[2], n_steps // proposals.patches.shape[1]
    half = 0.5 * prior.rotation_precision
    for part in numba.prange(parts):
        scratch = slice_scratch(n_samples, n_q, len(placements.grids), tiles)
        columns, lines = np.empty((2, 2 * n_q, n_samples), dtype=np.float32), lines_of(samples)
        flat = np.empty((2, n_q * n_q), dtype=np.float32)
        gram = flat.reshape(2, n_q, n_q)
        by_shift = np.empty((2, n_shifts))
        other = np.empty((3, 3), dtype=np.float32)
        moved = np.empty((2, n_samples), dtype=np.float32)
        omega, before = np.empty(3), np.empty(3)
        along, drift = np.empty(2), np.zeros(2)
        for i in range(part * n // parts, (part + 1) * n // parts):
            own = nodes[i % nodes.shape[0]]
            now, here, there = 0, 0.0, 0.0
            other[:] = rotations[i]  # before the first step the present rotation is sliced
            # Both large functions are called in one place only: they are inlined, and LLVM takes
            # its seconds for every place.
            for step in range(-1, n_steps):
                new, ratio = 1 - now, 0.0
                if step >= 0:
                    for axis in range(3):
                        omega[axis] = proposals.turns[i, step, axis]
                    before[:] = 0.0
                    centre = rotations[i]
                    if proposals.is_leap[i, step]:
                        centre = guide.centres[i]
                        _offset(rotations[i], centre, before)
                        ratio = _log_leap(before, guide.roots[i]) - _log_leap(omega, guide.roots[i])
                        if (omega * omega).sum() >= math.pi * math.pi:  # more than once around
                            ratio = -np.inf
                    _turn(omega, centre, other)
                slice_and_gram(
                    other, data, weights, i, grids, placements, samples, scratch, columns[new],
                    flat[new],
                )  # fmt: skip
                if step < 0:
                    now = new
                    continue
                offsets = proposals.patches[i, step // every]
                toward = prior.shifts[i] - shifts[i]
                is_new_patch = step % every == 0
                if is_new_patch:
                    drift[:] = 0.0
                for turned in range(0 if is_new_patch else 1, 2):
                    at, rotation = (new, other) if turned else (now, rotations[i])
                    for axis in range(2):  # the patch goes with the turn, and comes back with it
                        along[axis] = drift[axis]
                        if turned:
                            for j in range(3):
                                along[axis] += guide.levers[i, axis, j] * (omega[j] - before[j])
                    there = patch_evidence(
                        data[i], columns[at], gram[at], offsets + along, toward,
                        prior.shift_precision, samples, lines, own, log_prior, std, temperature,
                        by_shift[at],
                    )  # fmt: skip
                    if prior.rotation_precision > 0:
                        there -= half * angle_square(rotation, prior.rotations[i])
                    if not turned:
                        here = there
                if math.log(proposals.uniforms[i, step, 0]) < there - here + ratio:
                    here, now = there, new
                    drift[:] = along
                    accepted[i] += 1.0 / n_steps
                    mean_turn[i] += math.sqrt(angle_square(other, rotations[i]))
                    rotations[i] = other
                density[i] = here
                if (step + 1) % every:
                    continue
                chosen = _drawn(by_shift[now], proposals.uniforms[i, step, 1])
                offset = offsets[chosen] + drift
                if offset[0] != 0.0 or offset[1] != 0.0:
                    moved_data(data[i], offset, samples, lines, moved)
                    data[i] = moved
                    shifts[i, 0] += offset[0]
                    shifts[i, 1] += offset[1]
            if accepted[i] > 0:
                mean_turn[i] /= accepted[i] * n_steps


def _no_guide(xp: Any, rotations: Any) -> PoseGuide:
    """What steps without a guide are given: it is not looked at."""
    n = len(rotations)
    roots = xp.zeros((n, 3, 3), dtype=np.float32)
    return PoseGuide(
        rotations,
        roots + xp.asarray(np.eye(3, dtype=np.float32)),
        xp.zeros((n, 2, 3), dtype=np.float32),
    )


def pose_metropolis(
    images: WhitenedImages,
    chain: PoseChain,
    prior: PosePrior,
    model: CollapsedModel,
    proposals: PoseProposals,
    guide: PoseGuide | None = None,
) -> tuple[PoseChain, PoseInfo]:
    """Metropolis steps of every particle's rotation, each with an exact draw of its shift.

    Parameters
    ----------
    images : WhitenedImages
        Its weights are used; data and rotations are the chain's. Where they are CuPy arrays all
        else is too, but placements and samples, and the steps are done on the device.
    chain : PoseChain
    prior : PosePrior
    model : CollapsedModel
    proposals : PoseProposals
    guide : PoseGuide or None
        The one they were drawn with.

    Returns
    -------
    chain : PoseChain
    info : PoseInfo

    Notes
    -----
    Leaves p(R, s | Y) with state and contrast summed out invariant. Given the patch's origin, an
    auxiliary variable that makes the present shift a uniformly random member, the rotation is
    updated under the sum over the patch and the shift then drawn given the rotation. With a guide
    a turn takes the origin with it by a fixed map of omega, whose inverse is that of -omega.
    """
    n = len(chain.rotations)
    if (xp := array_module(images.weights)) is not np:
        guide = _no_guide(xp, chain.rotations) if guide is None else guide
        rotations, shifts, data, *info = pose_metropolis_cuda.pose_metropolis(
            images, *chain, prior, model, proposals, guide, _WIDER
        )
        return PoseChain(rotations, shifts, data), PoseInfo(*info)
    rotations, shifts, data = chain.rotations.copy(), chain.shifts.copy(), chain.data.copy()
    accepted, density, mean_turn = np.zeros(n), np.zeros(n), np.zeros(n)
    guide = _no_guide(np, rotations) if guide is None else guide
    # views laid out otherwise, or a whole number, would have all of it compiled once more
    guide, model = PoseGuide(*map(np.ascontiguousarray, guide)), model.ready()
    weights = np.ascontiguousarray(images.weights)
    tiles = tiles_of(np.ones((model.nodes.shape[2],) * 2, dtype=np.bool_))
    _steps(
        data, weights, rotations, shifts, prior, *model, guide, proposals, tiles,
        numba.get_num_threads(), accepted, density, mean_turn,
    )  # fmt: skip
    return PoseChain(rotations, shifts, data), PoseInfo(accepted, density, mean_turn)
