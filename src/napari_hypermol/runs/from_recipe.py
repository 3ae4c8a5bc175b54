"""From a recipe to what it asks for: components, priors, stages.

This is the one place where lengths become voxels of the box and words become components.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.classes import ClassBasis
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.bases.hat import HatBasis
from napari_hypermol.bases.polynomial import ChebyshevBasis, LegendreBasis
from napari_hypermol.bases.product import ProductBasis
from napari_hypermol.errors import MaskError, RecipeError
from napari_hypermol.io.admission import inside, shown
from napari_hypermol.io.masks import read_mask
from napari_hypermol.molecules.component import Component, rotation_about
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.sharing import point_group
from napari_hypermol.molecules.support import Ball, Mask
from napari_hypermol.molecules.trajectory import RigidTrajectory, Translation, Turn
from napari_hypermol.protocols import StateBasis, Support
from napari_hypermol.runs.component_recipe import (
    PlacementRecipe,
    StateRecipe,
    SupportRecipe,
    TrajectoryRecipe,
)
from napari_hypermol.runs.pose_prior import FIRST_ROTATION_STD
from napari_hypermol.runs.pose_step import PoseSettings
from napari_hypermol.runs.priors import PriorSettings
from napari_hypermol.runs.recipe import BetaRecipe, NearRecipe, Recipe
from napari_hypermol.schedules.marching import auto_schedule
from napari_hypermol.schedules.stage import Stage

__all__ = ["composite_of", "poses_of", "priors_of", "stages_of"]


def _support(recipe: SupportRecipe, folder: Path, box_size: int, pixel_size: float) -> Support:
    soft = 2.0 if recipe.soft_edge is None else recipe.soft_edge / pixel_size
    if recipe.ball is not None:
        x, y, z = (c / pixel_size for c in recipe.ball.center)
        return Ball((x, y, z), recipe.ball.radius / pixel_size, soft)
    name = recipe.mask or ""
    path = Path(name) if Path(name).is_absolute() else folder / name
    if not Path(name).is_absolute() and not inside(name):
        raise MaskError(
            f"mask: {shown(name)} leads out of the folder of the recipe, {folder}; name it by its "
            "absolute path, or put a copy or a link into that folder"
        )
    return Mask(read_mask(path, box_size, pixel_size), soft)


def composite_of(recipe: Recipe, folder: Path, box_size: int, pixel_size: float) -> Composite:
    """The hypermolecule a recipe describes.

    Parameters
    ----------
    recipe : Recipe
    folder : Path
        Masks are looked up relative to it.
    box_size : int
        [pixels].
    pixel_size : float
        [Å].

    Returns
    -------
    Composite
        Lengths in voxels.

    Raises
    ------
    RecipeError, MaskError
        If components refer to missing ones or supports miss the box.
    """
    if not recipe.components:
        # a ball around the box, away from its corners
        ball = Ball((0.0, 0.0, 0.0), 0.45 * box_size)
        return Composite([Component("all", ball, CosineBasis(4))], box_size)
    components = []
    for name, item in recipe.components.items():
        source, turn, shift = item, np.eye(3), np.zeros(3)
        if item.share is not None:
            _check_share(recipe, name, item.share)
            source = recipe.components[item.share]
            if item.placed is not None:
                turn = _rotation(item.placed)
                shift = np.array(item.placed.shift) / pixel_size
        state = item.state or source.state
        if item.share is not None and item.state is not None and item.state != source.state:
            raise RecipeError(
                f"components.{name}.state: differs from that of {item.share}, whose coefficients "
                "it shares; leave it empty"
            )
        if source.support is None:
            raise RecipeError(f"components.{name}: has no support")
        support = _support(source.support, folder, box_size, pixel_size)
        component = Component(
            name=name,
            support=support,
            state_basis=_state_basis(state),
            shares=item.share,
            rotation=turn,
            shift=shift,
            trajectory=_trajectory(name, source.trajectory, support, pixel_size),
            is_tied=source.tied,
            spatial=source.basis,
            is_trimmed=_is_trimmed(source.support, source.basis),
        )
        components += _copies(component, item.symmetry)
    _check_names(components)
    return Composite(components, box_size)


def _is_trimmed(support: SupportRecipe, basis: str) -> bool:
    """Whether a support is cut down to where there is density; a basis of the ball's cannot be."""
    if basis == "gpswf" or support.trim == "never":
        return False
    return support.trim == "always" or support.ball is not None


def _check_names(components: list[Component]) -> None:
    names = [c.name for c in components]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(
                f"components.{name}: a copy under a symmetry has this name already; choose another"
            )


def _check_share(recipe: Recipe, name: str, owner: str) -> None:
    shared = recipe.components.get(owner)
    if shared is None or shared.share is not None:
        own = [k for k, c in recipe.components.items() if c.share is None]
        raise RecipeError(
            f"components.{name}.share: {owner!r} is not a component with coefficients "
            f"of its own; those are {', '.join(own) or 'none'}"
        )
    if shared.symmetry is not None:
        raise RecipeError(
            f"components.{name}.share: {owner} has symmetry {shared.symmetry}, which makes its "
            "copies already"
        )


def _copies(component: Component, symmetry: str | None) -> list[Component]:
    """A component and, under a point group, its copies, each with states of its own."""
    if symmetry is None:
        return [component]
    first = replace(component, name=f"{component.name}_1")
    rotations = point_group(symmetry)
    copies = [
        replace(component, name=f"{component.name}_{i}", shares=first.name, rotation=rotation)
        for i, rotation in enumerate(rotations[1:], 2)
    ]
    return [first, *copies]


def _rotation(placed: PlacementRecipe) -> NDArray[np.float64]:
    if placed.matrix is not None:
        return np.array(placed.matrix)
    return rotation_about(placed.axis, np.radians(placed.angle))


def _state_basis(state: StateRecipe | None) -> StateBasis:
    """The state basis a recipe names."""
    if state is None:
        return ConstantBasis()
    if state.basis == "classes":
        return ClassBasis(state.classes or 0)
    kinds: dict[str, Callable[[int], StateBasis]] = {
        "cosine": CosineBasis,
        "fourier": FourierBasis,
        "legendre": LegendreBasis,
        "chebyshev": ChebyshevBasis,
        "hat": lambda degree: HatBasis(degree + 1),
    }
    one = kinds[state.basis](state.degree)
    if state.classes is not None:
        return ProductBasis(ClassBasis(state.classes), one, state.degree)
    return one if state.dims == 1 else ProductBasis(one, one, state.degree)


def _trajectory(
    name: str, recipe: TrajectoryRecipe | None, support: Support, pixel_size: float
) -> RigidTrajectory | None:
    """The trajectory a recipe describes; what it does not give starts anywhere and is learned."""
    if recipe is None:
        return None
    turn, translation = None, None
    if recipe.turn is not None:
        given = recipe.turn
        angles = np.zeros(given.degree)
        angles[0] = np.radians(given.range or 0.0) / 2
        axis = np.array(given.axis or (0.0, 0.0, 1.0))
        pivot = support.centre() if given.pivot is None else np.array(given.pivot) / pixel_size
        turn = Turn(
            axis=axis / np.linalg.norm(axis),
            pivot=np.asarray(pivot, dtype=np.float64),
            angles=angles,
            learns_axis=given.axis is None or given.refine,
            learns_pivot=given.pivot is None or given.refine,
            learns_angles=given.range is None or given.refine,
            gives_axis=given.axis is not None,
            gives_pivot=given.pivot is not None,
            gives_angles=given.range is not None,
        )
        if given.pivot is not None:
            _check_hinge(name, turn, support, given.axis is not None, pixel_size)
    if recipe.translation is not None:
        exponents = _exponents(recipe.translation.dims, recipe.translation.degree)
        vectors = np.zeros((len(exponents), 3))
        if recipe.translation.vector is not None:
            vectors[0] = np.array(recipe.translation.vector) / pixel_size / 2
        gives = recipe.translation.vector is not None
        learns = not gives or recipe.translation.refine
        translation = Translation(vectors, exponents, learns, gives)
    return RigidTrajectory(turn, translation)


def _exponents(dims: int, degree: int) -> NDArray[np.int64]:
    """Exponents of the monomials of total degree 1 to `degree`; (j, dims)."""
    if dims == 1:
        return np.arange(1, degree + 1)[:, None]
    pairs = [(t - i, i) for t in range(1, degree + 1) for i in range(t + 1)]
    return np.array(pairs)


def _check_hinge(
    name: str, turn: Turn, support: Support, has_axis: bool, pixel_size: float
) -> None:
    """Refuse a hinge that passes the component by more than its own size."""
    away = support.centre() - turn.pivot
    if has_axis:
        away = away - (away @ turn.axis) * turn.axis
    distance, size = float(np.linalg.norm(away)), support.edge()
    if distance > size:
        raise RecipeError(
            f"components.{name}.trajectory.turn.pivot: the hinge passes {distance * pixel_size:.0f}"
            f" Å from the middle of its support, which is {size * pixel_size:.0f} Å wide; a pivot "
            "is in Å from the middle of the box"
        )


def _degree(component: Component) -> int:
    """Highest degree of a component's states; one that moves as a whole has at least 1."""
    shape = int(component.state_basis.degrees.max())
    return shape if component.trajectory is None else max(shape, 1)


def priors_of(recipe: Recipe, folder: Path, box_size: int, pixel_size: float) -> PriorSettings:
    """The strengths of a recipe's priors; `folder` is where its paths start."""
    coefficients, states = recipe.priors.coefficients, recipe.priors.states
    mask = None
    if coefficients.solvent_mask is not None:
        given = SupportRecipe(mask=coefficients.solvent_mask)
        mask = _support(given, folder, box_size, pixel_size)
    occupancy = states.occupancy
    return PriorSettings(
        ridge=1.0 if coefficients.ridge == "auto" else float(coefficients.ridge),
        smooth=states.smooth,
        degree=states.degree,
        solvent=coefficients.solvent,
        solvent_mask=mask,
        nonnegative=coefficients.nonnegative,
        sparse=coefficients.sparse,
        transport=states.transport,
        occupancy=occupancy.beta if isinstance(occupancy, BetaRecipe) else occupancy,
    )


def poses_of(recipe: Recipe) -> PoseSettings | None:
    """What a recipe says of the poses; None: they are known."""
    latents, priors = recipe.latents, recipe.priors
    if latents.rotation == latents.shift == "known":
        return None
    near = priors.rotation.near if isinstance(priors.rotation, NearRecipe) else None
    if priors.rotation is None and latents.rotation == "refine":
        near = "auto"
    is_learned = near == "auto"
    return PoseSettings(
        rotation=latents.rotation,
        shift=latents.shift,
        rotation_std=FIRST_ROTATION_STD if is_learned else near and float(np.radians(near)),
        learns_rotation_std=is_learned,
        shift_std=None if priors.shift is None else priors.shift.std,
        search_mode=latents.search.mode,
        n_starts=latents.search.starts,
    )


def stages_of(recipe: Recipe, composite: Composite, pixel_size: float) -> list[Stage]:
    """The schedule of a recipe, in cycles per box edge."""
    degree = max(_degree(c) for c in composite.components)
    if recipe.schedule == "auto":
        # a circle begins with three harmonics: any may be the strongest
        has_circle = any("circle" in c.kinds for c in composite.components)
        poses = poses_of(recipe)
        return auto_schedule(
            composite.box_size,
            degree,
            first_degree=3 if has_circle else 1,
            moves_poses=poses is not None,
            finds_poses=poses is not None and poses.is_search,
            searches_again=poses is not None and poses.searches_again,
        )
    edge = composite.box_size * pixel_size
    nyquist = (composite.box_size - 1) // 2
    stages: list[Stage] = []
    for index, stage in enumerate(recipe.schedule):
        radius = edge / stage.resolution
        if radius > nyquist:
            raise RecipeError(
                f"schedule.{index}.resolution: {stage.resolution} Å is beyond Nyquist, "
                f"{edge / nyquist:.1f} Å for these images"
            )
        if stage.state in ("mala", "hmc") and any("class" in c.kinds for c in composite.components):
            raise RecipeError(
                f"schedule.{index}.state: a class has no slope for {stage.state} to follow; use "
                "draw or metropolis"
            )
        is_first_moving = stage.degree > 0 and all(s.max_degree == 0 for s in stages)
        # a sweep is left in which what was kindled becomes a density
        kindled = min(6, stage.sweeps - 1) if is_first_moving else 0
        stages.append(
            Stage(
                f"stage {index + 1}",
                radius,
                stage.degree,
                stage.sweeps,
                kindled,
                searches=stage.rotation == "search",
                rotation="metropolis" if stage.rotation == "search" else stage.rotation,
                shift=stage.shift,
                state=stage.state,
                contrast=stage.contrast,
                theta=stage.theta,
                noise=stage.noise,
                pose_steps=stage.pose_steps,
                state_steps=stage.state_steps,
                theta_steps=stage.theta_steps,
                warm_up=stage.warm_up,
                temperature=stage.temperature,
            )
        )
    return stages
