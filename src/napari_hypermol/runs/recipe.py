"""The complete description of a run, read from YAML and checked; Å and degrees, as a user writes.

What it asks for is built in `runs.from_recipe`.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from napari_hypermol.errors import RecipeError
from napari_hypermol.io.admission import admit_file, shown

__all__ = [
    "BallRecipe",
    "BetaRecipe",
    "CoefficientPriorsRecipe",
    "ComponentRecipe",
    "ContrastPriorRecipe",
    "LatentsRecipe",
    "NearRecipe",
    "PlacementRecipe",
    "PosteriorRecipe",
    "PriorsRecipe",
    "Recipe",
    "SearchRecipe",
    "ShiftPriorRecipe",
    "StageRecipe",
    "StatePriorsRecipe",
    "StateRecipe",
    "SupportRecipe",
    "TrajectoryRecipe",
    "TranslationRecipe",
    "TurnRecipe",
    "problems_of",
    "read_recipe",
    "recipe_from",
    "write_recipe",
]


Keys = tuple[int | str, ...]  # of keys: ("components", "arm", "support")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BallRecipe(_Strict):
    """A ball [Å], centre from the box centre (x, y, z)."""

    center: tuple[float, float, float] = Field(
        default=(0.0, 0.0, 0.0), description="Its middle (x, y, z), from the box centre [Å]"
    )
    radius: float = Field(gt=0, description="From the middle to where the soft edge begins [Å]")


class SupportRecipe(_Strict):
    """A ball or a mask file; `soft_edge` [Å], two voxels if not given."""

    ball: BallRecipe | None = Field(
        default=None, description="A ball around the whole range of what moves; loose is right"
    )
    mask: str | None = Field(
        default=None,
        description="MRC file, 0 to 1, the size and pixel size of the particles; instead of a ball",
        json_schema_extra={"is_file": True},
    )
    soft_edge: float | None = Field(
        default=None, ge=0, description="Width in which it falls to 0; two voxels if left out [Å]"
    )

    @model_validator(mode="after")
    def _one(self) -> "SupportRecipe":
        if (self.ball is None) == (self.mask is None):
            raise ValueError("a support is either a ball or a mask")
        return self


_Row = tuple[float, float, float]
# A recipe is a page. More would take long to read, or is no recipe.
_MOST_BYTES, _MOST_VALUES, _MOST_DEPTH = 64 * 1024, 20_000, 32
_MOST_COMPONENTS, _MOST_STAGES = 64, 100
_LEAST_DRAWS = 4  # split R-hat halves every chain


class StateRecipe(_Strict):
    """How a component's shape changes: the basis of its state, its knobs, its highest degree.

    `classes` makes the state discrete; beside a continuous basis, every class has a continuum.
    """

    basis: Literal["cosine", "fourier", "legendre", "chebyshev", "hat", "classes"] = Field(
        default="cosine", description="Functions of the state; fourier: a circle; classes: discrete"
    )
    dims: int = Field(default=1, description="How many knobs it has, 1 or 2")
    degree: int = Field(
        default=4, ge=1, le=20, description="How fast it may change; more needs more particles"
    )
    classes: int | None = Field(
        default=None, le=100, description="How many shapes, for a state that jumps between them"
    )

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

    axis: tuple[float, float, float] | None = Field(
        default=None, description="Direction of the hinge (x, y, z); found if left out"
    )
    pivot: tuple[float, float, float] | None = Field(
        default=None, description="A point on it, from the box centre; found if left out [Å]"
    )
    range: float | None = Field(
        default=None, ge=-360, le=360, description="The whole turn; found if left out [degrees]"
    )
    degree: int = Field(
        default=1, ge=1, le=5, description="Of the angle as a polynomial of the state; 1: steady"
    )
    refine: bool = Field(
        default=False, description="What is given is where it begins, and is then improved"
    )

    @model_validator(mode="after")
    def _axis(self) -> "TurnRecipe":
        if self.axis is not None and not np.any(self.axis):
            raise ValueError("an axis needs a direction; (0, 0, 0) has none")
        if self.range == 0 and not self.refine:
            raise ValueError("a turn by 0 degrees stays; leave range out to find it")
        return self


class TranslationRecipe(_Strict):
    """A translation polynomial in the state; `vector` [Å] from one end to the other, or learned."""

    vector: tuple[float, float, float] | None = Field(
        default=None, description="From one end of the state to the other; found if left out [Å]"
    )
    dims: int = Field(default=1, ge=1, le=2, description="1: along a line; 2: in a plane")
    degree: int = Field(default=1, ge=1, le=5, description="Of the polynomial; 1: straight")
    refine: bool = Field(
        default=False, description="What is given is where it begins, and is then improved"
    )

    @model_validator(mode="after")
    def _vector(self) -> "TranslationRecipe":
        if self.vector is not None and self.dims != 1:
            raise ValueError("a vector goes with one state; leave it out for dims: 2")
        if self.vector is not None and not np.any(self.vector) and not self.refine:
            raise ValueError("a translation by (0, 0, 0) stays; leave the vector out to find it")
        return self


class TrajectoryRecipe(_Strict):
    """How a component moves as a whole with its state, Eq. (26)."""

    turn: TurnRecipe | None = Field(default=None, description="It turns about a hinge")
    translation: TranslationRecipe | None = Field(
        default=None, description="It moves along a line, or in a plane"
    )

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

    axis: tuple[float, float, float] = Field(
        default=(0.0, 0.0, 1.0), description="Turn about this direction (x, y, z)"
    )
    angle: float = Field(default=0.0, description="By this angle [degrees]")
    matrix: tuple[_Row, _Row, _Row] | None = Field(
        default=None, description="Rows of a rotation matrix, instead of axis and angle"
    )
    shift: tuple[float, float, float] = Field(
        default=(0.0, 0.0, 0.0), description="After the turn (x, y, z) [Å]"
    )

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

    support: SupportRecipe | None = Field(
        default=None, description="Where it may have density: a ball or a mask"
    )
    state: StateRecipe | None = Field(
        default=None, description="Its shape changes, with one knob or two; rigid if left out"
    )
    trajectory: TrajectoryRecipe | None = Field(
        default=None, description="It moves as a whole: turns, is translated, or both"
    )
    share: str | None = Field(
        default=None, description="A copy of this component, with a state of its own"
    )
    placed: PlacementRecipe | None = Field(
        default=None, description="Where the copy is, from the component it shares with"
    )
    symmetry: str | None = Field(
        default=None,
        description="Point group whose copies each have their own state, such as C3 or D2",
        json_schema_extra={"is_rare": True},
    )
    tied: bool = Field(
        default=False,
        description="Shape and trajectory follow one and the same state",
        json_schema_extra={"is_rare": True},
    )
    basis: Literal["voxel", "gpswf"] = Field(
        default="voxel",
        description="In space: voxels, or prolate functions (gpswf) in a ball",
        json_schema_extra={"is_rare": True},
    )

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

    ridge: Literal["auto"] | Annotated[float, Field(gt=0)] = Field(
        default="auto", description="Every component has its spectrum; multiplies the estimate"
    )
    solvent: float = Field(
        default=0.0, ge=0, description="Strength: no density outside the molecule, at any state"
    )
    solvent_mask: str | None = Field(
        default=None,
        description="The molecule, outside of which is solvent; found if left out",
        json_schema_extra={"is_file": True},
    )
    nonnegative: float = Field(
        default=0.0,
        ge=0,
        description="Strength: no density below the solvent; weakly, 0.1 to 1",
    )
    sparse: float = Field(
        default=0.0, ge=0, description="Strength: most of the component's support is empty"
    )


class BetaRecipe(_Strict):
    """A Beta density of every state coordinate."""

    beta: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = Field(
        description="Its two numbers; 2, 2 prefers the middle of the range, 0.5, 0.5 the ends"
    )


class StatePriorsRecipe(_Strict):
    """Priors across states, Eq. (24), and of how the states are occupied."""

    smooth: float = Field(
        default=1.0, ge=0, description="Strength: neighbouring states have similar densities"
    )
    degree: float = Field(default=0.0, ge=0, description="Strength: high state degrees are rare")
    transport: float = Field(
        default=0.0, ge=0, description="Strength: from state to state mass moves, it does not fade"
    )
    occupancy: Literal["uniform", "histogram"] | BetaRecipe = Field(
        default="uniform", description="How the particles are distributed over the states"
    )


class NearRecipe(_Strict):
    """Rotations normal about the file's, standard deviation [degrees]."""

    near: float = Field(gt=0, description="Standard deviation about each axis [degrees]")


class ShiftPriorRecipe(_Strict):
    """Shifts normal about the file's, standard deviation [Å]."""

    std: float = Field(gt=0, description="Standard deviation along each axis [Å]")


class ContrastPriorRecipe(_Strict):
    """Contrasts normal about 1, never negative; `auto` estimates their standard deviation."""

    std: Literal["auto"] | Annotated[float, Field(gt=0, le=1)] = Field(
        default="auto", description="Standard deviation of the contrasts"
    )


class PriorsRecipe(_Strict):
    """Priors of the coefficients, of the states and of the other latents."""

    coefficients: CoefficientPriorsRecipe = Field(
        default=CoefficientPriorsRecipe(), description="What is expected of the density"
    )
    states: StatePriorsRecipe = Field(
        default=StatePriorsRecipe(), description="How states relate to one another"
    )
    rotation: Literal["uniform"] | NearRecipe | None = Field(
        default=None, description="Of rotations that are refined or searched"
    )
    shift: ShiftPriorRecipe | None = Field(
        default=None, description="Shifts are normal about the file's, or zero"
    )
    contrast: ContrastPriorRecipe = Field(
        default=ContrastPriorRecipe(), description="Contrasts are normal about 1, never negative"
    )


class SearchRecipe(_Strict):
    """How poses are found from nothing."""

    mode: Literal["marginal", "maxcc"] = Field(
        default="marginal",
        description="marginal: every particle in every place with its probability; maxcc: only in "
        "the one of the highest cross-correlation",
    )
    starts: int = Field(
        default=2, ge=1, le=20, description="Random starts, of which the best predicting goes on"
    )


class LatentsRecipe(_Strict):
    """What is known about each particle and what is to be found."""

    rotation: Literal["known", "refine", "search"] = Field(
        default="known", description="Known from the file, refined from there, or searched"
    )
    shift: Literal["known", "refine", "search"] = Field(
        default="known", description="Known from the file, refined from there, or searched"
    )
    contrast: Literal["known", "refine"] = Field(
        default="refine", description="Refined, or known to be 1"
    )
    search: SearchRecipe = Field(
        default=SearchRecipe(), description="How rotations are searched, where they are"
    )


class StageRecipe(_Strict):
    """One stage by hand: band limit in space [Å] and in the state."""

    resolution: float = Field(gt=0, description="Finest detail of the maps [Å]")
    degree: int = Field(
        ge=0, le=20, description="Highest degree of the state; 0: nothing moves yet"
    )
    sweeps: int = Field(default=4, ge=1, le=100_000, description="Passes over all unknowns")
    rotation: Literal["metropolis", "search", "hold"] = Field(
        default="metropolis",
        description="Local steps, the same after a look at the whole grid, or as they are",
    )
    shift: Literal["exact", "hold"] = Field(
        default="exact", description="Drawn from patches beside the rotations, or as they are"
    )
    state: Literal["exact", "draw", "hold"] = Field(
        default="exact",
        description="All of their posterior, one draw from it, or as the stage first reads them",
    )
    contrast: Literal["exact", "hold"] = Field(
        default="exact", description="With the states, or 1 in this stage"
    )
    theta: Literal["solve", "draw", "hold"] = Field(
        default="solve", description="The likeliest maps, one draw from their posterior, or held"
    )
    pose_steps: int = Field(default=4, ge=1, le=1000, description="Steps of every rotation a sweep")
    temperature: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Factor on the log likelihood of poses, states and contrasts; 1: as it is",
    )

    @model_validator(mode="after")
    def _drawn_together(self) -> "StageRecipe":
        if self.theta == "draw" and self.state != "draw":
            raise ValueError("theta: draw is given states that are drawn too; add state: draw")
        return self


class PosteriorRecipe(_Strict):
    """Draws of everything after the recovery: `draws` of every chain; 0 is off."""

    chains: int = Field(default=2, ge=1, description="Independent ones, which ought to agree")
    draws: int = Field(default=0, ge=0, description="Kept of every chain; 0: off, 200 is usual")
    warm_up: int = Field(default=10, ge=0, description="Sweeps of a chain before the first draw")

    @model_validator(mode="after")
    def _enough(self) -> "PosteriorRecipe":
        if 0 < self.draws < _LEAST_DRAWS:
            raise ValueError(
                f"{self.draws} draws say nothing about 90 % intervals; give at least "
                f"{_LEAST_DRAWS}, or 0 for none"
            )
        return self


def _has_place(component: ComponentRecipe) -> bool:
    """Whether a component's support tells one frame from another: a mask, a ball off the middle."""
    support = component.support
    return support is not None and (support.ball is None or any(support.ball.center))


class Recipe(_Strict):
    """The whole run."""

    particles: str | None = None
    components: dict[str, ComponentRecipe] = Field(
        default_factory=dict, max_length=_MOST_COMPONENTS
    )
    priors: PriorsRecipe = Field(
        default=PriorsRecipe(), description="What you expect before looking at the images"
    )
    latents: LatentsRecipe = Field(
        default=LatentsRecipe(), description="What is known of each particle, what is to be found"
    )
    schedule: (
        Literal["auto"] | Annotated[list[StageRecipe], Field(min_length=1, max_length=_MOST_STAGES)]
    ) = Field(default="auto", description="From coarse to fine: by itself, or stage by stage")
    half_sets: bool = Field(
        default=False, description="Also recover two halves, for the FSC of every state"
    )
    posterior: PosteriorRecipe = Field(
        default=PosteriorRecipe(), description="How sure it all is: draws after the recovery"
    )
    seed: int = Field(default=0, ge=0, description="The same seed gives the same run")
    versions: dict[str, str] | None = None  # written by a run, ignored when read

    @field_validator("components", mode="before")
    @classmethod
    def _names(cls, values: Any) -> Any:
        # names become those of files
        for name in values if isinstance(values, dict) else ():
            if not (isinstance(name, str) and re.fullmatch(r"\w[\w .+-]{0,59}", name)):
                raise ValueError(
                    f"a component's name is at most 60 letters, digits, blanks and _ . + -, not "
                    f"{shown(name)!r}"
                )
        return values

    def masks(self) -> list[str]:
        """Every mask it names, as it names them."""
        supports = [component.support for component in self.components.values()]
        names = [support.mask for support in supports if support is not None]
        return [name for name in (*names, self.priors.coefficients.solvent_mask) if name]

    @model_validator(mode="after")
    def _normal_priors(self) -> "Recipe":
        coefficients = self.priors.coefficients
        strengths = {
            "coefficients.solvent": coefficients.solvent,
            "coefficients.nonnegative": coefficients.nonnegative,
            "coefficients.sparse": coefficients.sparse,
            "states.transport": self.priors.states.transport,
        }
        used = [name for name, strength in strengths.items() if strength > 0]
        if used and self.schedule != "auto" and any(s.theta == "draw" for s in self.schedule):
            raise ValueError(
                f"schedule: theta cannot be drawn with priors.{used[0]}; leave one of the two out"
            )
        if self.posterior.draws and used:
            raise ValueError(
                f"posterior.draws: coefficients cannot be drawn with priors.{used[0]}; leave one "
                "of the two out"
            )
        return self

    @model_validator(mode="after")
    def _kernels(self) -> "Recipe":
        if self.schedule == "auto":
            return self
        moving = [i for i, stage in enumerate(self.schedule) if stage.degree > 0]
        for index, stage in enumerate(self.schedule):
            at = f"schedule.{index}"
            for name, usual in (("rotation", "metropolis"), ("shift", "exact")):
                if getattr(stage, name) != usual and getattr(self.latents, name) == "known":
                    raise ValueError(
                        f"{at}.{name}: has no effect while latents.{name} is known; leave it out"
                    )
            if index == 0 and stage.rotation == "search":
                raise ValueError(f"{at}.rotation: there is no molecule yet to search with")
            if index == 0 and stage.theta == "hold":
                raise ValueError(f"{at}.theta: there is no molecule yet to hold")
            if moving[:1] == [index] and stage.state == "hold":
                raise ValueError(f"{at}.state: states begin in this stage; they cannot be held yet")
        return self

    @model_validator(mode="after")
    def _poses(self) -> "Recipe":
        for name in ("rotation", "shift"):
            is_known = getattr(self.latents, name) == "known"
            if is_known and getattr(self.priors, name) is not None:
                raise ValueError(
                    f"priors.{name}: has no effect while latents.{name} is known; leave it out"
                )
        if self.latents.rotation != "search" and self.latents.search != SearchRecipe():
            raise ValueError(
                "latents.search: has no effect unless latents.rotation is search; leave it out"
            )
        if self.latents.rotation == "search":
            if self.latents.shift == "known":
                raise ValueError(
                    "latents.shift: known shifts with rotations from nothing; use shift: search "
                    "or refine"
                )
            if len(self.components) > 1 or any(map(_has_place, self.components.values())):
                raise ValueError(
                    "latents.rotation: search ends in a frame of its own, in which no part has a "
                    "place yet; search with one component in the middle, or none, place the parts "
                    "on its map, then run them on its particles.star with rotation: refine"
                )
            if self.priors.rotation not in (None, "uniform"):
                raise ValueError(
                    "priors.rotation: near the file's has no meaning while latents.rotation is "
                    "search; use refine, or leave the prior out"
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
    admit_file(path, "a recipe", RecipeError)
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise RecipeError(f"{path}: cannot be read as a recipe ({problem})") from problem
    if len(raw) > _MOST_BYTES:
        raise RecipeError(
            f"{path}: is larger than {_MOST_BYTES // 1024} kB, expected a recipe of a page; is it "
            "the right file?"
        )
    try:
        values = _plain_values(text)
    # besides its own errors yaml lets those of int, datetime and the stack through
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, AttributeError) as problem:
        where = getattr(problem, "problem_mark", None)
        line = f", line {where.line + 1}" if where is not None else ""
        reason = str(getattr(problem, "problem", None) or problem).splitlines() or [""]
        raise RecipeError(
            f"{path}{line}: not plain YAML ({shown(reason[0], 100)}); a recipe holds keys, numbers "
            "and text only"
        ) from problem
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: expected keys such as 'components:', got {shown(values, 40)}")
    return recipe_from(values, path)


def _plain_values(text: str) -> Any:
    """The values of a YAML text, if they are a recipe's worth with every alias written out."""
    depth = deepest = 0
    for character in text:  # before yaml sees it: its time grows with the square of the depth
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    if deepest > _MOST_DEPTH:
        raise ValueError(f"brackets nest deeper than {_MOST_DEPTH}")
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        waiting, n_values = [(node, 0)], 0
        while waiting:
            part, depth = waiting.pop()
            n_values += 1
            if n_values > _MOST_VALUES or depth > _MOST_DEPTH:
                raise ValueError(
                    f"more than {_MOST_VALUES} values, or nested deeper than {_MOST_DEPTH}"
                )
            if isinstance(part, yaml.CollectionNode):
                for item in part.value:
                    inner = item if isinstance(item, tuple) else (item,)
                    waiting += [(child, depth + 1) for child in inner]
        return loader.construct_document(node)
    finally:
        loader.dispose()


def recipe_from(values: dict[str, Any], where: Path | str = "recipe") -> Recipe:
    """A checked recipe from plain values; `where` is named in errors."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as problem:
        raise RecipeError(f"{where}: {shown(_sentence(problem), 400)}") from None


def problems_of(values: Mapping[str, Any]) -> dict[Keys, str]:
    """All that is wrong with the plain values of a recipe, each in a sentence.

    Returns
    -------
    dict
        By where it is: ``("components", "arm", "support")``; empty if the recipe can be used. One
        problem at most for every group of keys.
    """
    try:
        Recipe.model_validate(values)
    except ValidationError as problem:
        groups: dict[Any, list[Any]] = {}
        for error in problem.errors():
            groups.setdefault(tuple(_path(error["loc"])[:3]), []).append(error)
        found = dict(_complaint(errors) for errors in groups.values())
        # of alternatives each complains; the ones further in understood more
        outer = {path[:n] for path in found for n in range(len(path))}
        return {path: words for path, words in found.items() if path not in outer}
    return {}


def _sentence(problem: ValidationError) -> str:
    """The first complaint of pydantic, in words, after its key."""
    errors = problem.errors()
    path, words = _complaint([e for e in errors if e["loc"][:1] == errors[0]["loc"][:1]])
    key = ".".join(str(part) for part in path)
    return f"{key}: {words}" if key and not words.startswith("unknown key") else words


def _complaint(errors: list[Any]) -> tuple[Keys, str]:
    """Where the deepest of some complaints is, and what it says."""
    # Where alternatives are allowed ('auto' or stages) each complains; the deepest understood most.
    deepest = max(len(_path(e["loc"])) for e in errors)
    same = [e for e in errors if len(_path(e["loc"])) == deepest]
    first = same[0]
    path = tuple(_path(first["loc"]))
    key = ".".join(str(part) for part in path)
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.4)
        hint = f"; did you mean '{near[0]}'?" if near else f"; known keys: {', '.join(known)}"
        return path, f"unknown key '{key}'{hint}"
    wanted = dict.fromkeys(_wanted(e) for e in same if _path(e["loc"]) == _path(first["loc"]))
    if None in wanted:  # our own sentence, or one that nothing is known of
        message = str(first["msg"]).removeprefix("Value error, ")
    else:
        message = f"expected {' or '.join(str(w) for w in wanted)}"
    value = first.get("input")
    # a whole group of keys says less than its name
    got = "" if isinstance(value, dict) and value else f" (got {value!r:.60})"
    return path, f"{message[0].lower()}{message[1:]}{got}" if key else message


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
