"""What every black-box molecule promises; subclass it, give `molecule` and `theta`."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.molecules.black_box import check_black_box


class BlackBoxContract:
    """Slices (m, k), their gradient, a prior with its gradient; the same every time."""

    N = 5
    RADIUS = 4.0
    STEP = 1e-3  # of difference quotients, relative to theta

    @pytest.fixture
    def molecule(self):
        raise NotImplementedError

    @pytest.fixture
    def theta(self, molecule):
        raise NotImplementedError

    @pytest.fixture
    def samples(self, molecule):
        return fourier_samples(molecule.box_size, self.RADIUS)

    @pytest.fixture
    def views(self, molecule, rng):
        rotations = Rotation.random(self.N, rng=rng).as_matrix()
        return rotations, rng.uniform(size=(self.N, molecule.dims))

    @pytest.fixture
    def values(self, samples, rng):
        real, imaginary = rng.normal(size=(2, self.N, len(samples.kx)))
        return real + 1j * imaginary

    def test_passes_the_door(self, molecule, theta, rng):
        check_black_box(molecule, theta, rng)

    def test_shapes(self, molecule, theta, views, values, samples):
        assert theta.shape == (molecule.n_coefficients,)
        slices = molecule.slices(theta, *views, samples)
        assert slices.shape == values.shape
        assert np.iscomplexobj(slices)
        assert molecule.slices_adjoint(theta, values, *views, samples).shape == theta.shape
        value, gradient = molecule.log_prior(theta)
        assert np.ndim(value) == 0
        assert gradient.shape == theta.shape

    def test_slices_are_of_a_real_density(self, molecule, theta, views, samples):
        """A(-kx, -ky) = conj A(kx, ky): on the axis x = 0 both are there."""
        slices = molecule.slices(theta, *views, samples)
        axis = np.flatnonzero(samples.kx == 0)
        order = axis[np.argsort(samples.ky[axis])]
        tolerance = 1e-5 * abs(slices).max()
        np.testing.assert_allclose(slices[:, order], slices[:, order[::-1]].conj(), atol=tolerance)

    def test_adjoint_is_the_gradient(self, molecule, theta, views, values, samples, rng):
        """Coordinate by coordinate on a handful, against central differences."""
        gradient = molecule.slices_adjoint(theta, values, *views, samples)
        for j in rng.choice(len(theta), min(len(theta), 8), replace=False):
            step = np.zeros(len(theta))
            step[j] = self.STEP * max(abs(theta[j]), 0.1)
            ahead = molecule.slices(theta + step, *views, samples).astype(np.complex128)
            behind = molecule.slices(theta - step, *views, samples).astype(np.complex128)
            quotient = np.vdot(ahead - behind, values).real / (2 * step[j])
            # float32 slices: 1e-7 of their size is lost over a step of 1e-3
            lost = 1e-6 * np.linalg.norm(ahead) * np.linalg.norm(values) / step[j]
            assert gradient[j] == pytest.approx(quotient, rel=5e-3, abs=lost)

    def test_prior_gradient(self, molecule, theta, rng):
        _, gradient = molecule.log_prior(theta)
        for _ in range(4):
            step = 1e-3 * (abs(theta) + 0.1) * rng.normal(size=len(theta))
            ahead, behind = molecule.log_prior(theta + step)[0], molecule.log_prior(theta - step)[0]
            scale = abs(step * gradient).sum()
            assert (ahead - behind) / 2 == pytest.approx(step @ gradient, abs=1e-3 * scale)

    def test_turning_the_image_turns_the_slice(self, molecule, theta, views, samples):
        """In-plane by 90 degrees, (x, y) -> (-y, x): samples (kx, ky) go to (-ky, kx)."""
        rotations, states = views
        quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
        before = molecule.slices(theta, rotations, states, samples)
        after = molecule.slices(theta, quarter @ rotations, states, samples)
        where = {(x, y): i for i, (x, y) in enumerate(zip(samples.kx, samples.ky, strict=True))}
        pairs = [(i, where[-y, x]) for (x, y), i in where.items() if (-y, x) in where]
        assert len(pairs) > len(where) / 3
        source, target = np.array(pairs).T
        np.testing.assert_allclose(  # 1 % is the projector's interpolation
            after[:, target], before[:, source], atol=0.01 * abs(before).max()
        )

    def test_permuting_particles_permutes_slices(self, molecule, theta, views, samples):
        order = np.arange(self.N)[::-1]
        slices = molecule.slices(theta, *views, samples)
        shuffled = molecule.slices(theta, *(v[order] for v in views), samples)
        np.testing.assert_allclose(shuffled, slices[order], atol=1e-6 * abs(slices).max())

    def test_adjoints_of_chunks_add_up(self, molecule, theta, views, values, samples):
        whole = molecule.slices_adjoint(theta, values, *views, samples)
        parts = [
            molecule.slices_adjoint(theta, values[p], *(v[p] for v in views), samples)
            for p in (slice(0, 2), slice(2, None))
        ]
        np.testing.assert_allclose(sum(parts), whole, atol=1e-5 * abs(whole).max())

    def test_same_every_time_and_arguments_untouched(self, molecule, theta, views, values, samples):
        kept, kept_values = theta.copy(), values.copy()
        first = molecule.slices(theta, *views, samples)
        gradient = molecule.slices_adjoint(theta, values, *views, samples)
        molecule.slices(2 * theta + 1, *views, samples)
        np.testing.assert_array_equal(molecule.slices(theta, *views, samples), first)
        again = molecule.slices_adjoint(theta, values, *views, samples)
        np.testing.assert_allclose(again, gradient, rtol=1e-5, atol=1e-6 * abs(gradient).max())
        np.testing.assert_array_equal(theta, kept)
        np.testing.assert_array_equal(values, kept_values)
