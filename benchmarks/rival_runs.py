"""What each program makes of one stack with known poses: states, maps along them, seconds.

Every program gets its own one-dimensional embedding: a latent coordinate, or classes in the order
of the strongest difference between their maps. Nothing of the truth goes into it.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rival_homes import Spent, run

from napari_hypermol.coordinates.fourier import resample_volume
from napari_hypermol.io import read_star, read_volume

__all__ = ["PROGRAMS", "Recovered", "Settings"]

Float64 = NDArray[np.float64]
Maps = Callable[[Float64], NDArray[np.float32]]


@dataclass(frozen=True)
class Settings:
    """How the rivals are run; `box` is that of cryoDRGN and RECOVAR, 0 for the images' own."""

    threads: int = 2
    diameter: float = 170.0  # of RELION's mask [Å]; it wants some background around it
    box: int = 32
    classes: int = 5
    iterations: int = 25
    epochs: int = 20
    width: int = 128  # of cryoDRGN's networks; its tutorial has 256, 4 times slower


@dataclass(frozen=True)
class Recovered:
    """Outcome of one program.

    Parameters
    ----------
    spent : Spent
        All of its commands until every particle has a state.
    states : (n,) float64 ndarray
        On any scale.
    maps : callable
        Shares of the particles (s,), ascending along `states` -> maps there (s, z, y, x).
    note : str
    """

    spent: Spent
    states: Float64
    maps: Maps
    note: str


def relion(home: Path, data: Path, out: Path, settings: Settings) -> Recovered:
    """Classes with fixed poses, from the mean map that the poses give, as its users begin."""
    log, mean, root = out / "log.txt", out.resolve() / "mean.mrc", out.resolve() / "run"
    spent = run(
        home / "relion_reconstruct", "--i", "particles.star", "--o", mean, "--ctf",
        "--j", settings.threads, log=log, cwd=data,
    )[0]  # fmt: skip
    spent = spent.and_(run(
        home / "relion_refine", "--i", "particles.star", "--o", root, "--ref", mean,
        "--ini_high", 30, "--K", settings.classes, "--iter", settings.iterations, "--skip_align",
        "--tau2_fudge", 4, "--particle_diameter", settings.diameter, "--zero_mask",
        "--flatten_solvent", "--ctf", "--norm", "--scale", "--pad", 2, "--pool", 30,
        "--dont_combine_weights_via_disc", "--random_seed", 1, "--j", settings.threads,
        log=log, cwd=data,
    )[0])  # fmt: skip
    last = f"{root}_it{settings.iterations:03d}"
    rows = next(t for t in read_star(Path(f"{last}_data.star")).values() if "rlnClassNumber" in t)
    # RELION puts its rows in an order of its own
    numbers = rows["rlnImageName"].astype(str).str.split("@").str[0].astype(int).to_numpy() - 1
    labels = np.empty(len(rows), dtype=np.int64)
    labels[numbers] = rows["rlnClassNumber"].astype(int).to_numpy() - 1
    volumes = np.stack(
        [read_volume(Path(f"{last}_class{k + 1:03d}.mrc")).values for k in range(settings.classes)]
    )
    used = np.unique(labels)
    difference = (volumes[used] - volumes[used].mean(axis=0)).reshape(len(used), -1)
    order = used[np.linalg.svd(difference, full_matrices=False)[0][:, 0].argsort()]
    rank = np.empty(settings.classes)
    rank[order] = np.arange(len(order))
    states = rank[labels]
    shares = np.bincount(states.astype(int), minlength=len(order)) / len(states)
    middles = np.cumsum(shares) - shares / 2

    def maps(at: Float64) -> NDArray[np.float32]:
        position = np.interp(at, middles, np.arange(len(order)))
        low = np.minimum(position.astype(int), max(len(order) - 2, 0))
        high = np.minimum(low + 1, len(order) - 1)
        part = (position - low)[:, None, None, None]
        mixed = (1 - part) * volumes[order[low]] + part * volumes[order[high]]
        return mixed.astype(np.float32)

    note = f"{settings.classes} classes, {len(used)} of them used, {settings.iterations} iterations"
    return Recovered(spent, states, maps, note)


def cryodrgn(home: Path, data: Path, out: Path, settings: Settings) -> Recovered:
    """An autoencoder with one latent dimension and the poses given."""
    log, star, program = out / "log.txt", data / "particles.star", home / "cryodrgn"
    poses, ctf, trained = out / "poses.pkl", out / "ctf.pkl", out / "trained"
    spent, images = Spent(0.0, 0.0), data / "particles.mrcs"
    if settings.box:
        images = out / "small.mrcs"
        spent = spent.and_(run(
            program, "downsample", star, "-D", settings.box, "-o", images, "--datadir", data,
            log=log,
        )[0])  # fmt: skip
    spent = spent.and_(run(program, "parse_pose_star", star, "-o", poses, log=log)[0])
    spent = spent.and_(run(program, "parse_ctf_star", star, "-o", ctf, log=log)[0])
    width = settings.width
    spent = spent.and_(run(
        program, "train_vae", images, "--poses", poses, "--ctf", ctf, "--zdim", 1, "-n",
        settings.epochs, "-o", trained, "--enc-dim", width, "--dec-dim", width, "--no-amp",
        "--no-analysis", "--seed", 1, "--checkpoint", settings.epochs, log=log,
    )[0])  # fmt: skip
    latent = np.asarray(pickle.loads(_last(trained, "z").read_bytes()), dtype=np.float64)
    states = latent[:, 0]

    def maps(at: Float64) -> NDArray[np.float32]:
        points, folder = out / "points.txt", out / "maps"
        np.savetxt(points, np.quantile(states, at)[:, None])
        run(
            program, "eval_vol", _last(trained, "weights"), "-c", trained / "config.yaml",
            "--zfile", points, "-o", folder, log=log,
        )  # fmt: skip
        return np.stack([read_volume(path).values for path in sorted(folder.glob("vol_*.mrc"))])

    note = f"box {settings.box or 'full'}, {settings.epochs} epochs, networks {width} wide"
    return Recovered(spent, states, maps, note)


def _last(folder: Path, name: str) -> Path:
    """The file of the last epoch; the name without a number where there is one."""
    last = folder / f"{name}.pkl"
    return last if last.is_file() else max(folder.glob(f"{name}.*.pkl"), key=_epoch)


def _epoch(path: Path) -> int:
    return int(path.name.split(".")[1])


def recovar(home: Path, data: Path, out: Path, settings: Settings) -> Recovered:
    """Principal components of the covariance; the first latent coordinate is the state."""
    log, result = out / "log.txt", out / "result"
    size = ["--downsample", settings.box] if settings.box else ["--no-downsample"]
    spent = run(
        home / "recovar", "pipeline", data / "particles.star", "-o", result, "--mask", "sphere",
        "--zdim", 1, *size, "--accept-cpu", "--correct-contrast", log=log,
    )[0]  # fmt: skip
    states = np.load(result / "model" / "zdim_1" / "latent_coords.npy")[:, 0].astype(np.float64)

    def maps(at: Float64) -> NDArray[np.float32]:
        """Mean and first component: its own kernel regression takes as long as the rest again."""
        volumes = result / "output" / "volumes"
        mean = read_volume(volumes / "mean.mrc").values
        component = read_volume(volumes / "eigen_pos0000.mrc").values
        levels = np.quantile(states, at)[:, None, None, None]
        return (mean + levels * component).astype(np.float32)

    return Recovered(spent, states, maps, f"box {settings.box or 'full'}, one latent coordinate")


def at_box(maps: NDArray[np.float32], box: int) -> NDArray[np.float32]:
    """Maps on the voxels of the true ones."""
    return maps if maps.shape[-1] == box else np.asarray(resample_volume(maps, box))


PROGRAMS = {"relion": relion, "cryodrgn": cryodrgn, "recovar": recovar}
