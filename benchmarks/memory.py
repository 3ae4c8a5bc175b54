"""Peak memory of whole runs beside what they said they would need.

    python benchmarks/memory.py [--molecule cat] [--box 64] [--particles 1000 8000 24000]
    python benchmarks/memory.py --box 256 --particles 1000000 --band 16 --sweeps 1 --free 8

Simulates 1000 particles and names their images again and again in a STAR file, so that long stacks
cost no disk. Bars: the peak within 20 % of what was said, or of the middle where that was a range;
memory a particle. With --free another process holds all but so much of this machine's memory, and a
run that needs more is killed.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import yaml

from napari_hypermol.io import read_particles, read_star, write_star

IMAGES = 1000


def hypermol(*arguments: object) -> None:
    command = [sys.executable, "-m", "napari_hypermol", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def repeated(folder: Path, n: int) -> Path:
    """A particle file of n rows that share the images of `folder`."""
    path = folder / f"particles_{n}.star"
    tables = read_star(folder / "particles.star")
    times = -(-n // IMAGES)
    rows = pd.concat([pd.DataFrame(tables["particles"])] * times, ignore_index=True)[:n]
    write_star(path, tables | {"particles": rows})
    return path


# Memory that is not given back: every page is written to, and there may be no swap.
HOLD = """
import sys
held = bytearray(int(sys.argv[1]))
held[::4096] = bytes([1]) * len(range(0, len(held), 4096))
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def only_free(gib: float | None) -> Iterator[None]:
    """A machine that has no more than so much memory free."""
    if gib is None:
        yield
        return
    size = int(psutil.virtual_memory().available - gib * 2**30)
    if size < 0:
        sys.exit(f"this machine has less than {gib:g} GiB free")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        if holder.stdout.readline() != b"held\n":
            sys.exit("the rest of the memory could not be taken")
        free = psutil.virtual_memory().available / 2**30
        print(f"{free:.1f} GiB are free, {psutil.swap_memory().total / 2**30:.1f} GiB of swap")
        yield
    finally:
        holder.stdin.close()
        holder.wait()


def schedule(recipe: Path, box: int, pixel_size: float, band: float, sweeps: int) -> None:
    """Two stages up to a band limit [cycles per box edge], instead of those that a recipe has."""
    values = yaml.safe_load(recipe.read_text())
    stage = {"resolution": box * pixel_size / band, "sweeps": sweeps}
    values["schedule"] = [{**stage, "degree": 0}, {**stage, "degree": 1}]
    recipe.write_text(yaml.safe_dump(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--band", type=float, help="two stages up to so many cycles per box edge")
    parser.add_argument("--sweeps", type=int, default=1, help="of each of the two")
    parser.add_argument("--free", type=float, help="GiB that are left")
    parser.add_argument("--molecule", default="cat")
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--particles", type=int, nargs="+", default=[1000, 8000, 24000])
    args = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "data"
        hypermol("simulate", args.molecule, folder, "--n", IMAGES, "--box", args.box, "--snr", 0.1)
        if args.band:
            pixel_size = read_particles(folder / "particles.star").particles.pixel_size
            schedule(folder / "recipe.yaml", args.box, pixel_size, args.band, args.sweeps)
        print(
            f"{args.molecule}, box {args.box}\n   particles  peak MiB      said MiB  ratio  seconds"
        )
        for n in args.particles:
            out, began = folder / f"run_{n}", time.perf_counter()
            stack = repeated(folder, n)
            with only_free(args.free):
                hypermol("reconstruct", stack, "--recipe", folder / "recipe.yaml", "--out", out)
            metrics = json.loads((out / "metrics.json").read_text())
            peak, least = metrics["peak_memory_bytes"], metrics["planned_least_memory_bytes"]
            most = metrics["planned_memory_bytes"]
            peaks.append(peak)
            said = f"{least / 2**20:.0f} to {most / 2**20:.0f}"
            print(f"{n:12,d} {peak / 2**20:9.0f} {said:>13} {(least + most) / 2 / peak:6.2f} "
                  f"{time.perf_counter() - began:8.0f}", flush=True)  # fmt: skip
    if len(peaks) > 1:
        slope = np.polyfit(args.particles, peaks, 1)[0]
        print(f"{slope / 1024:.1f} KiB a particle")


if __name__ == "__main__":
    main()
