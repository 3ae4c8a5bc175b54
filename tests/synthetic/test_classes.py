import numpy as np
import pytest

from napari_hypermol.synthetic.classes import POPULATIONS, classes

STATES = np.array([0.125, 0.375, 0.625, 0.875])


@pytest.fixture(scope="module")
def component():
    return classes(48).components[0]


def test_one_component_of_four_unequal_classes(component):
    assert component.kind == "class"
    assert component.populations == POPULATIONS == (0.4, 0.3, 0.2, 0.1)
    assert sum(POPULATIONS) == pytest.approx(1)


def test_the_domain_moves_as_a_whole_and_the_core_stays(component):
    places = component.centres(STATES)
    there = component.amplitudes_at(STATES)
    is_core = there[3] > 0  # the last class is the core alone
    assert 100 < is_core.sum() < len(is_core) - 100
    assert (there[:3] == 1).all()
    np.testing.assert_allclose(
        places[:, is_core], np.repeat(places[:1, is_core], 4, axis=0), atol=1e-12
    )
    domains = places[:3, ~is_core]
    spreads = [np.linalg.norm(d[:, None] - d[None], axis=-1) for d in domains]
    np.testing.assert_allclose(spreads[0], spreads[1], atol=1e-9)
    np.testing.assert_allclose(spreads[0], spreads[2], atol=1e-9)


def test_every_class_differs_from_every_other(component):
    maps = np.array([component.volume(s, 48).ravel() for s in STATES])
    distances = np.linalg.norm(maps[:, None] - maps[None], axis=-1) / np.linalg.norm(maps[0])
    assert distances[np.triu_indices(4, 1)].min() > 0.25


def test_a_class_is_a_whole_quarter_of_the_state(component):
    for low, high in ((0.0, 0.249), (0.25, 0.499), (0.5, 0.749), (0.75, 1.0)):
        one, two = component.centres(np.array([low, high]))
        np.testing.assert_array_equal(one, two)


def test_it_stays_inside_the_box(component):
    reach = np.linalg.norm(component.centres(STATES), axis=-1) + 2 * component.widths
    assert reach.max() < 26 / 64 * 48  # the ball of its recipe
