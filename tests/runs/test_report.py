import base64
import re

import numpy as np
from scipy.spatial.transform import Rotation

from napari_hypermol.runs.directions import direction_density
from napari_hypermol.runs.half_sets import states_compared
from napari_hypermol.runs.report import (
    _sphere,
    montage,
    projection,
    report_page,
)
from napari_hypermol.runs.store import Run


def test_page_needs_nothing_but_itself(tiny_run):
    page = (tiny_run.run.path / "report.html").read_text()
    assert not re.search(r"(src|href)='?\"?(http|/|file)", page)
    pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    assert len(pictures) == 2  # maps along the states; occupancy
    assert all(base64.b64decode(p).startswith(b"\x89PNG") for p in pictures)


def test_page_says_what_was_done(tiny_run):
    page = report_page(tiny_run.run)
    assert "60 of 24 px at 8 Å" in page
    assert "<th>tau2</th><td>state of arm_b, known to ±" in page
    assert "How components move" not in page
    assert "set half_sets: true" in page
    assert 'alt=""' not in page
    rows = page[page.index("<h2>Sweeps") :].count("<tr>")
    assert rows == 1 + len(tiny_run.run.snapshot.trace)


def test_names_from_outside_are_escaped(tiny_run):
    run = Run(tiny_run.run.path, tiny_run.run.facts | {"particles": "<script>alert(1)</script>"})
    assert "<script>" not in report_page(run)


def test_half_sets_have_their_table(tiny_run, monkeypatch):
    states = states_compared(tiny_run.run.maps.axes)
    halves = {"states": states, "resolution": [21.0] * 10, "threshold": 0.143}
    halves["fsc"] = [[1.0, 0.9, 0.1]] * 10
    metrics = tiny_run.run.metrics | {"half_sets": halves}
    monkeypatch.setattr(Run, "metrics", property(lambda self: metrics))
    page = report_page(tiny_run.run)
    assert "0.10, 0.50" in page
    assert "21.0 Å" in page


def test_projection_has_z_upwards():
    volume = np.zeros((4, 4, 4))
    volume[3, 1, 2] = 1  # top, right
    np.testing.assert_array_equal(np.argwhere(projection(volume)), [[0, 2]])
    np.testing.assert_array_equal(np.argwhere(projection(volume, axis=0)), [[1, 2]])


def test_rows_of_a_montage_share_their_grey_scale():
    pictures = [np.full((3, 3), 1.0), np.full((3, 3), 4.0)]
    figure = montage([("one", pictures), ("dark", [np.zeros((3, 3))])], ["a", "b"])
    images = [axes.images[0] for axes in figure.axes]
    assert [i.get_clim() for i in images] == [(0, 4), (0, 4), (0, 1)]
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", ""]


def test_says_whether_states_are_used(tiny_run, monkeypatch):
    use = {"component": "<arm>", "information": 1.5, "motion": 0.1, "gain": 2.0, "cost": 0.5}
    found = {"states": [use | {"is_used": True}], "mirrors": []}
    metrics = tiny_run.run.metrics | {"diagnostics": found}
    monkeypatch.setattr(Run, "metrics", property(lambda self: metrics))
    page = report_page(tiny_run.run)
    assert "<h2>Is the state used?" in page
    assert "the state of &lt;arm&gt; is used" in page
    found["states"][0] = use | {"is_used": False}
    assert "is not used" in report_page(tiny_run.run)
    found["states"] = []  # a rigid molecule
    assert "Is the state used?" not in report_page(tiny_run.run)
    del metrics["diagnostics"]  # a run that has not ended
    assert "Is the state used?" not in report_page(tiny_run.run)


def test_page_of_every_kind(mixed_run):
    page = report_page(mixed_run.run)
    assert "<th>tau1</th><td>circular state of ring, known to ±" in page
    assert "class of lobe, with" in page
    assert "position of lid, known to ±" in page
    assert "A circle has no ends" in page
    assert "Classes have no order" in page
    assert "How components move as a whole" in page
    assert "<li>lid turns by" in page
    pictures = re.findall(r"data:image/png;base64,", page)
    assert len(pictures) == 4  # maps along circle, classes and position; occupancies


def test_half_sets_name_classes(mixed_run, monkeypatch):
    states = states_compared(mixed_run.run.maps.axes)
    n = len(states)
    halves = {"states": states, "resolution": [21.0] * n, "fsc": [[1.0, 0.1]] * n}
    halves["threshold"] = 0.143
    metrics = mixed_run.run.metrics | {"half_sets": halves}
    monkeypatch.setattr(Run, "metrics", property(lambda self: metrics))
    assert "0.50, class 1, 0.50" in report_page(mixed_run.run)


def test_viewing_directions_are_where_they_are(rng):
    """All seen along x of the molecule: one part of the sphere holds them; uniform: all alike."""
    along_x = np.array([[[0.0, 1, 0], [0, 0, 1], [1, 0.1, 0.1]]]).repeat(500, axis=0)
    density = direction_density(along_x)
    assert density.shape == (10, 5)
    assert density[5, 2] == density.size == density.sum()
    assert direction_density(along_x.swapaxes(1, 2))[5, 2] == 0  # not the image in the molecule
    uniform = Rotation.random(200_000, rng=rng).as_matrix()
    density = direction_density(uniform)
    assert density.shape == (36, 18)
    # 5 standard errors of 309 counts
    np.testing.assert_allclose(density, 1, atol=5 / np.sqrt(200_000 / density.size))


def test_picture_of_the_sphere_has_east_to_the_right_and_north_up():
    density = np.zeros((8, 4))
    density[6, 3] = 1  # longitude 90 to 135 degrees, high z
    (mesh,) = _sphere(density).axes[0].collections
    rows, columns = np.nonzero(np.asarray(mesh.get_array()))
    assert (rows.min(), rows.max()) == (120, 179)
    assert (columns.min(), columns.max()) == (270, 314)
