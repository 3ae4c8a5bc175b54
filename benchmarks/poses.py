"""Recovery of poses with the molecule: errors of poses, states and maps, and the time it takes.

    python benchmarks/poses.py --data DATA [--seeds 5] [--first-seed 0] [--case refine] ...
                               [--n N] [--device cuda]

Each case is what the command line does: simulate, reconstruct in a process of its own, score. The
cases `pretzel` and `paper` go on as the guide says: the run suggests parts, and they are
reconstructed from the poses it has found; their seconds are those of all three commands.
Compiled code is cached by a short run first, as it is for a user from the second run on. Prints one
line a seed and the mean with its standard deviation over seeds. DATA is the folder with the files
of other programs, of which the case `ribosome` needs oracles/clean70SRibosome_vol.npy.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from napari_hypermol.io import write_volume

SMALL = ["--box", "64", "--snr", "0.1"]
CASES = {
    "refine": ["pretzel", "--n", "4000", *SMALL, "--pose-error", "8", "--shift-error", "2"],
    "ribosome": ["ribosome", "--n", "2000", *SMALL, "--shift-std", "2", "--no-poses"],
    "pretzel": ["pretzel", "--n", "5000", *SMALL, "--shift-std", "2", "--no-poses"],
    "kinase": ["kinase", "--n", "2000", *SMALL, "--shift-std", "1.5", "--no-poses"],
    "paper": [
        *("pretzel", "--n", "20000", "--box", "151", "--snr", str(1 / 30)),
        *("--shift-std", "7", "--no-poses"),
    ],
}
IN_PARTS = ("pretzel", "paper")
RIBOSOME = Path("oracles") / "clean70SRibosome_vol.npy"
RIBOSOME_PIXEL = 5.0  # [Å], about right; the file does not say


def hypermol(*arguments: str) -> str:
    command = [sys.executable, "-m", "napari_hypermol", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def reconstruct(particles: Path, recipe: Path, run: Path, device: str) -> float:
    """Seconds of the whole process."""
    began = time.monotonic()
    given = [str(particles), "--out", str(run), "--recipe", str(recipe), "--device", device]
    hypermol("reconstruct", *given)
    return time.monotonic() - began


def one(
    case: str, seed: int, folder: Path, n: int | None = None, device: str = "cpu"
) -> dict[str, float]:
    data, run = folder / f"{case}_{seed}", folder / f"{case}_{seed}_run"
    molecule, *options = CASES[case]
    if molecule == "ribosome":
        molecule = str(folder / "ribosome.mrc")
    if n is not None:
        options[options.index("--n") + 1] = str(n)
    hypermol("simulate", molecule, str(data), *options, "--seed", str(seed))
    seconds = reconstruct(data / "particles.star", data / "recipe.yaml", run, device)
    row = {"seconds": seconds}
    if case in IN_PARTS:
        whole = json.loads(hypermol("score", str(run), str(data / "truth.star")))
        row["seconds of one piece"] = seconds
        row["within 15 of one piece"] = figures(whole)["within 15 mod sym"]
        parts, run = folder / f"{case}_{seed}_parts", folder / f"{case}_{seed}_parts_run"
        began = time.monotonic()
        hypermol("suggest", str(folder / f"{case}_{seed}_run"), "--out", str(parts))
        particles = folder / f"{case}_{seed}_run" / "particles.star"
        reconstruct(particles, parts / "recipe.yaml", run, device)
        row["seconds"] += time.monotonic() - began
    result = json.loads(hypermol("score", str(run), str(data / "truth.star")))
    return row | figures(result)


def figures(result: dict[str, Any]) -> dict[str, float]:
    """The numbers of a score that are told; of the states those of aligned particles too."""
    poses = result["poses"]
    row: dict[str, float] = {"angle": poses["median_angle_degrees"]}
    if "symmetry" in poses:
        row["angle mod sym"] = poses["median_angle_degrees_modulo_symmetry"]
    if "before" in poses:
        row["angle before"] = poses["before"]["median_angle_degrees"]
        row["shift px before"] = poses["before"]["median_shift_pixels"]
    row["shift px"] = poses["median_shift_pixels"]
    for degrees in (5, 10, 15):
        row[f"within {degrees}"] = poses[f"within_{degrees}_degrees"]
    if "symmetry" in poses:
        row["within 15 mod sym"] = poses["within_15_degrees_modulo_symmetry"]
    row["mirrored"] = float(poses["is_mirrored"])
    row["map"] = result["whole_map"]["correlation"]
    row["resolution"] = result["whole_map"]["resolution_at_half"]
    for words, key in (("", "states"), (" aligned", "states_of_aligned")):
        for state, maps in zip(result.get(key, []), result["maps"], strict=True):
            row[f"{maps['component']}{words}"] = state["spearman"]
            row[f"{maps['component']}{words} fraction"] = state["fraction_of_oracle"]
    for maps in result["maps"]:
        row[f"{maps['component']} motion"] = maps["difference_correlation"]
    return row


def warm_up(cases: list[str], folder: Path, device: str) -> None:
    """Compile what the cases need: a search, or a refinement."""
    wants = {"--no-poses": ["--no-poses"], "--pose-error": ["--pose-error", "5"]}
    for index, (option, options) in enumerate(wants.items()):
        if any(option in CASES[case] for case in cases):
            data = folder / f"warm_{index}"
            hypermol("simulate", "pretzel", str(data), "--n", "200", "--box", "32", *options)
            own = folder / f"warm_{index}_run"
            reconstruct(data / "particles.star", data / "recipe.yaml", own, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--n", type=int, help="particles, instead of the case's")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--data", type=Path, help="folder with the files of other programs")
    options = parser.parse_args()
    cases = options.case or list(CASES)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if "ribosome" in cases:
            if options.data is None or not (options.data / RIBOSOME).is_file():
                parser.error(f"the case ribosome needs {RIBOSOME} in --data")
            volume = np.load(options.data / RIBOSOME).astype(np.float32)
            write_volume(folder / "ribosome.mrc", volume, RIBOSOME_PIXEL)
        warm_up(cases, folder, options.device)
        for case in cases:
            rows = []
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                rows.append(one(case, seed, folder, options.n, options.device))
                print(case, "seed", seed, {k: _short(v) for k, v in rows[-1].items()}, flush=True)
            summary(case, rows)


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def summary(case: str, rows: list[dict[str, float]]) -> None:
    """Mean and standard deviation over the seeds that have a number."""
    for key in dict.fromkeys(key for row in rows for key in row):
        values = np.array([row[key] for row in rows if row.get(key) is not None])
        if len(values):
            spread = f"{values.std(ddof=1):.4f}" if len(values) > 1 else "?"
            missing = "" if len(values) == len(rows) else f"  ({len(values)} of {len(rows)} seeds)"
            print(f"{case:9} {key:24} {values.mean():.4f} +- {spread}{missing}")


if __name__ == "__main__":
    main()
