"""What the modelling language buys: prolate functions, hinges, classes, learned occupancies.

    python benchmarks/modelling.py [--case basis] [--case hinge] [--case classes]
                                   [--case occupancy] [--seeds 3]
                                   [--molecules pretzel cat wheel]
                                   [--particles 250 500 1000 2000 4000]

Every run is what the command line does: simulate, reconstruct in a process of its own, score.
Compiled code and tables are cached by a short run first. One line a run, and the mean with its
standard deviation over seeds where there are several.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

Rows = dict[str, list[float]]
PARTICLES = ["--box", "64", "--snr", "0.1"]


def hypermol(*arguments: str) -> str:
    command = [sys.executable, "-m", "napari_hypermol", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr[-500:]}")
    return done.stdout


def simulated(folder: Path, molecule: str, n: int, seed: int, *options: str) -> Path:
    data = folder / f"{molecule}_{n}_{seed}"
    hypermol("simulate", molecule, str(data), "--n", str(n), *PARTICLES, "--seed", str(seed),
             *options)  # fmt: skip
    return data


def scored(data: Path, recipe: dict[str, Any], seed: int) -> dict[str, Any]:
    """Reconstruct with a recipe and score; what the run itself measured is put in."""
    path, run = data / "tried.yaml", data / "run"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    hypermol("reconstruct", str(data / "particles.star"), "--out", str(run), "--recipe", str(path),
             "--seed", str(seed), "--overwrite")  # fmt: skip
    result: dict[str, Any] = json.loads(hypermol("score", str(run), str(data / "truth.star")))
    metrics = json.loads((run / "metrics.json").read_text())
    return result | {"coefficients": metrics["n_coefficients"]}


def given_recipe(data: Path) -> dict[str, Any]:
    recipe: dict[str, Any] = yaml.safe_load((data / "recipe.yaml").read_text())
    return recipe


def report(title: str, rows: Rows) -> None:
    for name, values in rows.items():
        spread = f" +- {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
        print(f"{title:28} {name:24} {np.mean(values):.4f}{spread}", flush=True)


def basis(folder: Path, options: argparse.Namespace) -> None:
    """Prolate functions beside voxels, the same data and schedule."""
    for molecule in options.molecules:
        tables: dict[str, Rows] = {"voxel": defaultdict(list), "gpswf": defaultdict(list)}
        for seed in range(options.seeds):
            data = simulated(folder, molecule, 4000, seed)
            for kind, rows in tables.items():
                recipe = given_recipe(data)
                for component in recipe["components"].values():
                    if "support" in component:
                        component["basis"] = kind
                result = scored(data, recipe, seed)
                maps = [m["difference_correlation"] for m in result["maps"]]
                rows["state map correlation"].append(float(np.mean(maps)))
                rows["fraction of oracle"].append(
                    float(np.mean([s["fraction_of_oracle"] for s in result["states"]]))
                )
                rows["coefficients"].append(result["coefficients"])
                rows["seconds"].append(result["seconds"])
        for kind, rows in tables.items():
            report(f"{molecule}, {kind}", rows)
        slower = np.divide(tables["gpswf"]["seconds"], tables["voxel"]["seconds"])
        report(f"{molecule}, gpswf / voxel", {"time": slower.tolist()})


def hinge(folder: Path, options: argparse.Namespace) -> None:
    """Two rigid bodies: the recipe that says so beside one ball with a cosine state."""
    for n in options.particles:
        tables: dict[str, Rows] = {"hinge": defaultdict(list), "generic": defaultdict(list)}
        for seed in range(options.seeds):
            data = simulated(folder, "clam", n, seed)
            rigid = given_recipe(data)
            ball = {"ball": {"center": [0, 0, 0], "radius": 80}}
            state = {"basis": "cosine", "degree": 5}
            generic = rigid | {"components": {"lid": {"support": ball, "state": state}}}
            for kind, recipe in (("hinge", rigid), ("generic", generic)):
                result = scored(data, recipe, seed)
                rows = tables[kind]
                rows["fraction of oracle"].append(result["states"][0]["fraction_of_oracle"])
                rows["state map correlation"].append(result["maps"][0]["difference_correlation"])
                rows["seconds"].append(result["seconds"])
                if "hinge" in result:
                    rows["axis error [degrees]"].append(result["hinge"]["axis_error_degrees"])
                    rows["pivot error [px]"].append(result["hinge"]["pivot_error_pixels"])
        for kind, rows in tables.items():
            report(f"{n} particles, {kind}", rows)


def classes(folder: Path, options: argparse.Namespace) -> None:
    """Four discrete classes of unequal populations."""
    rows: Rows = defaultdict(list)
    for seed in range(options.seeds):
        data = simulated(folder, "classes", 4000, seed)
        result = scored(data, given_recipe(data), seed)
        state = result["states"][0]
        rows["classification error"].append(state["classification_error"])
        rows["oracle's error"].append(state["oracle"])
        rows["state map correlation"].append(result["maps"][0]["difference_correlation"])
        rows["seconds"].append(result["seconds"])
    report("4 classes", rows)


def occupancy(folder: Path, options: argparse.Namespace) -> None:
    """A learned histogram of two populations (two Betas)."""
    for molecule in ("clam", "cat"):
        rows: Rows = defaultdict(list)
        for seed in range(options.seeds):
            data = simulated(folder, molecule, 4000, seed, "--occupancy", "bimodal")
            recipe = given_recipe(data) | {"priors": {"states": {"occupancy": "histogram"}}}
            found = scored(data, recipe, seed)["states"][0]["occupancy"]
            rows["total variation"].append(found["total_variation"])
            rows["unaligned"].append(found["total_variation_unaligned"])
            rows["sampling noise"].append(found["sampling_noise"])
        report(f"{molecule}, two populations", rows)


CASES = {"basis": basis, "hinge": hinge, "classes": classes, "occupancy": occupancy}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--molecules", nargs="+", default=["pretzel", "cat", "wheel"])
    parser.add_argument("--particles", nargs="+", type=int, default=[250, 500, 1000, 2000, 4000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        warm = simulated(folder, "clam", 60, 0)
        scored(warm, given_recipe(warm), 0)
        for case in options.case or CASES:
            CASES[case](folder, options)


if __name__ == "__main__":
    main()
