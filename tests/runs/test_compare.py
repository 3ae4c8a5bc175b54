"""Which of two recipes predicts unseen particles better, where it is known which should."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from napari_hypermol.errors import HypermolError, RunFolderError
from napari_hypermol.io import read_particles, write_stack
from napari_hypermol.runs.compare import _result, compare, comparison_lines
from napari_hypermol.runs.recipe_text import recipe_from
from napari_hypermol.runs.run_writer import RunWriter
from napari_hypermol.runs.store import Run
from napari_hypermol.synthetic import simulate as room
from napari_hypermol.synthetic.cat import cat
from napari_hypermol.synthetic.gaussians import GaussianMolecule
from napari_hypermol.synthetic.simulate import Simulation, simulate
from small_runs import BRIEF

CAT = Simulation("cat", n=400, box_size=32, pixel_size=6.0, snr=0.3, shift_std=1.0, seed=5)
BALL = {"ball": {"center": [0, 0, 0], "radius": 78}}
MOVING = {"cat": {"support": BALL, "state": {"dims": 1, "degree": 4}}}
RIGID = {"cat": {"support": BALL}}


def run_of(data, out, components, **more):
    """A run folder as `compare` needs it: the recipe and where its particles are."""
    file = read_particles(data / "particles.star")
    facts = {
        "box_size": int(file.particles.images.shape[1]),
        "pixel_size": file.particles.pixel_size,
        "particles": str(file.path.resolve()),
        "n_particles": file.n,
        "data_dir": None,
    }
    RunWriter(out, recipe_from({"components": components, **more}), data, facts)
    return Run.open(out)


@pytest.fixture(scope="module")
def moving_cat(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moving") / "data"
    simulate(CAT, folder)
    return folder


@pytest.fixture(scope="module")
def still_cat(tmp_path_factory):
    """The cat looking straight ahead, whatever its state."""
    folder = tmp_path_factory.mktemp("still") / "data"

    def still(box_size):
        (component,) = cat(box_size).components
        places = component.centres(np.array([0.5]))
        return GaussianMolecule(
            (replace(component, centres=lambda states: np.repeat(places, len(states), axis=0)),)
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(room.MOLECULES, "cat", still)
        simulate(CAT, folder)
    return folder


@pytest.mark.slow
def test_cat_that_moves_needs_its_state(moving_cat, tmp_path):
    rigid = run_of(moving_cat, tmp_path / "rigid", RIGID)
    free = run_of(moving_cat, tmp_path / "free", MOVING)
    seen = []
    result = compare(rigid, free, seen.append)
    assert result["better"] == "two"
    # reading the state is worth some nats a particle at SNR 0.3
    assert result["difference"] > 1
    assert min(result["by_fold"]) > 0
    one, two = result["log_likelihood"]
    assert two - one == pytest.approx(result["difference"])
    assert result["particles"] == 400
    # Unit noise: - 1/2 (log 2 pi + 1) = -1.42 for each of the numbers, and both lie a little below.
    assert -1.46 < two / result["real_numbers_per_particle"] < -1.41
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert any("half 2 of 2" in p.message for p in seen)
    lines = comparison_lines(result)
    assert f"{free.path} is better by" in lines[3]
    assert "standard errors" in lines[3]
    swapped = compare(free, rigid)
    assert swapped["better"] == "one"
    assert swapped["difference"] == pytest.approx(-result["difference"], abs=1e-3)


def test_cat_that_keeps_still_gains_nothing_from_a_state(still_cat, tmp_path):
    rigid = run_of(still_cat, tmp_path / "rigid", RIGID)
    free = run_of(still_cat, tmp_path / "free", MOVING)
    result = compare(rigid, free)
    assert result["better"] != "two"
    # what the state made of noise costs little: its spectra shrink
    assert -2 < result["difference"] < result["standard_error"] * 2


def test_finer_recipe_is_compared_on_the_same_samples(moving_cat, tmp_path):
    """A molecule cut off at 48 Å predicts no detail, and loses where there is some."""
    coarse = run_of(moving_cat, tmp_path / "a", RIGID, schedule=[{"resolution": 48, "degree": 0}])
    fine = run_of(moving_cat, tmp_path / "b", RIGID, schedule=[{"resolution": 24, "degree": 0}])
    result = compare(coarse, fine)
    assert result["band_limits"] == [[48.0, 48.0], [24.0, 24.0]]
    assert result["better"] == "two"
    assert result["real_numbers_per_particle"] == 197  # lattice points within 8 of the origin


def test_recipe_against_itself(tiny_run, tmp_path):
    again = Run.open(shutil.copytree(tiny_run.run.path, tmp_path / "again"))
    result = compare(tiny_run.run, again)
    # the same seed, the same sums: the same numbers
    assert result["difference"] == 0
    assert result["better"] is None
    assert "cannot be told apart" in comparison_lines(result)[3]


def test_folds_that_contradict_each_other_decide_nothing():
    rng = np.random.default_rng(0)
    halves = np.arange(100), np.arange(100, 200)
    one = rng.normal(size=200)
    steady = one + 1 + 0.1 * rng.normal(size=200)
    assert _result(one, steady, halves)["better"] == "two"
    assert _result(steady, one, halves)["better"] == "one"
    torn = one + np.repeat([3.0, -0.5], 100)
    result = _result(one, torn, halves)
    assert result["difference"] > 5 * result["standard_error"]
    assert result["better"] is None
    assert result["by_fold"] == pytest.approx([3.0, -0.5])
    faint = _result(one, one + rng.normal(size=200) + 0.02, halves)
    assert faint["better"] is None
    assert faint["standard_error"] == pytest.approx(1 / np.sqrt(200), rel=0.2)


# ---- what cannot be compared -------------------------------------------------------------------


@pytest.fixture
def two_folders(tmp_path):
    """The same sixteen particles twice, in two folders."""
    plan = CAT._replace(n=16)
    for name in ("a", "b"):
        simulate(plan, tmp_path / name)
    return tmp_path


def both(folder, **more):
    runs = [run_of(folder / n, folder / f"run_{n}", RIGID, schedule=BRIEF) for n in ("a", "b")]
    return compare(*runs, **more)


def test_copies_of_a_file_are_the_same_particles(two_folders):
    assert both(two_folders)["particles"] == 16


def test_other_images_are_other_particles(two_folders, rng):
    write_stack(
        two_folders / "b" / "particles.mrcs",
        rng.normal(size=(16, 32, 32)).astype(np.float32), 6.0, overwrite=True,
    )  # fmt: skip
    with pytest.raises(RunFolderError, match=r"not of the same particles.*other images"):
        both(two_folders)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"n": 18}, "number of particles 16 and 18"),
        ({"seed": 9}, "other rotations"),
        ({"box_size": 24, "pixel_size": 8.0}, "box size 32 and 24"),
    ],
)
def test_other_particles_are_refused(two_folders, change, reason):
    simulate(CAT._replace(**({"n": 16} | change)), two_folders / "b", overwrite=True)
    with pytest.raises(RunFolderError, match=f"not of the same particles.*{reason}"):
        both(two_folders)


def test_file_that_changed_is_refused(two_folders):
    runs = [run_of(two_folders / n, two_folders / f"run_{n}", RIGID) for n in ("a", "b")]
    simulate(CAT._replace(n=15), two_folders / "a", overwrite=True)
    with pytest.raises(RunFolderError, match="has changed since"):
        compare(*runs)


def test_too_many_states_are_refused(two_folders):
    many = {f"c{i}": {"support": BALL, "state": {}} for i in range(5)}
    runs = [run_of(two_folders / "a", two_folders / f"r{i}", many) for i in range(2)]
    with pytest.raises(HypermolError, match="r0: 5 components with states"):
        compare(*runs)
