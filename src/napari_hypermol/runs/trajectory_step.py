"""Learning trajectories: where a hinge is, and how far a component turns about it.

Given the particles' posteriors, a step of the trajectories' parameters is a Gauss-Newton step of
the expected log likelihood: the residual images' adjoint, in every position's own frame, against
the tangent volumes (infinitesimal rigid motions of the density). Before there is anything to step
from, the twist along which the mean molecule moves most is found by factor analysis over the six
rigid motions of every particle.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.coordinates.grids import FourierGrids
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.molecules.linear import (
    LinearMolecule,
    grid_layout,
    grid_values,
    separate_grids,
)
from napari_hypermol.molecules.tangents import shell_products, tangent_volumes, twist_about
from napari_hypermol.molecules.trajectory import RigidTrajectory
from napari_hypermol.posterior.likelihood import overlaps, residual_adjoint
from napari_hypermol.posterior.priors import data_precision
from napari_hypermol.posterior.states import ParticlePosterior
from napari_hypermol.protocols import SpatialBasis
from napari_hypermol.runs.image_work import brought, each, total
from napari_hypermol.runs.pieces import joined
from napari_hypermol.runs.stage_problem import StageProblem

__all__ = ["initial_trajectories", "trajectory_gradient", "trajectory_step"]

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]

# A single step may turn by this much [rad] and shift by this much [voxels], where it counts most:
# the quadratic approximation holds for motions well below the stage's detail.
_LONGEST_TURN = 0.15
_LONGEST_SHIFT = 2.0
# Factor analysis starts from these standard deviations [rad, voxels] and takes this many rounds.
_START_TURN, _START_SHIFT, _ROUNDS = 0.1, 1.0, 30
# Standard deviation of 2 tau - 1 over uniform states, to turn a spread into a range.
_UNIFORM_STD = 1 / np.sqrt(3.0)


@dataclass(frozen=True, eq=False)
class _Unfolded:
    """Every placement with a Fourier grid of its own, so that adjoints stay apart.

    Sets with a trajectory are given as densities on all voxels of their cube: their tangent
    volumes do not vanish at the support's edge.
    """

    bases: list[SpatialBasis]
    parts: list[Float32]
    placements: Placements

    @property
    def layout(self) -> FourierGrids:
        return grid_layout(self.bases, [len(part) for part in self.parts])


def _density_basis(basis: SpatialBasis) -> VoxelBasis:
    size = basis.size
    return VoxelBasis(np.ones((size, size, size), dtype=np.float32), basis.edge, basis.box_size)


def _densities(molecule: LinearMolecule, theta: Float32) -> dict[int, Float32]:
    """Densities (q, n, n, n) of the coefficient sets that have a trajectory."""
    parts = molecule.split(theta)
    return {
        s: np.asarray(molecule.bases[s].evaluate(parts[s]), dtype=np.float32)
        for s, trajectory in enumerate(molecule.trajectories)
        if trajectory is not None
    }


def _unfolded(molecule: LinearMolecule, theta: Float32) -> _Unfolded:
    densities, parts = _densities(molecule, theta), molecule.split(theta)
    bases: list[SpatialBasis] = []
    values = []
    for s, _ in molecule.placement_columns:
        if s in densities:
            bases.append(_density_basis(molecule.bases[s]))
            values.append(densities[s].reshape(len(parts[s]), -1))
        else:
            bases.append(molecule.bases[s])
            values.append(parts[s])
    _, rotations, centres, starts = molecule.placement_arrays
    return _Unfolded(bases, values, Placements(np.arange(len(bases)), rotations, centres, starts))


def _residual_adjoint(
    problem: StageProblem, unfolded: _Unfolded, posterior: ParticlePosterior
) -> list[Float32]:
    """Expected residual images in the frame of every placement, on its own coefficients."""
    grids = unfolded.layout._replace(values=grid_values(unfolded.bases, unfolded.parts))
    about = unfolded.placements, problem.samples
    moments = posterior.first, posterior.second
    values = total(problem.images, residual_adjoint, moments, (grids, *about))
    each = zip(unfolded.bases, separate_grids(grids, values), strict=True)
    return [np.asarray(basis.fourier_grid_adjoint(stored)) for basis, stored in each]


def _twists(molecule: LinearMolecule, m: int, trajectory: RigidTrajectory) -> Float64:
    """Derivative of component `m`'s placements, as twists about its cube's middle; (t, 6, p)."""
    centre = molecule.centres[molecule.owners[m]]
    return twist_about(trajectory.twists(molecule.positions(m)), centre)


def trajectory_gradient(
    problem: StageProblem, theta: Float32, posterior: ParticlePosterior
) -> list[tuple[Float64, Float64] | None]:
    """Gradient and curvature of the expected log likelihood by the trajectories' parameters.

    Parameters
    ----------
    problem : StageProblem
    theta : (coefficients,) float32 ndarray
    posterior : ParticlePosterior

    Returns
    -------
    list of (gradient (p,), curvature (p, p)) or None
        One entry a coefficient set; None without a learned trajectory. By Fisher's identity the
        gradient is that of the marginal log likelihood if `posterior` is the posterior; the
        curvature is the expected one under uniform views.
    """
    molecule, moments = problem.molecule, brought(posterior.second)
    residuals = _residual_adjoint(problem, _unfolded(molecule, theta), posterior)
    out: list[tuple[Float64, Float64] | None] = []
    for s, density in _all_sets(_densities(molecule, theta), len(molecule.bases)):
        trajectory = molecule.trajectories[s]
        if density is None or trajectory is None or not trajectory.is_learned:
            out.append(None)
            continue
        basis = _density_basis(molecule.bases[s])
        tangents = tangent_volumes(density, basis.edge / basis.size)
        n_q, size = len(density), basis.size
        flat = tangents.reshape(n_q, 6, -1)
        products = shell_products(tangents.reshape(n_q * 6, size, size, size), basis.n_shells)
        products = products.reshape(basis.n_shells, n_q, 6, n_q, 6)
        gradient, curvature, placement = 0.0, 0.0, 0
        for m, owner in enumerate(molecule.owners):
            twists = _twists(molecule, m, trajectory) if owner == s else None
            for t in range(len(molecule.positions(m))):
                columns = molecule.placement_columns[placement][1]
                if twists is not None:
                    slope = np.einsum("qjr,qr->j", flat, residuals[placement].astype(np.float64))
                    second = moments[:, columns, columns]
                    precision = data_precision(problem.mean_weights, second, basis)
                    fisher = np.einsum("sqp,sqjpk->jk", precision, products)
                    gradient = gradient + twists[t].T @ slope
                    curvature = curvature + twists[t].T @ fisher @ twists[t]
                placement += 1
        out.append((np.asarray(gradient), np.asarray(curvature)))
    return out


def _all_sets(densities: dict[int, Float32], n_sets: int) -> list[tuple[int, Float32 | None]]:
    return [(s, densities.get(s)) for s in range(n_sets)]


def trajectory_step(
    problem: StageProblem, theta: Float32, posterior: ParticlePosterior
) -> LinearMolecule:
    """The molecule after one Gauss-Newton step of its learned trajectories.

    Parameters
    ----------
    problem : StageProblem
    theta : (coefficients,) float32 ndarray
    posterior : ParticlePosterior

    Returns
    -------
    LinearMolecule
        The same but for its trajectories.
    """
    molecule = problem.molecule
    new = list(molecule.trajectories)
    for s, slopes in enumerate(trajectory_gradient(problem, theta, posterior)):
        trajectory = molecule.trajectories[s]
        if slopes is None or trajectory is None:
            continue
        gradient, curvature = slopes
        floor = 1e-6 * np.diag(np.diag(curvature)) + 1e-12 * np.eye(len(curvature))
        step: Float64 = np.asarray(np.linalg.solve(curvature + floor, gradient), dtype=np.float64)
        m = int(np.flatnonzero(molecule.owners == s)[0])
        longest = np.abs(_twists(molecule, m, trajectory) @ step).max(axis=0)
        excess = max(
            float(longest[:3].max()) / _LONGEST_TURN, float(longest[3:].max()) / _LONGEST_SHIFT, 1.0
        )
        new[s] = trajectory.moved(step / excess)
    return molecule.with_trajectories(tuple(new))


# ---- where to begin ------------------------------------------------------------------------------


def initial_trajectories(
    problem: StageProblem, theta: Float32
) -> tuple[RigidTrajectory | None, ...]:
    """Trajectories along the rigid motion that explains most of what varies.

    Parameters
    ----------
    problem : StageProblem
        Its trajectories say what is given; everything else begins here.
    theta : (coefficients,) float32 ndarray
        The mean molecule.

    Returns
    -------
    tuple of RigidTrajectory or None
        One a coefficient set.
    """
    molecule = problem.molecule
    out = list(molecule.trajectories)
    for s, density in _densities(molecule, theta).items():
        trajectory = molecule.trajectories[s]
        if trajectory is not None and trajectory.as_given().is_learned:
            begun = _along_motion(problem, theta, s, density[:1], trajectory.as_given())
            out[s] = trajectory.with_values(begun.values())
    return tuple(out)


def _along_motion(
    problem: StageProblem, theta: Float32, s: int, density: Float32, trajectory: RigidTrajectory
) -> RigidTrajectory:
    molecule = problem.molecule
    basis = _density_basis(molecule.bases[s])
    tangents = tangent_volumes(density, basis.edge / basis.size)[0]
    linear, square = _tangent_overlaps(problem, theta, s, basis, density, tangents)
    centre = molecule.centres[s]
    allowed = _allowed_twists(trajectory, centre)
    linear = linear @ allowed
    square = allowed.T @ square @ allowed
    start = np.diag([_START_TURN**2] * 3 + [_START_SHIFT**2] * 3)
    inverse = np.linalg.pinv(allowed)
    covariance = _factor_covariance(linear, square, inverse @ start @ inverse.T)
    # the direction that moves the images most, not the one with the largest number
    metric = np.linalg.cholesky(square.mean(axis=0) + 1e-9 * np.eye(square.shape[1]))
    values, vectors = np.linalg.eigh(metric.T @ covariance @ metric)
    largest = np.arange(1, trajectory.dims + 1)
    directions = np.linalg.solve(metric.T, vectors[:, -largest])
    twists = allowed @ directions * np.sqrt(values[-largest]) / _UNIFORM_STD
    return _started_along(trajectory, twists, centre)


def _tangent_overlaps(
    problem: StageProblem,
    theta: Float32,
    s: int,
    basis: VoxelBasis,
    density: Float32,
    tangents: Float64,
) -> tuple[Float64, Float64]:
    """Gradient (j, 6) and curvature (j, 6, 6) by a twist of set `s`.

    Of every copy in every particle: copies have states of their own.
    """
    molecule = problem.molecule
    bases: list[SpatialBasis] = []
    parts, rotations, centres, own = [], [], [], []
    for m, component in enumerate(molecule.components):
        owner = int(molecule.owners[m])
        is_own = owner == s
        bases.append(basis if is_own else molecule.bases[owner])
        volumes = np.concatenate([density.astype(np.float64), tangents])
        mean = molecule.split(theta)[owner][:1]
        parts.append(volumes.reshape(7, -1).astype(np.float32) if is_own else mean)
        rotations.append(component.rotation)
        centres.append(molecule.centres[owner] + component.rotation.T @ component.shift)
        own.append(is_own)
    counts = np.array([len(part) for part in parts])
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    grids = grid_layout(bases, counts.tolist())._replace(values=grid_values(bases, parts))
    placements = Placements(
        np.arange(len(parts)),
        np.array(rotations, dtype=np.float32),
        np.array(centres, dtype=np.float32),
        starts.astype(np.int64),
    )
    b, g = joined(each(problem.images, overlaps, shared=(grids, placements, problem.samples)))
    linear, square = [], []
    for start, is_own in zip(starts, own, strict=True):
        if is_own:
            columns = slice(start + 1, start + 7)
            linear.append(b[:, columns] - g[:, columns][:, :, starts].sum(axis=2))
            square.append(g[:, columns, columns])
    return np.concatenate(linear).astype(np.float64), np.concatenate(square).astype(np.float64)


def _allowed_twists(trajectory: RigidTrajectory, centre: Float64) -> Float64:
    """Twists about `centre` that what is given leaves possible; (6, r)."""
    turn = trajectory.turn
    if turn is None:
        return np.eye(6)[:, 3:]
    turns = turn.axis[:, None] if not turn.learns_axis else np.eye(3)
    if turn.learns_pivot or trajectory.translation is not None:
        shifts = np.concatenate([np.zeros((3, 3)), np.eye(3)])
        return np.concatenate([np.concatenate([turns, 0 * turns]), shifts], axis=1)
    about_origin = np.concatenate([turns, -np.cross(turns.T, turn.pivot).T])
    return twist_about(about_origin, centre)


def _factor_covariance(linear: Float64, square: Float64, start: Float64) -> Float64:
    """Covariance of normal factors x_i given likelihoods exp(linear.x - x.square x / 2).

    Expectation maximisation; (n, r), (n, r, r), (r, r) -> (r, r).
    """
    covariance = start
    for _ in range(_ROUNDS):
        posterior = np.linalg.inv(square + np.linalg.inv(covariance))
        mean = np.einsum("nij,nj->ni", posterior, linear)
        covariance = (posterior + mean[:, :, None] * mean[:, None, :]).mean(axis=0)
    return covariance


def _started_along(
    trajectory: RigidTrajectory, twists: Float64, centre: Float64
) -> RigidTrajectory:
    """The trajectory whose first-order motions are `twists` (6, d) about `centre`.

    One for every state coordinate, for 2 tau - 1 = 1.
    """
    turn, translation = trajectory.turn, trajectory.translation
    along = twists[3:]
    if turn is not None:
        omega, v = twists[:3, 0], twists[3:, 0]
        if not turn.learns_axis and omega @ turn.axis < 0:
            omega, v = -omega, -v  # the state the other way round
        angle = float(np.linalg.norm(omega))
        if turn.learns_axis:
            turn = replace(turn, axis=omega / angle)
        if turn.learns_pivot:
            # omega x (pivot - centre) + v = 0 across the axis
            turn = replace(turn, pivot=centre + np.cross(omega, v) / angle**2)
        if turn.learns_angles:
            angles = np.zeros(len(turn.angles))
            angles[0] = angle
            turn = replace(turn, angles=angles)
        # what the turn leaves to a translation: along the axis, and all that its pivot is not for
        along = (v + np.cross(omega, turn.pivot - centre))[:, None]
    if translation is not None and translation.learns:
        is_first = translation.exponents.sum(axis=1) == 1
        vectors = np.zeros_like(translation.vectors)
        for coordinate, vector in enumerate(along.T):
            vectors[is_first & (translation.exponents[:, coordinate] == 1)] = vector
        translation = replace(translation, vectors=vectors)
    return RigidTrajectory(turn, translation)
