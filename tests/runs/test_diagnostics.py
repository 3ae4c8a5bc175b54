"""States that are used and states that are not; hands that are mirrored and hands that are not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from examples import one_ball
from napari_hypermol.bases.classes import ClassBasis
from napari_hypermol.coordinates.fourier import resample_volume
from napari_hypermol.io import read_particles
from napari_hypermol.runs import diagnostics
from napari_hypermol.runs.diagnostics import diagnose, diagnosis_sentences, mirror_check, state_use
from napari_hypermol.runs.fourier_stack import read_fourier_stack
from napari_hypermol.runs.from_recipe import composite_of, stages_of
from napari_hypermol.runs.maps import HyperMaps
from napari_hypermol.runs.progress import Reporter
from napari_hypermol.runs.recipe_text import read_recipe
from napari_hypermol.runs.recover import recover
from napari_hypermol.runs.snapshot import RecoverySettings
from napari_hypermol.synthetic import simulate as room
from napari_hypermol.synthetic.gaussians import GaussianMolecule
from napari_hypermol.synthetic.hinge import hinge
from napari_hypermol.synthetic.simulate import Simulation, simulate

BOX = 32


def still(make):
    """A molecule's maker, its components held at their middle state."""

    def made(box_size):
        parts = []
        for component in make(box_size).components:
            places = component.centres(np.array([0.5]))

            def centres(states, places=places):
                return np.repeat(places, len(states), axis=0)

            parts.append(replace(component, centres=centres))
        return GaussianMolecule(tuple(parts))

    return made


def recovered_from(folder, molecule, snr, n, seed, is_still):
    """Particles, stack and the snapshot of a recovery with the automatic schedule."""
    plan = Simulation(molecule, n, BOX, 6.0, snr, shift_std=1.0, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        if is_still:
            patch.setitem(room.MOLECULES, molecule, still(room.MOLECULES[molecule]))
        simulate(plan, folder)
    particles = read_particles(folder / "particles.star").particles
    composite = composite_of(read_recipe(folder / "recipe.yaml"), folder, BOX, 6.0)
    stages = stages_of(read_recipe(folder / "recipe.yaml"), composite, 6.0)
    stack = read_fourier_stack(particles, max(s.max_radius for s in stages))
    settings = RecoverySettings(stages, is_adaptive=True)
    rng = np.random.default_rng(seed)
    snapshot = recover(particles, stack, composite, settings, np.arange(n), rng, Reporter())
    return particles, stack, snapshot


@pytest.mark.parametrize(
    ("molecule", "snr", "n", "seed"),
    [
        ("cat", 0.1, 1000, 1),
        ("hinge", 0.1, 500, 1),
        ("pretzel", 0.3, 250, 0),
    ],
)
def test_molecules_that_move_use_their_states(tmp_path, molecule, snr, n, seed):
    uses = state_use(*recovered_from(tmp_path / "d", molecule, snr, n, seed, is_still=False))
    assert len(uses) == (2 if molecule == "pretzel" else 1)
    for use in uses:
        assert use["is_used"]
        assert use["gain"] > use["cost"] > 0
        assert use["information"] > 0.5
        assert use["motion"] > 1e-3


@pytest.mark.parametrize(
    ("molecule", "snr", "n", "seed"),
    [
        ("cat", 0.03, 250, 0),  # whose states once began at its last stage: noise became motion
        ("hinge", 0.3, 250, 0),  # the closest of all in the calibration
        ("pretzel", 0.1, 500, 1),
        ("cat", 0.1, 1000, 1),
    ],
)
def test_molecules_that_keep_still_do_not(tmp_path, molecule, snr, n, seed):
    uses = state_use(*recovered_from(tmp_path / "d", molecule, snr, n, seed, is_still=True))
    assert len(uses) == (2 if molecule == "pretzel" else 1)
    for use in uses:
        assert not use["is_used"]
        assert use["information"] < 0.2  # of a moving one more than 0.5


@pytest.fixture(scope="module")
def pretzel_end(pretzel_run):
    particles = read_particles(pretzel_run.data / "particles.star").particles
    snapshot = pretzel_run.run.snapshot
    return particles, read_fourier_stack(particles, snapshot.stage.max_radius), snapshot


def test_cost_counts_coefficients_one_by_one(pretzel_end):
    """One particle determines few; where the data say everything, all there are."""
    particles, stack, snapshot = pretzel_end
    molecule = snapshot.molecule
    loud = snapshot.estimate._replace(noise=snapshot.estimate.noise * 1e-9)
    every = state_use(particles, stack, replace(snapshot, estimate=loud))
    basis = molecule.bases[1]
    functions = molecule.n_functions[1] - 1
    # half of the arm's coefficients each, and those only that the band limit lets be seen: the rest
    # of the cube lies in its corners
    most = functions * basis.shell_counts.sum() * basis.fill / 2 / 300
    for use in every:
        assert 0.3 * most < use["cost"] <= most * (1 + 1e-9)
    quiet = snapshot.estimate._replace(noise=snapshot.estimate.noise * 1e9)
    for use in state_use(particles, stack, replace(snapshot, estimate=quiet)):
        assert use["cost"] < 1e-3 * most
        assert use["gain"] == pytest.approx(0, abs=1e-4)
        assert use["information"] == pytest.approx(0, abs=1e-4)
        assert not use["is_used"]


def test_subset_of_particles_says_the_same(pretzel_end, monkeypatch):
    whole = state_use(*pretzel_end)
    monkeypatch.setattr(diagnostics, "_PARTICLES", 100)
    part = state_use(*pretzel_end)
    for a, b in zip(whole, part, strict=True):
        assert b["cost"] == pytest.approx(a["cost"], rel=0.1)
        # means over 100 of 300 particles whose gains spread about as widely as they are large
        assert b["gain"] == pytest.approx(a["gain"], rel=0.3)


def test_rigid_molecule_has_nothing_to_say(pretzel_end):
    particles, stack, snapshot = pretzel_end
    body = replace(snapshot.molecule.components[0], support=snapshot.molecule.components[0].support)
    molecule = replace(one_ball(BOX), components=(body,)).discretise(9.0)
    estimate = snapshot.estimate._replace(theta=molecule.zeros(), spectra=[])
    rigid = replace(snapshot, molecule=molecule, estimate=estimate)
    assert diagnose(particles, stack, rigid) == {"states": [], "mirrors": []}


# ---- mirror images -----------------------------------------------------------------------------


def between(first, last):
    """A hypermolecule that is one map at state 0 and another at state 1."""
    composite = one_ball(BOX)
    ball = replace(composite.components[0].support, radius=15.0)
    component = replace(composite.components[0], support=ball)
    molecule = replace(composite, components=(component,)).discretise(14.0)
    basis = molecule.bases[0]
    pad = (basis.edge - BOX) // 2
    middle, change = (first + last) / 2, (first - last) / (2 * np.sqrt(2))
    cubes = np.stack([middle, change]).astype(np.float32)
    if pad < 0:
        cubes = cubes[:, -pad:pad, -pad:pad, -pad:pad]
    else:
        cubes = np.pad(cubes, [(0, 0)] + 3 * [(pad, pad)])
    theta = basis.expand(resample_volume(cubes, basis.size)).astype(np.float32)
    return HyperMaps(molecule, theta.ravel())


def hinge_map(state, rotation=None):
    """The hinge at a state, its atoms turned, mirrored or both by a matrix."""
    (component,) = hinge(BOX).components
    if rotation is not None:
        own = component.centres
        component = replace(component, centres=lambda states: own(states) @ rotation.T)
    return component.volume(state, BOX).astype(np.float64)


def test_two_hands_are_mirror_images(rng):
    """Figure 5 of the paper: one end of the state is the other's mirror image, turned."""
    mirror = np.diag([1.0, 1.0, -1.0])
    turn = Rotation.random(rng=rng).as_matrix()
    maps = between(hinge_map(0.5), hinge_map(0.5, turn @ mirror))
    found = mirror_check(maps, "ball")
    assert found["is_mirror"]
    assert found["states"] == [[0.0], [1.0]]
    assert found["mirrored"] > 0.97
    assert found["rotated"] < 0.96
    (line,) = diagnosis_sentences({"states": [], "mirrors": [found]})
    assert line.startswith("states (0.00) and (1.00) of ball are mirror images")


@pytest.mark.parametrize("kind", ["bend", "turn"])
def test_motion_is_no_mirror_image(rng, kind):
    turn = Rotation.from_rotvec([0.3, 0.5, -0.2]).as_matrix()
    last = hinge_map(1.0) if kind == "bend" else hinge_map(0.0, turn)
    found = mirror_check(between(hinge_map(0.0), last), "ball")
    assert not found["is_mirror"]
    assert found["rotated"] > found["mirrored"] + 0.01
    (line,) = diagnosis_sentences({"states": [], "mirrors": [found]})
    assert "no mirror images" in line


def test_molecule_that_is_its_own_mirror_image_is_no_suspect():
    """Two beads: every map of them is its own mirror image, and a rotation does as well."""
    axis = np.arange(BOX) - BOX // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")

    def beads(distance):
        one = np.exp(-((x - distance) ** 2 + y**2 + z**2) / 8)
        return one + np.exp(-((x + distance) ** 2 + y**2 + z**2) / 18)

    assert not mirror_check(between(beads(3), beads(6)), "ball")["is_mirror"]


def test_every_class_is_looked_at(rng):
    """Of seven classes the fourth is not like the others, and named by its number."""
    ball = replace(one_ball(BOX).components[0], name="lobe", state_basis=ClassBasis(7))
    molecule = replace(one_ball(BOX), components=(ball,)).discretise(4.0)
    basis = ClassBasis(7)
    levels = np.array([0, 0, 0, 1, 0, 0, 0.1])
    amounts = np.linalg.solve(basis.evaluate((np.arange(7)[:, None] + 0.5) / 7), levels)
    pattern = rng.normal(size=molecule.set_shapes[0][1])
    maps = HyperMaps(molecule, np.outer(amounts, pattern).ravel().astype(np.float32))
    states = np.full((50, 1), 6.5 / 7)  # wherever the particles are
    found = mirror_check(maps, "lobe", states)
    assert found["names"][1] == "class 4"
    assert found["states"][1] == pytest.approx([3.5 / 7])
    (line,) = diagnosis_sentences({"states": [], "mirrors": [found]})
    assert "(class 4)" in line


def test_only_states_that_particles_have_are_looked_at():
    maps = between(hinge_map(0.0), hinge_map(1.0))
    states = np.linspace(0.3, 0.6, 1000)[:, None]
    (one,), (two,) = mirror_check(maps, "ball", states)["states"]
    assert (one, two) == pytest.approx((0.306, 0.594), abs=1e-3)


def test_end_of_a_run_says_it(pretzel_run):
    found = pretzel_run.run.metrics["diagnostics"]
    assert [s["component"] for s in found["states"]] == ["arm_a", "arm_b"]
    assert all(s["is_used"] for s in found["states"])
    assert [m["component"] for m in found["mirrors"]] == ["arm_a"]  # arm_b shares its coefficients
    assert not found["mirrors"][0]["is_mirror"]
    lines = diagnosis_sentences(found)
    assert lines[0].startswith("the state of arm_a is used: it raises the log likelihood by")
    assert len(lines) == 3
