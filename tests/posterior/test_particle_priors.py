import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import norm, truncnorm

from contracts.particle_prior import ParticlePriorContract
from napari_hypermol.errors import RecipeError, ShapeError
from napari_hypermol.posterior.particle_priors import (
    NormalShift,
    RotationNear,
    TruncatedNormalContrast,
    UniformRotation,
)
from napari_hypermol.posterior.states import contrast_moments

N = 40


class OfRotations(ParticlePriorContract):
    @pytest.fixture
    def values(self, rng):
        return Rotation.random(N, rng=rng).as_matrix()

    def moved(self, values, step):
        return Rotation.from_rotvec(step).as_matrix() @ values

    def tangent_shape(self, values):
        return (len(values), 3)


class TestUniformRotation(OfRotations):
    @pytest.fixture
    def prior(self):
        return UniformRotation()


class TestRotationNear(OfRotations):
    @pytest.fixture
    def prior(self, values, rng):
        """References 0.3 to 2.5 rad away."""
        axes = rng.normal(size=(N, 3))
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        away = axes * np.linspace(0.3, 2.5, N)[:, None]
        return RotationNear(Rotation.from_rotvec(away).as_matrix() @ values, 0.4)

    def test_is_the_angle(self, prior, values):
        traces = np.einsum("nij,nij->n", values, prior.reference)
        angles = np.arccos(np.clip((traces - 1) / 2, -1, 1))
        np.testing.assert_allclose(prior.log_density(values), -0.5 * (angles / 0.4) ** 2)

    def test_step_of_std_squared_times_the_gradient_leads_back(self, prior, values):
        back = self.moved(values, prior.gradient(values) * 0.4**2)
        np.testing.assert_allclose(back, prior.reference, atol=1e-10)


class TestNormalShift(ParticlePriorContract):
    @pytest.fixture
    def prior(self):
        return NormalShift(7.0)

    @pytest.fixture
    def values(self, rng):
        return 10 * rng.normal(size=(N, 2))

    def test_is_two_normals(self, prior, values):
        expected = norm.logpdf(values, scale=7).sum(axis=1)
        np.testing.assert_allclose(prior.log_density(values), expected)


class TestNormalShiftNearTheFiles(TestNormalShift):
    @pytest.fixture
    def prior(self, rng):
        return NormalShift(2.0, rng.normal(size=(N, 2)))

    def test_is_two_normals(self, prior, values):
        expected = norm.logpdf(values, prior.reference, 2).sum(axis=1)
        np.testing.assert_allclose(prior.log_density(values), expected)


class TestTruncatedNormalContrast(ParticlePriorContract):
    @pytest.fixture
    def prior(self):
        return TruncatedNormalContrast(0.8, 0.5)

    @pytest.fixture
    def values(self, rng):
        return rng.uniform(0.01, 3, size=N)

    def test_is_scipys(self, prior, values):
        expected = truncnorm.logpdf(values, -0.8 / 0.5, np.inf, 0.8, 0.5)
        np.testing.assert_allclose(prior.log_density(values), expected)
        assert prior.log_density(np.array([-0.1]))[0] == -np.inf

    def test_is_the_one_that_tables_integrate(self):
        """Against the log evidence of `posterior.states`, by a sum over contrasts."""
        linear, square, std = 3.0, 4.0, 0.6
        contrast = (np.arange(100_000) + 0.5) * 1e-4
        likelihood = contrast * linear - 0.5 * contrast**2 * square
        log_density = TruncatedNormalContrast(1.0, std).log_density(contrast)
        total = np.exp(likelihood + log_density).sum() * 1e-4
        assert np.log(total) == pytest.approx(contrast_moments(linear, square, std)[0], abs=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: NormalShift(0.0), RecipeError, "shift prior: a standard deviation of 0.0 Å"),
        (lambda: RotationNear(np.eye(3)[None], -1), RecipeError, "rotation prior"),
        (lambda: RotationNear(np.eye(3), 1.0), ShapeError, r"expected \(n, 3, 3\)"),
        (lambda: TruncatedNormalContrast(1, np.inf), RecipeError, "contrast prior"),
        (lambda: NormalShift(1.0).log_density(np.ones((4, 3))), ShapeError, r"\(n, 2\)"),
        (
            lambda: NormalShift(1.0, np.ones((3, 2))).gradient(np.ones((4, 2))),
            ShapeError,
            "4 shifts, 3 in the reference",
        ),
        (
            lambda: RotationNear(np.eye(3)[None], 1.0).gradient(np.stack([np.eye(3)] * 2)),
            ShapeError,
            "in the reference",
        ),
    ],
)
def test_refuses_in_one_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()
