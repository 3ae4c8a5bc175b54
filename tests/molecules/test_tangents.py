import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_hypermol.molecules.tangents import shell_products, tangent_volumes, twist_about

SIZE = 24
# Inside the cube and below Nyquist: 4.5 widths from the wall a Gaussian is 4e-5 of its peak (it is
# cut there; the transform goes on round the cube), and 2 voxels wide its part beyond Nyquist less.
CENTRES = np.array([[2.0, -1.0, 0.5], [-1.5, 1.0, -2.0]])
WIDTHS, HEIGHTS = (2.2, 2.0), (1.0, -0.6)


def density(omega=(0, 0, 0), v=(0, 0, 0), spacing=1.0):
    """Two Gaussians moved rigidly by a finite twist about the middle, on voxels of `spacing`."""
    axis = (np.arange(SIZE) - SIZE // 2) * spacing
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    places = Rotation.from_rotvec(omega).apply(spacing * CENTRES) + np.array(v)
    total = np.zeros((SIZE,) * 3)
    for place, width, height in zip(places, WIDTHS, HEIGHTS, strict=True):
        squares = (x - place[0]) ** 2 + (y - place[1]) ** 2 + (z - place[2]) ** 2
        total += height * np.exp(-squares / (2 * (width * spacing) ** 2))
    return total


@pytest.mark.parametrize("spacing", [1.0, 1.6])
@pytest.mark.parametrize("entry", range(6))
def test_tangents_are_difference_quotients(entry, spacing):
    step = 1e-3
    above, below = (np.zeros(6), np.zeros(6))
    above[entry], below[entry] = step, -step
    quotient = density(above[:3], above[3:], spacing) - density(below[:3], below[3:], spacing)
    quotient /= 2 * step
    found = tangent_volumes(np.stack([density(spacing=spacing)] * 2), spacing)[1, entry]
    assert abs(quotient).max() > 0.05
    np.testing.assert_allclose(found, quotient, atol=5e-4 * abs(quotient).max())


def test_twists_about_another_point_move_points_alike(rng):
    twists, centre = rng.normal(size=(4, 6, 3)), rng.normal(size=3)
    about = twist_about(twists, centre)
    points = rng.normal(size=(5, 3))
    for t in range(4):
        for p in range(3):
            omega, v = twists[t, :3, p], twists[t, 3:, p]
            there_omega, there_v = about[t, :3, p], about[t, 3:, p]
            for x in points:
                expected = np.cross(omega, x) + v
                found = np.cross(there_omega, x - centre) + there_v
                np.testing.assert_allclose(found, expected, atol=1e-12)


def test_shell_products_add_up_to_inner_products(rng):
    volumes = rng.normal(size=(3, 8, 8, 8))
    products = shell_products(volumes, 5)
    assert products.shape == (5, 3, 3)
    flat = volumes.reshape(3, -1)
    np.testing.assert_allclose(products.sum(axis=0), flat @ flat.T, atol=1e-9)
    np.testing.assert_array_equal(products, np.swapaxes(products, 1, 2))


def test_shells_are_bins_of_frequency():
    """A plane wave of 3 cycles lies in shell 3; a constant in shell 0; corners in the last."""
    x = np.arange(8)
    wave = np.broadcast_to(np.cos(2 * np.pi * 3 * x / 8), (8, 8, 8))
    corner = np.broadcast_to((-1.0) ** x, (8, 8, 8)) * ((-1.0) ** x)[:, None]
    products = shell_products(np.stack([wave, np.ones((8, 8, 8)), corner]), 5)
    for volume, shell in enumerate((3, 0, 4)):
        assert np.flatnonzero(products[:, volume, volume] > 1e-9).tolist() == [shell]
