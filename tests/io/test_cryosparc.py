import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io import UnsupportedOpticsWarning, read_particles, read_star, write_stack
from napari_hypermol.io.cryosparc import ignored_fields, read_cs, relion_blocks, write_cs

FIELDS = [
    ("uid", "u8"),
    ("blob/path", "S32"),
    ("blob/idx", "u4"),
    ("blob/psize_A", "f4"),
    ("blob/sign", "f4"),
    ("ctf/exp_group_id", "u4"),
    ("ctf/accel_kv", "f4"),
    ("ctf/cs_mm", "f4"),
    ("ctf/amp_contrast", "f4"),
    ("ctf/df1_A", "f4"),
    ("ctf/df2_A", "f4"),
    ("ctf/df_angle_rad", "f4"),
    ("ctf/phase_shift_rad", "f4"),
    ("ctf/bfactor", "f4"),
    ("ctf/tilt_A", "f4", (2,)),
    ("alignments3D/pose", "f4", (3,)),
    ("alignments3D/shift", "f4", (2,)),
    ("alignments3D/split", "u4"),
]


@pytest.fixture
def cs(rng):
    table = np.zeros(4, dtype=FIELDS)
    table["uid"] = rng.integers(2**60, size=4)
    table["blob/path"] = [b">J1/a.mrc", b"J1/a.mrc", b">J1/a.mrc", b"J1/a.mrc"]
    table["blob/idx"] = [2, 0, 1, 2]
    table["blob/psize_A"], table["blob/sign"] = 1.5, -1
    table["ctf/exp_group_id"] = [23, 23, 7, 23]
    table["ctf/accel_kv"], table["ctf/cs_mm"], table["ctf/amp_contrast"] = 300, 2.5, 0.125
    table["ctf/df1_A"], table["ctf/df2_A"], table["ctf/df_angle_rad"] = 12000, 11000, 0.5
    table["ctf/phase_shift_rad"] = 1.25
    table["alignments3D/pose"] = rng.normal(size=(4, 3))
    table["alignments3D/shift"] = [[1, 2], [-3, 0.5], [0, 0], [4, -1]]
    table["alignments3D/split"] = [0, 1, 0, 1]
    return table


@pytest.fixture
def cs_file(tmp_path, cs, rng):
    """J2/particles.cs beside J1/a.mrc, as in a cryoSPARC project."""
    (tmp_path / "J1").mkdir()
    (tmp_path / "J2").mkdir()
    write_stack(tmp_path / "J1/a.mrc", rng.normal(size=(3, 6, 6)), 1.5)
    path = tmp_path / "J2/particles.cs"
    with path.open("wb") as file:
        np.save(file, cs)
    return path


def test_everything_in_our_units(cs, cs_file):
    from napari_hypermol.io.mrc import open_stack

    particles = read_particles(cs_file).particles
    stored = open_stack(cs_file.parents[1] / "J1/a.mrc")
    np.testing.assert_array_equal(particles.images.compute(), -stored[[2, 0, 1, 2]])
    assert particles.pixel_size == 1.5
    inverse = Rotation.from_rotvec(cs["alignments3D/pose"]).as_matrix()
    np.testing.assert_allclose(particles.rotations, inverse.transpose(0, 2, 1), atol=1e-7)
    np.testing.assert_allclose(particles.shifts, -1.5 * cs["alignments3D/shift"])
    np.testing.assert_array_equal(particles.half_sets, [1, 2, 1, 2])
    assert len(particles.optics.names) == 2
    names = [particles.optics.names[g] for g in particles.optics_group]
    assert names == [f"exposureGroup{g}" for g in (23, 23, 7, 23)]
    np.testing.assert_allclose(particles.optics.spherical_aberration, 2.5e7)
    np.testing.assert_array_equal(particles.optics.amplitude_contrast, 0.125)
    np.testing.assert_allclose(particles.defocus.angle, 0.5)
    np.testing.assert_allclose(particles.defocus.phase_shift, 1.25)
    np.testing.assert_array_equal(particles.defocus.u, 12000)


def test_shifts_count_in_the_pixels_of_the_alignment(cs):
    binned = np.zeros(4, dtype=[*FIELDS, ("alignments3D/psize_A", "f4")])
    for name in cs.dtype.names:
        binned[name] = cs[name]
    binned["alignments3D/psize_A"] = 3.0
    table = relion_blocks(binned)["particles"]
    np.testing.assert_allclose(table["rlnOriginXAngst"], 3.0 * cs["alignments3D/shift"][:, 0])


def test_converted_to_star_it_reads_the_same(cs_file):
    opened = read_particles(cs_file)
    opened.write(cs_file.with_suffix(".star"))
    again = read_particles(cs_file.with_suffix(".star"))
    for a, b in ((opened.particles, again.particles),):
        np.testing.assert_array_equal(a.images.compute(), b.images.compute())
        np.testing.assert_allclose(a.rotations, b.rotations, atol=1e-7)
        np.testing.assert_allclose(a.shifts, b.shifts, atol=1e-6)
        np.testing.assert_allclose(a.defocus, b.defocus, atol=1e-5)
        np.testing.assert_allclose(a.optics.voltage, b.optics.voltage)
        np.testing.assert_array_equal(a.half_sets, b.half_sets)
        assert a.optics.names == b.optics.names
        assert a.pixel_size == b.pixel_size
    assert list(read_star(cs_file.with_suffix(".star"))) == ["optics", "particles"]


def test_a_subset_keeps_every_field(cs, cs_file, tmp_path, rng):
    opened = read_particles(cs_file)
    rotations = Rotation.random(4, rng=rng).as_matrix()
    shifts = rng.normal(size=(4, 2))
    columns = opened.pose_columns(rotations, shifts) | {"state": np.arange(4.0)}
    opened.write(tmp_path / "J2/out.cs", columns, rows=[3, 0])
    table = read_cs(tmp_path / "J2/out.cs")
    for name in cs.dtype.names:
        if name not in ("alignments3D/pose", "alignments3D/shift"):
            np.testing.assert_array_equal(table[name], cs[name][[3, 0]])
            assert table.dtype[name] == cs.dtype[name]
    np.testing.assert_array_equal(table["hypermol/state"], [3, 0])
    again = read_particles(tmp_path / "J2/out.cs").particles
    np.testing.assert_allclose(again.rotations, rotations[[3, 0]], atol=1e-6)
    np.testing.assert_allclose(again.shifts, shifts[[3, 0]], atol=1e-6)


def test_poses_are_added_where_there_were_none(cs, tmp_path):
    bare = cs[["uid", "blob/path", "blob/idx"]]
    columns = {
        "rlnAngleRot": np.zeros(4),
        "rlnAngleTilt": np.full(4, 90.0),
        "rlnAnglePsi": np.zeros(4),
        "rlnOriginXAngst": np.full(4, 3.0),
        "rlnOriginYAngst": np.zeros(4),
    }
    write_cs(tmp_path / "a.cs", bare, columns, pixel_size=1.5)
    table = read_cs(tmp_path / "a.cs")
    np.testing.assert_array_equal(table["alignments3D/shift"], [[2, 0]] * 4)
    assert table["alignments3D/pose"].shape == (4, 3)
    np.testing.assert_array_equal(table["uid"], cs["uid"])


def test_aberrations_are_named(cs, cs_file):
    assert ignored_fields(cs) == []
    cs["ctf/tilt_A"][2] = 0.5
    with cs_file.open("wb") as file:
        np.save(file, cs)
    with pytest.warns(UnsupportedOpticsWarning, match="ctf/tilt_A is ignored"):
        read_particles(cs_file)


def test_micrographs_for_extraction_elsewhere(cs):
    more = [
        ("location/micrograph_path", "S8"),
        ("location/center_x_frac", "f4"),
        ("location/center_y_frac", "f4"),
        ("location/micrograph_shape", "u4", (2,)),
    ]
    table = np.zeros(1, dtype=[*FIELDS, *more])
    table["location/micrograph_path"] = b">m.mrc"
    table["location/center_x_frac"], table["location/center_y_frac"] = 0.5, 0.25
    table["location/micrograph_shape"] = [1000, 4000]
    particles = relion_blocks(table)["particles"].iloc[0]
    assert particles["rlnMicrographName"] == "m.mrc"
    assert particles[["rlnCoordinateX", "rlnCoordinateY"]].tolist() == [2000, 250]


def test_python_objects_are_refused(tmp_path):
    path = tmp_path / "a.cs"
    with path.open("wb") as file:
        np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ParticleFileError, match="holds Python objects"):
        read_cs(path)


@pytest.mark.parametrize("content", [b"", b"x" * 99, b"\x94CSDAT" + b"x" * 99, b"\x93NUMPY\x01"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.cs"
    path.write_bytes(content)
    with pytest.raises(ParticleFileError, match="is not a numpy file, expected cryoSPARC's"):
        read_cs(path)


def test_doors(tmp_path, cs):
    with pytest.raises(ParticleFileError, match="does not exist"):
        read_cs(tmp_path / "no.cs")
    with pytest.raises(ParticleFileError, match="is a folder"):
        read_cs(tmp_path)
    with (tmp_path / "a.cs").open("wb") as file:
        np.save(file, cs[["uid", "blob/path"]])
    with pytest.raises(ParticleFileError, match="field blob/idx missing"):
        read_cs(tmp_path / "a.cs")


def test_real_file_agrees_with_its_star(shared_data):
    """EMPIAR-10076: the same seven particles; dark on bright, which only the .cs file knows."""
    cs = read_particles(shared_data / "real" / "empiar_10076_7.cs").particles
    star = read_particles(shared_data / "real" / "empiar_10076_7.star").particles
    np.testing.assert_array_equal(cs.images.compute(), -star.images.compute())
    assert cs.pixel_size == pytest.approx(star.pixel_size, rel=1e-6)
    np.testing.assert_allclose(cs.defocus, star.defocus, rtol=1e-6)
    np.testing.assert_allclose(cs.optics.voltage, star.optics.voltage)
