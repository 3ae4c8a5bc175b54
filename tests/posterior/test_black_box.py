import numpy as np
import pytest
from scipy.stats import norm

from black_boxes import Dot
from examples import pretzel_like, random_data, scene
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.errors import BlackBoxError
from napari_hypermol.posterior import black_box
from napari_hypermol.posterior.black_box import BlackBoxPosterior, state_grid
from napari_hypermol.posterior.likelihood import explained_power, overlaps
from napari_hypermol.posterior.states import StateTable, table_posterior
from napari_hypermol.runs.linear_black_box import LinearBlackBox

THETA = np.array([2.0, -1.0, 0.5, 3.0, 1.0, -2.0])


@pytest.fixture
def samples():
    return fourier_samples(16, 4)


@pytest.fixture
def posterior(rng, samples):
    images = random_data(rng, 6, samples)
    return BlackBoxPosterior(images, Dot(), samples, state_grid(1, 5), 0.3)


@pytest.mark.parametrize(("dims", "n", "shape"), [(0, 24, (1, 0)), (1, 6, (6, 1)), (2, 6, (9, 2))])
def test_grid_of_midpoints(dims, n, shape):
    grid = state_grid(dims, n)
    assert grid.shape == shape
    np.testing.assert_allclose(grid.mean(axis=0), 0.5)
    assert len(np.unique(grid, axis=0)) == shape[0]
    if dims:
        step = dims / n
        np.testing.assert_allclose(np.unique(grid[:, 0]), np.arange(0.5 * step, 1, step))


def test_too_many_states_are_refused():
    with pytest.raises(BlackBoxError, match="8 states along each of 5 dimensions"):
        state_grid(5, 40)


def test_evidence_by_brute_force(posterior, samples):
    """Contrast by quadrature, state by a sum, sample by sample."""
    molecule, images, std = posterior.molecule, posterior.images, posterior.contrast_std
    contrasts = np.linspace(0, 4, 4001)
    prior = norm.pdf(contrasts, 1, std) / norm.sf(0, 1, std)
    found = posterior.state_posterior(THETA)
    for i in range(len(images.weights)):
        densities, means = [], []
        for state in posterior.states:
            rotation = images.rotations[i].astype(float)
            s = molecule.slices(THETA, rotation[None], state[None], samples)[0]
            d = images.data[i, 0] + 1j * images.data[i, 1]
            linear = sum((s[k].conjugate() * d[k]).real for k in range(len(s)))
            square = sum(images.weights[i, k] * abs(s[k]) ** 2 for k in range(len(s)))
            weight = prior * np.exp(contrasts * linear - 0.5 * contrasts**2 * square)
            densities.append(np.trapezoid(weight, contrasts))
            means.append(np.trapezoid(contrasts * weight, contrasts) / densities[-1])
        total = np.mean(densities)
        # the truncation at 0 costs the trapezoid 1e-6
        assert found.log_evidence[i] == pytest.approx(np.log(total), abs=1e-5, rel=1e-5)
        np.testing.assert_allclose(found.probabilities[i], densities / total / 5, rtol=1e-4)
        np.testing.assert_allclose(found.contrast_mean[i], means, rtol=1e-4)


@pytest.mark.parametrize("contrast_std", [0.0, 0.3])
def test_gradient_by_differences(posterior, samples, contrast_std):
    here = BlackBoxPosterior(
        posterior.images, posterior.molecule, samples, posterior.states, contrast_std
    )
    value, gradient = here.log_density_grad(THETA)
    assert value == pytest.approx(here.log_density(THETA), rel=1e-12)
    for j in range(6):
        step = 1e-4 * np.eye(6)[j]
        quotient = (here.log_density(THETA + step) - here.log_density(THETA - step)) / 2e-4
        assert gradient[j] == pytest.approx(quotient, rel=1e-5, abs=1e-5 * abs(gradient).max())


def test_chunks_make_no_difference(posterior, samples, monkeypatch):
    whole = posterior.log_density_grad(THETA)
    monkeypatch.setattr(black_box, "_VALUES", 2 * len(samples.kx))
    parts = posterior.log_density_grad(THETA)
    assert parts[0] == pytest.approx(whole[0], rel=1e-12)
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-9)


class TestLinearMolecule:
    """Our own molecule through the black-box door says what the linear machinery says."""

    @pytest.fixture
    def here(self):
        return scene(pretzel_like(16, degree=1), 5)

    @pytest.fixture
    def theta(self, here, rng):
        return rng.normal(size=here.molecule.n_coefficients)

    @pytest.fixture
    def images(self, here, rng):
        images = random_data(rng, 7, here.samples)
        return images._replace(is_premultiplied=np.arange(7) % 2 == 0)

    @pytest.fixture
    def boxed(self, here, images):
        spectra = [np.full((q, b.n_shells), 2.0) for (q, _), b in zip(
            here.molecule.set_shapes, here.molecule.bases, strict=True)]  # fmt: skip
        molecule = LinearBlackBox(here.molecule, spectra)
        return BlackBoxPosterior(images, molecule, here.samples, state_grid(2, 8), 0.2)

    @pytest.fixture
    def linear(self, here, images, theta, boxed):
        """Overlaps b and G, and the table of all states by them."""
        grids = here.molecule.grids(theta.astype(np.float32))
        b, g = overlaps(images, grids, here.placements, here.samples)
        functions = boxed.molecule.functions(boxed.states).astype(np.float64)
        uniform = np.full(len(functions), -np.log(len(functions)))
        table = StateTable(boxed.states, functions, uniform, slice(0, functions.shape[1]))
        return grids, table_posterior(b, g, (table,), 0.2)

    def test_log_density(self, boxed, theta, linear):
        prior, _ = boxed.molecule.log_prior(theta)
        assert prior == pytest.approx(-0.25 * theta @ theta, rel=1e-5)  # white spectra of 2
        found = boxed.state_posterior(theta)
        np.testing.assert_allclose(found.log_evidence, linear[1].log_evidence, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(found.probabilities, linear[1].tables[0], atol=1e-3)
        total = prior + linear[1].log_evidence.sum()
        assert boxed.log_density(theta) == pytest.approx(total, rel=1e-4)

    def test_gradient(self, here, images, boxed, theta, linear):
        """Right-hand side less normal operator of the M step, and the prior's."""
        from napari_hypermol.posterior.likelihood import image_adjoint, normal_operator

        grids, moments = linear
        rest = (here.placements, here.samples)
        layout = here.molecule.empty_grids
        right = here.molecule.grids_adjoint(image_adjoint(images, moments.first, layout, *rest))
        left = here.molecule.grids_adjoint(normal_operator(images, moments.second, grids, *rest))
        _, gradient = boxed.log_density_grad(theta)
        expected = right - left - 0.5 * theta
        np.testing.assert_allclose(gradient, expected, atol=2e-4 * abs(left).max())

    def test_explained_power(self, here, images, boxed, theta, linear, rng):
        grids, moments = linear
        noise = rng.uniform(0.5, 2, size=(1, images.power.shape[1]))
        expected = explained_power(
            images, moments.first, moments.second, noise, grids, here.placements, here.samples
        )
        found = boxed.explained_power(theta, boxed.state_posterior(theta), noise)
        np.testing.assert_allclose(found, expected, atol=1e-3 * abs(expected).max())

    def test_information_is_the_normal_operators_diagonal(self, posterior, rng):
        """By finite differences of a dot's slices; 64 probes are good to 2 / sqrt(64)."""
        found = posterior.information(THETA, rng, n_probes=64)
        images, samples = posterior.images, posterior.samples
        expected = np.zeros(6)
        for state in posterior.states:
            states = np.repeat(state[None], len(images.weights), axis=0)
            for j in range(6):
                step = 1e-4 * np.eye(6)[j]
                pair = [posterior.molecule.slices(t, images.rotations, states, samples)
                        for t in (THETA + step, THETA - step)]  # fmt: skip
                power = abs((pair[0] - pair[1]) / 2e-4) ** 2
                expected[j] += (images.weights * power).sum() / len(posterior.states)
        ratio = found / expected
        assert ratio.min() > 0.5
        assert ratio.max() < 2
