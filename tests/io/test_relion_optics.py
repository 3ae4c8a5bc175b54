from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io.relion_columns import RelionColumns
from napari_hypermol.io.relion_optics import defocus_of, optics_of, pixel_size_of


def columns_of(optics=None, **particles):
    optics = None if optics is None else pd.DataFrame(optics)
    return RelionColumns.of(Path("x.star"), pd.DataFrame(particles), optics)


def test_defocus_in_our_units():
    defocus = defocus_of(
        columns_of(
            rlnDefocusU=["10000", "12000"],
            rlnDefocusV=["9000", "11000"],
            rlnDefocusAngle=["45", "-90"],
            rlnPhaseShift=["90", "0"],
            rlnCtfBfactor=["80", "0"],
            rlnCtfScalefactor=["0.5", "1"],
        )
    )
    np.testing.assert_array_equal(defocus.u, [10000, 12000])
    np.testing.assert_array_equal(defocus.v, [9000, 11000])
    np.testing.assert_allclose(defocus.angle, [np.pi / 4, -np.pi / 2])
    np.testing.assert_allclose(defocus.phase_shift, [np.pi / 2, 0])
    np.testing.assert_array_equal(defocus.b_factor, [80, 0])
    np.testing.assert_array_equal(defocus.scale, [0.5, 1])


def test_defocus_defaults_and_absence():
    defocus = defocus_of(columns_of(rlnDefocusU=["10000"]))
    assert [float(column[0]) for column in defocus] == [10000, 10000, 0, 0, 0, 1]
    assert defocus_of(columns_of(rlnImageName=["1@a"])) is None


def test_optics_groups_of_a_table():
    table = {
        "rlnOpticsGroup": ["7", "2", "9"],
        "rlnOpticsGroupName": ["titan", "glacios", "unused"],
        "rlnVoltage": ["300", "200", "100"],
        "rlnSphericalAberration": ["2.7", "2.0", "1"],
        "rlnAmplitudeContrast": ["0.1", "0.07", "0"],
        "rlnCtfDataAreCtfPremultiplied": ["0", "1", "0"],
    }
    optics, group = optics_of(columns_of(table, rlnOpticsGroup=["2", "7", "2"]), needs_ctf=True)
    assert [optics.names[g] for g in group] == ["glacios", "titan", "glacios"]
    np.testing.assert_array_equal(optics.voltage[group], [200, 300, 200])
    np.testing.assert_allclose(optics.spherical_aberration[group], [2.0e7, 2.7e7, 2.0e7])
    np.testing.assert_array_equal(optics.amplitude_contrast[group], [0.07, 0.1, 0.07])
    np.testing.assert_array_equal(optics.is_premultiplied[group], [True, False, True])


def test_optics_groups_from_particle_columns():
    optics, group = optics_of(
        columns_of(
            rlnVoltage=["300", "200", "300"],
            rlnSphericalAberration=["2.7"] * 3,
            rlnAmplitudeContrast=["0.1"] * 3,
        ),
        needs_ctf=True,
    )
    assert len(optics.names) == 2
    np.testing.assert_array_equal(optics.voltage[group], [300, 200, 300])
    assert not optics.is_premultiplied.any()


@pytest.mark.parametrize(
    "missing", ["rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast"]
)
def test_defocus_without_optics_is_refused(missing):
    given = {"rlnVoltage": ["300"], "rlnSphericalAberration": ["2"], "rlnAmplitudeContrast": ["0"]}
    del given[missing]
    with pytest.raises(ParticleFileError, match=f"x.star: column {missing} missing"):
        optics_of(columns_of(**given), needs_ctf=True)
    optics, _ = optics_of(columns_of(**given), needs_ctf=False)
    assert np.isnan([optics.voltage, optics.spherical_aberration, optics.amplitude_contrast]).any()


@pytest.mark.parametrize(
    ("particles", "expected"),
    [
        ({"rlnImagePixelSize": ["1.5"], "rlnPixelSize": ["9"]}, 1.5),
        ({"rlnPixelSize": ["1.25"]}, 1.25),
        ({"rlnDetectorPixelSize": ["5"], "rlnMagnification": ["38168"]}, 1e4 * 5 / 38168),
        ({"rlnMicrographOriginalPixelSize": ["0.5"]}, 3.0),  # not the images' own: not used
        ({"rlnDetectorPixelSize": ["5"]}, 3.0),
    ],
)
def test_pixel_size_from_the_best_column(particles, expected):
    assert pixel_size_of(columns_of(**particles), in_stack=3.0) == pytest.approx(expected)


def test_pixel_size_from_the_optics_of_groups_in_use():
    table = {"rlnOpticsGroup": ["1", "2"], "rlnImagePixelSize": ["1.5", "2.0"]}
    assert pixel_size_of(columns_of(table, rlnOpticsGroup=["2", "2"]), None) == 2.0
    with pytest.raises(ParticleFileError, match=r"pixel sizes from 1.5 to 2 Å, expected one"):
        pixel_size_of(columns_of(table, rlnOpticsGroup=["2", "1"]), None)


def test_unknown_pixel_size_names_the_option():
    with pytest.raises(ParticleFileError, match=r"rlnImagePixelSize; .* --pixel-size"):
        pixel_size_of(columns_of(rlnImageName=["1@a"]), None)
    with pytest.raises(ParticleFileError, match="--pixel-size"):
        pixel_size_of(columns_of(rlnImagePixelSize=["0"]), None)
