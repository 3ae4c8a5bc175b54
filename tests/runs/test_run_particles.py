"""Particle files that runs wrote: they show the images of the files they were made from."""

import json

import numpy as np
import pytest

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io.particle_file import read_particles
from napari_hypermol.runs.run_particles import open_particles
from napari_hypermol.synthetic.simulate import Simulation, simulate


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    plan = Simulation("pretzel", n=6, box_size=16, pixel_size=3.0)
    return simulate(plan, tmp_path_factory.mktemp("project") / "data")


def run_folder(path, particles, **facts):
    """What of a run folder matters here."""
    path.mkdir(parents=True)
    (path / "recipe.yaml").write_text("{}\n")
    known = {"format": 1, "box_size": 16, "pixel_size": 3.0, "n_particles": 6, "data_dir": None}
    known |= {"particles": str(particles), **facts}
    (path / "run.json").write_text(json.dumps(known))
    return path / "particles.star"


def test_a_file_of_no_run_is_read_as_it_is(source):
    ours, plain = open_particles(source), read_particles(source)
    np.testing.assert_array_equal(ours.particles.images[2], plain.particles.images[2])
    assert open_particles(source, pixel_size=4.0).particles.pixel_size == 4.0


def test_images_are_found_from_the_folder_of_a_run(source, tmp_path):
    """And of a run made from that one: image names are the first file's all the way."""
    before = read_particles(source)
    first = run_folder(tmp_path / "a" / "run", source)
    second = run_folder(tmp_path / "b" / "run", first)
    for path in (first, second):
        before.write(path)
        with pytest.raises(ParticleFileError, match="does not exist"):
            read_particles(path)
        found = open_particles(path)
        assert found.path == path
        np.testing.assert_array_equal(
            found.particles.images[3].compute(), before.particles.images[3].compute()
        )


def test_what_the_run_was_told_holds_for_its_file(source, tmp_path):
    path = run_folder(
        tmp_path / "run", "/nowhere/x.star", data_dir=str(source.parent), pixel_size=7
    )
    read_particles(source).write(path)
    assert open_particles(path).particles.pixel_size == 7.0
    assert open_particles(path, pixel_size=5.0).particles.pixel_size == 5.0
    with pytest.raises(ParticleFileError, match="does not exist"):
        open_particles(path, data_dir=tmp_path)


def test_a_damaged_run_or_one_made_from_itself_ends_in_a_sentence(source, tmp_path):
    path = run_folder(tmp_path / "circle", tmp_path / "circle" / "particles.star")
    read_particles(source).write(path)
    with pytest.raises(ParticleFileError, match="name its folder with --data-dir"):
        open_particles(path)
    (path.parent / "run.json").write_text("{")
    with pytest.raises(ParticleFileError, match="name its folder with --data-dir"):
        open_particles(path)
