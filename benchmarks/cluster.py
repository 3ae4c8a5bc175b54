"""How a sweep grows with particles and workers: what is measured here, and what follows on paper.

    python benchmarks/cluster.py [--workers 3] [--particles 10000000] [--rate 2700]

Measures on a local cluster what a scheduler costs: seconds for a task, bytes a second to and from
a worker. The model then counts what a sweep of known poses sends and computes, for 1 to 256
workers that each take `--rate` particles through a sweep in a second, and says where adding workers
ends to pay. Bytes are counted from the arrays that travel, see `runs.remote_images`.
"""

import argparse
import time

import numpy as np

from napari_hypermol.runs.executors import DaskExecutor, executor_at

MERGED = 4  # as in runs.executors
SOLVE = 6  # applications of the normal operator in a sweep


def measured(n_workers: int) -> tuple[float, float, float]:
    """Seconds a task costs the scheduler; bytes a second out and back."""
    with executor_at(f"local:{n_workers}") as executor:
        assert isinstance(executor, DaskExecutor)
        executor.results([executor.submit(int) for _ in range(50)])
        began = time.perf_counter()
        executor.results([executor.submit(int) for _ in range(1000)])
        per_task = (time.perf_counter() - began) / 1000
        block = np.random.default_rng(0).integers(0, 256, 32 * 2**20, dtype=np.uint8)
        began = time.perf_counter()
        sent = executor.share(block)
        executor.result(executor.submit(len, sent))
        out = len(block) / (time.perf_counter() - began)
        began = time.perf_counter()
        executor.result(sent)
        back = len(block) / (time.perf_counter() - began)
    return per_task, out, back


def sweep(
    n: int, workers: int, rate: float, chunk: int, q: int, states: int, coefficients: int,
    grids: float, per_task: float, network: float,
) -> dict[str, float]:  # fmt: skip
    """Seconds and bytes of one sweep."""
    chunks = -(-n // chunk)
    rounds = SOLVE + 2  # and one reading of states, one right-hand side
    theta = 4.0 * coefficients
    # theta once by the scheduler for each round, then worker to worker in a tree
    down = rounds * theta * np.ceil(np.log2(workers + 1))
    # states, spreads, contrasts, evidence, tables: what the run keeps of every particle
    up = n * (16.0 * (states > 0) + 24 + 4 * states)
    # sums of grids, merged by fours: what one worker takes in
    depth = np.ceil(np.log(max(chunks, 2)) / np.log(MERGED))
    merged = rounds * depth * (MERGED - 1) * grids
    tasks = rounds * (chunks + chunks / (MERGED - 1) + 2) + 4 * chunks
    work = np.ceil(chunks / workers) * chunk / rate
    return {
        "work": work,
        "scheduler": tasks * per_task,
        "network": (down + up) / network + merged / network,
        "down": down, "up": up, "merged": merged, "tasks": tasks,
        "moments kept at workers": 4.0 * n * (q + q * q),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=3, help="of the cluster that is measured")
    parser.add_argument("--particles", type=int, default=10_000_000)
    parser.add_argument("--rate", type=float, default=2700, help="particles a second and worker")
    parser.add_argument("--chunk", type=int, default=16384, help="particles")
    parser.add_argument("--functions", type=int, default=9, help="Q")
    parser.add_argument("--coefficients", type=int, default=2_000_000)
    parser.add_argument("--grids", type=float, default=150e6, help="bytes of all Fourier grids")
    parser.add_argument("--network", type=float, default=1.1e9, help="bytes a second (10 GbE)")
    args = parser.parse_args()
    per_task, out, back = measured(args.workers)
    print(f"measured: {1e3 * per_task:.2f} ms a task; {out / 1e6:.0f} MB/s to a worker, "
          f"{back / 1e6:.0f} MB/s back")  # fmt: skip
    print(f"{args.particles:,} particles, Q = {args.functions}, {args.rate:,.0f} particles a "
          "second and worker")  # fmt: skip
    print(f"{'workers':>8} {'work s':>9} {'scheduler s':>12} {'network s':>10} {'sweep s':>9} "
          f"{'efficiency':>10}")  # fmt: skip
    for workers in (1, 4, 16, 64, 256):
        found = sweep(
            args.particles, workers, args.rate, args.chunk, args.functions, 32,
            args.coefficients, args.grids, per_task, args.network,
        )  # fmt: skip
        total = max(found["work"], found["scheduler"]) + found["network"]
        ideal = args.particles / args.rate / workers
        print(f"{workers:8d} {found['work']:9.1f} {found['scheduler']:12.1f} "
              f"{found['network']:10.1f} {total:9.1f} {ideal / total:10.2f}")  # fmt: skip
    print("bytes a sweep: " + ", ".join(
        f"{name} {found[name] / 1e9:.2f} GB"
        for name in ("down", "up", "merged", "moments kept at workers")
    ) + f"; {found['tasks']:,.0f} tasks")  # fmt: skip


if __name__ == "__main__":
    main()
