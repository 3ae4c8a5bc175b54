"""Loops that are compiled: `compiled` for those Python calls, `inlined` for those they call.

A loop that was compiled in this process and one that was loaded from numba's cache must compute the
same to the last bit, or a run that is resumed ends elsewhere. With fastmath they would not: a
function that is compiled for itself and its copy in a loop that calls it are optimised twice,
differently, and under one name; which of the two a process uses depends on what it has compiled and
loaded before. What is inlined has no name of its own.

A large function that many loops call would take its time to compile in each of them. It can be
`Shared`: compiled once, for itself alone, and called by its address.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import llvmlite.binding
import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["Shared", "compiled", "inlined", "scratch_floats", "scratch_integers"]

Loop = TypeVar("Loop", bound=Callable[..., Any])
FastMath = bool | set[str]

_FLOATS = ir.FloatType().as_pointer()
_LONG = ir.IntType(64)


def compiled(*, parallel: bool = False, fastmath: FastMath = False) -> Callable[[Loop], Loop]:
    """Compile a function for the types it is called with, and keep it for other processes.

    Parameters
    ----------
    parallel : bool
        Whether `numba.prange` is shared among the threads.
    fastmath : bool or set of str
        Whether sums may be reordered; or the liberties of LLVM that are taken.
    """
    decorator: Callable[[Loop], Loop] = numba.njit(
        parallel=parallel, fastmath=fastmath, cache=True, nogil=True
    )
    return decorator


def inlined(*, fastmath: FastMath = False) -> Callable[[Loop], Loop]:
    """Compile a function that compiled loops call, as a part of each of them."""
    decorator: Callable[[Loop], Loop] = numba.njit(
        fastmath=fastmath, cache=True, nogil=True, forceinline=True
    )
    return decorator


def _scratch(element: Any, kind: Any) -> Callable[..., Any]:
    @intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
    def scratch(typingctx: Any, count: Any) -> Any:
        if not isinstance(count, types.IntegerLiteral):
            return None

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            with builder.goto_entry_block():  # not in a loop; and not set to zero
                block = builder.alloca(ir.ArrayType(kind, count.literal_value))
            block.align = 64
            return builder.bitcast(block, kind.as_pointer())

        return types.CPointer(element)(count), codegen

    return scratch  # type: ignore[no-any-return]


# Memory of a call for so many numbers, a literal, until it returns: a pointer for `numba.carray`.
# An array of NumPy's takes as long to make as ten samples to slice.
scratch_floats = _scratch(types.float32, ir.FloatType())
scratch_integers = _scratch(types.int32, ir.IntType(32))


class Shared:
    """A function that is compiled once, and called by loops through its address.

    Loops find the address in a cell with a name, which is theirs to read whenever they are compiled
    or loaded; `ready` fills it, and has to be called before any such loop runs.

    Parameters
    ----------
    function : callable
        Of `n_arrays` pointers to float32 and then `n_numbers` int64; returns nothing, raises
        nothing.
    n_arrays, n_numbers : int

    Attributes
    ----------
    call : intrinsic
        What loops call: with a tuple of float32 arrays in C order and a tuple of the numbers.
    """

    def __init__(self, function: Callable[..., None], n_arrays: int, n_numbers: int) -> None:
        self._function = function
        self._compiled: Any = None
        pointers = (types.CPointer(types.float32),) * n_arrays
        self._signature = types.void(*pointers, *(types.int64,) * n_numbers)
        arguments = (ctypes.c_void_p,) * n_arrays + (ctypes.c_int64,) * n_numbers
        self._too_early = ctypes.CFUNCTYPE(None, *arguments)(self._abort)
        address = ctypes.cast(self._too_early, ctypes.c_void_p).value
        self._cell = ctypes.c_int64(address or 0)
        name = f"{function.__module__}.{function.__qualname__}.address"
        llvmlite.binding.add_symbol(name, ctypes.addressof(self._cell))
        self.call = _caller(name, n_arrays, n_numbers)

    def ready(self) -> None:
        """Compile the function, or load it, unless that has been done in this process."""
        if self._compiled is None:
            self._compiled = numba.cfunc(self._signature, cache=True)(self._function)
            self._cell.value = self._compiled.address

    def _abort(self, *arguments: Any) -> None:
        # A loop is running: an exception would be swallowed, and its results be nonsense.
        name = self._function.__qualname__
        sys.stderr.write(f"{name} was called by a loop before it was ready()\n")
        sys.stderr.flush()
        os.abort()


def _caller(name: str, n_arrays: int, n_numbers: int) -> Callable[..., None]:
    """An intrinsic that calls whatever is at the address in the cell of that name."""

    @intrinsic  # type: ignore[untyped-decorator]
    def call(typingctx: Any, arrays: Any, numbers: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            passed = []
            for i, kind in enumerate(sig.args[0]):
                array = context.make_array(kind)(
                    context, builder, builder.extract_value(args[0], i)
                )
                passed.append(array.data)
            passed += [builder.extract_value(args[1], i) for i in range(n_numbers)]
            kind = ir.FunctionType(ir.VoidType(), [_FLOATS] * n_arrays + [_LONG] * n_numbers)
            if name not in builder.module.globals:
                ir.GlobalVariable(builder.module, _LONG, name).linkage = "external"
            address = builder.load(builder.module.globals[name])
            builder.call(builder.inttoptr(address, kind.as_pointer()), passed)
            return context.get_dummy_value()

        return types.void(arrays, types.UniTuple(types.int64, n_numbers)), codegen

    return call  # type: ignore[no-any-return]
