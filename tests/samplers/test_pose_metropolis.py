"""Against importance samples of the posterior from its definition, and priors known in closed form.

Chains of the same particle are independent, so the scatter of their own means is the standard error
(`contracts.kernel.scores`); that of the importance sample is added from batches of it.
"""

import numba
import numpy as np
import pytest
from scipy.integrate import quad

from contracts.kernel import LARGEST_SCORE
from examples import one_ball, random_data, random_rotations, scene
from napari_hypermol.coordinates.rotations import angles_between, turn_between, turned
from napari_hypermol.coordinates.tangent import log_tangent_normal, tangent_normal
from napari_hypermol.imaging import projector
from napari_hypermol.posterior.collapsed import (
    CollapsedModel,
    PosePrior,
    collapsed_evidence,
    lines_of,
    moved_data,
)
from napari_hypermol.samplers.pose_metropolis import (
    PoseChain,
    PoseGuide,
    draw_proposals,
    pose_metropolis,
)

BOX, N = 12, 400
HERE = scene(one_ball(BOX), 3)
NODES = np.array([[[1, -0.8], [1, 0.9]]], dtype=np.float32)
LOG_PRIOR = np.log([0.3, 0.7])
ROTATION_STD, SHIFT_STD = 0.5, 1.0


class Target:
    """One particle, N times over, and everything known about it."""

    def __init__(self, seed=3, strength=1.0, temperature=1.0, std=0.2):
        rng = np.random.default_rng(seed)
        samples = HERE.samples
        theta = rng.normal(size=HERE.molecule.n_coefficients).astype(np.float32)
        self.grids = HERE.molecule.grids(theta)
        self.centre = random_rotations(rng, 1)[0]
        true = turned(self.centre, np.array([0.3, -0.2, 0.2]))[None]
        slices = projector.forward(true, self.grids, HERE.placements, samples)[0] @ NODES[0, 1]
        scale = strength / np.sqrt((abs(slices) ** 2).sum())
        self.grids = HERE.molecule.grids(scale * theta)
        self.weights = samples.weights
        y = scale * slices * self.phases(np.array([[0.7, -0.4]]))[0].conj()
        y = y + (rng.normal(size=(len(slices), 2)) @ [1, 1j]) / np.sqrt(2)
        self.data = self.weights * y
        self.temperature, self.std = temperature, std
        self.precisions = [ROTATION_STD**-2, SHIFT_STD**-2]

    def phases(self, shifts):
        """What undoes shifts; (s, k)."""
        frequencies = np.stack([HERE.samples.kx, HERE.samples.ky])
        return np.exp(2j * np.pi / BOX * (shifts @ frequencies))

    def images(self):
        images = random_data(np.random.default_rng(0), N, HERE.samples)
        data = np.stack([self.data.real, self.data.imag]).astype(np.float32)
        return images._replace(
            data=np.tile(data, (N, 1, 1)),
            weights=np.tile(self.weights, (N, 1)).astype(np.float32),
            rotations=np.tile(self.centre, (N, 1, 1)).astype(np.float32),
        )

    def prior(self):
        rotations = np.tile(self.centre, (N, 1, 1)).astype(np.float32)
        return PosePrior(rotations, self.precisions[0], np.zeros((N, 2)), self.precisions[1])

    def model(self):
        return CollapsedModel(
            self.grids, HERE.placements, HERE.samples, NODES, LOG_PRIOR, self.std, self.temperature
        )

    def chain(self):
        images = self.images()
        return PoseChain(images.rotations, np.zeros((N, 2)), images.data)

    def guide(self, about=None, root=None):
        """One that is off, and of another shape than the posterior's."""
        about = turned(self.centre, np.array([0.4, 0.2, -0.3])) if about is None else about
        root = np.array([[0.5, 0, 0], [0.2, 0.3, 0], [-0.1, 0.1, 0.4]]) if root is None else root
        lever = np.array([[0.5, -0.3, 0.2], [0.1, 0.6, -0.4]])
        pieces = zip((about, root, lever), ((3, 3), (3, 3), (2, 3)), strict=True)
        return PoseGuide(*(np.broadcast_to(x, (N, *s)).astype(np.float32) for x, s in pieces))

    def run(self, rng, n_kept=20, n_between=8, broken=False, guide=None, kernels_guide=None):
        """Statistics (kept, n, m) of chains that begin at the prior's centre."""
        chain, kept = self.chain(), []
        for i in range(n_kept + 8):
            if callable(guide):
                own = kernels_guide = guide(chain.rotations)
            else:
                own, kernels_guide = guide, kernels_guide or guide
            proposals = draw_proposals(rng, N, n_between, (0.2, 1.2), (0.3, 1.5), guide=own)
            if broken:  # the present shift always in the same corner of the patch
                proposals = proposals._replace(
                    patches=proposals.patches - proposals.patches[:, :, :1]
                )
            chain, _ = pose_metropolis(
                self.images(), chain, self.prior(), self.model(), proposals, kernels_guide
            )
            if i >= 8:
                kept.append(self.statistics(chain.rotations, chain.shifts))
        return np.array(kept)

    def statistics(self, rotations, shifts):
        """Of poses: entries of the turn from the centre, its angle, shifts and products; (n, m)."""
        turn = rotations.astype(np.float64) @ self.centre.T
        angle = angles_between(rotations, self.centre)
        away = np.stack([angle, angle**2], axis=-1)
        mixed = shifts[..., :1] * turn[..., 2, :2]
        return np.concatenate([turn.reshape(len(turn), 9), away, shifts, shifts**2, mixed], axis=-1)

    def log_posterior(self, rotations, shifts):
        """Without the rotations' prior, state and contrast summed out; (rotations, shifts)."""
        slices = projector.forward(
            rotations.astype(np.float32), self.grids, HERE.placements, HERE.samples
        )
        contrasts = np.linspace(0, 1 + 5 * self.std, 15)
        prior = np.exp(-0.5 * ((contrasts - 1) / self.std) ** 2)
        total = 0
        for c, log_prior in zip(NODES[0], LOG_PRIOR, strict=True):
            model = slices @ c
            b = (model.conj() @ (self.phases(shifts) * self.data).T).real
            norm = ((abs(model) ** 2) @ self.weights)[:, None]
            ratio = sum(
                p * np.exp(a * b - 0.5 * norm * a**2)
                for a, p in zip(contrasts, prior / prior.sum(), strict=True)
            )
            total = total + np.exp(log_prior) * ratio**self.temperature
        return np.log(total) - 0.5 * (shifts**2).sum(axis=1) / SHIFT_STD**2

    def expected(self, n=10_000, spacing=0.5):
        """Mean and standard error of the statistics, by importance sampling over rotations."""
        rng = np.random.default_rng(1)
        omega = tangent_normal(rng, ROTATION_STD, n)
        rotations = turned(self.centre, omega)
        axis = np.arange(-3.5, 3.6, spacing)
        shifts = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        log_p = np.concatenate(
            [self.log_posterior(part, shifts) for part in np.split(rotations, 10)]
        )
        angle = np.linalg.norm(omega, axis=1)
        wanted = -0.5 * angle**2 / ROTATION_STD**2
        log_p += (wanted - log_tangent_normal(angle, ROTATION_STD))[:, None]
        p = np.exp(log_p - log_p.max())
        mass, mean_shifts = p.sum(axis=1), p @ np.concatenate([shifts, shifts**2], axis=1)
        sums = mass[:, None] * self.statistics(rotations, np.zeros((n, 2)))
        sums[:, 11:15] = mean_shifts
        sums[:, 15:] = mean_shifts[:, :1] * (rotations @ self.centre.T)[:, 2, :2]
        batches = sums.reshape(20, -1, 17).sum(axis=1) / mass.reshape(20, -1).sum(axis=1)[:, None]
        return sums.sum(axis=0) / mass.sum(), batches.std(axis=0, ddof=1) / np.sqrt(20)


def largest_score(samples, expected):
    mean, error = expected
    means = samples.mean(axis=0)
    own = means.std(axis=0, ddof=1) / np.sqrt(len(means))
    return (abs(means.mean(axis=0) - mean) / np.hypot(own, error)).max()


@pytest.fixture(scope="module")
def target():
    return Target(strength=2.0)


@pytest.fixture(scope="module")
def expected(target):
    return target.expected()


def test_finds_the_posterior(rng, target, expected):
    samples = target.run(rng)
    assert largest_score(samples, expected) < LARGEST_SCORE
    prior = Target(strength=1e-6).expected(1000)[0]
    assert largest_score(samples, (prior, expected[1])) > 2 * LARGEST_SCORE  # the data say much


def test_finds_the_posterior_with_a_guide_that_is_off(rng, target, expected):
    guide = target.guide()
    assert largest_score(target.run(rng, guide=guide), expected) < LARGEST_SCORE
    proposals = draw_proposals(rng, N, 8, (0.2, 1.2), (0.3, 1.5), guide=guide)
    assert 0.3 < proposals.is_leap.mean() < 0.7


@pytest.mark.parametrize("what", ["another shape", "follows the chain"])
def test_wrong_guide_is_noticed(rng, target, expected, what):
    """Leaps that are not from the density that acceptance takes them to be from."""
    if what == "another shape":
        others = {"kernels_guide": target.guide(root=0.7 * np.eye(3)), "guide": target.guide()}
    else:
        others = {"guide": lambda rotations: target.guide(about=rotations)}
    assert largest_score(target.run(rng, **others), expected) > LARGEST_SCORE


@pytest.mark.parametrize("change", ["temperature", "std", "shift prior", "rotation prior"])
def test_wrong_target_is_noticed(rng, expected, change):
    wrong = Target(strength=2.0)
    if change == "temperature":
        wrong.temperature = 0.5
    elif change == "std":
        wrong.std = 2.0
    elif change == "shift prior":
        wrong.precisions[1] *= 2
    else:
        wrong.precisions[0] *= 2
    assert largest_score(wrong.run(rng), expected) > LARGEST_SCORE


def test_patch_that_begins_at_the_present_shift_is_noticed(rng, target, expected):
    assert largest_score(target.run(rng, broken=True), expected) > 2 * LARGEST_SCORE


@pytest.mark.parametrize("is_guided", [False, True])
def test_priors_alone(rng, is_guided):
    """Nothing in the images: shifts normal, rotations of density exp(-angle^2 / 2 std^2)."""
    empty = Target(strength=1e-9)
    samples = empty.run(rng, guide=empty.guide() if is_guided else None)

    def mean(function):
        def density(t):
            return (1 - np.cos(t)) * np.exp(-0.5 * (t / ROTATION_STD) ** 2)

        return quad(lambda t: function(t) * density(t), 0, np.pi)[0] / quad(density, 0, np.pi)[0]

    some = samples[:, :, [9, 10, 11, 12, 13, 14]]
    known = np.array([mean(lambda t: t), mean(lambda t: t**2), 0, 0, SHIFT_STD**2, SHIFT_STD**2])
    assert largest_score(some, (known, 0)) < LARGEST_SCORE
    assert largest_score(some, (1.1 * known, 0)) > LARGEST_SCORE


@pytest.mark.parametrize("is_guided", [False, True])
def test_uniform_rotations_where_nothing_is_known(rng, is_guided):
    empty = Target(strength=1e-9)
    empty.precisions[0] = 0.0
    # leaps of more than half a turn are among them, and are refused
    guide = empty.guide(root=1.5 * np.eye(3)) if is_guided else None
    samples = empty.run(rng, n_kept=15, n_between=30, guide=guide)
    matrices = samples[5:, :, :9]
    assert largest_score(matrices, (np.zeros(9), 0)) < LARGEST_SCORE
    assert largest_score(matrices**2, (np.full(9, 1 / 3), 0)) < LARGEST_SCORE


def once(target, rng, n_steps=5, turns=(0.1, 1.0)):
    proposals = draw_proposals(rng, N, n_steps, turns, (0.2, 1.0))
    chain = target.chain()
    return (
        chain,
        proposals,
        *pose_metropolis(target.images(), chain, target.prior(), target.model(), proposals),
    )


def test_same_seed_same_chain_on_any_number_of_threads(target):
    results, threads, most = [], numba.get_num_threads(), numba.config.NUMBA_NUM_THREADS
    for seed, count in ((1, most), (1, most), (1, 1), (2, most)):
        numba.set_num_threads(count)
        _, _, chain, info = once(target, np.random.default_rng(seed))
        results.append((*chain, *info))
    numba.set_num_threads(threads)
    for other in results[1:3]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
    assert not np.array_equal(results[0][0], results[3][0])


def test_chain_that_came_in_is_left_alone(rng, target):
    before = target.chain()
    chain, _, after, _ = once(target, rng)
    for one, two in zip(chain, before, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(after.rotations, before.rotations)


def test_data_follow_the_shifts_and_rotations_stay_proper(rng, target):
    start, _, chain, _ = once(target, rng, n_steps=60)
    expected, lines = np.empty_like(start.data[0]), lines_of(HERE.samples)
    for i in range(0, N, 40):
        moved_data(start.data[i], chain.shifts[i], HERE.samples, lines, expected)
        np.testing.assert_allclose(chain.data[i], expected, atol=2e-5)
    identity = chain.rotations @ np.swapaxes(chain.rotations, 1, 2)
    np.testing.assert_allclose(identity, [np.eye(3)] * N, atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(chain.rotations), 1, atol=1e-6)


def test_one_step_is_accepted_as_the_evidence_says(rng, target):
    start, proposals, chain, info = once(target, rng, n_steps=1)
    both = np.stack([start.rotations, turned(start.rotations, proposals.turns[:, 0])], axis=1)
    images, prior, offsets = target.images(), target.prior(), proposals.patches[:, 0]
    evidence, _ = collapsed_evidence(images, both, offsets, start.shifts, prior, target.model())
    log_uniform = np.log(proposals.uniforms[:, 0, 0])
    accepted = log_uniform < evidence[:, 1] - evidence[:, 0]
    clear = abs(log_uniform - (evidence[:, 1] - evidence[:, 0])) > 1e-3
    np.testing.assert_array_equal(info.acceptance_rate[clear], accepted[clear])
    expected = np.where(info.acceptance_rate > 0, evidence[:, 1], evidence[:, 0])
    np.testing.assert_allclose(info.log_density, expected, atol=1e-3)
    where = np.where((info.acceptance_rate > 0)[:, None, None], both[:, 1], both[:, 0])
    np.testing.assert_allclose(chain.rotations, where, atol=1e-6)
    turns = np.linalg.norm(proposals.turns[:, 0], axis=1)
    np.testing.assert_allclose(info.mean_turn, turns * (info.acceptance_rate > 0), rtol=1e-5)
    moved = (chain.shifts - start.shifts)[:, None] - offsets
    assert (abs(moved).sum(axis=2).min(axis=1) < 1e-12).all()


def test_patch_goes_along_with_the_turn(rng, target):
    """A shift of the chain is one of the patch and what the turns took along."""
    guide = target.guide()
    proposals = draw_proposals(rng, N, 1, (0.1, 1.0), (0.2, 1.0), guide=guide)
    start = target.chain()
    args = target.images(), start, target.prior(), target.model(), proposals, guide
    chain, info = pose_metropolis(*args)
    leaps = proposals.is_leap[:, :1]
    begin = np.where(leaps[..., None], guide.centres, start.rotations)
    where = turned(begin, proposals.turns[:, 0])
    is_taken = info.acceptance_rate > 0
    assert 0.1 < is_taken.mean() < 0.9
    np.testing.assert_allclose(chain.rotations[is_taken], where[is_taken], atol=1e-6)
    before = np.where(leaps, turn_between(guide.centres, start.rotations), 0.0)
    along = np.einsum("nij,nj->ni", guide.levers, proposals.turns[:, 0] - before)
    offsets = proposals.patches[:, 0] + (along * is_taken[:, None])[:, None]
    moved = (chain.shifts - start.shifts)[:, None] - offsets
    assert (abs(moved).sum(axis=2).min(axis=1) < 1e-5).all()


def test_tiny_turns_are_accepted(rng, target):
    *_, info = once(target, rng, turns=(1e-6, 1e-5))
    assert info.acceptance_rate.mean() > 0.99


def test_proposals_are_symmetric_and_hold_the_present_shift(rng):
    proposals = draw_proposals(rng, 300, 50, (0.1, 1.0), (0.2, 2.0))
    patches, turns = proposals.patches, proposals.turns
    assert patches.shape == (300, 50, 9, 2)
    assert (abs(patches).sum(axis=-1).min(axis=2) == 0).all()
    own = abs(patches).sum(axis=-1).argmin(axis=2)
    share = np.bincount(own.ravel(), minlength=9) / own.size
    np.testing.assert_allclose(share, 1 / 9, atol=5 * np.sqrt(0.1 / own.size))
    spacing = patches[:, :, 1, 1] - patches[:, :, 0, 1]
    assert (spacing >= 0.2).all()
    assert (spacing <= 2).all()
    squares = (turns**2).mean()
    # log-uniform scales: mean square (1 - 0.01) / (2 log 10)
    assert squares == pytest.approx(0.99 / (2 * np.log(10)), rel=0.05)
    np.testing.assert_allclose(turns.mean(axis=(0, 1)), 0, atol=5 * np.sqrt(squares / 15_000))
    known = draw_proposals(rng, 3, 2, (0.1, 1.0), (0.2, 2.0), width=1)
    assert not known.patches.any()
