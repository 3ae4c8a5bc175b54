import numpy as np
import pytest
from hypothesis import given

from napari_hypermol.backend import as_numpy
from napari_hypermol.coordinates.fourier import (
    fast_even_size,
    half_plane_signs,
    half_plane_to_image,
    half_plane_weights,
    image_to_half_plane,
    padded_from_half_space,
    padded_to_half_space,
    radius_index,
    resample_volume,
    signed_half_plane_to_image,
    volume_from_half_space,
    volume_gradient,
    volume_to_half_space,
)
from napari_hypermol.errors import ShapeError
from oracles.dft import image_transform
from strategies import box_sizes, seeds

SHAPES = [(8, 8), (7, 9), (8, 7), (7, 8), (5, 5)]


@pytest.mark.parametrize("shape", SHAPES)
def test_half_plane_is_the_sum_over_pixels(rng, shape):
    image = rng.normal(size=shape)
    half = image_to_half_plane(image)
    assert half.shape == (shape[0], shape[1] // 2 + 1)
    for ky in range(-(shape[0] // 2), (shape[0] + 1) // 2):
        for kx in range((shape[1] + 1) // 2):
            expected = image_transform(image, kx, ky)
            np.testing.assert_allclose(half[ky, kx], expected, atol=1e-12)


@given(seeds, box_sizes, box_sizes)
def test_image_comes_back(seed, rows, columns):
    images = np.random.default_rng(seed).normal(size=(2, rows, columns))
    back = half_plane_to_image(image_to_half_plane(images), (rows, columns))
    np.testing.assert_allclose(back, images, atol=1e-12)


@pytest.mark.parametrize("size", [2, 4, 16, 18])
def test_signs_centre_an_image_too(rng, size):
    half = image_to_half_plane(rng.normal(size=(3, size, size)))
    expected = half_plane_to_image(half, (size, size))
    found = signed_half_plane_to_image(half * half_plane_signs(size))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_signs_do_not_centre_odd_edges():
    with pytest.raises(ShapeError, match="even edges only, got 5"):
        signed_half_plane_to_image(np.zeros((5, 3), dtype=np.complex64))


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_make_half_plane_products_real_space_products(rng, shape):
    a, b = rng.normal(size=(2, *shape))
    products = (np.conj(image_to_half_plane(a)) * image_to_half_plane(b)).real
    np.testing.assert_allclose((half_plane_weights(shape) * products).sum(), (a * b).sum())
    assert not np.isclose(products.sum(), (a * b).sum())  # and without them it is wrong


def test_white_noise_keeps_its_variance(rng):
    half = image_to_half_plane(2 * rng.normal(size=(4000, 6, 6)))
    power = (np.abs(half) ** 2).mean(axis=0)
    # E|F|^2 = 4 everywhere; the worst entries are real: relative error sqrt(2 / 4000) = 2.2 %
    np.testing.assert_allclose(power, 4.0, rtol=5 * 0.022)
    np.testing.assert_allclose(half[:, 0, 0].real.var(), 4.0, rtol=5 * 0.022)
    np.testing.assert_allclose(half[:, 1, 1].real.var(), 2.0, rtol=5 * 0.022)


def test_single_precision_stays_single(rng):
    image = rng.normal(size=(6, 6)).astype(np.float32)
    half = image_to_half_plane(image)
    assert half.dtype == np.complex64
    assert half_plane_to_image(half, (6, 6)).dtype == np.float32


@pytest.mark.parametrize("size", [5, 6])
def test_volume_origin_is_its_middle(rng, size):
    point = np.zeros((size,) * 3)
    point[size // 2, size // 2, size // 2] = 1
    np.testing.assert_allclose(volume_to_half_space(point), 1, atol=1e-12)
    volumes = rng.normal(size=(2, size, size, size))
    half = volume_to_half_space(volumes)
    assert half.shape == (2, size, size, size // 2 + 1)
    np.testing.assert_allclose(half[:, 0, 0, 0], volumes.sum(axis=(1, 2, 3)))
    np.testing.assert_allclose(volume_from_half_space(half, size), volumes, atol=1e-12)


def cosine_volume(size, frequencies):
    """A band-limited function of (z, y, x) in a cube of edge 1, sampled on `size` voxels."""
    axes = np.meshgrid(*[(np.arange(size) - size // 2) / size] * 3, indexing="ij")
    total = np.full((size,) * 3, 0.5)
    for a, b, c, phase in frequencies:
        turns = a * axes[0] + b * axes[1] + c * axes[2]
        total += np.cos(2 * np.pi * turns + phase)
    return total


@pytest.mark.parametrize(("old", "new"), [(8, 12), (12, 8), (8, 8), (8, 10)])
def test_resampling_keeps_the_function(old, new):
    frequencies = [(1, 2, 3, 0.4), (-3, 0, 1, 1.0), (0, -1, 2, 2.0)]
    volume = cosine_volume(old, frequencies)
    np.testing.assert_allclose(
        resample_volume(volume[None], new)[0], cosine_volume(new, frequencies), atol=1e-12
    )


@pytest.mark.parametrize(("size", "expected"), [(1, 2), (7, 8), (8, 8), (13.2, 16), (22, 24)])
def test_fast_even_sizes(size, expected):
    assert fast_even_size(size) == expected


def test_radius_index_in_numbers():
    radii = radius_index(6)
    assert radii.shape == (6, 6, 4)
    assert radii[0, 0, 0] == 0
    assert radii[0, -1, 0] == 1
    assert radii[1, -1, 1] == 2  # sqrt 3
    assert radii[3, 3, 3] == 5  # sqrt 27


def test_gradient_of_waves_is_exact():
    """sin and cos of whole cycles, one along every axis and one across them."""
    size, turn = 8, 2 * np.pi / 8
    z, y, x = np.indices((size,) * 3) - size // 2
    volumes = np.stack(
        [np.sin(3 * turn * x), np.cos(turn * y), np.sin(2 * turn * z), np.sin(turn * (x - 2 * y))]
    )
    expected = np.zeros((4, 3, size, size, size))
    expected[0, 0] = 3 * turn * np.cos(3 * turn * x)
    expected[1, 1] = -turn * np.sin(turn * y)
    expected[2, 2] = 2 * turn * np.cos(2 * turn * z)
    expected[3, 0] = turn * np.cos(turn * (x - 2 * y))
    expected[3, 1] = -2 * expected[3, 0]
    np.testing.assert_allclose(volume_gradient(volumes), expected, atol=1e-12)


def test_gradient_leaves_nyquist_out(rng):
    """At Nyquist a wave and its mirror image are one: it has no direction to rise in."""
    x = np.indices((6, 6, 6))[2]
    assert abs(volume_gradient(((-1.0) ** x)[None])).max() < 1e-12


def test_gradient_is_skew(rng):
    """<grad a, b> = -<a, grad b>, as sums over a periodic cube must be."""
    a, b = rng.normal(size=(2, 1, 6, 6, 6))
    for axis in range(3):
        left = (volume_gradient(a)[0, axis] * b[0]).sum()
        right = (a[0] * volume_gradient(b)[0, axis]).sum()
        np.testing.assert_allclose(left, -right, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "transform",
    [
        image_to_half_plane,
        lambda x: half_plane_to_image(image_to_half_plane(x), (8, 8)),
        volume_to_half_space,
        lambda x: volume_from_half_space(volume_to_half_space(x), 8),
        lambda x: resample_volume(x, 6),
        lambda x: resample_volume(x, 12),
        lambda x: resample_volume(x, 8),
        volume_gradient,
    ],
    ids=["image", "image back", "volume", "volume back", "coarser", "finer", "as fine", "gradient"],
)
def test_on_a_device(cupy, rng, transform, dtype):
    volumes = rng.normal(size=(2, 8, 8, 8)).astype(dtype)
    found, expected = transform(cupy.asarray(volumes)), transform(volumes)
    assert isinstance(found, cupy.ndarray)
    assert found.dtype == expected.dtype
    atol = 20 * np.finfo(dtype).eps * abs(expected).max()
    np.testing.assert_allclose(as_numpy(found), expected, atol=atol)


@pytest.mark.parametrize("edge", [12, 16])
def test_padded_cubes_are_transformed_without_their_padding(rng, edge):
    cubes = rng.normal(size=(2, 6, 6, 6))
    padded = np.pad(cubes, ((0, 0), *[(0, edge - 6)] * 3))
    half = padded_to_half_space(cubes, edge)
    np.testing.assert_allclose(half, np.fft.rfftn(padded, axes=(1, 2, 3)), atol=1e-10)
    np.testing.assert_allclose(padded_from_half_space(half, 6), cubes, atol=1e-12)
    assert padded_to_half_space(cubes.astype(np.float32), edge).dtype == np.complex64
