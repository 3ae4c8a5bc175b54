"""Half of the particles at poses of the mirror image: the state tells the hands apart, until one
of them is begun with again.
"""

from dataclasses import replace
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from napari_hypermol.bases.cosine import CosineBasis
from napari_hypermol.molecules.component import Component
from napari_hypermol.molecules.composite import Composite
from napari_hypermol.molecules.support import Ball
from napari_hypermol.particles import Particles
from napari_hypermol.runs import one_hand
from napari_hypermol.runs import recover as recover_module
from napari_hypermol.runs.fourier_stack import FourierStack, read_fourier_stack
from napari_hypermol.runs.one_hand import of_one_hand, state_of_one_hand
from napari_hypermol.runs.pose_scores import pose_scores
from napari_hypermol.runs.pose_step import PoseSettings
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.recover import recover
from napari_hypermol.runs.snapshot import RecoverySettings, Snapshot
from napari_hypermol.runs.state_axes import StateAxis
from napari_hypermol.schedules.stage import Stage
from napari_hypermol.synthetic.simulate import Simulation, simulated_particles
from small_hands import hand

PLAN = Simulation(
    "hand", n=240, box_size=32, pixel_size=6.0, snr=2.0, shift_std=0.3, contrast_std=0.05, seed=2
)
MEAN = Stage("mean", 7.0, 0, sweeps=2, solve_iterations=8)
STATES = Stage("states", 7.0, 1, sweeps=12, kindled_sweeps=6)
ROWS = np.arange(PLAN.n)
FINDS = PoseSettings("search", "search", shift_std=0.5 * PLAN.pixel_size)


def composite():
    ball = Ball((0.0, 0.0, 0.0), 14.0)
    return Composite([Component("all", ball, CosineBasis(1))], PLAN.box_size)


class TwoHands(NamedTuple):
    """Particles, every other one at the pose its mirror image would have, and what a run finds."""

    particles: Particles
    stack: FourierStack
    snapshot: Snapshot
    truth: tuple


@pytest.fixture(scope="module")
def hands():
    particles, true = simulated_particles(PLAN, hand())
    rotations = np.array(true.rotations, dtype=np.float64)
    # V(M r) at M R M has the same projection as V(r) at R, M the reflection along the beam
    mirror = np.diag([1.0, 1.0, -1.0])
    rotations[::2] = mirror @ rotations[::2] @ mirror
    particles = particles._replace(rotations=rotations)
    stack = read_fourier_stack(particles, 7.0)
    found = recover(
        particles, stack, composite(), RecoverySettings([MEAN, STATES]), ROWS,
        np.random.default_rng(0), Reporter(),
    )  # fmt: skip
    truth = (true.rotations, true.shifts / PLAN.pixel_size)
    return TwoHands(particles, stack, found, truth)


def test_the_state_tells_the_hands_apart(hands):
    states = hands.snapshot.posterior.state_mean[:, 0]
    assert abs(np.corrcoef(states, ROWS % 2)[0, 1]) > 0.8
    assert state_of_one_hand(hands.snapshot) is not None


class Mixed:
    """Maps of a molecule, and of what a share of its mirror image adds at one end of its state."""

    def __init__(self, share, mirrored=True):
        self.axes = (StateAxis("tau1", "all"), StateAxis("tau2", "all"))
        self.alone = hand().components[0].volume(0.5, 32)
        # about another plane than the box's, as no one knows which
        other = self.alone[::-1].transpose(0, 2, 1) if mirrored else self.alone
        self.other, self.share = other, share

    def volume(self, states):
        return self.alone + self.share * (1 - states[1]) * self.other


@pytest.mark.parametrize(
    ("share", "mirrored", "found"), [(1.0, True, True), (0.05, True, False), (1.0, False, False)]
)
def test_the_mean_of_both_hands_is_more_symmetric_than_either(share, mirrored, found):
    states = np.random.default_rng(0).uniform(size=(300, 2))
    posterior = SimpleNamespace(state_mean=states)
    snapshot = SimpleNamespace(maps=Mixed(share, mirrored), posterior=posterior)
    state = one_hand._of_less_symmetry(snapshot)
    assert (state is not None) == found
    if found:
        assert state[0] == 0.5
        assert state[1] > 0.8  # where the other hand has least


def test_the_molecule_is_that_of_the_state(hands):
    state = state_of_one_hand(hands.snapshot)
    still = of_one_hand(hands.snapshot, composite(), state, MEAN, 1)
    assert still.position == 1
    # the next stage begins at the detail that the maps have, whatever the plan of the one before
    coarse = of_one_hand(hands.snapshot, composite(), state, replace(MEAN, max_radius=5.0), 1)
    assert coarse.stage.max_radius == hands.snapshot.stage.max_radius == 7.0
    assert not still.molecule.kinds(0)
    expected = hands.snapshot.maps.volume(state)
    np.testing.assert_allclose(still.maps.volume([0.3]), expected, atol=1e-5 * abs(expected).max())


def test_a_motion_is_not_taken_for_two_hands(hands):
    """All particles at their own poses; the state then is of noise."""
    particles = hands.particles._replace(rotations=hands.truth[0])
    found = recover(
        particles, hands.stack, composite(), RecoverySettings([MEAN, STATES]), ROWS,
        np.random.default_rng(0), Reporter(),
    )  # fmt: skip
    assert state_of_one_hand(found) is None


def aligned(hands, poses):
    found = (np.asarray(poses.rotations, np.float64), poses.shifts / PLAN.pixel_size)
    return pose_scores(found, hands.truth).within(20)


def test_all_particles_find_the_hand_that_is_begun_with(hands, monkeypatch):
    """A run whose search ends in both: from there on in one, at most by half before."""
    given = hands.particles

    def both_hands(*arguments):
        return given

    monkeypatch.setattr(recover_module, "found_poses", both_hands)
    kept = []
    last = Stage("more", 7.0, 1, sweeps=2)
    found = recover(
        given, hands.stack, composite(), RecoverySettings([MEAN, STATES, last], poses=FINDS), ROWS,
        np.random.default_rng(0), Reporter(), kept.append,
    )  # fmt: skip
    assert [s.position for s in kept] == [1, 1, 2, 3]
    assert aligned(hands, kept[0].poses) < 0.7
    assert aligned(hands, found.poses) > 0.9
