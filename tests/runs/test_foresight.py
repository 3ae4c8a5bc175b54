"""What is foreseen of a run, against what the run then does."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from napari_hypermol.errors import RunCancelled
from napari_hypermol.runs import memory, reconstruct
from napari_hypermol.runs.foresight import FEWEST, marched, signal_to_noise
from napari_hypermol.runs.job import Job
from napari_hypermol.schedules.marching import auto_schedule, final_stage, marching_radii
from napari_hypermol.schedules.stage import Stage
from napari_hypermol.synthetic.simulate import Simulation
from small_runs import BRIEF, MIXED, TINY, recovered, simulated

HINGE = Simulation("hinge", n=200, box_size=64, pixel_size=4.0, snr=0.03, shift_std=1.0, seed=1)


def halves(rng, ratio, n=400):
    """FSC of two halves of n coefficients a shell, of so much signal over noise together."""
    fsc = []
    for r in ratio:
        signal = rng.normal(size=n) * np.sqrt(r / 2)
        one, two = signal + rng.normal(size=(2, n))
        fsc.append(one @ two / np.sqrt((one @ one) * (two @ two)))
    return np.array(fsc)


def test_signal_to_noise_is_told_and_continued(rng):
    k = np.arange(40)
    true = 50 * np.exp(-(k**2) / 150)
    found = signal_to_noise(halves(rng, true))
    assert len(found) == 80
    assert true[20] > 1 > true[28]
    within = slice(1, 21)  # its halves are alike beyond doubt
    np.testing.assert_allclose(np.log(found[within]), np.log(true[within]), atol=0.5)
    # from there on by a law that it follows
    np.testing.assert_allclose(np.log(found[25:32]), np.log(true[25:32]), atol=1.5)
    assert (np.diff(found[32:]) <= 0).all()


def test_noise_alone_has_no_signal(rng):
    found = signal_to_noise(halves(rng, np.zeros(30)))
    assert (found[2:] < 0.5).all()


def test_a_signal_that_does_not_fall_is_not_continued_upwards():
    found = signal_to_noise(np.linspace(0.5, 0.9, 20))
    assert (np.diff(found[20:]) == 0).all()


@pytest.mark.parametrize("moves_poses", [False, True])
def test_a_run_marches_as_far_as_the_signal_does(moves_poses):
    stages = auto_schedule(128, 3, moves_poses=moves_poses)
    plenty, none = np.full(200, 100.0), np.zeros(200)
    assert marched(stages, plenty) == stages
    # states begin whatever the mean says; then there is one stage more
    short = marched(stages, none)
    begun = next(i for i, s in enumerate(stages) if s.kindled_sweeps)
    assert short[:-1] == stages[: begun + 1]
    assert short[-1] == final_stage(stages[begun + 1 :], stages[begun].max_radius)
    half_way = np.where(np.arange(200) < 20, 100.0, 0.0)
    some = marched(stages, half_way)
    assert len(short) < len(some) < len(stages)
    edges = [s.max_radius for s in some]
    assert edges[-3] < 20 <= edges[-2] < edges[-1] < 1.2 * edges[-2]


def test_the_last_stage_has_all_functions():
    stages = [Stage("a", 9.0, 1, 2), Stage("b", 12.0, 3, 2, searches=True), Stage("c", 17.0, 5, 4)]
    found = final_stage(stages, 9.0)
    assert found == replace(stages[2], max_radius=pytest.approx(9.9), searches=True)
    assert final_stage(stages, 16.5).max_radius == 17.0  # the recipe's own limit


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    """A run that looks before it starts, and the same that does not."""
    folder = tmp_path_factory.mktemp("foresight")
    data = simulated(folder / "data", HINGE)
    seen, plain = [], recovered(data, folder / "plain").run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "_WORTH_SAYING", 0.0)
        patch.setattr(reconstruct, "_WORTH_A_LOOK", 0)
        true = reconstruct.foreseen
        patch.setattr(reconstruct, "foreseen", lambda *given: seen.append(true(*given)) or seen[0])
        run = recovered(data, folder / "looked").run
    (found,) = seen
    return plain, run, found


def test_the_last_stage_is_foreseen(looked):
    _, run, (_, stages, least) = looked
    reached = run.snapshot.stage
    assert reached.max_radius < marching_radii(HINGE.box_size)[-1]  # there is something to foresee
    assert stages[-1].max_degree == reached.max_degree
    # a stage more or less is a step of 1.4
    assert least[-1].max_radius <= 1.05 * reached.max_radius
    assert reached.max_radius <= 1.05 * stages[-1].max_radius < 1.5 * least[-1].max_radius


def test_what_is_left_of_supports_is_foreseen(looked):
    _, run, (left, stages, _) = looked
    expected = run.snapshot.molecule
    found = left.discretise(stages[-1].max_radius, 0)
    for foreseen_basis, basis in zip(found.bases, expected.bases, strict=True):
        assert foreseen_basis.edge == pytest.approx(basis.edge, rel=0.2)


def test_looking_changes_what_is_said_and_nothing_else(looked):
    plain, run, _ = looked
    np.testing.assert_array_equal(run.snapshot.estimate.theta, plain.snapshot.estimate.theta)
    np.testing.assert_array_equal(run.states, plain.states)
    vague, told = plain.metrics, run.metrics
    assert vague["planned_least_memory_bytes"] < vague["planned_memory_bytes"]
    spare = told["planned_memory_bytes"] - told["planned_least_memory_bytes"]
    assert spare < vague["planned_memory_bytes"] - vague["planned_least_memory_bytes"]


class Looks(list):
    """What was foreseen, look by look."""

    def check(self):
        """Called when a look begins."""


@pytest.fixture
def always(monkeypatch):
    """Runs look whatever their plan says."""
    monkeypatch.setattr(memory, "_WORTH_SAYING", -1.0)
    monkeypatch.setattr(reconstruct, "_WORTH_A_LOOK", -1)
    looks, true = Looks(), reconstruct.foreseen

    def look(*given):
        looks.check()
        looks.append(true(*given))
        return looks[-1]

    monkeypatch.setattr(reconstruct, "foreseen", look)
    return looks


GPSWF = {"support": {"ball": {"center": [0, 0, 0], "radius": 70}}, "basis": "gpswf"}


@pytest.mark.parametrize("schedule", ["auto", BRIEF], ids=["auto", "brief"])
@pytest.mark.parametrize("components", [MIXED, {"all": GPSWF}], ids=["mixed", "gpswf"])
def test_every_kind_of_state_and_basis_can_be_looked_at(always, tmp_path, components, schedule):
    plan = TINY._replace(n=FEWEST)
    data = simulated(tmp_path / "data", plan, components=components, schedule=schedule)
    told = recovered(data, tmp_path / "run").run.metrics
    assert len(always) == 1
    assert 0 < told["planned_least_memory_bytes"] <= told["planned_memory_bytes"]


def test_too_few_particles_are_not_looked_at(always, tmp_path):
    data = simulated(tmp_path / "data", TINY._replace(n=FEWEST - 1), schedule=BRIEF)
    recovered(data, tmp_path / "run")
    assert not always


def test_poses_that_are_not_known_say_nothing(always, tmp_path):
    data = simulated(
        tmp_path / "data",
        latents={"rotation": "refine", "shift": "refine", "contrast": "refine"},
        schedule=[{"resolution": 24, "degree": 0, "sweeps": 1}],
    )
    recovered(data, tmp_path / "run")
    assert not always


def test_a_look_can_be_stopped(always, tmp_path):
    data, stop = simulated(tmp_path / "data", schedule=BRIEF), threading.Event()
    always.check = stop.set  # once it looks
    with pytest.raises(RunCancelled):
        reconstruct.reconstruct(
            Job(data / "particles.star", tmp_path / "run", data / "recipe.yaml"), stop=stop
        )
    assert not always  # it did not come to its end
