"""A cluster's workers killed again and again: the run ends as if nothing had happened.

    python benchmarks/killed_workers.py [--runs 5] [--kills 4]

A pretzel of 600 particles at three workers of this machine, of which `--kills` are killed within
seconds of one another once states are read, at instants drawn from the number of the run.
Prints how far states and contrasts are from those of the same run undisturbed in one process.
"""

import argparse
import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from distributed import LocalCluster

from napari_hypermol.io import read_star
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.progress import Progress
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.synthetic.simulate import Simulation, simulate

WORKERS, BEGUN, LONGEST = 3, "states 1, sweep 2", 2.0  # [s] between two kills
COLUMNS = ("hypermolState1", "hypermolState2", "hypermolContrast")


def values(run: Path) -> np.ndarray:
    table = read_star(run / "particles.star")["particles"]
    return np.array([np.asarray(table[column], dtype=float) for column in COLUMNS])


def disturbed(job: Job, cluster: Any, seed: int, n_kills: int) -> int:
    """Run `job` while its workers are killed; how many were."""
    rng, begun, killed = np.random.default_rng(seed), threading.Event(), 0
    is_over = threading.Event()

    def watch(progress: Progress) -> None:
        if BEGUN in progress.message:
            begun.set()

    def kill() -> None:
        nonlocal killed
        begun.wait()
        for _ in range(n_kills):
            time.sleep(rng.uniform(0, LONGEST))
            pids = [worker.pid for worker in cluster.workers.values() if worker.pid]
            if is_over.is_set() or not pids:
                continue
            try:
                os.kill(int(rng.choice(pids)), signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed += 1

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    reconstruct(job, watch)
    is_over.set()
    begun.set()
    killer.join()
    return killed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--kills", type=int, default=4)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        simulate(Simulation("pretzel", n=600, box_size=48, snr=0.1, seed=3), folder / "data")
        stack, recipe = folder / "data" / "particles.star", folder / "data" / "recipe.yaml"
        reconstruct(Job(stack, folder / "alone", recipe))
        expected = values(folder / "alone")
        for seed in range(args.runs):
            out, began = folder / f"run_{seed}", time.perf_counter()
            environment = {"NUMBA_NUM_THREADS": "1"}
            with LocalCluster(
                n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0", env=environment
            ) as cluster:
                job = Job(stack, out, recipe, scheduler=cluster.scheduler_address)
                killed = disturbed(job, cluster, seed, args.kills)
            error = np.abs(values(out) - expected).max()
            print(f"run {seed}: {killed} workers killed, {time.perf_counter() - began:.0f} s, "
                  f"largest difference {error:.1e}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
