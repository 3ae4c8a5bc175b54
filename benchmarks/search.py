"""Speed of an exhaustive search beside that of the bare matrix product in it.

    python benchmarks/search.py [--states 1] [--sums] [--broad] [--repeats 7]

4608 rotations x 29 shifts, a box of 64 at a radius of 16 pixels. Both rates count 2 (2 k)
operations for every particle, shift, state and rotation, k samples; the two alternate, so that what
else the machine does slows both. Images show one of the slices; with --broad they are noise, so
that all cells are in use and sums cost as much as the scoring, which alone is counted. Where there
is a GPU it does the same after the processor, with more particles, and is waited for.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numba
import numpy as np

from napari_hypermol import backend
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.samplers.search import SearchTarget, search

BOX, RADIUS, N_ROTATIONS, N_SHIFTS = 64, 16, 4608, 29
N, N_ON_GPU = 200, 4000  # particles: on a GPU more than one chunk


class Device(NamedTuple):
    """Where a search runs."""

    name: str
    n: int
    module: Any  # NumPy or CuPy
    to: Callable[[Any], Any]
    wait: Callable[[], None]


def devices() -> Iterator[Device]:
    """The processor, and the GPU where there is one."""
    name = f"{numba.get_num_threads()} threads"
    yield Device(name, N, np, lambda x: x, lambda: None)
    if backend.is_gpu_available():
        cupy = backend.cupy
        gpu = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
        yield Device(gpu, N_ON_GPU, cupy, cupy.asarray, cupy.cuda.Device().synchronize)


def case(n: int, n_states: int, is_broad: bool) -> tuple[Any, Any, SearchTarget]:
    """Data, weights and target."""
    rng = np.random.default_rng(0)
    samples = fourier_samples(BOX, RADIUS)
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
    if not is_broad:
        seen = slices[rng.integers(0, n_states, n), rng.integers(0, N_ROTATIONS, n)]
        data += 20 * np.stack([seen.real, seen.imag], axis=1)
    return data.astype(np.float32), rng.uniform(0.5, 1, (n, k)).astype(np.float32), target


def rates(device: Device, n_states: int, is_broad: bool, with_sums: bool, repeats: int) -> Any:
    """Of the product and of the search, by turns [10^9 operations/s]; (repeats, 2)."""
    xp, (data, weights, target) = device.module, case(device.n, n_states, is_broad)
    k = weights.shape[1]
    data, weights, target = (
        device.to(data), device.to(weights), SearchTarget(*map(device.to, target))
    )  # fmt: skip
    rng = np.random.default_rng(1)
    # products of as many particles as the processor's, over and over: none of them is small
    left = device.to(rng.normal(size=(N * N_SHIFTS, 2 * k)).astype(np.float32))
    right = device.to(rng.normal(size=(2 * k, n_states * N_ROTATIONS)).astype(np.float32))
    product = xp.zeros((len(left), right.shape[1]), dtype=xp.float32)
    operations = 2.0 * device.n * N_SHIFTS * 2 * k * n_states * N_ROTATIONS

    def multiply() -> None:
        for _ in range(device.n // N):
            xp.matmul(left, right, out=product)

    def timed(function: Callable[[], Any]) -> float:
        device.wait()
        began = time.perf_counter()
        function()
        device.wait()
        return time.perf_counter() - began

    def search_all() -> None:
        search(data, weights, target, with_sums=with_sums)

    multiply()
    search_all()
    pairs = [(timed(multiply), timed(search_all)) for _ in range(repeats)]
    return 1e-9 * operations / np.array(pairs)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--states", type=int, default=1)
    parser.add_argument("--sums", action="store_true")
    parser.add_argument("--broad", action="store_true")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    for device in devices():
        found = rates(device, options.states, options.broad, options.sums, options.repeats)
        print(
            f"{device.name}: {device.n} particles, {N_SHIFTS} shifts, {options.states} states, "
            f"{N_ROTATIONS} rotations, {len(fourier_samples(BOX, RADIUS).kx)} samples; "
            f"GFLOP/s and ratio: min, median, max of {options.repeats}"
        )
        for name, values in (
            ("matrix product", found[:, 0]),
            ("search" + " with sums" * options.sums, found[:, 1]),
            ("ratio", found[:, 1] / found[:, 0]),
        ):
            print(f"{name:20} {values.min():8.2f} {np.median(values):8.2f} {values.max():8.2f}")


if __name__ == "__main__":
    main()
