"""STAR files as tables of text, read and written without changing a value that is not ours.

Not here: what the columns mean (`relion`), which block holds particles (`particle_file`).
A cell stays the text it was in the file; `numeric` converts a column when it is needed, so a
column nobody touched is written back letter for letter.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from napari_hypermol.errors import ParticleFileError
from napari_hypermol.io.admission import admit_file, shown
from napari_hypermol.io.replacing import replacing

__all__ = ["numeric", "read_star", "text_column", "write_star"]

ROWS_AT_ONCE = 50_000  # Python strings alive at a time: about 100 MB at 25 columns
TEXT_AT_ONCE = 16 * 2**20  # characters, likewise, where rows are longer
# More than any program writes (RELION some 100 columns, a block for every tomogram); a file of
# nothing else would take minutes and a hundred times its size.
MAX_BLOCKS, MAX_COLUMNS, MAX_LINE = 1000, 1000, 1_000_000
WIDTH_NUMBER, WIDTH_TEXT = 12, 10  # RELION's own padding, so that its files come back identical

_TOKEN = re.compile(r"""'([^'\n]*)'(?=\s|$)|"([^"\n]*)"(?=\s|$)|(#.*)|(\S+)""")
_PLAIN = re.compile(r"""(?!data_|loop_)[^\s'"#_;]\S*""", re.IGNORECASE)
_TEXT = pd.StringDtype("pyarrow", na_value=np.nan)


def read_star(path: str | os.PathLike[str]) -> dict[str, pd.DataFrame]:
    """Every block of a STAR file, as text.

    Parameters
    ----------
    path : path
        RELION 3.0, 3.1, 4 or 5, or any STAR file with one loop or one list a block.

    Returns
    -------
    blocks : dict of str to DataFrame
        Block name without ``data_`` to its table, in file order; columns without ``_``; cells are
        strings (`numeric` converts). ``attrs["is_list"]`` is True for a key/value block, whose
        table has one row; ``attrs["comments"]`` holds the comment lines before the block.

    Raises
    ------
    ParticleFileError
        If the file is missing, a folder, binary, empty, or not laid out as STAR.
    """
    path = Path(path)
    _require_file(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            blocks = _read_blocks(file, path)
    except UnicodeDecodeError:
        raise ParticleFileError(
            f"{path}: is binary, expected a STAR text file; check the name of the file"
        ) from None
    if not blocks:
        raise ParticleFileError(
            f"{path}: holds no data_ block, expected a STAR file; is it empty or cut short?"
        )
    return blocks


def write_star(
    path: str | os.PathLike[str], blocks: Mapping[str, pd.DataFrame], overwrite: bool = False
) -> None:
    """Write blocks as a STAR file; the file appears complete or not at all.

    Parameters
    ----------
    path : path
    blocks : mapping of str to DataFrame
        As from `read_star`. Text cells are written as they are, numbers as RELION prints them.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputExistsError
        If `path` exists and `overwrite` is False.
    """
    with (
        replacing(path, overwrite) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        for name, table in blocks.items():
            _write_block(file, name, table)


def numeric(table: pd.DataFrame, column: str, where: str | os.PathLike[str]) -> NDArray[np.float64]:
    """One column as finite numbers.

    Parameters
    ----------
    table : DataFrame
    column : str
    where : path
        File the table came from, for the message.

    Returns
    -------
    values : (n,) float64 ndarray

    Raises
    ------
    ParticleFileError
        If a cell is not a finite number; the message names its row.
    """
    values = _numbers(table[column])
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        row = int(bad[0])
        raise ParticleFileError(
            f"{where}: column {shown(column)} holds {shown(table[column].iloc[row])!r} in row "
            f"{row + 1}, "
            "expected a finite number; repair or remove that row"
        )
    return np.asarray(values, dtype=np.float64)


def _numbers(column: "pd.Series[Any]") -> NDArray[np.float64]:
    """A column as numbers, NaN where it holds none."""
    if column.dtype == _TEXT:
        try:  # a tenth of the time of `to_numeric`, and the window's thread may go on meanwhile
            return np.asarray(pc.cast(pa.array(column.array), pa.float64()), dtype=np.float64)
        except pa.ArrowInvalid:
            pass
    return pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)


def text_column(values: list[str]) -> "pd.Series[Any]":
    """Strings as a compact column (arrow: 8 bytes and the text itself for each cell)."""
    return pd.Series(pd.array(pa.array(values, pa.large_string()), dtype=_TEXT))


def _require_file(path: Path) -> None:
    """Refuse what is not a readable text file before any of it is parsed."""
    admit_file(path, "a STAR file", ParticleFileError)
    with path.open("rb") as file:
        if b"\0" in file.read(4096):
            raise ParticleFileError(
                f"{path}: is binary, expected a STAR text file; check the name of the file"
            )


def _read_blocks(file: TextIO, path: Path) -> dict[str, pd.DataFrame]:
    """Walk through the lines once, a loop's rows in batches."""
    blocks: dict[str, pd.DataFrame] = {}
    parser: _Block | None = None
    comments: list[str] = []
    for number, line in enumerate(file, start=1):
        if len(line) >= MAX_LINE:
            raise ParticleFileError(
                f"{path}, line {number}: has a million characters or more, expected a STAR file; "
                "check the name of the file"
            )
        if parser is not None and parser.takes(line):
            continue
        word = line.strip()
        if word.startswith("#"):
            comments.append(word)
        elif word.lower().startswith("data_"):
            if parser is not None:
                blocks[parser.name] = parser.table()
            parser = _Block(word[5:], path, comments)
            comments = []
            if parser.name in blocks:
                raise ParticleFileError(
                    f"{path}, line {number}: a second block data_{shown(parser.name)}, expected "
                    "each name once; rename one of the two"
                )
            if len(blocks) == MAX_BLOCKS:
                raise ParticleFileError(
                    f"{path}, line {number}: more than {MAX_BLOCKS} blocks, expected a STAR file "
                    "of particles; is it the right one?"
                )
        elif word and parser is None:
            raise ParticleFileError(
                f"{path}, line {number}: {shown(word)!r} stands before any data_ block, expected a "
                "STAR file; check the name of the file"
            )
        elif word and parser is not None:
            parser.header(word, number)
    if parser is not None:
        blocks[parser.name] = parser.table()
    return blocks


class _Block:
    """One data_ block while it is read: header lines, then rows collected in batches."""

    def __init__(self, name: str, path: Path, comments: list[str]) -> None:
        self.name = name
        self._path = path
        self._comments = comments
        self._is_loop = self._in_rows = False
        self._columns: list[str] = []
        self._length = 0
        self._lines: list[str] = []
        self._chunks: list[list[pa.Array]] = []
        self._n_rows = 0
        self._values: list[str] = []

    def takes(self, line: str) -> bool:
        """Keep a line of the loop's body; False for anything that may end it."""
        if not self._in_rows:
            return False
        first = line.lstrip()[:5].lower()
        if not first or first[0] in "_#":
            return False
        if first in ("data_", "loop_") and len(line.split()) != len(self._columns):
            return False  # otherwise a row whose first value is a path such as data_1/a.mrcs
        self._lines.append(line)
        self._length += len(line)
        if len(self._lines) == ROWS_AT_ONCE or self._length > TEXT_AT_ONCE:
            self._flush()
        return True

    def header(self, word: str, number: int) -> None:
        """Interpret a line that is not a row."""
        if word.lower() == "loop_" and not self._is_loop and not self._columns:
            self._is_loop = True
        elif word.startswith("_") and not self._n_rows and not self._lines:
            tokens = _tokens(word)
            name = tokens[0][1:]
            if name in self._columns:
                self._refuse(number, f"column {shown(name)} a second time, expected it once")
            if len(self._columns) == MAX_COLUMNS:
                self._refuse(number, f"more than {MAX_COLUMNS} columns, expected a few")
            self._columns.append(name)
            if self._is_loop:
                self._in_rows = True
            elif len(tokens) == 2:
                self._values.append(tokens[1])
            else:
                self._refuse(number, f"{len(tokens) - 1} values after _{shown(name)}, expected 1")
        else:
            self._refuse(number, f"{shown(word)!r}, expected one loop or one list in a block")

    def table(self) -> pd.DataFrame:
        """All that was read, as a table."""
        self._flush()
        if self._is_loop:
            columns = {
                name: _joined([chunk[j] for chunk in self._chunks])
                for j, name in enumerate(self._columns)
            }
        else:
            columns = {
                name: text_column([value])
                for name, value in zip(self._columns, self._values, strict=True)
            }
        table = pd.DataFrame(columns)
        table.attrs.update(is_list=not self._is_loop, comments=self._comments)
        return table

    def _flush(self) -> None:
        """Turn the collected lines into one arrow array a column."""
        if not self._lines:
            return
        cells, counts = _cells_of(self._lines)
        n = len(self._columns)
        wrong = np.flatnonzero(counts != n)
        if len(wrong):
            row = int(wrong[0])
            raise ParticleFileError(
                f"{self._path}: row {self._n_rows + row + 1} of block data_{shown(self.name)} has "
                f"{counts[row]} values, expected {n}; is the file cut short?"
            )
        each = np.arange(0, len(cells), n)
        self._chunks.append([cells.take(pa.array(each + j)) for j in range(n)])
        self._n_rows += len(self._lines)
        self._lines.clear()
        self._length = 0

    def _refuse(self, number: int, what: str) -> None:
        raise ParticleFileError(
            f"{self._path}, line {number}: block data_{shown(self.name)} has {what}; "
            "repair the file"
        )


def _cells_of(lines: list[str]) -> tuple[pa.Array, NDArray[np.int64]]:
    """All cells of some lines, one after the other, and how many each line has."""
    if any("'" in line or '"' in line or "#" in line for line in lines):
        rows = [_tokens(line) for line in lines]
        flat = [cell for row in rows for cell in row]
        return pa.array(flat, pa.large_string()), np.array([len(row) for row in rows])
    text = pc.utf8_trim_whitespace(pa.array(lines, pa.large_string()))
    split = pc.utf8_split_whitespace(text)
    return split.values, np.diff(split.offsets.to_numpy())


def _tokens(line: str) -> list[str]:
    """Cells of a line with quoted values or a comment at its end."""
    found = []
    for match in _TOKEN.finditer(line):
        single, double, comment, plain = match.groups()
        if comment is not None:
            break
        found.append(next(text for text in (single, double, plain) if text is not None))
    return found


def _joined(chunks: list[pa.Array]) -> Any:
    """Arrow chunks as one column, without a copy."""
    return pd.array(pa.chunked_array(chunks, pa.large_string()), dtype=_TEXT)


def _write_block(file: TextIO, name: str, table: pd.DataFrame) -> None:
    """One block in RELION's layout."""
    comments = table.attrs.get("comments", [])
    file.write("\n" + "".join(f"{comment}\n" for comment in comments) + ("\n" if comments else ""))
    file.write(f"data_{name}\n\n")
    if table.attrs.get("is_list", False):
        width = max((len(str(column)) for column in table.columns), default=0) + 2
        for column in table.columns:
            file.write(f"_{column}".ljust(width) + f" {_cells(table[column])[0]:>12} \n")
        file.write(" \n")
        return
    file.write("loop_ \n")
    for j, column in enumerate(table.columns, start=1):
        file.write(f"_{column} #{j} \n")
    for start in range(0, len(table), ROWS_AT_ONCE):
        part = table.iloc[start : start + ROWS_AT_ONCE]
        columns = [_cells(part[column]) for column in table.columns]
        file.writelines(" ".join(row) + " \n" for row in zip(*columns, strict=True))
    file.write(" \n")


def _cells(column: "pd.Series[Any]") -> list[str]:
    """Pad a column's cells as text."""
    kind = np.dtype(column.dtype).kind if isinstance(column.dtype, np.dtype) else "T"
    if kind in "iub":
        return [f"{int(value):{WIDTH_NUMBER}d}" for value in column.tolist()]
    if kind == "f":
        return [_number(value) for value in column.tolist()]
    texts = [str(value) for value in column.tolist()]
    width = WIDTH_NUMBER if texts and _is_number(texts[0]) else WIDTH_TEXT
    is_plain = _PLAIN.fullmatch  # a call a cell is what writing costs
    return [(text if is_plain(text) else _quoted(text)).rjust(width) for text in texts]


def _number(value: float) -> str:
    """RELION's print of a float: six decimals, an exponent where they would not do."""
    size = abs(value)
    form = "12.6e" if 0 < size < 1e-3 or size > 1e5 else "12.6f"
    return f"{value:{form}}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _quoted(text: str) -> str:
    """Put quotes around a value that would not be read back as one cell."""
    mark = '"' if "'" in text else "'"
    if mark in text or "\n" in text:
        raise ParticleFileError(
            f"value {text!r} has a line break or both kinds of quotes, expected one that a STAR "
            "file can hold; change it"
        )
    return f"{mark}{text}{mark}"
