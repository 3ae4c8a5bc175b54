"""Effective samples a second: poses and states of our chains, and one variable at a time.

    python benchmarks/chains.py [--particles 50] [--seeds 3] [--kept 200]

The hinge, 64 pixels, SNR 0.1, radius 16 px; the true maps, true contrasts' spread and noise known.
Ours: Metropolis on rotations with shift, state and contrast summed out, proposed as a run proposes
them (a guide from the images, which follows the chain in its warm-up), states then drawn from their
table. The baseline: rotation, shift, contrast and state in turn, each a random walk whose
step was tuned for every particle, each proposal a new slice of all columns and a new residual; the
same compiled slices, the same 32 states to interpolate between. Four chains a particle start at the
truth and are warmed up before the clock starts. Rotations count as the least of the three
coordinates of their tangent vector about the mean; medians over particles would hide the slow ones,
so these are sums over particles.
"""

import argparse
import math
import time
from typing import Any, NamedTuple

import numba
import numpy as np
from arviz_stats.base import array_stats
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.coordinates.fourier import resample_volume
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples, fourier_samples
from napari_hypermol.imaging.projector import Placements, slice_particle
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.posterior.collapsed import CollapsedModel, PosePrior, lines_of, moved_data
from napari_hypermol.posterior.likelihood import WhitenedImages, overlaps
from napari_hypermol.posterior.pose_information import pose_information
from napari_hypermol.posterior.states import contrast_moments
from napari_hypermol.runs.chunks import whitened_images
from napari_hypermol.runs.fourier_stack import read_fourier_stack
from napari_hypermol.runs.pose_guide import Guide, guide_from
from napari_hypermol.samplers.pose_metropolis import PoseChain, draw_proposals, pose_metropolis
from napari_hypermol.synthetic.hinge import hinge
from napari_hypermol.synthetic.simulate import Simulation, simulated_particles

BOX, RADIUS, DEGREE, N_CHAINS, N_NODES = 64, 16, 5, 4, 32
CONTRAST_STD, SHIFT_STD = 0.1, 2.0
PER_KEPT = 10  # steps of ours, and sweeps over four variables of the baseline's, between samples
TURN, SHIFT = 1 / (2 * np.pi * RADIUS * 0.3), BOX / (2 * np.pi * RADIUS)  # 1 rad of phase


class Problem(NamedTuple):
    """Chains, particle after particle, and the molecule."""

    images: WhitenedImages
    shifts: NDArray[np.float64]
    states: NDArray[np.float64]
    contrasts: NDArray[np.float64]
    grids: FourierGrids
    placements: Placements
    samples: FourierSamples
    nodes: NDArray[np.float32]


def make_problem(n: int, seed: int) -> Problem:
    molecule = Composite(
        (Component("hinge", Ball((0, 0, 0), 26, 1.0), CosineBasis(DEGREE)),), BOX
    ).discretise(RADIUS)
    basis, component = molecule.bases[0], hinge(BOX).components[0]
    states, functions = molecule.table(0, N_NODES)
    volumes = np.stack([component.volume(t, BOX) for t in states[:, 0]])
    columns = np.tensordot(np.linalg.pinv(functions), volumes, axes=1)
    low = (BOX - basis.edge) // 2
    cut = slice(low, low + basis.edge)
    theta = basis.gather(resample_volume(columns[:, cut, cut, cut], basis.size))
    grids = molecule.grids(theta.astype(np.float32).ravel())
    plan = Simulation("hinge", n=n, contrast_std=CONTRAST_STD, seed=seed)
    particles, truth = simulated_particles(plan, hinge(BOX))
    samples = fourier_samples(BOX, RADIUS)
    stack = read_fourier_stack(particles, RADIUS)
    rows = np.repeat(np.arange(n), N_CHAINS)
    images = whitened_images(particles, stack, samples, np.ones((1, stack.n_shells)), rows)
    placements = Placements(*molecule.placement_arrays)
    b, g = overlaps(images, grids, placements, samples)  # true maps come on another scale
    c = truth.contrasts[rows][:, None] * np.stack(
        [np.interp(truth.states[rows, 0], states[:, 0], f) for f in functions.T], axis=1
    )
    scale = np.einsum("nq,nq->", c, b) / np.einsum("nq,nqp,np->", c, g, c)
    grids = grids._replace(values=(grids.values * scale).astype(np.float32))
    return Problem(
        images, truth.shifts[rows] / plan.pixel_size, truth.states[rows, 0],
        truth.contrasts[rows], grids, placements, samples, functions.astype(np.float32),
    )  # fmt: skip


@numba.njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def draw_states(b: Any, g: Any, nodes: Any, uniforms: Any, out: Any) -> None:
    for i in numba.prange(len(b)):
        log_p = np.empty(len(nodes))
        for t in range(len(nodes)):
            c = nodes[t]
            linear, square = 0.0, 0.0
            for p in range(len(c)):
                linear += c[p] * b[i, p]
                for q in range(len(c)):
                    square += c[p] * c[q] * g[i, p, q]
            log_p[t] = contrast_moments(linear, square, CONTRAST_STD)[0]
        p = np.exp(log_p - log_p.max())
        target, t = uniforms[i] * p.sum(), 0
        total = p[0]
        while total < target and t < len(nodes) - 1:
            t += 1
            total += p[t]
        out[i] = t / (len(nodes) - 1)


def first_guide(problem: Problem, prior: PosePrior) -> Guide:
    """As `fresh_guide` of a run makes one, knowing neither states nor contrasts."""
    n, basis = len(problem.shifts), CosineBasis(DEGREE)
    middle = np.full((n, 1), 0.5)
    said = pose_information(
        problem.images, problem.shifts, prior, np.ones(n), basis.evaluate(middle),
        basis.derivative(middle).swapaxes(1, 2), middle, problem.grids, problem.placements,
        problem.samples, CONTRAST_STD,
    )  # fmt: skip
    return guide_from(said, problem.images.rotations)


def ours(problem: Problem, rng: np.random.Generator, n_kept: int, n_warm_up: int) -> tuple:
    images, n = problem.images, len(problem.shifts)
    chain = PoseChain(images.rotations, problem.shifts, images.data)
    model = CollapsedModel(
        problem.grids, problem.placements, problem.samples, problem.nodes[None],
        np.zeros(N_NODES), CONTRAST_STD, 1.0,
    )  # fmt: skip
    prior = PosePrior(images.rotations, 0.0, np.zeros((n, 2)), SHIFT_STD**-2)
    guide = first_guide(problem, prior)
    rotations, states = np.empty((n_kept, n, 3, 3), dtype=np.float32), np.empty((n_kept, n))
    for step in range(-n_warm_up, n_kept):
        if step == 0:
            began = time.perf_counter()
        proposals = draw_proposals(
            rng, n, PER_KEPT, (0.25 * TURN, 3.0 * TURN), (0.2 * SHIFT, 1.5 * SHIFT),
            guide=guide.poses,
        )  # fmt: skip
        chain, _ = pose_metropolis(images, chain, prior, model, proposals, guide.poses)
        if step < 0:
            guide = guide.followed(chain.rotations)
        moved = images._replace(data=chain.data, rotations=chain.rotations)
        b, g = overlaps(moved, problem.grids, problem.placements, problem.samples)
        draw_states(b, g, problem.nodes, rng.random(n), states[step])
        rotations[step] = chain.rotations
    return rotations, states, time.perf_counter() - began


@numba.njit(fastmath=True, cache=True)  # type: ignore[untyped-decorator]
def log_density(
    data: Any, weights: Any, rotation: Any, shift: Any, contrast: Any, state: Any, from_shift: Any,
    grids: Any, placements: Any, samples: Any, nodes: Any, rows: Any, moved: Any,
    lines: Any,
) -> Any:  # fmt: skip
    """Log likelihood and priors from a new slice and all residuals."""
    everything = np.ones(placements.grids.shape[0], dtype=np.bool_)
    slice_particle(rows, rotation, grids, placements, samples, everything)
    moved_data(data, shift - from_shift, samples, lines, moved)
    n_q, last = nodes.shape[1], len(nodes) - 1
    at = min(int(state * last), last - 1)
    share = np.float32(state * last - at)
    c = (1 - share) * nodes[at] + share * nodes[at + 1]
    total = np.float32(0)
    a = np.float32(contrast)
    for k in range(rows.shape[0]):
        re, im = np.float32(0), np.float32(0)
        for q in range(n_q):
            re += c[q] * rows[k, 2 * q]
            im += c[q] * rows[k, 2 * q + 1]
        re, im = a * re, a * im
        total += re * moved[0, k] + im * moved[1, k]
        total -= np.float32(0.5) * weights[k] * (re * re + im * im)
    away = (contrast - 1) / CONTRAST_STD
    return total - 0.5 * away * away - 0.5 * (shift * shift).sum() / SHIFT_STD**2


@numba.njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def sweeps(
    data: Any, weights: Any, from_shifts: Any, grids: Any, placements: Any, samples: Any,
    nodes: Any, rotations: Any, shifts: Any, contrasts: Any, states: Any, steps: Any,
    normals: Any, uniforms: Any, parts: Any, accepted: Any,
) -> None:  # fmt: skip
    n, n_sweeps = uniforms.shape[:2]
    n_samples, n_q = samples.kx.shape[0], nodes.shape[1]
    for part in numba.prange(parts):
        rows = np.empty((n_samples, 2 * n_q), dtype=np.float32)
        moved, lines = np.empty((2, n_samples), dtype=np.float32), lines_of(samples)
        for i in range(part * n // parts, (part + 1) * n // parts):
            now = log_density(
                data[i], weights[i], rotations[i], shifts[i], contrasts[i], states[i],
                from_shifts[i], grids, placements, samples, nodes, rows, moved, lines,
            )  # fmt: skip
            for sweep in range(n_sweeps):
                for variable in range(4):
                    z, size = normals[i, sweep, variable], steps[i, variable]
                    rotation, shift = rotations[i], shifts[i]
                    contrast, state = contrasts[i], states[i]
                    if variable == 0:
                        rotation = turned_once(size * z, rotations[i])
                    elif variable == 1:
                        shift = shifts[i] + size * z[:2]
                    elif variable == 2:
                        contrast = contrasts[i] + size * z[0]
                    else:
                        state = abs((states[i] + size * z[0]) % 2.0)
                        state = 2.0 - state if state > 1 else state
                    if contrast < 0:
                        continue
                    there = log_density(
                        data[i], weights[i], rotation, shift, contrast, state, from_shifts[i],
                        grids, placements, samples, nodes, rows, moved, lines,
                    )  # fmt: skip
                    if math.log(uniforms[i, sweep, variable]) < there - now:
                        now = there
                        accepted[i, variable] += 1.0 / n_sweeps
                        rotations[i], shifts[i] = rotation, shift
                        contrasts[i], states[i] = contrast, state


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def turned_once(omega: Any, rotation: Any) -> Any:
    angle = math.sqrt((omega * omega).sum())
    x, y, z = omega / max(angle, 1e-12)
    s, c = math.sin(angle), 1 - math.cos(angle)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    turn = np.eye(3) + s * cross + c * (cross @ cross)
    return (turn @ rotation.astype(np.float64)).astype(np.float32)


def one_at_a_time(problem: Problem, rng: np.random.Generator, n_kept: int, n_warm_up: int) -> tuple:
    n = len(problem.shifts)
    rotations, shifts = problem.images.rotations.copy(), problem.shifts.copy()
    contrasts, states = problem.contrasts.copy(), problem.states.copy()
    steps = np.tile([0.3 * TURN, 0.3 * SHIFT, 0.1, 0.1], (n, 1))
    kept = np.empty((n_kept, n, 3, 3), dtype=np.float32), np.empty((n_kept, n))
    for step in range(-n_warm_up, n_kept):
        if step == 0:
            began = time.perf_counter()
        accepted = np.zeros((n, 4))
        sweeps(
            problem.images.data, problem.images.weights, problem.shifts, problem.grids,
            problem.placements, problem.samples, problem.nodes,
            rotations, shifts, contrasts, states, steps,
            rng.normal(size=(n, PER_KEPT, 4, 3)), rng.random((n, PER_KEPT, 4)),
            numba.get_num_threads(), accepted,
        )  # fmt: skip
        if step < 0:  # three dimensions want 0.3, one 0.44; a tenth at a time, then less
            steps *= np.exp((accepted - [0.3, 0.35, 0.44, 0.44]) / (1 + 0.05 * (n_warm_up + step)))
            steps[:, 3] = np.minimum(steps[:, 3], 1.0)
        else:
            kept[0][step], kept[1][step] = rotations, states
    return *kept, time.perf_counter() - began


def effective(rotations: np.ndarray, states: np.ndarray) -> tuple[float, float]:
    """Sums over particles."""
    n_kept, n = states.shape
    by_particle = rotations.reshape(n_kept, n // N_CHAINS, N_CHAINS, 3, 3).astype(np.float64)
    of_rotations, of_states = 0.0, 0.0
    for i in range(n // N_CHAINS):
        own = by_particle[:, i]
        mean = Rotation.from_matrix(own.reshape(-1, 3, 3)).mean().as_matrix()
        omega = Rotation.from_matrix((own @ mean.T).reshape(-1, 3, 3)).as_rotvec()
        omega = np.moveaxis(omega.reshape(n_kept, N_CHAINS, 3), 2, 0)
        sizes = [array_stats.ess(x, chain_axis=1, draw_axis=0, method="mean") for x in omega]
        of_rotations += float(min(sizes))
        own_states = states[:, N_CHAINS * i : N_CHAINS * (i + 1)]
        of_states += float(array_stats.ess(own_states, chain_axis=1, draw_axis=0, method="mean"))
    return of_rotations, of_states


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--particles", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kept", type=int, default=200)
    parser.add_argument("--warm-up", type=int, default=30)
    options = parser.parse_args()
    for run in (ours, one_at_a_time):  # compiles
        run(make_problem(2, 9), np.random.default_rng(0), 1, 1)
    ratios = []
    for seed in range(options.seeds):
        problem, rates = make_problem(options.particles, seed), []
        for name, run in (("ours", ours), ("one at a time", one_at_a_time)):
            rng = np.random.default_rng(seed)
            rotations, states, seconds = run(problem, rng, options.kept, options.warm_up)
            sizes = np.array(effective(rotations, states))
            rates.append(sizes / seconds)
            print(
                f"seed {seed}, {name:14}: {seconds:6.1f} s, effective samples a second: rotations "
                f"{rates[-1][0]:9.1f}, states {rates[-1][1]:9.1f}; state means "
                f"{states.mean():.3f}, scatter {states.std(axis=0).mean():.3f}",
                flush=True,
            )
        ratios.append(rates[0] / rates[1])
        print(f"seed {seed}, ratios: rotations {ratios[-1][0]:.1f}, states {ratios[-1][1]:.1f}")
    low, high = np.min(ratios, axis=0), np.max(ratios, axis=0)
    print(
        f"{options.particles} particles x {N_CHAINS} chains, {numba.get_num_threads()} threads: "
        f"rotations {low[0]:.1f} to {high[0]:.1f}, states {low[1]:.1f} to {high[1]:.1f}"
    )


if __name__ == "__main__":
    main()
