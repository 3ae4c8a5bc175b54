"""The complete description of a run as a tree of keys with their defaults and their limits.

How it is read, and what is said of a wrong one: `runs.recipe_text`.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from napari_hypermol.io.admission import shown
from napari_hypermol.runs.component_recipe import ComponentRecipe, Strict

__all__ = [
    "BetaRecipe",
    "CoefficientPriorsRecipe",
    "ContrastPriorRecipe",
    "LatentsRecipe",
    "NearRecipe",
    "PosteriorRecipe",
    "PriorsRecipe",
    "Recipe",
    "SearchRecipe",
    "ShiftPriorRecipe",
    "StageRecipe",
    "StatePriorsRecipe",
]

_MOST_COMPONENTS, _MOST_STAGES = 64, 100
_LEAST_DRAWS = 4  # split R-hat halves every chain


class CoefficientPriorsRecipe(Strict):
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


class BetaRecipe(Strict):
    """A Beta density of every state coordinate."""

    beta: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = Field(
        description="Its two numbers; 2, 2 prefers the middle of the range, 0.5, 0.5 the ends"
    )


class StatePriorsRecipe(Strict):
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


class NearRecipe(Strict):
    """Rotations normal about the file's; `auto` learns how far off those are."""

    near: Literal["auto"] | Annotated[float, Field(gt=0)] = Field(
        description="Standard deviation about each axis [degrees]"
    )


class ShiftPriorRecipe(Strict):
    """Shifts normal about the file's, standard deviation [Å]."""

    std: float = Field(gt=0, description="Standard deviation along each axis [Å]")


class ContrastPriorRecipe(Strict):
    """Contrasts normal about 1, never negative; `auto` estimates their standard deviation."""

    std: Literal["auto"] | Annotated[float, Field(gt=0, le=1)] = Field(
        default="auto", description="Standard deviation of the contrasts"
    )


class PriorsRecipe(Strict):
    """Priors of the coefficients, of the states and of the other latents."""

    coefficients: CoefficientPriorsRecipe = Field(
        default=CoefficientPriorsRecipe(), description="What is expected of the density"
    )
    states: StatePriorsRecipe = Field(
        default=StatePriorsRecipe(), description="How states relate to one another"
    )
    rotation: Literal["uniform"] | NearRecipe | None = Field(
        default=None, description="Of rotations that are refined or searched; near: auto is usual"
    )
    shift: ShiftPriorRecipe | None = Field(
        default=None, description="Shifts are normal about the file's, or zero"
    )
    contrast: ContrastPriorRecipe = Field(
        default=ContrastPriorRecipe(), description="Contrasts are normal about 1, never negative"
    )


class SearchRecipe(Strict):
    """How poses are found from nothing."""

    mode: Literal["marginal", "maxcc"] = Field(
        default="marginal",
        description="marginal: every particle in every place with its probability; maxcc: only in "
        "the one of the highest cross-correlation",
    )
    starts: int = Field(
        default=4, ge=1, le=20, description="Random starts, of which the best predicting goes on"
    )


class LatentsRecipe(Strict):
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


class StageRecipe(Strict):
    """One stage by hand: band limit in space [Å] and in the state."""

    resolution: float = Field(gt=0, description="Finest detail of the maps [Å]")
    degree: int = Field(
        ge=0, le=20, description="Highest degree of the state; 0: nothing moves yet"
    )
    sweeps: int = Field(default=4, ge=1, le=100_000, description="Passes over all unknowns")
    rotation: Literal["metropolis", "search", "mala", "hold"] = Field(
        default="metropolis",
        description="Local steps with all else summed out, the same after a look at the whole "
        "grid, Langevin steps at drawn states, or as they are",
    )
    shift: Literal["exact", "metropolis", "mala", "hmc", "hold"] = Field(
        default="exact",
        description="Drawn from patches beside the rotations, steps at drawn states, or as they "
        "are",
    )
    state: Literal["exact", "draw", "metropolis", "mala", "hmc", "hold"] = Field(
        default="exact",
        description="All of their posterior, one draw from it, steps off its table, or as the "
        "stage first reads them",
    )
    contrast: Literal["exact", "hold"] = Field(
        default="exact", description="With the states, or 1 in this stage"
    )
    theta: Literal["solve", "draw", "mala", "hmc", "langevin", "hold"] = Field(
        default="solve",
        description="The likeliest maps, one draw from their posterior, steps (langevin: on "
        "batches of the particles), or held",
    )
    noise: Literal["estimate", "draw", "hold"] = Field(
        default="estimate", description="The likeliest spectra, one draw of them, or as they are"
    )
    pose_steps: int = Field(
        default=4, ge=1, le=1000, description="Steps of every rotation and shift a sweep"
    )
    state_steps: int = Field(default=4, ge=1, le=1000, description="Steps of every state a sweep")
    theta_steps: int = Field(default=4, ge=1, le=1000, description="Steps of the maps a sweep")
    warm_up: int | None = Field(
        default=None,
        ge=0,
        description="Sweeps in which step sizes are found; the first half if left out",
    )
    temperature: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Factor on the log likelihood of poses, states and contrasts; 1: as it is",
    )

    @model_validator(mode="after")
    def _drawn_together(self) -> "StageRecipe":
        given = {
            "rotation": ("mala",),
            "shift": ("metropolis", "mala", "hmc"),
            "theta": ("draw", "mala", "hmc", "langevin"),
            "noise": ("draw",),
        }
        if self.state in ("exact", "hold"):
            for name, kernels in given.items():
                if (kernel := getattr(self, name)) in kernels:
                    raise ValueError(
                        f"{name}: {kernel} is given states that are drawn too; add state: draw"
                    )
        return self


class PosteriorRecipe(Strict):
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


class Recipe(Strict):
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
