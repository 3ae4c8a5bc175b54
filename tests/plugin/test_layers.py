"""Layer tuples, without a viewer; that napari takes them is tested with the reader."""

import numpy as np
import pytest

from napari_hypermol.io.mrc import Volume, write_stack
from napari_hypermol.io.particle_file import read_particles
from napari_hypermol.plugin.layers import (
    ISO_FRACTION,
    maps_layer,
    particles_layer,
    run_layer,
    stack_layer,
    volume_layer,
)
from napari_hypermol.runs.store import Run


def test_particles(pretzel_folder):
    file = read_particles(pretzel_folder / "particles.star")
    data, attributes, kind = particles_layer(file)
    assert kind == "image"
    assert data.shape == (60, 24, 24)
    assert attributes["axis_labels"] == ("particle", "y", "x")
    assert attributes["scale"] == (96 / 60, 4.0, 4.0)  # along z of the box
    assert attributes["translate"] == (-48.0, -48.0, -48.0)
    facts = attributes["metadata"]["hypermol"]
    assert facts["particles"] == str((pretzel_folder / "particles.star").resolve())
    assert len(facts["table"]) == 60
    low, high = attributes["contrast_limits"]
    everything = np.asarray(data)
    assert np.mean((everything >= low) & (everything <= high)) == pytest.approx(0.99, abs=0.005)


def test_limits_of_a_blank_stack(tmp_path):
    write_stack(tmp_path / "blank.mrcs", np.zeros((3, 4, 4)), 1.0)
    low, high = stack_layer(tmp_path / "blank.mrcs")[1]["contrast_limits"]
    assert high > low


def test_volume_without_origin_is_centred():
    volume = Volume(np.random.default_rng(0).random((5, 6, 8), dtype=np.float32), 2.0, (0, 0, 0))
    _, attributes, _ = volume_layer(volume, "some/map.mrc.gz")
    assert attributes["name"] == "map"
    assert attributes["translate"] == (-4.0, -6.0, -8.0)
    assert attributes["units"] == ("angstrom",) * 3


def test_volume_with_origin_stays_there():
    volume = Volume(np.ones((4, 4, 4), dtype=np.float32), 2.0, (10.0, 20.0, 30.0))
    _, attributes, _ = volume_layer(volume, "map.mrc")
    assert attributes["translate"] == (30.0, 20.0, 10.0)


def test_volume_of_unknown_pixel_size_claims_none():
    volume = Volume(np.ones((4, 4, 4), dtype=np.float32), None, (0.0, 0.0, 0.0))
    _, attributes, _ = volume_layer(volume, "map.mrc")
    assert attributes["units"] == ("pixel",) * 3
    assert attributes["scale"] == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("values", [0.0, -1.0, 1.0])
def test_flat_volume_has_sane_limits(values):
    volume = Volume(np.full((4, 4, 4), values, dtype=np.float32), 1.0, (0.0, 0.0, 0.0))
    attributes = volume_layer(volume, "map.mrc")[1]
    low, high = attributes["contrast_limits"]
    assert low < high
    assert low <= attributes["iso_threshold"] <= high


def test_threshold_shows_the_molecule_and_not_the_noise():
    rng = np.random.default_rng(1)
    values = rng.normal(scale=0.1, size=(20, 20, 20)).astype(np.float32)
    values[8:12, 8:12, 8:12] += 2.0
    threshold = volume_layer(Volume(values, 1.0, (0, 0, 0)), "map.mrc")[1]["iso_threshold"]
    assert 0.4 < threshold < 1.5


def test_stack(tmp_path):
    images = np.random.default_rng(0).random((7, 6, 6), dtype=np.float32)
    write_stack(tmp_path / "some.mrcs", images, 1.5)
    data, attributes, _ = stack_layer(tmp_path / "some.mrcs")
    np.testing.assert_array_equal(np.asarray(data), images)
    assert attributes["scale"] == (1.0, 1.5, 1.5)
    assert attributes["axis_labels"] == ("image", "y", "x")


def test_maps(small_maps):
    maps = small_maps(dims=2)
    data, attributes, _ = maps_layer(maps, 3.0, "name", {"run": "there"})
    assert data.shape == (21, 21, 8, 8, 8)
    assert attributes["axis_labels"] == ("tau1", "tau2", "z", "y", "x")
    assert attributes["units"] == ("dimensionless",) * 2 + ("angstrom",) * 3
    assert attributes["scale"] == (0.05, 0.05, 3.0, 3.0, 3.0)
    assert attributes["translate"] == (0.0, 0.0, -12.0, -12.0, -12.0)
    assert attributes["contrast_limits"] == (0.0, 10.0)
    assert attributes["iso_threshold"] == ISO_FRACTION * 10.0
    facts = attributes["metadata"]["hypermol"]
    assert facts["axes"] == maps.axes
    assert facts["run"] == "there"
    assert not maps.asked


def test_maps_of_every_kind(mixed_maps):
    data, attributes, _ = maps_layer(mixed_maps, 3.0, "name", {})
    assert attributes["axis_labels"] == ("tau1 (circle)", "tau2 (class)", "tau3", "z", "y", "x")
    # world coordinates are states: where each slider begins, and how far apart its stops are
    at = zip(attributes["translate"][:3], attributes["scale"][:3], data.shape[:3], strict=True)
    found = [first + step * np.arange(n) for first, step, n in at]
    np.testing.assert_allclose(found[0], np.arange(10) / 10)
    np.testing.assert_allclose(found[1], [0.125, 0.375, 0.625, 0.875])
    np.testing.assert_allclose(found[2], np.arange(11) / 10)


def test_run(run_folder):
    run = Run.open(run_folder)
    data, attributes, _ = run_layer(run)
    assert data.shape == (21, 21, 24, 24, 24)
    np.testing.assert_allclose(data[5, 20].compute(), run.maps.volume((0.25, 1.0)), atol=1e-6)
    assert attributes["name"] == "run_1"
    assert attributes["metadata"]["hypermol"]["run"] == str(run_folder.resolve())
    every = np.asarray(data[::5, ::5])
    assert attributes["contrast_limits"][1] == pytest.approx(every.max(), rel=0.05)
