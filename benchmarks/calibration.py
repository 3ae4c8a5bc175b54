"""Whether posterior intervals cover: molecules drawn from the prior, images from the model itself.

    python benchmarks/calibration.py [--cases 50] [--draws 80] [--warm-up 20] [--noise]

Every case has coefficients from their prior (spectra known), uniform states, contrasts from their
prior, noise of known variance, and images made with the operator that the likelihood uses; so the
model is exact, and of true values 90 % must lie inside their 90 % intervals. In every other case
poses are known only within a few degrees and pixels. Chains begin at the true coefficients, which
settles the direction of the state, and forget them in the warm-up.
"""

import argparse
import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.stats import truncnorm

from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.coordinates.rotations import angles_between, turned
from napari_hypermol.imaging.forward import image_samples, shell_sums
from napari_hypermol.imaging.projector import Placements, forward
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.posterior.collapsed import PosePrior
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.runs.coefficient_step import blockwise
from napari_hypermol.runs.draw_sweep import DrawSettings
from napari_hypermol.runs.draws import Draws, sample_posterior
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.pose_step import PoseSettings
from napari_hypermol.runs.priors import PriorSettings, precision_priors
from napari_hypermol.runs.stage_problem import Estimate, StageProblem
from napari_hypermol.samplers.gaussian import gaussian_draw

Float64 = NDArray[np.float64]
PRIORS = PriorSettings()
CONTRAST_STD = 0.1
ROTATION_STD, SHIFT_STD = np.radians(4.0), 0.7  # of the told poses [rad], [pixels]
SHOWN = np.array([[0.1], [0.3], [0.5], [0.7], [0.9]])
LOW, HIGH = 0.05, 0.95
NORMAL = 1.6449  # [standard deviations] of the 90 % interval of a normal density


class Case(NamedTuple):
    """A small data set and what it was made from; `prior` where poses are not known."""

    problem: StageProblem
    estimate: Estimate
    states: Float64
    contrasts: Float64
    rotations: NDArray[np.floating]
    prior: PosePrior | None


def case_of(
    rng: np.random.Generator,
    n: int = 150,
    box: int = 24,
    radius: float = 4.0,
    degree: int = 1,
    amplitude: float = 0.4,
    has_poses: bool = False,
) -> Case:
    """Images of a molecule drawn from its prior; `estimate` holds the truth."""
    ball = Ball((0, 0, 0), 0.25 * box, 1.0)
    composite = Composite((Component("ball", ball, CosineBasis(degree)),), box)
    molecule, samples = composite.discretise(radius), fourier_samples(box, radius)
    (basis,) = molecule.bases
    fall = np.exp(-0.5 * (basis.shell_radii / (0.7 * radius)) ** 2) + 0.01
    spectra = [np.array([fall, *[0.5 * fall] * degree]) * amplitude**2]
    priors = precision_priors(spectra, molecule, PRIORS)
    inverses = [np.linalg.inv(p) for p in priors]
    theta, _ = gaussian_draw(
        rng, molecule.zeros(), blockwise(molecule, priors), molecule.zeros(),
        lambda rng: basis.filtered_noise(rng, priors[0]).ravel(),
        blockwise(molecule, inverses), 300, 1e-5,
    )  # fmt: skip
    states = rng.random((n, 1))
    contrasts = truncnorm.rvs(-1 / CONTRAST_STD, np.inf, 1, CONTRAST_STD, size=n, random_state=rng)
    c = molecule.state_bases[0].evaluate(states)
    told = Rotation.random(n, rng=rng).as_matrix()
    rotations, offsets = told, np.zeros((n, 2))
    if has_poses:
        rotations = turned(told, ROTATION_STD * rng.normal(size=(n, 3)))
        offsets = SHIFT_STD * rng.normal(size=(n, 2))
    placements = Placements(*molecule.placement_arrays)
    slices = forward(rotations.astype(np.float32), molecule.grids(theta), placements, samples)
    model = contrasts[:, None] * np.einsum("nkq,nq->nk", slices, c)
    ctf = rng.uniform(0.3, 1.0, size=(n, len(samples.kx)))
    weights = samples.weights * ctf**2
    noise = image_samples(rng.normal(size=(n, box, box)), samples)
    data = weights * model + samples.weights * ctf * noise
    # undone is the told shift, 0, not the true one
    turns = np.outer(offsets[:, 0], samples.kx) + np.outer(offsets[:, 1], samples.ky)
    data *= np.exp(-2j * np.pi * turns / box)
    n_shells = box // 2 + 1
    power = shell_sums(np.abs(data) ** 2 / weights, samples, n_shells)
    fill = np.tile(np.bincount(samples.shells, samples.weights, n_shells), (n, 1))
    images = WhitenedImages(
        np.stack([data.real, data.imag], axis=1).astype(np.float32), weights.astype(np.float32),
        power.astype(np.float32), fill.astype(np.float32), np.zeros(n, dtype=np.bool_),
        np.zeros(n, dtype=np.int64), told.astype(np.float32),
    )  # fmt: skip
    mean_weights = shell_sums(weights, samples, n_shells) / np.maximum(fill, 1e-12)
    problem = StageProblem(images, molecule, samples, mean_weights, 1.0, np.zeros((n, 2)))
    estimate = Estimate(theta, spectra, np.ones((1, n_shells)), CONTRAST_STD)
    prior = None
    if has_poses:
        prior = PosePrior(
            told.astype(np.float32), float(ROTATION_STD**-2), np.zeros((n, 2)), SHIFT_STD**-2
        )
    return Case(problem, estimate, states, contrasts, rotations, prior)


def draws_of(
    case: Case, rng: np.random.Generator, n_draws: int, n_warm_up: int, **changes: bool
) -> Draws:
    """One chain of a case, with what is known to it kept fixed."""
    poses = None
    if case.prior is not None:
        poses = PoseSettings("refine", "refine", ROTATION_STD, SHIFT_STD)
    settings = DrawSettings(
        n_chains=1, n_warm_up=n_warm_up, n_draws=n_draws, priors=PRIORS, poses=poses,
        draws_contrast_std=False, draws_noise=False,
    )._replace(**changes)  # fmt: skip
    return sample_posterior(case.problem, case.estimate, settings, SHOWN, rng, case.prior)


def coverage(case: Case, draws: Draws) -> dict[str, float]:
    """Shares of true values inside their 90 % intervals, and sizes beside them."""
    low, high = np.quantile(draws.states[..., 0], [LOW, HIGH], axis=(0, 1), method="weibull")
    true = case.states[:, 0]
    result = {"states": float(((low <= true) & (true <= high)).mean())}
    low, high = np.quantile(draws.contrasts, [LOW, HIGH], axis=(0, 1), method="weibull")
    result["contrasts"] = float(((low <= case.contrasts) & (case.contrasts <= high)).mean())
    maps = HyperMaps(case.problem.molecule, case.estimate.theta)
    truth = np.array([maps.volume(state) for state in SHOWN])
    inside = draws.map_std > 0.3 * draws.map_std.max()  # not the solvent, nor the soft edge
    away = abs(truth - draws.map_mean)[inside] / draws.map_std[inside]
    result["voxels"] = float((away < NORMAL).mean())
    result["state std"] = float(draws.states.std(axis=(0, 1)).mean())
    result["map std / size"] = float(draws.map_std[inside].mean() / truth[inside].std())
    if case.prior is not None:
        error = angles_between(case.rotations, draws.rotations)
        # 1 where the standard deviations are as large as the errors of the means
        ratio = np.sqrt((error**2).mean() / (draws.rotation_std**2).mean())
        result["rotation error / std"] = float(ratio)
        result["rotation std [deg]"] = float(np.degrees(draws.rotation_std).mean())
        result["pose acceptance"] = draws.acceptance["poses"]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=50)
    parser.add_argument("--n", type=int, default=150)
    parser.add_argument("--box", type=int, default=24)
    parser.add_argument("--radius", type=float, default=4.0, help="band limit")
    parser.add_argument("--noise", action="store_true", help="noise and contrast spread unknown")
    parser.add_argument("--draws", type=int, default=80)
    parser.add_argument("--warm-up", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for has_poses in (False, True):
        rows, began = [], time.monotonic()
        for number in range(given.cases // 2):
            rng = np.random.default_rng([given.seed, has_poses, number])
            degree = 1 + number % 2
            case = case_of(rng, given.n, given.box, given.radius, degree, has_poses=has_poses)
            draws = draws_of(
                case, rng, given.draws, given.warm_up,
                draws_noise=given.noise, draws_contrast_std=given.noise,
            )  # fmt: skip
            rows.append(coverage(case, draws))
        seconds = (time.monotonic() - began) / len(rows)
        name = "poses nearly known" if has_poses else "poses known"
        print(f"{name}: {len(rows)} cases, {seconds:.1f} s each")
        for key in rows[0]:
            values = np.array([row[key] for row in rows])
            error = values.std(ddof=1) / np.sqrt(len(values))
            print(f"  {key:24s} {values.mean():.3f} +- {error:.3f}", flush=True)


if __name__ == "__main__":
    main()
