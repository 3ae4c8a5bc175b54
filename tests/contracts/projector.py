"""What every projector promises; subclass it and give the fixture `projector`.

A projector here is `forward(theta, rotations) -> (n, k, q)`, `adjoint(values, rotations) -> theta`
for the product Re sum conj(a) b, and `n_coefficients`.
"""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation


class ProjectorContract:
    """Linear, with its exact adjoint, one particle at a time."""

    N = 6

    @pytest.fixture
    def projector(self):
        raise NotImplementedError

    @pytest.fixture
    def theta(self, projector, rng):
        return rng.normal(size=projector.n_coefficients).astype(np.float32)

    @pytest.fixture
    def rotations(self, rng):
        return Rotation.random(self.N, rng=rng).as_matrix().astype(np.float32)

    def test_forward_is_linear(self, projector, theta, rotations):
        whole = projector.forward(2 * theta - 3 * theta[::-1], rotations)
        parts = 2 * projector.forward(theta, rotations)
        parts -= 3 * projector.forward(theta[::-1].copy(), rotations)
        np.testing.assert_allclose(whole, parts, atol=1e-5 * abs(whole).max())

    def test_adjoint(self, projector, theta, rotations, rng):
        slices = projector.forward(theta, rotations)
        noise = rng.normal(size=(2, *slices.shape))
        # half slices, half noise: then the two sides are large and rtol means something
        values = (slices + (noise[0] + 1j * noise[1]) * abs(slices).mean()).astype(np.complex64)
        left = np.vdot(slices.astype(np.complex128), values).real
        right = np.dot(theta.astype(np.float64), projector.adjoint(values, rotations))
        np.testing.assert_allclose(left, right, rtol=1e-4)

    def test_adjoint_leaves_its_argument_alone(self, projector, theta, rotations):
        values = projector.forward(theta, rotations)
        before = values.copy()
        projector.adjoint(values, rotations)
        np.testing.assert_array_equal(values, before)

    def test_permuting_particles_permutes_slices(self, projector, theta, rotations):
        order = np.arange(self.N)[::-1]
        slices = projector.forward(theta, rotations)
        np.testing.assert_array_equal(projector.forward(theta, rotations[order]), slices[order])

    def test_chunks_make_no_difference(self, projector, theta, rotations):
        slices = projector.forward(theta, rotations)
        for size in (1, 4):
            pieces = [
                projector.forward(theta, rotations[i : i + size]) for i in range(0, self.N, size)
            ]
            np.testing.assert_array_equal(np.concatenate(pieces), slices)

    def test_chunks_of_the_adjoint_add_up(self, projector, theta, rotations):
        values = projector.forward(theta, rotations)
        whole = projector.adjoint(values, rotations)
        pieces = sum(projector.adjoint(values[i : i + 4], rotations[i : i + 4]) for i in (0, 4))
        # float32 sums in another order
        np.testing.assert_allclose(whole, pieces, atol=1e-5 * abs(whole).max())
