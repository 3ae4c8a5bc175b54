import numpy as np
import pytest

from contracts.coefficient_prior import CoefficientPriorContract, QuadraticPriorContract
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.errors import RecipeError, ShapeError
from napari_hypermol.posterior.density_priors import (
    DensityAtStates,
    NonNegativity,
    SolventFlatness,
    Sparsity,
)

STATES = CosineBasis(2)


def ball(n, edge):
    axis = np.arange(n) - n // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    mask = np.clip(0.45 * n - np.sqrt(x**2 + y**2 + z**2), 0, 1)
    return VoxelBasis(mask.astype(np.float32), edge, 32)


@pytest.fixture(scope="module")
def basis():
    return ball(6, 12)


@pytest.fixture(scope="module")
def densities(basis):
    return DensityAtStates(basis, STATES.evaluate(np.linspace(0, 1, 5)[:, None]))


class SmallDensities:
    @pytest.fixture
    def coefficients(self, basis, rng):
        """Densities of both signs."""
        return rng.normal(size=(STATES.n_functions, basis.n_coefficients)) + 0.2


class TestSolventFlatness(SmallDensities, QuadraticPriorContract):
    @pytest.fixture
    def prior(self, basis, rng):
        return SolventFlatness(basis, rng.uniform(size=(6, 6, 6)), 1.5, 2.0)


class TestNonNegativity(SmallDensities, CoefficientPriorContract):
    @pytest.fixture
    def prior(self, densities):
        return NonNegativity(densities, 1.5, 3.0)


class TestSparsity(SmallDensities, CoefficientPriorContract):
    @pytest.fixture
    def prior(self, densities):
        return Sparsity(densities, 1.5, 2.0)


def test_adjoint_of_the_density(densities, basis, rng):
    x = rng.normal(size=(STATES.n_functions, basis.n_coefficients))
    y = rng.normal(size=(5, 6, 6, 6))
    left, right = (densities.evaluate(x) * y).sum(), (x * densities.evaluate_adjoint(y)).sum()
    assert left == pytest.approx(right, rel=1e-10)


def test_solvent_is_the_mean_over_all_states(basis, rng):
    """The sum over orthonormal functions against many states, voxel by voxel."""
    outside = rng.uniform(size=(6, 6, 6))
    coefficients = rng.normal(size=(STATES.n_functions, basis.n_coefficients))
    tau = (np.arange(200) + 0.5) / 200
    total = 0.0
    for row in STATES.evaluate(tau[:, None]):
        density = np.zeros(216)
        density[basis.inside] = row @ coefficients
        density = density.reshape(6, 6, 6) * basis.mask / 1.5
        total += (outside * density**2).sum() * 2**3  # a coarse voxel is 2^3 of the box's
    prior = SolventFlatness(basis, outside, 1.5, 2.0)
    assert prior.log_density(coefficients) == pytest.approx(-0.5 * 2.0 * total / 200, rel=1e-6)


def test_solvent_leaves_the_inside_alone(basis, rng):
    outside = np.zeros((6, 6, 6))
    outside[0] = 1  # where this ball has no coefficients
    coefficients = rng.normal(size=(3, basis.n_coefficients))
    assert SolventFlatness(basis, outside, 1.0).log_density(coefficients) == 0


def test_strength_one_of_non_negativity(densities, basis):
    """One voxel of the box at minus the typical density, at every state: one standard deviation."""
    coefficients = np.zeros((3, basis.n_coefficients))
    whole = int(np.flatnonzero(basis.mask.ravel()[basis.inside] == 1)[0])
    coefficients[0, whole] = -2.0
    prior = NonNegativity(densities, scale=2.0)
    assert prior.log_density(coefficients) == pytest.approx(-0.5 * 2**3)
    assert prior.log_density(-coefficients) == 0


def test_sparsity_grows_like_the_size_and_is_smooth_at_zero(densities, basis):
    prior = Sparsity(densities, scale=2.0, knee=0.1)
    coefficients = np.zeros((3, basis.n_coefficients))
    whole = int(np.flatnonzero(basis.mask.ravel()[basis.inside] == 1)[0])
    found = []
    for density in (0.002, 0.004, 200.0, 400.0):
        coefficients[0, whole] = density
        found.append(-prior.log_density(coefficients) / 2**3)
    assert found[1] == pytest.approx(4 * found[0], rel=1e-3)  # a parabola
    np.testing.assert_allclose(found[2:], [100 - 0.1, 200 - 0.1], rtol=1e-5)  # |V| / scale


def test_nothing_depends_on_the_size_of_the_voxels(rng):
    """The same density on voxels of 2 and of 1: a constant in the whole cube."""
    found = []
    for n in (6, 12):
        basis = VoxelBasis(np.ones((n, n, n), dtype=np.float32), 12, 32)
        densities = DensityAtStates(basis, np.ones((4, 1)))
        constant = np.full((1, basis.n_coefficients), -0.7)
        found.append(
            [
                prior.log_density(constant)
                for prior in (
                    NonNegativity(densities, 1.0),
                    Sparsity(densities, 1.0),
                    SolventFlatness(basis, np.ones((n, n, n)), 1.0),
                )
            ]
        )
    np.testing.assert_allclose(found[0], found[1], rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda d: NonNegativity(d, 0.0), RecipeError, "typical density of 0"),
        (lambda d: NonNegativity(d, 1.0, -1.0), RecipeError, "strength of -1"),
        (lambda d: Sparsity(d, 1.0, knee=0.0), RecipeError, "must be above 0"),
        (lambda d: SolventFlatness(d.basis, np.full((6, 6, 6), 2.0), 1.0), ShapeError, "0 to 1"),
        (lambda d: DensityAtStates(d.basis, np.ones(3)), ShapeError, r"expected \(j, q\)"),
        (lambda d: d.evaluate(np.ones((2, 5))), ShapeError, "3 state functions, but"),
    ],
)
def test_refuses_in_one_sentence(densities, make, error, sentence):
    with pytest.raises(error, match=sentence):
        make(densities)
