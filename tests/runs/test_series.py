import re

import numpy as np
import pytest

from examples import pretzel_like
from napari_hypermol.bases.classes import ClassBasis
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.fourier import FourierBasis
from napari_hypermol.bases.product import ProductBasis
from napari_hypermol.errors import HypermolError, OutputExistsError
from napari_hypermol.io.mrc import read_volume
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.series import (
    nearest_deviation,
    parse_states,
    series_states,
    write_deviations,
    write_run_volumes,
    write_series,
)
from napari_hypermol.runs.state_axes import StateAxis


@pytest.fixture
def maps(rng):
    molecule = pretzel_like(12).discretise(4)
    return HyperMaps(molecule, rng.normal(size=molecule.n_coefficients).astype(np.float32))


def test_series_along_every_state(maps, tmp_path):
    paths = write_run_volumes(maps, 3.0, tmp_path / "deep" / "maps", steps=4)
    assert [p.name for p in paths] == [f"tau{a}_{i:02d}.mrc" for a in (1, 2) for i in range(4)]
    volume = read_volume(paths[1])
    assert volume.pixel_size == pytest.approx(3.0)
    np.testing.assert_allclose(volume.values, maps.volume([1 / 3, 0.5]), atol=1e-6)
    np.testing.assert_allclose(read_volume(paths[7]).values, maps.volume([0.5, 1]), atol=1e-6)


def test_script_names_the_files_beside_it(maps, tmp_path):
    write_series(maps, [(0.1, 0.5), (0.9, 0.5)], 3.0, tmp_path, "state")
    lines = (tmp_path / "state.cxc").read_text().splitlines()
    names = re.fullmatch(r"open (.*) vseries true", lines[1]).group(1).split()
    assert names == ["state_00.mrc", "state_01.mrc"]
    assert all((tmp_path / name).is_file() for name in names)
    assert float(lines[2].split()[-1]) == pytest.approx(0.25 * maps.contrast_limits[1], rel=1e-5)
    assert any("vseries play" in line for line in lines)


def test_one_map_does_not_play(maps, tmp_path):
    write_series(maps, [(0.5, 0.5)], 3.0, tmp_path, "state")
    assert "play" not in (tmp_path / "state.cxc").read_text()


def test_names_sort_in_order(maps, tmp_path):
    paths = write_series(maps, [(t / 100, 0.5) for t in range(101)], 3.0, tmp_path, "s")
    assert paths == sorted(paths)
    assert paths[-1].name == "s_100.mrc"


@pytest.mark.parametrize("taken", ["tau1_00.mrc", "tau1.cxc", "tau2.cxc"])
def test_nothing_is_overwritten_unasked(maps, tmp_path, taken):
    (tmp_path / taken).write_text("precious")
    with pytest.raises(OutputExistsError, match=taken):
        write_run_volumes(maps, 3.0, tmp_path, steps=2)
    assert [p.name for p in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "precious"
    assert len(write_run_volumes(maps, 3.0, tmp_path, steps=2, overwrite=True)) == 4


def test_rigid_molecule_is_one_map(rng, tmp_path):
    body = Component("body", Ball((0, 0, 0), 4.0), ConstantBasis())
    molecule = Composite([body], 12).discretise(4)
    theta = rng.normal(size=molecule.n_coefficients).astype(np.float32)
    (path,) = write_run_volumes(HyperMaps(molecule, theta), 3.0, tmp_path)
    assert path.name == "map_00.mrc"
    assert (tmp_path / "map.cxc").is_file()


@pytest.mark.parametrize("steps", [0, -3])
def test_steps(maps, tmp_path, steps):
    with pytest.raises(HypermolError, match=f"--steps {steps}: expected at least 1"):
        write_run_volumes(maps, 3.0, tmp_path / "none", steps=steps)
    assert not (tmp_path / "none").exists()


def test_states_as_the_user_writes_them():
    assert parse_states("0.1,0.5", 2) == (0.1, 0.5)
    assert parse_states(" 1 , 0 ", 2) == (1, 0)
    assert parse_states("0.25", 1) == (0.25,)


@pytest.mark.parametrize(
    "text", ["0.1", "0.1,0.2,0.3", "0.1;0.2", "a,b", "", "-0.1,0.5", "nan,0.5", "0.5,1.01"]
)
def test_states_that_are_none(text):
    with pytest.raises(
        HypermolError, match=r"expected 2 number\(s\) from 0 to 1, such as '0.5,0.5'"
    ):
        parse_states(text, 2)


def test_rigid_has_no_states_to_ask_for():
    for text in ("0.5", "abc"):
        with pytest.raises(HypermolError, match="expected 0 number"):
            parse_states(text, 0)


# ---- circles and classes ------------------------------------------------------------------------


@pytest.fixture
def mixed(rng):
    """Three classes and a circle on one ball."""
    basis = ProductBasis(ClassBasis(3), FourierBasis(1), 1)
    ball = Component("ball", Ball((0, 0, 0), 4.0), basis)
    molecule = Composite([ball], 12).discretise(4)
    return HyperMaps(molecule, rng.normal(size=molecule.n_coefficients).astype(np.float32))


def test_classes_have_one_map_each(mixed, tmp_path):
    paths = write_run_volumes(mixed, 3.0, tmp_path, steps=5)
    assert [p.name for p in paths[:3]] == [f"tau1_class{k}.mrc" for k in (1, 2, 3)]
    for k in range(3):
        expected = mixed.volume([(k + 0.5) / 3, 0.5])
        np.testing.assert_allclose(read_volume(paths[k]).values, expected, atol=1e-6)
    script = (tmp_path / "tau1.cxc").read_text()
    assert "oscillate" not in script
    assert "loop true direction forward maxFrameRate 1\n" in script


def test_circle_goes_round_once(mixed, tmp_path):
    paths = write_run_volumes(mixed, 3.0, tmp_path, steps=5)[3:]
    assert [p.name for p in paths] == [f"tau2_{i:02d}.mrc" for i in range(5)]
    maps = [read_volume(path).values for path in paths]
    np.testing.assert_allclose(maps[4], mixed.volume([0.5, 0.8]), atol=1e-6)
    # the first map is not repeated: from the last to the first is a step like any other
    steps = [abs(maps[i] - maps[i - 1]).max() for i in range(5)]
    assert min(steps) > 0.1 * max(steps)
    script = (tmp_path / "tau2.cxc").read_text()
    assert "loop true direction forward maxFrameRate 8\n" in script


def test_names_of_many_classes_sort_in_order(rng, tmp_path):
    ball = Component("ball", Ball((0, 0, 0), 3.0), ClassBasis(11))
    molecule = Composite([ball], 8).discretise(3)
    maps = HyperMaps(molecule, rng.normal(size=molecule.n_coefficients).astype(np.float32))
    paths = write_run_volumes(maps, 3.0, tmp_path)
    assert paths == sorted(paths)
    assert [paths[0].name, paths[-1].name] == ["tau1_class01.mrc", "tau1_class11.mrc"]


def test_deviations_are_named_after_their_maps(maps, tmp_path):
    series = write_run_volumes(maps, 3.0, tmp_path)
    states = np.concatenate(series_states(maps.axes))
    volumes = np.arange(len(states), dtype=np.float32)[:, None, None, None] * np.ones((4, 4, 4))
    paths = write_deviations(maps.axes, volumes.astype(np.float32), 3.0, tmp_path)
    assert [p.name for p in paths] == [f"std_{p.name}" for p in series]
    assert read_volume(paths[7]).values.max() == 7
    for state, path in zip(states, series, strict=True):
        np.testing.assert_allclose(read_volume(path).values, maps.volume(state), atol=1e-6)


def test_deviation_of_a_rigid_map(tmp_path):
    (path,) = write_deviations((), np.ones((1, 4, 4, 4), dtype=np.float32), 3.0, tmp_path)
    assert path.name == "std_map_00.mrc"
    np.testing.assert_array_equal(series_states(())[0], np.zeros((1, 0)))


def test_nearest_deviation(tmp_path):
    axes = (StateAxis("tau1", "wheel", "circle"), StateAxis("tau2", "arm"))
    assert nearest_deviation(axes, tmp_path, (0.5, 0.5)) is None
    n = len(np.concatenate(series_states(axes)))
    volumes = np.arange(n, dtype=np.float32)[:, None, None, None] * np.ones((1, 4, 4, 4))
    write_deviations(axes, volumes.astype(np.float32), 3.0, tmp_path)
    path, state = nearest_deviation(axes, tmp_path, (0.97, 0.5))  # through the end of the circle
    assert state == (0.0, 0.5)
    assert read_volume(path).values.max() == 0
    path, state = nearest_deviation(axes, tmp_path, (0.5, 0.98))
    assert state == (0.5, 1.0)
    assert read_volume(path).values.max() == n - 1
