import numpy as np
import pytest

from contracts.coefficient_prior import QuadraticPriorContract
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.errors import RecipeError, ShapeError
from napari_hypermol.posterior.coefficient_priors import DegreePenalty, Ridge, Smoothness

N_Q = 3


@pytest.fixture(scope="module")
def basis():
    """A small ball with a soft edge."""
    axis = np.arange(6) - 3
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    mask = np.clip(2.5 - np.sqrt(x**2 + y**2 + z**2), 0, 1)
    return VoxelBasis(mask.astype(np.float32), 12, 32)


@pytest.fixture
def roughness():
    """Of 1, tau - 1/2 and its square about: no function is a cosine, so it is not diagonal."""
    tau = (np.arange(1000) + 0.5) / 1000
    slopes = np.stack([np.zeros(1000), np.ones(1000), 2 * tau + 0.3])
    return slopes @ slopes.T / 1000


class SmallCoefficients(QuadraticPriorContract):
    @pytest.fixture
    def coefficients(self, basis, rng):
        return rng.normal(size=(N_Q, basis.n_coefficients))


class TestRidge(SmallCoefficients):
    @pytest.fixture
    def prior(self):
        return Ridge(0.7)

    def test_is_a_normal_density(self, prior):
        assert prior.log_density(np.full((2, 5), 2.0)) == pytest.approx(-0.5 * 0.7 * 10 * 4)

    def test_refuses_a_negative_precision(self):
        with pytest.raises(RecipeError, match="ridge prior: a strength of -1"):
            Ridge(-1)


class TestSmoothness(SmallCoefficients):
    @pytest.fixture
    def prior(self, roughness):
        return Smoothness(roughness, 0.8, 50.0)


class TestSmoothnessByShell(SmallCoefficients):
    @pytest.fixture
    def prior(self, basis, roughness):
        return Smoothness(roughness, 1 / (1 + np.arange(basis.n_shells)), 50.0, basis)


class TestDegreePenalty(SmallCoefficients):
    @pytest.fixture
    def prior(self):
        return DegreePenalty(np.array([0, 1, 2]), 0.5, 2.0, 3.0)


class TestDegreePenaltyByShell(SmallCoefficients):
    @pytest.fixture
    def prior(self, basis):
        return DegreePenalty(np.arange(N_Q), 1.0 + np.arange(basis.n_shells), 0.3, basis=basis)


def test_smoothness_is_the_papers_sum_over_neighbours(rng):
    """Eq. (24) on a fine grid of states, with the variance of a coefficient as the unit."""
    states = CosineBasis(3)
    coefficients = rng.normal(size=(4, 20))
    variance, strength, n_states = 4.0, 1.7, 4000
    prior = Smoothness(np.diag((np.pi * np.arange(4)) ** 2), 1 / variance, strength)
    tau = (np.arange(n_states) + 0.5) / n_states
    density = states.evaluate(tau[:, None]) @ coefficients
    paper = sum(
        ((density[t] - density[t + 1]) ** 2).sum() for t in range(n_states - 1)
    )  # = E|dV/dtau|^2 / T
    expected = -strength / 200 * paper * n_states / variance
    assert prior.log_density(coefficients) == pytest.approx(expected, rel=2e-3)  # 1 / T, ends


def test_strength_one_is_a_change_by_its_own_size_over_a_tenth_of_the_range():
    variance = 2.0
    prior = Smoothness(np.array([[0, 0], [0, 1.0]]), 1 / variance)
    slope = np.sqrt(variance) / 0.1  # of the density, in every one of 30 coefficients
    coefficients = np.stack([np.zeros(30), np.full(30, slope)])
    assert prior.log_density(coefficients) == pytest.approx(-0.5 * 30)


def test_precision_by_shell_is_the_constant_one_where_shells_are_alike(basis, roughness, rng):
    coefficients = rng.normal(size=(N_Q, basis.n_coefficients))
    by_shell = Smoothness(roughness, np.full(basis.n_shells, 0.3), 2.0, basis)
    np.testing.assert_allclose(
        by_shell.gradient(coefficients),
        Smoothness(roughness, 0.3, 2.0).gradient(coefficients),
        atol=1e-10,
    )


def test_mean_is_free(basis, rng):
    coefficients = np.zeros((N_Q, basis.n_coefficients))
    coefficients[0] = rng.normal(size=basis.n_coefficients)
    assert DegreePenalty(np.arange(N_Q), 1.0).log_density(coefficients) == 0
    rough = np.diag((np.pi * np.arange(N_Q)) ** 2)
    assert Smoothness(rough, 1.0).log_density(coefficients) == 0


def test_high_degrees_are_rarer():
    prior = DegreePenalty(np.array([0, 1, 2]), 0.5, 3.0, 2.0)
    one, two = np.zeros((2, 3, 4))
    one[1], two[2] = 1, 1
    assert prior.log_density(one) == pytest.approx(-0.5 * 0.5 * 3 * 4)
    assert prior.log_density(two) == pytest.approx(4 * prior.log_density(one))


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: Smoothness(np.eye(2), 1.0, -1.0), RecipeError, "must be 0 or more"),
        (lambda: Smoothness(np.eye(2), 1.0, np.nan), RecipeError, "must be 0 or more"),
        (lambda: Smoothness(np.ones((2, 3)), 1.0), ShapeError, r"expected \(q, q\)"),
        (lambda: Smoothness(np.eye(2), np.ones(4)), ShapeError, "needs a basis"),
        (lambda: DegreePenalty(np.array([-1]), 1.0), ShapeError, "0 or more"),
        (lambda: DegreePenalty(np.arange(2), np.ones(4)), ShapeError, "needs a basis"),
        (
            lambda: Smoothness(np.eye(2), 1.0).gradient(np.ones((3, 4))),
            ShapeError,
            "prior of 2 state functions, but the coefficients have 3",
        ),
    ],
)
def test_refuses_in_one_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()
