"""Known-pose recovery: states and maps against the truth and the oracle, and the time it takes.

    python benchmarks/recovery.py [--seeds 3] [--case pretzel] [--case cat] ...

Each case is what the command line does: simulate, reconstruct in a process of its own, score.
Compiled code is cached by a short run first, as it is for a user from the second run on. Prints one
line a seed and the mean with its standard deviation over seeds.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CASES = {
    "pretzel": ["pretzel", "--n", "4000", "--box", "64", "--snr", "0.0333"],
    "cat": ["cat", "--n", "4000", "--box", "64", "--snr", "0.1"],
    "hinge": ["hinge", "--n", "4000", "--box", "64", "--snr", "0.1"],
    "wheel": ["wheel", "--n", "4000", "--box", "64", "--snr", "0.1"],
    "clam": ["clam", "--n", "4000", "--box", "64", "--snr", "0.1"],
    "classes": ["classes", "--n", "4000", "--box", "64", "--snr", "0.1"],
}
# what the agreement with the true states is called, by their kind
AGREEMENT = {
    "interval": "spearman",
    "circle": "circular_correlation",
    "class": "classification_error",
}


def hypermol(*arguments: str) -> str:
    command = [sys.executable, "-m", "napari_hypermol", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def one(case: str, seed: int, folder: Path) -> dict[str, float]:
    data, run = folder / f"{case}_{seed}", folder / f"{case}_{seed}_run"
    kind, *options = CASES[case]
    hypermol("simulate", kind, str(data), *options, "--seed", str(seed))
    began = time.monotonic()
    recipe = str(data / "recipe.yaml")
    hypermol("reconstruct", str(data / "particles.star"), "--out", str(run), "--recipe", recipe)
    seconds = time.monotonic() - began
    result = json.loads(hypermol("score", str(run), str(data / "truth.star")))
    row = {"seconds": seconds}
    for state, maps in zip(result["states"], result["maps"], strict=True):
        name = maps["component"]
        agreement = AGREEMENT[state["kind"]]
        row[f"{name} {agreement}"] = state[agreement]
        row[f"{name} oracle"] = state["oracle"]
        row[f"{name} fraction"] = state["fraction_of_oracle"]
        row[f"{name} map"] = maps["difference_correlation"]
    return row | (result.get("hinge") or {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--case", action="append", choices=list(CASES))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        hypermol("simulate", "pretzel", str(folder / "warm"), "--n", "50", "--box", "32")
        hypermol(
            "reconstruct", str(folder / "warm" / "particles.star"), "--out",
            str(folder / "warm_run"), "--recipe", str(folder / "warm" / "recipe.yaml"),
        )  # fmt: skip
        for case in options.case or CASES:
            rows = []
            for seed in range(options.seeds):
                rows.append(one(case, seed, folder))
                print(case, "seed", seed, {k: round(v, 4) for k, v in rows[-1].items()}, flush=True)
            for key in rows[0]:
                values = np.array([row[key] for row in rows])
                spread = f"{values.std(ddof=1):.4f}" if len(values) > 1 else "?"
                print(f"{case:8} {key:26} {values.mean():.4f} +- {spread}")


if __name__ == "__main__":
    main()
