"""Metropolis on rotations with shift, state and contrast collapsed, many steps a call.

Each step places a small patch of shifts so that the present one is a random member of it, accepts
or refuses a turned rotation by the evidence summed over patch, states and contrast, then draws
the shift exactly from the patch. Slices of the present rotation are kept from step to step, so a
step costs one slice; nothing of size (n, k, q) is stored.
"""

import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from napari_hypermol.posterior.collapsed import (
    CollapsedModel,
    PosePrior,
    angle_square,
    moved_data,
    patch_evidence,
    slice_and_gram,
)
from napari_hypermol.posterior.likelihood import WhitenedImages

__all__ = ["PoseChain", "PoseInfo", "PoseProposals", "draw_proposals", "pose_metropolis"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


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


class PoseProposals(NamedTuple):
    """Everything random in m steps of n particles.

    Attributes
    ----------
    turns : (n, m, 3) float32 ndarray
        omega [rad].
    patches : (n, p, s, 2) float64 ndarray
        Shifts to choose from, relative to the present one, which is among them [pixels]; each
        serves m / p turns, then the shift is drawn.
    uniforms : (n, m, 2) float64 ndarray
        For acceptance and for the shift.
    """

    turns: Float32
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

    Returns
    -------
    PoseProposals
    """
    lows, highs = np.log([turn_scales, shift_scales]).T
    scales = np.exp(lows + (highs - lows) * rng.random((n, n_steps, 2)))
    turns = rng.normal(size=(n, n_steps, 3)) * scales[..., :1]
    spacings = scales[:, ::turns_per_patch, None, 1:]
    axis = np.arange(width, dtype=np.float64)
    unit = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    own = unit[rng.integers(0, len(unit), spacings.shape[:2])]
    patches = (unit - own[:, :, None, :]) * spacings
    return PoseProposals(turns.astype(np.float32), patches, rng.random((n, n_steps, 2)))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
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


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _drawn(log_terms: Any, uniform: Any) -> Any:
    """Index drawn with probabilities exp(log_terms), not normalised."""
    top = log_terms.max()
    target, cumulated = uniform * np.exp(log_terms - top).sum(), 0.0
    for index in range(len(log_terms) - 1):
        cumulated += math.exp(log_terms[index] - top)
        if cumulated >= target:
            return index
    return len(log_terms) - 1


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _steps(
    data: Any, weights: Any, rotations: Any, shifts: Any, prior: Any,
    grids: Any, placements: Any, samples: Any, nodes: Any, log_prior: Any, std: Any,
    temperature: Any, proposals: Any, parts: Any, accepted: Any, density: Any, mean_turn: Any,
) -> None:  # fmt: skip
    n, n_samples = weights.shape
    n_q, n_steps = nodes.shape[2], proposals.turns.shape[1]
    n_shifts, every = proposals.patches.shape[2], n_steps // proposals.patches.shape[1]
    half = 0.5 * prior.rotation_precision
    for part in numba.prange(parts):
        rows = np.empty((n_samples, 2 * n_q), dtype=np.float32)
        columns = np.empty((2, 2 * n_q, n_samples), dtype=np.float32)
        gram = np.empty((2, n_q, n_q), dtype=np.float32)
        by_shift = np.empty((2, n_shifts))
        other = np.empty((3, 3), dtype=np.float32)
        moved = np.empty((2, n_samples), dtype=np.float32)
        for i in range(part * n // parts, (part + 1) * n // parts):
            own = nodes[i % nodes.shape[0]]
            now, here = 0, 0.0
            slice_and_gram(
                rotations[i], weights[i], grids, placements, samples, rows, columns[now], gram[now]
            )
            for step in range(n_steps):
                offsets = proposals.patches[i, step // every]
                toward = prior.shifts[i] - shifts[i]
                if step % every == 0:
                    here = patch_evidence(
                        data[i], columns[now], gram[now], offsets, toward, prior.shift_precision,
                        samples, own, log_prior, std, temperature, by_shift[now],
                    )  # fmt: skip
                    if prior.rotation_precision > 0:
                        here -= half * angle_square(rotations[i], prior.rotations[i])
                new = 1 - now
                _turn(proposals.turns[i, step], rotations[i], other)
                slice_and_gram(
                    other, weights[i], grids, placements, samples, rows, columns[new], gram[new]
                )
                there = patch_evidence(
                    data[i], columns[new], gram[new], offsets, toward, prior.shift_precision,
                    samples, own, log_prior, std, temperature, by_shift[new],
                )  # fmt: skip
                if prior.rotation_precision > 0:
                    there -= half * angle_square(other, prior.rotations[i])
                if math.log(proposals.uniforms[i, step, 0]) < there - here:
                    here, now = there, new
                    accepted[i] += 1.0 / n_steps
                    turn = proposals.turns[i, step]
                    mean_turn[i] += math.sqrt((turn * turn).sum())
                    rotations[i] = other
                density[i] = here
                if (step + 1) % every:
                    continue
                chosen = _drawn(by_shift[now], proposals.uniforms[i, step, 1])
                offset = offsets[chosen]
                if offset[0] != 0.0 or offset[1] != 0.0:
                    moved_data(data[i], offset, samples, moved)
                    data[i] = moved
                    shifts[i, 0] += offset[0]
                    shifts[i, 1] += offset[1]
            if accepted[i] > 0:
                mean_turn[i] /= accepted[i] * n_steps


def pose_metropolis(
    images: WhitenedImages,
    chain: PoseChain,
    prior: PosePrior,
    model: CollapsedModel,
    proposals: PoseProposals,
) -> tuple[PoseChain, PoseInfo]:
    """Metropolis steps of every particle's rotation, each with an exact draw of its shift.

    Parameters
    ----------
    images : WhitenedImages
        Its weights are used; data and rotations are the chain's.
    chain : PoseChain
    prior : PosePrior
    model : CollapsedModel
    proposals : PoseProposals

    Returns
    -------
    chain : PoseChain
    info : PoseInfo

    Notes
    -----
    Leaves p(R, s | Y) with state and contrast summed out invariant. Given the patch's origin, an
    auxiliary variable that makes the present shift a uniformly random member, the rotation is
    updated under the sum over the patch and the shift then drawn given the rotation.
    """
    n = len(chain.rotations)
    rotations, shifts, data = chain.rotations.copy(), chain.shifts.copy(), chain.data.copy()
    accepted, density, mean_turn = np.zeros(n), np.zeros(n), np.zeros(n)
    _steps(
        data, images.weights, rotations, shifts, prior, *model, proposals,
        numba.get_num_threads(), accepted, density, mean_turn,
    )  # fmt: skip
    return PoseChain(rotations, shifts, data), PoseInfo(accepted, density, mean_turn)
