"""True states and maps as their files have them."""

import numpy as np
import pytest
import yaml

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.runs.truth import read_truth


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
