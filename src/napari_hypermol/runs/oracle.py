"""The ORACLE: states read with the true molecule, true poses and the run's noise.

No method can order the particles better on average, so a result is a fraction of it. It also knows
how often each state occurs.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.coordinates.cache_lines import offsets_of, one_after_other
from napari_hypermol.coordinates.grids import FourierGrids
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.posterior.likelihood import overlaps
from napari_hypermol.posterior.states import MAX_ENTRIES, StateTable, table_posterior
from napari_hypermol.runs.chunks import stage_problem
from napari_hypermol.runs.fourier_stack import read_fourier_stack
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.truth import TrueComponent, Truth
from napari_hypermol.samplers.gibbs import gibbs_posterior

__all__ = ["oracle_states", "state_read"]

Float64 = NDArray[np.float64]


def _truth_grids(truth: Truth, box_size: int) -> tuple[FourierGrids, Placements, list[slice]]:
    """The true maps as Fourier grids: every map one function, none of them mixed."""
    assert truth.components is not None
    pieces, shapes, origins, counts, scales = [], [], [], [], []
    edge = box_size + box_size % 2
    mask = np.ones((edge, edge, edge), dtype=np.float32)
    basis = VoxelBasis(mask, edge, box_size)
    pad = (edge - box_size, 0)  # the origin of an odd box is one voxel lower than of the next even
    for component in truth.components:
        cubes = np.pad(component.volumes, ((0, 0), pad, pad, pad))
        grid = basis.fourier_grid(cubes.reshape(len(cubes), -1))
        pieces.append(grid.view(np.float32).reshape(-1))
        shapes.append(basis.grid_shape)
        origins.append(basis.grid_origin)
        counts.append(len(cubes))
        scales.append(basis.grid_scale)
    m = len(pieces)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    grids = FourierGrids(
        values=one_after_other(pieces),
        offsets=offsets_of([len(p) for p in pieces])[0],
        sizes=np.array(shapes, dtype=np.int64),
        origins=np.array(origins, dtype=np.int64),
        n_functions=np.array(counts, dtype=np.int64),
        scales=np.array(scales, dtype=np.float32),
    )
    placements = Placements(
        np.arange(m),
        np.tile(np.eye(3, dtype=np.float32), (m, 1, 1)),
        np.zeros((m, 3), dtype=np.float32),
        starts.astype(np.int64),
    )
    return grids, placements, [slice(s, s + c) for s, c in zip(starts, counts, strict=True)]


def oracle_states(run: Run, truth: Truth) -> tuple[Float64, float]:
    """States read with the true molecule, true poses and the run's noise.

    Parameters
    ----------
    run : Run
        For the images, the noise spectra and the spread of contrasts.
    truth : Truth
        With its maps and poses; without poses, those of the run's input are taken for true.

    Returns
    -------
    states : (n, d) float64 ndarray
        Of a range the posterior mean, of a full turn the circular mean, in [0, 1), of classes the
        most probable one, as (k + 0.5) / K.
    scale : float
        Factor from the true maps to the images, fitted by least squares: true maps may come on
        any scale.
    """
    file = run.read_particles()
    particles, snapshot = file.particles, run.snapshot
    if truth.rotations is not None and truth.shifts is not None:
        particles = particles._replace(rotations=truth.rotations, shifts=truth.shifts)
    box_size = run.box_size
    # Up to the run's own band limit, beyond which the noise has not been estimated.
    radius = snapshot.stage.max_radius
    stack = read_fourier_stack(particles, radius)
    rows = np.arange(file.n)
    noise = snapshot.estimate.noise
    problem = stage_problem(particles, stack, snapshot.molecule, radius, noise, rows)
    truth = _each_state_once(truth)
    grids, placements, columns = _truth_grids(truth, box_size)
    b, g = overlaps(problem.here()[1], grids, placements, problem.samples)
    assert truth.components is not None
    tables = tuple(
        StateTable(
            component.states[:, None],
            np.eye(len(component.states)),
            component.log_prior(),
            place,
        )
        for component, place in zip(truth.components, columns, strict=True)
        if len(component.states) > 1
    )
    contrast_std = snapshot.estimate.contrast_std
    scale = _fitted_scale(b, g, truth, columns)
    if not tables:
        return np.zeros((file.n, 0)), scale
    b, g = (b * scale).astype(np.float32), (g * scale**2).astype(np.float32)
    entries = int(np.prod([len(t.states) for t in tables], dtype=np.int64))
    if len(tables) <= 2 and entries <= MAX_ENTRIES:
        posterior = table_posterior(b, g, tables, contrast_std)
    else:
        posterior = gibbs_posterior(np.random.default_rng(0), b, g, tables, contrast_std)
    read = [
        state_read(component, table.astype(np.float64))
        for component, table in zip(truth.moving, posterior.tables, strict=True)
    ]
    return np.stack(read, axis=1), scale


def state_read(component: TrueComponent, table: Float64) -> Float64:
    """One state for every particle from its posterior table (n, t), by the kind of the state."""
    if component.kind == "class":
        return np.asarray(component.states[table.argmax(axis=1)])
    if component.kind == "circle":
        phasors = table @ np.exp(2j * np.pi * component.states)
        return np.asarray(np.angle(phasors) / (2 * np.pi) % 1)
    return np.asarray(table @ component.states)


def _each_state_once(truth: Truth) -> Truth:
    """Without the last map of a full turn, which repeats the first."""
    components = [
        replace(c, states=c.states[:-1], volumes=c.volumes[:-1])
        if c.kind == "circle" and np.isclose(c.states[-1] - c.states[0], 1)
        else c
        for c in truth.components or []
    ]
    return replace(truth, components=components)


def _fitted_scale(
    b: NDArray[np.float32], g: NDArray[np.float32], truth: Truth, columns: list[slice]
) -> float:
    """Least-squares factor of the true images at the true states."""
    c = np.zeros(b.shape)
    axis = 0
    assert truth.components is not None
    for component, place in zip(truth.components, columns, strict=True):
        if len(component.states) == 1:
            c[:, place] = 1.0
            continue
        away = np.abs(truth.states[:, axis, None] - component.states)
        if component.kind == "circle":
            away = np.minimum(away, 1 - away)
        nearest = away.argmin(axis=1)
        c[np.arange(len(c)), place.start + nearest] = 1.0
        axis += 1
    linear = float(np.einsum("nq,nq->", c, b))
    square = float(np.einsum("nq,nqp,np->", c, g, c, optimize=True))
    return linear / square
