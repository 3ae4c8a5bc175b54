import numpy as np
import pytest
import yaml

from napari_hypermol.io import read_volume
from napari_hypermol.synthetic.clam import clam
from napari_hypermol.synthetic.pretzel import pretzel
from napari_hypermol.synthetic.truth_folder import write_truth


def test_maps_are_those_of_the_molecule_over_the_noise(tmp_path):
    molecule = pretzel(16)
    write_truth(molecule, (16, 4.0), 2.0, tmp_path / "truth")
    facts = yaml.safe_load((tmp_path / "truth" / "truth.yaml").read_text())
    assert facts["symmetry"] == "C2"
    assert "hinge" not in facts
    for component, listed in zip(molecule.components, facts["components"], strict=True):
        assert listed["name"] == component.name
        for state, name in zip(listed.get("states", [0.0]), listed["volumes"], strict=True):
            volume = read_volume(tmp_path / "truth" / name)
            np.testing.assert_allclose(volume.values, component.volume(state, 16) / 2, atol=1e-6)
            assert volume.pixel_size == pytest.approx(4.0)


def test_what_is_not_there_is_not_told(tmp_path):
    write_truth(clam(16), (16, 4.0), 1.0, tmp_path / "truth", "bimodal")
    facts = yaml.safe_load((tmp_path / "truth" / "truth.yaml").read_text())
    assert "symmetry" not in facts
    assert facts["hinge"]["component"] == "lid"
    assert facts["occupancy"] == "bimodal"
    assert facts["components"][1]["betas"] == [[0.5, 8.0, 2.5], [0.5, 2.5, 8.0]]


def test_the_pretzel_is_nearly_two_fold():
    """What its symmetry says: turned with the arms exchanged it is nearly the same, not quite."""
    body, *arms = pretzel(32).components
    still = body.volume(0.0, 32) + arms[0].volume(0.2, 32) + arms[1].volume(0.9, 32)
    swapped = body.volume(0.0, 32) + arms[0].volume(0.9, 32) + arms[1].volume(0.2, 32)

    def half_turn(volume):  # about z through voxel 16 of 32: the first row has no partner
        turned = np.zeros_like(volume)
        turned[:, 1:, 1:] = volume[:, :0:-1, :0:-1]
        return turned

    def likeness(a, b):
        return np.corrcoef(a.ravel(), b.ravel())[0, 1]

    assert 0.9 < likeness(half_turn(still), swapped) < 0.999
    assert likeness(half_turn(still), still) < likeness(half_turn(still), swapped) - 0.05
