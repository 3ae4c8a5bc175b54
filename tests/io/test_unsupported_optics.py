import warnings
from pathlib import Path

import pandas as pd
import pytest

from napari_hypermol.errors import ParticleFileError, UnsupportedOpticsError
from napari_hypermol.io.relion_columns import RelionColumns
from napari_hypermol.io.unsupported_optics import UnsupportedOpticsWarning, check_supported


def columns_of(particles, optics=None):
    optics = None if optics is None else pd.DataFrame(optics)
    return RelionColumns.of(Path("x.star"), pd.DataFrame(particles), optics)


def test_neutral_values_pass():
    optics = {
        "rlnBeamTiltX": ["0.000000"],
        "rlnOddZernike": ["[0,0.0,-0]"],
        "rlnMagMat00": ["1.000000"],
        "rlnMagMat01": ["0"],
        "rlnImageDimensionality": ["2"],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_supported(columns_of({"rlnImageName": ["1@a"]}, optics), strict=True)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("rlnBeamTiltX", "0.04"),
        ("rlnBeamTiltY", "-1e-3"),
        ("rlnOddZernike", "[0,0.068,-1.8]"),
        ("rlnEvenZernike", "[45.4,0]"),
        ("rlnMagMat00", "1.0018"),
        ("rlnMagMat10", "-8e-4"),
    ],
)
def test_what_is_ignored_is_named(column, value):
    for columns in (
        columns_of({column: ["0", value] if "Mat00" not in column else ["1", value]}),
        columns_of({"rlnImageName": ["1@a"]}, {column: [value]}),
    ):
        with pytest.warns(UnsupportedOpticsWarning, match=f"x.star: {column} is ignored"):
            check_supported(columns)
        with pytest.raises(UnsupportedOpticsError, match=f"{column} is ignored.*first"):
            check_supported(columns, strict=True)


def test_several_are_one_sentence():
    columns = columns_of({"rlnBeamTiltX": ["1"], "rlnBeamTiltY": ["1"]})
    with pytest.warns(UnsupportedOpticsWarning, match="rlnBeamTiltX, rlnBeamTiltY, ctf/x are") as w:
        check_supported(columns, also=["ctf/x"])
    assert len(w) == 1


def test_a_cell_that_is_no_number_is_named():
    with pytest.raises(ParticleFileError, match="rlnBeamTiltX holds 'abc'"):
        check_supported(columns_of({"rlnBeamTiltX": ["abc"]}))


def test_tomograms_are_refused():
    with pytest.raises(ParticleFileError, match="subtomograms"):
        check_supported(columns_of({"rlnImageName": ["a"]}, {"rlnImageDimensionality": ["3"]}))
    with pytest.raises(ParticleFileError, match="tilt series"):
        check_supported(columns_of({"rlnTomoVisibleFrames": ["[1,1,0]"]}))


def test_note_is_the_warning():
    columns = columns_of({"rlnBeamTiltX": ["0.1"]})
    with pytest.warns(UnsupportedOpticsWarning) as seen:
        note = check_supported(columns)
    assert note == str(seen[0].message)
    assert check_supported(columns_of({"rlnImageName": ["1@a"]})) == ""
