import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from examples import one_grid
from napari_hypermol.bases.voxel import VoxelBasis
from napari_hypermol.coordinates.fourier import image_to_half_plane
from napari_hypermol.coordinates.grids import fourier_samples
from napari_hypermol.errors import HypermolError, OutputExistsError
from napari_hypermol.imaging import projector
from napari_hypermol.imaging.ctf import contrast_transfer
from napari_hypermol.imaging.shift import shift_phases
from napari_hypermol.io import read_particles, read_star, read_volume, write_volume
from napari_hypermol.synthetic.clam import clam
from napari_hypermol.synthetic.gaussians import GaussianMolecule
from napari_hypermol.synthetic.pretzel import pretzel
from napari_hypermol.synthetic.rigid_volume import fit_box
from napari_hypermol.synthetic.simulate import (
    Simulation,
    own_box,
    simulate,
    simulated_particles,
)

N, BOX = 12, 32
PLAN = Simulation("pretzel", n=N, box_size=BOX, pixel_size=4.0, snr=0.5, seed=7)
MANY = PLAN._replace(n=400, box_size=16)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three stacks of the same particles: at two noise levels, and of the cat."""
    root = tmp_path_factory.mktemp("simulated")
    quiet = PLAN._replace(snr=50.0)
    cat = PLAN._replace(molecule="cat", n=3)
    for name, plan in (("noisy", PLAN), ("quiet", quiet), ("cat", cat)):
        simulate(plan, root / name)
    return root


def images_of(folder):
    return np.asarray(read_particles(folder / "particles.star").particles.images)


@pytest.fixture(scope="module")
def clean(made):
    """Images without noise, in units in which their mean variance is 1.

    The two stacks hold sqrt(snr) clean + noise with the same draws of both.
    """
    difference = images_of(made / "quiet") - images_of(made / "noisy")
    return difference / (np.sqrt(50.0) - np.sqrt(0.5))


def test_signal_to_noise_is_variance_over_variance(made, clean):
    signal = clean.astype(np.float64).var(axis=(1, 2)).mean()
    assert signal == pytest.approx(1.0, rel=1e-4)
    noise = images_of(made / "noisy") - np.sqrt(0.5) * clean
    # relative error of a variance: sqrt(2 / pixels) = 1.3 %
    assert noise.var() == pytest.approx(1.0, rel=4 * np.sqrt(2 / noise.size))
    assert noise.mean() == pytest.approx(0.0, abs=4 / np.sqrt(noise.size))
    neighbours = (noise[:, :, 1:] * noise[:, :, :-1]).mean()
    assert neighbours == pytest.approx(0.0, abs=4 / np.sqrt(noise.size))  # and it is white


def test_files_are_what_relion_would_read(made):
    file = read_particles(made / "noisy" / "particles.star")
    particles = file.particles
    assert particles.images.shape == (N, BOX, BOX)
    assert particles.pixel_size == 4.0
    assert particles.rotations.shape == (N, 3, 3)
    np.testing.assert_array_equal(particles.half_sets, np.arange(N) % 2 + 1)
    assert (particles.defocus.u > particles.defocus.v).all()
    assert particles.optics.voltage[0] == 300
    assert not any("true" in name for name in file.table)


def test_truth_has_states_and_contrasts(made):
    particles = read_star(made / "noisy" / "particles.star")["particles"]
    truth = read_star(made / "noisy" / "truth.star")["particles"]
    states = truth[["trueState1", "trueState2"]].to_numpy(dtype=float)
    assert ((states >= 0) & (states <= 1)).all()
    assert abs(np.corrcoef(states.T)[0, 1]) < 0.9  # independent draws
    assert (truth["trueContrast"].astype(float).astype(float) > 0).all()
    assert list(truth.columns[: len(particles.columns)]) == list(particles.columns)
    assert "trueState2" not in read_star(made / "cat" / "truth.star")["particles"]


def true_volume(folder, states):
    """The whole molecule at the listed states nearest to `states`, from the truth folder."""
    listing = yaml.safe_load((folder / "truth" / "truth.yaml").read_text())["components"]
    total, states = 0, list(states)
    for component in listing:
        nearest = 0
        if "states" in component:
            nearest = np.argmin(abs(np.array(component["states"]) - states.pop(0)))
        total = total + read_volume(folder / "truth" / component["volumes"][nearest]).values
    return total


def test_images_are_projections_of_the_truth(made, clean):
    """Poses, shifts, CTF, contrast and the scale of the maps, through the reader and projector."""
    folder = made / "noisy"
    particles = read_particles(folder / "particles.star").particles
    truth = read_star(folder / "truth.star")["particles"]
    states = truth[["trueState1", "trueState2"]].to_numpy(dtype=float)
    contrasts = truth["trueContrast"].astype(float).astype(float).to_numpy()
    samples = fourier_samples(BOX, 9)  # the beads are barely sampled: up to 60 % of Nyquist
    groups = np.zeros(N, dtype=int)
    ctf = contrast_transfer(particles.optics, groups, particles.defocus, samples, 4.0)
    phases = shift_phases(particles.shifts, samples, 4.0)
    seen = image_to_half_plane(np.sqrt(0.5) * clean)[:, samples.rows, samples.columns]
    weights, whole = samples.weights, VoxelBasis(np.ones((BOX,) * 3, dtype=np.float32), BOX, BOX)
    for i in range(N):
        grids, placements = one_grid(whole, true_volume(folder, states[i]).reshape(1, -1))
        rotation = particles.rotations[i : i + 1].astype(np.float32)
        slices = projector.forward(rotation, grids, placements, samples)[0, :, 0]
        ours = contrasts[i] * ctf[i] * phases[i] * slices
        cross = (weights * (np.conj(ours) * seen[i]).real).sum()
        power = (weights * abs(ours) ** 2).sum()
        correlation = cross / np.sqrt(power * (weights * abs(seen[i]) ** 2).sum())
        # true maps stand 5 % of the motion apart: the nearest is up to a third of a bead off
        assert correlation > 0.995
        assert cross / power == pytest.approx(1.0, abs=0.02)


def test_true_maps_are_listed_and_there(made):
    for name, with_states in (("noisy", {"arm_a", "arm_b"}), ("cat", {"cat"})):
        listing = yaml.safe_load((made / name / "truth" / "truth.yaml").read_text())["components"]
        assert {c["name"] for c in listing if "states" in c} == with_states
        for component in listing:
            assert len(component["volumes"]) == len(component.get("states", [0]))
            for file in component["volumes"]:
                volume = read_volume(made / name / "truth" / file)
                assert volume.values.shape == (BOX,) * 3
                assert volume.pixel_size == pytest.approx(4.0)


def test_recipe_says_what_moves(made):
    recipe = yaml.safe_load((made / "noisy" / "recipe.yaml").read_text())
    assert recipe["particles"] == "particles.star"
    assert recipe["seed"] == 7
    components = recipe["components"]
    assert list(components) == ["body", "arm_a", "arm_b"]
    assert components["arm_b"]["share"] == "arm_a"
    # 4 Å pixels and half of the reference box: two Å per unit
    assert components["arm_a"]["support"]["ball"]["radius"] == 25.0
    assert list(yaml.safe_load((made / "cat" / "recipe.yaml").read_text())["components"]) == ["cat"]


def made_of(molecule, folder, **changes):
    """A small simulation, its truth.yaml and its states."""
    out = folder / molecule
    simulate(PLAN._replace(molecule=molecule, box_size=16, **changes), out)
    facts = yaml.safe_load((out / "truth" / "truth.yaml").read_text())
    return out, facts, read_star(out / "truth.star")["particles"]["trueState1"].to_numpy(float)


def test_a_full_turn_ends_where_it_began(tmp_path):
    out, facts, states = made_of("wheel", tmp_path)
    (component,) = facts["components"]
    assert component["kind"] == "circle"
    assert component["states"] == pytest.approx(np.linspace(0, 1, 21))
    first, half, last = (
        read_volume(out / "truth" / component["volumes"][i]).values for i in (0, 10, 20)
    )
    np.testing.assert_allclose(first, last, atol=1e-5 * first.max())
    assert abs(first - half).max() > 0.1 * first.max()
    assert ((states >= 0) & (states <= 1)).all()


def test_classes_have_one_map_each(tmp_path):
    out, facts, states = made_of("classes", tmp_path, n=400)
    (component,) = facts["components"]
    assert component["kind"] == "class"
    assert component["states"] == [0.125, 0.375, 0.625, 0.875]
    assert component["populations"] == [0.4, 0.3, 0.2, 0.1]
    assert len(list((out / "truth").glob("*.mrc"))) == 4
    shares = [(states == value).mean() for value in component["states"]]
    # four standard errors of the largest share: 4 sqrt(0.4 * 0.6 / 400)
    assert shares == pytest.approx(component["populations"], abs=0.1)


def test_the_hinge_is_told_in_angstrom(tmp_path):
    _, facts, _ = made_of("clam", tmp_path)
    assert [c["name"] for c in facts["components"]] == ["base", "lid"]
    assert "kind" not in facts["components"][0]
    told, true = facts["hinge"], clam(16).hinge
    assert told["component"] == "lid"
    assert told["axis"] == pytest.approx(true.axis, abs=1e-6)
    assert told["pivot"] == pytest.approx([4.0 * v for v in true.pivot], abs=1e-4)
    assert told["angles"] == [-25.0, 25.0]


def test_bimodal_states_are_mostly_near_the_ends(tmp_path):
    plan = {"n": 400, "snr": 1.0}
    out, facts, states = made_of("cat", tmp_path, occupancy="bimodal", **plan)
    assert facts["occupancy"] == "bimodal"
    assert facts["components"][0]["betas"] == [[0.5, 8.0, 2.5], [0.5, 2.5, 8.0]]
    # by the incomplete Beta function 0.107 of the particles lie in the middle fifth, 0.2 if uniform
    middle = np.mean(abs(states - 0.5) < 0.1)
    assert middle == pytest.approx(0.107, abs=4 * np.sqrt(0.107 * 0.893 / 400))
    simulate(PLAN._replace(molecule="cat", box_size=16, **plan), tmp_path / "flat")
    flat = read_star(tmp_path / "flat" / "truth.star")["particles"]
    bent = read_star(out / "truth.star")["particles"]
    assert (flat["rlnAngleRot"] == bent["rlnAngleRot"]).all()  # the same particles otherwise


def test_same_seed_same_files_and_another_seed_others(made, tmp_path):
    for name, plan in (("again", PLAN), ("other", PLAN._replace(seed=8))):
        simulate(plan, tmp_path / name)
    for file in ("particles.mrcs", "particles.star", "truth.star", "recipe.yaml"):
        wanted = (made / "noisy" / file).read_bytes()
        if not file.endswith(".mrcs"):  # an MRC header carries the time
            assert (tmp_path / "again" / file).read_bytes() == wanted
            assert (tmp_path / "other" / file).read_bytes() != wanted
    np.testing.assert_array_equal(images_of(tmp_path / "again"), images_of(made / "noisy"))
    assert not np.array_equal(images_of(tmp_path / "other"), images_of(made / "noisy"))


def test_an_odd_box_works(tmp_path):
    star = simulate(PLAN._replace(box_size=17, n=2), tmp_path / "odd")
    assert read_particles(star).particles.images.shape == (2, 17, 17)


def test_existing_folders_are_kept_unless_told(tmp_path):
    (tmp_path / "out").mkdir()
    plan = PLAN._replace(n=1, box_size=16)
    with pytest.raises(OutputExistsError, match="choose another folder or --overwrite"):
        simulate(plan, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
    simulate(plan, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "particles.star").is_file()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"molecule": "dog"}, "molecule 'dog': expected cat or .*pretzel"),
        ({"n": 0}, "--n 0: expected at least 1"),
        ({"box_size": 8}, "--box 8: expected at least 16"),
        ({"pixel_size": 0.0}, "--pixel-size 0.0"),
        ({"snr": 0.0}, "--snr 0.0"),
        ({"snr": float("nan")}, "--snr nan"),
        ({"snr": float("inf")}, "--snr inf"),
        ({"shift_std": -1.0}, "--shift-std -1.0"),
        ({"contrast_std": -0.1}, "--contrast-std -0.1"),
        ({"occupancy": "skewed"}, "--occupancy skewed: expected uniform or bimodal"),
        ({"pose_error": -1.0}, "--pose-error -1.0"),
        ({"shift_error": float("nan")}, "--shift-error nan"),
        ({"poses": "some"}, "poses 'some': expected true or none"),
        ({"poses": "none", "pose_error": 1.0}, "--no-poses: leaves no poses"),
        ({"molecule": "absent.mrc"}, "absent.mrc"),
        ({"molecule": "classes", "occupancy": "bimodal"}, "classes has classes, with populations"),
    ],
)
def test_impossible_plans_are_refused(change, words, tmp_path):
    with pytest.raises(HypermolError, match=words):
        simulate(PLAN._replace(**change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_particles_in_memory_are_those_of_the_files(made):
    file = read_particles(made / "noisy" / "particles.star").particles
    truth = read_star(made / "noisy" / "truth.star")["particles"]
    particles, latents = simulated_particles(PLAN, pretzel(BOX))
    np.testing.assert_array_equal(np.asarray(particles.images), np.asarray(file.images))
    assert particles.pixel_size == file.pixel_size
    # what the STAR file says has been printed with six decimals
    np.testing.assert_allclose(particles.rotations, file.rotations, atol=1e-6)
    np.testing.assert_allclose(particles.shifts, file.shifts, atol=1e-5)
    np.testing.assert_allclose(particles.defocus.u, file.defocus.u, rtol=1e-6)
    np.testing.assert_allclose(particles.optics.voltage, file.optics.voltage)
    np.testing.assert_allclose(
        particles.optics.spherical_aberration, file.optics.spherical_aberration
    )
    np.testing.assert_allclose(latents.states[:, 1], truth["trueState2"].astype(float), atol=1e-6)
    np.testing.assert_allclose(latents.contrasts, truth["trueContrast"].astype(float), atol=1e-6)


# ---- poses with errors, or none --------------------------------------------------------------


def poses_of(star):
    """Rotations and shifts that a STAR file tells."""
    particles = read_particles(star).particles
    return particles.rotations, particles.shifts


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    out = tmp_path_factory.mktemp("poses") / "exact"
    simulate(MANY, out)
    return out


def test_errors_of_poses_are_as_large_as_asked(exact, tmp_path):
    star = simulate(MANY._replace(pose_error=8.0, shift_error=1.5), tmp_path / "off")
    rotations, shifts = poses_of(star)
    true_rotations, true_shifts = poses_of(tmp_path / "off" / "truth.star")
    errors = Rotation.from_matrix(rotations @ true_rotations.swapaxes(1, 2)).as_rotvec(degrees=True)
    # of a mean square of 3 n normal numbers: relative error sqrt(2 / 3n), halved by the root
    rms = np.sqrt((errors**2).sum(axis=1).mean())
    assert rms == pytest.approx(8.0, rel=4 * np.sqrt(2 / 1200) / 2)
    axes = errors.std(axis=0) / (8 / np.sqrt(3))
    assert axes == pytest.approx(np.ones(3), abs=4 / np.sqrt(800))  # in every direction
    off = (shifts - true_shifts) / MANY.pixel_size
    assert off.std(axis=0) == pytest.approx([1.5, 1.5], rel=4 / np.sqrt(800))
    assert abs(off.mean(axis=0)).max() < 4 * 1.5 / np.sqrt(400)
    # what is true does not depend on what is told
    np.testing.assert_array_equal(images_of(tmp_path / "off"), images_of(exact))
    assert (tmp_path / "off" / "truth.star").read_bytes() == (exact / "truth.star").read_bytes()
    recipe = yaml.safe_load((tmp_path / "off" / "recipe.yaml").read_text())
    assert recipe["latents"] == {"rotation": "refine", "shift": "refine", "contrast": "refine"}


def test_without_errors_the_true_poses_are_told(exact):
    for told, true in zip(
        poses_of(exact / "particles.star"), poses_of(exact / "truth.star"), strict=True
    ):
        np.testing.assert_array_equal(told, true)
    recipe = yaml.safe_load((exact / "recipe.yaml").read_text())
    assert recipe["latents"] == {"rotation": "known", "shift": "known", "contrast": "refine"}


def test_one_error_leaves_the_other_alone(tmp_path):
    turned, moved = (
        simulate(PLAN._replace(box_size=16, **{name: 5.0}), tmp_path / name)
        for name in ("pose_error", "shift_error")
    )
    true_rotations, true_shifts = poses_of(tmp_path / "pose_error" / "truth.star")
    rotations, shifts = poses_of(turned)
    np.testing.assert_array_equal(shifts, true_shifts)
    assert not np.allclose(rotations, true_rotations, atol=1e-3)
    rotations, shifts = poses_of(moved)
    np.testing.assert_array_equal(rotations, true_rotations)
    assert not np.allclose(shifts, true_shifts, atol=1e-3)


def test_a_stack_without_poses(exact, tmp_path):
    star = simulate(MANY._replace(poses="none"), tmp_path / "none")
    table = read_star(star)["particles"]
    assert not [name for name in table if "Angle" in name and name != "rlnDefocusAngle"]
    assert not [name for name in table if "Origin" in name]
    rotations, shifts = poses_of(star)
    assert rotations is None
    assert not shifts.any()
    np.testing.assert_array_equal(images_of(tmp_path / "none"), images_of(exact))
    assert (tmp_path / "none" / "truth.star").read_bytes() == (exact / "truth.star").read_bytes()
    recipe = yaml.safe_load((tmp_path / "none" / "recipe.yaml").read_text())
    assert recipe["latents"] == {"rotation": "search", "shift": "search", "contrast": "refine"}


def test_particles_in_memory_have_the_poses_of_the_files(tmp_path):
    plan = PLAN._replace(pose_error=4.0, shift_error=1.0)
    particles, latents = simulated_particles(plan, pretzel(BOX))
    star = simulate(plan, tmp_path / "off")
    for name, ours in (("particles", particles), ("truth", latents)):
        rotations, shifts = poses_of(star.with_name(f"{name}.star"))
        np.testing.assert_allclose(ours.rotations, rotations, atol=1e-6)
        np.testing.assert_allclose(ours.shifts, shifts, atol=1e-5)
    particles, latents = simulated_particles(plan._replace(poses="none"), pretzel(BOX))
    assert particles.rotations is None
    assert not particles.shifts.any()
    assert latents.shifts.any()


def test_the_truth_names_the_symmetry(made):
    facts = [
        yaml.safe_load((made / n / "truth" / "truth.yaml").read_text()) for n in ("noisy", "cat")
    ]
    assert [f.get("symmetry") for f in facts] == ["C2", None]


# ---- a molecule from a map -------------------------------------------------------------------


@pytest.fixture
def map_file(tmp_path, rng):
    """A lump in a box of 18, none of it at the rim."""
    molecule = pretzel(16).components[0]
    write_volume(tmp_path / "map.mrc", fit_box(molecule.volume(0.0, 16), 18), 5.0)
    return tmp_path / "map.mrc"


def test_a_map_is_simulated_as_a_rigid_molecule(map_file, tmp_path):
    assert own_box(str(map_file)) == (18, pytest.approx(5.0))
    plan = PLAN._replace(molecule=str(map_file), box_size=16, pixel_size=5.0)
    star = simulate(plan, tmp_path / "out")
    truth = read_star(tmp_path / "out" / "truth.star")["particles"]
    assert not [name for name in truth if name.startswith("trueState")]
    facts = yaml.safe_load((tmp_path / "out" / "truth" / "truth.yaml").read_text())
    (component,) = facts["components"]
    assert component == {"name": "molecule", "volumes": ["molecule.mrc"]}
    written = read_volume(tmp_path / "out" / "truth" / "molecule.mrc").values
    source = fit_box(read_volume(map_file).values, 16)
    assert np.corrcoef(written.ravel(), source.ravel())[0, 1] > 1 - 1e-6
    recipe = yaml.safe_load((tmp_path / "out" / "recipe.yaml").read_text())
    assert recipe["components"] == {"molecule": {"support": {"ball": {
        "center": [0.0, 0.0, 0.0], "radius": 37.5,
    }}}}  # fmt: skip
    # the same images as of the same molecule in closed form, but for the coarse voxels
    gaussians = GaussianMolecule((pretzel(16).components[0],))
    particles, _ = simulated_particles(plan._replace(snr=1e4), gaussians)
    again = simulate(plan._replace(snr=1e4), tmp_path / "quiet")
    one, two = np.asarray(particles.images), np.asarray(read_particles(again).particles.images)
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.99
    assert star.is_file()


def test_own_box_of_a_toy():
    assert own_box("pretzel") == (64, 3.0)
