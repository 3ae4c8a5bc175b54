"""Two recipes on the same particles: which predicts particles better that it has not seen.

The "gradual process of testing alternative priors" of Section 6.3, by two-fold cross validation.
Each recipe is recovered from one half of the particles, predicts every particle of the other half
(`held_out`), and the halves change places. A richer recipe wins only where what it adds is in the
particles it has not seen; what it made of noise counts against it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.errors import HypermolError, RunFolderError, ShapeError
from napari_hypermol.io.particle_file import ParticleFile
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.particles import Particles
from napari_hypermol.posterior.evidence import check_joint_states
from napari_hypermol.runs.control import Control
from napari_hypermol.runs.fourier_stack import AnyStack, read_fourier_stack
from napari_hypermol.runs.from_recipe import composite_of, stages_of
from napari_hypermol.runs.half_sets import half_set_rows
from napari_hypermol.runs.held_out import check_can_be_predicted, log_predictive, noise_of
from napari_hypermol.runs.progress import Progress, Reporter
from napari_hypermol.runs.reconstruct import settings_of
from napari_hypermol.runs.recover import recover
from napari_hypermol.runs.snapshot import RecoverySettings, Snapshot
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.sweep import state_tables
from napari_hypermol.schedules.stage import work_of

__all__ = ["compare", "comparison_lines"]

Float64 = NDArray[np.float64]
Halves = tuple[NDArray[np.int64], NDArray[np.int64]]
_PROBES = 8  # images read from both files to see whether they are the same
_CLEAR = 2.0  # standard errors from which a difference is one


@dataclass(frozen=True, eq=False)
class _Candidate:
    """One of the two recipes, ready to be recovered."""

    name: str
    composite: Composite
    settings: RecoverySettings
    seed: int

    @property
    def work(self) -> float:
        """Of one recovery."""
        return work_of(self.settings.stages, self.settings.poses is not None)

    @property
    def max_radius(self) -> float:
        """Highest band limit [cycles per box edge]."""
        return max(s.max_radius for s in self.settings.stages)


def compare(
    one: Run,
    two: Run,
    on_progress: Callable[[Progress], None] | None = None,
    stop: Any = None,
) -> dict[str, Any]:
    """Held-out log likelihood of two runs' recipes.

    Parameters
    ----------
    one, two : Run
        Of the same particles; only their recipes are used, the molecules are recovered anew.
    on_progress : callable, optional
        As for `reconstruct.reconstruct`.
    stop : threading.Event, optional

    Returns
    -------
    dict
        ``runs`` (two names), ``log_likelihood`` (two means per particle, over
        ``real_numbers_per_particle`` Fourier values), ``difference`` of the second and the first
        with its ``standard_error`` over particles, ``by_fold`` (two differences), ``better``
        ("one", "two", or None where they cannot be told apart), ``band_limits`` [Å] (of each
        recipe in each fold), ``particles``, ``seconds``.

    Raises
    ------
    HypermolError
        If the runs are of different particles, or one of them cannot be predicted.

    Notes
    -----
    The standard error is that over particles, given the four recovered molecules. It does not say
    how much another random start would change; two runs of one recipe with different seeds do.
    """
    began = time.monotonic()
    particles = _same_particles(one, two)
    check_can_be_predicted(particles)
    halves = half_set_rows(particles)
    candidates = [_candidate(run) for run in (one, two)]
    # the same Fourier samples for both: up to the finer of the two schedules
    radius = max(c.max_radius for c in candidates)
    reporter = Reporter(on_progress, Control(stop))
    work = sum(c.work for c in candidates)
    reporter.plan(2.1 * work)
    stack = read_fourier_stack(particles, radius, lambda _: reporter.check())
    reporter.advance(0.1 * work, "images read")
    values, limits = [], []
    for candidate in candidates:
        snapshots = _fold_snapshots(particles, stack, candidate, halves, reporter)
        values.append(_held_out(particles, stack, snapshots, halves))
        edge = particles.images.shape[1] * particles.pixel_size
        limits.append([round(edge / s.stage.max_radius, 3) for s in snapshots])
    result = _result(values[0], values[1], halves)
    reporter.advance(reporter.total, "done")
    return {
        "runs": [c.name for c in candidates],
        "particles": len(values[0]),
        "real_numbers_per_particle": round(float(stack.samples.weights.sum())),
        **result,
        "band_limits": limits,
        "seconds": time.monotonic() - began,
    }


def _candidate(run: Run) -> _Candidate:
    recipe = run.recipe
    composite = composite_of(recipe, run.path, run.box_size, run.pixel_size)
    stages = stages_of(recipe, composite, run.pixel_size)
    try:
        check_joint_states(state_tables(composite.discretise(stages[-1].max_radius)))
    except ShapeError as problem:
        raise RunFolderError(f"{run.path}: {problem}") from None
    settings = settings_of(recipe, stages, run.path, run.box_size, run.pixel_size)
    return _Candidate(str(run.path), composite, settings, recipe.seed)


def _fold_snapshots(
    particles: Particles,
    stack: AnyStack,
    candidate: _Candidate,
    halves: Halves,
    reporter: Reporter,
) -> list[Snapshot]:
    """A molecule from either half; random starts as those of `half_sets`."""
    snapshots = []
    for index, rows in enumerate(halves):
        name = f"{candidate.name}, half {index + 1} of 2"

        def tell(progress: Progress, start: float = reporter.done, name: str = name) -> None:
            wanted = start + progress.fraction * candidate.work
            reporter.advance(max(wanted - reporter.done, 0.0), f"{name}: {progress.message}")

        inner = Reporter(tell, reporter.control)
        inner.plan(candidate.work)
        rng = np.random.default_rng([candidate.seed, index + 1])
        snapshots.append(
            recover(particles, stack, candidate.composite, candidate.settings, rows, rng, inner)
        )
    return snapshots


def _held_out(
    particles: Particles, stack: AnyStack, snapshots: list[Snapshot], halves: Halves
) -> Float64:
    """Log density of every particle under the molecule of the other half; halves end to end."""
    parts = []
    for snapshot, seen, unseen in zip(snapshots, halves, halves[::-1], strict=True):
        noise = noise_of(particles, stack, snapshot, seen)
        parts.append(log_predictive(particles, stack, snapshot, noise, unseen))
    return np.concatenate(parts)


def _result(one: Float64, two: Float64, halves: Halves) -> dict[str, Any]:
    """Means, paired difference and verdict of particles predicted by both."""
    difference = two - one
    mean = float(difference.mean())
    error = float(difference.std(ddof=1) / np.sqrt(len(difference)))
    first = len(halves[1])  # the first molecule predicted the second half
    by_fold = [float(difference[:first].mean()), float(difference[first:].mean())]
    # two folds that contradict each other decide nothing, however many particles they hold
    is_clear = abs(mean) >= _CLEAR * error and min(by_fold) * max(by_fold) > 0
    return {
        "log_likelihood": [float(one.mean()), float(two.mean())],
        "difference": mean,
        "standard_error": error,
        "by_fold": by_fold,
        "better": ("two" if mean > 0 else "one") if is_clear else None,
    }


def comparison_lines(result: dict[str, Any]) -> list[str]:
    """A comparison as a person reads it."""
    width = max(len(name) for name in result["runs"])
    lines = [f"{'':{width}}  log likelihood per particle, held out   detail [Å]"]
    for name, value, limits in zip(
        result["runs"], result["log_likelihood"], result["band_limits"], strict=True
    ):
        detail = " and ".join(f"{limit:.1f}" for limit in limits)
        lines.append(f"{name:{width}}  {value:39.2f}   {detail}")
    size, error = abs(result["difference"]), result["standard_error"]
    amount = f"{size:.3g} ± {error:.2g} per particle"
    if result["better"] is None:
        lines.append(f"cannot be told apart: they differ by {amount}")
    else:
        better = result["runs"][0 if result["better"] == "one" else 1]
        times = f", {size / error:.1f} standard errors" if error > 0 else ""
        lines.append(f"{better} is better by {amount}{times}")
    lines.append(
        f"{result['particles']:,} particles, each predicted from the half it is not in, "
        f"{result['seconds']:.0f} s"
    )
    return lines


# ---- the same particles ------------------------------------------------------------------------


def _same_particles(one: Run, two: Run) -> Particles:
    """The particles both runs are of.

    Raises
    ------
    RunFolderError
        If there are none such.
    """
    first = one.read_particles()
    if one.facts["n_particles"] != first.n:
        raise _different(one, two, f"{first.path} has changed since")
    for name in ("n_particles", "box_size", "pixel_size"):
        a, b = one.facts[name], two.facts[name]
        if not np.isclose(a, b):
            words = name.replace("n_particles", "number of particles").replace("_", " ")
            raise _different(one, two, f"{words} {a:g} and {b:g}")
    if one.facts["particles"] != two.facts["particles"]:
        second = two.read_particles()
        if reason := _contradiction(first, second):
            raise _different(one, two, reason)
    return first.particles


def _different(one: Run, two: Run, reason: str) -> HypermolError:
    return RunFolderError(
        f"{one.path} and {two.path}: are not of the same particles ({reason}); reconstruct both "
        "from one file"
    )


def _contradiction(one: ParticleFile, two: ParticleFile) -> str:
    """What differs between two files of equally many particles; empty if nothing does."""
    a, b = one.particles, two.particles
    for name in ("rotations", "shifts", "half_sets", "optics_group"):
        if not _equal(getattr(a, name), getattr(b, name)):
            return f"other {name.replace('_', ' ')} in {one.path} and {two.path}"
    pairs = zip(a.defocus or (), b.defocus or (), strict=False)
    if (a.defocus is None) != (b.defocus is None) or not all(_equal(x, y) for x, y in pairs):
        return f"another CTF in {one.path} and {two.path}"
    if not all(_equal(x, y) for x, y in zip(a.optics[1:], b.optics[1:], strict=True)):
        return f"other optics in {one.path} and {two.path}"
    rows = np.unique(np.linspace(0, one.n - 1, _PROBES).astype(np.int64))
    if not _equal(a.images[rows].compute(), b.images[rows].compute()):
        return f"other images in {one.path} and {two.path}"
    return ""


def _equal(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    # files round angles and defocus to about six figures
    return bool(np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-5, atol=1e-4))
