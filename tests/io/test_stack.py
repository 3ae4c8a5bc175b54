import pickle
import threading

import dask
import mrcfile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io.mrc import write_stack
from napari_hypermol.io.stack import CHUNK_BYTES, computed, images_in_memory, lazy_images

BOX = 4
SIZES = (5, 1, 7)


@pytest.fixture(scope="module")
def stacks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stacks")
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=(n, BOX, BOX)).astype(np.float32) for n in SIZES]
    paths = [folder / f"{i}.mrcs" for i in range(len(SIZES))]
    for path, array in zip(paths, arrays, strict=True):
        write_stack(path, array, 1.0)
    return paths, arrays


places = st.integers(0, len(SIZES) - 1).flatmap(
    lambda f: st.tuples(st.just(f), st.integers(0, SIZES[f] - 1))
)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(places, min_size=1, max_size=30), per_chunk=st.integers(1, 9))
def test_any_order_equals_direct_indexing(stacks, rows, per_chunk):
    paths, arrays = stacks
    file_of, index_of = zip(*rows, strict=True)
    images = lazy_images(paths, file_of, index_of, chunk_bytes=per_chunk * 4 * BOX**2)
    assert images.chunks[0][0] == min(per_chunk, len(rows))
    expected = np.stack([arrays[f][i] for f, i in rows])
    with dask.config.set(scheduler="synchronous"):
        np.testing.assert_array_equal(images.compute(), expected)
        np.testing.assert_array_equal(images[::-2].compute(), expected[::-2])
    assert images.dtype == np.float32


class Looker(dask.callbacks.Callback):
    """Something registered with dask, as napari's cache of chunks is."""

    def __init__(self):
        super().__init__()
        self.callers = []

    def _pretask(self, key, dsk, state):
        self.callers.append(threading.current_thread())


def test_computing_calls_nothing_that_is_registered_with_dask(stacks):
    paths, arrays = stacks
    images = lazy_images(paths, [2, 0], [3, 1])
    with Looker() as looker:
        thread = threading.Thread(target=computed, args=(images,))
        thread.start()
        thread.join()
        np.testing.assert_array_equal(computed(images), [arrays[2][3], arrays[0][1]])
        assert computed(arrays[0]) is arrays[0]
        assert not looker.callers
        images.compute()
        assert looker.callers  # it would have been called


def test_signs_and_other_types(tmp_path):
    with mrcfile.new(tmp_path / "a.mrcs") as file:
        file.set_data(np.arange(2 * BOX**2, dtype=">i2").reshape(2, BOX, BOX))
    images = lazy_images([tmp_path / "a.mrcs"], [0, 0], [1, 0], signs=[1, -1]).compute()
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images[0].ravel(), np.arange(16, 32))
    np.testing.assert_array_equal(images[1].ravel(), -np.arange(16))


def test_compressed_stack(tmp_path, rng):
    values = rng.normal(size=(3, BOX, BOX)).astype(np.float32)
    write_stack(tmp_path / "a.mrcs.gz", values, 1.0)
    images = lazy_images([tmp_path / "a.mrcs.gz"], [0, 0], [2, 0])
    np.testing.assert_array_equal(images.compute(), values[[2, 0]])


def test_opening_reads_no_pixels(stacks, monkeypatch):
    def refuse(*_):
        raise AssertionError("pixels were read")

    monkeypatch.setattr("napari_hypermol.io.stack.open_stack", refuse)
    assert lazy_images(stacks[0], [0, 2, 1], [0, 0, 0]).shape == (3, BOX, BOX)


def test_graph_is_small(tmp_path):
    """A graph of a million particles can be sent: 8 bytes each and little more."""
    write_stack(tmp_path / "a.mrcs", np.zeros((1, 128, 128), np.float32), 1.0)
    n = 100_000
    images = lazy_images([tmp_path / "a.mrcs"], np.zeros(n, int), np.zeros(n, int))
    assert images.numblocks == (-(-n // 256), 1, 1)
    assert len(pickle.dumps(dict(images.dask))) < 12 * n


def test_nan_pixels_name_stack_and_row(tmp_path):
    with mrcfile.new(tmp_path / "a.mrcs") as file:
        file.set_data(np.zeros((3, BOX, BOX), np.float32))
        file.data[1, 2, 2] = np.nan
    images = lazy_images([tmp_path / "a.mrcs"], [0, 0, 0], [0, 2, 1], chunk_bytes=2 * 4 * BOX**2)
    images[:2].compute()
    with pytest.raises(ParticleFileError, match=r"a\.mrcs: image 2 \(row 3 .* NaN"):
        images.compute()


def test_a_stack_that_changed_is_refused(tmp_path):
    write_stack(tmp_path / "a.mrcs", np.zeros((3, BOX, BOX)), 1.0)
    images = lazy_images([tmp_path / "a.mrcs"], [0], [2])
    path = tmp_path / "a.mrcs"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ParticleFileError, match="cut short"):
        images.compute()


def test_headers_are_checked_at_the_door(tmp_path):
    good, big, oblong = (tmp_path / f"{name}.mrcs" for name in ("good", "big", "oblong"))
    write_stack(good, np.zeros((2, 4, 4)), 1.0)
    write_stack(big, np.zeros((2, 6, 6)), 1.0)
    write_stack(oblong, np.zeros((2, 4, 6)), 1.0)
    with pytest.raises(ParticleFileError, match=r"row 2 .* names image 3, expected 1 to 2"):
        lazy_images([good], [0, 0], [0, 2])
    with pytest.raises(ParticleFileError, match=r"big\.mrcs \(row 3 .* box size 6, expected 4"):
        lazy_images([good, big], [0, 0, 1, 1], [0, 1, 0, 1])
    with pytest.raises(ParticleFileError, match="4 x 6, expected square"):
        lazy_images([oblong], [0], [0])
    with pytest.raises(ParticleFileError, match="does not exist"):
        lazy_images([tmp_path / "no.mrcs"], [0], [0])
    good.write_bytes(good.read_bytes()[:-1])
    with pytest.raises(ParticleFileError, match="cut short"):
        lazy_images([good], [0], [0])


def test_images_in_memory_come_in_chunks(rng):
    images = rng.normal(size=(70, 256, 256)).astype(np.float32)
    found = images_in_memory(images)
    assert len(found.chunks[0]) > 1
    assert max(found.chunks[0]) * images[0].nbytes <= CHUNK_BYTES
    assert found.chunks[1:] == ((256,), (256,))
    np.testing.assert_array_equal(found.compute(), images)
