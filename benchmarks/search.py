"""Speed of an exhaustive search beside that of the bare matrix product in it.

    python benchmarks/search.py [--states 1] [--sums] [--broad] [--repeats 7]

4608 rotations x 29 shifts, a box of 64 at a radius of 16 pixels. Both rates count 2 (2 k)
operations for every particle, shift, state and rotation, k samples; the two alternate, so that what
else the machine does slows both. Images show one of the slices; with --broad they are noise, so
that all cells are in use and sums cost as much as the scoring, which alone is counted.
"""

import argparse
import time

import numba
import numpy as np

from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.samplers.search import SearchTarget, search

BOX, RADIUS, N_ROTATIONS, N_SHIFTS = 64, 16, 4608, 29
N = 200  # particles


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--states", type=int, default=1)
    parser.add_argument("--sums", action="store_true")
    parser.add_argument("--broad", action="store_true")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    samples, n, n_states = fourier_samples(BOX, RADIUS), N, options.states
    k = len(samples.kx)
    shape = (n_states, N_ROTATIONS, k)
    slices = 0.05 * (rng.normal(size=shape) + 1j * rng.normal(size=shape))
    kxy = np.stack([samples.kx, samples.ky], axis=1)
    shifts = rng.normal(size=(N_SHIFTS, 2)) * 2
    phases = np.exp(2j * np.pi / BOX * shifts @ kxy.T)
    log_prior = np.full((n_states, N_SHIFTS), -np.log(n_states * N_SHIFTS))
    target = SearchTarget(
        slices.astype(np.complex64), phases.astype(np.complex64), log_prior.astype(np.float32)
    )
    data = rng.normal(size=(n, 2, k))
    if not options.broad:
        seen = slices[rng.integers(0, n_states, n), rng.integers(0, N_ROTATIONS, n)]
        data += 20 * np.stack([seen.real, seen.imag], axis=1)
    data, weights = data.astype(np.float32), rng.uniform(0.5, 1, (n, k)).astype(np.float32)

    left = rng.normal(size=(n * N_SHIFTS, 2 * k)).astype(np.float32)
    right = rng.normal(size=(2 * k, n_states * N_ROTATIONS)).astype(np.float32)
    product = np.zeros((len(left), right.shape[1]), dtype=np.float32)
    operations = 2.0 * left.shape[0] * left.shape[1] * right.shape[1]
    np.matmul(left, right, out=product)
    search(data, weights, target, with_sums=options.sums)
    rates = np.empty((options.repeats, 2))
    for row in rates:
        began = time.perf_counter()
        np.matmul(left, right, out=product)
        middle = time.perf_counter()
        search(data, weights, target, with_sums=options.sums)
        row[:] = (
            1e-9 * operations / (middle - began),
            1e-9 * operations / (time.perf_counter() - middle),
        )
    print(
        f"{n} particles, {N_SHIFTS} shifts, {n_states} states, {N_ROTATIONS} rotations, "
        f"{k} samples; {numba.get_num_threads()} threads; GFLOP/s and ratio: min, median, max of "
        f"{options.repeats}"
    )
    for name, values in (
        ("matrix product", rates[:, 0]),
        ("search" + " with sums" * options.sums, rates[:, 1]),
        ("ratio", rates[:, 1] / rates[:, 0]),
    ):
        print(f"{name:20} {values.min():8.2f} {np.median(values):8.2f} {values.max():8.2f}")


if __name__ == "__main__":
    main()
