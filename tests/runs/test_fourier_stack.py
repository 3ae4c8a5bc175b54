import pickle

import dask.array as da
import numpy as np
import pytest

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.imaging.forward import image_samples
from napari_hypermol.io import read_particles
from napari_hypermol.runs import fourier_stack, scratch
from napari_hypermol.runs.fourier_stack import read_fourier_stack
from oracles.dft import image_transform

RADIUS = 8.0


@pytest.fixture(scope="module")
def particles(tiny_run):
    return read_particles(tiny_run.data / "particles.star").particles


@pytest.fixture(scope="module")
def stack(particles):
    return read_fourier_stack(particles, RADIUS)


def test_values_are_the_transform_of_the_images(particles, stack):
    image = np.asarray(particles.images[3].compute(), dtype=np.float64)
    for at in (0, 5, 40, len(stack.samples.kx) - 1):
        kx, ky = int(stack.samples.kx[at]), int(stack.samples.ky[at])
        assert stack.values[3, at] == pytest.approx(image_transform(image, kx, ky), abs=1e-4)


def test_power_is_that_of_each_shell(particles, stack):
    squares = abs(stack.values[7].astype(np.complex128)) ** 2 * stack.samples.weights
    expected = [squares[stack.samples.shells == s].sum() for s in range(stack.n_shells)]
    np.testing.assert_allclose(stack.power[7], expected, rtol=1e-5)


def test_reading_in_chunks_changes_nothing(particles, stack):
    seen = []
    in_sevens = particles._replace(images=particles.images.rechunk((7, -1, -1)))
    again = read_fourier_stack(in_sevens, RADIUS, seen.append)
    np.testing.assert_array_equal(again.values, stack.values)
    np.testing.assert_array_equal(again.power, stack.power)
    np.testing.assert_allclose(seen, [*np.arange(7, 60, 7) / 60, 1])


def test_stack_larger_than_memory_lives_in_a_file(particles, stack, monkeypatch):
    monkeypatch.setattr(scratch, "MEMORY_SHARE", 0.0)
    again = read_fourier_stack(particles, RADIUS)
    assert isinstance(again.values, np.memmap)
    np.testing.assert_array_equal(again.values, stack.values)


def test_constant_images_are_refused(particles):
    flat = particles._replace(images=da.zeros((5, 24, 24), dtype=np.float32))
    with pytest.raises(ParticleFileError, match="all particle images are constant"):
        read_fourier_stack(flat, RADIUS)


def test_a_chunk_is_sent_without_the_rest_of_the_stack(particles, stack):
    """Else what goes to workers would grow with the square of the particles."""
    one = particles._replace(images=particles.images.rechunk((1, -1, -1)))
    sizes = []
    for part in (one.images[:5], one.images):
        chunks = fourier_stack._parts(part, stack.samples, stack.n_shells)
        sizes.append(max(len(pickle.dumps(chunk.graph)) for _, chunk in chunks))
    assert sizes[1] < 1.5 * sizes[0]


# ---- transformed on a device -----------------------------------------------------------------


def in_tens(particles):
    return particles._replace(images=particles.images.rechunk((10, -1, -1)))


def test_a_device_gives_the_same(cupy, particles, stack):
    seen = []
    there = read_fourier_stack(in_tens(particles), RADIUS, seen.append, device="cuda")
    assert there.device == "cuda"
    assert isinstance(there.values, np.ndarray)
    scale = np.abs(stack.values).max()
    np.testing.assert_allclose(there.values, stack.values, atol=1e-5 * scale)
    np.testing.assert_allclose(there.power, stack.power, rtol=1e-4, atol=1e-6 * stack.power.max())
    np.testing.assert_allclose(seen, np.arange(10, 61, 10) / 60)


def test_a_device_whose_memory_runs_out_leaves_the_rest(cupy, particles, stack, monkeypatch):
    class Full(Exception):
        pass

    calls = []

    def samples_of(images, samples):
        calls.append(type(images))
        if len(calls) == 3:
            raise Full
        return image_samples(images, samples)

    monkeypatch.setattr(fourier_stack, "DEVICE_OUT_OF_MEMORY", (Full,))
    monkeypatch.setattr(fourier_stack, "image_samples", samples_of)
    there = read_fourier_stack(in_tens(particles), RADIUS, device="cuda")
    assert calls == 3 * [cupy.ndarray] + 4 * [np.ndarray]  # the third again
    np.testing.assert_allclose(there.values, stack.values, atol=1e-5 * np.abs(stack.values).max())


def test_trouble_with_a_file_is_told_from_the_helper_too(cupy, tiny_run, tmp_path):
    for name in ("particles.star", "particles.mrcs"):
        (tmp_path / name).write_bytes((tiny_run.data / name).read_bytes())
    particles = read_particles(tmp_path / "particles.star").particles
    (tmp_path / "particles.mrcs").unlink()
    with pytest.raises(ParticleFileError):
        read_fourier_stack(particles, RADIUS, device="cuda")
