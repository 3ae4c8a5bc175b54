"""Poses, states and contrasts averaged over draws of the poses, the coefficients as they are."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.rotations import angles_between, turn_between, turned
from napari_hypermol.posterior.collapsed import PosePrior
from napari_hypermol.posterior.states import ParticlePosterior, StateTable, state_moments
from napari_hypermol.runs.pose_guide import Guide, guide_of
from napari_hypermol.runs.pose_step import Poses, PoseSettings, pose_step
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.sweep import expectation, state_tables

__all__ = ["averaged", "chordal_mean"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


def averaged(
    problem: StageProblem,
    estimate: Estimate,
    posterior: ParticlePosterior,
    prior: PosePrior,
    settings: PoseSettings,
    rng: np.random.Generator,
    n_draws: int,
    n_steps: int,
    on_draw: Callable[[int], None] = lambda _: None,
    guide: Guide | None = None,
) -> tuple[StageProblem, ParticlePosterior, Poses]:
    """Posterior of states, contrasts and poses given the coefficients, over draws of the poses.

    States are not those of the likeliest pose: what is uncertain about it is in their mean and
    spread (the tables of every draw are averaged). What poses are proposed from is made at the
    start, with what the last guide remembers, and stays. `on_draw` is called before every draw with
    its number, and may raise to stop.

    Returns
    -------
    problem : StageProblem
        At the last draw.
    posterior : ParticlePosterior
        Mean tables and moments.
    poses : Poses
        Means: of rotations the chordal one.
    """
    tables, sums = state_tables(problem.molecule, estimate.occupancies), _Sums()
    if settings.rotation != "known":
        is_shift_known = settings.shift == "known"
        guide = guide_of(
            problem, estimate, prior, posterior, is_shift_known=is_shift_known, last=guide
        )
    for draw in range(n_draws):
        on_draw(draw)
        problem, _ = pose_step(
            problem, estimate, posterior, prior, settings, rng, n_steps,
            guide=None if guide is None else guide.poses,
        )  # fmt: skip
        posterior = expectation(problem, estimate, tables, rng)
        sums.add(problem, posterior)
    return problem, sums.posterior(posterior, tables), sums.poses()


class _Sums:
    """Over draws of poses: what their means and spreads need, and no more memory than that."""

    def __init__(self) -> None:
        self._count = 0
        self._turns: list[Float32] = []  # from the first draw's rotations
        self._totals: list[Any] = []

    def add(self, problem: StageProblem, posterior: ParticlePosterior) -> None:
        """One draw."""
        if not self._count:
            self._first, self._first_shifts = problem.rotations.copy(), problem.shifts.copy()
        self._count += 1
        self._turns.append(turn_between(self._first, problem.rotations).astype(np.float32))
        away = problem.shifts - self._first_shifts
        square = posterior.contrast_std**2 + posterior.contrast_mean**2
        terms = (
            away, away**2, posterior.contrast_mean, square, posterior.log_evidence,
            *posterior.tables,
        )  # fmt: skip
        if not self._totals:
            self._totals = [np.array(term) for term in terms]
            return
        for total, term in zip(self._totals, terms, strict=True):
            total += term

    def poses(self) -> Poses:
        """Means and spreads."""
        shift, square = (total / self._count for total in self._totals[:2])
        total, squares = np.zeros(self._first.shape), np.zeros(len(self._first))
        for turn in self._turns:
            total += turned(self._first, turn)
        mean = chordal_mean(total / self._count)
        for turn in self._turns:
            squares += angles_between(turned(self._first, turn), mean) ** 2
        return Poses(
            mean.astype(np.float32),
            self._first_shifts + shift,
            np.sqrt(squares / self._count),
            np.sqrt(np.maximum(square - shift**2, 0.0).mean(axis=1)),
        )

    def posterior(
        self, last: ParticlePosterior, tables: tuple[StateTable, ...]
    ) -> ParticlePosterior:
        """The mixture of the draws' posteriors, but for the moments of the last."""
        contrast, square, evidence, *found = self._totals[2:]
        contrast, square, evidence = (x / self._count for x in (contrast, square, evidence))
        mixed = tuple(total / np.float32(self._count) for total in found)
        moments = [state_moments(p, t) for p, t in zip(mixed, tables, strict=True)]
        nothing = np.zeros((len(contrast), 0))
        return last._replace(
            state_mean=np.concatenate([*(m for m, _ in moments), nothing], axis=1),
            state_std=np.concatenate([*(s for _, s in moments), nothing], axis=1),
            contrast_mean=contrast,
            contrast_std=np.sqrt(np.maximum(square - contrast**2, 0.0)),
            log_evidence=evidence,
            tables=mixed,
        )


def chordal_mean(mean: Float64) -> Float64:
    """The rotations nearest to arithmetic means of rotation matrices; (n, 3, 3)."""
    u, _, v = np.linalg.svd(mean)
    u[:, :, 2] *= np.sign(np.linalg.det(u @ v))[:, None]
    return np.asarray(u @ v)
