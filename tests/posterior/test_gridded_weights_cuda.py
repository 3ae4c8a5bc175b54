"""The CUDA code against the plain version, on a pretended device: compiled by g++, run in turn.

With ``--device cuda`` the same on a real one. What only a pretended device can show is at the end.
"""

from typing import NamedTuple

import numpy as np
import pytest

from examples import one_ball, pretzel_like, random_data, random_rotations, scene
from napari_hypermol import backend
from napari_hypermol.coordinates.grids import FourierSamples
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.posterior import gridded_weights_cuda
from napari_hypermol.posterior.gridded_weights import PaddedGrid, gridded_weights
from napari_hypermol.posterior.likelihood import WhitenedImages

# Both sides round frequencies of up to 12 grid steps and add some dozen products, in different
# orders: up to 5e-7 of the largest was seen.
ROUNDING = 5e-6
N = 5


class Case(NamedTuple):
    """What `gridded_weights` needs, in main memory."""

    images: WhitenedImages
    second: np.ndarray
    placements: Placements
    samples: FourierSamples
    grids: list[PaddedGrid]


def make_case(rng, composite, radius, rank=None, n=N):
    """Moments of every column; all pairs are kept, or `rank` directions of any kind."""
    here = scene(composite, radius)
    q = sum(here.molecule.n_functions)
    c = rng.normal(size=(n, q))
    grids = []
    for basis, (w, _) in zip(here.molecule.bases, here.molecule.set_shapes, strict=True):
        n_pairs = w * (w + 1) // 2
        pairs = np.eye(n_pairs) if rank is None else rng.normal(size=(n_pairs, rank))
        grids.append(PaddedGrid(2 * basis.size, basis.grid_scale, pairs.astype(np.float32)))
    return Case(
        random_data(rng, n, here.samples), (c[:, :, None] * c[:, None, :]).astype(np.float32),
        here.placements, here.samples, grids,
    )  # fmt: skip


def named_case(name, rng):
    match name:
        case "one component":
            return make_case(rng, one_ball(12), 5)
        case "three components":
            return make_case(rng, pretzel_like(16, 1), 6)
        case "odd":
            return make_case(rng, pretzel_like(17, 1), 7)
        case "one direction":
            return make_case(rng, one_ball(12), 5, rank=1)
        case "two directions":
            return make_case(rng, one_ball(12), 5, rank=2)
    return make_case(rng, one_ball(8, 3), 3, rank=7)


CASES = [
    "one component", "three components", "odd", "one direction", "two directions",
    "seven directions",
]  # fmt: skip


@pytest.fixture(params=CASES)
def case(request, rng):
    return named_case(request.param, rng)


@pytest.fixture
def small(rng):
    return named_case("three components", rng)


def on_device(cupy, case):
    """Images and moments on the device; the rest stays in main memory, as always."""
    images = WhitenedImages(*map(cupy.asarray, case.images))
    return case._replace(images=images, second=cupy.asarray(case.second))


def agree(found, expected):
    assert isinstance(found, backend.cupy.ndarray)
    assert found.dtype == np.float32
    found = backend.as_numpy(found)
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING * abs(expected).max())


def test_same_as_plain_version(cupy, case):
    agree(gridded_weights(*on_device(cupy, case)), gridded_weights(*case))


def test_one_copy_of_the_grid(cupy, case, monkeypatch):
    monkeypatch.setattr(gridded_weights_cuda, "_COPIES", 0)
    agree(gridded_weights(*on_device(cupy, case)), gridded_weights(*case))


def test_several_ranges_of_samples(cupy, case, monkeypatch):
    monkeypatch.setattr(gridded_weights_cuda, "_RANGE", 7)
    agree(gridded_weights(*on_device(cupy, case)), gridded_weights(*case))


def test_batches_add_up(cupy, rng):
    whole = make_case(rng, one_ball(8), 3, n=40)
    there, total = on_device(cupy, whole), 0
    for start in range(0, 40, 11):
        rows = slice(start, start + 11)
        images = WhitenedImages(*(column[rows] for column in there.images))
        total = total + gridded_weights(images, there.second[rows], *there[2:])
    agree(total, gridded_weights(*whole))


def test_arrays_in_any_order(cupy, small):
    """Weights, rotations and moments that are views, or turned in memory."""
    images = small.images._replace(
        weights=np.asfortranarray(small.images.weights),
        rotations=np.swapaxes(np.swapaxes(small.images.rotations, 1, 2).copy(), 1, 2),
    )
    turned = small._replace(images=images, second=np.asfortranarray(small.second))
    agree(gridded_weights(*on_device(cupy, turned)), gridded_weights(*small))


def test_a_view_turned_by_its_placement(cupy, rng, small):
    placements = small.placements._replace(rotations=random_rotations(rng, 3))
    case = small._replace(placements=placements)
    agree(gridded_weights(*on_device(cupy, case)), gridded_weights(*case))


def test_particles_without_moments(cupy, small):
    second = small.second.copy()
    second[1:3] = 0
    case = small._replace(second=second)
    agree(gridded_weights(*on_device(cupy, case)), gridded_weights(*case))


def test_no_particles(cupy, small):
    nobody = WhitenedImages(*(column[:0] for column in small.images))
    case = small._replace(images=nobody, second=small.second[:0])
    found = gridded_weights(*on_device(cupy, case))
    assert not backend.as_numpy(found).any()
    assert found.shape == gridded_weights(*case).shape


@pytest.mark.parametrize("field", ["weights", "rotations"])
def test_a_small_difference_is_seen(cupy, small, field):
    changed = getattr(small.images, field).copy()
    changed[0] *= np.float32(1.001)  # a thousandth, of one particle
    case = small._replace(images=small.images._replace(**{field: changed}))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        agree(gridded_weights(*on_device(cupy, case)), gridded_weights(*small))


def test_copies_are_for_small_grids_and_many_particles():
    assert gridded_weights_cuda.n_copies(2**20, 1000) == 8
    assert gridded_weights_cuda.n_copies(2**23, 1000) == 2
    assert gridded_weights_cuda.n_copies(2**30, 1000) == 1
    assert gridded_weights_cuda.n_copies(2**20, 3) == 3
    assert gridded_weights_cuda.n_copies(0, 0) == 1


# ---- what only a pretended device can show ---------------------------------------------------


def test_the_order_of_threads_does_not_matter(pretend, case):
    pretend.is_backwards = True
    agree(gridded_weights(*on_device(pretend, case)), gridded_weights(*case))


def test_directions_added_in_one_operation(pretend, case):
    pretend.definitions = ("-DVECTOR_ATOMICS=1",)
    agree(gridded_weights(*on_device(pretend, case)), gridded_weights(*case))


def test_what_is_added_is_counted(pretend, small):
    """Eight points a sample and four directions; nothing for a particle without moments."""
    small.second[1:3] = 0
    rank = small.grids[-1].pairs.shape[1]
    assert 2 < rank <= 4  # the last launch is of the last set, all of whose directions go together
    gridded_weights(*on_device(pretend, small))
    n_items = (N - 2) * len(small.samples.kx)
    assert pretend.traffic["spread_weights"].added == 4 * 4 * 8 * n_items


MISTAKES = {  # what the code says, and what it might say by mistake; all stay within the grid
    "lower point": ("iy = below(uy)", "iy = static_cast<int>(uy)"),
    "stored half": ("if (ux < 0)", "if (ux < -1)"),
    "period": ("iz + z + edge;", "iz + z + edge - 1;"),
    "far point": ("along_y * dx", "along_y * (1 - dx)"),
    "direction": ("weight * __ldg(moments + r)", "weight * __ldg(moments)"),
    "start": ("first + s - n_own", "0"),
    "range": ("begin = static_cast<int>(blockIdx.y *", "begin = static_cast<int>(0 *"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_code_is_seen(pretend, small, monkeypatch, mistake):
    monkeypatch.setattr(gridded_weights_cuda, "_RANGE", 20)
    right, wrong = MISTAKES[mistake]
    assert gridded_weights_cuda.device_source(4).count(right) == 1
    pretend.edit = lambda code: code.replace(right, wrong)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        agree(gridded_weights(*on_device(pretend, small)), gridded_weights(*small))
