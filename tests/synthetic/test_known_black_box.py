import numpy as np
from scipy.spatial.transform import Rotation

from black_boxes import Dot
from napari_hypermol.synthetic.gaussians import GaussianComponent, GaussianMolecule
from napari_hypermol.synthetic.known_black_box import KnownBlackBox

THETA = np.array([2.0, -1.0, 0.5, 3.0, 1.0, -2.0])


def test_projections_are_those_of_the_same_gaussian(rng):
    dot = Dot()
    known = KnownBlackBox(dot, THETA)
    peak = dot.mass / (np.sqrt(2 * np.pi) * dot.width) ** 3

    def centres(states):
        return (THETA[:3] + (states[:, None] - 0.5) * THETA[3:])[:, None]

    same = GaussianComponent("dot", centres, np.array([peak]), np.array([dot.width]), True)
    rotations, states = Rotation.random(5, rng=rng).as_matrix(), rng.uniform(size=(5, 1))
    found = known.projections_ft(rotations, states, 16)
    expected = GaussianMolecule((same,)).projections_ft(rotations, states, 16)
    assert known.dims == 1
    assert found.shape == expected.shape
    # beyond Nyquist, where one is zero, exp(-2 pi^2 1.5^2 / 4) = 1e-5 is left of the other
    np.testing.assert_allclose(found, expected, atol=2e-5 * abs(expected).max())
