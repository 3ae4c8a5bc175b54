"""The four hot functions of the likelihood: bytes, operations, and time over the floor they set.

    python benchmarks/roofline.py [--n N] [--box BOX] [--radius R] [--functions Q] [--placements P]
                                  [--device cuda] [--once]

P placed components share one Fourier grid of `edge` pixels with Q functions each. The floor is the
longest of three times: compulsory bytes (grids, D, W, moments and results once each) at the speed
at which this machine copies memory; operations at the speed of its matrix product in single
precision; on a GPU also taps that are read, at the 128 bytes a clock of every multiprocessor's L1
cache, and taps that are added, at the speed at which the L2 cache is measured to add. GPU columns
stay empty where there is none. With `--once` each function is called once and not timed, for a
profiler to look at:

    ncu -k "regex:overlaps|adjoint|operator|power" --section SpeedOfLight \
        python benchmarks/roofline.py --device cuda --once
"""

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numba
import numpy as np
from scipy.spatial.transform import Rotation

from napari_hypermol import backend
from napari_hypermol.coordinates.gridding import HALO, OVERSAMPLING
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples, fourier_samples
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.posterior import likelihood
from napari_hypermol.posterior.likelihood import WhitenedImages

FUNCTIONS = ("overlaps", "image_adjoint", "normal_operator", "explained_power")
TAPS = 27
_FLOAT, _COMPLEX = 4, 8  # [bytes]

# Operations of one sample, counted in the code: a fused multiply-add is two.
_LOCATE = 9 + 3 + 3 * (2 * 12 + 7 + 3)  # frequencies, signs, three taps along three axes
_TURN = 20  # a phase ramp: its angle, a sine and a cosine
_GATHER = TAPS * 4 + 9 * 4 + 9  # of one complex function: along x, then over lines; line weights
_SCATTER = TAPS * 4 + TAPS * 2  # multiplied by the weight and added; weights
_SEEN = 7  # sign and phase


class Case(NamedTuple):
    """What is computed for how many."""

    n: int
    n_samples: int
    n_columns: int
    n_placed: int
    n_values: int
    n_shells: int
    n_pairs: int


class Count(NamedTuple):
    """Of one call: compulsory bytes, bytes of taps read from cache or added to it, operations."""

    memory: float
    taps: float
    operations: float
    added: float = 0.0  # of the taps


def counts(case: Case) -> dict[str, Count]:
    """Bytes and operations of the four functions; all moments are taken to be non-zero."""
    n, k, q = case.n, case.n_samples, case.n_columns
    per_sample = n * k
    data, weights, grids = _COMPLEX * n * k, _FLOAT * n * k, _FLOAT * case.n_values
    first, second = _FLOAT * n * q, _FLOAT * n * q * q
    slices = case.n_placed * (_LOCATE + _TURN) + q * (_GATHER + _SEEN)
    unslices = q * (_SCATTER + _SEEN)
    taps = per_sample * q * TAPS * _COMPLEX
    return {
        "overlaps": Count(
            grids + data + weights + first + second,
            taps,
            per_sample * (slices + 4 * q + 2 * q + 4 * case.n_pairs),
        ),
        "image_adjoint": Count(
            2 * grids + data + first,
            taps,
            per_sample * (case.n_placed * (_LOCATE + _TURN) + 2 * q + unslices),
            taps,
        ),
        "normal_operator": Count(
            3 * grids + weights + second,
            2 * taps,
            per_sample * (slices + 4 * q * q + 2 * q + unslices),
            taps,
        ),
        "explained_power": Count(
            grids + data + weights + first + second + 2 * _FLOAT * n * case.n_shells,
            taps,
            per_sample * (slices + 4 * q * (q + 1) // 2 + 8 * q + 12),
        ),
    }


# ---- one case to run ----------------------------------------------------------------------------


def scene(
    box: int, radius: float, functions: int, placements: int, edge: int
) -> tuple[FourierGrids, Placements, FourierSamples]:
    """Grids full of noise, seen at random places."""
    rng = np.random.default_rng(0)
    size = edge // 2 * 2
    scale = OVERSAMPLING * size / box
    padded = int(np.ceil(2 * radius * scale / 2) * 2)
    shape = (padded + 2 * HALO + 1, padded + 2 * HALO + 1, padded // 2 + 2 * HALO)
    grids = FourierGrids(
        values=rng.normal(size=2 * functions * int(np.prod(shape))).astype(np.float32),
        offsets=np.zeros(1, np.int64),
        sizes=np.array([shape], np.int64),
        origins=np.array([padded // 2 + HALO], np.int64),
        n_functions=np.array([functions], np.int64),
        scales=np.array([scale], np.float32),
    )
    placed = Placements(
        grids=np.zeros(placements, np.int64),
        rotations=Rotation.random(placements, rng=rng).as_matrix().astype(np.float32),
        centres=(rng.normal(size=(placements, 3)) * box / 8).astype(np.float32),
        starts=functions * np.arange(placements),
    )
    return grids, placed, fourier_samples(box, radius)


def images_of(n: int, samples: FourierSamples) -> WhitenedImages:
    """Noise, the only thing that the time does not depend on."""
    rng = np.random.default_rng(1)
    k, n_shells = len(samples.kx), int(samples.shells.max()) + 1
    return WhitenedImages(
        data=rng.normal(size=(n, 2, k)).astype(np.float32),
        weights=rng.uniform(0.1, 2, size=(n, k)).astype(np.float32),
        power=np.zeros((n, n_shells), np.float32),
        fill=np.ones((n, n_shells), np.float32),
        is_premultiplied=np.zeros(n, np.bool_),
        groups=np.zeros(n, np.int64),
        rotations=Rotation.random(n, rng=rng).as_matrix().astype(np.float32),
    )


def calls(
    images: WhitenedImages, scene: tuple[FourierGrids, Placements, FourierSamples], to: Any
) -> dict[str, Callable[[], Any]]:
    """The four functions, their arrays moved by `to`."""
    rng = np.random.default_rng(2)
    grids, placements, samples = scene
    n, n_q = len(images.weights), int(grids.n_functions[placements.grids].sum())
    first = rng.normal(size=(n, n_q)).astype(np.float32)
    second = to(first[:, :, None] * first[:, None, :])
    first, noise = to(first), to(np.ones((1, images.power.shape[1]), np.float32))
    images = WhitenedImages(*(to(column) for column in images))
    rest = (grids._replace(values=to(grids.values)), placements, samples)
    return {
        "overlaps": lambda: likelihood.overlaps(images, *rest),
        "image_adjoint": lambda: likelihood.image_adjoint(images, first, *rest),
        "normal_operator": lambda: likelihood.normal_operator(images, second, *rest),
        "explained_power": lambda: likelihood.explained_power(images, first, second, noise, *rest),
    }


# ---- times --------------------------------------------------------------------------------------


def best_time(call: Callable[[], Any], wait: Callable[[], None], rounds: int) -> float:
    """Shortest of several calls after a first one that compiles [s]."""
    call()
    wait()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - began)
    return min(times)


@numba.njit(parallel=True)
def _copy(source: Any, target: Any) -> None:
    for i in numba.prange(len(source)):
        target[i] = source[i]


class Device(NamedTuple):
    """Where the functions run, and how fast that is: [bytes/s] and [operations/s]."""

    name: str
    to: Callable[[Any], Any]
    wait: Callable[[], None]
    memory: float
    operations: float
    reads: float = np.inf  # of taps from the nearest cache, and additions to them
    adds: float = np.inf

    def floor(self, count: Count) -> float:
        """No implementation that reads taps from caches is faster [s]."""
        taps = (count.taps - count.added) / self.reads + count.added / self.adds
        return max(count.memory / self.memory, count.operations / self.operations, taps)


# Additions of 16 bytes, which the L2 cache does.
_PROBE = """
extern "C" __global__ void add_all(float4* x, long long n, int rounds)
{
    for (int round = 0; round < rounds; ++round)
        for (long long i = threadIdx.x + blockIdx.x * 256; i < n; i += gridDim.x * 256) {
#if __CUDA_ARCH__ >= 900
            atomicAdd(x + i, make_float4(1, 1, 1, 1));
#else
            float* scalar = reinterpret_cast<float*>(x + i);
            for (int j = 0; j < 4; ++j) atomicAdd(scalar + j, 1.0f);
#endif
        }
}
"""


_ATTRIBUTES = 16, 13  # cudaDevAttrMultiProcessorCount, cudaDevAttrClockRate [kHz]
_L1_BYTES = 128  # that a multiprocessor's cache gives in a clock cycle
_IN_L2 = 2**23  # bytes that no L2 cache of such devices is too small for


def _cache_rates(cupy: Any, n_bytes: int, wait: Callable[[], None], rounds: int) -> list[float]:
    """How fast L1 gives, and L2 adds to, that much memory or what of it L2 holds [bytes/s]."""
    n_cores, kilohertz = (cupy.cuda.runtime.deviceGetAttribute(which, 0) for which in _ATTRIBUTES)
    reads = _L1_BYTES * n_cores * 1e3 * kilohertz
    n = max(1, min(n_bytes, _IN_L2) // 16)
    repeats = max(1, 2**27 // n)
    args = (cupy.zeros(4 * n, np.float32), np.int64(n), np.int32(repeats))
    module = cupy.RawModule(code=_PROBE, options=("-std=c++17",))
    probe = module.get_function("add_all")
    taken = best_time(lambda: probe((1056,), (256,), args), wait, rounds)
    return [reads, 16 * n * repeats / taken]


def devices(rounds: int, grid_bytes: int, only_gpu: bool = False) -> Iterator[Device]:
    """The processor, unless it is left out, and the GPU where there is one."""

    def nothing() -> None:
        return None

    if not only_gpu:
        yield _processor(nothing, rounds)
    if backend.is_gpu_available():
        yield _gpu(rounds, grid_bytes)


def _processor(nothing: Callable[[], None], rounds: int) -> Device:
    length, edge = 2**25, 2048
    source, target = np.ones(length, np.float32), np.empty(length, np.float32)
    square = np.ones((edge, edge), np.float32)
    copied = best_time(lambda: _copy(source, target), nothing, rounds)
    multiplied = best_time(lambda: square @ square, nothing, rounds)
    return Device("CPU", lambda x: x, nothing, 8 * length / copied, 2 * edge**3 / multiplied)


def _gpu(rounds: int, grid_bytes: int) -> Device:
    cupy = backend.cupy
    wait = cupy.cuda.Device().synchronize
    length, edge = 2**28, 8192
    # ones or zeros could be faster than what is computed with
    large = cupy.asarray(np.random.default_rng(0).random((edge, edge), dtype=np.float32))
    long = cupy.concatenate([large.ravel()] * (length // edge**2))
    target = cupy.empty_like(long)
    copied = best_time(lambda: cupy.copyto(target, long), wait, rounds)
    multiplied = best_time(lambda: large @ large, wait, rounds)
    rates = _cache_rates(cupy, grid_bytes, wait, rounds)
    speeds = 8 * length / copied, 2 * edge**3 / multiplied
    return Device("GPU", cupy.asarray, wait, *speeds, *rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1000, help="particles")
    parser.add_argument("--box", type=int, default=64, help="[pixels]")
    parser.add_argument("--radius", type=float, default=16, help="band limit [cycles per box edge]")
    parser.add_argument("--functions", type=int, default=4, help="of each component")
    parser.add_argument("--placements", type=int, default=2)
    parser.add_argument("--edge", type=int, default=0, help="of a component; 0: half the box")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="cuda: it alone")
    parser.add_argument("--once", action="store_true", help="one call each, not timed")
    given = parser.parse_args()
    if given.device == "cuda" and not backend.is_gpu_available():
        parser.error("--device cuda: no CUDA device was found")
    here = scene(
        given.box, given.radius, given.functions, given.placements, given.edge or given.box // 2
    )
    images, n_q = images_of(given.n, here[2]), given.functions * given.placements
    case = Case(
        given.n, len(here[2].kx), n_q, given.placements, len(here[0].values),
        images.power.shape[1], n_q * (n_q + 1) // 2,
    )  # fmt: skip
    print(
        f"{case.n} particles, box {given.box}, {case.n_samples} samples, "
        f"{case.n_placed} placements, {n_q} columns, grids {_FLOAT * case.n_values / 1e6:.1f} MB, "
        f"{numba.get_num_threads()} threads"
    )
    table = {
        name: [f"{c.memory / 1e6:.1f}", f"{c.taps / 1e9:.2f}", f"{c.operations / 1e9:.2f}"]
        for name, c in counts(case).items()
    }
    if given.once:
        to = backend.as_device if given.device == "cuda" else np.asarray
        for call in calls(images, here, to).values():
            call()
        return
    if given.device == "cuda":
        table = {name: [*row, "", "", ""] for name, row in table.items()}
    for device in devices(given.rounds, here[0].values.nbytes, given.device == "cuda"):
        print(
            f"{device.name}: {device.memory / 1e9:,.0f} GB/s, {device.operations / 1e9:,.0f} Gop/s"
        )
        if np.isfinite(device.reads):
            print(
                f"L1 caches: {device.reads / 1e9:,.0f} GB/s, "
                f"L2 cache: {device.adds / 1e9:,.0f} GB/s added to"
            )
        for name, call in calls(images, here, device.to).items():
            floor = device.floor(counts(case)[name])
            taken = best_time(call, device.wait, given.rounds)
            table[name] += [f"{1e3 * floor:.2f}", f"{1e3 * taken:.2f}", f"{taken / floor:.1f}"]
    times = " | ".join(f"{device} floor ms | {device} ms | over" for device in ("CPU", "GPU"))
    print(f"| function | MB | GB of taps | Gop | {times} |")
    print("|---" * 10 + "|")
    for name in FUNCTIONS:
        print("| " + " | ".join([name, *table[name], *[""] * (9 - len(table[name]))]) + " |")


if __name__ == "__main__":
    main()
