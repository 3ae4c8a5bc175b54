"""Recovery on sixty to eighty particles: what does not depend on how good the result is.

Then the ways out of a bad start, on four hundred.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from napari_hypermol.io import read_particles
from napari_hypermol.particles import Defocus
from napari_hypermol.runs import recover as module
from napari_hypermol.runs.fourier_stack import read_fourier_stack
from napari_hypermol.runs.from_recipe import composite_of, stages_of
from napari_hypermol.runs.priors import PriorSettings
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.recipe_text import read_recipe
from napari_hypermol.runs.recover import recover
from napari_hypermol.runs.snapshot import RecoverySettings
from napari_hypermol.schedules.stage import Stage, work_of
from small_runs import PRETZEL, TINY, simulated
from small_starts import MEAN, pretzels, wheels

STAGES = [
    Stage("mean", 8.0, 0, sweeps=1, solve_iterations=6),
    Stage("states", 8.0, 1, sweeps=4, kindled_sweeps=3),
    Stage("more", 8.0, 2, sweeps=2),
]
PARTICLES = TINY._replace(n=80, snr=2.0)


@pytest.fixture(scope="module")
def particles(tmp_path_factory):
    folder = simulated(tmp_path_factory.mktemp("recover") / "data", PARTICLES)
    return read_particles(folder / "particles.star").particles


@pytest.fixture(scope="module")
def composite(tiny_run):
    recipe = read_recipe(tiny_run.data / "recipe.yaml")
    return composite_of(recipe, tiny_run.data, TINY.box_size, TINY.pixel_size)


def recovery(
    particles, composite, seed=0, start=None, on_stage=lambda s: None, reporter=None, **settings
):
    settings = RecoverySettings(**({"stages": STAGES} | settings))
    stack = read_fourier_stack(particles, max(s.max_radius for s in settings.stages))
    rows, rng = np.arange(particles.images.shape[0]), np.random.default_rng(seed)
    return recover(
        particles, stack, composite, settings, rows, rng, reporter or Reporter(), on_stage, start
    )  # fmt: skip


@pytest.fixture(scope="module")
def snapshots(particles, composite):
    kept = []
    recovery(particles, composite, on_stage=kept.append)
    return kept


@pytest.fixture(scope="module")
def whole(snapshots):
    return snapshots[-1]


def distance(one, two):
    """Largest differences: of coefficients relative to the largest, of states as they are."""
    scale = abs(one.estimate.theta).max()
    theta = abs(one.estimate.theta - two.estimate.theta).max() / scale
    states = abs(one.posterior.state_mean - two.posterior.state_mean)
    return float(theta), float(states.max(initial=0))


def test_snapshots_tell_what_was_done(snapshots):
    assert [s.position for s in snapshots] == [1, 2, 3]
    assert [s.stage for s in snapshots] == STAGES
    assert [len(s.trace) for s in snapshots] == [1, 5, 7]
    assert snapshots[0].maps.dims == 2
    entry = snapshots[-1].trace[-1]
    assert {"stage", "sweep", "seconds", "log_likelihood_per_particle", "edge_share"} <= set(entry)
    assert all(0 <= s.edge_share <= 1 for s in snapshots)


def test_same_seed_same_result(particles, composite, whole):
    theta, states = distance(whole, recovery(particles, composite))
    # threads add in another order: rounding of float32, amplified by a few sweeps
    assert theta < 1e-5
    assert states < 1e-5


def test_going_on_from_any_snapshot_arrives_at_the_same(particles, composite, snapshots, whole):
    for start in snapshots:
        theta, states = distance(whole, recovery(particles, composite, start=start))
        assert theta < 1e-5
        assert states < 1e-5


def test_order_of_particles_hardly_matters(pretzel_run):
    """Another order is another random start; it leads to the same molecule, up to direction."""
    run = pretzel_run.run
    particles = run.read_particles().particles
    order = np.random.default_rng(5).permutation(PRETZEL.n)
    shuffled = particles._replace(
        images=particles.images[order],
        rotations=particles.rotations[order],
        shifts=particles.shifts[order],
        optics_group=particles.optics_group[order],
        defocus=Defocus(*(column[order] for column in particles.defocus)),
    )
    composite = composite_of(run.recipe, run.path, PRETZEL.box_size, PRETZEL.pixel_size)
    stages = stages_of(run.recipe, composite, PRETZEL.pixel_size)
    again = recovery(shuffled, composite, stages=stages, is_adaptive=True)
    states = np.empty_like(run.states)
    states[order] = again.posterior.state_mean
    for axis in range(2):
        # with converged starts; each state is known to about 0.03 of its range
        assert abs(spearmanr(states[:, axis], run.states[:, axis]).statistic) > 0.995
    whole, mean = again.maps.volume([0.5, 0.5]), run.maps.volume([0.5, 0.5])
    assert np.corrcoef(mean.ravel(), whole.ravel())[0, 1] > 0.99
    np.testing.assert_allclose(again.estimate.noise, run.snapshot.estimate.noise, rtol=0.02)


def test_known_contrast_is_one(particles, composite):
    found = recovery(particles, composite, refine_contrast=False)
    np.testing.assert_allclose(found.posterior.contrast_mean, 1, atol=1e-12)
    np.testing.assert_allclose(found.posterior.contrast_std, 0, atol=1e-6)
    assert found.estimate.contrast_std == 0


def test_refined_contrast_has_a_spread(whole):
    assert whole.posterior.contrast_mean.std() > 0.02
    assert 0.02 <= whole.estimate.contrast_std <= 0.5


def test_ridge_shrinks(particles, composite, whole):
    strong = recovery(particles, composite, priors=PriorSettings(ridge=1e3))
    norm = np.linalg.norm
    assert norm(strong.estimate.theta) < 0.5 * norm(whole.estimate.theta)


def test_smoothness_holds_states_together(particles, composite, whole):
    stiff = recovery(particles, composite, priors=PriorSettings(smooth=1e4))

    def share(snapshot):
        parts = snapshot.molecule.split(snapshot.estimate.theta)
        return np.linalg.norm(parts[1][1:]) / np.linalg.norm(parts[1])

    assert share(stiff) < 0.5 * share(whole)


def test_marching_ends_where_the_data_end(particles, composite, monkeypatch):
    """Were the molecule all prior after the first stage, the last would follow, a little finer."""
    stages = [
        Stage("a", 6.0, 0, sweeps=1),
        Stage("b", 7.0, 1, sweeps=1),
        Stage("c", 8.0, 2, sweeps=1),
    ]
    seen = []
    monkeypatch.setattr(module, "EXHAUSTED", 1.1)
    reporter = Reporter(total=work_of(stages))
    recovery(
        particles, composite, stages=stages, is_adaptive=True, on_stage=seen.append,
        reporter=reporter,
    )  # fmt: skip
    assert [s.stage.name for s in seen] == ["a", "c"]
    assert reporter.done == pytest.approx(work_of([s.stage for s in seen]))
    assert reporter.total == pytest.approx(reporter.done)  # nothing is left of the plan
    assert seen[-1].stage.max_radius == pytest.approx(6.6)
    assert seen[-1].position == 3
    seen.clear()
    recovery(particles, composite, stages=stages, is_adaptive=False, on_stage=seen.append)
    assert [s.stage.name for s in seen] == ["a", "b", "c"]


def test_states_begin_as_planned_however_little_the_images_hold(particles, composite, monkeypatch):
    stages = [
        Stage("a", 6.0, 0, sweeps=1),
        Stage("b", 6.0, 1, sweeps=2, kindled_sweeps=1),
        Stage("c", 7.0, 1, sweeps=1),
        Stage("d", 8.0, 2, sweeps=1),
    ]
    seen = []
    monkeypatch.setattr(module, "EXHAUSTED", 1.1)
    recovery(particles, composite, stages=stages, is_adaptive=True, on_stage=seen.append)
    assert [s.stage.name for s in seen] == ["a", "b", "d"]


# ---- when an order of the particles is sought ----------------------------------------------------


@pytest.fixture(scope="module")
def small():
    return pretzels()


def schedule(*degrees):
    return [
        replace(MEAN, name=f"degree {degree}", max_degree=degree, sweeps=1) for degree in degrees
    ]


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        ((0, 1, 2, 3), ["degree 2"]),  # the first that can be in disorder, and only that
        ((0, 3, 4), ["degree 3"]),
        ((0, 1, 3), []),  # nothing comes after it
        ((0, 1, 1), []),  # two functions: a line has one order
    ],
)
def test_order_is_sought_once(small, monkeypatch, degrees, expected):
    asked = []

    def remembered(snapshot, *given):
        asked.append(snapshot.stage.name)
        return snapshot

    monkeypatch.setattr(module, "in_order", remembered)
    small.recovered(schedule(*degrees))
    assert asked == expected


def test_order_is_not_sought_again_by_a_resumed_run(small, monkeypatch):
    monkeypatch.setattr(module, "in_order", lambda snapshot, *given: snapshot)
    kept = []
    small.recovered(schedule(0, 2, 3, 4), on_stage=kept.append)
    asked = []
    monkeypatch.setattr(module, "in_order", lambda snapshot, *given: asked.append(1) or snapshot)
    small.recovered(schedule(0, 2, 3, 4), start=kept[1])
    assert asked == []
    small.recovered(schedule(0, 2, 3, 4), start=kept[0])
    assert asked == [1]


def test_no_order_is_sought_on_a_circle(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "in_order", lambda *given: asked.append(1))
    wheels().recovered(schedule(0, 2, 3))
    assert asked == []


# ---- what a stage holds and draws ----------------------------------------------------------------


def after(particles, composite, snapshots, **keys):
    """The last stage once more, otherwise; two sweeps."""
    stages = [*STAGES[:2], replace(STAGES[2], **keys)]
    return recovery(particles, composite, start=snapshots[1], stages=stages)


def test_held_maps_stay(particles, composite, snapshots):
    found = after(particles, composite, snapshots, theta="hold")
    expected = found.molecule.transfer(snapshots[1].estimate.theta, snapshots[1].molecule)
    np.testing.assert_array_equal(found.estimate.theta, expected)


def test_drawn_maps_differ_from_the_likeliest_by_their_uncertainty(particles, composite, snapshots):
    whole = after(particles, composite, snapshots)
    one, other = (
        after(particles, composite, snapshots, theta="draw", state="draw", sweeps=n).estimate.theta
        for n in (2, 3)
    )
    likeliest = whole.estimate.theta
    assert 0.02 < np.linalg.norm(one - likeliest) / np.linalg.norm(likeliest) < 3
    assert np.corrcoef(one, other)[0, 1] > 0.5
    assert abs(one - other).max() > 0


def test_held_states_are_read_once(particles, composite, snapshots):
    changes = [
        after(particles, composite, snapshots, state=state).trace[-1]["state_change"]
        for state in ("hold", "exact")
    ]
    assert changes[0] == 0
    assert changes[1] > 0


def test_held_contrasts_are_one_while_the_stage_lasts(particles, composite, snapshots):
    found = after(particles, composite, snapshots, contrast="hold")
    assert found.estimate.contrast_std == snapshots[1].estimate.contrast_std  # not estimated anew
