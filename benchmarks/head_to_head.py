"""The same stack, the same machine: this package beside other programs.

    python benchmarks/head_to_head.py [--part recovery] [--part projection] [--rivals relion ...]

*Recovery*: two rigid bodies that turn about a hinge, known poses, 4000 particles of 64 px at SNR
0.1. Every program reads the stack with the poses given and makes its own one-dimensional embedding;
its state is compared with the true one by Spearman's coefficient, its maps at ten states, less
their mean, with the true ones by correlation. The state of a program that stands for a true one has
the same share of particles below it, as in `hypermol score`. *Projection*: slices and images a
second of one volume.

Programs from PyPI are installed on first use, each into an environment of its own under --homes;
RELION is looked for on the PATH (Debian: apt-get install relion). What is not to be had is skipped
and the reason told. They run as processes of their own and see nothing of this package.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path
from rival_homes import MissingRival, Spent, home_of, run
from rival_projection import projection
from rival_runs import PROGRAMS, Recovered, Settings, at_box

from napari_hypermol.runs.map_scores import true_maps
from napari_hypermol.runs.state_scores import spearman
from napari_hypermol.runs.truth import Truth, read_truth

PIXEL_SIZE = 3.0  # [Å]
STATES = (np.arange(10) + 0.5) / 10  # those of `hypermol score`


class Outcome(NamedTuple):
    """One line of the table."""

    name: str
    spent: Spent
    states: float
    maps: float | None
    note: str


def hypermol(*arguments: str) -> str:
    command = [sys.executable, "-m", "napari_hypermol", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def ours(data: Path, out: Path) -> Outcome:
    command = [sys.executable, "-m", "napari_hypermol", "reconstruct", data / "particles.star"]
    options = ["--out", out, "--recipe", data / "recipe.yaml", "--overwrite"]
    spent, _ = run(*command, *options, is_ours=True)
    result = json.loads(hypermol("score", str(out), str(data / "truth.star")))
    state, maps = result["states"][0], result["maps"][0]
    note = f"oracle {state['oracle']:.4f}"
    return Outcome("ours", spent, state["spearman"], maps["difference_correlation"], note)


def scored(name: str, recovered: Recovered, truth: Truth) -> Outcome:
    """Compare a program's states and maps with the truth, over the direction of its state."""
    true = truth.states[:, 0]
    agreement = spearman(recovered.states, true)
    shares = np.array([(true < at).mean() for at in STATES])
    wanted = true_maps(truth.moving[0], STATES)
    correlation, note = None, recovered.note
    try:
        # maps are asked for in the order of the program's own state
        levels = shares if agreement >= 0 else 1 - shares[::-1]
        maps = at_box(recovered.maps(levels), wanted.shape[-1])
        correlation = map_agreement(maps if agreement >= 0 else maps[::-1], wanted)
    except (OSError, subprocess.CalledProcessError) as error:
        note = f"{note}; no maps: {error}"
    return Outcome(name, recovered.spent, abs(agreement), correlation, note)


def map_agreement(maps: NDArray[np.float32], true: NDArray[np.float32]) -> float:
    """Correlation of maps less their mean (s, z, y, x), whatever their scale and contrast."""
    means = maps.mean(axis=0), true.mean(axis=0)
    sign = np.sign(np.corrcoef(means[0].ravel(), means[1].ravel())[0, 1])
    return float(np.corrcoef(sign * (maps - means[0]).ravel(), (true - means[1]).ravel())[0, 1])


def recovery(options: argparse.Namespace, folder: Path) -> None:
    data = folder / "data"
    if not (data / "truth.star").is_file():
        hypermol(
            "simulate", "hinge", str(data), "--n", str(options.particles), "--box",
            str(options.box), "--pixel-size", str(PIXEL_SIZE), "--snr", "0.1", "--seed",
            str(options.seed), "--overwrite",
        )  # fmt: skip
    settings = Settings(
        threads=options.threads,
        diameter=0.88 * options.box * PIXEL_SIZE,
        box=options.rival_box,
        epochs=options.epochs,
        width=options.width,
    )
    if options.warm:
        warm(folder)
    truth = read_truth(data / "truth.star")
    first = ours(data, folder / "ours")
    show(first, first)
    for name in options.rivals:
        if name not in PROGRAMS:
            continue
        out = folder / name
        out.mkdir(exist_ok=True)
        try:
            found = PROGRAMS[name](home_of(name, options.homes), data, out, settings)
        except MissingRival as missing:
            print(f"{name:9} skipped: {missing}", flush=True)
        except subprocess.CalledProcessError as error:
            last = (error.stdout or str(error)).strip().splitlines()[-1]
            print(f"{name:9} failed: {last}; see {out / 'log.txt'}", flush=True)
        else:
            show(scored(name, found, truth), first)


def warm(folder: Path) -> None:
    """Compile, as for a user from the second run on."""
    data = folder / "warm"
    hypermol("simulate", "hinge", str(data), "--n", "50", "--box", "32", "--overwrite")
    ours_out = str(folder / "warm_run")
    hypermol(
        "reconstruct", str(data / "particles.star"), "--out", ours_out, "--recipe",
        str(data / "recipe.yaml"), "--overwrite",
    )  # fmt: skip


def show(outcome: Outcome, first: Outcome) -> None:
    maps = "    ?" if outcome.maps is None else f"{outcome.maps:.3f}"
    wall, processor = outcome.spent
    print(
        f"{outcome.name:9} {wall:8.1f} s ({wall / first.spent.wall:6.2f} x)   processors "
        f"{processor:8.1f} s ({processor / first.spent.processor:6.2f} x)   "
        f"states {outcome.states:.4f}   state maps {maps}   {outcome.note}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", action="append", choices=["recovery", "projection"])
    parser.add_argument("--rivals", nargs="*", default=["relion", "cryodrgn", "recovar", "aspire"])
    parser.add_argument("--homes", type=Path, default=user_cache_path("hypermol-rivals"))
    parser.add_argument("--folder", type=Path, help="keep data and results here")
    parser.add_argument("--particles", type=int, default=4000)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="of RELION")
    parser.add_argument("--rival-box", type=int, default=32, help="cryoDRGN, RECOVAR; 0: as it is")
    parser.add_argument("--epochs", type=int, default=20, help="of cryoDRGN")
    parser.add_argument("--width", type=int, default=128, help="of cryoDRGN's networks")
    parser.add_argument("--no-warm", dest="warm", action="store_false")
    parser.add_argument("--boxes", type=int, nargs="+", default=[64, 128], help="of projection")
    parser.add_argument("--rotations", type=int, default=4000, help="of projection, at box 64")
    options = parser.parse_args()
    parts = options.part or ["recovery", "projection"]
    options.homes = options.homes.resolve()  # rivals run in other folders
    options.homes.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if "recovery" in parts:
            recovery(options, folder.resolve())
    if "projection" in parts:
        for box in options.boxes:
            n = max(int(options.rotations * (64 / box) ** 2), 10)
            projection(box, n, options.homes, options.rivals)


if __name__ == "__main__":
    main()
