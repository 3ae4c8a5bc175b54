"""True states and maps as their files have them."""

import shutil

import numpy as np
import pytest
import yaml

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io import read_particles, read_star, write_star, write_volume
from napari_hypermol.runs.truth import TrueComponent, read_truth
from napari_hypermol.synthetic.simulate import simulate
from small_runs import TINY


def test_file_without_truth(pretzel_run):
    with pytest.raises(ParticleFileError, match="has no column trueState"):
        read_truth(pretzel_run.data / "particles.star")


def test_maps_that_are_missing_or_elsewhere(pretzel_run, discrete):
    (discrete / "maps").mkdir()
    for index in range(3):
        (discrete / f"map{index}.mrc").rename(discrete / "maps" / f"map{index}.mrc")
    truth = read_truth(discrete / "truth.star")
    assert truth.components is None
    assert "--truth-maps" in truth.why
    assert read_truth(discrete / "truth.star", discrete / "maps").components is not None


def test_truth_listing_is_read_with_its_states(pretzel_run, truth):
    listing = yaml.safe_load((pretzel_run.data / "truth" / "truth.yaml").read_text())
    assert [c["name"] for c in listing["components"]] == [c.name for c in truth.components]
    assert [c.name for c in truth.moving] == ["arm_a", "arm_b"]
    np.testing.assert_allclose(truth.moving[0].states, np.linspace(0, 1, 21))


# ---- kinds, populations, hinges --------------------------------------------------------------


def a_component(kind, states, occupancy):
    return TrueComponent("one", np.array(states), np.zeros((len(states), 2, 2, 2)), kind, occupancy)


def test_a_listing_without_kinds_is_of_ranges(pretzel_run, tmp_path):
    """As earlier versions wrote it; nothing is then known of the occupancy."""
    shutil.copytree(pretzel_run.data / "truth", tmp_path / "truth")
    shutil.copy(pretzel_run.data / "truth.star", tmp_path)
    path = tmp_path / "truth" / "truth.yaml"
    listing = yaml.safe_load(path.read_text())["components"]
    old = [{k: v for k, v in c.items() if k in ("name", "volumes", "states")} for c in listing]
    path.write_text(yaml.safe_dump({"components": old}))
    truth = read_truth(tmp_path / "truth.star")
    assert [c.kind for c in truth.moving] == ["interval", "interval"]
    assert truth.moving[0].occupancy == ()
    assert truth.hinge is None
    path.write_text(yaml.safe_dump({"components": [c | {"kind": "knot"} for c in old]}))
    with pytest.raises(ParticleFileError, match=r"truth.yaml: body .* kind 'knot'; expected inter"):
        read_truth(tmp_path / "truth.star")


@pytest.mark.parametrize(
    ("molecule", "kind", "occupancy"),
    [
        ("wheel", "circle", ((1.0, 1.0, 1.0),)),
        ("classes", "class", (0.4, 0.3, 0.2, 0.1)),
        ("clam", "interval", ((1.0, 1.0, 1.0),)),
    ],
)
def test_what_simulations_write_is_read(molecule, kind, occupancy, tmp_path):
    simulate(TINY._replace(molecule=molecule, n=2, box_size=16), tmp_path / "data")
    truth = read_truth(tmp_path / "data" / "truth.star")
    (moving,) = truth.moving
    assert (moving.kind, moving.occupancy) == (kind, occupancy)
    assert (truth.hinge is None) == (molecule != "clam")
    if truth.hinge is not None:
        assert truth.hinge.component == "lid"
        assert np.linalg.norm(truth.hinge.axis) == pytest.approx(1, abs=1e-5)


def test_true_poses_and_symmetry(pretzel_run, truth, tmp_path):
    particles = read_particles(pretzel_run.data / "particles.star").particles
    np.testing.assert_array_equal(truth.rotations, particles.rotations)
    np.testing.assert_array_equal(truth.shifts, particles.shifts)
    assert truth.symmetry == "C2"
    shutil.copytree(pretzel_run.data / "truth", tmp_path / "truth")
    blocks = read_star(pretzel_run.data / "truth.star")
    table = blocks["particles"].drop(columns=["rlnAngleRot"])
    write_star(tmp_path / "truth.star", blocks | {"particles": table})
    told = read_truth(tmp_path / "truth.star")
    assert (told.rotations, told.shifts) == (None, None)
    path = tmp_path / "truth" / "truth.yaml"
    path.write_text(path.read_text().replace("C2", "T"))
    with pytest.raises(ParticleFileError, match="symmetry 'T'; expected Cn or Dn"):
        read_truth(tmp_path / "truth.star")


def test_origins_in_pixels(pretzel_run, truth, tmp_path):
    blocks = read_star(pretzel_run.data / "truth.star")
    table = blocks["particles"].copy()
    for name in ("X", "Y"):
        origins = table.pop(f"rlnOrigin{name}Angst").astype(float)
        table[f"rlnOrigin{name}"] = origins / pretzel_run.run.pixel_size
    write_star(tmp_path / "truth.star", blocks | {"particles": table})
    told = read_truth(tmp_path / "truth.star")
    np.testing.assert_allclose(told.shifts, truth.shifts, atol=1e-5)


def test_a_rigid_molecule_has_no_states(tmp_path):
    write_volume(tmp_path / "map.mrc", np.arange(16.0**3).reshape(16, 16, 16), 4.0)
    simulate(TINY._replace(molecule=str(tmp_path / "map.mrc"), n=2, box_size=16), tmp_path / "data")
    truth = read_truth(tmp_path / "data" / "truth.star")
    assert truth.states.shape == (2, 0)
    assert (len(truth.components), truth.moving) == (1, [])


def test_shares_of_a_mixture_by_hand():
    """Beta(2, 1) has the distribution tau^2, Beta(1, 1) tau."""
    mixture = ((0.5, 2.0, 1.0), (0.5, 1.0, 1.0))
    component = a_component("interval", [0, 0.5, 1], mixture)
    shares = component.shares(np.array([0, 0.5, 1]))
    assert shares == pytest.approx([0.5 * (0.25 + 0.5), 0.5 * (0.75 + 0.5)])


def test_prior_of_each_kind_by_hand():
    """Of a range and a turn: the share nearer to each state than to the others."""
    falling = ((1.0, 1.0, 2.0),)  # density 2 (1 - tau), distribution 2 tau - tau^2
    below = np.array([0.25, 0.75]) * 2 - np.array([0.0625, 0.5625])
    prior = a_component("interval", [0, 0.5, 1], falling).log_prior()
    assert np.exp(prior) == pytest.approx([below[0], below[1] - below[0], 1 - below[1]])
    # on a turn, tau > 0.75 is next to state 0
    prior = a_component("circle", [0, 0.5], falling).log_prior()
    assert np.exp(prior) == pytest.approx([below[0] + 1 - below[1], below[1] - below[0]])
    prior = a_component("class", [0.25, 0.75], (0.7, 0.3)).log_prior()
    assert np.exp(prior) == pytest.approx([0.7, 0.3])
    for occupancy in ((), ((1.0, 1.0, 1.0),)):
        prior = a_component("interval", [0, 0.5, 1], occupancy).log_prior()
        assert np.exp(prior) == pytest.approx([1 / 3] * 3)


def test_a_prior_is_never_minus_infinity():
    narrow = ((1.0, 400.0, 400.0),)
    prior = a_component("interval", np.linspace(0, 1, 21), narrow).log_prior()
    assert np.isfinite(prior).all()
