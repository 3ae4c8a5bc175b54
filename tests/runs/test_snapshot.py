import numpy as np

from examples import pretzel_like
from napari_hypermol.runs.snapshot import RecoverySettings, Snapshot
from napari_hypermol.runs.stage_problem import Estimate
from napari_hypermol.schedules.stage import Stage

STAGE = Stage("mean", 4.0, 1, sweeps=2)


def test_unless_asked_poses_are_known_and_all_stages_done():
    settings = RecoverySettings([STAGE])
    assert settings.poses is None
    assert not settings.is_adaptive
    assert settings.refine_contrast


def test_maps_are_those_of_the_coefficients(rng):
    molecule = pretzel_like(16, degree=1).discretise(4.0, 1)
    theta = rng.normal(size=molecule.n_coefficients).astype(np.float32)
    estimate = Estimate(theta, [], np.ones((1, 9)), 0.1)
    maps = Snapshot(STAGE, 1, molecule, estimate, None, 1.0, []).maps
    assert [axis.kind for axis in maps.axes] == ["interval"] * 2
    volume = maps.volume([0.2, 0.7])
    assert volume.shape == (16, 16, 16)
    estimate = estimate._replace(theta=2 * theta)
    doubled = Snapshot(STAGE, 1, molecule, estimate, None, 1.0, []).maps.volume([0.2, 0.7])
    np.testing.assert_allclose(doubled, 2 * volume, rtol=1e-4, atol=1e-6)
