"""Against gradients and differences from other code, and the scatter of what it says."""

import numpy as np
import pytest

from examples import one_ball, pretzel_like, random_data, scene
from napari_hypermol.coordinates.rotations import turn_between, turned
from napari_hypermol.errors import ShapeError
from napari_hypermol.imaging import projector
from napari_hypermol.imaging.shift import shift_phases
from napari_hypermol.posterior.collapsed import PosePrior
from napari_hypermol.posterior.pose_gradient import PosePoint, pose_gradient
from napari_hypermol.posterior.pose_information import _information, pose_information

MOLECULES = {"one ball": (one_ball(16, 2), 6), "pretzel": (pretzel_like(16), 6)}


class Case:
    """A molecule with smooth slices, states of one coordinate, and n poses."""

    def __init__(self, rng, name="one ball", n=6):
        self.molecule, self.placements, self.samples = scene(*MOLECULES[name])
        theta = rng.normal(size=self.molecule.n_coefficients).astype(np.float32)
        self.grids = self.molecule.grids(theta)
        n_q = int(self.grids.n_functions[self.placements.grids].sum())
        self.images = random_data(rng, n, self.samples)
        self.shifts = rng.normal(size=(n, 2))
        self.contrasts = rng.uniform(0.7, 1.3, size=n)
        self.functions = rng.normal(size=(n, n_q))
        self.slopes = rng.normal(size=(n, 1, n_q))
        self.states = rng.random((n, 1))

    def prior(self, rotation=0.0, shift=0.1):
        n = len(self.shifts)
        near = turned(self.images.rotations, np.tile([0.1, -0.2, 0.15], (n, 1)))
        return PosePrior(near.astype(np.float32), rotation, np.zeros((n, 2)), shift)

    def said(self, prior, std=0.2, with_states=True, temperature=1.0):
        d = 1 if with_states else 0
        return pose_information(
            self.images, self.shifts, prior, self.contrasts, self.functions,
            self.slopes[:, :d], self.states[:, :d], self.grids, self.placements, self.samples,
            std, temperature,
        )  # fmt: skip

    def mixed(self, rotations, shifts, contrasts, functions):
        """a M at poses; (n, k)."""
        rotations = rotations.astype(np.float32)
        slices = projector.forward(rotations, self.grids, self.placements, self.samples)
        whole = np.einsum("nkq,nq->nk", slices, functions) * contrasts[:, None]
        return whole * shift_phases(shifts, self.samples, 1.0)

    def jacobian(self):
        """Derivatives of a M over turn, shift, contrast and state by differences; (n, 7, k)."""
        n, zero = len(self.shifts), np.zeros((len(self.shifts), 2))
        here = self.images.rotations, zero, self.contrasts, self.functions
        columns = []
        for axis in range(7):
            ends = []
            h = 5e-3 if axis < 3 else 1e-2
            for step in (h, -h):
                r, s, a, c = here
                if axis < 3:
                    r = turned(r, step * np.tile(np.eye(3)[axis], (n, 1)))
                elif axis < 5:
                    s = s + step * np.eye(2)[axis - 3]
                elif axis == 5:
                    a = a + step
                else:
                    c = c + step * self.slopes[:, 0]
                ends.append(self.mixed(r, s, a, c))
            columns.append((ends[0] - ends[1]) / (2 * h))
        return np.stack(columns, axis=1)


@pytest.mark.parametrize("name", MOLECULES)
def test_covariance_is_the_inverse_information(rng, name):
    case = Case(rng, name)
    prior = case.prior(rotation=3.0)
    j = case.jacobian()
    information = np.einsum("nik,nk,njk->nij", j.conj(), case.images.weights, j).real
    own = [3.0 + 0.5**-2] * 3 + [0.1] * 2 + [0.2**-2, 12.0]
    expected = np.linalg.inv(information + np.diag(own))[:, :5, :5]
    found = case.said(prior).covariances
    # slices jump by some percent of their slope where another grid point is the nearest
    np.testing.assert_allclose(found, expected, atol=0.06 * abs(expected).max())
    assert np.linalg.norm(found - expected) < 0.05 * np.linalg.norm(expected)
    np.testing.assert_allclose(found, found.swapaxes(1, 2), atol=1e-9)


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_step_is_the_covariance_times_the_slope(rng, temperature):
    """With nothing else unknown the slope is that of log densities of other code, and of priors."""
    case = Case(rng)
    case.contrasts[:] = 1
    prior = case.prior(rotation=3.0, shift=0.2)
    said = case.said(prior, std=0.0, with_states=False, temperature=temperature)
    n, h = len(case.shifts), 0.015
    slope = np.empty((n, 5))
    for axis in range(5):
        ends = []
        for step in h * np.eye(5)[axis], -h * np.eye(5)[axis]:
            point = PosePoint(
                turned(case.images.rotations, np.tile(step[:3], (n, 1))),
                np.tile(step[3:], (n, 1)), case.contrasts, case.functions,
            )  # fmt: skip
            scene = case.grids, case.placements, case.samples
            ends.append(pose_gradient(case.images, point, *scene).log_likelihood)
        slope[:, axis] = temperature * (ends[0] - ends[1]) / (2 * h)
    slope[:, :3] -= 3.0 * turn_between(prior.rotations, case.images.rotations)
    slope[:, 3:] -= 0.2 * case.shifts
    found = np.linalg.solve(said.covariances, said.steps[..., None])[..., 0]
    assert np.linalg.norm(found - slope) < 0.05 * np.linalg.norm(slope)


def test_step_leads_to_the_mode_and_scatters_as_it_says(rng):
    """One image with many noises: the step from near the truth has its mean and its covariance."""
    n = 4000
    case = Case(rng, n=n)
    for name in ("contrasts", "functions", "slopes", "states", "shifts"):
        value = getattr(case, name)
        setattr(case, name, np.tile(value[:1], (n,) + (1,) * (value.ndim - 1)))
    case.states[:], case.contrasts[:], case.shifts[:] = 0.5, 1.0, 0.0
    rotations = np.tile(case.images.rotations[:1], (n, 1, 1))
    weights = np.tile(case.samples.weights, (n, 1))
    whole = case.mixed(rotations[:1], case.shifts[:1], case.contrasts[:1], case.functions[:1])
    scale = 30 / np.sqrt((abs(whole) ** 2 * case.samples.weights).sum())
    case.functions, case.slopes = scale * case.functions, scale * case.slopes
    off = np.tile([0.004, -0.003, 0.002, 0.01, -0.02], (n, 1))
    true = turned(rotations, off[:, :3])
    signal = case.mixed(true[:1], off[:1, 3:], case.contrasts[:1], case.functions[:1])
    noise = (rng.normal(size=(n, weights.shape[1], 2)) @ [1, 1j]) / np.sqrt(weights)
    data = weights * (signal + noise)
    case.images = case.images._replace(
        data=np.stack([data.real, data.imag], axis=1).astype(np.float32),
        weights=weights.astype(np.float32), rotations=rotations.astype(np.float32),
    )  # fmt: skip
    # priors so wide that what is said is the data's; states and contrasts unknown beside the pose
    said = case.said(case.prior(shift=1e-6), std=1.0)
    expected = said.covariances[0]
    errors = said.steps - off
    std = np.sqrt(np.diag(expected))
    bias = errors.mean(axis=0) / std
    assert abs(bias).max() < 0.15  # differences for derivatives; a standard error is 0.016
    np.testing.assert_allclose(errors.std(axis=0) / std, 1, atol=0.08)
    correlations = np.corrcoef(errors.T), expected / np.outer(std, std)
    np.testing.assert_allclose(*correlations, atol=0.08)
    assert abs(correlations[1] - np.eye(5)).max() > 0.2  # there are some


def test_what_nothing_is_said_of_has_the_prior(rng):
    case = Case(rng)
    case.images = case.images._replace(weights=np.zeros_like(case.images.weights),
                                       data=np.zeros_like(case.images.data))  # fmt: skip
    said = case.said(case.prior())
    expected = np.diag([0.25, 0.25, 0.25, 10, 10])
    np.testing.assert_allclose(said.covariances, [expected] * len(case.shifts), atol=1e-9)
    np.testing.assert_allclose(said.steps[:, :3], 0, atol=1e-12)
    np.testing.assert_allclose(said.steps[:, 3:], -case.shifts, atol=1e-12)


def test_wrong_shapes_are_told(rng):
    case = Case(rng)
    case.slopes = case.slopes[:, :, :-1]
    with pytest.raises(ShapeError, match="slopes of shape"):
        case.said(case.prior())


def test_compiled_once_however_the_contrasts_lie(rng):
    """A column of a table has another type for the compiler, which takes half a minute a type."""
    case = Case(rng)
    case.said(case.prior())
    known = len(_information.signatures)
    case.contrasts = np.stack([case.contrasts, case.contrasts], axis=1)[:, 0]
    assert not case.contrasts.flags.c_contiguous
    case.said(case.prior())
    assert len(_information.signatures) == known
