"""What a recipe says of one component: where it is, how it moves, what it shares; Å and degrees.

What it asks for is built in `runs.from_recipe`.
"""

import re
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = [
    "BallRecipe",
    "ComponentRecipe",
    "PlacementRecipe",
    "StateRecipe",
    "Strict",
    "SupportRecipe",
    "TrajectoryRecipe",
    "TranslationRecipe",
    "TurnRecipe",
]


class Strict(BaseModel):
    """A group of keys: no others, and none that changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BallRecipe(Strict):
    """A ball [Å], centre from the box centre (x, y, z)."""

    center: tuple[float, float, float] = Field(
        default=(0.0, 0.0, 0.0), description="Its middle (x, y, z), from the box centre [Å]"
    )
    radius: float = Field(gt=0, description="From the middle to where the soft edge begins [Å]")


class SupportRecipe(Strict):
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
    trim: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Cut it down to where there is density, before every stage; auto: a ball is, a "
        "mask is not",
    )

    @model_validator(mode="after")
    def _one(self) -> "SupportRecipe":
        if (self.ball is None) == (self.mask is None):
            raise ValueError("a support is either a ball or a mask")
        return self


_Row = tuple[float, float, float]


class StateRecipe(Strict):
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


class TurnRecipe(Strict):
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


class TranslationRecipe(Strict):
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


class TrajectoryRecipe(Strict):
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


class PlacementRecipe(Strict):
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


class ComponentRecipe(Strict):
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
