"""Scores against things known without them: gauge, limits, nonsense."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_hypermol.errors import HypermolError
from napari_hypermol.io import read_particles, write_volume
from napari_hypermol.molecules.sharing import point_group
from napari_hypermol.runs.found_frame import in_frame
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.pose_scores import MIRROR
from napari_hypermol.runs.recipe_text import recipe_from
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.score import score
from napari_hypermol.runs.store import Run
from napari_hypermol.runs.truth import read_truth
from napari_hypermol.synthetic.pretzel import pretzel
from small_runs import BRIEF, PRETZEL, TINY, recovered, simulated


@pytest.fixture(scope="module")
def result(pretzel_run, truth):
    return score(pretzel_run.run, truth)


def with_states(run, states):
    """The run as if it had found these states."""
    changed = Run(run.path, run.facts)
    posterior = run.snapshot.posterior._replace(state_mean=states)
    changed.__dict__["snapshot"] = replace(run.snapshot, posterior=posterior)
    return changed


def spearmans(result):
    return [s["spearman"] for s in result["states"]]


def test_pretzel_is_nearly_as_good_as_the_data_allow(result):
    for entry in result["states"]:
        # 1 % is what a molecule of 300 particles costs; 0.95 leaves room for another machine
        assert 0.95 < entry["fraction_of_oracle"] < 1 + 3 * entry["standard_error"]
        assert entry["oracle"] > 0.98
    for maps in result["maps"]:
        assert maps["difference_correlation"] > 0.85  # 0.95 when this was written
        assert len(maps["difference_correlation_per_state"]) == 10
        assert min(maps["resolution_at_half"]) >= 2 * PRETZEL.pixel_size
    assert result["n_particles"] == PRETZEL.n
    assert result["contrast_correlation"] > 0.6
    assert result["seconds"] > 0


def test_true_maps_are_on_the_scale_of_the_images(result):
    assert result["true_map_scale"] == pytest.approx(1, abs=0.05)


def test_every_true_coordinate_has_a_found_one_of_its_own(result):
    assert {s["found"] for s in result["states"]} == {"hypermolState1", "hypermolState2"}
    assert [s["true"] for s in result["states"]] == [1, 2]


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_direction_of_a_state_is_nobodys_business(pretzel_run, truth, result, axes):
    states = truth.states.copy()
    states[:, axes] = 1 - states[:, axes]
    components = [
        replace(c, volumes=c.volumes[::-1]) if c in [truth.moving[a] for a in axes] else c
        for c in truth.components
    ]
    flipped = score(pretzel_run.run, replace(truth, states=states, components=components))
    np.testing.assert_allclose(spearmans(flipped), spearmans(result), atol=1e-9)
    for one, two in zip(flipped["maps"], result["maps"], strict=True):
        # maps are compared at the same states but for ties of half a particle
        assert one["difference_correlation"] == pytest.approx(
            two["difference_correlation"], abs=0.01
        )


def test_order_of_the_arms_is_nobodys_business(pretzel_run, truth, result):
    body, one, two = truth.components
    swapped = replace(truth, states=truth.states[:, ::-1], components=[body, two, one])
    again = score(pretzel_run.run, swapped)
    np.testing.assert_allclose(spearmans(again), spearmans(result)[::-1], atol=1e-9)
    correlations = [m["difference_correlation"] for m in again["maps"]]
    np.testing.assert_allclose(
        correlations[::-1], [m["difference_correlation"] for m in result["maps"]], atol=1e-6
    )


def test_parametrisation_is_nobodys_business(pretzel_run, truth, result):
    bent = with_states(pretzel_run.run, pretzel_run.run.states**3)
    np.testing.assert_allclose(spearmans(score(bent, truth)), spearmans(result), atol=1e-9)


def test_random_states_score_nothing(pretzel_run, truth, rng):
    nonsense = with_states(pretzel_run.run, rng.uniform(size=(PRETZEL.n, 2)))
    # the better of two pairings of |Spearman|, each of standard error 1 / sqrt(300)
    assert max(spearmans(score(nonsense, truth))) < 4 / np.sqrt(PRETZEL.n)


def test_states_that_do_not_vary_score_nothing(pretzel_run, truth):
    constant = with_states(pretzel_run.run, np.full((PRETZEL.n, 2), 0.5))
    assert spearmans(score(constant, truth)) == [0, 0]


def test_truth_of_other_particles_is_refused(pretzel_run, truth):
    fewer = replace(truth, states=truth.states[1:])
    with pytest.raises(HypermolError, match="truth has 299 particles, the run 300"):
        score(pretzel_run.run, fewer)


def test_truth_of_another_box_is_refused(pretzel_run, truth):
    components = [replace(c, volumes=c.volumes[:, 1:, 1:, 1:]) for c in truth.components]
    with pytest.raises(HypermolError, match="true maps of 31 voxels, the run's box has 32"):
        score(pretzel_run.run, replace(truth, components=components))


def test_truth_with_more_states_than_the_run(pretzel_run, truth):
    more = replace(truth, states=np.tile(truth.states, 2))
    with pytest.raises(HypermolError, match="the truth has 4 states, the run found 2"):
        score(pretzel_run.run, more)


def test_without_true_maps_there_is_no_oracle(pretzel_run, tmp_path):
    shutil.copy(pretzel_run.data / "truth.star", tmp_path)
    result = score(pretzel_run.run, read_truth(tmp_path / "truth.star"))
    assert result["oracle"] is None
    assert "truth.yaml" in result["why_no_oracle"]
    assert min(spearmans(result)) > 0.95
    elsewhere = read_truth(tmp_path / "truth.star", pretzel_run.data / "truth")
    assert [c.name for c in elsewhere.components] == ["body", "arm_a", "arm_b"]


# ---- full turns, classes, hinges -------------------------------------------------------------


def recovered_range(molecule, folder, components):
    """A molecule recovered with ranges for states, whatever it has."""
    plan = TINY._replace(molecule=molecule, snr=4.0)
    data = simulated(folder / "data", plan, schedule=BRIEF, components=components)
    return recovered(data, folder / "run").run, read_truth(data / "truth.star")


def one_range(radius, **centre):
    state = {"basis": "cosine", "dims": 1, "degree": 3}
    return {"support": {"ball": {"radius": radius, **centre}}, "state": state}


def test_a_full_turn_is_scored_as_one(tmp_path):
    run, truth = recovered_range("wheel", tmp_path, {"wheel": one_range(78.0)})
    turned = with_states(run, (0.2 - truth.states) % 1)
    (entry,) = score(turned, truth)["states"]
    assert entry["kind"] == "circle"
    assert entry["circular_correlation"] == pytest.approx(1)
    assert entry["median_error_turns"] == pytest.approx(0, abs=1e-9)
    assert 0.9 < entry["oracle"] <= 1
    assert entry["oracle_median_error_turns"] < 0.05
    assert entry["fraction_of_oracle"] == pytest.approx(1 / entry["oracle"])
    assert "spearman" not in entry
    assert "occupancy" not in entry


def test_classes_are_scored_as_such(tmp_path):
    """Found as a range by a run that knows no classes; then with some particles misplaced."""
    run, truth = recovered_range("classes", tmp_path, {"classes": one_range(78.0)})
    ordered = np.array([0.6, 0.1, 0.9, 0.4])[(4 * truth.states).astype(int)]
    result = score(with_states(run, ordered), truth)
    (entry,) = result["states"]
    assert (entry["kind"], entry["classification_error"]) == ("class", 0)
    assert entry["adjusted_rand_index"] == pytest.approx(1)
    assert entry["oracle"] < 0.1
    assert entry["oracle_adjusted_rand_index"] > 0.8
    assert entry["fraction_of_oracle"] == pytest.approx(1 / (1 - entry["oracle"]))
    assert len(result["maps"][0]["difference_correlation_per_state"]) == 4
    assert result["maps"][0]["found_states"] == pytest.approx([0.6, 0.1, 0.9, 0.4])
    commonest = np.flatnonzero(truth.states[:, 0] == 0.125)[:6]
    ordered[commonest] = 0.9
    (entry,) = score(with_states(run, ordered), truth)["states"]
    assert entry["classification_error"] == pytest.approx(6 / TINY.n)


def test_a_recovered_hinge_is_compared(tmp_path):
    """Two degrees off and shifted sideways by a pixel, in what the run says of itself."""
    components = {
        "base": {"support": {"ball": {"radius": 37.5, "center": [-3, 3, -25.5]}}},
        "lid": one_range(33.0, center=[1.5, -1.5, 30]),
    }
    run, truth = recovered_range("clam", tmp_path, components)
    assert "hinge" not in score(run, truth)
    axis, pivot = np.array(truth.hinge.axis), np.array(truth.hinge.pivot)
    across = np.cross(axis, [0, 0, 1.0])
    across /= np.linalg.norm(across)
    up = np.cross(axis, across)
    tilted = np.cos(np.radians(2)) * axis + np.sin(np.radians(2)) * across
    told = {"axis": tilted.tolist(), "pivot": (pivot + TINY.pixel_size * up).tolist()}
    metrics = run.path / "metrics.json"
    facts = json.loads(metrics.read_text())

    def hinge_with(trajectories):
        metrics.write_text(json.dumps(facts | {"trajectories": trajectories}))
        return score(run, truth).get("hinge")

    result = hinge_with({"lid": told})
    assert result["axis_error_degrees"] == pytest.approx(2, abs=1e-3)
    assert result["pivot_error_pixels"] == pytest.approx(1, abs=1e-3)
    assert hinge_with({"jaw": told}) == result  # whatever the recipe calls it
    assert hinge_with({"jaw": told, "neck": told}) is None
    assert hinge_with({"jaw": {"degree": 1}}) is None
    assert hinge_with({}) is None


def test_occupancy_of_the_pretzel(result):
    """Uniform arms of few particles."""
    for entry in result["states"]:
        occupancy = entry["occupancy"]
        # ten even bins: 5 sqrt(2 * 0.09 / (pi 300)) = 0.069
        assert occupancy["sampling_noise"] == pytest.approx(0.0691, abs=1e-3)
        # 0.11 and 0.09 when this was written, for a sample that is itself off by 0.07 and 0.08
        assert 0 < occupancy["total_variation"] < 0.17
        assert sum(occupancy["found"]) == pytest.approx(1, abs=1e-3)
        assert 0.7 < occupancy["motion_amplitude"] < 1.2


# ---- poses that were not known ---------------------------------------------------------------


def with_poses(run, rotations, shifts, states=None):
    """The run as if it had found these poses."""
    changed = with_states(run, run.states if states is None else states)
    changed.__dict__["read_poses"] = lambda: (rotations, shifts)
    return changed


def in_another_frame(truth, frame, offset, pixel_size):
    """The same truth, its molecule standing elsewhere: r is C r + o now."""
    is_mirrored = np.linalg.det(frame) < 0
    rotations = MIRROR @ truth.rotations @ MIRROR if is_mirrored else truth.rotations
    turn = frame @ MIRROR if is_mirrored else frame
    rotations = rotations @ turn.T
    shifts = truth.shifts - pixel_size * (rotations @ offset)[:, :2]
    components = [
        replace(c, volumes=np.stack([in_frame(v, frame, offset) for v in c.volumes]))
        for c in truth.components
    ]
    return replace(truth, rotations=rotations, shifts=shifts, components=components)


def test_known_poses_are_not_scored(result):
    assert "poses" not in result
    assert "states_of_aligned" not in result
    assert result["whole_map"]["correlation"] > 0.95


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_where_the_molecule_stands_is_nobodys_business(
    pretzel_run, truth, result, is_mirrored, rng
):
    frame, offset = Rotation.random(rng=rng).as_matrix(), np.array([0.7, -0.4, 0.3])
    frame = frame @ MIRROR if is_mirrored else frame
    elsewhere = in_another_frame(truth, frame, offset, PRETZEL.pixel_size)
    again = score(pretzel_run.run, replace(elsewhere, symmetry="C1"))
    poses = again["poses"]
    assert poses["is_mirrored"] == is_mirrored
    assert poses["median_angle_degrees"] < 0.01
    assert poses["median_shift_pixels"] < 0.01
    assert poses["within_5_degrees"] == 1
    assert poses["n_aligned"] == PRETZEL.n
    assert "symmetry" not in poses
    assert poses["before"]["median_angle_degrees"] < 0.01
    assert spearmans(again) == spearmans(result)
    assert [s["spearman"] for s in again["states_of_aligned"]] == spearmans(result)
    for one, two in zip(again["states"], result["states"], strict=True):
        # the oracle reads with the true molecule at the true poses, wherever that is
        assert one["oracle"] == pytest.approx(two["oracle"], abs=0.005)
    for one, two in zip(again["maps"], result["maps"], strict=True):
        # beads of a coarse box, turned there and back by splines
        assert one["difference_correlation"] == pytest.approx(
            two["difference_correlation"], abs=0.04
        )
    assert again["whole_map"]["correlation"] == pytest.approx(
        result["whole_map"]["correlation"], abs=0.03
    )


def test_maps_in_the_wrong_frame_would_score_less(pretzel_run, truth, result, rng):
    """What the last test would see if maps were compared as they stand."""
    frame = Rotation.random(rng=rng).as_matrix()
    elsewhere = in_another_frame(truth, frame, np.zeros(3), PRETZEL.pixel_size)
    blind = replace(elsewhere, rotations=None, shifts=None)
    again = score(pretzel_run.run, replace(blind, components=elsewhere.components))
    assert "poses" not in again
    assert again["whole_map"]["correlation"] < result["whole_map"]["correlation"] - 0.2


def test_particles_seen_from_the_symmetric_side(pretzel_run, truth, result, rng):
    """A third turned by 180 degrees, their arms exchanged, and a tenth altogether wrong."""
    run, n = pretzel_run.run, PRETZEL.n
    turned, wrong = rng.random(n) < 0.33, rng.random(n) < 0.1
    rotations, states = truth.rotations.copy(), run.states.copy()
    rotations[turned] = rotations[turned] @ point_group("C2")[1]
    states[turned] = states[turned, ::-1]
    rotations[wrong] = Rotation.random(wrong.sum(), rng=rng).as_matrix()
    states[wrong] = rng.random((wrong.sum(), 2))
    again = score(with_poses(run, rotations, truth.shifts, states), truth)
    poses = again["poses"]
    assert poses["symmetry"] == "C2"
    right = np.mean(~turned & ~wrong)
    # by chance a random rotation lies within 15 degrees with a probability of 0.07 %
    assert poses["within_15_degrees"] == pytest.approx(right, abs=0.01)
    assert poses["within_15_degrees_modulo_symmetry"] == pytest.approx(1 - wrong.mean(), abs=0.01)
    assert poses["median_angle_degrees_modulo_symmetry"] < 0.01
    aligned = [s["spearman"] for s in again["states_of_aligned"]]
    alone = score(with_states(run, run.states), truth)
    for these, all_of_them, best in zip(aligned, spearmans(again), spearmans(alone), strict=True):
        assert these == pytest.approx(best, abs=0.02)
        assert all_of_them < 0.7 * best
    for entry in again["states_of_aligned"]:
        assert entry["fraction_of_oracle"] > 0.95
    for one, two in zip(again["maps"], result["maps"], strict=True):
        assert one["difference_correlation"] == pytest.approx(
            two["difference_correlation"], abs=0.02
        )


def test_poses_with_errors_are_told_as_they_are(pretzel_run, truth, rng):
    """Five degrees and 1.2 pixels off, in a run that was given the true ones."""
    axes, moves = rng.normal(size=(PRETZEL.n, 3)), rng.normal(size=(PRETZEL.n, 2))
    axes *= np.radians(5) / np.linalg.norm(axes, axis=1, keepdims=True)
    moves *= 1.2 * PRETZEL.pixel_size / np.linalg.norm(moves, axis=1, keepdims=True)
    off = Rotation.from_rotvec(axes).as_matrix() @ truth.rotations
    poses = score(with_poses(pretzel_run.run, off, truth.shifts + moves), truth)["poses"]
    assert poses["median_angle_degrees"] == pytest.approx(5, abs=0.2)
    assert poses["median_shift_pixels"] == pytest.approx(1.2, abs=0.1)
    assert poses["within_10_degrees"] == 1


def test_random_poses_have_no_aligned_particles_to_speak_of(pretzel_run, truth, rng):
    random = Rotation.random(PRETZEL.n, rng=rng).as_matrix()
    result = score(with_poses(pretzel_run.run, random, truth.shifts), truth)
    assert result["poses"]["n_aligned"] < 0.1 * PRETZEL.n
    assert result["poses"]["median_angle_degrees_modulo_symmetry"] > 60


def test_a_rigid_molecule_is_scored_by_its_map(tmp_path):
    """From a map, by a recipe without states."""
    lump = pretzel(24).components[0].volume(0.0, 24)
    write_volume(tmp_path / "map.mrc", lump, TINY.pixel_size)
    plan = TINY._replace(molecule=str(tmp_path / "map.mrc"), n=100)
    run = recovered(simulated(tmp_path / "data", plan), tmp_path / "run").run
    result = score(run, read_truth(tmp_path / "data" / "truth.star"))
    assert (result["states"], result["maps"]) == ([], [])
    assert result["true_map_scale"] == pytest.approx(1, abs=0.05)
    assert result["whole_map"]["correlation"] > 0.9
    assert result["whole_map"]["resolution_at_half"] < 5 * TINY.pixel_size


# ---- one map a state, as other programs' simulations have them -------------------------------


def test_one_map_a_state(pretzel_run, discrete):
    truth = read_truth(discrete / "truth.star")
    (component,) = truth.components
    np.testing.assert_allclose(component.states, [0, 0.5, 1])
    result = score(pretzel_run.run, truth)
    # ties of three values bound Spearman's coefficient with a continuous state at about 0.94
    assert 0.85 < result["states"][0]["spearman"] < 0.96
    assert result["maps"][0]["true_states"] == [0, 0.5, 1]
    assert result["maps"][0]["difference_correlation"] > 0.7


# ---- a stack made by RELION ------------------------------------------------------------------


@pytest.fixture(scope="module")
def relion_stack(shared_data, tmp_path_factory):
    """Three maps, 200 particles each, projected by RELION itself."""
    pytest.importorskip("starfile", reason="the script that makes the stack needs starfile")
    for program in ("relion_project", "relion_reconstruct"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    script = shared_data.parent / "tools" / "relion_stack.py"
    maps = [shared_data / "real" / f"vol000{i}.mrc" for i in range(3)]
    absent = [str(p) for p in (script, *maps) if not p.is_file()]
    if absent:
        pytest.skip(f"not among the test data: {', '.join(absent)}")
    out = tmp_path_factory.mktemp("relion") / "stack"
    command = [sys.executable, str(script), str(out), *map(str, maps), "--n", "200", "--snr", "1"]
    subprocess.run(
        command, check=True, capture_output=True, env=os.environ | {"PYTHONWARNINGS": ""}
    )
    return out, maps[0].parent


@pytest.mark.slow
def test_states_of_a_relion_stack(relion_stack, tmp_path):
    data, maps = relion_stack
    file = read_particles(data / "particles.star")
    edge = file.particles.images.shape[1] * file.particles.pixel_size
    ball = {"all": {"support": {"ball": {"radius": 0.4 * edge}}, "state": {"degree": 3}}}
    recipe = recipe_from({"components": ball, "schedule": [
        {"resolution": edge / 10, "degree": 0, "sweeps": 2},
        {"resolution": edge / 10, "degree": 1, "sweeps": 9},
        {"resolution": edge / 14, "degree": 3, "sweeps": 3},
    ]})  # fmt: skip
    run = reconstruct(Job(data / "particles.star", tmp_path / "run", recipe))
    result = score(run, read_truth(data / "truth.star", maps))
    (entry,) = result["states"]
    # three tied values bound Spearman's coefficient with anything continuous at sqrt(8 / 9) = 0.943
    assert entry["spearman"] > 0.9
    assert entry["oracle"] > entry["spearman"] - 3 * entry["standard_error"]
    true = read_truth(data / "truth.star").states[:, 0]
    means = [run.states[true == value, 0].mean() for value in np.unique(true)]
    assert means in (sorted(means), sorted(means)[::-1])
    command = ["relion_reconstruct", "--i", str(run.path / "particles.star"), "--ctf"]
    command += ["--o", str(tmp_path / "map.mrc"), "--maxres", "30"]
    subprocess.run(command, cwd=data, check=True, capture_output=True)
    assert (tmp_path / "map.mrc").is_file()
