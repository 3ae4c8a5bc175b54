from pathlib import Path

import numpy as np

from napari_hypermol.coordinates.grids import voxel_positions
from napari_hypermol.runs.from_recipe import composite_of
from napari_hypermol.runs.recipe_text import recipe_from
from napari_hypermol.runs.support_maps import support_maps

BOX, PIXEL = 24, 4.0


def test_supports_lie_where_their_components_are_placed():
    arm = {"support": {"ball": {"center": [20, 4, 8], "radius": 16}}, "state": {"degree": 1}}
    placed = {"axis": [0, 0, 1], "angle": 90, "shift": [0, 0, 12]}
    components = {"arm": arm, "copy": {"share": "arm", "placed": placed, "state": {}}}
    composite = composite_of(recipe_from({"components": components}), Path(), BOX, PIXEL)
    first, second = support_maps(composite, list(components))
    assert (first.component, second.component) == ("arm", "copy")
    # turned by 90 degrees about z, (20, 4, 8) goes to (-4, 20, 8), and then up by 12
    for found, centre in ((first, (20, 4, 8)), (second, (-4, 20, 20))):
        distance = np.linalg.norm(voxel_positions(BOX) * PIXEL - np.array(centre), axis=-1)
        np.testing.assert_array_equal(found.values == 1, distance <= 16)


def test_copies_of_a_symmetry_carry_the_name_of_the_recipe():
    arm = {"support": {"ball": {"center": [24, 0, 0], "radius": 12}}, "symmetry": "C3"}
    recipe = recipe_from({"components": {"the_arm": arm}})
    found = support_maps(composite_of(recipe, Path(), BOX, PIXEL), ["the_arm"])
    assert [one.component for one in found] == ["the_arm"] * 3
    places = [np.argwhere(one.values > 0.5).mean(axis=0).round() for one in found]
    assert len(np.unique(places, axis=0)) == 3


def test_a_preview_has_fewer_samples_of_the_same_ball():
    ball = {"support": {"ball": {"center": [16, 0, -8], "radius": 24}}}
    composite = composite_of(recipe_from({"components": {"arm": ball}}), Path(), BOX, PIXEL)
    (fine,), (coarse,) = (support_maps(composite, ["arm"], n) for n in (None, 12))
    assert coarse.values.shape == (12, 12, 12)
    volumes = [one.values.sum() / one.values.size for one in (fine, coarse)]
    assert abs(volumes[1] / volumes[0] - 1) < 0.1
