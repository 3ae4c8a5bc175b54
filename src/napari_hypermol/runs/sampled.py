"""The draws of a run: from where its recovery ended, and what of them goes into its folder."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.particles import Particles
from napari_hypermol.protocols import StateKind
from napari_hypermol.runs.chunks import renewed_problem, stage_problem
from napari_hypermol.runs.draw_sweep import DrawSettings
from napari_hypermol.runs.draws import Draws, sample_posterior
from napari_hypermol.runs.fourier_stack import AnyStack
from napari_hypermol.runs.halfway import Keeper
from napari_hypermol.runs.mixing import credible_interval, occupancy_bands
from napari_hypermol.runs.pose_prior import learned, pose_prior
from napari_hypermol.runs.pose_step import with_poses
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.recipe import PosteriorRecipe
from napari_hypermol.runs.series import series_states
from napari_hypermol.runs.snapshot import RecoverySettings, Snapshot
from napari_hypermol.schedules.stage import Stage

__all__ = ["draw_arrays", "draw_columns", "drawn_kinds", "draws_work", "run_draws"]

# A draw's solve takes some thirty rounds of conjugate gradients, a sweep's some ten.
_SWEEPS_PER_DRAW = 3


def draws_work(recipe: PosteriorRecipe, last: Stage) -> float:
    """Planned work of all draws, in the units of `recover.work_of`; 0 without."""
    if recipe.draws == 0:
        return 0.0
    sweeps = _SWEEPS_PER_DRAW * recipe.chains * (recipe.warm_up + recipe.draws)
    return sweeps * last.max_radius**2 * (1 + last.max_degree)


def run_draws(
    particles: Particles,
    stack: AnyStack,
    snapshot: Snapshot,
    settings: RecoverySettings,
    recipe: PosteriorRecipe,
    seed: int,
    reporter: Reporter,
    work: float,
    keeper: Keeper | None = None,
) -> Draws:
    """Draws of everything, with the maps of the run's series.

    Parameters
    ----------
    particles : Particles
        As read, with the poses that the prior is about.
    stack : FourierStack or RemoteStack
    snapshot : Snapshot
        The end of the recovery.
    settings : RecoverySettings
    recipe : PosteriorRecipe
    seed : int
    reporter : Reporter
    work : float
        Of everything, in its units.
    keeper : Keeper or None
        As in `draws.sample_posterior`.

    Returns
    -------
    Draws
    """
    rows = np.arange(particles.images.shape[0])
    prior = None if settings.poses is None else pose_prior(particles, rows, settings.poses)
    if snapshot.poses is not None:
        particles = with_poses(particles, rows, snapshot.poses)
        if prior is not None and settings.poses is not None and settings.poses.learns_rotation_std:
            prior = learned(prior, snapshot.poses)
    estimate = snapshot.estimate
    radius = snapshot.stage.max_radius
    problem = stage_problem(particles, stack, snapshot.molecule, radius, estimate.noise, rows)
    asked = DrawSettings(
        n_chains=recipe.chains,
        n_warm_up=recipe.warm_up,
        n_draws=recipe.draws,
        priors=settings.priors,
        poses=settings.poses,
        draws_contrast_std=settings.refine_contrast and settings.contrast_std is None,
    )
    shown = np.concatenate(series_states(snapshot.maps.axes))
    # not the numbers that the recovery drew
    rng = np.random.default_rng([seed, 1])
    renewed = None
    if settings.poses is not None:
        renewed = partial(
            renewed_problem, particles=particles, stack=stack, max_radius=radius, rows=rows
        )
    return sample_posterior(
        problem, estimate, asked, shown, rng, prior, reporter, work, renewed, keeper
    )


def drawn_kinds(molecule: LinearMolecule) -> tuple[StateKind, ...]:
    """What the drawn state coordinates are, components side by side."""
    parts = range(len(molecule.components))
    return tuple(kind for m in parts for kind in molecule.kinds(m))


def draw_columns(draws: Draws, kinds: tuple[StateKind, ...]) -> dict[str, Any]:
    """The columns that draws add to the particles or replace; each (n,).

    ``hypermolState1Low`` and ``hypermolState1High`` are the ends of the 90 % interval, as
    `mixing.credible_interval` has them; classes have none, their ``Std`` says it.
    """
    columns: dict[str, Any] = {}
    for axis, kind in enumerate(kinds):
        if kind == "class":
            continue
        low, high = credible_interval(draws.states[..., axis], kind).T
        columns[f"hypermolState{axis + 1}Low"] = low
        columns[f"hypermolState{axis + 1}High"] = high
    if draws.rotation_angles.size:
        columns["hypermolRotationStd"] = np.degrees(draws.rotation_std)
        columns["hypermolShiftStd"] = draws.shift_std
    return columns


def draw_arrays(draws: Draws) -> dict[str, NDArray[Any]]:
    """What of the draws is kept in the store; the maps' deviations are files of their own."""
    kept = {
        name: getattr(draws, name)
        for name in (
            "states", "contrasts", "rotation_angles", "shifts", "log_likelihood", "log_density",
            "contrast_std", "noise_level", "map_power", "occupancies",
        )
    }  # fmt: skip
    return kept | {"occupancy_bands": occupancy_bands(draws.occupancies)}
