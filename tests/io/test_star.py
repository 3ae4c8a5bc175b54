import string
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hypermol.errors import OutputExistsError, ParticleFileError
from napari_hypermol.io.star import numeric, read_star, text_column, write_star

RELION31 = """
# version 30001

data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
           1 opticsGroup1

# version 30001

data_particles

loop_
_rlnDefocusU #1
_rlnImageName #2
13108.082418 000001@a.mrcs
  -102.30296 000002@a.mrcs

"""


def lines(path: Path) -> list[str]:
    return [line.rstrip() for line in path.read_text().splitlines() if line.strip()]


def test_relion_file_comes_back_line_by_line(tmp_path):
    (tmp_path / "in.star").write_text(RELION31)
    write_star(tmp_path / "out.star", read_star(tmp_path / "in.star"))
    assert lines(tmp_path / "out.star") == lines(tmp_path / "in.star")


@pytest.mark.parametrize("name", ["relion31.star", "relion5.star"])
def test_files_written_by_relion_come_back_line_by_line(shared_data, tmp_path, name):
    source = shared_data / "real" / name
    write_star(tmp_path / name, read_star(source))
    assert lines(tmp_path / name) == lines(source)


def test_every_star_file_at_hand_keeps_its_values(shared_data, tmp_path):
    for source in sorted(shared_data.glob("*/*.star")):
        blocks = read_star(source)
        write_star(tmp_path / source.name, blocks)
        again = read_star(tmp_path / source.name)
        assert list(again) == list(blocks)
        for name in blocks:
            pd.testing.assert_frame_equal(again[name], blocks[name])
            assert again[name].attrs == blocks[name].attrs


def test_quotes_lists_and_comments(tmp_path):
    path = tmp_path / "a.star"
    path.write_text(
        "data_general\n\n_rlnName 'two words'\n_rlnEmpty \"\"\n\n"
        "data_\nloop_\n_a #1\n_b #2\n_c\n'x y' \"\" it's # a remark\n\n# another\n\"q 'r'\" ' ' 007"
    )
    blocks = read_star(path)
    assert list(blocks) == ["general", ""]
    assert blocks["general"].attrs["is_list"]
    assert blocks["general"].iloc[0].tolist() == ["two words", ""]
    assert blocks[""].to_numpy().tolist() == [["x y", "", "it's"], ["q 'r'", " ", "007"]]
    write_star(tmp_path / "b.star", blocks)
    again = read_star(tmp_path / "b.star")
    for name in blocks:
        pd.testing.assert_frame_equal(again[name], blocks[name])


def test_a_path_that_begins_like_a_keyword_is_a_value(tmp_path):
    path = tmp_path / "a.star"
    path.write_text("data_\nloop_\n_a\n_b\ndata_1/x.mrcs 2\ndata_next\nloop_\n_c\n5\n")
    blocks = read_star(path)
    assert blocks[""]["a"].tolist() == ["data_1/x.mrcs"]
    assert blocks["next"]["c"].tolist() == ["5"]


cells = st.text(string.ascii_letters + string.digits + ' .,-+[]@/#_;"', max_size=12)


@settings(max_examples=50, deadline=None)
@given(table=st.lists(st.tuples(cells, cells, cells), max_size=8))
def test_any_text_survives(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("star") / "a.star"
    columns = {f"c{j}": text_column([row[j] for row in table]) for j in range(3)}
    frame = pd.DataFrame(columns)
    write_star(path, {"particles": frame})
    pd.testing.assert_frame_equal(read_star(path)["particles"], frame)


def test_numbers_are_printed_as_relion_prints_them(tmp_path):
    frame = pd.DataFrame({"f": [1.5, 2e-5, -3e6, 0.0], "i": [1, 2, 3, 4]})
    write_star(tmp_path / "a.star", {"": frame})
    table = read_star(tmp_path / "a.star")[""]
    assert table["f"].tolist() == ["1.500000", "2.000000e-05", "-3.000000e+06", "0.000000"]
    assert table["i"].tolist() == ["1", "2", "3", "4"]
    np.testing.assert_array_equal(numeric(table, "f", "a.star"), frame["f"])


@pytest.mark.parametrize("cell", ["abc", "''", "nan", "inf"])
def test_a_cell_that_is_no_number_is_named(tmp_path, cell):
    path = tmp_path / "a.star"
    path.write_text(f"data_\nloop_\n_rlnX\n_rlnY\n1 1\n{cell} 1\n")
    with pytest.raises(ParticleFileError, match=r"a\.star: column rlnX .* row 2.* number"):
        numeric(read_star(path)[""], "rlnX", path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no data_ block"),
        (b"\n# only a comment\n", "no data_ block"),
        (b"\x00\x01binary" * 99, "binary"),
        (b"data_\nloop_\n_a\n\xff\xfe\n", "binary"),
        (b"hello\n", "before any data_ block"),
        (b"data_\nloop_\n_a\n_b\n1 2\n3\n", "row 2 .* 1 values, expected 2"),
        (b"data_\nloop_\n_a\n_a\n1 2\n", "_?a a second time"),
        (b"data_x\n_a 1\ndata_x\n_a 1\n", "second block data_x"),
        (b"data_x\nloop_\n_a\n1\nloop_\n_b\n2\n", "one loop or one list"),
        (b"data_x\n_a 1 2\n", "2 values after _a"),
    ],
)
def test_what_is_no_star_file_is_refused_in_a_sentence(tmp_path, content, words):
    path = tmp_path / "bad.star"
    path.write_bytes(content)
    with pytest.raises(ParticleFileError, match=words) as caught:
        read_star(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_and_missing_files_are_refused(tmp_path):
    with pytest.raises(ParticleFileError, match="is a folder"):
        read_star(tmp_path)
    with pytest.raises(ParticleFileError, match="does not exist"):
        read_star(tmp_path / "no.star")


def test_nothing_is_overwritten_unasked(tmp_path):
    path = tmp_path / "a.star"
    path.write_text("mine")
    with pytest.raises(OutputExistsError, match="exists already"):
        write_star(path, {"": pd.DataFrame({"a": [1]})})
    assert path.read_text() == "mine"
    write_star(path, {"": pd.DataFrame({"a": [1]})}, overwrite=True)
    assert read_star(path)[""]["a"].tolist() == ["1"]


@pytest.mark.parametrize("value", ["'a' \"b\"", "two\nlines"])
def test_what_star_cannot_hold_is_refused(tmp_path, value):
    with pytest.raises(ParticleFileError, match="expected one that a STAR file can hold"):
        write_star(tmp_path / "a.star", {"": pd.DataFrame({"a": [value]})})
    assert not list(tmp_path.iterdir())


def test_rows_beyond_one_batch_keep_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_hypermol.io.star.ROWS_AT_ONCE", 3)
    frame = pd.DataFrame({"a": range(10), "b": range(10, 20)})
    write_star(tmp_path / "a.star", {"": frame})
    table = read_star(tmp_path / "a.star")[""]
    assert table["a"].astype(int).tolist() == list(range(10))
    assert table["b"].astype(int).tolist() == list(range(10, 20))


def test_numbers_of_any_spelling(tmp_path):
    path = tmp_path / "a.star"
    path.write_text("data_\nloop_\n_a\n_b\n  1.50\t+2 \n-.5e1 3.\n\n")
    table = read_star(path)[""]
    assert table["a"].tolist() == ["1.50", "-.5e1"]
    assert numeric(table, "a", path).tolist() == [1.5, -5.0]
    assert numeric(table, "b", path).tolist() == [2.0, 3.0]
    assert numeric(table.assign(b=[4, 5]), "b", path).tolist() == [4.0, 5.0]
