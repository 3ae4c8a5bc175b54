"""Parts of a sweep, sweeps and whole runs under pytest-benchmark, to compare commits and machines.

    tox -e speed                                                   # and after a change:
    tox -e speed -- --benchmark-compare [-k "sweep and 64px"] [--device cuda]

Poses are known in all of them. What grows with what is for `scaling.py`, which takes sizes in turn:
these come one after the other, on a machine that may change meanwhile.
"""

from pathlib import Path

import numba
import pytest
from scaling import case_of, kernels, timed

from napari_hypermol.runs.freed_memory import keep_freed_memory

PARTS = (
    "overlaps", "state tables", "adjoint", "normal operator", "residual", "gridded weights",
    "explained power", "sweep",
)  # fmt: skip
# Particles, box [px], state functions; the first is what the others are compared with. Nine
# functions of 100,000 particles want 10 GB.
SIZES = [
    (1000, 64, 4), (10_000, 64, 4), (100_000, 64, 4),
    (1000, 64, 1), (1000, 64, 9), (1000, 64, 16),
    (1000, 128, 4), (250, 256, 4),
]  # fmt: skip
RUNS = [1000, 10_000, 100_000]
pytestmark = pytest.mark.timeout(3600)
THREADS = sorted({1, numba.config.NUMBA_NUM_THREADS})


@pytest.fixture(scope="module")
def made():
    """The last case that was made: what is of one size comes one after the other."""
    keep_freed_memory()  # as a run does
    return {}


@pytest.mark.parametrize("threads", THREADS, ids="threads {}".format)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "{}x{}px, {}".format(*size))
def test_part_of_a_sweep(benchmark, made, size, part, threads, device):
    if device == "cuda" and threads != THREADS[-1]:
        pytest.skip("a GPU has no use for threads")
    if size not in made:
        made.clear()
        n, box, n_functions = size
        made[size] = kernels(case_of(n, box, n_functions, box / 4, device))
    numba.set_num_threads(threads)
    benchmark.group = part
    try:
        benchmark.pedantic(made[size][part], rounds=5, warmup_rounds=1)
    finally:
        numba.set_num_threads(THREADS[-1])


@pytest.mark.parametrize("n", RUNS)
def test_run_with_known_poses(benchmark, tmp_path, n, device):
    """Of the hinge at 64 px; its own processes, one before to compile."""
    data = tmp_path / "data"
    timed("simulate", "hinge", str(data), "--n", str(n), "--box", "64", "--snr", "0.1")
    recipe, star = str(data / "recipe.yaml"), str(data / "particles.star")
    out = iter(range(10))

    def run() -> Path:
        folder = tmp_path / f"run_{next(out)}"
        timed("reconstruct", star, "--out", str(folder), "--recipe", recipe, "--device", device)
        return folder

    folder = benchmark.pedantic(run, rounds=1, warmup_rounds=n == RUNS[0])
    assert (folder / "metrics.json").exists()
