import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_hypermol.coordinates.fourier import half_plane_to_image, image_to_half_plane
from napari_hypermol.synthetic.gaussians import GaussianComponent, GaussianMolecule
from oracles.gaussian_projection import gaussian_projection

AMPLITUDES, WIDTHS = np.array([1.0, 0.6, 1.5]), np.array([1.5, 2.0, 1.7])
PLACES = np.array([[2.0, -1.0, 3.0], [-4.0, 2.5, 0.3], [0.2, 4.0, -2.0]])


def swing(states):
    """The first Gaussian moves along y, the others rest."""
    centres = np.repeat(PLACES[None], len(states), axis=0)
    centres[:, 0, 1] += 4 * states
    return centres


def rest(states):
    return np.repeat(0.5 * PLACES[None, :1], len(states), axis=0)


MOVING = GaussianComponent("arm", swing, AMPLITUDES, WIDTHS, True)
RIGID = GaussianComponent("body", rest, AMPLITUDES[:1], WIDTHS[:1], False)


@pytest.mark.parametrize("size", [30, 31])  # no Gaussian reaches round the edge
def test_projections_in_closed_form(rng, size):
    rotations = Rotation.random(2, rng=rng).as_matrix()
    states = np.array([[0.0], [0.7]])
    molecule = GaussianMolecule((RIGID, MOVING))
    images = half_plane_to_image(molecule.projections_ft(rotations, states, size), (size, size))
    for image, rotation, state in zip(images, rotations, states, strict=True):
        expected = gaussian_projection(swing(state)[0], AMPLITUDES, WIDTHS, rotation, size)
        expected += gaussian_projection(rest(state)[0], AMPLITUDES[:1], WIDTHS[:1], rotation, size)
        # a Gaussian of 1.5 voxels has 1e-5 of its transform beyond Nyquist
        np.testing.assert_allclose(image, expected, atol=1e-4 * expected.max())


@pytest.mark.parametrize("turn", ["identity", "x", "y"])
def test_projections_are_sums_of_the_volume(turn):
    """Quarter turns, for which summing voxels needs no interpolation."""
    size = 25  # odd: a quarter turn maps the voxels onto themselves
    volume = MOVING.volume(0.3, size) + RIGID.volume(0.9, size)
    rotation = np.eye(3)
    if turn != "identity":
        rotation = Rotation.from_euler(turn, 90, degrees=True).as_matrix()
    # rotation @ r = image frame: for x, (x, y, z) -> (x, -z, y); for y, (x, y, z) -> (z, y, -x)
    seen = {
        "identity": volume.sum(axis=0),
        "x": volume.sum(axis=1)[::-1],
        "y": volume.sum(axis=2).T,
    }[turn]
    molecule = GaussianMolecule((RIGID, MOVING))
    half = molecule.projections_ft(rotation[None], np.array([[0.3]]), size)[0]
    np.testing.assert_allclose(half, image_to_half_plane(seen), atol=1e-3 * abs(half).max())


def test_states_go_to_the_components_that_have_one():
    molecule = GaussianMolecule((MOVING, RIGID, MOVING))
    assert molecule.dims == 2
    one, two = (
        molecule.projections_ft(np.eye(3)[None], np.array([states]), 16)
        for states in ([0.1, 0.8], [0.8, 0.1])
    )
    np.testing.assert_allclose(one, two, atol=1e-5 * abs(one).max())  # both arms are alike


def test_volume_in_numbers():
    lone = GaussianComponent(
        "bead", lambda t: np.zeros((len(t), 1, 3)), AMPLITUDES[:1], WIDTHS[:1], False
    )
    volume = lone.volume(0.0, 8)
    assert volume[4, 4, 4] == 1.0
    assert volume[4, 4, 7] == pytest.approx(np.exp(-0.5 * (3 / 1.5) ** 2))
    assert volume.dtype == np.float32


def test_gaussians_that_are_not_always_there():
    """The second of two beads is half there at state 0.5 and missing at state 1."""

    def fading(states):
        return np.stack([np.ones(len(states)), 1 - states], axis=1)

    places = np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0]])
    pair = GaussianComponent(
        "pair", lambda t: np.repeat(places[None], len(t), axis=0),
        np.array([1.0, 4.0]), np.array([1.0, 1.0]), True, presence=fading,
    )  # fmt: skip
    bead = np.exp(-4.5)  # of one, where the other is
    for state, factor in ((0.0, 4.0), (0.5, 2.0), (1.0, 0.0)):
        volume = pair.volume(state, 16)
        assert volume[8, 8, 11] == pytest.approx(factor + bead, rel=1e-6)
        assert volume[8, 8, 8] == pytest.approx(1 + factor * bead, rel=1e-6)
    states = np.array([[0.0], [0.5], [1.0]])
    turns = np.repeat(np.eye(3)[None], 3, axis=0)
    images = half_plane_to_image(
        GaussianMolecule((pair,)).projections_ft(turns, states, 16), (16, 16)
    )
    sums = np.array([pair.volume(s[0], 16).sum(axis=0) for s in states])
    # unit Gaussians: 7e-3 of the spectrum's amplitude is left at Nyquist, 1e-8 of sums' error
    np.testing.assert_allclose(images, sums, atol=0.02 * sums.max())
    totals = images.sum(axis=(1, 2))
    np.testing.assert_allclose(totals / totals[2], [5, 3, 1], rtol=1e-4)


@pytest.mark.parametrize("size", [8, 9])
def test_volume_voxel_by_voxel(size):
    """The definition, one voxel and one Gaussian after the other."""
    volume = MOVING.volume(0.6, size)
    centres = swing(np.array([0.6]))[0]
    for z, y, x in np.ndindex(volume.shape):
        place = np.array([x, y, z]) - size // 2
        expected = sum(
            a * np.exp(-((place - c) ** 2).sum() / (2 * w**2))
            for a, w, c in zip(AMPLITUDES, WIDTHS, centres, strict=True)
        )
        assert volume[z, y, x] == pytest.approx(expected, rel=1e-6, abs=1e-9)
