"""Hostile files by the ten thousand, to see whether any crashes, hangs, fills memory, runs code.

python benchmarks/fuzz.py [cases] [seed] [kind ...]

Every case is read in a forked worker whose address space may grow by no more than ten times the
size of the case and a floor (64 MB, or 1 GB where it is compressed), and which is stopped after
five seconds of work. Allowed is success or one sentence (`HypermolError`). Anything read in a
folder beside that of the case, which no case has a right to, counts as a leak.
Needs the tests' files beside it; the files of ``../shared/data`` are spoilt too where they are.
"""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import hostile_files  # noqa: E402
from napari_hypermol.errors import HypermolError  # noqa: E402
from small_runs import BRIEF, MIXED, recovered, simulated  # noqa: E402

BATCH = 100  # cases of one fork
LIMIT_S, WAIT_S = 5, 60  # of the processor; of the clock, for what waits without working
FLOOR, COMPRESSED_FLOOR = 64 * 2**20, 2**30
SHARES = {"star": 0.3, "cs": 0.22, "mrc": 0.22, "mrc.gz": 0.1, "recipe": 0.13, "run": 0.03}
OUTCOMES = ("read", "refused", "crash", "hang", "memory", "code", "leak")
LONGEST = 1000  # characters of a sentence


class Hang(BaseException):
    """The alarm rang."""


def _ring(*_: object) -> None:
    raise Hang


def _address_space() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


class Watch:
    """Files that were opened while a case was read."""

    def __init__(self) -> None:
        self.paths: list[str] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.paths is not None:
            if event == "open" and isinstance(arguments[0], str):
                self.paths.append(arguments[0])
            elif event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn"):
                self.paths.append("/PWNED")


def judged(kind: str, rng: np.random.Generator, top: Path, good: Any, watch: Watch) -> tuple:
    """One case: what became of it, and a line on it."""
    folder = top / "case"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.chdir(folder)
    case = hostile_files.hostile_case(kind, rng, folder, good)
    floor = COMPRESSED_FLOOR if kind == "mrc.gz" else FLOOR
    room = _address_space() + floor + 10 * case.size
    resource.setrlimit(resource.RLIMIT_AS, (room, resource.RLIM_INFINITY))
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    signal.setitimer(signal.ITIMER_REAL, WAIT_S)
    watch.paths = []
    line = ""
    try:
        case.read()
        outcome = "read"
    except HypermolError as problem:
        outcome, line = "refused", str(problem)
        if "\n" in line or len(line) > LONGEST:
            outcome, line = "crash", f"no single sentence: {line[:300]!r}"
    except Hang:
        outcome, line = "hang", "".join(traceback.format_exc().splitlines(True)[-7:-1])
    except MemoryError:
        outcome, line = "memory", traceback.format_exc(limit=-4)
    except BaseException:
        outcome, line = "crash", traceback.format_exc(limit=-4)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        paths, watch.paths = watch.paths, None
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
    if "/PWNED" in paths or (folder / "PWNED").exists():
        outcome, line = "code", case.what
    elif any(_is_secret(path, top / "secret") for path in paths):
        outcome, line = "leak", f"{case.what}: {[p for p in paths if 'secret' in p]}"
    return outcome, case.what, line


def _is_secret(path: str, secret: Path) -> bool:
    """Whether a path ends in the folder that no case has named."""
    return Path(os.path.realpath(path)).is_relative_to(secret.resolve())


def batch(kind: str, seed: int, numbers: range, top: Path, good: Any, report: Path) -> None:
    """Cases one after the other; a line of JSON each, so that a death is found."""
    signal.signal(signal.SIGALRM, _ring)
    signal.signal(signal.SIGPROF, _ring)
    warnings.simplefilter("ignore")
    watch = Watch()
    with report.open("w", buffering=1) as file:
        for number in numbers:
            rng = np.random.default_rng([seed, number])
            outcome, what, line = judged(kind, rng, top, good, watch)
            file.write(json.dumps([number, outcome, what, line]) + "\n")
            if outcome in ("hang", "memory"):
                return  # what it left behind may hurt the next one; a new fork goes on


def run(kind: str, n: int, seed: int, top: Path, good: Any) -> list[tuple]:
    """All cases of a kind."""
    results, number, context = [], 0, multiprocessing.get_context("fork")
    report = top / "report"
    while number < n:
        numbers = range(number, min(number + BATCH, n))
        worker = context.Process(target=batch, args=(kind, seed, numbers, top, good, report))
        report.write_text("")
        worker.start()
        worker.join(BATCH * WAIT_S)
        if worker.is_alive():
            worker.kill()
            worker.join()
        found = [json.loads(line) for line in report.read_text().splitlines()]
        results += found
        number += len(found)
        if worker.exitcode and len(found) < len(numbers):
            results.append([number, "crash", "?", f"the worker died with {worker.exitcode}"])
            number += 1
    return results


def print_row(name: str, counts: Counter[str], seconds: float) -> None:
    """One line of the table."""
    numbers = (sum(counts.values()), *(counts[o] for o in OUTCOMES), round(seconds))
    print(f"{name:8}", *(f"{number:8}" for number in numbers), flush=True)


def main() -> None:
    """Run and print the table."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    kinds = sys.argv[3:] or list(SHARES)
    shared = ROOT.parent / "shared" / "data"
    shared = Path(os.environ.get("HYPERMOL_TEST_DATA", shared))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        top = Path(name).resolve()
        data = simulated(top / "data", components=MIXED, schedule=BRIEF)
        finished = recovered(data, top / "finished").run.path
        good = hostile_files.originals(top / "good", shared if shared.is_dir() else None, finished)
        hostile_files.originals(top / "secret")
        total: Counter[str] = Counter()
        print(f"{'kind':8}", *(f"{word:>8}" for word in ("cases", *OUTCOMES, "s")))
        share = sum(SHARES[kind] for kind in kinds)
        failures: dict[str, tuple] = {}
        for kind in kinds:
            start = time.monotonic()
            results = run(kind, round(n * SHARES[kind] / share), seed, top, good)
            counts = Counter(outcome for _, outcome, _, _ in results)
            total += counts
            print_row(kind, counts, time.monotonic() - start)
            for number, outcome, what, line in results:
                if outcome not in ("read", "refused"):
                    failures.setdefault(f"{outcome} {line[-160:]}", (kind, number, what, line))
        print_row("all", total, time.monotonic() - began)
        for key, (kind, number, what, line) in failures.items():
            print(f"\n==== {key.split()[0]}: {kind} case {number} ({what})\n{line}")
        sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
