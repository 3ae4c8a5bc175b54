import shutil
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_hypermol.errors import (
    HypermolError,
    OutputExistsError,
    ParticleFileError,
    ShapeError,
    UnsupportedOpticsError,
)
from napari_hypermol.io import UnsupportedOpticsWarning, is_particle_file, read_particles, read_star
from napari_hypermol.io.mrc import write_stack


def test_everything_in_our_units(particle_set):
    opened = read_particles(particle_set.star)
    particles = opened.particles
    assert opened.n == 5
    assert opened.path == particle_set.star
    np.testing.assert_array_equal(particles.images.compute(), particle_set.images)
    assert particles.pixel_size == 1.5
    assert particles.optics.names == ("titan", "glacios")
    np.testing.assert_array_equal(particles.optics_group, [0, 1, 0, 0, 0])
    np.testing.assert_allclose(particles.defocus.angle, np.radians([45, 0, 90, 90, 90]))
    assert particles.rotations.shape == (5, 3, 3)
    np.testing.assert_array_equal(particles.shifts, [[-1.5, 3]] + 4 * [[0, 0]])
    np.testing.assert_array_equal(particles.half_sets, [1, 2, 1, 1, 1])


def test_optics_may_stand_after_the_particles(particle_set):
    text = particle_set.star.read_text()
    at = text.index("# version", 5)
    particle_set.star.write_text(text[at:] + "\n" + text[:at])
    assert read_particles(particle_set.star).particles.optics.names == ("titan", "glacios")


@pytest.mark.parametrize("block", ["data_", "data_images", "data_mine"])
def test_old_files_have_one_block_of_another_name(particle_set, block):
    star = particle_set.star
    star.write_text(
        f"{block}\n\nloop_\n_rlnImageName\n_rlnDefocusU\n_rlnVoltage\n_rlnSphericalAberration\n"
        "_rlnAmplitudeContrast\n_rlnMagnification\n_rlnDetectorPixelSize\n_rlnOriginX\n_rlnOriginY\n"
        "2@a.mrcs 10000 300 2.7 0.1 50000 10 1.5 -2\n1@b.mrcs 11000 300 2.7 0.1 50000 10 0 0\n"
    )
    opened = read_particles(star)
    particles = opened.particles
    np.testing.assert_array_equal(particles.images.compute(), particle_set.images[[4, 1]])
    assert particles.pixel_size == 2.0
    np.testing.assert_array_equal(particles.shifts, [[-3, 4], [0, 0]])
    assert particles.rotations is None
    assert particles.half_sets is None
    columns = opened.pose_columns(np.stack([np.eye(3)] * 2), particles.shifts)
    np.testing.assert_array_equal(columns["rlnOriginX"], [1.5, 0])
    assert "rlnOriginXAngst" not in columns


def test_pixel_size_argument_overrides_and_header_is_the_last_resort(particle_set):
    star = particle_set.star
    assert read_particles(star, pixel_size=3.0).particles.pixel_size == 3.0
    star.write_text("data_\nloop_\n_rlnImageName\n1@a.mrcs\n")
    assert read_particles(star).particles.pixel_size == 1.5
    write_stack(star.parent / "a.mrcs", np.zeros((1, 4, 4)), 0.0, overwrite=True)
    with pytest.raises(ParticleFileError, match=r"pixel size unknown.*--pixel-size"):
        read_particles(star)
    with pytest.raises(ParticleFileError, match="expected more than 0"):
        read_particles(star, pixel_size=-1.0)


def test_data_dir(particle_set, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("a.mrcs", "b.mrcs"):
        shutil.move(tmp_path / name, moved / name)
    with pytest.raises(ParticleFileError, match=r"a\.mrcs does not exist.*--data-dir"):
        read_particles(particle_set.star)
    images = read_particles(particle_set.star, data_dir=moved).particles.images
    np.testing.assert_array_equal(images.compute(), particle_set.images)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.integers(0, 4), min_size=1, max_size=8))
def test_any_subset_reads_back(particle_set, rows):
    opened = read_particles(particle_set.star)
    path = particle_set.star.with_name("subset.star")
    opened.write(path, rows=rows, overwrite=True)
    again = read_particles(path)
    np.testing.assert_array_equal(again.particles.images.compute(), particle_set.images[rows])
    pd.testing.assert_frame_equal(again.table, opened.table.iloc[rows].reset_index(drop=True))
    pd.testing.assert_frame_equal(again.blocks["optics"], opened.blocks["optics"])


def test_new_poses_leave_everything_else_as_it_was(particle_set, rng):
    opened = read_particles(particle_set.star)
    rotations, shifts = Rotation.random(5, rng=rng).as_matrix(), rng.normal(size=(5, 2))
    columns = opened.pose_columns(rotations, shifts)
    path = particle_set.star.with_name("new.star")
    opened.write(
        path, {**columns, "hypermolState1": np.linspace(0, 1, 5), "hypermolName": list("abcde")}
    )
    again = read_particles(path)
    np.testing.assert_allclose(again.particles.rotations, rotations, atol=1e-7)
    np.testing.assert_allclose(again.particles.shifts, shifts, atol=1e-6)
    assert again.table["hypermolState1"].tolist()[1] == "0.250000"
    assert again.table["hypermolName"].tolist() == list("abcde")
    kept = [name for name in opened.table.columns if name not in columns]
    pd.testing.assert_frame_equal(again.table[kept], opened.table[kept])
    assert list(again.table.columns[: len(opened.table.columns)]) == list(opened.table.columns)
    assert again.table["rlnNote"].tolist() == ["0001", "[1,2.50,-3e4]", "two words", "", "1.10"]


def test_writing_refuses_what_does_not_fit(particle_set, tmp_path):
    opened = read_particles(particle_set.star)
    with pytest.raises(OutputExistsError):
        opened.write(particle_set.star)
    with pytest.raises(ShapeError, match=r"shape \(2,\), expected \(5,\)"):
        opened.write(tmp_path / "x.star", {"a": [1, 2]}, rows=[0, 1])
    with pytest.raises(ShapeError, match="0 to 4"):
        opened.write(tmp_path / "x.star", rows=[5])
    with pytest.raises(ParticleFileError, match="no particle left"):
        opened.write(tmp_path / "x.star", rows=np.zeros(5, bool))
    for name in ("x.cs", "x.txt", "x"):
        with pytest.raises(ParticleFileError, match=r"expected \.star"):
            opened.write(tmp_path / name)
    opened.write(tmp_path / "x.star", rows=np.array([True, False, True, False, False]))
    assert read_particles(tmp_path / "x.star").n == 2


def write_bad(folder, kind):
    """One bad input of each kind, over a good particle set."""
    star = folder / "particles.star"
    text = star.read_text()
    if kind == "truncated stack":
        (folder / "b.mrcs").write_bytes((folder / "b.mrcs").read_bytes()[:-1])
    elif kind == "missing stack":
        (folder / "b.mrcs").unlink()
    elif kind == "two box sizes":
        write_stack(folder / "b.mrcs", np.zeros((2, 6, 6)), 1.5, overwrite=True)
    elif kind == "zero particles":
        star.write_text(text[: text.index("3@a.mrcs")])
    else:
        old, new = {
            "index past the end": ("3@a.mrcs", "4@a.mrcs"),
            "index zero": ("3@a.mrcs", "0@a.mrcs"),
            "no images": ("_rlnImageName", "_rlnMicrographName"),
            "no voltage": ("_rlnVoltage", "_rlnVolts"),
            "outside": ("3@a.mrcs", "3@../a.mrcs"),
            "not a number": ("10000.0", "ten"),
            "unknown group": ("0 0 2 2", "0 0 5 2"),
            "two pixel sizes": ("200.000000     1.500000", "200.000000     1.510000"),
        }[kind]
        assert old in text
        star.write_text(text.replace(old, new))
    return star


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("truncated stack", r"b\.mrcs: is cut short"),
        ("missing stack", r"particles\.star: image stack b\.mrcs does not exist"),
        ("two box sizes", r"b\.mrcs \(row 2 .* box size 6, expected 8"),
        ("zero particles", r"particles\.star: holds no particles"),
        ("index past the end", r"row 1 .* names image 4, expected 1 to 3"),
        ("index zero", r"'0@a\.mrcs' in row 1"),
        ("no images", r"particles\.star: column rlnImageName missing"),
        ("no voltage", r"particles\.star: column rlnVoltage missing"),
        ("outside", r"\.\./a\.mrcs lies outside"),
        ("not a number", "column rlnDefocusU holds 'ten' in row 1"),
        ("unknown group", "row 2 belongs to optics group 5"),
        ("two pixel sizes", "pixel sizes from 1.5 to 1.51"),
    ],
)
def test_bad_input_is_one_sentence(particle_set, kind, words):
    star = write_bad(particle_set.star.parent, kind)
    with pytest.raises(ParticleFileError, match=words) as caught:
        read_particles(star)
    assert "\n" not in str(caught.value)


def test_folders_and_missing_files(tmp_path):
    for path in (tmp_path, tmp_path / "no.star", tmp_path / "no.cs"):
        with pytest.raises(ParticleFileError, match=r"folder|does not exist"):
            read_particles(path)


def test_strict_optics(particle_set):
    star = particle_set.star
    text = star.read_text().replace("_rlnNote", "_rlnBeamTiltX").replace("'two words'", "0.1")
    star.write_text(text.replace("[1,2.50,-3e4]", "0").replace("''", "0"))
    with pytest.warns(UnsupportedOpticsWarning, match="rlnBeamTiltX is ignored"):
        read_particles(star)
    with pytest.raises(UnsupportedOpticsError, match="rlnBeamTiltX"):
        read_particles(star, strict_optics=True)


def test_what_looks_like_particles(particle_set, tmp_path):
    assert is_particle_file(particle_set.star)
    assert not is_particle_file(tmp_path / "a.mrcs")
    assert not is_particle_file(tmp_path / "no.star")
    assert not is_particle_file(tmp_path)
    (tmp_path / "job.star").write_text("data_job\n_rlnJobTypeLabel relion.refine3d\n")
    assert not is_particle_file(tmp_path / "job.star")


def test_every_real_file_opens_or_says_why_not(shared_data):
    reasons = {
        "relion5.star": "toy_images_a.mrcs does not exist",
        "rln3.1_data_style.star": "0001_sum_particles.mrcs does not exist",
        "rln_proj_65.star": "pixel size unknown",
    }
    opened = set()
    for path in sorted([*shared_data.glob("*/*.star"), *shared_data.glob("*/*.cs")]):
        expected = reasons.get(path.name, "column rlnImageName missing")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UnsupportedOpticsWarning)
                images = read_particles(path).particles.images
        except HypermolError as reason:
            assert expected in str(reason)  # noqa: PT017  some of the files do open
        else:
            assert np.isfinite(images[:2].compute()).all()
            opened.add(path.stem)
    assert opened >= {"empiar_10076_7", "relion31", "toy_projections", "rln_proj_65_shifted"}


def test_real_pixel_sizes(shared_data):
    old = read_particles(shared_data / "real" / "empiar_10076_7.star").particles
    assert old.pixel_size == pytest.approx(1e4 * 5 / 38168)
    assert old.images.shape == (7, 320, 320)
    new = read_particles(shared_data / "real" / "relion31.star").particles
    assert new.pixel_size == 2.806
    np.testing.assert_allclose(new.shifts[0], [-0.019324, 0.64686])
    oracle = read_particles(shared_data / "oracles" / "rln_proj_65.star", pixel_size=1.0)
    assert oracle.particles.images.shape == (5, 65, 65)


def test_a_hundred_thousand_particles_open_quickly(tmp_path):
    """A guard against quadratic work; about 1 s. The claim itself is benchmarks/open_million.py."""
    write_stack(tmp_path / "a.mrcs", np.zeros((10, 8, 8)), 1.5)
    n = 100_000
    rows = "".join(f"{i % 10 + 1}@a.mrcs {i}.0 300 2.7 0.1\n" for i in range(n))
    (tmp_path / "a.star").write_text(
        "data_\nloop_\n_rlnImageName\n_rlnDefocusU\n_rlnVoltage\n_rlnSphericalAberration\n"
        "_rlnAmplitudeContrast\n" + rows
    )
    start = time.perf_counter()
    opened = read_particles(tmp_path / "a.star")
    assert time.perf_counter() - start < 20  # ten times what a busy machine took
    assert opened.particles.defocus.u[-1] == n - 1
    assert read_star(tmp_path / "a.star")[""].shape == (n, 5)
