"""Small whole runs whose poses are refined or found: what is written, stopped, halved, refused."""

import shutil
import threading
from functools import partial

import numpy as np
import pytest
import yaml
import zarr

from napari_hypermol.coordinates.rotations import angles_between
from napari_hypermol.errors import HypermolError, RunCancelled, RunFolderError
from napari_hypermol.io import read_particles, read_star, write_star
from napari_hypermol.particles import Particles
from napari_hypermol.runs import particle_order as order_module
from napari_hypermol.runs import recover as recover_module
from napari_hypermol.runs import stage_sweeps as sweeps_module
from napari_hypermol.runs.initial_model import InitialSettings, initial_model
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.preview import forget_preview, read_preview, write_preview
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.store import Run
from napari_hypermol.synthetic.simulate import Simulation
from small_runs import recovered, simulated

PLAN = Simulation("kinase", n=60, box_size=24, pixel_size=8.0, snr=2.0, shift_std=1.0, seed=3)
OFF = PLAN._replace(pose_error=8.0, shift_error=1.0)
WHOLE = {"all": {"support": {"ball": {"radius": 80}}}}
MEAN = {"resolution": 24, "degree": 0, "sweeps": 3}
STAGES = [MEAN, {"resolution": 20, "degree": 0, "sweeps": 2}]
POSES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")


@pytest.fixture(autouse=True, scope="module")
def _brief():
    """Fewer batches and draws: nothing here depends on how good the poses are."""
    with pytest.MonkeyPatch.context() as patch:
        brief = partial(initial_model, settings=InitialSettings(1, ((5.0, 2, 60),)))
        patch.setattr(recover_module, "initial_model", brief)
        patch.setattr(sweeps_module, "_POSE_DRAWS", 6)
        yield


@pytest.fixture(scope="module")
def refined(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refined")
    data = simulated(folder / "data", OFF, components=WHOLE, schedule=STAGES)
    return recovered(data, folder / "run")


def tables(run):
    """Particles given and written."""
    given = read_star(run.data / "particles.star")["particles"]
    return given, read_star(run.run.path / "particles.star")["particles"]


def truth_of(data):
    return read_particles(data / "truth.star").particles


def median_error(rotations, data):
    return np.degrees(np.median(angles_between(rotations, truth_of(data).rotations)))


# ---- what comes out ----------------------------------------------------------------------------


def test_supports_are_trimmed_and_read_again(refined):
    """The last stage's is smaller than the recipe's ball, on disk as in memory."""
    kept = refined.run.snapshot.molecule
    again = Run.open(refined.run.path).snapshot.molecule
    np.testing.assert_array_equal(again.cuts[0], kept.cuts[0])
    for one, two in zip(again.bases, kept.bases, strict=True):
        np.testing.assert_array_equal(one.mask, two.mask)
    stage = refined.run.snapshot.stage
    whole = refined.run.molecule(stage.max_radius, stage.max_degree, [None])
    assert again.n_coefficients < 0.9 * whole.n_coefficients
    write_preview(
        refined.run.path, HyperMaps(kept, refined.run.snapshot.estimate.theta),
        {"position": 2, "sweep": 1, "max_radius": stage.max_radius, "max_degree": 0},
    )  # fmt: skip
    np.testing.assert_array_equal(
        read_preview(refined.run).maps.molecule.bases[0].mask, kept.bases[0].mask
    )
    forget_preview(refined.run.path)


@pytest.mark.parametrize("cut", [np.zeros((4, 4), np.uint8), np.zeros((2, 2, 2), np.uint8)])
def test_damaged_cuts_are_said(refined, tmp_path, cut):
    run = shutil.copytree(refined.run.path, tmp_path / "run")
    group = zarr.open_group(run / "store.zarr" / "snapshot_002", mode="a")
    del group["cut_0"]
    group.create_array("cut_0", data=cut)
    with pytest.raises(RunFolderError, match="damaged"):
        _ = Run.open(run).snapshot


def test_refined_poses_are_written_and_everything_else_kept(refined):
    given, found = tables(refined)
    assert list(found.columns[: given.shape[1]]) == list(given.columns)
    kept = [name for name in given.columns if name not in POSES]
    assert found[kept].equals(given[kept])
    for name in POSES:
        assert (found[name].astype(float) != given[name].astype(float)).any()
    rotations, shifts = refined.run.read_poses()
    poses = refined.run.snapshot.poses
    assert angles_between(rotations, poses.rotations).max() < 1e-4  # [rad], angles have 6 digits
    np.testing.assert_allclose(shifts, poses.shifts, atol=1e-5)
    spread = found["hypermolRotationStd"].astype(float)  # in degrees
    np.testing.assert_allclose(spread, np.degrees(poses.rotation_std), rtol=1e-4)
    assert ((spread > 0) & (spread < 60)).all()
    np.testing.assert_allclose(found["hypermolShiftStd"].astype(float), poses.shift_std, atol=1e-5)


def test_refined_poses_are_nearer_to_the_truth(refined):
    told = read_particles(refined.data / "particles.star").particles
    found = refined.run.snapshot.poses
    true = truth_of(refined.data)
    before, after = (median_error(p, refined.data) for p in (told.rotations, found.rotations))
    assert after < before
    before, after = (np.linalg.norm(s - true.shifts, axis=1) for s in (told.shifts, found.shifts))
    assert np.median(after) < np.median(before)


def test_a_snapshot_is_read_with_its_poses(refined):
    kept, again = refined.run.snapshot.poses, Run.open(refined.run.path).snapshot.poses
    for one, other in zip(kept, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.rotations.dtype == np.float32


def test_traces_tell_how_many_steps_were_accepted(refined):
    rates = [t["pose_acceptance"] for t in refined.run.snapshot.trace if "pose_acceptance" in t]
    assert len(rates) >= 3  # of five sweeps; the first has no molecule to begin with
    assert all(0 < rate < 1 for rate in rates)


def test_same_seed_same_poses(refined, tmp_path):
    again = recovered(refined.data, tmp_path / "run").run.snapshot.poses
    away = angles_between(again.rotations, refined.run.snapshot.poses.rotations)
    # threads add in another order: a step in thousands may be accepted in one of the two only
    assert np.median(away) < 1e-3


def test_known_poses_are_left_as_they_are(refined, tmp_path):
    data = shutil.copytree(refined.data, tmp_path / "data")
    recipe = yaml.safe_load((data / "recipe.yaml").read_text())
    del recipe["latents"]
    (data / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    given, found = tables(recovered(data, tmp_path / "run"))
    assert found[list(POSES)].equals(given[list(POSES)])
    assert (found["hypermolRotationStd"].astype(float) == 0).all()
    assert "hypermolShiftStd" not in found


def test_origins_in_pixels_stay_in_pixels(refined, tmp_path):
    """A table from before RELION 3.1."""
    data = shutil.copytree(refined.data, tmp_path / "data")
    blocks = read_star(data / "particles.star")
    table = blocks["particles"]
    for axis in "XY":
        angstrom = table[f"rlnOrigin{axis}Angst"].astype(float)
        table[f"rlnOrigin{axis}"] = angstrom / OFF.pixel_size
    blocks["particles"] = table.drop(columns=["rlnOriginXAngst", "rlnOriginYAngst"])
    write_star(data / "particles.star", blocks, overwrite=True)
    run = recovered(data, tmp_path / "run")
    given, found = tables(run)
    assert not [name for name in found if name.endswith("Angst")]
    assert list(found.columns[: given.shape[1]]) == list(given.columns)
    shifts = run.run.snapshot.poses.shifts
    written = found[["rlnOriginX", "rlnOriginY"]].astype(float)
    np.testing.assert_allclose(-written * OFF.pixel_size, shifts, atol=1e-4)


# ---- moving molecules --------------------------------------------------------------------------


@pytest.mark.slow
def test_states_are_read_while_poses_move(tmp_path, monkeypatch):
    """Also where the particles are put in order on the way, and the order is kept."""
    monkeypatch.setattr(order_module, "_NEAR_TIE", 10.0)
    moving = {"all": WHOLE["all"] | {"state": {"degree": 2}}}
    two = {"resolution": 24, "degree": 2, "sweeps": 7}
    stages = [MEAN, two, two | {"sweeps": 1}]
    plan = OFF._replace(n=30)
    data = simulated(tmp_path / "data", plan, components=moving, schedule=stages)
    run = recovered(data, tmp_path / "run")
    _, found = tables(run)
    assert run.run.states.shape == (plan.n, 1)
    np.testing.assert_allclose(
        found["hypermolState1"].astype(float), run.run.states[:, 0], atol=1e-5
    )
    assert (found["hypermolRotationStd"].astype(float) > 0).all()
    for position in (1, 2, 3):
        folder = run.run.path / "store.zarr" / f"snapshot_{position:03d}"
        assert (folder / "pose_rotations").is_dir()


# ---- from nothing ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched")
    plan = PLAN._replace(poses="none")
    data = simulated(folder / "data", plan, components=WHOLE, schedule=[MEAN])
    assert yaml.safe_load((data / "recipe.yaml").read_text())["latents"]["rotation"] == "search"
    return recovered(data, folder / "run")


def test_a_file_without_angles_gains_them(searched):
    given, found = tables(searched)
    assert not set(POSES) & set(given.columns)
    assert set(POSES) <= set(found.columns)
    assert found[list(given.columns)].equals(given)
    rotations, _ = searched.run.read_poses()
    assert len(np.unique(rotations.round(4), axis=0)) > 0.9 * PLAN.n
    assert (found["hypermolRotationStd"].astype(float) > 0).all()


def test_rotations_of_the_file_are_not_looked_at_in_a_search(searched, tmp_path):
    """The same images with wrong poses beside them end in the very same ones."""
    data = shutil.copytree(searched.data, tmp_path / "data")
    blocks = read_star(data / "particles.star")
    wrong = dict.fromkeys(POSES[:3], 33.0) | dict.fromkeys(POSES[3:], 5.0)
    blocks["particles"] = blocks["particles"].assign(**wrong)
    write_star(data / "particles.star", blocks, overwrite=True)
    again = recovered(data, tmp_path / "run").run.snapshot.poses
    away = angles_between(again.rotations, searched.run.snapshot.poses.rotations)
    assert np.median(away) < 1e-3


class _Asked(Exception):
    """Holds what a search was asked."""

    def __init__(self, particles: Particles, shift_std: float) -> None:
        super().__init__()
        self.shifts, self.shift_std = particles.shifts, shift_std


@pytest.mark.parametrize("shift", ["search", "refine"])
def test_a_search_begins_at_no_shifts_or_at_those_of_the_file(
    refined, tmp_path, monkeypatch, shift
):
    def asked(particles, stack, composite, rows, shift_std, rng, reporter, **search):
        raise _Asked(particles, shift_std)

    monkeypatch.setattr(recover_module, "initial_model", asked)
    data = shutil.copytree(refined.data, tmp_path / "data")
    recipe = yaml.safe_load((data / "recipe.yaml").read_text())
    recipe["latents"] |= {"rotation": "search", "shift": shift}
    recipe["priors"] = {"shift": {"std": 12.0}}
    (data / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.raises(_Asked) as question:
        recovered(data, tmp_path / "run")
    given = read_particles(data / "particles.star").particles.shifts
    np.testing.assert_array_equal(question.value.shifts, given if shift == "refine" else 0 * given)
    assert question.value.shift_std == pytest.approx(12.0 / PLAN.pixel_size)  # [pixels]


# ---- stopped, halved, exported -------------------------------------------------------------------


def test_a_stopped_pose_run_goes_on_from_the_poses_it_had(refined, tmp_path):
    out, stop = tmp_path / "run", threading.Event()

    def on_progress(progress):
        if progress.message.startswith("stage 2"):
            stop.set()

    job = Job(refined.data / "particles.star", out, refined.data / "recipe.yaml")
    with pytest.raises(RunCancelled):
        reconstruct(job, on_progress, stop)
    assert Run.open(out).snapshots() == [1]
    early = Run.open(out).snapshot.poses
    assert early is not None
    np.testing.assert_array_equal(early.rotation_std, 0)  # one draw has no spread
    again = reconstruct(Job(None, out, resume=True))
    away = angles_between(again.snapshot.poses.rotations, refined.run.snapshot.poses.rotations)
    assert np.median(away) < 1e-3
    assert again.metrics["is_done"]


def test_a_resumed_search_is_not_searched_again(searched, tmp_path, monkeypatch):
    def again(*arguments, **more):
        raise AssertionError("searched twice")

    monkeypatch.setattr(recover_module, "initial_model", again)
    out = shutil.copytree(searched.run.path, tmp_path / "run")
    run = reconstruct(Job(None, out, resume=True))
    np.testing.assert_array_equal(
        run.snapshot.poses.rotations, searched.run.snapshot.poses.rotations
    )


def test_halves_share_the_poses_of_the_whole(searched, tmp_path):
    """Two searches would end in two frames and agree in nothing."""
    data = shutil.copytree(searched.data, tmp_path / "data")
    values = yaml.safe_load((data / "recipe.yaml").read_text()) | {"half_sets": True}
    (data / "recipe.yaml").write_text(yaml.safe_dump(values))
    halves = recovered(data, tmp_path / "run").run.metrics["half_sets"]
    assert np.mean(halves["fsc"][0][1:4]) > 0.5
    assert len(halves["resolution"]) == 1


def test_export_of_a_star_file_has_the_found_poses(refined, tmp_path):
    from napari_hypermol.cli import export

    export(refined.run.path, tmp_path / "few.star", "contrast > 0")
    found = read_particles(tmp_path / "few.star", data_dir=refined.data).particles
    assert angles_between(found.rotations, refined.run.snapshot.poses.rotations).max() < 1e-4


@pytest.mark.parametrize("mode", ["known", "refine"])
def test_angles_are_needed_unless_they_are_searched(searched, tmp_path, mode):
    data = shutil.copytree(searched.data, tmp_path / "data")
    recipe = yaml.safe_load((data / "recipe.yaml").read_text())
    recipe["latents"] = {"rotation": mode, "shift": mode}
    (data / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.raises(HypermolError, match=r"no rlnAngleRot.*rotation: search"):
        recovered(data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---- stages by hand ------------------------------------------------------------------------------


def rerun(refined, folder, *stages, **latents):
    data = shutil.copytree(refined.data, folder / "data")
    recipe = yaml.safe_load((data / "recipe.yaml").read_text())
    recipe["schedule"] = list(stages)
    recipe["latents"] |= latents
    (data / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return recovered(data, folder / "run").run


@pytest.mark.parametrize("held", ["rotation", "shift"])
def test_held_poses_stay(refined, tmp_path, held):
    stages = [stage | {held: "hold"} for stage in STAGES]
    found = rerun(refined, tmp_path, *stages).snapshot.poses
    told = read_particles(refined.data / "particles.star").particles
    turns = angles_between(found.rotations, told.rotations)
    shifts = np.linalg.norm(found.shifts - told.shifts, axis=1)
    assert (turns.max() < 1e-3) == (held == "rotation")
    assert (shifts.max() < 1e-3) == (held == "shift")


def test_a_stage_may_look_at_the_whole_grid(refined, tmp_path, monkeypatch):
    asked = []

    def noted(problem, coarse, *given):
        asked.append((problem.samples.max_radius, coarse.samples.max_radius))
        middle = read_particles(refined.data / "particles.star").particles.shifts
        np.testing.assert_allclose(coarse.shifts, middle, atol=1e-6)  # of the prior
        return problem, np.array([], dtype=np.int64)

    monkeypatch.setattr(recover_module, "pose_search", noted)
    run = rerun(refined, tmp_path, MEAN, STAGES[1] | {"rotation": "search"})
    assert asked == [(8.0, 8.0)]
    assert run.snapshot.stage.searches


def test_poses_move_more_where_they_are_judged_warmer(refined, tmp_path):
    rates = []
    for temperature in (1.0, 0.05):
        stages = [stage | {"temperature": temperature, "pose_steps": 2} for stage in STAGES]
        run = rerun(refined, tmp_path / str(temperature), *stages)
        rates.append(np.mean([t["pose_acceptance"] for t in run.snapshot.trace[-2:]]))
    assert rates[1] > 1.2 * rates[0]


def test_how_to_search_is_handed_on(refined, tmp_path, monkeypatch):
    def asked(*given, mode, n_starts):
        raise HypermolError(f"{mode} {n_starts}")

    monkeypatch.setattr(recover_module, "initial_model", asked)
    latents = {"rotation": "search", "shift": "search", "search": {"mode": "maxcc", "starts": 3}}
    with pytest.raises(HypermolError, match="maxcc 3"):
        rerun(refined, tmp_path, *STAGES, **latents)
