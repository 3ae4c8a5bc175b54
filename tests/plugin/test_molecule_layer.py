"""One layer follows a run, and leaves to the user what is his."""

import numpy as np
import pytest

from napari_hypermol.plugin.layers import lay_along_box, maps_layer
from napari_hypermol.plugin.lazy_states import EmptyMaps
from napari_hypermol.plugin.molecule_layer import MoleculeLayer


@pytest.fixture
def viewer():
    from napari.components import ViewerModel

    return ViewerModel()


@pytest.fixture
def report(small_maps):
    """Layer data of a molecule whose highest density is given."""

    def make(highest: float):
        maps = small_maps(dims=1)
        maps.contrast_limits = (0.0, highest)
        return maps_layer(maps, 3.0, "run", {"run": "there", "highest": highest})

    return make


def test_data_are_swapped_in_one_layer(viewer, report):
    molecule = MoleculeLayer()
    molecule.show(viewer, report(1.0))
    layer = molecule.layer
    assert viewer.dims.point[0] == pytest.approx(0.5)
    viewer.dims.set_point(0, 0.2)
    second = report(3.0)
    molecule.show(viewer, second)
    assert list(viewer.layers) == [layer]
    assert layer.data is second[0]
    assert layer.metadata["hypermol"]["highest"] == 3.0
    assert layer.contrast_limits == [0.0, 3.0]
    assert layer.iso_threshold == pytest.approx(0.75)
    assert viewer.dims.point[0] == pytest.approx(0.2)  # the knob stays where the user turned it


@pytest.fixture
def empty(small_maps):
    """The layer of a molecule that is still to come, of so many knobs."""

    def make(dims: int):
        maps = EmptyMaps(small_maps(dims=dims).axes, 8)
        return maps_layer(maps, 3.0, "run", {"run": "there"})

    return make


def test_layer_that_waits_for_its_molecule(viewer, report, empty):
    molecule = MoleculeLayer()
    molecule.make_ready(viewer, empty(1))
    layer = molecule.layer
    assert molecule.is_empty
    assert not np.asarray(layer.data).any()
    viewer.dims.set_point(0, 0.2)
    molecule.show(viewer, report(3.0))
    assert list(viewer.layers) == [layer]
    assert layer.contrast_limits == [0.0, 3.0]
    assert viewer.dims.point[0] == pytest.approx(0.2)
    molecule.drop_empty(viewer)
    assert list(viewer.layers) == [layer]


def test_molecule_that_is_not_what_was_expected(viewer, report, empty):
    molecule = MoleculeLayer()
    molecule.make_ready(viewer, empty(2))
    molecule.show(viewer, report(1.0))
    assert [layer.ndim for layer in viewer.layers] == [4]


def test_molecule_that_never_came(viewer, report, empty):
    molecule = MoleculeLayer()
    molecule.make_ready(viewer, empty(2))
    molecule.drop_empty(viewer)
    assert not viewer.layers


def test_removed_while_it_was_empty(viewer, report, empty):
    molecule = MoleculeLayer()
    molecule.make_ready(viewer, empty(1))
    viewer.layers.clear()
    molecule.drop_empty(viewer)
    molecule.show(viewer, report(1.0))
    assert not viewer.layers
    molecule.show(viewer, report(1.0), is_final=True)
    assert len(viewer.layers) == 1


def test_sliders_begin_at_stops_of_theirs(viewer, mixed_maps):
    """Half way, and of four classes the third, which 0.5 belongs to."""
    data = maps_layer(mixed_maps, 3.0, "run", {})
    MoleculeLayer().show(viewer, data)
    assert viewer.dims.point[:3] == pytest.approx((0.5, 0.625, 0.5))
    assert viewer.dims.current_step[:3] == (5, 2, 5)
    assert viewer.dims.nsteps[:3] == (10, 4, 11)


def test_what_the_user_set_stays(viewer, report):
    molecule = MoleculeLayer()
    molecule.show(viewer, report(1.0))
    molecule.layer.contrast_limits = (0.1, 0.4)
    molecule.show(viewer, report(3.0))
    assert molecule.layer.contrast_limits == [0.1, 0.4]


def test_layer_of_a_run_opened_from_disk_goes_on(viewer, report):
    data, attributes, _ = report(1.0)
    layer = viewer.add_image(data, **attributes)
    MoleculeLayer(layer).show(viewer, report(3.0))
    assert list(viewer.layers) == [layer]
    assert layer.contrast_limits == [0.0, 3.0]


def test_removed_layer_stays_away_until_the_end(viewer, report):
    molecule = MoleculeLayer()
    molecule.show(viewer, report(1.0))
    viewer.layers.remove(molecule.layer)
    molecule.show(viewer, report(2.0))
    assert not viewer.layers
    molecule.show(viewer, report(3.0), is_final=True)
    assert len(viewer.layers) == 1


def test_particles_step_aside(viewer, report):
    facts = {"hypermol": {"kind": "particles"}}
    place = {"scale": (1.0, 3.0, 3.0), "translate": (0.0, -12.0, -12.0)}
    laid = lay_along_box(place, 100, 24.0)  # as they are when opened
    particles = viewer.add_image(np.zeros((100, 8, 8)), metadata=facts, **laid)
    MoleculeLayer().show(viewer, report(1.0))
    assert not particles.visible
    assert particles.extent.world[1][0] < 24
    assert viewer.dims.units is not None
