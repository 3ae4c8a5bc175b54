"""The samples: quick, the same every time, with sliders."""

import time

import numpy as np
import pytest

from napari_hypermol.plugin.sample_data import cache_folder, make_cat, make_pretzel
from napari_hypermol.synthetic.simulate import MOLECULES


@pytest.mark.parametrize(
    ("make", "name", "dims"), [(make_cat, "cat", 1), (make_pretzel, "pretzel", 2)]
)
def test_sample(make, name, dims):
    began = time.monotonic()
    particles, molecule = make()
    seconds = time.monotonic() - began
    assert seconds < 15, "samples are promised in 5 s; three times that on a busy machine"
    assert particles[0].shape == (500, 64, 64)
    assert molecule[0].shape == (21,) * dims + (64, 64, 64)
    assert not list(cache_folder().glob("tmp*"))
    truth = MOLECULES[name](64)
    ends = [c.volume(1.0 if c.has_state else 0.0, 64) for c in truth.components]
    shown = np.asarray(molecule[0][(-1,) * dims])
    assert np.corrcoef(shown.ravel(), np.sum(ends, axis=0).ravel())[0, 1] > 0.99999
    assert molecule[1]["contrast_limits"][1] >= shown.max() * (1 - 1e-6)


def test_second_opening_reads_the_cache():
    make_cat()
    before = (cache_folder() / "cat" / "particles.mrcs").stat().st_mtime_ns
    make_cat()
    assert (cache_folder() / "cat" / "particles.mrcs").stat().st_mtime_ns == before


@pytest.mark.qt
def test_pretzel_in_napari(make_napari_viewer_proxy, plugin):
    viewer = make_napari_viewer_proxy()
    particles, molecule = viewer.open_sample("napari-hypermol", "pretzel")
    assert viewer.dims.axis_labels == ("tau1", "tau2", "z", "y", "x")
    assert viewer.dims.units is not None  # the particles' axis does not spoil the scale bar
    z = viewer.dims.range[2]
    assert (z.start, z.stop) == pytest.approx((-96, 96), abs=3)
    assert not particles.visible
    slice_shown = np.asarray(molecule.data[tuple(viewer.dims.current_step[:2])])
    assert slice_shown.max() > 0
    assert "recipe" in particles.metadata["hypermol"]
