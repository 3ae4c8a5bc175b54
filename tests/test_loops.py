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

from napari_hypermol.loops import compiled, inlined

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


def decorated() -> Iterator[tuple[Path, ast.FunctionDef, str]]:
    """Every function of the package that is decorated, and with what."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
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
    found = list(decorated())
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
