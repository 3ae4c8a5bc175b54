"""How time and memory grow with particles, box, state functions and threads.

    python benchmarks/scaling.py [--quick] [--device cuda] [--n 1000 4000 ...] [--run-n 1000 ...]

- Kernels of one sweep, and the whole sweep, on data of the right shapes with nothing in them;
  exponents are slopes in log-log. Particles must cost about their number, state functions between
  the first and the second power; anything steeper is marked.
- Whole runs with known poses of a simulated hinge, in processes of their own: seconds and the most
  memory that they held.
- Three claims: the adjoint at half the rate of slicing or better; slices, CTF and overlaps of nine
  functions within twice their floor (see memory_floor.py); a sweep over 4000 particles of 64 px and
  nine functions in 1.5 s.

With `--device cuda` kernels, sweeps and runs are on a GPU; threads and the first two claims are
left out. The last line is JSON. The machine should be quiet; --quick (under a minute) only shows
that it works.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
from memory_floor import Floor, best_of, floor_of
from scipy.spatial.transform import Rotation

from napari_hypermol import backend
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.errors import DeviceError
from napari_hypermol.imaging.forward import shell_sums
from napari_hypermol.imaging.projector import adjoint, forward
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.posterior.likelihood import (
    WhitenedImages,
    explained_power,
    image_adjoint,
    normal_operator,
    overlaps,
    residual_adjoint,
)
from napari_hypermol.posterior.states import table_posterior
from napari_hypermol.runs.coefficient_step import maximisation
from napari_hypermol.runs.device_images import DeviceImages
from napari_hypermol.runs.freed_memory import keep_freed_memory
from napari_hypermol.runs.gridded_normal import gridded_normal
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.runs.sweep import (
    expectation,
    state_tables,
)

STEEPEST_N, STEEPEST_Q = 1.1, 2.1  # 1 and 2, and what timing errors may add
SOLVES = 3  # iterations of a solve in most stages of the schedule
CONTRAST_STD = 0.1
ROUNDS = 4


class Case(NamedTuple):
    """A stage's data and molecule, with nothing in them but the right shapes."""

    problem: StageProblem
    estimate: Estimate

    @property
    def n(self) -> int:
        """Particles."""
        return len(self.problem.shifts)


def case_of(n: int, box: int, n_functions: int, radius: float, device: str = "cpu") -> Case:
    """One ball of 0.4 box edges with `n_functions` cosines."""
    rng = np.random.default_rng(0)
    basis = CosineBasis(n_functions - 1) if n_functions > 1 else ConstantBasis()
    ball = Component("ball", Ball((0.0, 0.0, 0.0), 0.4 * box), basis)
    molecule = Composite([ball], box).discretise(radius)
    samples = fourier_samples(box, radius)
    k, n_shells = len(samples.kx), int(samples.shells.max()) + 1
    weights = rng.uniform(0.5, 1.5, (n, k)).astype(np.float32)
    images = WhitenedImages(
        data=rng.standard_normal((n, 2, k), np.float32),
        weights=weights,
        power=np.full((n, n_shells), 1e3, np.float32),
        fill=np.full((n, n_shells), 1e3, np.float32),
        is_premultiplied=np.zeros(n, bool),
        groups=np.zeros(n, np.int64),
        rotations=Rotation.random(n, rng=rng).as_matrix().astype(np.float32),
    )
    count = np.maximum(np.bincount(samples.shells, samples.weights, n_shells), 1e-12)
    mean_weights = shell_sums(weights, samples, n_shells) / count
    where = DeviceImages(images) if device == "cuda" else images
    problem = StageProblem(where, molecule, samples, mean_weights, 3.0, np.zeros((n, 2)))
    spectra = [
        np.full((f, b.n_shells), 1e-2)
        for f, b in zip(molecule.n_functions, molecule.bases, strict=True)
    ]
    theta = 0.1 * rng.standard_normal(molecule.n_coefficients).astype(np.float32)
    return Case(problem, Estimate(theta, spectra, np.ones((1, n_shells)), CONTRAST_STD))


def kernels(case: Case) -> dict[str, Callable[[], Any]]:
    """What a sweep is made of, ready to be called; what a GPU is given to do is waited for."""
    problem, estimate = case.problem, case.estimate
    molecule, samples = problem.molecule, problem.samples
    images, grids = problem.images, molecule.grids(estimate.theta)
    noise = estimate.noise.astype(np.float32)
    if isinstance(images, DeviceImages):
        images = WhitenedImages(*map(backend.as_device, images.host))
        grids, noise = (
            grids._replace(values=backend.as_device(grids.values)),
            backend.as_device(noise),
        )
    assert isinstance(images, WhitenedImages)
    where = (grids, problem.placements, samples)
    tables = state_tables(molecule)
    b, g = overlaps(images, *where)
    posterior = table_posterior(b, g, tables, estimate.contrast_std)
    first, second = posterior.first, posterior.second
    second_here = backend.as_numpy(second)
    calls: dict[str, Callable[[], Any]] = {
        "overlaps": lambda: overlaps(images, *where),
        "state tables": lambda: table_posterior(b, g, tables, estimate.contrast_std),
        "adjoint": lambda: image_adjoint(images, first, *where),
        "normal operator": lambda: normal_operator(images, second, *where),
        "residual": lambda: residual_adjoint(images, first, second, *where),
        "gridded weights": lambda: gridded_normal(problem, second_here),
        "explained power": lambda: explained_power(images, first, second, noise, *where),
        "sweep": lambda: sweep(case),
    }
    if isinstance(problem.images, DeviceImages):
        return {name: waited_for(call) for name, call in calls.items()}
    return calls


def waited_for(call: Callable[[], Any]) -> Callable[[], Any]:
    """A call that ends when the device has done what it was given."""

    def whole() -> Any:
        found = call()
        backend.cupy.cuda.Device().synchronize()
        return found

    return whole


def sweep(case: Case) -> tuple[Estimate, tuple[float, float]]:
    """What one sweep finds; seconds of its expectation, and of its maximisation with the noise."""
    problem, estimate = case.problem, case.estimate
    marks = [time.perf_counter()]
    tables = state_tables(problem.molecule)
    posterior = expectation(problem, estimate, tables, np.random.default_rng(0))
    marks.append(time.perf_counter())
    estimate, _ = maximisation(problem, estimate, posterior, SOLVES, updates_noise=True)
    marks.append(time.perf_counter())
    expected, solved = np.diff(marks)
    return estimate, (float(expected), float(solved))


# ---- growth ----------------------------------------------------------------------------------


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope in log-log."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def grown(
    name: str, sizes: Sequence[int], make: Callable[[int], Case], steepest: float | None
) -> dict[str, float]:
    """Time every kernel at every size, print a table and the exponents.

    The least of `ROUNDS` over all sizes in turn: a machine that slows down does so for all of them.
    """
    calls = [kernels(make(size)) for size in sizes]
    times = {kernel: [np.inf] * len(sizes) for kernel in calls[0]}
    for _ in range(ROUNDS):
        for kernel, seconds in times.items():
            for at, own in enumerate(calls):
                seconds[at] = min(seconds[at], best_of(own[kernel], at_least=0.05))
    print(f"\nms for {name} of {', '.join(map(str, sizes))}; exponent; exponent of the last step")
    found = {}
    for kernel, seconds in times.items():
        found[kernel] = exponent(sizes, seconds)
        last = exponent(sizes[-2:], seconds[-2:])
        is_steep = steepest is not None and max(found[kernel], last) > steepest
        row = " ".join(f"{1e3 * s:9.2f}" for s in seconds)
        mark = "  STEEPER THAN IT SHOULD BE" if is_steep else ""
        print(f"  {kernel:16} {row}   {found[kernel]:5.2f} {last:5.2f}{mark}", flush=True)
    return found


def threads_table(case: Case) -> dict[str, float]:
    """How much faster all threads are than one."""
    most = numba.get_num_threads()
    found = {}
    print(f"\nms on 1 and {most} threads; times faster")
    for kernel, call in kernels(case).items():
        seconds = []
        for threads in (1, most):
            numba.set_num_threads(threads)
            seconds.append(best_of(call))
        found[kernel] = seconds[0] / seconds[1]
        both = " ".join(f"{1e3 * s:9.2f}" for s in seconds)
        print(f"  {kernel:16} {both}   {found[kernel]:5.2f}", flush=True)
    return found


# ---- claims ----------------------------------------------------------------------------------


def adjoint_claim(case: Case) -> float:
    """Rate of the plain adjoint over that of plain slicing."""
    problem = case.problem
    grids = problem.molecule.grids(case.estimate.theta)
    where = (problem.images.rotations, grids, problem.placements, problem.samples)
    values = forward(*where)
    ratio = best_of(lambda: forward(*where)) / best_of(lambda: adjoint(values, *where))
    functions = values.shape[2]
    print(f"  {functions:2} functions: adjoint at {ratio:.2f} of the rate of slicing", flush=True)
    return ratio


def fused_claim(case: Case) -> dict[str, float]:
    """Seconds of slices, CTF and overlaps over their floor."""
    problem = case.problem
    grids = problem.molecule.grids(case.estimate.theta)
    rotations = problem.images.rotations
    floor: Floor = floor_of(grids, problem.samples, rotations)
    where = (grids, problem.placements, problem.samples)
    fused = best_of(lambda: overlaps(problem.images, *where)) / case.n
    slices = best_of(lambda: forward(rotations[:256], *where)) / min(256, case.n)
    print(
        f"  radius {problem.samples.max_radius:g}: {1e6 * fused:.0f} µs a particle, its slices "
        f"alone (stored) {1e6 * slices:.0f}; floor {1e6 * floor.every_tap:.0f} by taps "
        f"({fused / floor.every_tap:.2f} times), {1e6 * floor.every_line:.0f} by cache lines "
        f"({fused / floor.every_line:.2f} times); stream {1e-9 * floor.stream_rate:.1f} GB/s, "
        f"grid of {1e-6 * floor.grid_bytes:.1f} MB read at {1e-9 * floor.grid_rate:.1f} GB/s",
        flush=True,
    )
    return {"by_taps": fused / floor.every_tap, "by_lines": fused / floor.every_line}


def sweep_claim(case: Case) -> float:
    """Seconds of one sweep among others, the best of three."""
    near, _ = sweep(case)
    case = case._replace(estimate=near)
    rounds = [sweep(case)[1] for _ in range(3)]
    best = min(rounds, key=sum)
    expected, solved = best
    print(
        f"  radius {case.problem.samples.max_radius:g}: {sum(best):.2f} s (expectation "
        f"{expected:.2f}, solve with noise {solved:.2f})",
        flush=True,
    )
    return sum(best)


# ---- whole runs ------------------------------------------------------------------------------


def timed(*arguments: str) -> float:
    """Seconds of one command of ours."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "napari_hypermol", *arguments], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"hypermol {' '.join(arguments)} failed")
    return time.perf_counter() - began


def whole_runs(
    sizes: Sequence[int], box: int, folder: Path, warm: bool, device: str = "cpu"
) -> dict[str, Any]:
    """Seconds and memory of known-pose runs; `warm`: once before, to compile."""
    rows = []
    print(f"\nwhole runs, hinge of {box} px, known poses: particles, seconds, most memory")
    for index, n in enumerate([sizes[0], *sizes] if warm else sizes, start=not warm):
        data, out = folder / f"data_{index}", folder / f"run_{index}"
        timed("simulate", "hinge", str(data), "--n", str(n), "--box", str(box), "--snr", "0.1")
        star, recipe = str(data / "particles.star"), str(data / "recipe.yaml")
        seconds = timed(
            "reconstruct", star, "--out", str(out), "--recipe", recipe, "--device", device
        )
        # by its own account: to the system a child has held what its parent did when it began
        memory = json.loads((out / "metrics.json").read_text())["peak_memory_bytes"] / 2**20
        shutil.rmtree(data)
        shutil.rmtree(out)
        if index:
            rows.append((n, seconds, memory))
            print(f"  {n:7} {seconds:8.1f} s {memory:7.0f} MB", flush=True)
    found: dict[str, Any] = {"rows": rows}
    if len(rows) > 1:
        n, seconds, memory = zip(*rows, strict=True)
        found["exponent"] = exponent(n, seconds)
        found["bytes_a_particle"] = 2**20 * float(np.polyfit(n, memory, 1)[0])
        mark = "  STEEPER THAN IT SHOULD BE" if found["exponent"] > STEEPEST_N else ""
        images = 4 * box * box
        print(
            f"  exponent {found['exponent']:.2f}{mark}; {found['bytes_a_particle'] / 1e3:.1f} kB a "
            f"particle, {found['bytes_a_particle'] / images:.2f} times its image"
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, under a minute")
    parser.add_argument("--n", type=int, nargs="+", default=[1000, 2000, 4000, 8000])
    parser.add_argument("--q", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--boxes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--run-n", type=int, nargs="*", default=[1000, 4000, 16000, 64000])
    parser.add_argument("--run-box", type=int, default=64)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()
    keep_freed_memory()  # as a run does
    if options.quick:
        options.n, options.q, options.boxes = [100, 200, 400], [1, 2, 4], [24, 32]
        options.run_n, options.run_box = [60], 24
    told: dict[str, Any] = {"threads": numba.get_num_threads()}
    box, middle = options.boxes[0], options.n[len(options.n) // 2]
    radius = box / 4  # half of Nyquist, where most sweeps are
    try:
        device = backend.choose_device(options.device)
    except DeviceError as error:
        parser.error(str(error))

    def case(n: int, edge: int, q: int, radius: float) -> Case:
        return case_of(n, edge, q, radius, device)

    told["n"] = grown("particles", options.n, lambda n: case(n, box, 4, radius), STEEPEST_N)
    few = options.n[0]
    told["q"] = grown("state functions", options.q, lambda q: case(few, box, q, radius), STEEPEST_Q)
    fewer = max(few // 4, 25)
    told["box"] = grown("box", options.boxes, lambda edge: case(fewer, edge, 4, edge / 4), None)
    if device == "cpu":
        told["threads_faster"] = threads_table(case(few, box, 9, radius))
        print(f"\nadjoint slices, box {box}; at least 0.5 wanted")
        told["adjoint"] = [adjoint_claim(case(few, box, q, radius)) for q in (1, 4, 9)]
        print(f"\nslices, CTF and overlaps of nine functions, box {box}; at most 2 wanted")
        told["fused"] = [fused_claim(case(few, box, 9, r)) for r in (box / 8, radius, 0.45 * box)]
    print(
        f"\none sweep, {middle} particles of {box} px, nine functions; at most 1.5 s wanted of 4000"
    )
    told["sweep"] = [sweep_claim(case(middle, box, 9, r)) for r in (box / 8, radius, 0.45 * box)]
    if options.run_n:
        with tempfile.TemporaryDirectory() as temporary:
            told["runs"] = whole_runs(
                options.run_n, options.run_box, Path(temporary), not options.quick, device
            )
    print(json.dumps(told))


if __name__ == "__main__":
    main()
