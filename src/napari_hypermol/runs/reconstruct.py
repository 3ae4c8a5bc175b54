"""From particles and a recipe to a finished run folder."""

import contextlib
import datetime
import hashlib
import importlib.metadata
import logging
import platform
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_hypermol.backend import choose_device
from napari_hypermol.errors import (
    MaskError,
    OutputExistsError,
    ParticleFileError,
    RecipeError,
    RunCancelled,
    RunFolderError,
)
from napari_hypermol.io.particle_file import IMAGE_NAME, ParticleFile
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.protocols import Executor
from napari_hypermol.runs.control import Control
from napari_hypermol.runs.diagnostics import diagnose
from napari_hypermol.runs.executors import executor_at
from napari_hypermol.runs.fourier_stack import AnyStack, read_fourier_stack
from napari_hypermol.runs.from_recipe import composite_of, poses_of, priors_of, stages_of
from napari_hypermol.runs.half_sets import half_set_fsc, half_set_rows
from napari_hypermol.runs.halfway import Keeper, forget_halfway
from napari_hypermol.runs.memory import MemoryPlan, check_room, peak_memory, planned_memory
from napari_hypermol.runs.mixing import mixing
from napari_hypermol.runs.pose_step import with_poses
from napari_hypermol.runs.progress import Progress, Reporter
from napari_hypermol.runs.recipe import Recipe
from napari_hypermol.runs.recipe_text import read_recipe, recipe_from
from napari_hypermol.runs.recover import recover
from napari_hypermol.runs.run_columns import write_particles
from napari_hypermol.runs.run_particles import open_particles
from napari_hypermol.runs.run_writer import RunWriter, check_output
from napari_hypermol.runs.sampled import (
    draw_arrays,
    draw_columns,
    drawn_kinds,
    draws_work,
    run_draws,
)
from napari_hypermol.runs.series import write_deviations, write_run_volumes
from napari_hypermol.runs.snapshot import RecoverySettings, Snapshot
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.teller import Teller
from napari_hypermol.runs.trajectories import learned_trajectories
from napari_hypermol.runs.unknowns import unknowns, unknowns_sentences, warn_of_few_particles
from napari_hypermol.schedules.stage import Stage, work_of

__all__ = ["Job", "reconstruct", "settings_of"]


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
        auto, cpu or cuda.
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


def reconstruct(
    job: Job,
    on_progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | Control | None = None,
) -> Run:
    """Recover a hypermolecule and write its run folder.

    Parameters
    ----------
    job : Job
    on_progress : callable, optional
        Given a `Progress` several times a stage, from the calling thread.
    stop : threading.Event or Control, optional
        Setting it ends the run at the next report; a `Control` can make it wait as well.

    Returns
    -------
    Run

    Raises
    ------
    HypermolError
        For anything wrong with the input, before anything is written; `RunCancelled` when
        stopped, with the folder usable if its first stage was done.
    """
    began = time.monotonic()
    control = stop if isinstance(stop, Control) else Control(stop)
    with (
        Teller(job.out, control, on_progress) as teller,
        contextlib.ExitStack() as stay,
    ):
        # of workers elsewhere, who knows what they have
        is_remote_gpu = job.scheduler is not None and job.device == "cuda"
        device = "cuda" if is_remote_gpu else choose_device(job.device)
        if job.resume:
            job = _resumed(job)
            teller.begin()
        teller.phase("reading")
        given = _checked(job)
        asked = unknowns(given.composite, max(s.max_radius for s in given.stages), given.file.n)
        warn_of_few_particles(asked)
        reporter = Reporter(teller.report, control)
        images_work = 0.05 * work_of(given.stages)
        rounds = 2 if given.recipe.half_sets else 1  # two halves are as much work as one whole
        posterior_work = draws_work(given.recipe.posterior, given.stages[-1])
        reporter.plan(images_work + rounds * work_of(given.stages) + posterior_work)
        plan = planned_memory(
            given.composite, given.stages, given.file.n, is_remote=job.scheduler is not None,
            moves_poses=poses_of(given.recipe) is not None,
        )  # fmt: skip
        check_room(plan, job.out.resolve().parent)
        # before the folder is made: only now can a damaged image come to light
        radius = max(s.max_radius for s in given.stages)
        executor = stay.enter_context(executor_at(job.scheduler))
        folder = job.out.resolve().parent  # its own is not made yet
        stack = _read_images(
            given.file, radius, reporter, images_work, executor, folder, plan.sentence()
        )
        stack = replace(stack, device=device)
        start = Run.open(job.out).snapshot if job.resume and Run.open(job.out).snapshots() else None
        recipe = given.recipe.model_copy(
            update={"particles": given.facts["particles"], "versions": _versions()}
        )
        writer = RunWriter(job.out, recipe, given.folder, given.facts, job.overwrite, job.resume)
        if not job.resume:
            teller.begin()
        teller.phase("running")
        with _log(job.out) as log:
            work = _Work(
                job, given, stack, recipe, writer, reporter, log, device, began, asked, plan
            )
            keeper = Keeper(job.out, job.keep_every, job.resume, control.writing, log.warning)
            try:
                return work.done(start, posterior_work, keeper)
            except RunCancelled:
                keeper.flush()
                raise


@dataclass(frozen=True, eq=False)
class _Work:
    """A run whose folder is made and whose images are read: what is left is to compute."""

    job: Job
    given: "_Given"
    stack: AnyStack
    recipe: Recipe
    writer: RunWriter
    reporter: Reporter
    log: logging.Logger
    device: str
    began: float
    unknowns: dict[str, Any]
    plan: MemoryPlan

    def keep(self, snapshot: Snapshot) -> None:
        """Write what is known after a stage; a process that is told to end waits for it."""
        file, control = self.given.file, self.reporter.control
        size = file.particles.pixel_size
        metrics = self._metrics(snapshot, size, is_done=False)
        with contextlib.nullcontext() if control is None else control.writing:
            try:
                self.writer.write_snapshot(snapshot)
                self.log.info("%s done: %s", snapshot.stage.name, snapshot.trace[-1])
                write_particles(file, snapshot, self.job.out)
                self.writer.write_json("metrics.json", metrics)
            except OSError as problem:
                raise RunFolderError(
                    f"{self.job.out}: could not be written ({problem.strerror or problem}) after "
                    f"{snapshot.stage.name}; what was kept before is intact: make room, or bring "
                    "the disk back, and resume the run"
                ) from problem

    def _metrics(self, snapshot: Snapshot, pixel_size: float, is_done: bool) -> dict[str, Any]:
        return _metrics(snapshot, pixel_size, self.device, self.began, is_done) | {
            "unknowns": self.unknowns,
            "planned_memory_bytes": self.plan.memory,
            "planned_least_memory_bytes": self.plan.memory - self.plan.spare,
            "planned_disk_bytes": self.plan.disk,
        }

    def done(self, start: Snapshot | None, posterior_work: float, keeper: Keeper) -> Run:
        """All stages from `start` on, and everything that is made of the last one."""
        job, given, recipe, log = self.job, self.given, self.recipe, self.log
        stack, reporter = self.stack, self.reporter
        particles, size = given.file.particles, given.facts["box_size"]
        pixel_size = particles.pixel_size
        settings = settings_of(given.recipe, given.stages, given.folder, size, pixel_size)
        log.info("%d particles of %d px from %s", given.file.n, size, given.file.path)
        for line in unknowns_sentences(self.unknowns):
            log.info("%s", line)
        log.info("%s", self.plan.sentence())
        rng = np.random.default_rng(recipe.seed)
        rows = np.arange(given.file.n)
        snapshot = recover(
            particles, stack, given.composite, settings, rows, rng, reporter, self.keep, start,
            keeper,
        )  # fmt: skip
        if start is not None:  # killed between a snapshot and what is made of it
            write_particles(given.file, snapshot, job.out)
        metrics = self._metrics(snapshot, pixel_size, is_done=True)
        if snapshot.poses is not None:
            particles = with_poses(particles, rows, snapshot.poses)
        if recipe.half_sets:
            # under the poses found with all particles: two searches would end in two frames
            known = settings._replace(poses=None)
            metrics["half_sets"] = half_set_fsc(
                particles, stack, given.composite, known, recipe.seed, reporter
            )
        metrics["diagnostics"] = diagnose(particles, stack, snapshot)
        run = Run.open(job.out)
        write_run_volumes(run.maps, pixel_size, job.out / "volumes", overwrite=True)
        if recipe.posterior.draws:
            metrics["posterior"] = _draw(
                given, stack, snapshot, settings, self.writer, reporter, posterior_work, keeper
            )
            log.info("%s", metrics["posterior"]["sentence"])
        metrics["seconds"] = time.monotonic() - self.began
        self.writer.write_json("metrics.json", metrics)
        _report(run)
        forget_halfway(job.out)
        log.info("done in %.1f s", metrics["seconds"])
        reporter.advance(reporter.total, "done", run.maps)
        return run


def _report(run: Run) -> None:
    """Write report.html; matplotlib takes a second or two that a starting run has not."""
    from napari_hypermol.runs.report import write_report

    write_report(run)


def _draw(
    given: "_Given",
    stack: AnyStack,
    snapshot: Snapshot,
    settings: RecoverySettings,
    writer: RunWriter,
    reporter: Reporter,
    work: float,
    keeper: Keeper,
) -> dict[str, Any]:
    """Draw from the posterior and write what the draws say; how well they have mixed."""
    particles, recipe = given.file.particles, given.recipe
    draws = run_draws(
        particles, stack, snapshot, settings, recipe.posterior, recipe.seed, reporter, work, keeper
    )
    kinds = drawn_kinds(snapshot.molecule)
    write_particles(given.file, snapshot, writer.path, draw_columns(draws, kinds))
    writer.write_posterior(draw_arrays(draws))
    volumes = writer.path / "volumes"
    write_deviations(snapshot.maps.axes, draws.map_std, particles.pixel_size, volumes)
    return mixing(draws, kinds)


@dataclass(frozen=True, eq=False)
class _Given:
    """What a run works on, read and checked; `folder` is where the recipe's paths start."""

    recipe: Recipe
    folder: Path
    file: ParticleFile
    composite: Composite
    stages: list[Stage]
    facts: dict[str, Any]


def _checked(job: Job) -> _Given:
    """Read all there is to read but the pixels; writes nothing."""
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
    return _Given(recipe, folder, file, composite, stages, facts)


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


def _resumed(job: Job) -> Job:
    """The job a folder was made by; of what is given anew only where files have been moved to."""
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
    return Job(
        particles=particles,
        out=job.out,
        recipe=job.out / "recipe.yaml",
        data_dir=None if data_dir is None else Path(data_dir),
        pixel_size=run.pixel_size,
        device=job.device,
        scheduler=job.scheduler,
        resume=True,
        keep_every=job.keep_every,
    )


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


def settings_of(
    recipe: Recipe, stages: list[Stage], folder: Path, box_size: int, pixel_size: float
) -> RecoverySettings:
    """What of a recipe the recovery needs; `folder` is where the recipe's paths start."""
    std = recipe.priors.contrast.std
    return RecoverySettings(
        stages=stages,
        refine_contrast=recipe.latents.contrast == "refine",
        priors=priors_of(recipe, folder, box_size, pixel_size),
        contrast_std=None if std == "auto" else float(std),
        is_adaptive=recipe.schedule == "auto",
        poses=poses_of(recipe),
    )


def _read_images(
    file: ParticleFile,
    max_radius: float,
    reporter: Reporter,
    work: float,
    executor: Executor,
    folder: Path,
    needs: str,
) -> AnyStack:
    done = 0.0

    def on_chunk(fraction: float) -> None:
        nonlocal done
        reporter.advance(work * (fraction - done), f"reading images, {fraction:.0%}; {needs}")
        done = fraction

    return read_fourier_stack(file.particles, max_radius, on_chunk, executor, folder)


def _metrics(
    snapshot: Snapshot, pixel_size: float, device: str, began: float, is_done: bool
) -> dict[str, Any]:
    molecule = snapshot.molecule
    return {
        "is_done": is_done,
        "seconds": time.monotonic() - began,
        "device": device,
        "machine": platform.machine(),
        "peak_memory_bytes": peak_memory(),
        "n_coefficients": molecule.n_coefficients,
        "contrast_std": snapshot.estimate.contrast_std,
        "trajectories": learned_trajectories(molecule, pixel_size),
        "trace": snapshot.trace,
    }


def _versions() -> dict[str, str]:
    names = ("napari-hypermol", "numpy", "scipy", "numba", "dask", "zarr")
    versions = {"python": platform.python_version()}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


@contextlib.contextmanager
def _log(folder: Path) -> Iterator[logging.Logger]:
    """A logger that writes to the run's log.txt."""
    log = logging.getLogger(f"napari_hypermol.run.{folder.resolve()}")
    log.setLevel(logging.INFO)
    log.propagate = False
    handler = logging.FileHandler(folder / "log.txt", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    log.info("started %s", datetime.datetime.now().astimezone().isoformat(timespec="seconds"))
    try:
        yield log
    except BaseException as problem:
        log.info("ended early: %s %s", type(problem).__name__, problem)
        raise
    finally:
        log.removeHandler(handler)
        handler.close()
