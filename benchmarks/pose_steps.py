"""Steps of poses: particles a second, on the processor and on the GPU where there is one.

    python benchmarks/pose_steps.py [--n N] [--box BOX] [--radius R] [--functions Q]
                                    [--placements P] [--steps STEPS] [--device cuda]

Molecule and images are those of roofline.py; a patch has nine shifts and serves two turns, 36 joint
states are summed out. A step is a turned rotation looked at; the present one is looked at once more
with every patch.
"""

import argparse

import numba
import numpy as np
from roofline import best_time, images_of, scene

from napari_hypermol import backend
from napari_hypermol.posterior.collapsed import CollapsedModel, PosePrior
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.samplers.pose_metropolis import (
    PoseChain,
    PoseGuide,
    PoseProposals,
    draw_proposals,
    pose_metropolis,
)

_NODES = 36


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1000, help="particles")
    parser.add_argument("--box", type=int, default=64, help="[pixels]")
    parser.add_argument("--radius", type=float, default=16, help="band limit [cycles per box edge]")
    parser.add_argument("--functions", type=int, default=4, help="of each component")
    parser.add_argument("--placements", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="cuda: it alone")
    given = parser.parse_args()
    if given.device == "cuda" and not backend.is_gpu_available():
        parser.error("--device cuda: no CUDA device was found")
    grids, placements, samples = scene(
        given.box, given.radius, given.functions, given.placements, given.box // 2
    )
    images, n = images_of(given.n, samples), given.n
    rng = np.random.default_rng(0)
    n_q = given.functions * given.placements
    nodes = rng.normal(size=(1, _NODES, n_q)).astype(np.float32)
    log_prior = np.full(_NODES, -np.log(_NODES))
    roots = np.tile(0.1 * np.eye(3, dtype=np.float32), (n, 1, 1))
    guide = PoseGuide(images.rotations, roots, np.zeros((n, 2, 3), np.float32))
    shifts = np.zeros((n, 2))
    prior = PosePrior(images.rotations, 0.0, shifts, 0.1)
    proposals = draw_proposals(rng, n, given.steps, (0.01, 0.1), (0.2, 1.0), 3, 2, guide)

    def time_on(to, wait, some):  # type: ignore[no-untyped-def]
        own = WhitenedImages(*(to(column[:some]) for column in images))
        model = CollapsedModel(
            grids._replace(values=to(grids.values)), placements, samples, to(nodes), log_prior,
            0.1, 1.0,
        )  # fmt: skip
        chain = PoseChain(own.rotations, to(shifts[:some]), own.data)
        about = prior._replace(rotations=own.rotations, shifts=chain.shifts)
        drawn = PoseProposals(*(to(column[:some]) for column in proposals))
        led = PoseGuide(*(to(column[:some]) for column in guide))
        return best_time(
            lambda: pose_metropolis(own, chain, about, model, drawn, led), wait, given.rounds
        )

    print(f"{n} particles, box {given.box}, {len(samples.kx)} samples, {n_q} columns")
    here = 0.0
    if given.device == "cpu":
        few = min(n, 64 * numba.get_num_threads())
        taken = time_on(np.ascontiguousarray, lambda: None, few)
        here = few * given.steps / taken
        print(f"CPU, {numba.get_num_threads()} threads: {here:,.0f} steps a second")
    if backend.is_gpu_available():
        wait = backend.cupy.cuda.Device().synchronize
        taken = time_on(backend.cupy.asarray, wait, n)
        there = n * given.steps / taken
        taps = n * given.steps * 1.5 * len(samples.kx) * n_q * 27 * 8 / taken
        print(
            f"GPU: {there:,.0f} steps a second, taps at {taps / 1e9:,.0f} GB/s"
            + (f"; {there / here:.0f} times as many" if here else "")
        )


if __name__ == "__main__":
    main()
