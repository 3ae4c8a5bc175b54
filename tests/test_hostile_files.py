"""A slice of `benchmarks/fuzz.py`, and one file for each kind of fault that it found."""

import gzip
import json
import os
import shutil
import warnings
from io import BytesIO

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostile_files import KEYS, KINDS, RECIPE, hostile_case, originals
from napari_hypermol.errors import (
    HypermolError,
    MaskError,
    ParticleFileError,
    RecipeError,
    RunFolderError,
)
from napari_hypermol.io import read_particles, read_star, read_volume
from napari_hypermol.runs.from_recipe import composite_of
from napari_hypermol.runs.lock import holder_of
from napari_hypermol.runs.recipe_text import read_recipe, recipe_from
from napari_hypermol.runs.run_writer import RunWriter
from napari_hypermol.runs.status import read_status
from napari_hypermol.runs.store import Run

CASES = {"star": 150, "cs": 150, "mrc": 150, "mrc.gz": 50, "recipe": 100, "run": 20}


@pytest.fixture
def good(tmp_path, mixed_run):
    originals(tmp_path / "secret")
    return originals(tmp_path / "good", run=mixed_run.run.path)


def complaint(read, error):
    """The sentence with which something is refused; empty where it is read."""
    try:
        read()
    except error as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize("kind", KINDS)
def test_read_or_refused_in_one_sentence(kind, good, tmp_path, monkeypatch):
    for number in range(CASES[kind]):
        folder = tmp_path / f"case{number}"
        folder.mkdir()
        monkeypatch.chdir(folder)
        case = hostile_case(kind, np.random.default_rng([7, number]), folder, good)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = complaint(case.read, HypermolError)
        assert "\n" not in said, case.what
        assert len(said) < 1000, case.what
        assert not (folder / "PWNED").exists()
        os.chdir(tmp_path)


# ---- any values, any text ------------------------------------------------------------------------

_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=12,
)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), _values, max_size=4))
def test_any_values_are_a_recipe_or_are_refused(values):
    assert "\n" not in complaint(lambda: recipe_from(values), RecipeError)


_words = st.sampled_from(["data_", "data_a", "loop_", "_b", "_c #2", "#", "'", '"', " ", "\n", "1"])


@settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(_words | st.text(max_size=3), max_size=30))
def test_any_text_is_a_star_file_or_is_refused(tmp_path, words):
    path = tmp_path / "x.star"
    path.write_text("".join(words), encoding="utf-8", errors="replace")
    assert "\n" not in complaint(lambda: read_star(path), ParticleFileError)


# ---- what was found ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("data_x\nloop_\n" + "".join(f"_c{i}\n" for i in range(50_000)), "more than 1000 columns"),
        ("".join(f"data_{i}\n_a 1\n" for i in range(1500)), "more than 1000 blocks"),
        ("data_x\nloop_\n_a\n" + "1 " * 600_000, "a million characters"),
        ("data_x\nloop_\n_rlnImageName\n" + "9" * 5000 + "@a.mrcs\n", "index@stack"),
        ("data_x\nloop_\n_rlnImageName\n1@" + "a" * 300 + "\n", "does not exist"),
        ("data_x\nloop_\n_rlnImageName\n" + " " * 5000 + "1@\0\n", "does not exist"),
        ("data_" + "x" * 5000 + "\n_a 1\n", "rlnImageName missing"),
    ],
)
def test_star_files(good, text, says):
    path = good.folder / "x.star"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ParticleFileError, match=says) as caught:
        read_particles(path)
    assert len(str(caught.value)) < 1000


def test_stacks_are_not_looked_for_above_the_project(good, tmp_path):
    job = tmp_path / "disk" / "project" / "Refine3D" / "job001" / "one" / "two"
    job.mkdir(parents=True)
    text = (good.folder / "particles.star").read_text()
    (job / "particles.star").write_text(text)
    for name in ("a.mrcs", "b.mrcs"):
        (tmp_path / "disk" / "project" / name).write_bytes((good.folder / name).read_bytes())
    with pytest.raises(ParticleFileError, match=r"a\.mrcs does not exist"):
        read_particles(job / "particles.star")  # four levels down
    (tmp_path / "disk" / "project" / "default_pipeline.star").touch()
    assert read_particles(job / "particles.star").n == 5


def _spoilt(good, name, values):
    table = np.load(good.folder / "particles.cs", allow_pickle=False)
    kinds = [(n, values.dtype if n == name else table.dtype[n]) for n in table.dtype.names]
    shapes = [values.shape[1:] if n == name else table.dtype[n].shape for n in table.dtype.names]
    fields = [(n, k.base, s) for (n, k), s in zip(kinds, shapes, strict=True)]
    new = np.zeros(len(values), dtype=fields)
    for n in table.dtype.names:
        new[n] = values if n == name else table[n][: len(values)]
    file = BytesIO()
    np.save(file, new)
    (good.folder / "x.cs").write_bytes(file.getvalue())
    return good.folder / "x.cs"


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("alignments3D/pose", np.full((5, 3), np.nan), "expected finite numbers"),
        ("alignments3D/pose", np.zeros((5, 2)), "strange type or shape"),
        ("ctf/df1_A", np.array([b"x"] * 5), "strange type or shape"),
        ("ctf/df1_A", np.zeros(5, dtype=[("y", "i4")]), "strange type or shape"),
        ("blob/idx", np.zeros(5), "strange type or shape"),
        ("blob/path", np.array([b"\xff\xfe"] * 5), "is not text"),
        ("blob/path", np.zeros(5, dtype="i4"), "strange type or shape"),
        ("blob/path", np.full(5, 2**31 - 1, dtype="<u4").view("<U1"), "is not text"),
        ("uid", np.zeros(0, dtype="u8"), "at least one"),
    ],
)
def test_fields_of_cs_files(good, name, values, says):
    with pytest.raises(ParticleFileError, match=says):
        read_particles(_spoilt(good, name, values))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"(5,)", b"(5,", "not a numpy file"),
        (b"(5,)", b"(10000000000,)", "is cut short"),
        (b"(2,)", b"(100000000,)", "is cut short"),
        (b"'<f4'", b"'|O'", "Python objects"),
    ],
)
def test_headers_of_cs_files(good, old, new, says):
    raw = (good.folder / "particles.cs").read_bytes()
    head = raw[10:].split(b"\n", 1)[0].replace(old, new)
    path = good.folder / "x.cs"
    data = raw[10:].split(b"\n", 1)[1]
    path.write_bytes(raw[:8] + (len(head) + 1).to_bytes(2, "little") + head + b"\n" + data)
    with pytest.raises(ParticleFileError, match=says):
        read_particles(path)


def test_packed_volumes_do_not_swell(good):
    raw = bytearray((good.folder / "mask.mrc").read_bytes())
    for at, value in ((0, 60_000), (4, 60_000), (8, 1), (12, 0), (92, 0)):
        raw[at : at + 4] = value.to_bytes(4, "little")
    path = good.folder / "bomb.mrc.gz"
    path.write_bytes(gzip.compress(bytes(raw)))
    with pytest.raises(HypermolError, match="announce 3600001024 when uncompressed"):
        read_volume(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &a [x]\n" + "b: [" + "*a, " * 30_000 + "]", "is larger than|more than 20000 values"),
        ("a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]\n" for i in range(1, 9)),
         "more than 20000 values"),
        ("a0: &a0 {x: 1}\n"
         + "".join(f"a{i}: &a{i} {{<<: [{f'*a{i - 1}, ' * 9}]}}\n" for i in range(1, 9)),
         "more than 20000 values"),
        ("a: &a {b: *a}", "more than 20000 values|nested deeper"),
        ("a: " + "[" * 3000, "brackets nest deeper"),
        ("- " * 5000, "not plain YAML"),
        ("seed: " + "9" * 5000, "not plain YAML"),
        ("seed: 2001-99-99", "not plain YAML"),
        ("x" * 200_000, "is larger than 64 kB"),
        ("components: {'../../x': {support: {mask: mask.mrc}}}", "component's name"),
        ("components: {'a\\nb': {}}", "component's name"),
        ("components: {a: {support: {ball: {radius: 1}}, x" + "y" * 900 + ": 1}}", "unknown key"),
    ],
    ids=range(12),
)  # fmt: skip
def test_recipes(tmp_path, text, says):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=says) as caught:
        read_recipe(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_aliases_of_a_recipe_are_allowed(tmp_path):
    path = tmp_path / "recipe.yaml"
    ball = "support: {ball: {radius: 20}}"
    path.write_text(f"components:\n  a: &a {{{ball}}}\n  b: *a\n")
    assert read_recipe(path).components["b"].support.ball.radius == 20


def test_masks_lead_down(good, tmp_path):
    folder = tmp_path / "recipes"
    folder.mkdir()
    mask = {"support": {"mask": "../secret/mask.mrc"}}
    with pytest.raises(MaskError, match="leads out of the folder of the recipe"):
        composite_of(recipe_from({"components": {"a": mask}}), folder, 16, 4.0)
    mask = {"support": {"mask": str(tmp_path / "secret" / "mask.mrc")}}
    assert composite_of(recipe_from({"components": {"a": mask}}), folder, 16, 4.0).components
    (folder / "link.mrc").symlink_to(tmp_path / "secret" / "mask.mrc")
    mask = {"support": {"mask": "link.mrc"}}
    assert composite_of(recipe_from({"components": {"a": mask}}), folder, 16, 4.0).components


def test_a_run_keeps_to_its_folder(good, tmp_path):
    facts = {"box_size": 16, "pixel_size": 4.0, "particles": "/p.star", "n_particles": 5}
    recipe = recipe_from({"components": {"a": {"support": {"mask": "mask.mrc"}}}})
    RunWriter(tmp_path / "run", recipe, good.folder, facts)
    run = tmp_path / "run"
    assert Run.open(run).recipe.masks() == ["masks/a.mrc"]
    (run / "recipe.yaml").write_text(
        f"components: {{a: {{support: {{mask: {tmp_path}/secret/mask.mrc}}}}}}"
    )
    with pytest.raises(RunFolderError, match="outside the run"):
        _ = Run.open(run).recipe
    (run / "masks" / "a.mrc").unlink()
    (run / "masks" / "a.mrc").symlink_to(tmp_path / "secret" / "mask.mrc")
    with pytest.raises(RunFolderError, match="is a link"):
        Run.open(run)


@pytest.mark.parametrize("name", ["run.json", "store.zarr", "particles.star", "recipe.yaml"])
def test_no_part_of_a_run_is_a_link(good, tmp_path, name):
    run = shutil.copytree(good.run, tmp_path / "run")
    (run / name).rename(tmp_path / "moved")
    (run / name).symlink_to(tmp_path / "moved")
    with pytest.raises(RunFolderError, match=f"{name}: is a link"):
        Run.open(run)


def test_strange_snapshots_are_none(good, tmp_path):
    run = shutil.copytree(good.run, tmp_path / "run")
    for name in ("snapshot_x", "snapshot_", "snapshot_-01", "snapshot_1e3"):
        (run / "store.zarr" / name).mkdir()
    assert Run.open(run).snapshots() == Run.open(good.run).snapshots()


def test_the_original_recipe_is_good(good):
    recipe = recipe_from(yaml.safe_load(RECIPE))
    assert len(composite_of(recipe, good.folder, 16, 4.0).components) == 4


@pytest.mark.parametrize("values", ["NaN", [], [float("nan")], [[1.0]], None])
def test_trajectories_of_a_snapshot_are_numbers(good, tmp_path, values):
    run = shutil.copytree(good.run, tmp_path / "run")
    path = run / "store.zarr" / "snapshot_002" / "zarr.json"
    described = json.loads(path.read_text())
    described["attributes"]["trajectories"][2]["angles"] = values
    path.write_text(json.dumps(described))
    with pytest.raises(RunFolderError, match="the last snapshot is damaged"):
        _ = Run.open(run).snapshot


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [("status.json", "heartbeat", "x"), ("status.json", "pid", 10**400), ("run.lock", "pid", [])],
)
def test_damaged_status_and_lock_are_none(good, tmp_path, name, key, value):
    run = shutil.copytree(good.run, tmp_path / "run")
    (run / "run.lock").write_text(json.dumps({"pid": 1, "host": "x", "since": 1.0}))
    values = json.loads((run / name).read_text()) | {key: value}
    (run / name).write_text(json.dumps(values) if key != "pid" or value else "[" * 100_000)
    os.utime(run / "run.lock", (1, 1))  # long ago
    assert read_status(run) is None or name == "run.lock"
    assert holder_of(run) is None or name == "status.json"
