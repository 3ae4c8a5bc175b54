"""Pose steps on a device against the plain version: the same proposals lead to the same poses."""

from typing import NamedTuple

import numpy as np
import pytest

from examples import one_ball, pretzel_like, random_data, random_rotations, scene
from napari_hypermol import backend
from napari_hypermol.errors import ShapeError
from napari_hypermol.posterior.collapsed import CollapsedModel, PosePrior
from napari_hypermol.posterior.likelihood import WhitenedImages
from napari_hypermol.samplers import pose_metropolis_cuda
from napari_hypermol.samplers.pose_metropolis import (
    PoseChain,
    PoseGuide,
    draw_proposals,
    pose_metropolis,
)

N = 4


class Case(NamedTuple):
    """All that `pose_metropolis` is given."""

    images: WhitenedImages
    chain: PoseChain
    prior: PosePrior
    model: CollapsedModel
    guide: PoseGuide | None
    width: int = 3
    n_steps: int = 4
    turns_per_patch: int = 2

    def proposals(self):
        rng = np.random.default_rng(7)
        return draw_proposals(
            rng, N, self.n_steps, (0.05, 0.6), (0.2, 1.5), self.width, self.turns_per_patch,
            self.guide,
        )  # fmt: skip

    def moved(self):
        return pose_metropolis(
            self.images, self.chain, self.prior, self.model, self.proposals(), self.guide
        )

    def on(self, xp):
        """The same on the device."""

        def to(value):
            if isinstance(value, tuple):
                columns = [to(column) for column in value]
                return type(value)(*columns) if hasattr(value, "_fields") else tuple(columns)
            return xp.asarray(value) if isinstance(value, np.ndarray) else value

        grids = self.model.grids._replace(values=xp.asarray(self.model.grids.values))
        model = self.model._replace(grids=grids, nodes=xp.asarray(self.model.nodes))
        chain, info = pose_metropolis(
            to(self.images), to(self.chain), to(self.prior), model, to(self.proposals()),
            to(self.guide),
        )  # fmt: skip
        return (
            PoseChain(*(backend.as_numpy(column) for column in chain)),
            type(info)(*(backend.as_numpy(column) for column in info)),
        )


def make_case(rng, composite, radius=4.0, **changes):
    """Noise with a little of the molecule in it, so that some steps are accepted and some not."""
    here = scene(composite, radius)
    theta = rng.normal(size=here.molecule.n_coefficients).astype(np.float32)
    images = random_data(rng, N, here.samples)
    n_q = sum(here.molecule.n_functions)
    nodes = rng.normal(0.4, 0.3, size=(1, changes.pop("n_nodes", 7), n_q)).astype(np.float32)
    nodes[0, 0, : n_q // 2] = 0  # a position the component is not in
    if changes.pop("has_own_nodes", False):
        nodes = nodes + rng.normal(0, 0.1, size=(N, *nodes.shape[1:])).astype(np.float32)
    log_prior = np.log(rng.dirichlet(np.ones(nodes.shape[1])))
    model = CollapsedModel(
        here.molecule.grids(theta * np.float32(changes.pop("strength", 0.2))), here.placements,
        here.samples, nodes, log_prior, changes.pop("std", 0.2), changes.pop("temperature", 0.8),
    )  # fmt: skip
    about = random_rotations(rng, N).astype(np.float32)
    prior = PosePrior(about, changes.pop("precision", 0.5), rng.normal(size=(N, 2)), 0.1)
    shifts = rng.normal(size=(N, 2))
    chain = PoseChain(images.rotations, shifts, images.data)
    guide = None
    if changes.pop("is_guided", True):
        root = np.tril(rng.uniform(0.2, 0.5, size=(N, 3, 3))).astype(np.float32)
        lever = rng.normal(size=(N, 2, 3)) * (changes.get("width") != 1)
        guide = PoseGuide(about, root, lever.astype(np.float32))
    return Case(images, chain, prior, model, guide, **changes)


CASES = {
    "one": (one_ball(8), {}),
    "odd": (one_ball(9), {"is_guided": False, "turns_per_patch": 1}),
    "three": (pretzel_like(12, 1), {"n_nodes": 40}),
    "own nodes": (pretzel_like(12, 1), {"has_own_nodes": True, "n_nodes": 1}),
    "known shifts": (one_ball(8), {"width": 1, "turns_per_patch": 4}),
    "known contrast": (one_ball(8), {"std": 0.0, "temperature": 1.0}),
    "hardly a contrast": (one_ball(8), {"std": 0.05, "strength": 3.0}),
    "no prior": (pretzel_like(12, 2), {"precision": 0.0}),
}


def agree(found, expected):
    (chain, info), (other, other_info) = found, expected
    np.testing.assert_allclose(info.acceptance_rate, other_info.acceptance_rate, atol=1e-12)
    np.testing.assert_allclose(chain.rotations, other.rotations, atol=3e-6)
    np.testing.assert_allclose(chain.shifts, other.shifts, atol=1e-5)
    np.testing.assert_allclose(chain.data, other.data, atol=1e-5 * np.abs(other.data).max())
    np.testing.assert_allclose(info.log_density, other_info.log_density, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(info.mean_turn, other_info.mean_turn, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_same_as_plain_version(cupy, rng, name):
    composite, changes = CASES[name]
    case = make_case(rng, composite, **changes)
    expected = case.moved()
    agree(case.on(cupy), expected)
    assert (expected[0].shifts != case.chain.shifts).any() == (case.width > 1)


def test_steps_are_accepted_and_refused(rng):
    """Or the cases above would say little."""
    rates = [
        make_case(rng, c, **changes).moved()[1].acceptance_rate for c, changes in CASES.values()
    ]
    assert 0.1 < np.mean(rates) < 0.9
    assert sum(((r > 0) & (r < 1)).any() for r in rates) >= len(rates) - 1


def test_several_stretches_of_samples(cupy, rng, monkeypatch):
    monkeypatch.setattr(pose_metropolis_cuda, "_LONGEST", 24)
    case = make_case(rng, one_ball(12), radius=5.5, n_steps=2)
    assert len(case.model.samples.kx) % 24 != 0
    agree(case.on(cupy), case.moved())


def test_what_came_in_is_left_alone(cupy, rng):
    case = make_case(rng, one_ball(8))
    data = cupy.asarray(case.chain.data)
    kept = backend.as_numpy(data).copy()
    images = WhitenedImages(*(cupy.asarray(column) for column in case.images))
    chain = PoseChain(images.rotations, cupy.asarray(case.chain.shifts), data)
    grids = case.model.grids._replace(values=cupy.asarray(case.model.grids.values))
    model = case.model._replace(grids=grids)
    proposals = case.proposals()
    pose_metropolis(
        images, chain, PosePrior(*(cupy.asarray(c) if np.ndim(c) else c for c in case.prior)),
        model, type(proposals)(*(cupy.asarray(c) for c in proposals)),
        PoseGuide(*(cupy.asarray(c) for c in case.guide)),
    )  # fmt: skip
    np.testing.assert_array_equal(backend.as_numpy(data), kept)
    np.testing.assert_array_equal(backend.as_numpy(images.rotations), case.images.rotations)


def test_more_functions_than_a_block_has_room_for(cupy, rng):
    assert pose_metropolis_cuda.is_possible(3, 40, 256, 9)
    assert not pose_metropolis_cuda.is_possible(3, 100, 256, 9)
    case = make_case(rng, pretzel_like(12, 40))
    with pytest.raises(ShapeError, match="too many for poses on the GPU; use --device cpu"):
        case.on(cupy)


def test_tiles_cover_all_products():
    for n_columns, n_shifts in [(1, 1), (4, 9), (10, 9), (23, 1)]:
        n = -(-n_columns // 4) * 4
        seen = np.zeros((n + n_shifts + 4, n), dtype=int)
        for p, q in pose_metropolis_cuda.product_tiles(n_columns, n_shifts):
            seen[4 * p : 4 * p + 4, 4 * q : 4 * q + 4] += 1
        lower = np.tri(n_columns, dtype=bool)
        assert (seen[:n_columns, :n_columns][lower] == 1).all()
        assert (seen[n : n + n_shifts, :n_columns] == 1).all()


# ---- what only a pretended device can show ---------------------------------------------------


@pytest.mark.parametrize("name", ["one", "three", "odd"])
def test_the_order_of_threads_does_not_matter(pretend, rng, name):
    composite, changes = CASES[name]
    case = make_case(rng, composite, **changes)
    pretend.is_backwards = True
    agree(case.on(pretend), case.moved())


BROKEN = {
    "acceptance": ("there - walk.here + walk.ratio", "there - walk.here"),
    "levers": ("walk.along[axis] +=", "walk.along[axis] -="),
    "prior of rotations": (
        "there -= 0.5 * rotation_precision",
        "there += 0.5 * rotation_precision",
    ),
    "shift": ("walk.shift[0] += x", "walk.shift[0] -= x"),
    "fresh patch": ("walk.drift[threadIdx.x] = 0", "walk.drift[threadIdx.x] += 0.1"),
    "contrast": ("log_normal_tail(1 / std)", "log_normal_tail(std)"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_wrong_step_is_noticed(pretend, rng, what):
    before, after = BROKEN[what]

    def edit(code):
        assert before in code
        return code.replace(before, after)

    pretend.edit = edit
    case = make_case(rng, one_ball(8), n_steps=12, std=0.4)
    with pytest.raises(AssertionError):
        agree(case.on(pretend), case.moved())
