"""The complete description of a run, read from YAML and checked; Å and degrees, as a user writes.

This is the one place where lengths become voxels of the box and words become components.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from napari_hypermol.bases.classes import ClassBasis
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.bases.hat import HatBasis
from napari_hypermol.bases.polynomial import ChebyshevBasis, LegendreBasis
from napari_hypermol.bases.product import ProductBasis
from napari_hypermol.errors import RecipeError
from napari_hypermol.io.masks import read_mask
from napari_hypermol.molecules.component import Component, rotation_about
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.sharing import point_group
from napari_hypermol.molecules.support import Ball, Mask
from napari_hypermol.molecules.trajectory import RigidTrajectory, Translation, Turn
from napari_hypermol.protocols import StateBasis, Support
from napari_hypermol.runs.priors import PriorSettings
from napari_hypermol.schedules.marching import auto_schedule
from napari_hypermol.schedules.stage import Stage

__all__ = [
    "BallRecipe",
    "BetaRecipe",
    "CoefficientPriorsRecipe",
    "ComponentRecipe",
    "ContrastPriorRecipe",
    "LatentsRecipe",
    "NearRecipe",
    "PlacementRecipe",
    "PriorsRecipe",
    "Recipe",
    "ShiftPriorRecipe",
    "StageRecipe",
    "StatePriorsRecipe",
    "StateRecipe",
    "SupportRecipe",
    "TrajectoryRecipe",
    "TranslationRecipe",
    "TurnRecipe",
    "composite_of",
    "priors_of",
    "read_recipe",
    "stages_of",
    "write_recipe",
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BallRecipe(_Strict):
    """A ball [Å], centre from the box centre (x, y, z)."""

    center: tuple[float, float, float] = (0.0, 0.0, 0.0)
    radius: float = Field(gt=0)


class SupportRecipe(_Strict):
    """A ball or a mask file; `soft_edge` [Å], two voxels if not given."""

    ball: BallRecipe | None = None
    mask: str | None = None
    soft_edge: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _one(self) -> "SupportRecipe":
        if (self.ball is None) == (self.mask is None):
            raise ValueError("a support is either a ball or a mask")
        return self


_Row = tuple[float, float, float]


class StateRecipe(_Strict):
    """How a component's shape changes: the basis of its state, its knobs, its highest degree.

    `classes` makes the state discrete; beside a continuous basis, every class has a continuum.
    """

    basis: Literal["cosine", "fourier", "legendre", "chebyshev", "hat", "classes"] = "cosine"
    dims: int = 1
    degree: int = Field(default=4, ge=1, le=20)
    classes: int | None = Field(default=None, le=100)

    @model_validator(mode="after")
    def _knobs(self) -> "StateRecipe":
        if self.dims not in (1, 2):
            raise ValueError(f"a component's state has 1 or 2 dimensions, not {self.dims}")
        if self.basis == "classes" and self.classes is None:
            raise ValueError("basis classes needs their number, such as classes: 4")
        if self.classes is not None and self.dims == 2:
            raise ValueError("classes take one dimension of the state; leave dims out")
        if self.classes is not None and self.classes < 2:
            raise ValueError(
                f"classes: {self.classes}; 2 or more are possible, leave the state out for one"
            )
        return self


class TurnRecipe(_Strict):
    """A rigid turn about a hinge; what is not given is learned, and all of it with `refine`.

    `axis` (x, y, z), `pivot` [Å from the box centre], `range` the whole turn [degrees], `degree` of
    the angle as a polynomial of the state.
    """

    axis: tuple[float, float, float] | None = None
    pivot: tuple[float, float, float] | None = None
    range: float | None = Field(default=None, ge=-360, le=360)
    degree: int = Field(default=1, ge=1, le=5)
    refine: bool = False

    @model_validator(mode="after")
    def _axis(self) -> "TurnRecipe":
        if self.axis is not None and not np.any(self.axis):
            raise ValueError("an axis needs a direction; (0, 0, 0) has none")
        if self.range == 0 and not self.refine:
            raise ValueError("a turn by 0 degrees stays; leave range out to find it")
        return self


class TranslationRecipe(_Strict):
    """A translation polynomial in the state; `vector` [Å] from one end to the other, or learned."""

    vector: tuple[float, float, float] | None = None
    dims: int = Field(default=1, ge=1, le=2)
    degree: int = Field(default=1, ge=1, le=5)
    refine: bool = False

    @model_validator(mode="after")
    def _vector(self) -> "TranslationRecipe":
        if self.vector is not None and self.dims != 1:
            raise ValueError("a vector goes with one state; leave it out for dims: 2")
        if self.vector is not None and not np.any(self.vector) and not self.refine:
            raise ValueError("a translation by (0, 0, 0) stays; leave the vector out to find it")
        return self


class TrajectoryRecipe(_Strict):
    """How a component moves as a whole with its state, Eq. (26)."""

    turn: TurnRecipe | None = None
    translation: TranslationRecipe | None = None

    @model_validator(mode="after")
    def _some(self) -> "TrajectoryRecipe":
        if self.turn is None and self.translation is None:
            raise ValueError("a trajectory is a turn, a translation or both, such as turn: {}")
        if self.turn is not None and self.translation is not None and self.translation.dims != 1:
            raise ValueError("a translation that goes with a turn has one state, dims: 1")
        return self


class PlacementRecipe(_Strict):
    """A turn about the box centre, axis (x, y, z) and angle [degrees], or a rotation matrix.

    `shift` [Å] follows the rotation.
    """

    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    angle: float = 0.0
    matrix: tuple[_Row, _Row, _Row] | None = None
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @model_validator(mode="after")
    def _rotation(self) -> "PlacementRecipe":
        if not np.any(self.axis):
            raise ValueError("an axis needs a direction; (0, 0, 0) has none")
        if self.matrix is not None:
            matrix = np.array(self.matrix)
            if self.angle:
                raise ValueError("a rotation is either an axis and an angle or a matrix")
            if np.abs(matrix @ matrix.T - np.eye(3)).max() > 1e-3:
                raise ValueError("the matrix is no rotation; its rows are not orthonormal")
            if np.linalg.det(matrix) < 0:
                raise ValueError("the matrix is no rotation but a mirror image, determinant -1")
        return self


class ComponentRecipe(_Strict):
    """One component: its own support, or the name of the component it shares with."""

    support: SupportRecipe | None = None
    basis: Literal["voxel", "gpswf"] = "voxel"
    state: StateRecipe | None = None
    trajectory: TrajectoryRecipe | None = None
    tied: bool = False
    symmetry: str | None = None
    share: str | None = None
    placed: PlacementRecipe | None = None

    @model_validator(mode="before")
    @classmethod
    def _inherit_state(cls, values: Any) -> Any:
        # `state: {}` beside `share` means: a state of its own, of the shared kind
        if isinstance(values, dict) and values.get("share") and not values.get("state"):
            values = {k: v for k, v in values.items() if k != "state"}
        return values

    @field_validator("symmetry")
    @classmethod
    def _point_group(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[CD][1-9]\d?", name):
            raise ValueError("a symmetry is cyclic or dihedral, such as C3 or D2")
        return name

    @model_validator(mode="after")
    def _support_or_share(self) -> "ComponentRecipe":
        if (self.support is None) == (self.share is None):
            raise ValueError("a component has either a support of its own or shares another's")
        if self.placed is not None and self.share is None:
            raise ValueError("only a component that shares another's coefficients is placed")
        if self.share is not None and self.trajectory is not None:
            raise ValueError("a component that shares another's coefficients moves as that one")
        if self.share is not None and self.basis != "voxel":
            raise ValueError("give the basis to the component that is shared")
        if self.share is not None and self.symmetry is not None:
            raise ValueError("give the symmetry to the component that is shared")
        if self.basis == "gpswf" and self.support is not None and self.support.ball is None:
            raise ValueError("basis gpswf needs a ball as its support; masks go with basis voxel")
        if self.trajectory is not None and self.state is not None and not self.tied:
            position = self.trajectory.translation
            if position is not None and position.dims + self.state.dims > 2:
                raise ValueError("a component has two state coordinates at most")
            if self.state.dims > 1 or self.state.classes is not None:
                raise ValueError("beside a trajectory the shape has one continuous state")
        if self.tied and (self.trajectory is None or self.state is None):
            raise ValueError("tied: true needs both a state and a trajectory")
        if self.tied and self.state is not None and self.state.classes is not None:
            raise ValueError("a trajectory is continuous; classes cannot be tied to it")
        return self


class CoefficientPriorsRecipe(_Strict):
    """Priors of the density; `ridge` multiplies the estimated precision, the others are strengths.

    `solvent_mask`: the molecule, outside of which the density is flat; found if not given.
    """

    ridge: Literal["auto"] | Annotated[float, Field(gt=0)] = "auto"
    solvent: float = Field(default=0.0, ge=0)
    solvent_mask: str | None = None
    nonnegative: float = Field(default=0.0, ge=0)
    sparse: float = Field(default=0.0, ge=0)


class BetaRecipe(_Strict):
    """A Beta density of every state coordinate."""

    beta: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]


class StatePriorsRecipe(_Strict):
    """Priors across states, Eq. (24), and of how the states are occupied."""

    smooth: float = Field(default=1.0, ge=0)
    degree: float = Field(default=0.0, ge=0)
    transport: float = Field(default=0.0, ge=0)
    occupancy: Literal["uniform", "histogram"] | BetaRecipe = "uniform"


class NearRecipe(_Strict):
    """Rotations normal about the file's, standard deviation [degrees]."""

    near: float = Field(gt=0)


class ShiftPriorRecipe(_Strict):
    """Shifts normal about the file's, standard deviation [Å]."""

    std: float = Field(gt=0)


class ContrastPriorRecipe(_Strict):
    """Contrasts normal about 1, never negative; `auto` estimates their standard deviation."""

    std: Literal["auto"] | Annotated[float, Field(gt=0, le=1)] = "auto"


class PriorsRecipe(_Strict):
    """Priors of the coefficients, of the states and of the other latents."""

    coefficients: CoefficientPriorsRecipe = CoefficientPriorsRecipe()
    states: StatePriorsRecipe = StatePriorsRecipe()
    rotation: Literal["uniform"] | NearRecipe | None = None
    shift: ShiftPriorRecipe | None = None
    contrast: ContrastPriorRecipe = ContrastPriorRecipe()


class LatentsRecipe(_Strict):
    """What is known about each particle and what is to be found."""

    rotation: Literal["known", "refine", "search"] = "known"
    shift: Literal["known", "refine", "search"] = "known"
    contrast: Literal["known", "refine"] = "refine"


class StageRecipe(_Strict):
    """One stage by hand: band limit in space [Å] and in the state."""

    resolution: float = Field(gt=0)
    degree: int = Field(ge=0)
    sweeps: int = Field(default=4, ge=1)


class Recipe(_Strict):
    """The whole run."""

    particles: str | None = None
    components: dict[str, ComponentRecipe] = Field(default_factory=dict)
    priors: PriorsRecipe = PriorsRecipe()
    latents: LatentsRecipe = LatentsRecipe()
    schedule: Literal["auto"] | Annotated[list[StageRecipe], Field(min_length=1)] = "auto"
    half_sets: bool = False
    seed: int = Field(default=0, ge=0)
    versions: dict[str, str] | None = None  # written by a run, ignored when read

    @model_validator(mode="after")
    def _poses(self) -> "Recipe":
        for name in ("rotation", "shift"):
            if getattr(self.latents, name) != "known":
                raise ValueError(
                    f"latents.{name}: {getattr(self.latents, name)} is not available yet; "
                    "take poses from the file with 'known'"
                )
            if getattr(self.priors, name) is not None:
                raise ValueError(
                    f"priors.{name}: has no effect while latents.{name} is known; leave it out"
                )
        return self


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    path : Path
        YAML; tags and anything but plain values are refused.

    Returns
    -------
    Recipe

    Raises
    ------
    RecipeError
        With the file, the key, what was expected and what to do.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise RecipeError(f"{path}: cannot be read as a recipe ({problem})") from problem
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        where = getattr(problem, "problem_mark", None)
        line = f", line {where.line + 1}" if where is not None else ""
        reason = str(getattr(problem, "problem", None) or problem).splitlines()[0]
        raise RecipeError(
            f"{path}{line}: not plain YAML ({reason}); a recipe holds keys, numbers and text only"
        ) from problem
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: expected keys such as 'components:', got {values!r:.40}")
    return recipe_from(values, path)


def recipe_from(values: dict[str, Any], where: Path | str = "recipe") -> Recipe:
    """A checked recipe from plain values; `where` is named in errors."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as problem:
        raise RecipeError(f"{where}: {_sentence(problem, values)}") from None


def _sentence(problem: ValidationError, values: dict[str, Any]) -> str:
    """The first complaint of pydantic, in words."""
    errors = problem.errors()
    # Where alternatives are allowed ('auto' or stages) each complains; the deepest understood most.
    same = [e for e in errors if e["loc"][:1] == errors[0]["loc"][:1]]
    deepest = max(len(_path(e["loc"])) for e in same)
    same = [e for e in same if len(_path(e["loc"])) == deepest]
    first = same[0]
    key = ".".join(str(part) for part in _path(first["loc"]))
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.4)
        hint = f"; did you mean '{near[0]}'?" if near else f"; known keys: {', '.join(known)}"
        return f"unknown key '{key}'{hint}"
    wanted = dict.fromkeys(_wanted(e) for e in same if _path(e["loc"]) == _path(first["loc"]))
    if None in wanted:  # our own sentence, or one that nothing is known of
        message = str(first["msg"]).removeprefix("Value error, ")
    else:
        message = f"expected {' or '.join(str(w) for w in wanted)}"
    value = first.get("input")
    # a whole group of keys says less than its name
    got = "" if isinstance(value, dict) and value else f" (got {value!r:.60})"
    return f"{key}: {message[0].lower()}{message[1:]}{got}" if key else message


def _wanted(error: Any) -> str | None:
    """What pydantic wanted, as a person would say it; None: what it says will do."""
    kind = error["type"]
    limits = {k: f"{v:g}" if isinstance(v, float) else v for k, v in error.get("ctx", {}).items()}
    if kind == "model_type":
        return f"keys such as '{_known_keys((*error['loc'], ''))[0]}:'"
    if kind == "missing" and isinstance(error["loc"][-1], int):
        kind = "tuple_type"
    example = (
        "2 numbers, such as [2, 2]" if "beta" in error["loc"] else "3 numbers, such as [0, 0, 1]"
    )
    return {
        "literal_error": str(limits.get("expected")),
        "greater_than": f"more than {limits.get('gt')}",
        "greater_than_equal": f"{limits.get('ge')} or more",
        "less_than_equal": f"{limits.get('le')} or less",
        "int_parsing": "a whole number",
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "float_parsing": "a number",
        "float_type": "a number",
        "list_type": "a list",
        "tuple_type": example,
        "too_long": example,
        "missing": "a value, and there is none",
    }.get(kind)


def _path(location: tuple[int | str, ...]) -> list[int | str]:
    """Keys and indices, without the names of types that pydantic puts between them."""
    is_type = re.compile(r"\w+\[.*\]|\[key\]|[A-Z]\w+Recipe|constrained-\w+")
    kept = [part for part in location if not is_type.fullmatch(str(part))]
    return kept[:-1] if kept and kept[-1] == "float" else kept


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """Keys that stand where an unknown one was found."""
    model: Any = Recipe
    for part in location[:-1]:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        if field is None:  # the name of a component, or the number of a stage
            continue
        candidates = [a for a in _leaves(field.annotation) if issubclass(a, BaseModel)]
        if candidates:
            model = candidates[0]
    return list(model.model_fields)


def _leaves(annotation: Any) -> list[type]:
    """All classes named in a type annotation."""
    parts = getattr(annotation, "__args__", None)
    if parts:
        return [leaf for part in parts for leaf in _leaves(part)]
    return [annotation] if isinstance(annotation, type) else []


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe as YAML, complete with its defaults."""
    values = recipe.model_dump(mode="json", exclude_none=True)
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def _support(recipe: SupportRecipe, folder: Path, box_size: int, pixel_size: float) -> Support:
    soft = 2.0 if recipe.soft_edge is None else recipe.soft_edge / pixel_size
    if recipe.ball is not None:
        x, y, z = (c / pixel_size for c in recipe.ball.center)
        return Ball((x, y, z), recipe.ball.radius / pixel_size, soft)
    path = Path(recipe.mask or "")
    path = path if path.is_absolute() else folder / path
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
        )
        components += _copies(component, item.symmetry)
    _check_names(components)
    return Composite(components, box_size)


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


def stages_of(recipe: Recipe, composite: Composite, pixel_size: float) -> list[Stage]:
    """The schedule of a recipe, in cycles per box edge."""
    degree = max(_degree(c) for c in composite.components)
    if recipe.schedule == "auto":
        # a circle begins with three harmonics: any may be the strongest
        has_circle = any("circle" in c.kinds for c in composite.components)
        return auto_schedule(composite.box_size, degree, first_degree=3 if has_circle else 1)
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
        is_first_moving = stage.degree > 0 and all(s.max_degree == 0 for s in stages)
        kindled = min(6, stage.sweeps) if is_first_moving else 0
        stages.append(Stage(f"stage {index + 1}", radius, stage.degree, stage.sweeps, kindled))
    return stages
