"""Runs killed at random instants and resumed, compared with the same run left alone.

python benchmarks/killed.py [kills of each kind] [seed] [kind ...]

Every run is a process of its own that ends by SIGKILL after a random number of reports and a random
moment more; another process resumes it. The largest difference of anything it found is printed.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from napari_hypermol.io import read_star
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.store import Run
from small_runs import BRIEF, MIXED, TINY, simulated

STILL = {"all": {"support": {"ball": {"radius": 80}}}}
KINDS: dict[str, dict[str, Any]] = {
    "known": {"components": MIXED, "priors": {"states": {"occupancy": "histogram"}}},
    "refined": {"latents": {"rotation": "refine", "shift": "refine"}},
    "searched": {"components": STILL, "latents": {"rotation": "search", "shift": "search"}},
    "drawn": {"posterior": {"chains": 2, "warm_up": 1, "draws": 4}},
    "drawn poses": {
        "latents": {"rotation": "refine", "shift": "refine"},
        "posterior": {"chains": 2, "warm_up": 1, "draws": 4},
    },
}


def forked(job: Job, reports: int | None = None, wait: float = 0.0) -> tuple[int, int]:
    """Run a job in a fork; kill it `wait` seconds after so many reports; (signal, reports seen)."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        status = 1
        try:
            warnings.simplefilter("ignore")
            reconstruct(job, lambda progress: os.write(writer, b"."))  # type: ignore[arg-type,return-value]
            status = 0
        except BaseException as problem:
            print(f"{type(problem).__name__}: {problem}", flush=True)
        finally:
            os._exit(status)
    os.close(writer)
    seen = 0
    while read := os.read(reader, 1):
        seen += len(read)
        if seen == reports:
            time.sleep(wait)
            os.kill(child, signal.SIGKILL)
    os.close(reader)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"a run ended with {os.WEXITSTATUS(status)}")
    return (os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0), seen


def found(out: Path) -> dict[str, np.ndarray]:
    """Everything a run has found, as numbers."""
    run = Run.open(out)
    snapshot = run.snapshot
    values: dict[str, Any] = {"theta": snapshot.estimate.theta, "noise": snapshot.estimate.noise}
    values |= {f"spectrum {i}": s for i, s in enumerate(snapshot.estimate.spectra)}
    values |= {f"table {i}": t for i, t in enumerate(snapshot.posterior.tables)}
    values |= {"states": run.states, "contrasts": run.contrasts}
    rows = [[row[name] for name in sorted(row) if type(row[name]) is float and name != "seconds"]
            for row in snapshot.trace]  # fmt: skip
    values["trace"] = [value for row in rows for value in row]
    if snapshot.poses is not None:
        values |= {"rotations": snapshot.poses.rotations, "shifts": snapshot.poses.shifts}
    for index, trajectory in enumerate(snapshot.molecule.trajectories):
        if trajectory is not None and trajectory.turn is not None:
            values[f"axis {index}"] = trajectory.turn.axis
    table = read_star(out / "particles.star")["particles"]
    for name in (name for name in table if name != "rlnImageName"):
        column = np.array(table[name].tolist())
        values[name] = (
            np.array([hash(text) for text in column])
            if column.dtype.kind == "U" and not _is_number(column[0])
            else column.astype(float)
        )
    return {
        name: np.asarray(value, dtype=float) for name, value in (values | run.posterior).items()
    }


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def difference(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> tuple[float, str]:
    """The largest difference relative to the largest value of its kind, and what it is of."""
    if one.keys() != two.keys():
        return np.inf, f"{sorted(one.keys() ^ two.keys())}"
    worst = (0.0, "nothing")
    for name, value in one.items():
        scale = max(float(np.abs(value).max(initial=0)), 1e-300)
        if value.shape != two[name].shape:
            return np.inf, name
        worst = max(worst, (float(np.abs(value - two[name]).max(initial=0)) / scale, name))
    return worst


def kills(kind: str, n: int, rng: np.random.Generator, top: Path, every: float = 0.0) -> list[dict]:
    """A run left alone, and `n` that are killed and resumed."""
    data = simulated(top / f"{kind} data", TINY, schedule=BRIEF, **KINDS[kind])
    job = Job(
        data / "particles.star", top / f"{kind} alone", data / "recipe.yaml", keep_every=every
    )
    began = time.monotonic()
    _, reports = forked(job)
    pace = (time.monotonic() - began) / reports
    alone, results = found(job.out), []
    for number in range(n):
        out = top / f"{kind} {number}"
        at, wait = int(rng.integers(1, reports)), float(rng.uniform(0, 1.5 * pace))
        own = Job(job.particles, out, job.recipe, keep_every=every)
        killed, _ = forked(own, at, wait)
        has_folder = out.exists()
        forked(Job(None, out, resume=True, keep_every=every) if has_folder else own)
        worst, name = difference(alone, found(out))
        left = sorted(p.name for p in out.iterdir())
        results.append(
            {"kind": kind, "report": at, "of": reports, "wait": wait, "signal": killed,
             "difference": worst, "name": name, "left": left}
        )  # fmt: skip
        shutil.rmtree(out)
    return results


def main() -> None:
    """Print a line for every kind."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    rng = np.random.default_rng(seed)
    everything = []
    with tempfile.TemporaryDirectory(prefix="killed-") as top:
        for kind in sys.argv[3:] or KINDS:
            results = kills(kind, n, rng, Path(top))
            everything += results
            hit = sum(r["signal"] == signal.SIGKILL for r in results)
            worst = max(results, key=lambda r: r["difference"])
            at = ", ".join(f"{r['report']}/{r['of']}" for r in results)
            print(
                f"{kind:12} {hit:3} killed, largest difference {worst['difference']:.3g} of "
                f"{worst['name']}; after reports {at}",
                flush=True,
            )
    print(json.dumps({"kills": len(everything), "worst": max(r["difference"] for r in everything)}))


if __name__ == "__main__":
    main()
