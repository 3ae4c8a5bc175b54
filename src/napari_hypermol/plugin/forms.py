"""What the user asked for in the Run widget, and the job that comes of it; no Qt."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_hypermol.errors import HypermolError, OutputExistsError, RecipeError
from napari_hypermol.io.particle_file import read_particles
from napari_hypermol.runs.recipe import Recipe, recipe_from
from napari_hypermol.runs.reconstruct import Job

__all__ = ["DEFAULT_DEGREE", "RunForm", "ball_recipe", "free_folder"]

DEFAULT_DEGREE = 4  # of the recipe without components
_BALL = 0.45  # of the box: away from its corners, as in that recipe


@dataclass(frozen=True)
class RunForm:
    """The fields of the Run widget, as the user left them.

    Attributes
    ----------
    particles : str
        STAR or .cs.
    recipe : str
        YAML; empty for one ball around the box with one state.
    out : str
        Folder to make.
    degree : int
        Of that one state's functions, where there is no recipe file.
    seed : int
    """

    particles: str = ""
    recipe: str = ""
    out: str = ""
    degree: int = DEFAULT_DEGREE
    seed: int = 0

    def check(self) -> None:
        """Refuse at once what can be seen without opening large files.

        Raises
        ------
        HypermolError
            With the field and what to do.
        """
        if not self.particles.strip():
            raise HypermolError("no particles: choose a STAR or .cs file, or open one in napari")
        if not Path(self.particles).expanduser().is_file():
            raise HypermolError(f"{self.particles}: does not exist; choose another particle file")
        if self.recipe.strip() and not Path(self.recipe).expanduser().is_file():
            raise RecipeError(f"{self.recipe}: does not exist; choose another recipe or leave none")
        if not self.out.strip():
            raise HypermolError("no folder for the run: name one that does not exist yet")
        if Path(self.out).expanduser().exists():
            raise OutputExistsError(f"{self.out}: exists already; name a folder that does not")

    def job(self) -> Job:
        """The job; opens the particle file if there is no recipe to say where the molecule is.

        Raises
        ------
        HypermolError
            As `check`, or if the particle file cannot be used.
        """
        self.check()
        particles = Path(self.particles).expanduser()
        recipe: Path | Recipe
        if self.recipe.strip():
            recipe = Path(self.recipe).expanduser()
        else:
            file = read_particles(particles)
            edge = file.particles.images.shape[-1] * file.particles.pixel_size
            recipe = ball_recipe(edge, self.degree)
        return Job(
            particles=particles, out=Path(self.out).expanduser(), recipe=recipe, seed=self.seed
        )


def ball_recipe(edge: float, degree: int) -> Recipe:
    """One component in a ball around the box, with one state; rigid if `degree` is 0.

    Parameters
    ----------
    edge : float
        Of the box [Å].
    degree : int
        Highest degree of the state functions.

    Returns
    -------
    Recipe
    """
    component: dict[str, Any] = {"support": {"ball": {"radius": _BALL * edge}}}
    if degree > 0:
        component["state"] = {"basis": "cosine", "dims": 1, "degree": degree}
    return recipe_from({"components": {"all": component}})


def free_folder(particles: str | Path) -> Path:
    """A folder name beside a particle file that nothing has yet: hypermol_1, hypermol_2, ..."""
    parent = Path(particles).expanduser().resolve().parent
    number = 1
    while (parent / f"hypermol_{number}").exists():
        number += 1
    return parent / f"hypermol_{number}"
