"""From particles and a recipe to a finished run folder."""

import contextlib
import datetime
import importlib.metadata
import logging
import platform
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from napari_hypermol.backend import choose_device
from napari_hypermol.errors import (
    RunCancelled,
    RunFolderError,
)
from napari_hypermol.io.particle_file import ParticleFile
from napari_hypermol.protocols import Executor
from napari_hypermol.runs.compiling import telling_of_compilation
from napari_hypermol.runs.compiling_ahead import compiling_ahead, parts_of
from napari_hypermol.runs.control import Control
from napari_hypermol.runs.diagnostics import diagnose
from napari_hypermol.runs.executors import executor_at
from napari_hypermol.runs.foresight import FEWEST, MOST, foreseen
from napari_hypermol.runs.fourier_stack import AnyStack, FourierStack, read_fourier_stack
from napari_hypermol.runs.freed_memory import give_back_freed_memory
from napari_hypermol.runs.from_recipe import poses_of, priors_of
from napari_hypermol.runs.given import Given, checked
from napari_hypermol.runs.half_sets import half_set_fsc
from napari_hypermol.runs.halfway import Keeper, forget_halfway
from napari_hypermol.runs.job import Job, resumed
from napari_hypermol.runs.memory import (
    MemoryPlan,
    check_room,
    peak_memory,
    planned_memory,
    warn_of_room,
)
from napari_hypermol.runs.mixing import mixing
from napari_hypermol.runs.pose_step import with_poses
from napari_hypermol.runs.progress import Progress, Reporter
from napari_hypermol.runs.recipe import Recipe
from napari_hypermol.runs.recover import recover
from napari_hypermol.runs.run_columns import write_particles
from napari_hypermol.runs.run_writer import RunWriter
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

__all__ = ["reconstruct", "settings_of"]

_WORTH_A_LOOK = 256 * 2**20  # [bytes] of the range that is told: a smaller one is not worth seconds


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
        if job.resume:
            job = resumed(job)
            teller.begin()
        device = _device_of(job)
        teller.phase("reading")
        given = checked(job)
        asked = unknowns(given.composite, max(s.max_radius for s in given.stages), given.file.n)
        warn_of_few_particles(asked)
        reporter = Reporter(teller.report, control)
        stay.enter_context(telling_of_compilation(reporter.compiling))
        poses = poses_of(given.recipe)
        moves_poses = poses is not None
        if job.scheduler is None:
            parts = parts_of(moves_poses, poses is not None and poses.is_search, device)
            stay.enter_context(compiling_ahead(parts))
        sweeps_work = work_of(given.stages, moves_poses)
        images_work = 0.05 * sweeps_work
        rounds = 2 if given.recipe.half_sets else 1  # two halves are as much work as one whole
        posterior_work = draws_work(given.recipe.posterior, given.stages[-1])
        reporter.plan(images_work + rounds * sweeps_work + posterior_work)
        held = psutil.Process().memory_info().rss
        plan = planned_memory(
            given.composite, given.stages, given.file.n, is_remote=job.scheduler is not None,
            moves_poses=moves_poses,
        )  # fmt: skip
        check_room(plan, job.out.resolve().parent)
        # before the folder is made: only now can a damaged image come to light
        radius = max(s.max_radius for s in given.stages)
        executor = stay.enter_context(executor_at(job.scheduler))
        folder = job.out.resolve().parent  # its own is not made yet
        stack = _read_images(
            given.file, radius, reporter, images_work, executor, folder, device, plan.sentence()
        )
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
            if start is None:
                work = work.foreseen(held)
            keeper = Keeper(job.out, job.keep_every, job.resume, control.writing, log.warning)
            try:
                return work.done(start, posterior_work, keeper)
            except RunCancelled:
                keeper.flush()
                raise


def _device_of(job: Job) -> str:
    """Where the work on images is done; what workers have, only the user knows."""
    if job.scheduler is not None and job.device in ("auto", "cuda"):
        return "cuda" if job.device == "cuda" else "cpu"
    return choose_device(job.device)


@dataclass(frozen=True, eq=False)
class _Work:
    """A run whose folder is made and whose images are read: what is left is to compute."""

    job: Job
    given: Given
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

    def foreseen(self, held: int) -> "_Work":
        """The same, its memory planned anew by what some of the images tell, where that is much.

        `held` are the bytes that the process held before it read them.
        """
        given, stack, reporter, n = self.given, self.stack, self.reporter, self.given.file.n
        is_told = not self.plan.is_vague or self.plan.spare < _WORTH_A_LOOK or n < FEWEST
        if is_told or not isinstance(stack, FourierStack) or self._settings.poses is not None:
            return self
        about = given.file.particles, stack, given.composite, self._settings, n
        left, *marches = foreseen(*about, reporter.check)
        most, least = (
            planned_memory(
                given.composite, given.stages, n, seen=(left, stages), held=held,
                has_samples=not isinstance(stack.values, np.memmap),
            )
            for stages in marches
        )  # fmt: skip
        # what the look itself took counts as well
        memory, fewest = (max(plan.memory, peak_memory()) for plan in (most, least))
        plan = most._replace(memory=memory, spare=max(memory - fewest, 0))
        give_back_freed_memory()
        reporter.advance(0.0, f"by {min(n, MOST):,} of the images the run {plan.sentence()}")
        warn_of_room(plan)
        return replace(self, plan=plan)

    @property
    def _settings(self) -> RecoverySettings:
        given, size = self.given, self.given.facts["box_size"]
        pixel_size = given.file.particles.pixel_size
        return settings_of(given.recipe, given.stages, given.folder, size, pixel_size)

    def done(self, start: Snapshot | None, posterior_work: float, keeper: Keeper) -> Run:
        """All stages from `start` on, and everything that is made of the last one."""
        job, given, recipe, log = self.job, self.given, self.recipe, self.log
        stack, reporter = self.stack, self.reporter
        particles, size = given.file.particles, given.facts["box_size"]
        pixel_size, settings = particles.pixel_size, self._settings
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
    given: Given,
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
    device: str,
    needs: str,
) -> AnyStack:
    done = 0.0

    def on_chunk(fraction: float) -> None:
        nonlocal done
        reporter.advance(work * (fraction - done), f"reading images, {fraction:.0%}; {needs}")
        done = fraction

    return read_fourier_stack(file.particles, max_radius, on_chunk, executor, folder, device)


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
