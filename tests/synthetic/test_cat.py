import numpy as np
import pytest

from napari_hypermol.synthetic.cat import cat


@pytest.fixture(scope="module")
def component():
    return cat(64).components[0]


def test_one_component_with_one_state(component):
    assert cat(64).dims == 1
    assert component.has_state
    assert component.amplitudes.shape == component.widths.shape == (16,)


def test_only_the_head_turns_about_the_vertical(component):
    left, middle, right = component.centres(np.array([0.0, 0.5, 1.0]))
    np.testing.assert_array_equal(left[:11], right[:11])
    np.testing.assert_allclose(left[:, 2], right[:, 2])  # z is up
    # half way the head looks along +x; the ends mirror one another in y
    np.testing.assert_allclose(left[11:14, 1], -right[11:14, 1], atol=1e-12)
    np.testing.assert_allclose(middle[11:14, 1], 0, atol=1e-12)
    neck = np.array([6.0, 0.0])
    reach = np.linalg.norm(left[11:, :2] - neck, axis=1)
    np.testing.assert_allclose(reach, np.linalg.norm(right[11:, :2] - neck, axis=1))


@pytest.mark.parametrize("box_size", [32, 48, 64])
def test_it_scales_with_the_box_and_stays_inside(box_size):
    whole = cat(box_size).components[0]
    reference = cat(64).components[0]
    states = np.linspace(0, 1, 5)
    scale = box_size / 64
    np.testing.assert_allclose(whole.centres(states), scale * reference.centres(states))
    np.testing.assert_allclose(whole.widths, scale * reference.widths)
    reach = np.linalg.norm(whole.centres(states), axis=-1) + 2 * whole.widths
    assert reach.max() < 0.45 * box_size
