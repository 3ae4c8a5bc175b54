import numpy as np
import pytest

from contracts.state_basis import StateBasisContract
from napari_hypermol.bases.hat import HatBasis
from napari_hypermol.errors import ShapeError


@pytest.mark.parametrize(("n_nodes", "degree"), [(2, None), (6, None), (6, 3)])
class TestHatBasis(StateBasisContract):
    @pytest.fixture
    def basis(self, n_nodes, degree):
        return HatBasis(n_nodes, degree)

    @pytest.fixture
    def finer(self, n_nodes, degree):
        return HatBasis(2 * n_nodes - 1 if degree is None else n_nodes)


def test_all_functions_interpolate_any_nodes(rng):
    basis = HatBasis(5)
    nodes, wanted = np.linspace(0, 1, 5), rng.normal(size=5)
    coefficients = np.linalg.solve(basis.evaluate(nodes[:, None]), wanted)
    states = rng.uniform(size=20)
    found = basis.evaluate(states[:, None]) @ coefficients
    np.testing.assert_allclose(found, np.interp(states, nodes, wanted), atol=1e-12)


def test_from_smooth_to_rough(rng):
    slopes = HatBasis(8).derivative(np.linspace(0, 0.999, 700)[:, None])[:, :, 0]
    assert (np.diff((slopes**2).mean(axis=0)) > 0).all()


@pytest.mark.parametrize(("arguments", "words"), [((1,), "1 nodes"), ((4, 4), "1 to 3")])
def test_what_is_impossible_is_refused(arguments, words):
    with pytest.raises(ShapeError, match=words):
        HatBasis(*arguments)
