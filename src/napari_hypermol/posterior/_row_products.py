"""Products of one particle's slices with one another and with its image, in vector registers.

Slices lie row by row, a sample's functions side by side, re and im; a tile is four functions of
every row. `tile_products` sums products of a tile with other functions and with the image over all
samples, `tile_mixture` leaves a linear combination of the functions for every sample. Rows stay as
they were sliced, and what is summed stays in registers. A tile may reach past the functions, into
the next row or past the last: arrays have `SLACK` more floats, and lanes that are too many are
zero, not asked for, or written anew by the tile that owns them.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

__all__ = ["MOST", "SLACK", "TILE", "tile_mixture", "tile_products", "tile_residual"]

TILE = 4  # functions
SLACK = 2 * TILE  # floats that arrays of rows must have behind the last row
MOST = 12  # functions at once that a tile is multiplied by: with it they fill sixteen registers
_LANES = 2 * TILE
_TOGETHER = 4  # samples that are mixed at once, so that the matrix is read once for all of them

_FLOAT = ir.FloatType()
_INT = ir.IntType(32)
_LONG = ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, _LANES)
_PAIR = ir.VectorType(_FLOAT, 2)
_FREE = ("contract", "reassoc", "nsz")  # fused operations, sums in any order


def _void(*kinds: Any) -> Any:
    """The signature of these; arrays of any other order would be read wrongly."""
    for kind in kinds:
        if isinstance(kind, types.Array) and (kind.layout != "C" or kind.dtype != types.float32):
            raise TypingError(f"expected float32 in C order, got {kind}")
    return types.void(*kinds)


class _Code:
    """Writes instructions on arrays of floats, by their names."""

    def __init__(self, context: Any, builder: Any, sig: Any, args: Any, names: list[str]) -> None:
        self.builder = builder
        self.data: dict[str, Any] = {}
        for name, kind, value in zip(names, sig.args, args, strict=True):
            is_array = isinstance(kind, types.Array)
            array = context.make_array(kind)(context, builder, value).data if is_array else value
            self.data[name] = array

    def __getitem__(self, name: str) -> Any:
        return self.data[name]

    def at(self, name: str, offset: Any, kind: Any = _FLOAT) -> Any:
        where = self.builder.gep(self.data[name], [offset])
        return self.builder.bitcast(where, kind.as_pointer())

    def load(self, name: str, offset: Any, kind: Any = _VECTOR) -> Any:
        return self.builder.load(self.at(name, offset, kind), align=4)

    def store(self, value: Any, name: str, offset: Any) -> None:
        self.builder.store(value, self.at(name, offset, value.type), align=4)

    def spread(self, vector: Any) -> Any:
        """One number, or re and im of one, in all lanes."""
        if vector.type == _FLOAT:
            one = ir.VectorType(_FLOAT, 1)
            vector = self.builder.insert_element(
                ir.Constant(one, ir.Undefined), vector, ir.Constant(_INT, 0)
            )
        return self.lanes(vector, [i % vector.type.count for i in range(_LANES)])

    def lanes(self, vector: Any, which: Any) -> Any:
        which = list(which)
        mask = ir.Constant(ir.VectorType(_INT, len(which)), which)
        return self.builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)

    def pixel(self, k: Any) -> Any:
        """D of a sample, in all lanes; `data` (2, k) has re and im apart."""
        pair = ir.Constant(_PAIR, ir.Undefined)
        first = self.plus(self.times(self["i"], self.times(self["n_samples"], 2)), k)
        for i, offset in enumerate((first, self.plus(first, self["n_samples"]))):
            part = self.load("data", offset, _FLOAT)
            pair = self.builder.insert_element(pair, part, ir.Constant(_INT, i))
        return self.spread(pair)

    def weight(self, k: Any) -> Any:
        """W of a sample, in all lanes."""
        offset = self.plus(self.times(self["i"], self["n_samples"]), k)
        return self.spread(self.load("weights", offset, _FLOAT))

    def plus(self, a: Any, b: Any) -> Any:
        return self.builder.add(a, b if isinstance(b, ir.Value) else ir.Constant(_LONG, b))

    def times(self, a: Any, b: Any) -> Any:
        return self.builder.mul(a, b if isinstance(b, ir.Value) else ir.Constant(_LONG, b))

    def product(self, a: Any, b: Any) -> Any:
        return self.builder.fmul(a, b, flags=_FREE)

    def add(self, where: Any, a: Any, b: Any) -> None:
        """Add a b to a sum."""
        value = self.builder.fadd(self.builder.load(where), self.product(a, b), flags=_FREE)
        self.builder.store(value, where)

    def sums(self, count: int) -> list[Any]:
        """Sums, zero, that will be registers."""
        found = []
        for _ in range(count):
            where = cgutils.alloca_once(self.builder, _VECTOR)
            self.builder.store(ir.Constant(_VECTOR, [0.0] * _LANES), where)
            found.append(where)
        return found


def _products_code(code: _Code, count: int) -> None:
    builder, stride, twice = code.builder, code["stride"], code.times(code["p"], 2)
    sums = code.sums(count + 1)
    tile_at = code.times(code["q"], 2)
    with cgutils.for_range(builder, code["n_samples"]) as loop:
        k = loop.index
        row = code.times(k, stride)
        tile = code.load("rows", code.plus(row, tile_at))
        weighted = code.product(tile, code.weight(k))
        other = code.plus(row, twice)
        for i in range(count):
            value = code.load("rows", code.plus(other, 2 * i), _PAIR)
            code.add(sums[i], code.spread(value), weighted)
        code.add(sums[count], code.pixel(k), tile)
    for i, where in enumerate(sums):
        total = builder.load(where)
        parts = [code.lanes(total, range(part, _LANES, 2)) for part in range(2)]  # re, im
        code.store(builder.fadd(*parts, flags=_FREE), "out", ir.Constant(_LONG, TILE * i))


@intrinsic  # type: ignore[untyped-decorator]
def tile_products(
    typingctx: Any, rows: Any, stride: Any, q: Any, p: Any, count: Any, i: Any, weights: Any,
    data: Any, n_samples: Any, out: Any,
) -> Any:  # fmt: skip
    """Sums over samples of Re conj(W A_(p + 0, 1, ...)) A_(q + j), and of Re conj(D) A_(q + j).

    `rows` have floats in rows of `stride`; W and D are those of particle `i` in `weights` (n, k)
    and `data` (n, 2, k). Left in `out` (count + 1, 4), one by one and D last; `count` is `MOST`
    at most, and j below `TILE`.
    """
    names = ["rows", "stride", "q", "p", "count", "i", "weights", "data", "n_samples", "out"]
    i64 = types.int64

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        done = builder.append_basic_block("done")
        switch = builder.switch(args[4], done)
        for count in range(1, MOST + 1):
            block = builder.append_basic_block(f"functions.{count}")
            switch.add_case(ir.Constant(_LONG, count), block)
            builder.position_at_end(block)
            _products_code(_Code(context, builder, sig, args, names), count)
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return _void(rows, i64, i64, i64, i64, i64, weights, data, i64, out), codegen


def _mixture_code(code: _Code, together: int, first: Any, is_residual: bool) -> Any:
    """From sample `first` on, as long as there are `together`; the first that is left."""
    builder, stride, tile_at = code.builder, code["stride"], code.times(code["q"], 2)
    where_k = cgutils.alloca_once(builder, _LONG)
    builder.store(first, where_k)
    begin, body, end = (builder.append_basic_block(name) for name in ("begin", "body", "end"))
    builder.branch(begin)
    builder.position_at_end(begin)
    k = builder.load(where_k)
    is_inside = builder.icmp_signed("<=", code.plus(k, together), code["n_samples"])
    builder.cbranch(is_inside, body, end)
    builder.position_at_end(body)
    sums = code.sums(together)
    samples = [code.plus(k, i) for i in range(together)]
    row_starts = [code.times(sample, stride) for sample in samples]
    with cgutils.for_range(builder, code["n_functions"]) as loop:
        factors = code.load("matrix", code.plus(code.times(loop.index, code["width"]), tile_at))
        value_at = code.times(loop.index, 2)
        for row, where in zip(row_starts, sums, strict=True):
            value = code.load("rows", code.plus(row, value_at), _PAIR)
            code.add(where, code.spread(value), factors)
    for sample, row, where in zip(samples, row_starts, sums, strict=True):
        at = code.plus(row, tile_at)
        mixed = code.product(builder.load(where), code.weight(sample))
        if is_residual:
            expected = code.product(code.pixel(sample), code.load("first", tile_at))
            mixed = builder.fsub(expected, mixed, flags=_FREE)
            both = builder.fadd(expected, mixed, flags=_FREE)
            terms = code.product(code.load("rows", at), both)
            total = _lanes_summed(builder, terms, code.load("explained", sample, _FLOAT))
            code.store(total, "explained", sample)
        code.store(mixed, "out", at)
    builder.store(code.plus(k, together), where_k)
    builder.branch(begin)
    builder.position_at_end(end)
    return builder.load(where_k)


def _lanes_summed(builder: Any, vector: Any, start: Any) -> Any:
    kind = ir.FunctionType(_FLOAT, [_FLOAT, _VECTOR])
    name = f"llvm.vector.reduce.fadd.v{_LANES}f32"
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, [start, vector], fastmath=_FREE)


def _mixture(is_residual: bool) -> Callable[..., None]:
    names = ["rows", "stride", "q", "matrix", "width", "n_functions", "i", "weights", "n_samples"]
    names += ["out"]
    if is_residual:
        names += ["data", "first", "explained"]

    def written(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        code = _Code(context, builder, sig, args, names)
        left = _mixture_code(code, _TOGETHER, ir.Constant(_LONG, 0), is_residual)
        _mixture_code(code, 1, left, is_residual)
        return context.get_dummy_value()

    i64 = types.int64
    if is_residual:

        @intrinsic  # type: ignore[untyped-decorator]
        def mixture(
            typingctx: Any, rows: Any, stride: Any, q: Any, matrix: Any, width: Any,
            n_functions: Any, i: Any, weights: Any, n_samples: Any, out: Any, data: Any,
            first: Any, explained: Any,
        ) -> Any:  # fmt: skip
            given = rows, i64, i64, matrix, i64, i64, i64, weights, i64, out, data, first, explained
            return _void(*given), written
    else:

        @intrinsic  # type: ignore[untyped-decorator]
        def mixture(
            typingctx: Any, rows: Any, stride: Any, q: Any, matrix: Any, width: Any,
            n_functions: Any, i: Any, weights: Any, n_samples: Any, out: Any,
        ) -> Any:  # fmt: skip
            return _void(rows, i64, i64, matrix, i64, i64, i64, weights, i64, out), written

    return mixture  # type: ignore[no-any-return]


# tile_mixture(rows, stride, q, matrix, width, n_functions, i, weights, n_samples, out) leaves
# W sum_p A_p matrix_pq in a tile of `out`, rows laid out as `rows` (k, q) but another array, p over
# the functions; `matrix` (p, width) has every number for re and im, and zeros behind, as many as
# the last tile reaches past the functions. tile_residual(..., data, first, explained) leaves
# D first_q less that, and adds to `explained` (k) what the tile has in 2 Re conj(A) D first -
# Re conj(A) W A matrix. Tiles must go from the last to the first, since one that reaches into the
# next row leaves zeros there; what lies in the slack of `rows` must be finite.
tile_mixture, tile_residual = _mixture(False), _mixture(True)
