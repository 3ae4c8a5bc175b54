"""The command line: what it prints, what it writes, and one sentence for whatever is wrong."""

import functools
import json
import os
import shutil
import sys
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
import yaml

from napari_hypermol import __version__
from napari_hypermol.cli import main
from napari_hypermol.io import read_particles, read_star, write_stack, write_star, write_volume
from napari_hypermol.runs import freed_memory
from napari_hypermol.runs.requests import asked
from napari_hypermol.runs.status import RunStatus, this_host, write_status
from napari_hypermol.runs.store import Run
from small_runs import BRIEF, TINY, simulated


class Answer:
    """Exit code and output of a command."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def hypermol(monkeypatch, capfd):
    """Call the command in this process."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # `main` replaces it
    # for good, in a process that is not a run's alone
    monkeypatch.setattr(freed_memory, "keep_freed_memory", lambda: False)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["hypermol", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code or 0
        return Answer(code, *capfd.readouterr())

    return call


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


@pytest.fixture
def refuses(hypermol, tmp_path):
    """The command ends with code 2, one line that says `what`, and leaves the disk alone."""

    def check(*arguments, what):
        before = names(tmp_path)
        answer = hypermol(*arguments)
        assert answer.code == 2
        assert answer.out == ""
        lines = answer.err.strip().splitlines()
        assert len(lines) == 1, answer.err
        assert lines[0].startswith("hypermol: ")
        for part in [what] if isinstance(what, str) else what:
            assert part in lines[0]
        assert names(tmp_path) == before
        return lines[0]

    return check


@pytest.fixture
def data(tmp_path):
    return simulated(tmp_path / "data", TINY._replace(n=8), schedule=BRIEF)


@pytest.fixture
def reconstructs_not(refuses, data, tmp_path):
    """`reconstruct` of the spoiled data is refused."""

    def check(*more, what, particles="particles.star"):
        out = tmp_path / "run"
        return refuses("reconstruct", data / particles, "--out", out, *more, what=what)

    return check


def change_table(data, change):
    blocks = read_star(data / "particles.star")
    blocks["particles"] = change(blocks["particles"])
    write_star(data / "particles.star", blocks, overwrite=True)


# ---- bad particles ---------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["rlnImageName", "rlnAngleRot"])
def test_missing_column(reconstructs_not, data, column):
    change_table(data, lambda t: t.drop(columns=column))
    reconstructs_not(what=["particles.star", column])


def test_no_poses(reconstructs_not, data):
    angles = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
    change_table(data, lambda t: t.drop(columns=angles))
    reconstructs_not(what=["particles.star", "refine the particles first"])


def test_missing_star(reconstructs_not):
    reconstructs_not(particles="none.star", what=["none.star", "does not exist"])


def test_missing_stack(reconstructs_not, data):
    (data / "particles.mrcs").unlink()
    reconstructs_not(what=["particles.star", "particles.mrcs"])


def test_index_past_the_end(reconstructs_not, data):
    change_table(data, lambda t: t.replace("000008@particles.mrcs", "000009@particles.mrcs"))
    reconstructs_not(what=["particles.mrcs", "9"])


def test_two_box_sizes(reconstructs_not, data):
    write_stack(data / "other.mrcs", np.ones((1, 20, 20), dtype=np.float32), TINY.pixel_size)
    change_table(data, lambda t: t.replace("000008@particles.mrcs", "000001@other.mrcs"))
    reconstructs_not(what=["other.mrcs", "20"])


def test_pixels_that_are_not_numbers(reconstructs_not, data):
    content = bytearray((data / "particles.mrcs").read_bytes())
    content[-400:-396] = np.float32(np.nan).tobytes()
    (data / "particles.mrcs").write_bytes(content)
    reconstructs_not(what=["particles.mrcs", "NaN"])


def test_truncated_stack(reconstructs_not, data):
    path = data / "particles.mrcs"
    path.write_bytes(path.read_bytes()[:-1000])
    reconstructs_not(what="particles.mrcs")


def test_no_particles(reconstructs_not, data):
    change_table(data, lambda t: t.iloc[:0])
    reconstructs_not(what="particles.star")


def test_image_outside_the_project(reconstructs_not, data):
    change_table(data, lambda t: t.replace("000008@particles.mrcs", "1@../../../etc/passwd"))
    reconstructs_not(what=["particles.star", "passwd"])


def test_cs_with_objects(reconstructs_not, data):
    np.save(data / "p.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (data / "p.npy").rename(data / "p.cs")
    reconstructs_not(particles="p.cs", what="p.cs")


def test_pixel_size(reconstructs_not):
    reconstructs_not("--pixel-size", "-1", what=["particles.star", "more than 0"])


# ---- bad recipes -----------------------------------------------------------------------------


BALL, TURN = "support: {ball: {radius: 50}}", "trajectory: {turn: {}}"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("compnents: {}", "did you mean 'components'?"),
        ("components: {a: {support: {ball: {radius: 9}}, state: {dims: 3}}}", "1 or 2 dimensions"),
        ("seed: !!python/object/apply:os.system ['touch /tmp/x']", "not plain YAML"),
        ("a: [", "not plain YAML"),
        ("latents: {rotation: search}", "known shifts with rotations from nothing"),
        ("priors: {rotation: {near: 5}}", "no effect while latents.rotation is known"),
        ("components: {a: {share: b}}", "not a component with coefficients"),
        ("components: {a: {support: {ball: {center: [900, 0, 0], radius: 9}}}}", "misses the box"),
        ("schedule: [{resolution: 2, degree: 0}]", "beyond Nyquist"),
        ("schedule: []", "schedule"),
        (f"components: {{a: {{{BALL}, symmetry: T}}}}", "cyclic or dihedral, such as C3"),
        (
            f"components: {{a: {{{BALL}, trajectory: {{turn: {{pivot: [900, 0, 0]}}}}}}}}",
            "the hinge passes 900",
        ),
        (
            f"components: {{a: {{{BALL}}}, b: {{share: a, placed: {{shift: [900, 0, 0]}}}}}}",
            "once placed",
        ),
        (
            f"components: {{a: {{{BALL}, tied: true, state: {{dims: 2}}, {TURN}}}}}",
            "tied, they must be the same",
        ),
    ],
)
def test_bad_recipe(reconstructs_not, data, text, what):
    (data / "recipe.yaml").write_text(text)
    reconstructs_not("--recipe", data / "recipe.yaml", what=["recipe.yaml", what])


def test_missing_recipe(reconstructs_not, data):
    reconstructs_not("--recipe", data / "none.yaml", what="none.yaml: does not exist")


@pytest.mark.parametrize(
    ("size", "value", "what"),
    [(20, 1, "(20, 20, 20)"), (24, 0, "zero everywhere"), (24, 7, "expected 0 to 1")],
)
def test_bad_mask(reconstructs_not, data, size, value, what):
    volume = np.full((size,) * 3, value, dtype=np.float32)
    write_volume(data / "mask.mrc", volume, TINY.pixel_size)
    recipe = {"components": {"a": {"support": {"mask": "mask.mrc"}}}}
    (data / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    reconstructs_not("--recipe", data / "recipe.yaml", what=["mask.mrc", what])


def test_missing_mask(reconstructs_not, data):
    (data / "recipe.yaml").write_text("components: {a: {support: {mask: none.mrc}}}")
    reconstructs_not("--recipe", data / "recipe.yaml", what="none.mrc")


# ---- outputs ---------------------------------------------------------------------------------


def test_existing_output(refuses, tiny_run, tmp_path, data):
    run = shutil.copytree(tiny_run.run.path, tmp_path / "run")
    arguments = ("reconstruct", data / "particles.star", "--out")
    refuses(*arguments, run, what=["run", "--overwrite"])
    refuses(*arguments, data, what=["data", "exists already"])
    refuses(*arguments, data, "--overwrite", what=["data", "is not a run folder"])
    file = tmp_path / "notes.txt"
    file.write_text("precious")
    refuses(*arguments, file, "--overwrite", what="notes.txt")
    refuses(*arguments, file / "deeper", what="notes.txt")
    assert file.read_text() == "precious"
    assert Run.open(run).snapshots() == [1, 2]


def test_overwrite_replaces_a_run(hypermol, tiny_run, tmp_path, data):
    run = shutil.copytree(tiny_run.run.path, tmp_path / "run")
    answer = hypermol(
        *("reconstruct", data / "particles.star", "--recipe", data / "recipe.yaml"),
        *("--out", run, "--overwrite"),
    )
    assert answer.code == 0, answer.err
    assert "done in" in answer.out
    assert "napari" in answer.out
    assert len(Run.open(run).contrasts) == 8


@pytest.mark.parametrize("device", ["cuda", "abacus"])
def test_device_that_is_not_there(reconstructs_not, device):
    if device == "cuda" and shutil.which("nvidia-smi"):
        pytest.skip("there is one")
    reconstructs_not("--device", device, what=device)


def test_resume_of_nothing(refuses, data, tmp_path):
    for particles in ([data / "particles.star"], []):
        arguments = ("reconstruct", *particles, "--resume", "--out")
        refuses(*arguments, tmp_path / "none", what=["none", "no run to resume"])
        refuses(*arguments, data, what=["data", "is not a run folder"])


def test_particles_of_the_recipe_or_the_run(hypermol, refuses, tiny_run, tmp_path):
    """A recipe names them, a run remembers them, and else there are none."""
    recipe = tiny_run.data / "recipe.yaml"
    refuses("reconstruct", "--out", tmp_path / "none", what="name a STAR or .cs file")
    hypermol("reconstruct", "--out", tmp_path / "run", "--recipe", recipe)
    before = (tmp_path / "run" / "particles.star").read_text()
    hypermol("reconstruct", "--out", tmp_path / "run", "--resume")
    assert (tmp_path / "run" / "particles.star").read_text() == before


def test_damaged_run(refuses, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run.run.path, tmp_path / "run")
    shutil.rmtree(run / "store.zarr" / "snapshot_002" / "theta")
    commands = [
        ("volumes", run, "--out", tmp_path / "out"),
        ("score", run, tiny_run.data / "truth.star"),
        ("export", run, "--out", tmp_path / "out.star"),
        ("info", run),
    ]
    for command in commands:
        refuses(*command, what=["store.zarr", "is damaged"])
    (run / "run.json").write_text("{")
    for command in commands:
        refuses(*command, what=["run.json", "is damaged"])
    (run / "run.json").unlink()
    for command in commands:
        refuses(*command, what="run")


# ---- poses -----------------------------------------------------------------------------------


POSE_COLUMNS = [
    *("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"),
]
MAP = {
    "components": {"all": {"support": {"ball": {"radius": 80}}}},
    "schedule": [{"resolution": 30, "degree": 0, "sweeps": 2}],
}


@pytest.mark.parametrize("mode", ["refine", "search"])
def test_poses_from_the_command_line(hypermol, tmp_path, mode, monkeypatch):
    """`search` on a file without angles; both write poses, their spread and all else as it was."""
    from napari_hypermol.runs import recover
    from napari_hypermol.runs.initial_model import InitialSettings, initial_model

    brief = functools.partial(initial_model, settings=InitialSettings(1, ((5.0, 2, 30),)))
    monkeypatch.setattr(recover, "initial_model", brief)
    told = {"poses": "none"} if mode == "search" else {"pose_error": 8.0}
    plan = TINY._replace(molecule="kinase", n=30, **told)
    data = simulated(tmp_path / "data", plan, **MAP)
    out = tmp_path / "run"
    arguments = ("reconstruct", data / "particles.star", "--recipe", data / "recipe.yaml")
    answer = hypermol(*arguments, "--out", out)
    assert answer.code == 0, answer.err
    given, found = (read_star(f / "particles.star") for f in (data, out))
    assert found["optics"].equals(given["optics"])
    given, found = given["particles"], found["particles"]
    kept = [name for name in given.columns if name not in POSE_COLUMNS]
    assert found[kept].equals(given[kept])
    assert set(POSE_COLUMNS) <= set(found.columns)
    assert (set(POSE_COLUMNS) <= set(given.columns)) == (mode == "refine")
    spread = found["hypermolRotationStd"].astype(float)
    assert ((spread > 0) & (spread <= 180)).all()
    answer = hypermol("export", out, "--out", tmp_path / "all.star")
    assert answer.code == 0
    exported = read_star(tmp_path / "all.star")["particles"]
    assert exported[POSE_COLUMNS].equals(found[POSE_COLUMNS])


def test_angles_are_needed_to_refine(refuses, tmp_path):
    plan = TINY._replace(molecule="kinase", n=4, poses="none")
    data = simulated(tmp_path / "data", plan, **MAP, latents={"rotation": "refine"})
    refuses(
        *("reconstruct", data / "particles.star", "--recipe", data / "recipe.yaml"),
        *("--out", tmp_path / "run"),
        what=["particles.star", "rlnAngleRot", "rotation: search"],
    )


# ---- the words of the command ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["recover"], "recover"),
        (["reconstruct", "--out", "run"], "no particles"),
        (["reconstruct", "p.star"], "--out"),
        (["info"], "path"),
        (["info", "x.star", "--colour"], "--colour"),
        (["simulate", "cat", "out", "--n", "many"], "--n"),
        (["simulate", "dog", "out"], "dog"),
        (["simulate", "cat", "out", "--n", "0"], "--n 0"),
        (["simulate", "cat", "out", "--snr", "nan"], "--snr nan"),
    ],
)
def test_usage(refuses, tmp_path, monkeypatch, arguments, what):
    monkeypatch.chdir(tmp_path)
    refuses(*arguments, what=what)


def test_help_and_version(hypermol):
    answer = hypermol("--version")
    assert (answer.code, answer.out.strip()) == (0, __version__)
    answer = hypermol("--help")
    assert answer.code == 0
    for command in (
        "demo",
        "simulate",
        "reconstruct",
        "volumes",
        "score",
        "compare",
        "export",
        "info",
    ):
        assert command in answer.out
    assert "--resume" in hypermol("reconstruct", "--help").out


def test_no_command_shows_help(hypermol):
    answer = hypermol()
    assert "reconstruct" in answer.out + answer.err
    assert "Traceback" not in answer.err


# ---- the other commands ----------------------------------------------------------------------


def test_simulate(hypermol, refuses, tmp_path):
    out = tmp_path / "cat"
    answer = hypermol("simulate", "cat", out, "--n", "3", "--box", "16")
    assert answer.code == 0
    assert str(out / "particles.star") in answer.out
    assert len(read_star(out / "truth.star")["particles"]) == 3
    refuses("simulate", "cat", out, "--n", "3", what=["cat", "exists already"])


def test_simulate_without_poses_or_with_wrong_ones(hypermol, refuses, tmp_path):
    small = ("--n", "3", "--box", "16")
    for name, options in (("none", ["--no-poses"]), ("off", ["--pose-error", "5"])):
        assert hypermol("simulate", "kinase", tmp_path / name, *small, *options).code == 0
    assert "rlnAngleRot" not in read_star(tmp_path / "none" / "particles.star")["particles"]
    tables = [
        read_star(tmp_path / "off" / f"{n}.star")["particles"] for n in ("particles", "truth")
    ]
    assert (tables[0]["rlnAngleRot"] != tables[1]["rlnAngleRot"]).all()
    assert (tables[0]["rlnOriginXAngst"] == tables[1]["rlnOriginXAngst"]).all()
    refuses(
        "simulate", "cat", tmp_path / "no", "--no-poses", "--shift-error", "1", what="--no-poses"
    )


def test_simulate_a_map(hypermol, refuses, tmp_path, rng):
    volume = tmp_path / "map.mrc"
    write_volume(volume, rng.normal(size=(18, 18, 18)).astype(np.float32), 4.0)
    out = tmp_path / "own"
    assert hypermol("simulate", volume, out, "--n", "2").code == 0
    particles = read_particles(out / "particles.star").particles
    assert (particles.images.shape, particles.pixel_size) == ((2, 18, 18), pytest.approx(4.0))
    out = tmp_path / "cropped"
    assert (
        hypermol("simulate", volume, out, "--n", "2", "--box", "16", "--pixel-size", "2").code == 0
    )
    particles = read_particles(out / "particles.star").particles
    assert (particles.images.shape, particles.pixel_size) == ((2, 16, 16), pytest.approx(2.0))
    refuses("simulate", tmp_path / "absent.mrc", tmp_path / "no", what="absent.mrc")


def test_volumes(hypermol, refuses, tiny_run, tmp_path):
    run, out = tiny_run.run.path, tmp_path / "maps"
    answer = hypermol("volumes", run, "--out", out, "--states", "0.1,0.5", "--states", "0.9,0.5")
    assert answer.code == 0
    assert names(out) == ["state.cxc", "state_00.mrc", "state_01.mrc"]
    refuses("volumes", run, "--out", out, "--states", "0.2,0.5", what="exists already")
    refuses("volumes", run, "--out", tmp_path / "no", "--states", "0.2", what="expected 2 number")
    refuses("volumes", run, "--out", tmp_path / "no", "--steps", "0", what="--steps 0")
    assert hypermol("volumes", run, "--out", tmp_path / "s", "--steps", "2").code == 0
    assert len(list((tmp_path / "s").glob("*.mrc"))) == 4


def test_suggest(hypermol, refuses, tiny_run, tmp_path):
    refuses("suggest", tiny_run.run.path, "--out", tmp_path / "no", what="has components already")
    refuses("suggest", tmp_path, "--out", tmp_path / "no", what="is not a run folder")
    assert not (tmp_path / "no").exists()


def test_score_is_json(hypermol, refuses, tiny_run):
    answer = hypermol("score", tiny_run.run.path, tiny_run.data / "truth.star")
    assert answer.code == 0
    result = json.loads(answer.out)
    assert len(result["states"]) == 2
    particles = tiny_run.data / "particles.star"
    refuses("score", tiny_run.run.path, particles, what=["particles.star", "trueState"])


def test_compare(hypermol, refuses, tiny_run, data, tmp_path):
    run = tiny_run.run.path
    answer = hypermol("compare", run, run)
    assert answer.code == 0
    assert "cannot be told apart" in answer.out
    assert "60 particles, each predicted from the half it is not in" in answer.out
    assert "half 2 of 2" in answer.err  # the bar
    result = json.loads(hypermol("compare", run, run, "--json").out)
    assert result["runs"] == [str(run), str(run)]
    assert result["difference"] == 0
    other = tmp_path / "other"
    assert hypermol("reconstruct", data / "particles.star", "--out", other).code == 0
    refuses("compare", run, other, what=["are not of the same particles", "60 and 8"])
    refuses("compare", run, data, what=["data", "is not a run folder"])


def test_export(hypermol, refuses, tiny_run, tmp_path):
    run, out = tiny_run.run, tmp_path / "few.star"
    answer = hypermol("export", run.path, "--out", out, "--where", "state1 < 0.5 and contrast > 0")
    assert answer.code == 0
    chosen = np.flatnonzero((run.states[:, 0] < 0.5) & (run.contrasts > 0))
    assert f"wrote {len(chosen)} of 60" in answer.out
    given = read_star(tiny_run.data / "particles.star")
    found = read_star(out)
    expected = given["particles"].iloc[chosen]
    assert found["particles"]["rlnDefocusU"].tolist() == expected["rlnDefocusU"].tolist()
    assert found["optics"].equals(given["optics"])
    states = found["particles"]["hypermolState2"].astype(float)
    np.testing.assert_allclose(states, run.states[chosen, 1], atol=1e-5)
    arguments = ("export", run.path, "--out", out)
    refuses(*arguments, "--where", "state1 < 0.5", what=["few.star", "exists"])
    none = ("export", run.path, "--out", tmp_path / "none.star", "--where")
    refuses(*none, "state1 < 0", what="no particle fulfils it")
    refuses(*none, "state9 < 0", what="state9")
    refuses(*none, "__import__('os')", what="uses something unknown")
    refuses("export", run.path, "--out", tmp_path / "a.csv", what=["a.csv", ".star"])
    refuses("export", run.path, "--out", tmp_path / "a.cs", what="a.cs")


def test_export_of_cryosparc_particles(hypermol, tiny_run, tmp_path):
    """A run made from a .cs file gives a .cs file with the same fields."""
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(tiny_run.data / "particles.mrcs", data)
    file = read_particles(tiny_run.data / "particles.star").particles
    n = 8
    fields = [
        ("uid", "u8"), ("blob/path", "S20"), ("blob/idx", "u4"), ("blob/shape", "u4", (2,)),
        ("blob/psize_A", "f4"), ("blob/sign", "f4"), ("alignments3D/pose", "f4", (3,)),
        ("alignments3D/shift", "f4", (2,)), ("ctf/df1_A", "f4"), ("ctf/df2_A", "f4"),
        ("ctf/df_angle_rad", "f4"), ("ctf/accel_kv", "f4"), ("ctf/cs_mm", "f4"),
        ("ctf/amp_contrast", "f4"), ("ctf/phase_shift_rad", "f4"),
    ]  # fmt: skip
    table = np.zeros(n, dtype=fields)
    table["uid"], table["blob/idx"] = 100 + np.arange(n), np.arange(n)
    table["blob/path"], table["blob/shape"] = b"particles.mrcs", TINY.box_size
    table["blob/psize_A"], table["blob/sign"] = TINY.pixel_size, 1
    table["ctf/df1_A"], table["ctf/df2_A"] = file.defocus.u[:n], file.defocus.v[:n]
    table["ctf/accel_kv"], table["ctf/cs_mm"], table["ctf/amp_contrast"] = 300, 2.7, 0.1
    table["alignments3D/pose"] = np.random.default_rng(0).normal(size=(n, 3))
    with (data / "p.cs").open("wb") as stream:
        np.save(stream, table)
    latents = {"rotation": "refine", "shift": "refine"}
    recipe = MAP | {"latents": latents}
    (data / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    arguments = ("reconstruct", data / "p.cs", "--recipe", data / "recipe.yaml")
    answer = hypermol(*arguments, "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    arguments = ("export", tmp_path / "run", "--where", "contrast > 0", "--out", tmp_path / "q.cs")
    assert hypermol(*arguments).code == 0
    found = np.load(tmp_path / "q.cs")
    np.testing.assert_array_equal(found["uid"], table["uid"])
    assert found.dtype == table.dtype
    assert (found["alignments3D/pose"] != table["alignments3D/pose"]).any()
    poses = Run.open(tmp_path / "run").snapshot.poses
    again = read_particles(tmp_path / "q.cs", data_dir=data).particles
    np.testing.assert_allclose(again.rotations, poses.rotations, atol=1e-5)
    np.testing.assert_allclose(again.shifts, poses.shifts, atol=1e-4)
    for name in ("uid", "blob/path", "blob/idx", "ctf/df1_A"):
        np.testing.assert_array_equal(found[name], table[name])


def test_info(hypermol, refuses, tiny_run, tmp_path):
    answer = hypermol("info", tiny_run.data / "particles.star")
    assert answer.code == 0
    assert "60 particles" in answer.out
    assert "finished" in hypermol("info", tiny_run.run.path).out
    refuses("info", tmp_path / "none.star", what=["none.star", "no such file"])


def test_demo(hypermol, refuses, tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    from napari_hypermol.synthetic import simulate as room

    small = room.simulate
    monkeypatch.setattr(
        room, "simulate", lambda plan, out: small(plan._replace(box_size=24, snr=1), out)
    )
    out = tmp_path / "demo"
    answer = hypermol("demo", "--out", out, "--n", "40")
    assert answer.code == 0, answer.err
    assert (out / "demo.png").stat().st_size > 10_000
    assert len(json.loads((out / "score.json").read_text())["states"]) == 2
    assert "best possible" in answer.out
    if sys.platform == "linux":
        assert "no screen here" in answer.out
    refuses("demo", "--out", out, what=["demo", "--overwrite to make the demo again"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("precious")
    refuses("demo", "--out", tmp_path / "mine", "--overwrite", what="exists already")


@pytest.mark.parametrize("wish", ["pause", "continue", "stop"])
def test_requests_to_a_run(hypermol, refuses, tmp_path, monkeypatch, wish):
    monkeypatch.setattr("napari_hypermol.cli._HEEDED", 0.1)
    refuses(wish, tmp_path, what="no run has told its status there")
    now = time.time()
    status = RunStatus("starting", 0.1, None, "at it", os.getpid(), this_host(), "t", now, now)
    write_status(tmp_path, status)
    answer = hypermol(wish, tmp_path)
    assert answer.code == 0
    assert answer.out.strip() == f"{tmp_path}: asked to {wish}; it will at its next report"
    assert asked(tmp_path, "t") == wish
    heeded = {"pause": "paused", "continue": "running", "stop": "stopped"}[wish]
    write_status(tmp_path, replace(status, phase=heeded))
    if wish == "stop":
        refuses(wish, tmp_path, what="no run at work to stop")
    else:
        words = "paused: at it" if wish == "pause" else "at work: at it"
        assert hypermol(wish, tmp_path).out.strip() == f"{tmp_path}: {words}"
