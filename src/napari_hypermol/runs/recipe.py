"""The complete description of a run, read from YAML and checked; Å and degrees, as a user writes.

This is the one place where lengths become voxels of the box and words become components.
"""

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.errors import RecipeError
from napari_hypermol.io.masks import read_mask
from napari_hypermol.molecules.component import Component, rotation_about
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball, Mask
from napari_hypermol.protocols import Support
from napari_hypermol.schedules.marching import auto_schedule
from napari_hypermol.schedules.stage import Stage

__all__ = [
    "BallRecipe",
    "ComponentRecipe",
    "LatentsRecipe",
    "PlacementRecipe",
    "PriorsRecipe",
    "Recipe",
    "StageRecipe",
    "StateRecipe",
    "SupportRecipe",
    "composite_of",
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


class StateRecipe(_Strict):
    """How a component moves: the basis of its state, its knobs, its highest degree."""

    basis: Literal["cosine"] = "cosine"
    dims: int = 1
    degree: int = Field(default=4, ge=1, le=20)

    @model_validator(mode="after")
    def _knobs(self) -> "StateRecipe":
        if self.dims not in (1, 2):
            raise ValueError(f"a component's state has 1 or 2 dimensions, not {self.dims}")
        return self


class PlacementRecipe(_Strict):
    """A rotation about the box centre: axis (x, y, z), angle [degrees]."""

    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    angle: float = 0.0

    @model_validator(mode="after")
    def _axis(self) -> "PlacementRecipe":
        if not np.any(self.axis):
            raise ValueError("an axis needs a direction; (0, 0, 0) has none")
        return self


class ComponentRecipe(_Strict):
    """One component: its own support, or the name of the component it shares with."""

    support: SupportRecipe | None = None
    state: StateRecipe | None = None
    share: str | None = None
    placed: PlacementRecipe | None = None

    @model_validator(mode="before")
    @classmethod
    def _inherit_state(cls, values: Any) -> Any:
        # `state: {}` beside `share` means: a state of its own, of the shared kind
        if isinstance(values, dict) and values.get("share") and not values.get("state"):
            values = {k: v for k, v in values.items() if k != "state"}
        return values

    @model_validator(mode="after")
    def _support_or_share(self) -> "ComponentRecipe":
        if (self.support is None) == (self.share is None):
            raise ValueError("a component has either a support of its own or shares another's")
        if self.placed is not None and self.share is None:
            raise ValueError("only a component that shares another's coefficients is placed")
        return self


class RidgeRecipe(_Strict):
    """Prior of the coefficients: spectra from the data, times a factor on their precision."""

    ridge: Literal["auto"] | Annotated[float, Field(gt=0)] = "auto"


class SmoothRecipe(_Strict):
    """Prior across states: penalty on how fast the density changes with the state, Eq. (24)."""

    smooth: float = Field(default=1.0, ge=0)


class PriorsRecipe(_Strict):
    """Priors of coefficients and states."""

    coefficients: RidgeRecipe = RidgeRecipe()
    states: SmoothRecipe = SmoothRecipe()


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
    alternatives = [e["msg"] for e in same if _path(e["loc"]) == _path(first["loc"])]
    messages = [m.removeprefix("Value error, ") for m in dict.fromkeys(alternatives)]
    message = " or ".join(m[0].lower() + m[1:] for m in messages)
    return f"{key}: {message} (got {first.get('input')!r:.60})" if key else messages[0]


def _path(location: tuple[int | str, ...]) -> list[int | str]:
    """Keys and indices, without the names of types that pydantic puts between them."""
    is_type = re.compile(r"\w+\[.*\]|\[key\]")
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
        return Composite([Component("all", ball, CosineBasis(1, 4))], box_size)
    components = []
    for name, item in recipe.components.items():
        source, turn = item, np.eye(3)
        if item.share is not None:
            if item.share not in recipe.components or recipe.components[item.share].share:
                own = [k for k, c in recipe.components.items() if c.share is None]
                raise RecipeError(
                    f"components.{name}.share: {item.share!r} is not a component with coefficients "
                    f"of its own; those are {', '.join(own)}"
                )
            source = recipe.components[item.share]
            if item.placed is not None:
                turn = rotation_about(item.placed.axis, np.radians(item.placed.angle))
        state = item.state or source.state
        if item.share is not None and item.state is not None and item.state != source.state:
            raise RecipeError(
                f"components.{name}.state: differs from that of {item.share}, whose coefficients "
                "it shares; leave it empty"
            )
        if source.support is None:
            raise RecipeError(f"components.{name}: has no support")
        components.append(
            Component(
                name=name,
                support=_support(source.support, folder, box_size, pixel_size),
                state_basis=CosineBasis(state.dims, state.degree) if state else CosineBasis(0, 0),
                shares=item.share,
                rotation=turn,
            )
        )
    return Composite(components, box_size)


def stages_of(recipe: Recipe, composite: Composite, pixel_size: float) -> list[Stage]:
    """The schedule of a recipe, in cycles per box edge."""
    degree = max((c.state_basis.degree for c in composite.components if c.dims), default=0)
    if recipe.schedule == "auto":
        return auto_schedule(composite.box_size, degree)
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
