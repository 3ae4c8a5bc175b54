"""Movies, read back."""

import imageio.v3 as imageio
import numpy as np
import pytest

from napari_hypermol.errors import HypermolError, OutputExistsError
from napari_hypermol.io.movie import write_movie


@pytest.fixture
def frames():
    """Grey, brighter from picture to picture; an odd number of rows, with alpha."""
    return [np.full((61, 80, 4), 20 + 40 * k, dtype=np.uint8) for k in range(5)]


@pytest.mark.parametrize(("name", "shape"), [("a.mp4", (60, 80)), ("a.gif", (61, 80))])
def test_movie_reads_back(frames, tmp_path, name, shape):
    path = tmp_path / name
    write_movie(path, frames, 10)
    found = imageio.imread(path, plugin="FFMPEG" if name.endswith("mp4") else None)
    assert found.shape == (5, *shape, 3)
    np.testing.assert_allclose(found.mean(axis=(1, 2, 3)), [20, 60, 100, 140, 180], atol=4)
    meta = imageio.immeta(path, plugin="FFMPEG") if name.endswith("mp4") else imageio.immeta(path)
    assert meta.get("fps", 10) == 10
    assert meta.get("duration", 0) in (pytest.approx(0.5, abs=0.01), 100)
    with pytest.raises(OutputExistsError):
        write_movie(path, frames, 10)
    assert list(tmp_path.iterdir()) == [path]


def test_refuses(frames, tmp_path):
    with pytest.raises(HypermolError, match=r"expected \.mp4 or \.gif"):
        write_movie(tmp_path / "a.avi", frames, 10)
    with pytest.raises(HypermolError, match="no frames"):
        write_movie(tmp_path / "a.gif", [], 10)
