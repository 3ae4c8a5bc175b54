"""What is refused before anything is written."""

import shutil

import numpy as np
import pytest
import yaml

from napari_hypermol.errors import (
    HypermolError,
    MaskError,
    OutputExistsError,
    ParticleFileError,
    RecipeError,
)
from napari_hypermol.io import read_star, write_star
from napari_hypermol.runs.job import Job
from napari_hypermol.runs.reconstruct import reconstruct
from napari_hypermol.runs.store import Run
from small_runs import BRIEF, EDGE, recovered, simulated


@pytest.fixture
def data(tmp_path):
    return simulated(tmp_path / "data", schedule=BRIEF)


def refuse(job, error, says):
    def names():
        return sorted(p.relative_to(job.out.parent).as_posix() for p in job.out.parent.rglob("*"))

    before = names()
    with pytest.raises(error, match=says) as problem:
        reconstruct(job)
    assert isinstance(problem.value, HypermolError)
    assert names() == before


def test_halves_that_are_none_are_refused_at_once(data, tmp_path):
    values = yaml.safe_load((data / "recipe.yaml").read_text()) | {"half_sets": True}
    (data / "recipe.yaml").write_text(yaml.safe_dump(values))
    blocks = read_star(data / "particles.star")
    blocks["particles"]["rlnRandomSubset"] = 1
    write_star(data / "particles.star", blocks, overwrite=True)
    with pytest.raises(ParticleFileError, match="rlnRandomSubset puts 60 and 0"):
        recovered(data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_poses_are_needed(data, tmp_path):
    blocks = read_star(data / "particles.star")
    angles = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
    blocks["particles"] = blocks["particles"].drop(columns=angles)
    write_star(data / "particles.star", blocks, overwrite=True)
    job = Job(data / "particles.star", tmp_path / "run")
    refuse(job, ParticleFileError, r"particles\.star: has no rlnAngleRot.*refine")


def spoil_pixel(stack, value):
    content = bytearray(stack.read_bytes())
    content[-400:-396] = np.float32(value).tobytes()  # in the last image
    stack.write_bytes(content)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_numbers(data, tmp_path, value):
    spoil_pixel(data / "particles.mrcs", value)
    refuse(Job(data / "particles.star", tmp_path / "run"), ParticleFileError, r"particles\.mrcs")


def test_complaints_about_components_name_the_recipe(data, tmp_path):
    far = {"a": {"support": {"ball": {"center": [2 * EDGE, 0, 0], "radius": 9}}}}
    for components, error in ((far, MaskError), ({"a": {"share": "b"}}, RecipeError)):
        (data / "recipe.yaml").write_text(yaml.safe_dump({"components": components}))
        job = Job(data / "particles.star", tmp_path / "run", data / "recipe.yaml")
        refuse(job, error, r"recipe\.yaml: component")


def test_no_particles_at_all(tmp_path):
    refuse(Job(None, tmp_path / "run"), RecipeError, "name a STAR or .cs file")


def test_negative_seed(data, tmp_path):
    refuse(Job(data / "particles.star", tmp_path / "run", seed=-1), RecipeError, "--seed -1")


def test_run_is_not_replaced_unasked(data, tmp_path, tiny_run):
    out = shutil.copytree(tiny_run.run.path, tmp_path / "run")
    refuse(Job(data / "particles.star", out), OutputExistsError, "--overwrite to replace")
    # nor when the new input is bad
    job = Job(tmp_path / "none.star", out, overwrite=True)
    refuse(job, ParticleFileError, "does not exist")
    assert Run.open(out).snapshots() == [1, 2]


def test_inputs_are_never_removed_with_the_folder(data, tiny_run, tmp_path):
    out = shutil.copytree(tiny_run.run.path, tmp_path / "run")
    own_recipe = Job(data / "particles.star", out, out / "recipe.yaml", overwrite=True)
    refuse(own_recipe, OutputExistsError, r"recipe\.yaml: lies in")
    own_particles = Job(out / "particles.star", out, data_dir=data, overwrite=True)
    refuse(own_particles, OutputExistsError, r"particles\.star: lies in")
