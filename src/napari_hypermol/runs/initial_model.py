"""Poses from nothing: a homogeneous map at low resolution, from several random starts.

The starts that predict held-out particles best go on, at a higher band limit, until one is left.

Projections do not tell a map from its mirror image. A start may have taken some particles for the
one and some for the other; its map is then nearly its own mirror image, predicts nearly as well,
and every later stage inherits it. So of starts that predict equally well the least symmetric wins.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.linear import LinearMolecule
from napari_hypermol.particles import Particles
from napari_hypermol.runs.chunks import whitened_images
from napari_hypermol.runs.fourier_stack import AnyStack
from napari_hypermol.runs.pose_step import Poses
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.random_start import RandomStart, StartData, whole_of
from napari_hypermol.runs.stage_problem import Estimate
from napari_hypermol.samplers.search import Cells, Mode

__all__ = ["InitialModel", "InitialSettings", "initial_model", "initial_work"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

_HELD_OUT = 0.1  # share of the particles that no start sees
_MOST_HELD_OUT = 400
_BATCH_WORK = 30.0  # of comparing all particles with the grid, in sweeps at that band limit
# What a map lacks of its own mirror image grows by this a round while two hands separate.
_SEPARATING = 1.05


class InitialSettings(NamedTuple):
    """How long to look.

    Attributes
    ----------
    n_starts : int
    rounds : tuple of (radius, sweeps, batch)
        Band limit [cycles per box edge], and batches of so many particles. Half of the starts go on
        after the first, one after the second.
    more_rounds : int
        At most so many more like the last one, while the map is still of two hands.
    """

    n_starts: int = 4
    rounds: tuple[tuple[float, int, int], ...] = (
        *((6.0, 16, 500), (8.0, 6, 1000)),
        (8.0, 14, 1000),
    )
    more_rounds: int = 3

    def starts_in(self, index: int, n_starts: int) -> int:
        """How many starts are left in a round."""
        return n_starts if index == 0 else -(-n_starts // 2) if index == 1 else 1

    def work(self, index: int, n: int) -> float:
        """Of one start in a round, `n` particles in all, as `schedules.work_of` measures it."""
        radius, sweeps, batch = self.rounds[min(index, len(self.rounds) - 1)]
        return _BATCH_WORK * radius**2 * sweeps * min(batch / n, 1.0)


_USUAL = InitialSettings()


class InitialModel(NamedTuple):
    """What a search from nothing found.

    Attributes
    ----------
    poses : Poses
        Of every particle's likeliest cell.
    estimate : Estimate
        The map.
    molecule : LinearMolecule
    cells : Cells
    log_evidence : list of float
        Of held-out particles, for every start after the first round [nats per particle].
    """

    poses: Poses
    estimate: Estimate
    molecule: LinearMolecule
    cells: Cells
    log_evidence: list[float]


def initial_work(n: int, n_starts: int | None, settings: InitialSettings = _USUAL) -> float:
    """Planned work of `initial_model` for `n` particles, as `schedules.work_of` measures it."""
    starts = n_starts or settings.n_starts
    rounds = range(len(settings.rounds) + settings.more_rounds)
    return sum(settings.starts_in(i, starts) * settings.work(i, n) for i in rounds)


def initial_model(
    particles: Particles,
    stack: AnyStack,
    composite: Composite,
    rows: Int64,
    shift_std: float,
    rng: np.random.Generator,
    reporter: Reporter,
    settings: InitialSettings = _USUAL,
    mode: Mode = "marginal",
    n_starts: int | None = None,
) -> InitialModel:
    """A homogeneous map and everybody's pose, from nothing.

    Parameters
    ----------
    particles : Particles
        Shifts zero, or those of picking; rotations are not looked at.
    stack : FourierStack or RemoteStack
    composite : Composite
        Only its whole extent is used, see `whole_of`.
    rows : (m,) int64 ndarray
    shift_std : float
        Prior of the shifts [pixels]; estimated from above.
    rng : Generator
    reporter : Reporter
    settings : InitialSettings
    mode : {"marginal", "maxcc"}
        How cells are weighed, see `samplers.search`.
    n_starts : int or None
        Instead of that of the settings.

    Returns
    -------
    InitialModel
        Which hand it has is not determined: the mirror image fits as well.
    """
    data = StartData(particles, stack, rows, shift_std, mode)
    shuffled = rng.permutation(rows)
    n_out = min(int(_HELD_OUT * len(rows)), _MOST_HELD_OUT)
    held_out, seen = np.sort(shuffled[:n_out]), np.sort(shuffled[n_out:])
    n_starts = n_starts or settings.n_starts
    starts = [RandomStart(data, whole_of(composite), own) for own in rng.spawn(n_starts)]
    first: list[float] = []
    for index, (radius, sweeps, batch) in enumerate(settings.rounds):
        for number, start in enumerate(starts, 1):
            start.run(radius, sweeps, batch, seen, reporter.check)
            work = settings.work(index, len(rows))
            reporter.advance(work, _told(index, number, len(starts)))
        is_last = index == len(settings.rounds) - 1
        if index == 0 or len(starts) > 1:
            evidence = _held_out_evidence(starts, held_out, radius)
            first = first or evidence.mean(axis=1).tolist()
            n_kept = 1 if is_last else settings.starts_in(index + 1, n_starts)
            starts = _best(starts, evidence, n_kept)
    best = starts[0]
    _separate_hands(best, settings, seen, reporter, len(rows))
    samples = fourier_samples(stack.samples.box_size, radius)
    images = whitened_images(particles, stack, samples, np.ones_like(best.noise), rows)
    cells, _, grid = best.searched(images, radius, n_cells=4, with_sums=False)
    n = len(rows)
    poses = Poses(
        grid.rotations[cells.rotations[:, 0]].astype(np.float32),
        np.asarray(particles.shifts[rows] + grid.shifts[cells.shifts[:, 0]] * particles.pixel_size),
        np.zeros(n),
        np.zeros(n),
    )
    assert best.estimate is not None
    assert best.molecule is not None
    estimate = best.estimate._replace(noise=best.noise)
    return InitialModel(poses, estimate, best.molecule, cells, first)


def _separate_hands(
    best: RandomStart, settings: InitialSettings, rows: Int64, reporter: Reporter, n: int
) -> None:
    """More batches while the map still becomes less like its mirror image."""
    left = settings.more_rounds * settings.work(len(settings.rounds), n)
    radius, sweeps, batch = settings.rounds[-1]
    symmetry = best.mirror_symmetry()
    for index in range(settings.more_rounds):
        best.run(radius, sweeps, batch, rows, reporter.check)
        work = settings.work(len(settings.rounds), n)
        left -= work
        reporter.advance(work, _told(len(settings.rounds) + index, 1, 1))
        before, symmetry = symmetry, best.mirror_symmetry()
        if 1 - symmetry < _SEPARATING * (1 - before):
            break
    reporter.advance(max(left, 0.0), "initial model done")


def _told(index: int, number: int, n_starts: int) -> str:
    if n_starts == 1:
        return f"initial model, round {index + 1}"
    return f"initial model, round {index + 1}, start {number} of {n_starts}"


def _held_out_evidence(starts: list[RandomStart], rows: Int64, radius: float) -> Float64:
    """Log evidence of particles that no start has seen, all under one noise; (starts, m)."""
    if len(starts) == 1 or not len(rows):
        return np.zeros((len(starts), 1))
    common = np.min([start.noise for start in starts], axis=0)
    scores = []
    for start in starts:
        start_noise, start.noise = start.noise, common
        samples = fourier_samples(start.data.stack.samples.box_size, radius)
        images = whitened_images(
            start.data.particles, start.data.stack, samples, np.ones_like(common), rows
        )
        cells, _, _ = start.searched(images, radius, with_sums=False)
        start.noise = start_noise
        scores.append(np.asarray(cells.log_evidence, dtype=np.float64))
    return np.stack(scores)


def _best(starts: list[RandomStart], evidence: Float64, n_kept: int) -> list[RandomStart]:
    """The starts that predict best; of equals those whose maps are least their own mirror image."""
    if len(starts) == n_kept:
        return starts
    n_particles = evidence.shape[1]
    chosen: list[int] = []
    left = list(range(len(starts)))
    while len(chosen) < n_kept:
        best = max(left, key=lambda i: float(evidence[i].mean()))
        behind = evidence[best] - evidence[left]
        error = behind.std(axis=1) / np.sqrt(n_particles)
        equals = [i for i, d, e in zip(left, behind.mean(axis=1), error, strict=True) if d <= 2 * e]
        if len(equals) > 1:
            best = min(equals, key=lambda i: starts[i].mirror_symmetry())
        chosen.append(best)
        left.remove(best)
    return [starts[i] for i in chosen]
