"""What the user asked for on the Run page: checks, the order that comes of it, a line of words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_hypermol.errors import HypermolError, OutputExistsError
from napari_hypermol.runs.component_recipe import BallRecipe, SupportRecipe
from napari_hypermol.runs.from_recipe import composite_of
from napari_hypermol.runs.launch import Order
from napari_hypermol.runs.recipe import Recipe
from napari_hypermol.runs.recipe_text import recipe_from
from napari_hypermol.runs.state_axes import StateAxis, state_axes

__all__ = ["RunForm", "axes_of", "free_folder", "what_will_run"]

_NO_POSES = (
    "⚠ The particles have no rotations yet: set rotation and shift to search, under latents on the "
    "Priors page."
)
_WIDE = 10_000  # voxels of 1 Å: a box that any support lies in


@dataclass(frozen=True)
class RunForm:
    """What the Run page and the session hold.

    Attributes
    ----------
    particles : str
        STAR or .cs.
    draft : mapping
        Recipe; empty for one ball around the box with one state.
    folder : Path
        Where the draft's relative paths start.
    out : str
        Folder to make.
    seed : int
    """

    particles: str = ""
    draft: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path()
    out: str = ""
    seed: int = 0

    def order(self) -> Order:
        """The order to the run's process.

        Raises
        ------
        HypermolError
            With the field and what to do, for all that can be seen without opening large files.
        """
        if not self.particles.strip():
            raise HypermolError("no particles: choose a STAR or .cs file on the Particles page")
        particles = Path(self.particles).expanduser()
        if not particles.is_file():
            raise HypermolError(f"{self.particles}: does not exist; choose another particle file")
        if not self.out.strip():
            raise HypermolError("no folder for the run: name one that does not exist yet")
        out = Path(self.out).expanduser().absolute()
        if out.exists():
            raise OutputExistsError(f"{self.out}: exists already; name a folder that does not")
        recipe_from(self.draft)  # its mistakes are told here, not from another process
        return Order(out, particles.absolute(), self.draft, self.folder, self.seed)


def free_folder(particles: str | Path) -> Path:
    """A folder name beside a particle file that nothing has yet: hypermol_1, hypermol_2, ..."""
    parent = Path(particles).expanduser().resolve().parent
    number = 1
    while (parent / f"hypermol_{number}").exists():
        number += 1
    return parent / f"hypermol_{number}"


def what_will_run(
    particles: str,
    n_particles: int | None,
    draft: Mapping[str, Any],
    has_poses: bool | None = None,
) -> str:
    """A sentence of what Start would do.

    Parameters
    ----------
    particles : str
        Their file; empty for none.
    n_particles : int or None
        Where they were counted already.
    draft : mapping
    has_poses : bool or None
        Whether the file has rotations, where that is known.
    """
    if not particles:
        return "No particles yet: open them on the Particles page."
    count = "" if n_particles is None else f", {n_particles:,} particles"
    lines = [f"{Path(particles).name}{count}"]
    try:
        recipe = recipe_from(draft)
    except HypermolError as problem:
        return "\n".join([*lines, f"The recipe is not complete: {problem}"])
    what = _components(recipe) if recipe.components else "one ball around the box, 1 knob"
    rotation, shift = recipe.latents.rotation, recipe.latents.shift
    words = {"known": "poses as in the file", "refine": "poses refined", "search": "poses searched"}
    poses = words[rotation]
    if rotation == "known" and shift != "known":
        poses = "rotations as in the file, shifts refined"
    halves = "; two half sets" if recipe.half_sets else ""
    lines.append(f"{what}; {poses}{halves}")
    if has_poses is False and rotation != "search":
        lines.append(_NO_POSES)
    return "\n".join(lines)


def _number(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _components(recipe: Recipe) -> str:
    """How many components and knobs."""
    n = _number(len(recipe.components), "component")
    try:
        dims = len(axes_of(recipe))
    except HypermolError:  # said when it is started, with the box known
        return n
    return f"{n}, {_number(dims, 'knob')}" if dims else f"{n}, rigid"


def axes_of(recipe: Recipe) -> tuple[StateAxis, ...]:
    """The knobs that a recipe asks for; no mask is opened for it.

    Raises
    ------
    HypermolError
        If its components do not fit together.
    """
    balls = {
        name: item
        if item.support is None
        else item.model_copy(update={"support": SupportRecipe(ball=BallRecipe(radius=_WIDE / 4))})
        for name, item in recipe.components.items()
    }
    plain = recipe.model_copy(update={"components": balls})
    return state_axes(composite_of(plain, Path(), _WIDE, 1.0))
