"""CUDA C++ compiled by g++, for machines without a GPU: the same source, one thread at a time."""

import atexit
import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HEADER = Path(__file__).with_name("cuda_on_cpu.h")
WHY_NOT = "" if shutil.which("g++") else "there is no g++ (Debian: apt-get install g++)"
_FLAGS = ("-std=c++17", "-O1", "-shared", "-fPIC", "-w")
_FUNCTION = r'extern "C" __global__ void\s+(?:__launch_bounds__\([^)]*\)\s+)?(\w+)\s*\('
_EPILOGUE = "float4 shared_memory[SHARED / sizeof(float4)];\n"


class DeviceTrouble(RuntimeError):
    """What a real device would do wrong silently, or end the process for."""


class Traffic(NamedTuple):
    """Bytes of global memory: read with ``__ldg``, added to with ``atomicAdd``."""

    read: int
    added: int


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="cuda_on_cpu"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def functions_of(source: str, definitions: tuple[str, ...] = ()) -> ctypes.CDLL:
    """The functions of `source`, compiled; `definitions` as ``-DNAME=VALUE``."""
    names = re.findall(_FUNCTION, source)
    text = f'#include "{HEADER}"\n{source}\n{_EPILOGUE}'
    text += "".join(f"ON_CPU({name})\n" for name in names)
    digest = hashlib.sha256("\n".join([text, *definitions]).encode()).hexdigest()[:16]
    code, out = _folder() / f"{digest}.cpp", _folder() / f"{digest}.so"
    code.write_text(text, encoding="utf-8")
    command = ["g++", *_FLAGS, *definitions, "-o", os.fspath(out), os.fspath(code)]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode != 0:
        raise DeviceTrouble(f"g++: {answer.stderr[:4000]}")
    loaded = ctypes.CDLL(os.fspath(out))
    for name in names:
        getattr(loaded, f"launch_{name}").restype = ctypes.c_char_p
    return loaded


def launch(
    functions: ctypes.CDLL,
    name: str,
    grid: Sequence[int],
    n_threads: int,
    args: Sequence[np.ndarray | np.generic],
    shared_bytes: int = 0,
    is_backwards: bool = False,
) -> Traffic:
    """Run all blocks of threads of a function.

    Parameters
    ----------
    args : sequence of ndarray or NumPy scalar
        Arrays go in as pointers, scalars as they are.
    is_backwards : bool
        Threads take their turns from the last to the first.
    """
    held = [np.uint64(arg.ctypes.data) if isinstance(arg, np.ndarray) else arg for arg in args]
    cells = [np.array([value]) for value in held]
    pointers = (ctypes.c_void_p * len(cells))(*(cell.ctypes.data for cell in cells))
    sizes = (ctypes.c_int * len(cells))(*(cell.itemsize for cell in cells))
    blocks = (ctypes.c_uint * 3)(*[*grid, 1, 1][:3])
    before = _traffic(functions)
    trouble: Any = getattr(functions, f"launch_{name}")(
        pointers, sizes, len(cells), blocks, n_threads, shared_bytes, int(is_backwards)
    )
    if trouble is not None:
        raise DeviceTrouble(f"{name}: {trouble.decode()}")
    return Traffic(*np.subtract(_traffic(functions), before).tolist())


def _traffic(functions: ctypes.CDLL) -> Traffic:
    counters = ("bytes_read", "bytes_added")
    return Traffic(*(ctypes.c_longlong.in_dll(functions, name).value for name in counters))
