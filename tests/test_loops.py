"""What is compiled computes the same whether it was compiled just now or kept from before."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np
import pytest

from napari_hypermol.loops import Shared, compiled, inlined

SOURCE = Path(__file__).resolve().parents[1] / "src" / "napari_hypermol"
KINDS = ("compiled", "inlined")
# One search with its sums, as bytes: loops with fastmath that call others.
SEARCHED = """
import hashlib, numpy as np
from napari_hypermol.samplers.search import SearchTarget, search
rng = np.random.default_rng(0)
def noise(*shape):
    return rng.normal(size=shape).astype(np.float32)
slices = (noise(1, 300, 60) + 1j * noise(1, 300, 60)).astype(np.complex64)
phases = np.exp(1j * noise(5, 60)).astype(np.complex64)
target = SearchTarget(slices, phases, np.zeros((1, 5), dtype=np.float32))
cells, sums = search(noise(8, 2, 60) * 0.3, noise(8, 60) ** 2, target, n_cells=3)
print(hashlib.sha1(b"".join(column.tobytes() for column in (*cells, *sums))).hexdigest())
"""


def loops_of_the_package() -> Iterator[tuple[Path, ast.FunctionDef, str]]:
    """Every function of the package that is decorated, and with what; and those that are shared."""
    for path in sorted(SOURCE.rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        shared = {
            node.args[0].id
            for node in nodes
            if isinstance(node, ast.Call)
            and ast.unparse(node.func) == "Shared"
            and isinstance(node.args[0], ast.Name)
        }
        for node in nodes:
            if isinstance(node, ast.FunctionDef):
                if node.name in shared:
                    yield path, node, "shared"
                for decorator in node.decorator_list:
                    name = ast.unparse(decorator).split("(")[0]
                    if name in KINDS:
                        yield path, node, name


def imported(path: Path) -> dict[str, tuple[Path, str]]:
    """Names a file has from elsewhere in the package, and where they are at home."""
    names = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(SOURCE.name):
            home = SOURCE.parent / (str(node.module).replace(".", "/") + ".py")
            names |= {alias.asname or alias.name: (home, alias.name) for alias in node.names}
    return names


def test_what_loops_call_is_a_part_of_them():
    found = list(loops_of_the_package())
    kinds = {(path, node.name): kind for path, node, kind in found}
    called = set()
    for path, node, _ in found:
        elsewhere = imported(path)
        names = {x.id for x in ast.walk(node) if isinstance(x, ast.Name)} - {node.name}
        called |= {elsewhere.get(name, (path, name)) for name in names} & kinds.keys()
    assert len(called) > 30
    assert called == {place for place, kind in kinds.items() if kind == "inlined"}


def test_nothing_is_compiled_otherwise():
    others = [
        f"{path.relative_to(SOURCE)}:{number}"
        for path in SOURCE.rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if "numba.njit(" in line and 'inline="always"' not in line and path.name != "loops.py"
    ]
    assert others == []


@pytest.mark.slow
def test_loaded_from_the_cache_it_computes_the_same_bits(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_NUM_THREADS": "1"}
    told = [
        subprocess.run(
            [sys.executable, "-c", SEARCHED],
            env=environment, capture_output=True, text=True, check=True, timeout=300,
        ).stdout
        for _ in range(2)
    ]  # fmt: skip
    assert any(tmp_path.rglob("*.nbc"))
    assert len(told[0]) > 20
    assert told[0] == told[1]


def test_inlined_functions_leave_no_call_behind():
    @inlined(fastmath=True)
    def _sum_of(values):
        total = np.float32(0)
        for value in values:
            total += value
        return total

    @compiled(fastmath=True)
    def _sums(rows, out):
        for i in range(len(rows)):
            out[i] = _sum_of(rows[i])

    rows, out = np.ones((3, 40), dtype=np.float32), np.zeros(3, dtype=np.float32)
    _sums(rows, out)
    assert out.tolist() == [40.0] * 3
    (listing,) = _sums.inspect_llvm().values()
    calls = [line for line in listing.splitlines() if "_sum_of" in line and " call " in line]
    assert calls == []
    assert numba.extending.is_jitted(_sum_of)


def _add_times(values_at, numbers_at, count, times):
    values, numbers = numba.carray(values_at, (count,)), numba.carray(numbers_at, (count,))
    for i in range(count):
        values[i] += times * numbers[i]


ADD_TIMES = Shared(_add_times, n_arrays=2, n_numbers=2)
add_times = ADD_TIMES.call


@numba.njit
def add_rows(values, numbers):
    for i in range(len(values)):
        add_times((values[i], numbers), (values.shape[1], i))


def test_a_shared_function_is_called_by_loops():
    ADD_TIMES.ready()
    values, numbers = np.ones((3, 5), dtype=np.float32), np.arange(5, dtype=np.float32)
    add_rows(values, numbers)
    np.testing.assert_array_equal(values, 1 + np.outer(np.arange(3), numbers))
    ADD_TIMES.ready()  # nothing to do
    add_rows(values, numbers)
    np.testing.assert_array_equal(values, 1 + 2 * np.outer(np.arange(3), numbers))


def test_a_shared_function_called_too_early_ends_the_process_with_its_name():
    """Better than a wrong sum: an exception in the middle of a loop would go nowhere."""
    early = """
import numpy as np
from test_loops import add_rows
add_rows(np.ones((3, 5), dtype=np.float32), np.ones(5, dtype=np.float32))
print("went on")
"""
    done = subprocess.run(
        [sys.executable, "-c", early],
        cwd=Path(__file__).parent, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "went on" not in done.stdout
    assert "_add_times was called by a loop before it was ready()" in done.stderr


def test_a_loop_with_slices_computes_the_same_bits_loaded_from_the_cache(tmp_path):
    """The shared function from the cache, and the loop that calls it."""
    sliced = """
import numpy as np
from examples import pretzel_like, random_rotations, scene
from napari_hypermol.imaging import projector
molecule, placements, samples = scene(pretzel_like(16), 6)
rng = np.random.default_rng(0)
theta = rng.normal(size=molecule.n_coefficients).astype(np.float32)
rotations = random_rotations(rng, 3)
slices = projector.forward(rotations, molecule.grids(theta), placements, samples)
back = projector.adjoint(slices, rotations, molecule.empty_grids, placements, samples)
print(hash(slices.tobytes()), hash(back.tobytes()))
"""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONHASHSEED": "0"}
    environment |= {"NUMBA_NUM_THREADS": "1"}
    told = [
        subprocess.run(
            [sys.executable, "-c", sliced], cwd=Path(__file__).parent, env=environment,
            capture_output=True, text=True, check=True, timeout=300,
        ).stdout
        for _ in range(2)
    ]  # fmt: skip
    assert any("_slice_set" in path.name for path in tmp_path.rglob("*.nbc"))
    assert len(told[0]) > 20
    assert told[0] == told[1]
