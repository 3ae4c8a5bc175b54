import numpy as np
import pytest

from napari_hypermol.errors import ShapeError
from napari_hypermol.samplers.folding import fold, unfolded


def test_intervals_reflect_circles_close_classes_stay():
    line = np.array([-0.3, 0.0, 0.4, 1.0, 1.2, 2.3, -1.5])
    values = np.stack([line, line, line], axis=1)
    states, signs = fold(values, ("interval", "circle", "class"))
    np.testing.assert_allclose(states[:, 0], [0.3, 0, 0.4, 1, 0.8, 0.3, 0.5])
    np.testing.assert_allclose(states[:, 1], [0.7, 0, 0.4, 0, 0.2, 0.3, 0.5])
    np.testing.assert_array_equal(states[:, 2], line)
    np.testing.assert_array_equal(signs[:, 0], [-1, 1, 1, 1, -1, 1, 1])
    np.testing.assert_array_equal(signs[:, 1:], 1)


def test_tiny_negative_numbers_stay_inside():
    states, _ = fold(np.full((1, 2), -1e-20), ("interval", "circle"))
    assert ((states >= 0) & (states <= 1)).all()


def test_gradient_on_the_line_is_the_difference_quotient(rng):
    def log_density_grad(states):
        return (states**3).sum(axis=1), 3 * states**2

    continued = unfolded(log_density_grad, ("interval", "circle"))
    value, step = rng.uniform(-3, 3, size=(50, 2)), 1e-6
    gradient = continued(value)[1]
    for axis in range(2):
        move = step * np.eye(2)[axis]
        quotient = (continued(value + move)[0] - continued(value - move)[0]) / (2 * step)
        np.testing.assert_allclose(quotient, gradient[:, axis], atol=1e-8)


def test_what_cannot_be_folded_is_refused():
    with pytest.raises(ShapeError, match=r"expected \(n, 1\)"):
        fold(np.zeros((3, 2)), ("circle",))
    with pytest.raises(ShapeError, match="a class has no gradient"):
        unfolded(lambda x: (x, x), ("interval", "class"))
