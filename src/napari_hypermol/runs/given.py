"""What a run is given: recipe and particles, read and checked before anything is written."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_hypermol.errors import (
    MaskError,
    OutputExistsError,
    ParticleFileError,
    RecipeError,
    RunFolderError,
)
from napari_hypermol.io.particle_file import IMAGE_NAME, ParticleFile
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.runs.from_recipe import composite_of, stages_of
from napari_hypermol.runs.half_sets import half_set_rows
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.recipe import Recipe
from napari_hypermol.runs.recipe_text import read_recipe, recipe_from
from napari_hypermol.runs.run_particles import open_particles
from napari_hypermol.runs.run_writer import check_output
from napari_hypermol.runs.store import Run
from napari_hypermol.schedules.stage import Stage

__all__ = ["Given", "checked"]


@dataclass(frozen=True, eq=False)
class Given:
    """What a run works on, read and checked; `folder` is where the recipe's paths start."""

    recipe: Recipe
    folder: Path
    file: ParticleFile
    composite: Composite
    stages: list[Stage]
    facts: dict[str, Any]


def checked(job: Job) -> Given:
    """Read all there is to read but the pixels; writes nothing.

    Parameters
    ----------
    job : Job
        Already `resumed`, if it is to go on.

    Raises
    ------
    HypermolError
        For anything wrong with recipe, particle file or run folder.
    """
    if not job.resume:
        check_output(job.out, job.overwrite)
    recipe, folder = _recipe(job)
    file = _particles(job, recipe, folder)
    if not job.resume:
        _keep_inputs(job, file)
    size, pixel_size = int(file.particles.images.shape[1]), file.particles.pixel_size
    with _naming(job.recipe):
        composite = composite_of(recipe, folder, size, pixel_size)
        stages = stages_of(recipe, composite, pixel_size)
        composite.discretise(stages[0].max_radius)  # a support that misses the box says so now
    if recipe.half_sets:
        half_set_rows(file.particles)
    if job.resume:
        _same_particles(job.out, file)
    facts = {
        "box_size": size,
        "pixel_size": pixel_size,
        "particles": str(file.path.resolve()),
        "n_particles": file.n,
        "images": _digest(file),
        "data_dir": None if job.data_dir is None else str(job.data_dir.resolve()),
    }
    return Given(recipe, folder, file, composite, stages, facts)


def _keep_inputs(job: Job, file: ParticleFile) -> None:
    """Refuse to replace a folder that holds what the run is made from."""
    out = job.out.resolve()
    recipe = [job.recipe] if isinstance(job.recipe, Path) else []
    for source in (file.path, *recipe):
        if source.resolve().is_relative_to(out):
            raise OutputExistsError(
                f"{source}: lies in {job.out}, which would be replaced; choose another --out"
            )


@contextlib.contextmanager
def _naming(recipe: Path | Recipe | None) -> Iterator[None]:
    """Put the recipe's name before complaints about its components, unless a file is named."""
    try:
        yield
    except (RecipeError, MaskError) as problem:
        if isinstance(recipe, Path) and str(problem).startswith(("component", "schedule", "mask:")):
            raise type(problem)(f"{recipe}: {problem}") from None
        raise


def _digest(file: ParticleFile) -> str:
    """Of the names of all images, in their order."""
    names = "\n".join(file.table[IMAGE_NAME])
    return hashlib.sha256(names.encode()).hexdigest()


def _same_particles(out: Path, file: ParticleFile) -> None:
    """Refuse to go on with other images, or the same in another order."""
    facts = Run.open(out).facts
    begun = int(facts["n_particles"])
    if file.n != begun:
        raise RunFolderError(
            f"{file.path}: holds {file.n:,} particles, {out} was begun with {begun:,}; put the "
            "file back as it was, or choose another --out"
        )
    if facts.get("images", _digest(file)) != _digest(file):  # runs of earlier versions do not say
        raise RunFolderError(
            f"{file.path}: holds other images than {out} was begun with, or in another order; put "
            "the file back as it was, or choose another --out"
        )


def _recipe(job: Job) -> tuple[Recipe, Path]:
    """The recipe, and the folder its paths are relative to."""
    if job.recipe is None:
        recipe, folder = recipe_from({}), Path.cwd()
    elif isinstance(job.recipe, Recipe):
        recipe, folder = job.recipe, Path.cwd()
    else:
        recipe, folder = read_recipe(job.recipe), job.recipe.resolve().parent
        recipe = Run.open(job.out).recipe if job.resume else recipe  # all of it in its folder
    if job.seed is not None:
        if job.seed < 0:
            raise RecipeError(f"--seed {job.seed}: expected 0 or more")
        recipe = recipe.model_copy(update={"seed": job.seed})
    return recipe, folder


def _particles(job: Job, recipe: Recipe, folder: Path) -> ParticleFile:
    path = job.particles
    if path is None:
        if recipe.particles is None:
            raise RecipeError("no particles: name a STAR or .cs file, or put one in the recipe")
        path = folder / recipe.particles
    file = open_particles(path, job.data_dir, job.pixel_size)
    if file.particles.rotations is None and recipe.latents.rotation != "search":
        raise ParticleFileError(
            f"{path}: has no rlnAngleRot, rlnAngleTilt and rlnAnglePsi; refine the particles "
            "first, or find poses from nothing with 'latents: {rotation: search, shift: search}' "
            "in the recipe"
        )
    return file
