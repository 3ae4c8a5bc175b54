"""The CUDA code against the plain version, on a pretended device: compiled by g++, run in turn.

With ``--device cuda`` the same on a real one. What only a pretended device can show, such as a
missing barrier, is at the end.
"""

from typing import NamedTuple

import numpy as np
import pytest

from cuda_on_cpu import compiled
from examples import one_ball, pretzel_like, random_data, random_rotations, scene
from napari_hypermol import backend
from napari_hypermol.bases.constant import ConstantBasis
from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.coordinates.grids import FourierGrids, FourierSamples
from napari_hypermol.errors import ShapeError
from napari_hypermol.imaging.forward import image_samples, shell_sums, whiten
from napari_hypermol.imaging.projector import Placements
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.particles import Defocus, Optics
from napari_hypermol.posterior import likelihood, likelihood_cuda, slices_cuda
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.posterior.states import StateTable, table_posterior

# Both sides sum some hundred products in single precision, in different orders: 1e-6 of the
# largest is usual, five times that is never seen. A real device rounds frequencies a little
# differently; where one lies within 1e-6 of the middle between two grid points, it may take other
# taps, and that would show.
ROUNDING = 5e-6


class Case(NamedTuple):
    """Everything the four functions need, in main memory."""

    images: WhitenedImages
    first: np.ndarray
    second: np.ndarray
    noise: np.ndarray
    grids: FourierGrids
    placements: Placements
    samples: FourierSamples


def make_case(rng, here, placements=None, n=4):
    """Images of three optics groups, one of them premultiplied, and moments of every column."""
    placements = here.placements if placements is None else placements
    theta = rng.normal(size=here.molecule.n_coefficients).astype(np.float32)
    grids = here.molecule.grids(theta)
    groups = np.arange(n) % 3
    images = random_data(rng, n, here.samples)._replace(groups=groups, is_premultiplied=groups == 1)
    n_q = int(grids.n_functions[placements.grids].sum())
    atoms = rng.normal(size=(n, 3, n_q)).astype(np.float32)
    second = np.einsum("naq,nap->nqp", atoms, atoms)
    n_shells = int(here.samples.shells.max()) + 1
    noise = rng.uniform(0.5, 2, size=(3, n_shells)).astype(np.float32)
    return Case(
        images, atoms.mean(axis=1), (second + np.swapaxes(second, 1, 2)) / 2, noise,
        grids, placements, here.samples,
    )  # fmt: skip


def crowd(rng, here, m=11):
    """Many placements of the same few grids, turned and off-centre, columns in no order."""
    grids = rng.integers(0, 2, size=m)
    counts = here.molecule.empty_grids.n_functions[grids]
    order = rng.permutation(m)
    starts = np.zeros(m, dtype=np.int64)
    starts[order[1:]] = np.cumsum(counts[order])[:-1]
    centres = rng.normal(size=(m, 3)) * here.samples.box_size / 8
    centres[3] = 0
    return Placements(grids, random_rotations(rng, m), centres.astype(np.float32), starts)


def named_case(name, rng):
    match name:
        case "even":
            return make_case(rng, scene(pretzel_like(16), 6))
        case "odd":
            return make_case(rng, scene(pretzel_like(17), 8))
        case "crowd":
            here = scene(pretzel_like(16), 6)
            return make_case(rng, here, crowd(rng, here))
        case "1":
            still = Component("ball", Ball((0, 0, 0), 4, 1.0), ConstantBasis())
            return make_case(rng, scene(Composite((still,), 12), 4), n=2)
    return make_case(rng, scene(one_ball(12, int(name) - 1), 4), n=2)


# One function; two, read together; a tile and a bit; many, odd and even; tiles of 8; two passes.
CASES = ["even", "odd", "crowd", "1", "2", "5", "33", "64", "96", "180"]


@pytest.fixture(params=CASES)
def case(request, rng):
    return named_case(request.param, rng)


@pytest.fixture
def small(rng):
    return named_case("even", rng)


def on_device(cupy, case):
    """The same on the device; placements and samples stay in main memory, as always."""
    return case._replace(
        images=WhitenedImages(*map(cupy.asarray, case.images)),
        first=cupy.asarray(case.first),
        second=cupy.asarray(case.second),
        noise=cupy.asarray(case.noise),
        grids=case.grids._replace(values=cupy.asarray(case.grids.values)),
    )


def results(case, pairs=None):
    """What the four functions say, by name."""
    images, first, second, noise, *rest = case
    b, g = likelihood.overlaps(images, *rest, pairs)
    return {
        "b": b,
        "g": g,
        "image_adjoint": likelihood.image_adjoint(images, first, *rest),
        "normal_operator": likelihood.normal_operator(images, second, *rest),
        "residual": likelihood.residual_adjoint(images, first, second, *rest),
        "explained_power": likelihood.explained_power(images, first, second, noise, *rest),
    }


def agree(found, expected):
    for name, value in expected.items():
        assert isinstance(found[name], backend.cupy.ndarray), name
        assert found[name].dtype == value.dtype, name
        got = backend.as_numpy(found[name])
        np.testing.assert_allclose(
            got, value, rtol=0, atol=ROUNDING * abs(value).max(), err_msg=name
        )


def test_same_as_plain_version(cupy, case):
    agree(results(on_device(cupy, case)), results(case))


def test_wanted_pairs_only(cupy, case, rng):
    n_q = case.first.shape[1]
    wanted = rng.uniform(size=(n_q, n_q)) < 0.1
    wanted |= wanted.T
    found, expected = results(on_device(cupy, case), wanted), results(case, wanted)
    agree(found, expected)
    np.testing.assert_array_equal(
        backend.as_numpy(found["g"]) != 0, np.broadcast_to(wanted, expected["g"].shape)
    )


@pytest.mark.parametrize("name", ["even", "crowd"])
def test_columns_without_moments_are_skipped(cupy, rng, name):
    case = named_case(name, rng)
    used = np.zeros((4, case.first.shape[1]), dtype=bool)
    counts = case.grids.n_functions[case.placements.grids]
    for i, placed in enumerate([[0], [1, 2], [2, 0]]):  # the last particle is nowhere
        for m in placed:
            used[i, case.placements.starts[m] :][: counts[m]] = True
    first, second = case.first * used, case.second * used[:, :, None] * used[:, None, :]
    case = case._replace(first=first, second=second)
    found = results(on_device(cupy, case))
    agree(found, results(case))
    assert not backend.as_numpy(found["explained_power"])[3].any()


def test_function_without_a_moment_in_a_placement_that_has_some(cupy, small):
    first, second = small.first.copy(), small.second.copy()
    first[:, 2] = second[:, 2] = second[:, :, 2] = 0
    case = small._replace(first=first, second=second)
    agree(results(on_device(cupy, case)), results(case))


def test_several_ranges_of_samples(cupy, small, monkeypatch):
    monkeypatch.setattr(likelihood_cuda, "_RANGE", 20)
    monkeypatch.setattr(likelihood_cuda, "_PARTIAL_SUMS", 1000)  # two particles at a time
    launch = likelihood_cuda.plan("overlaps", len(small.samples.kx), 3, 7)
    assert launch.n_ranges > 2
    agree(results(on_device(cupy, small)), results(small))


def test_one_copy_of_the_grids(cupy, small, monkeypatch):
    monkeypatch.setattr(likelihood_cuda, "_COPIES", 0)
    agree(results(on_device(cupy, small)), results(small))


@pytest.mark.parametrize("name", ["even", "2"])
def test_values_that_begin_and_end_anywhere(cupy, rng, name):
    """Two functions are read, and added, at once only where memory is aligned for it."""
    plain = named_case(name, rng)
    n = len(plain.grids.values)
    case = on_device(cupy, plain)
    longer = cupy.zeros(n + 3, dtype=np.float32)
    longer[1 : n + 1] = case.grids.values
    found = results(case._replace(grids=case.grids._replace(values=longer[1:])))
    for adjoint in ("image_adjoint", "normal_operator", "residual"):
        assert found[adjoint].shape == (n + 2,)
        found[adjoint] = found[adjoint][:n]
    agree(found, results(plain))


def test_particles_do_not_depend_on_their_chunk(cupy, small):
    whole, one = on_device(cupy, small), slice(2, 3)
    part = whole._replace(
        images=WhitenedImages(*(column[one] for column in whole.images)),
        first=whole.first[one],
        second=whole.second[one],
    )
    found, alone = results(whole), results(part)
    for name in ("b", "g", "explained_power"):
        expected = backend.as_numpy(found[name])[one]
        np.testing.assert_array_equal(backend.as_numpy(alone[name]), expected)


def test_no_particles(cupy, small):
    nobody = WhitenedImages(*(column[:0] for column in small.images))
    case = small._replace(images=nobody, first=small.first[:0], second=small.second[:0])
    found = results(on_device(cupy, case))
    for name, value in results(case).items():
        np.testing.assert_array_equal(backend.as_numpy(found[name]), value)


def test_samples_beyond_the_grid_are_refused(cupy, small):
    coarse = scene(pretzel_like(16), 3).molecule.empty_grids
    case = on_device(cupy, small._replace(grids=coarse))
    images, first, second, noise, *rest = case
    for call in (
        lambda: likelihood.overlaps(images, *rest),
        lambda: likelihood.image_adjoint(images, first, *rest),
        lambda: likelihood.normal_operator(images, second, *rest),
        lambda: likelihood.explained_power(images, first, second, noise, *rest),
    ):
        with pytest.raises(ShapeError, match="beyond the band limit"):
            call()


def _one_sweep(to, here, grids, particles, noise):
    """From images to normal equations and explained power, wherever `to` puts the arrays."""
    images, shifts, defocus, optics, groups, rotations = particles
    placements, samples = here.placements, here.samples
    groups, noise = to(groups), to(noise)
    data, weights, _ = whiten(
        image_samples(to(images), samples), to(shifts), Defocus(*map(to, defocus)), optics,
        groups, noise, samples, 2.0,
    )  # fmt: skip
    power = shell_sums(weights, samples, noise.shape[1])
    seen = WhitenedImages(data, weights, power, power, groups == 1, groups, to(rotations))
    rest = (grids._replace(values=to(grids.values)), placements, samples)
    b, g = likelihood.overlaps(seen, *rest)
    tables = []
    for columns in here.molecule.columns[1:]:
        states = np.linspace(0.05, 0.95, 6)[:, None]
        functions = CosineBasis(2).evaluate(states)
        tables.append(StateTable(states, functions, np.zeros(6), columns))
    posterior = table_posterior(b, g, tuple(tables), 0.2)
    return [
        b, posterior.state_mean, posterior.log_evidence,
        likelihood.image_adjoint(seen, posterior.first, *rest),
        likelihood.normal_operator(seen, posterior.second, *rest),
        likelihood.explained_power(seen, posterior.first, posterior.second, noise, *rest),
    ]  # fmt: skip


def test_a_whole_sweep_stays_on_the_device(cupy, rng):
    """Nothing is moved back on the way; a pretended device would refuse it."""
    n, here = 4, scene(pretzel_like(16), 6)
    theta = rng.normal(size=here.molecule.n_coefficients).astype(np.float32)
    grids = here.molecule.grids(theta)
    u, zero = rng.uniform(8e3, 2e4, n), np.zeros(n)
    particles = (
        rng.normal(size=(n, 16, 16)).astype(np.float32), rng.normal(size=(n, 2)),
        Defocus(u, u - 300, rng.uniform(0, np.pi, n), zero, zero, np.ones(n)),
        Optics(
            ("a", "b"), np.full(2, 300.0), np.full(2, 2.7e7), np.full(2, 0.1), np.arange(2) == 1
        ),
        np.arange(n) % 2, random_rotations(rng, n),
    )  # fmt: skip
    noise = rng.uniform(0.5, 2, size=(2, 9)).astype(np.float32)
    expected = _one_sweep(np.asarray, here, grids, particles, noise)
    found = _one_sweep(cupy.asarray, here, grids, particles, noise)
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one, cupy.ndarray)
        # rounding of b and G goes through exponentials of numbers up to 10
        atol = 10 * ROUNDING * abs(other).max()
        np.testing.assert_allclose(backend.as_numpy(one), other, rtol=0, atol=atol)


# ---- the comparison can fail -----------------------------------------------------------------


def _perturbed(case, field):
    images, tiny = case.images, np.float32(1.001)  # a thousandth, of one particle
    match field:
        case "data" | "weights":
            changed = getattr(images, field).copy()
            changed[0] *= tiny
            return case._replace(images=images._replace(**{field: changed}))
        case "rotations":
            turned = images.rotations.copy()
            turned[0, :2] = turned[0, 1::-1]
            return case._replace(images=images._replace(rotations=turned))
        case "centres":
            centres = case.placements.centres + np.float32(0.01)
            return case._replace(placements=case.placements._replace(centres=centres))
    changed = getattr(case, field).copy()
    changed[0] *= tiny
    return case._replace(**{field: changed})


EVERYTHING = {"b", "g", "image_adjoint", "normal_operator", "residual", "explained_power"}


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("data", {"b", "image_adjoint", "residual", "explained_power"}),
        ("weights", {"g", "normal_operator", "residual", "explained_power"}),
        (
            "rotations",
            {"b", "g", "image_adjoint", "normal_operator", "residual", "explained_power"},
        ),
        ("centres", EVERYTHING),
        ("first", {"image_adjoint", "residual", "explained_power"}),
        ("second", {"normal_operator", "residual", "explained_power"}),
        ("noise", {"explained_power"}),
    ],
)
def test_a_small_difference_is_seen(cupy, small, field, wrong):
    found, expected = results(on_device(cupy, _perturbed(small, field))), results(small)
    for name in expected:
        if name in wrong:
            with pytest.raises(AssertionError, match=name):
                agree({name: found[name]}, {name: expected[name]})
        else:
            agree({name: found[name]}, {name: expected[name]})


# ---- plans -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["overlaps", "image_adjoint", "normal_operator", "explained_power"]
)
@pytest.mark.parametrize("n_columns", [1, 7, 64, 200])
def test_plans_fit(name, n_columns):
    tile = likelihood_cuda.tile_size(n_columns)
    launch = likelihood_cuda.plan(name, 12000, 3, n_columns, 100, tile)
    assert launch.n_ranges == 2
    assert launch.stretch % 8 == 0
    assert 32 <= launch.stretch <= slices_cuda.THREADS
    assert launch.shared_bytes <= 96 * 1024
    if n_columns <= 64:
        assert launch.shared_bytes <= backend.SHARED_MEMORY


def test_stretch_is_no_longer_than_the_samples():
    assert likelihood_cuda.plan("overlaps", 9, 1, 1).stretch == 16


def test_too_many_columns_are_said():
    with pytest.raises(ShapeError, match="too many for the GPU"):
        likelihood_cuda.plan("overlaps", 1000, 1, 5000, tile=8)


def test_tiles_are_few_enough_for_the_threads():
    for n_columns in (1, 4, 88, 89, 176):
        tile = likelihood_cuda.tile_size(n_columns)
        tiles = likelihood_cuda.wanted_tiles(np.ones((n_columns, n_columns), bool), tile)
        assert len(tiles) <= slices_cuda.THREADS
    assert likelihood_cuda.tile_size(88) == 4
    assert likelihood_cuda.tile_size(89) == 8


def test_wanted_tiles_cover_the_wanted_pairs(rng):
    pairs = rng.uniform(size=(23, 23)) < 0.02
    pairs |= pairs.T
    tiles = likelihood_cuda.wanted_tiles(pairs, 4)
    seen = np.zeros((24, 24), dtype=bool)
    for row, column in tiles:
        seen[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = True
    seen |= seen.T
    assert seen[:23, :23][pairs].all()
    assert seen.diagonal().all()
    assert not seen.all()
    assert (tiles[:, 0] >= tiles[:, 1]).all()


# ---- what only a pretended device can show ---------------------------------------------------


def backwards(pretend, case):
    pretend.is_backwards = True
    backend.device_function.cache_clear()
    backend.device_module.cache_clear()
    return {
        name: backend.as_numpy(value) for name, value in results(on_device(pretend, case)).items()
    }


@pytest.mark.parametrize("name", CASES)
def test_the_order_of_threads_does_not_matter(pretend, rng, name):
    case = named_case(name, rng)
    forwards = results(on_device(pretend, case))
    again = backwards(pretend, case)
    agree({name: pretend.asarray(value) for name, value in again.items()}, results(case))
    for name in ("b", "g", "explained_power"):  # these are deterministic
        np.testing.assert_array_equal(again[name], backend.as_numpy(forwards[name]))


BARRIER = "__syncthreads();"
BARRIERS = {  # what stands before some barriers, and the results that need them
    "locate(r, scene, m, first, n_here);\n        ": {
        "b",
        "g",
        "normal_operator",
        "explained_power",
    },
    "partial[2 * blockDim.x + threadIdx.x] = square;\n        }\n        ": {"explained_power"},
}


@pytest.mark.parametrize("before", BARRIERS, ids=["slice", "explained_power"])
def test_a_missing_barrier_is_seen(pretend, small, before):
    assert likelihood_cuda.device_source(4).count(before + BARRIER) == 1
    pretend.edit = lambda code: code.replace(before + BARRIER, before)
    forwards, again = results(on_device(pretend, small)), backwards(pretend, small)
    for name, value in results(small).items():
        if name in BARRIERS[before]:
            with pytest.raises(AssertionError, match=name):  # in one order or the other
                agree_both_ways(forwards[name], pretend.asarray(again[name]), name, value)


def test_a_missing_barrier_before_additions_is_seen(pretend, small):
    """Taps that are not there yet lead anywhere."""
    before = "located = m;\n        "
    assert likelihood_cuda.device_source(4).count(before + BARRIER) == 1
    pretend.edit = lambda code: code.replace(before + BARRIER, before)
    with pytest.raises(compiled.DeviceTrouble, match="image_adjoint wrote beyond an array"):
        backwards(pretend, small)


def agree_both_ways(one, other, name, value):
    agree({name: one}, {name: value})
    agree({name: other}, {name: value})


@pytest.mark.parametrize("name", ["even", "crowd", "2"])
def test_additions_of_several_neighbours_at_once(pretend, rng, name):
    """As on devices of compute capability 9."""
    pretend.definitions = ("-DVECTOR_ATOMICS=1",)
    case = named_case(name, rng)
    agree(results(on_device(pretend, case)), results(case))
