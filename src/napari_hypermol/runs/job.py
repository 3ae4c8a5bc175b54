"""What is asked for: to reconstruct these particles into that folder, or to go on with a run."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from napari_hypermol.errors import (
    OutputExistsError,
    ParticleFileError,
    RecipeError,
    RunFolderError,
)
from napari_hypermol.runs.recipe import Recipe
from napari_hypermol.runs.store import Run

__all__ = ["Job", "resumed"]


@dataclass(frozen=True)
class Job:
    """What to reconstruct and where to.

    Parameters
    ----------
    particles : Path or None
        STAR or .cs; None takes the recipe's.
    out : Path
        Run folder to make.
    recipe : Path or Recipe or None
        None: one ball around the box with one state.
    data_dir, pixel_size
        As in `runs.run_particles.open_particles`.
    seed : int or None
        Instead of the recipe's.
    device : str
        cpu, cuda, or auto: a GPU where there is one; with a `scheduler`, or resumed
        from there, the processors.
    scheduler : str or None
        Where the work is done, see `executors.executor_at`.
    overwrite, resume : bool
    keep_every : float
        At least so many seconds lie between two writings of where the run stands.
    """

    particles: Path | None
    out: Path
    recipe: Path | Recipe | None = None
    data_dir: Path | None = None
    pixel_size: float | None = None
    seed: int | None = None
    device: str = "auto"
    scheduler: str | None = None
    overwrite: bool = False
    resume: bool = False
    keep_every: float = 60.0


def resumed(job: Job) -> Job:
    """The job a folder was made by; of what is given anew only where files have been moved to.

    Parameters
    ----------
    job : Job
        One that is to resume.

    Raises
    ------
    OutputExistsError, RunFolderError, RecipeError, ParticleFileError
        Where there is nothing to resume, or something is given that the run was not begun with.
    """
    if not job.out.exists():
        raise OutputExistsError(f"{job.out}: there is no run to resume; leave --resume out")
    run = Run.open(job.out)
    made_from = Path(run.facts["particles"])
    particles = made_from if job.particles is None else job.particles
    if particles.resolve() != made_from and made_from.exists():
        raise RunFolderError(
            f"{job.out}: was made from {made_from}, not from {particles}; resume with that "
            "file, or choose another --out"
        )
    if job.seed is not None and job.seed != run.recipe.seed:
        raise RecipeError(
            f"--seed {job.seed}: {job.out} was begun with {run.recipe.seed}; leave it out, or "
            "choose another --out"
        )
    if job.pixel_size is not None and job.pixel_size != run.pixel_size:
        raise ParticleFileError(
            f"--pixel-size {job.pixel_size}: {job.out} was begun with {run.pixel_size}; leave it "
            "out, or choose another --out"
        )
    if job.recipe is not None:
        warnings.warn(
            f"{job.out}: goes on with the recipe in its folder; --recipe is not read", stacklevel=3
        )
    data_dir = run.facts.get("data_dir") if job.data_dir is None else job.data_dir
    begun_on = run.metrics.get("device")
    return Job(
        particles=particles,
        out=job.out,
        recipe=job.out / "recipe.yaml",
        data_dir=None if data_dir is None else Path(data_dir),
        pixel_size=run.pixel_size,
        # on other devices sums are rounded otherwise, and chains end elsewhere
        device="cpu" if job.device == "auto" and begun_on == "cpu" else job.device,
        scheduler=job.scheduler,
        resume=True,
        keep_every=job.keep_every,
    )
