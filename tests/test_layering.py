"""The plan of the house: who may import whom, which door a library comes in by, and that no room
lacks its tests. Read from the source by ast; only the last tests import anything.
"""

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "napari_hypermol"
TESTS = ROOT / "tests"
PACKAGE = SOURCE.name

# Each room, and the rooms it may import; never one further down. A room may always import itself.
GROUND = {"errors", "protocols"}
ARRAYS = GROUND | {"backend", "loops", "particles"}
ENGINE = ARRAYS | {
    *("coordinates", "bases", "imaging", "io", "molecules", "posterior", "samplers", "schedules")
}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "protocols": set(),
    "backend": GROUND,
    "loops": GROUND,
    "particles": GROUND,
    "coordinates": ARRAYS,
    "bases": ARRAYS | {"coordinates"},
    "imaging": ARRAYS | {"coordinates"},
    "io": ARRAYS | {"coordinates"},
    "molecules": ARRAYS | {"coordinates", "bases"},
    "posterior": ARRAYS | {"coordinates", "imaging"},
    # Gibbs draws come from the conditional tables of `posterior`: one formula, kept in one place.
    # Kernels on rotations step in the tangent space, which `coordinates` knows.
    "samplers": GROUND | {"backend", "coordinates", "loops", "posterior"},
    "schedules": GROUND,
    "runs": ENGINE,
    "synthetic": ENGINE,
    "cli": ENGINE | {"runs", "synthetic"},
    "plugin": ENGINE | {"runs", "synthetic"},
    "__main__": {"cli"},
    "__init__": set(),
}

# Each library that may enter only in some places: a file, or a folder with all it holds.
ONLY_IN: dict[str, set[str]] = {
    "cupy": {"backend.py"},
    "cupyx": {"backend.py"},
    "imageio": {"io/movie.py"},
    "mrcfile": {"io/mrc.py"},
    "starfile": {"io/star.py"},
    "platformdirs": {"bases/table_cache.py"},
    "dask": {"io/stack.py", "runs", "plugin"},
    "dask.distributed": {"runs/executors.py"},
    "distributed": {"runs/executors.py"},
    "numpy.fft": {"coordinates/fourier.py"},
    "scipy.fft": {"coordinates/fourier.py"},
    "napari": {"plugin"},
    "magicgui": {"plugin"},
    "npe2": {"plugin"},
    "psygnal": {"plugin"},
    "pyqtgraph": {"plugin"},
    "qtpy": {"plugin"},
    "superqt": {"plugin"},
    "vispy": {"plugin"},
    "PyQt6": set(),  # always through qtpy
    "PySide6": set(),
}

# Files without a test file of their own: nothing in them runs, or others run them.
UNMIRRORED = {"errors.py", "particles.py", "protocols.py", "__main__.py"}
NOBODYS_ROOMS = {"base", "common", "helpers", "misc", "tools", "util", "utils"}
SCREEN_LIBRARIES = ("napari", "qtpy", "magicgui", "superqt", "pyqtgraph", "PyQt6", "PySide6")
ARRAY_MODULES = {"np": "numpy", "numpy": "numpy", "xp": "numpy", "scipy": "scipy"}

FILES = sorted(SOURCE.rglob("*.py"))


def named(path: Path) -> str:
    """Where a file is, as seen from the package."""
    return path.relative_to(SOURCE).as_posix()


def room_of(path: Path) -> str:
    """The room a file belongs to: its first folder, or the file itself."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything a file imports, wherever in it."""
    package = (PACKAGE, *path.relative_to(SOURCE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                above = package[: len(package) + 1 - level] if level else ()
                stem = ".".join((*above, *([module] if module else [])))
                yield from ((node.lineno, f"{stem}.{alias.name}") for alias in names)
            case ast.Attribute(value=ast.Name(id=name), attr="fft") if name in ARRAY_MODULES:
                yield node.lineno, f"{ARRAY_MODULES[name]}.fft"
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def wrong_arrows(path: Path) -> Iterator[str]:
    """Imports of a room that the file's own room may not know."""
    room = room_of(path)
    for line, name in imports(path):
        parts = name.split(".")
        target = parts[1] if parts[0] == PACKAGE and len(parts) > 1 else room
        if target in MAY_IMPORT and target not in MAY_IMPORT[room] | {room}:
            yield f"{named(path)}:{line} imports {name}, but {room} may not import {target}"


def wrong_doors(path: Path) -> Iterator[str]:
    """Imports of a library in a place where it may not enter."""
    place = named(path)
    for line, name in imports(path):
        for library, doors in ONLY_IN.items():
            is_library = name == library or name.startswith(f"{library}.")
            if is_library and not any(place == d or place.startswith(f"{d}/") for d in doors):
                where = " or ".join(sorted(doors)) or "nowhere"
                yield f"{place}:{line} imports {name}, allowed only in {where}"


def test_table_has_every_room():
    unknown = {room_of(path) for path in FILES} - MAY_IMPORT.keys()
    assert not unknown, f"say in MAY_IMPORT what these rooms may import: {sorted(unknown)}"


def test_arrows_point_one_way():
    rooms = list(MAY_IMPORT)
    for i, room in enumerate(rooms):
        assert MAY_IMPORT[room] <= set(rooms[:i]), f"{room} looks at a room below it in the table"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_imports_follow_arrows(path):
    assert not (wrong := list(wrong_arrows(path))), "\n".join(wrong)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_libraries_use_their_doors(path):
    assert not (wrong := list(wrong_doors(path))), "\n".join(wrong)


@pytest.mark.parametrize(
    ("place", "code", "is_wrong"),
    [
        ("samplers/mala.py", "from napari_hypermol.molecules import component", True),
        ("samplers/mala.py", "from napari_hypermol import molecules", True),
        ("samplers/mala.py", "from ..molecules import component", True),
        ("samplers/mala.py", "from .. import molecules", True),
        ("samplers/mala.py", "def f():\n    import napari_hypermol.runs.recipe", True),
        ("samplers/mala.py", "from . import proposals", False),
        ("samplers/mala.py", "from napari_hypermol.backend import array_module", False),
        ("samplers/mala.py", "from napari_hypermol import __version__", False),
        ("plugin/widgets/run.py", "from ...cli import main", True),
        ("plugin/widgets/run.py", "from ..forms import Form\nimport qtpy", False),
        ("runs/sweep.py", "import numpy as np\nnp.fft.fft", True),
        ("runs/sweep.py", "from scipy import fft", True),
        ("runs/sweep.py", "import importlib\nimportlib.import_module('napari')", True),
        ("runs/sweep.py", "import dask.array", False),
        ("runs/sweep.py", "from dask import distributed", True),
        ("runs/executors.py", "from dask.distributed import Client", False),
        ("io/particle_files.py", "import mrcfile", True),
        ("plugin/live.py", "from PyQt6 import QtCore", True),
    ],
)
def test_rules_can_fail(place, code, is_wrong, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(code)
    assert bool([*wrong_arrows(path), *wrong_doors(path)]) == is_wrong


def test_every_file_has_its_tests():
    missing = []
    for path in FILES:
        place = path.relative_to(SOURCE)
        if path.name == "__init__.py" or place.as_posix() in UNMIRRORED:
            continue
        mirror = TESTS / place.with_name(f"test_{path.name}")
        if not mirror.is_file():
            missing.append(mirror.relative_to(ROOT).as_posix())
    assert not missing, "files without tests; write:\n" + "\n".join(missing)


def test_no_nobodys_rooms():
    places = [path for folder in (SOURCE, TESTS) for path in folder.rglob("*")]
    lost = [str(p.relative_to(ROOT)) for p in places if p.stem.lstrip("_") in NOBODYS_ROOMS]
    assert not lost, f"name the concept instead: {lost}"


def refused_words() -> dict[str, str]:
    """Each word that docs/concepts.md refuses in code, and the word it has instead."""
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    with_refusals = [row for row in rows if len(row) == 4]
    return {word: row[0] for row in with_refusals for word in re.findall(r"`(\w+)`", row[-1])}


def own_names(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of everything a file defines: functions, classes, arguments, variables."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name


@pytest.mark.parametrize("path", FILES, ids=named)
def test_one_word_per_concept(path):
    refused = refused_words()
    assert refused, "docs/concepts.md lost its table"
    wrong = []
    for line, name in own_names(path):
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_")
        for word, instead in refused.items():
            if f"_{word}_" in f"_{snake}_":
                wrong.append(f"{named(path)}:{line} {name}: the word is {instead}, not {word}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", ["runs", "cli"])
def test_import_leaves_screen_alone(room):
    name = f"{PACKAGE}.{room}"
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not written yet")
    code = f"""
import importlib, pkgutil, sys
room = importlib.import_module({name!r})
for module in pkgutil.iter_modules(getattr(room, "__path__", []), {name + "."!r}):
    importlib.import_module(module.name)
print(*(library for library in {SCREEN_LIBRARIES!r} if library in sys.modules))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == [], f"importing {name} loads {answer.stdout.strip()}"
