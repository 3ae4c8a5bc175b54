"""The innermost step of slicing, written for vector units: 27 taps of a Fourier grid at once.

Taps come in nine lines of three neighbours along x. `gather` reads and `scatter` adds them for up
to `MOST` functions lying side by side; where they are and what they weigh is in a table
(`_tap_table`). Written as LLVM vectors, and once for every number of functions, because the
compiler does not find them by itself behind possibly aliasing arrays, and so that all loads are
operands of sums: taps are summed along z and y first, then along x, and one line needs no more than
its address and one weight. `prefetch` asks for a line that will be read. The plain versions
`gather_plain` and `scatter_plain` say the same in NumPy and are the tests' reference.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from napari_hypermol.imaging._tap_table import ALONG_X, BLOCK, SIGN

__all__ = ["MOST", "gather", "gather_plain", "prefetch", "scatter", "scatter_plain"]

_FLOAT = ir.FloatType()
_BYTE = ir.IntType(8)
_INT = ir.IntType(32)
_LONG = ir.IntType(64)
_CONTRACT = ("contract",)  # a * b + c may become one fused operation
_LANES = 8  # floats of a vector register
MOST = 16  # functions whose sums fit into sixteen registers, three for every four


def gather_plain(grid: Any, row: tuple[int, int, int], x: Any, y: Any, z: Any) -> Any:
    """Weighted sum of the 27 grid points from `row` on; grid (z, y, x, q) -> (q,)."""
    i, j, k = row
    return np.einsum("z,y,x,zyxq->q", z, y, x, grid[i : i + 3, j : j + 3, k : k + 3])


def scatter_plain(grid: Any, row: tuple[int, int, int], x: Any, y: Any, z: Any, value: Any) -> None:
    """Add `value` (q,) to the 27 grid points from `row` on, weighted: adjoint of `gather_plain`."""
    i, j, k = row
    grid[i : i + 3, j : j + 3, k : k + 3] += np.einsum("z,y,x,q->zyxq", z, y, x, value)


class _Code:
    """Writes the instructions of one intrinsic: its arrays, table entries and vectors."""

    def __init__(self, context: Any, builder: Any, sig: Any, args: Any) -> None:
        self.builder = builder
        values, self.at, _, grid, row, self.y_step, self.z_step, self.x_step, table, self.k = args
        arrays = ((0, values), (3, grid), (8, table))
        self.values, self.grid, self.table = (
            context.make_array(sig.args[i])(context, builder, array).data for i, array in arrays
        )
        self.row = row

    def vector(self, width: int) -> Any:
        return ir.VectorType(_FLOAT, width)

    def pointer(self, data: Any, offset: Any, width: int) -> Any:
        where = self.builder.gep(data, [offset])
        return self.builder.bitcast(where, self.vector(width).as_pointer())

    def load(self, data: Any, offset: Any, width: int) -> Any:
        return self.builder.load(self.pointer(data, offset, width), align=4)

    def load_wide(self, data: Any, offset: Any, width: int, is_last: bool) -> Any:
        """Read as many lanes as one load can, and keep `width`; no more than `width` at the end."""
        wide = 4 if width <= 4 else _LANES
        if is_last or width == wide:
            return self.load(data, offset, width)
        return self.lanes(self.load(data, offset, wide), range(width))

    def store(self, vector: Any, data: Any, offset: Any) -> None:
        where = self.pointer(data, offset, vector.type.count)
        self.builder.store(vector, where, align=4)

    def lanes(self, vector: Any, which: Any) -> Any:
        which = list(which)
        mask = ir.Constant(ir.VectorType(_INT, len(which)), which)
        return self.builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)

    def window(self, vectors: list[Any], first: int, width: int) -> Any:
        """Neighbouring lanes of vectors that follow one another, all full but the last."""
        at, lane = divmod(first, _LANES)
        if lane + width <= vectors[at].type.count:
            return self.lanes(vectors[at], range(lane, lane + width))
        pair = [v if v.type.count == _LANES else self.widened(v) for v in vectors[at : at + 2]]
        mask = ir.Constant(ir.VectorType(_INT, width), list(range(lane, lane + width)))
        return self.builder.shuffle_vector(*pair, mask)

    def widened(self, vector: Any) -> Any:
        """With lanes behind that nobody asks for."""
        count = vector.type.count
        return self.lanes(vector, [min(i, count - 1) for i in range(_LANES)])

    def splat(self, scalar: Any, width: int) -> Any:
        undefined = ir.Constant(self.vector(width), ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(_INT, 0))
        return self.lanes(first, [0] * width)

    def entry(self, row: int) -> Any:
        """A number of the table, for this sample."""
        offset = self.builder.add(self.k, ir.Constant(_LONG, row * BLOCK))
        return self.builder.load(self.builder.gep(self.table, [offset]), align=4)

    def fused(self, a: Any, b: Any, c: Any) -> Any:
        """Product of a and b, added to c if there is one."""
        product = self.builder.fmul(a, b, flags=_CONTRACT)
        return product if c is None else self.builder.fadd(c, product, flags=_CONTRACT)

    def conjugated(self, vector: Any) -> Any:
        """Imaginary parts, the odd lanes, times the sample's sign."""
        width = vector.type.count
        signs = self.splat(self.entry(SIGN), width)
        ones = self.splat(ir.Constant(_FLOAT, 1.0), width)
        mask = [i if i % 2 == 0 else width + i for i in range(width)]
        mask = ir.Constant(ir.VectorType(_INT, width), mask)
        return self.builder.fmul(vector, self.builder.shuffle_vector(ones, signs, mask))

    def lines(self) -> Any:
        """Offset of each of the nine lines, and the row of the table with its weight."""
        plane = self.row
        for iz in range(3):
            line = plane
            for iy in range(3):
                yield line, 3 * iz + iy
                line = self.builder.add(line, self.y_step)
            plane = self.builder.add(plane, self.z_step)

    def taps(self, line: Any) -> Any:
        """Offsets of the three taps of a line."""
        second = self.builder.add(line, self.x_step)
        return line, second, self.builder.add(second, self.x_step)

    def onward(self, offset: Any, floats: int) -> Any:
        return self.builder.add(offset, ir.Constant(_LONG, floats))


def _vectors(floats: int) -> list[tuple[int, int]]:
    """(first, floats) of the vectors that `floats` neighbours are read in."""
    return [(first, min(_LANES, floats - first)) for first in range(0, floats, _LANES)]


def _is_shorter(count: int) -> bool:
    """Whether a line has fewer vectors than its three taps."""
    return len(_vectors(6 * count)) < 3 * len(_vectors(2 * count))


def _either(
    code: _Code, count: int, by_line: Callable[[_Code, int], None],
    by_tap: Callable[[_Code, int], None],
) -> None:  # fmt: skip
    """Line by line where the grid has no other functions, so that taps lie side by side."""
    only = code.builder.icmp_signed("==", code.x_step, ir.Constant(_LONG, 2 * count))
    with code.builder.if_else(only) as (then, otherwise):
        with then:
            by_line(code, count)
        with otherwise:
            by_tap(code, count)


def _gather_code(code: _Code, count: int) -> None:
    if _is_shorter(count):
        _either(code, count, _gather_line_code, _gather_tap_code)
    else:
        _gather_tap_code(code, count)


def _gather_tap_code(code: _Code, count: int) -> None:
    """Sum along z and y apart for each tap of a line and each vector of functions, then along x."""
    pieces = _vectors(2 * count)
    sums: dict[tuple[int, int], Any] = {}
    for line, weight in code.lines():
        factor = code.entry(weight)
        for ix, tap in enumerate(code.taps(line)):
            for first, floats in pieces:
                # What follows are other taps, or at the very last one nothing.
                is_last = weight == 8 and ix == 2
                value = code.load_wide(code.grid, code.onward(tap, first), floats, is_last)
                key = (ix, first)
                sums[key] = code.fused(code.splat(factor, floats), value, sums.get(key))
    for first, floats in pieces:
        total = None
        for ix in range(3):
            total = code.fused(code.splat(code.entry(ALONG_X + ix), floats), sums[ix, first], total)
        code.store(code.conjugated(total), code.values, code.onward(code.at, first))


def _gather_line_code(code: _Code, count: int) -> None:
    """Sum along z and y for each vector of a line; then taps are taken out of it."""
    pieces = _vectors(6 * count)
    sums: list[Any] = [None] * len(pieces)
    for line, weight in code.lines():
        factor = code.entry(weight)
        for i, (first, floats) in enumerate(pieces):
            is_last = weight == 8 and i == len(pieces) - 1
            value = code.load_wide(code.grid, code.onward(line, first), floats, is_last)
            sums[i] = code.fused(code.splat(factor, floats), value, sums[i])
    for first, floats in _vectors(2 * count):
        total = None
        for ix in range(3):
            tap = code.window(sums, 2 * count * ix + first, floats)
            total = code.fused(code.splat(code.entry(ALONG_X + ix), floats), tap, total)
        code.store(code.conjugated(total), code.values, code.onward(code.at, first))


def _scatter_code(code: _Code, count: int) -> None:
    if _is_shorter(count) and 2 * count >= _LANES:
        _either(code, count, _scatter_line_code, _scatter_tap_code)
    else:
        _scatter_tap_code(code, count)


def _scatter_line_code(code: _Code, count: int) -> None:
    """Add to each vector of a line, the values of whose three taps follow one another."""
    own = 2 * count
    head = code.load(code.values, code.at, _LANES)
    tail = code.load(code.values, code.onward(code.at, own - _LANES), _LANES)
    weights = [code.entry(ALONG_X + ix) for ix in range(3)]
    terms: list[Any] = []
    for first, floats in _vectors(3 * own):
        tap, lane = divmod(first, own)
        left = min(floats, own - lane)  # of this tap; the others are of the next
        if left == floats:
            value = code.load(code.values, code.onward(code.at, lane), floats)
            weight = code.splat(weights[tap], floats)
        else:
            value = code.window([tail, head], _LANES - left, floats)
            both = [code.splat(weights[tap + i], _LANES) for i in range(2)]
            weight = code.window(both, _LANES - left, floats)
        terms.append(code.builder.fmul(weight, code.conjugated(value)))
    for line, row in code.lines():
        factor = code.entry(row)
        for term, (first, floats) in zip(terms, _vectors(3 * own), strict=True):
            offset = code.onward(line, first)
            there = code.load(code.grid, offset, floats)
            code.store(code.fused(code.splat(factor, floats), term, there), code.grid, offset)


def _scatter_tap_code(code: _Code, count: int) -> None:
    pieces = _vectors(2 * count)
    terms: dict[tuple[int, int], Any] = {}
    for first, floats in pieces:
        value = code.conjugated(code.load(code.values, code.onward(code.at, first), floats))
        for ix in range(3):
            weight = code.splat(code.entry(ALONG_X + ix), floats)
            terms[ix, first] = code.builder.fmul(weight, value)
    for line, weight in code.lines():
        factor = code.entry(weight)
        for ix, tap in enumerate(code.taps(line)):
            for first, floats in pieces:
                offset = code.onward(tap, first)
                there = code.load(code.grid, offset, floats)
                added = code.fused(code.splat(factor, floats), terms[ix, first], there)
                code.store(added, code.grid, offset)


def _intrinsic(write: Callable[[_Code, int], None]) -> Callable[..., None]:
    """For any number of functions up to `MOST`."""

    @intrinsic  # type: ignore[untyped-decorator]
    def taps(
        typingctx: Any, values: Any, at: Any, count: Any, grid: Any, row: Any, y_step: Any,
        z_step: Any, x_step: Any, table: Any, k: Any,
    ) -> Any:  # fmt: skip
        i64 = types.int64

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            done = builder.append_basic_block("done")
            switch = builder.switch(args[2], done)
            for count in range(1, MOST + 1):
                block = builder.append_basic_block(f"functions.{count}")
                switch.add_case(ir.Constant(_LONG, count), block)
                builder.position_at_end(block)
                write(_Code(context, builder, sig, args), count)
                builder.branch(done)
            builder.position_at_end(done)
            return context.get_dummy_value()

        return types.void(values, i64, i64, grid, i64, i64, i64, i64, table, i64), codegen

    return taps  # type: ignore[no-any-return]


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(typingctx: Any, grid: Any, at: Any) -> Any:
    """Ask for the cache line of one number, soon to be read or added to."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        where = builder.bitcast(builder.gep(data, [args[1]]), _BYTE.as_pointer())
        wanted = ir.FunctionType(ir.VoidType(), [where.type, _INT, _INT, _INT])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [where.type], wanted)
        # to be read, into the first cache, as data
        builder.call(ask, [where, *(ir.Constant(_INT, number) for number in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(grid, types.int64), codegen


gather, scatter = _intrinsic(_gather_code), _intrinsic(_scatter_code)
