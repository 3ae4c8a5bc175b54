import numpy as np
import pytest

from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.errors import RecipeError
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.sharing import coefficient_owners, point_group
from napari_hypermol.molecules.support import Ball


def named(name, shares=None):
    return Component(name, Ball((0, 0, 0), 3), CosineBasis(1), shares)


def test_sets_are_numbered_by_their_owners():
    components = [named("a"), named("c", "b"), named("b"), named("d", "a")]
    np.testing.assert_array_equal(coefficient_owners(components), [0, 1, 1, 0])


@pytest.mark.parametrize("shares", ["nobody", "c", "b"])
def test_sharing_with_what_has_no_coefficients_is_refused(shares):
    components = [named("a"), named("b", "a"), named("c", shares)]
    with pytest.raises(RecipeError, match=f"component c: shares with '{shares}'.*those are a"):
        coefficient_owners(components)


GROUPS = {"C1": 1, "C2": 2, "C3": 3, "C7": 7, "C12": 12, "D1": 2, "D2": 4, "D3": 6, "D5": 10}


@pytest.mark.parametrize("name", GROUPS)
def test_point_groups_are_groups_of_rotations(name):
    elements = point_group(name)
    assert len(elements) == GROUPS[name]
    np.testing.assert_array_equal(elements[0], np.eye(3))
    np.testing.assert_allclose(np.linalg.det(elements), 1)
    for a in elements:
        np.testing.assert_allclose(a @ a.T, np.eye(3), atol=1e-12)
        for b in elements:
            found = [np.allclose(a @ b, c, atol=1e-9) for c in elements]
            assert sum(found) == 1  # closed, and no element twice


def test_axes_are_relions():
    """n-fold about z; a two-fold along x, and those that the n-fold axis makes of it."""
    for name, element in (("C4", [0, -1, 0]), ("D4", [0, -1, 0])):
        np.testing.assert_allclose(point_group(name)[1][0], element, atol=1e-12)
    half_turns = point_group("D3")[3:]
    for i, matrix in enumerate(half_turns):
        assert np.trace(matrix) == pytest.approx(-1)  # by 180 degrees
        angle = np.pi * i / 3
        np.testing.assert_allclose(matrix @ [np.cos(angle), np.sin(angle), 0],
                                   [np.cos(angle), np.sin(angle), 0], atol=1e-12)  # fmt: skip


@pytest.mark.parametrize("name", ["C3", "D4"])
def test_elements_of_one_angle_have_conjugate_axes(name):
    """Turning an element's axis by any element gives the axis of another one of the same angle."""
    elements = point_group(name)
    for a in elements[1:]:
        for g in elements:
            turned = g @ a @ g.T
            assert np.trace(turned) == pytest.approx(np.trace(a))
            assert any(np.allclose(turned, c, atol=1e-9) for c in elements)
