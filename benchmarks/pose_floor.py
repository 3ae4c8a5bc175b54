"""How well poses and states can be known at all: the true map of every state in hand.

    python benchmarks/pose_floor.py [--case pretzel] [--case kinase] [--n 600] [--seeds 1]
        [--pose-error 8]

No method can do better on the same images: every particle's rotation, shift, contrast and states
are sampled given the true molecule, from the true pose on, and averaged. With --pose-error also
rotations that are off by so much (root mean square [degrees]) are in hand, and how far off they are
is known. Prints the median error of a single draw and of the mean of all draws, and Spearman's
coefficient of the mean states.
"""

import argparse
import itertools

import numpy as np

from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.coordinates.fourier import resample_volume
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.coordinates.rotations import angles_between
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.molecules.linear import grid_layout, grid_values
from napari_hypermol.posterior.collapsed import CollapsedModel, PosePrior
from napari_hypermol.posterior.likelihood import overlaps
from napari_hypermol.posterior.states import StateTable, table_posterior
from napari_hypermol.runs.chunks import whitened_images
from napari_hypermol.runs.fourier_stack import read_fourier_stack
from napari_hypermol.runs.pose_average import chordal_mean
from napari_hypermol.runs.state_scores import spearman
from napari_hypermol.samplers.pose_metropolis import PoseChain, draw_proposals, pose_metropolis
from napari_hypermol.synthetic.pose_errors import with_errors
from napari_hypermol.synthetic.simulate import MOLECULES, Simulation, simulated_particles

BOX, RADIUS = 64, 17.0
CASES = {"pretzel": (7, 2.0), "kinase": (15, 1.5), "hinge": (15, 2.0)}  # states, shifts [pixels]
SWEEPS, BURN_IN, STEPS = 25, 6, 6
C2 = np.array([np.eye(3), np.diag([-1.0, -1.0, 1.0])])


def floor(case: str, n: int, seed: int, pose_error: float) -> dict[str, float]:
    n_states, shift_std = CASES[case]
    molecule = MOLECULES[case](BOX)
    plan = Simulation(case, n=n, snr=0.1, shift_std=shift_std, seed=seed)
    particles, true = simulated_particles(plan, molecule)
    stack = read_fourier_stack(particles, RADIUS)
    samples = fourier_samples(BOX, RADIUS)
    ones = np.ones((1, stack.n_shells))  # simulated noise has unit variance
    images = whitened_images(particles, stack, samples, ones, np.arange(n))
    # every state's map is a column of its own
    states, size = np.linspace(0, 1, n_states), int(2 * RADIUS) + 4
    volumes, columns, still = [], [], []
    for component in molecule.components:
        start = sum(len(v) for v in volumes)
        at = states if component.has_state else [0.0]
        volumes.append(np.array([component.volume(float(t), BOX) for t in at]))
        if component.has_state:
            columns.append(slice(start, start + n_states))
        else:
            still.append(start)
    maps = resample_volume(np.concatenate(volumes), size).astype(np.float32)
    basis = VoxelBasis(np.ones((size, size, size), dtype=np.float32), BOX, BOX)
    grids = grid_layout([basis], [len(maps)])
    grids = grids._replace(values=grid_values([basis], [maps.reshape(len(maps), -1)]))
    eye, origin = np.eye(3, dtype=np.float32)[None], np.zeros((1, 3), dtype=np.float32)
    placements = Placements(np.array([0]), eye, origin, np.array([0]))
    joint = list(itertools.product(range(n_states), repeat=len(columns)))
    nodes = np.zeros((len(joint), len(maps)), dtype=np.float32)
    for row, choice in zip(nodes, joint, strict=True):
        row[[c.start + t for c, t in zip(columns, choice, strict=True)] + still] = 1
    # the simulation divided images by the noise: find the scale at the true poses and states
    b, g = overlaps(images, grids, placements, samples)
    nearest = [np.abs(s[:, None] - states).argmin(axis=1) for s in true.states.T]
    c = nodes[np.ravel_multi_index(nearest, (n_states,) * len(columns))]
    scale = np.einsum("nq,nq->", c, b) / np.einsum("np,npq,nq->", c, g, c)
    grids = grids._replace(values=grids.values * np.float32(scale))
    uniform = np.full(n_states, -np.log(n_states))
    prior = np.full(len(joint), -np.log(len(joint)))
    model = CollapsedModel(grids, placements, samples, nodes[None], prior, plan.contrast_std, 1.0)
    rng = np.random.default_rng(seed)
    about = PosePrior(np.tile(eye, (n, 1, 1)), 0.0, np.zeros((n, 2)), shift_std**-2)
    if pose_error:
        told, _ = with_errors(true.rotations, pose_error, np.zeros((n, 2)), 0.0, rng)
        precision = 3 / np.radians(pose_error) ** 2
        about = about._replace(rotations=told.astype(np.float32), rotation_precision=precision)
    tables = tuple(StateTable(states[:, None], np.eye(n_states), uniform, s) for s in columns)
    chain = PoseChain(images.rotations, true.shifts / plan.pixel_size, images.data)
    unit = 0.53 / RADIUS  # turns the phases at the band limit by 1 rad
    group = C2 if case == "pretzel" else np.eye(3)[None]

    def errors(rotations: np.ndarray) -> np.ndarray:
        turned = [angles_between(rotations, true.rotations @ s) for s in group]
        return np.degrees(np.min(turned, axis=0))

    rotation_sum, state_sum = np.zeros((n, 3, 3)), np.zeros((n, len(columns)))
    for sweep in range(SWEEPS):
        proposals = draw_proposals(rng, n, STEPS, (0.25 * unit, 3 * unit), (0.1, 1.5))
        chain, _ = pose_metropolis(images, chain, about, model, proposals)
        images = images._replace(data=chain.data, rotations=chain.rotations)
        if sweep >= BURN_IN:
            b, g = overlaps(images, grids, placements, samples)
            rotation_sum += chain.rotations
            state_sum += table_posterior(b, g, tables, plan.contrast_std).state_mean
    kept = SWEEPS - BURN_IN
    mean = errors(chordal_mean(rotation_sum / kept))
    row = {
        "a draw [degrees]": float(np.median(errors(chain.rotations))),
        "mean of draws [degrees]": float(np.median(mean)),
        "within 15": float((mean < 15).mean()),
    }
    for index, found in enumerate(state_sum.T / kept):
        row[f"state {index + 1}"] = abs(spearman(found, true.states[:, index]))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--n", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--pose-error", type=float, default=0.0)
    options = parser.parse_args()
    for case in options.case or CASES:
        for seed in range(options.seeds):
            row = floor(case, options.n, seed, options.pose_error)
            print(case, "seed", seed, {k: round(v, 3) for k, v in row.items()}, flush=True)


if __name__ == "__main__":
    main()
