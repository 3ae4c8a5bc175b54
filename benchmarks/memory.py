"""Peak memory of whole runs beside what they said they would need.

    python benchmarks/memory.py [--molecule cat] [--box 64] [--particles 1000 8000 24000]

Simulates 1000 particles and names their images again and again in a STAR file, so that long stacks
cost no disk. Bars: the peak within 20 % of what was said; memory a particle.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from napari_hypermol.io import read_star, write_star

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--molecule", default="cat")
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--particles", type=int, nargs="+", default=[1000, 8000, 24000])
    args = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "data"
        hypermol("simulate", args.molecule, folder, "--n", IMAGES, "--box", args.box, "--snr", 0.1)
        print(f"{args.molecule}, box {args.box}\n   particles  peak MiB  said MiB  ratio  seconds")
        for n in args.particles:
            out, began = folder / f"run_{n}", time.perf_counter()
            stack = repeated(folder, n)
            hypermol("reconstruct", stack, "--recipe", folder / "recipe.yaml", "--out", out)
            metrics = json.loads((out / "metrics.json").read_text())
            said, peak = metrics["planned_memory_bytes"], metrics["peak_memory_bytes"]
            peaks.append(peak)
            print(f"{n:12,d} {peak / 2**20:9.0f} {said / 2**20:9.0f} {said / peak:6.2f} "
                  f"{time.perf_counter() - began:8.0f}", flush=True)  # fmt: skip
    if len(peaks) > 1:
        slope = np.polyfit(args.particles, peaks, 1)[0]
        print(f"{slope / 1024:.1f} KiB a particle")


if __name__ == "__main__":
    main()
