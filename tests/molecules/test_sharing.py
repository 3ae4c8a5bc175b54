import numpy as np
import pytest

from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.errors import RecipeError
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.sharing import coefficient_owners
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
