"""The CUDA code against the plain version, on a pretended device: compiled by g++, run in turn.

With ``--device cuda`` the same on a real one. What only a pretended device can show is at the end.
"""

from typing import NamedTuple

import numpy as np
import pytest

from examples import one_ball, pretzel_like, random_data, scene
from napari_hypermol import backend
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.coordinates.rotations import turned
from napari_hypermol.errors import ShapeError
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.posterior import pose_information_cuda
from napari_hypermol.posterior.collapsed import PosePrior
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.posterior.pose_information import _summed, pose_information

# Of the largest number of a particle's: sums of some hundred products in different orders, and
# differences of slices that are alike to a part in ten. Up to 1e-6 was seen.
ROUNDING = 1e-5
N = 5


class Case(NamedTuple):
    """What the sums need, in main memory."""

    images: WhitenedImages
    contrasts: np.ndarray
    functions: np.ndarray
    slopes: np.ndarray
    turns: np.ndarray
    per_turn: float
    grids: FourierGrids
    placements: Placements
    samples: FourierSamples


def make_case(rng, composite, radius=4, n_states=1, n=N):
    here = scene(composite, radius)
    theta = rng.normal(size=here.molecule.n_coefficients).astype(np.float32)
    q, step = sum(here.molecule.n_functions), 0.05
    turns = [[turned(np.eye(3), sign * step * e) for sign in (1, -1)] for e in np.eye(3)]
    return Case(
        random_data(rng, n, here.samples), rng.uniform(0.5, 1.5, size=n), rng.normal(size=(n, q)),
        rng.normal(size=(n, n_states, q)), np.array(turns, dtype=np.float32), 0.5 / step,
        here.molecule.grids(theta), here.placements, here.samples,
    )  # fmt: skip


CASES = {
    "one component": (one_ball(12), {"radius": 5}),
    "three components": (pretzel_like(12, 1), {"n_states": 2}),
    "odd": (one_ball(9), {}),
    "no states": (one_ball(8), {"radius": 3, "n_states": 0}),
    "many states": (pretzel_like(12, 2), {"n_states": 7}),
    "more functions than a tile": (one_ball(8, 12), {"radius": 3}),
}


@pytest.fixture(params=CASES)
def case(request, rng):
    composite, changes = CASES[request.param]
    return make_case(rng, composite, **changes)


@pytest.fixture
def small(rng):
    return make_case(rng, pretzel_like(12, 1), n_states=2)


def on_device(cupy, case):
    """Images and grids on the device; of the rest, some are and some are not."""
    return case._replace(
        images=WhitenedImages(*map(cupy.asarray, case.images)),
        functions=cupy.asarray(case.functions),
        grids=case.grids._replace(values=cupy.asarray(case.grids.values)),
    )


def agree(found, expected):
    for sums, others in zip(found, expected, strict=True):
        assert isinstance(sums, backend.cupy.ndarray)
        assert sums.dtype == np.float32
        sums = backend.as_numpy(sums)
        assert sums.shape == others.shape
        for one, other in zip(sums, others, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=ROUNDING * abs(other).max())


def test_same_as_plain_version(cupy, case):
    found = pose_information_cuda.information(*on_device(cupy, case))
    agree(found, _summed(*case))
    np.testing.assert_array_equal(
        backend.as_numpy(found[1]), backend.as_numpy(found[1]).swapaxes(1, 2)
    )


def test_several_stretches_of_samples(cupy, rng, monkeypatch):
    monkeypatch.setattr(pose_information_cuda, "_LONGEST", 24)
    case = make_case(rng, one_ball(12), radius=5.5)
    assert len(case.samples.kx) % 24 != 0
    agree(pose_information_cuda.information(*on_device(cupy, case)), _summed(*case))


def test_what_is_made_of_the_sums(cupy, rng, small):
    """The normal approximation, with everything on the device, or only what has to be."""
    n, states = len(small.contrasts), rng.random((N, 2))
    prior = PosePrior(small.images.rotations, 2.0, rng.normal(size=(n, 2)), 0.1)
    shifts = rng.normal(size=(n, 2))

    def said(case, to):
        about = PosePrior(*(to(column) if np.ndim(column) else column for column in prior))
        return pose_information(
            case.images, to(shifts), about, to(small.contrasts), to(small.functions),
            to(small.slopes), to(states), case.grids, case.placements, case.samples, 0.2, 0.7,
        )  # fmt: skip

    expected, there = said(small, np.asarray), on_device(cupy, small)
    for found in (said(there, cupy.asarray), said(there, np.asarray)):
        for one, other in zip(found, expected, strict=True):
            assert isinstance(one, np.ndarray)
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * abs(other).max())


def test_no_particles(cupy, small):
    nobody = WhitenedImages(*(column[:0] for column in small.images))
    case = small._replace(
        images=nobody, contrasts=small.contrasts[:0], functions=small.functions[:0],
        slopes=small.slopes[:0],
    )  # fmt: skip
    agree(pose_information_cuda.information(*on_device(cupy, case)), _summed(*case))


@pytest.mark.parametrize("field", ["contrasts", "functions", "slopes"])
def test_a_small_difference_is_seen(cupy, small, field):
    changed = getattr(small, field).copy()
    changed[0] *= 1.001  # a thousandth, of one particle
    case = small._replace(**{field: changed})
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        agree(pose_information_cuda.information(*on_device(cupy, case)), _summed(*small))


def test_more_functions_than_a_block_has_room_for(cupy, rng):
    assert pose_information_cuda.is_possible(3, 100, 4)
    assert not pose_information_cuda.is_possible(3, 2000, 4)
    assert not pose_information_cuda.is_possible(1, 10, 90)
    case = make_case(rng, one_ball(8), radius=3, n_states=90)
    with pytest.raises(ShapeError, match="too many for poses on the GPU; use --device cpu"):
        pose_information_cuda.information(*on_device(cupy, case))


# ---- what only a pretended device can show ---------------------------------------------------


def test_the_order_of_threads_does_not_matter(pretend, case):
    pretend.is_backwards = True
    agree(pose_information_cuda.information(*on_device(pretend, case)), _summed(*case))


MISTAKES = {  # what the code says, and what it might say by mistake
    "the other way": ("turn.x - there.x", "there.x - turn.x"),
    "angle": ("contrast * per_turn * (turn.y", "contrast * (turn.y"),
    "axis": ("to.turned + 9 * view", "to.turned + 9 * (view / 2 * 2)"),
    "shift": ("make_float2(x * im, -x * re)", "make_float2(x * im, x * re)"),
    "contrast": ("j[CONTRAST] = whole", "j[CONTRAST] = make_float2(re, im)"),
    "states": ("slopes + d * scene.n_columns", "slopes"),
    "residual": ("r.data[s].y - r.weight[s] * im", "r.data[s].y"),
    "turned from": ("turns[9 * view + 3 * row + inner] *", "turns[9 * view + 3 * inner + row] *"),
    "triangle": ("information[column * n_all + row]", "information[row * n_all + row]"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_code_is_seen(pretend, small, mistake):
    right, wrong = MISTAKES[mistake]
    assert pose_information_cuda.device_source().count(right) == 1
    pretend.edit = lambda code: code.replace(right, wrong)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        agree(pose_information_cuda.information(*on_device(pretend, small)), _summed(*small))
