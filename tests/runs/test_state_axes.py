import numpy as np
import pytest

from napari_hypermol.bases.classes import ClassBasis
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.bases.product import ProductBasis
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.molecules.trajectory import RigidTrajectory, Turn
from napari_hypermol.runs.state_axes import (
    StateAxis,
    class_numbers,
    known_words,
    middle_states,
    shown_states,
    state_axes,
)

RANGE = StateAxis("tau1", "arm")
CIRCLE = StateAxis("tau2", "wheel", "circle")
CLASSES = StateAxis("tau3", "lobe", "class", 4)
TURN = RigidTrajectory(Turn(np.array([0.0, 0, 1]), np.zeros(3), np.array([0.5])))


def molecule(max_degree=None):
    ball = Ball((0, 0, 0), 3.0, 1.0)
    ring_of_classes = ProductBasis(FourierBasis(1), ClassBasis(5), 1)
    parts = (
        Component("still", ball, ConstantBasis()),
        Component("lid", ball, ConstantBasis(), trajectory=TURN),
        Component("both", ball, ring_of_classes),
        Component("beside", ball, ClassBasis(3), trajectory=TURN),
        Component("tied", ball, CosineBasis(2), trajectory=TURN, is_tied=True),
    )
    return Composite(parts, 12).discretise(4, max_degree)


def test_axes_of_every_kind():
    assert state_axes(molecule()) == (
        StateAxis("tau1", "lid", "interval", 0, True),
        StateAxis("tau2", "both", "circle", 0, False),
        StateAxis("tau3", "both", "class", 5, False),
        StateAxis("tau4", "beside", "interval", 0, True),
        StateAxis("tau5", "beside", "class", 3, False),
        StateAxis("tau6", "tied", "interval", 0, True),
    )


def test_axes_are_the_recipes_from_the_beginning():
    assert state_axes(molecule(max_degree=0)) == state_axes(molecule())


def test_words():
    assert [axis.label for axis in (RANGE, CIRCLE, CLASSES)] == [
        "tau1",
        "tau2 (circle)",
        "tau3 (class)",
    ]
    assert RANGE.words == "state of arm"
    assert RANGE._replace(is_position=True).words == "position of arm"
    assert CIRCLE.words == "circular state of wheel"
    assert CLASSES.words == "class of lobe"
    assert RANGE.text(0.125) == CIRCLE.text(0.125) == "0.12"
    assert CLASSES.text(0.125) == "class 1"


def test_range_is_shown_from_end_to_end():
    np.testing.assert_allclose(shown_states(RANGE, 3), [0, 0.5, 1])
    np.testing.assert_allclose(shown_states(RANGE, 3, 0.1, 0.9), [0.1, 0.5, 0.9])


def test_circle_is_shown_once_round():
    np.testing.assert_allclose(shown_states(CIRCLE, 4, 0.1, 0.9), [0, 0.25, 0.5, 0.75])


@pytest.mark.parametrize("n", [2, 10])
def test_every_class_is_shown(n):
    np.testing.assert_allclose(shown_states(CLASSES, n), [0.125, 0.375, 0.625, 0.875])


@pytest.mark.parametrize("k", [2, 3, 4, 7])
def test_half_way_is_the_same_map_for_classes(k):
    """A class spans 1 / K of [0, 1]; its middle must be in the one that 0.5 is in."""
    (state,) = middle_states([CLASSES._replace(n_classes=k)])
    basis = ClassBasis(k)
    np.testing.assert_array_equal(basis.evaluate(np.array([[state]])), basis.evaluate([[0.5]]))
    assert np.abs(basis.table(k)[:, 0] - state).min() < 1e-12


def test_half_way_elsewhere():
    assert middle_states([RANGE, CIRCLE]) == [0.5, 0.5]
    assert middle_states([]) == []


@pytest.mark.parametrize("k", [2, 3, 10])
def test_numbers_of_classes_are_those_of_the_basis(k):
    states = np.linspace(0, 1, 7 * k + 1)
    expected = ClassBasis(k).classes(states[:, None]) + 1
    np.testing.assert_array_equal(class_numbers(states, k), expected)
    middles = (np.arange(k) + 0.5) / k
    np.testing.assert_array_equal(class_numbers(middles, k), np.arange(1, k + 1))


def test_how_well_states_are_known():
    stds = np.array([0.1, 0.3])
    assert known_words(RANGE, np.zeros(2), stds) == "known to ± 0.200 on average"
    assert known_words(CIRCLE, np.zeros(2), stds) == "known to ± 0.200 of a turn on average"
    states, stds = np.array([0.125, 0.125, 0.625, 0.125]), np.full(4, 0.05)
    assert known_words(CLASSES, states, stds) == (
        "with 75 %, 0 %, 25 %, 0 % of the particles, each in another with probability 0.050"
    )
