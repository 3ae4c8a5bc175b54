"""A device that is none: CuPy's manners, kept strictly, over main memory.

`PretendArray` refuses what CuPy refuses, silent moves between NumPy and the device, and some more:
NumPy's functions and NumPy's arrays as indices, which CuPy takes here and there. `PretendCupy`
stands for the module `cupy` and has only the functions that are listed. Memory is filled with NaN
before use and guarded on both sides. CUDA C++ runs through `compiled`.

Not here: anything that makes it fast.
"""

import ctypes
import operator
import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.special

from cuda_on_cpu import compiled

_GUARD = 256  # [bytes]; a multiple of the alignment that CuPy promises
_MARK = 0xA5  # of guards; four of them are a number, so that additions to them show
# Functions of arrays that CuPy has under the same names. Only what the project uses.
FUNCTIONS = (
    "abs", "angle", "arange", "arcsin", "arctan2", "clip", "concatenate", "conj", "cos", "einsum",
    "exp", "flatnonzero", "ix_", "log", "maximum", "minimum", "moveaxis", "ones", "ones_like",
    "roll", "sin", "sqrt", "stack", "take_along_axis", "where", "zeros_like",
)  # fmt: skip
SPECIAL = ("log_ndtr",)
FFTS = (
    "fft", "fftshift", "ifft", "ifftshift", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftn",
)  # fmt: skip
TYPES = ("bool_", "complex64", "float32", "float64", "int32", "int64", "uint8", "pi", "inf")
METHODS = (
    "all", "any", "argmax", "astype", "conj", "copy", "max", "mean", "min", "ravel", "reshape",
    "sum", "transpose", "view",
)  # fmt: skip
PROPERTIES = ("T", "imag", "real")
_OPERATORS = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "lt", "le",
    "gt", "ge", "eq", "ne",
)  # fmt: skip


def _refuse(what: Any) -> TypeError:
    return TypeError(f"{what}: this array is on the device; say asarray or as_numpy")


def _host(value: Any) -> Any:
    """What a function of the device may be given, as NumPy sees it."""
    if isinstance(value, PretendArray):
        return value.host
    if isinstance(value, np.ndarray):
        raise _refuse("a NumPy array among the arguments")
    if isinstance(value, (list, tuple)):
        return type(value)(_host(item) for item in value)
    return value


def _device(value: Any) -> Any:
    """A result of NumPy, on the device; CuPy has arrays of no dimension where NumPy has scalars."""
    if isinstance(value, tuple):
        return tuple(_device(item) for item in value)
    return PretendArray(np.asarray(value)) if isinstance(value, (np.ndarray, np.generic)) else value


def _allocate(shape: Any, dtype: Any) -> np.ndarray:
    """Memory full of NaN, with guards on both sides."""
    dtype = np.dtype(dtype)
    n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    storage = np.full(n_bytes + 3 * _GUARD, _MARK, dtype=np.uint8)
    begin = _GUARD + (-storage.ctypes.data) % _GUARD
    storage[begin : begin + n_bytes] = 0xFF
    return storage[begin : begin + n_bytes].view(dtype).reshape(shape)


def _allocate_like(host: np.ndarray) -> np.ndarray:
    """Memory for a copy whose axes lie in memory as those of `host` do, as CuPy's copies do."""
    order = np.argsort([-abs(stride) for stride in host.strides], kind="stable")
    own = _allocate([host.shape[axis] for axis in order], host.dtype)
    return own.transpose(np.argsort(order))


class PretendArray:
    """An array on the device."""

    __array_ufunc__ = None  # NumPy's functions and operators leave it alone

    def __init__(self, host: np.ndarray, owner: "PretendArray | None" = None) -> None:
        if owner is None:
            own = _allocate_like(host)
            own[...] = host
            self.host, self.storage = own, own
        else:
            self.host, self.storage = host, owner.storage

    # what is known without looking at the values
    shape = property(lambda self: self.host.shape)
    dtype = property(lambda self: self.host.dtype)
    ndim = property(lambda self: self.host.ndim)
    size = property(lambda self: self.host.size)
    nbytes = property(lambda self: self.host.nbytes)
    data = property(lambda self: SimpleNamespace(ptr=self.host.ctypes.data))

    def __len__(self) -> int:
        return len(self.host)

    def __bool__(self) -> bool:
        return bool(self.host)

    def __float__(self) -> float:
        return float(self.host)

    def __int__(self) -> int:
        return int(self.host)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def get(self) -> np.ndarray:
        return self.host.copy()

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise _refuse("conversion to a NumPy array")

    def __array_function__(self, function: Any, *args: Any) -> Any:
        raise _refuse(f"numpy.{function.__name__}")

    def set(self, value: np.ndarray, stream: "PretendStream") -> None:
        """A copy that is done when it must be, and reads what is in `value` by then."""
        if not isinstance(value, np.ndarray) or (value.shape, value.dtype) != (
            self.shape,
            self.dtype,
        ):
            raise TypeError("set: an array of NumPy of the same shape and type")
        if not (value.flags.c_contiguous and self.host.flags.c_contiguous):
            raise compiled.DeviceTrouble("set: arrays with gaps")
        stream.give(self.host, value)

    def __getitem__(self, index: Any) -> Any:
        found = self.host[_host(index)]
        is_view = isinstance(found, np.ndarray) and np.may_share_memory(found, self.host)
        return PretendArray(found, owner=self) if is_view else _device(found)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.host[_host(index)] = _host(value)

    def __neg__(self) -> Any:
        return _device(-self.host)

    def __invert__(self) -> Any:
        return _device(~self.host)

    __hash__ = None  # type: ignore[assignment]


def _method(name: str) -> Callable[..., Any]:
    def method(self: PretendArray, *args: Any, **kwargs: Any) -> Any:
        kwargs = {key: _host(value) for key, value in kwargs.items()}
        found = getattr(self.host, name)(*map(_host, args), **kwargs)
        if name in ("reshape", "view", "transpose") and np.may_share_memory(found, self.host):
            return PretendArray(found, owner=self)
        return _device(found)

    return method


def _operator(name: str, is_reflected: bool) -> Callable[..., Any]:
    function = getattr(operator, f"__{name}__")

    def method(self: PretendArray, other: Any) -> Any:
        other = _host(other)
        return _device(function(other, self.host) if is_reflected else function(self.host, other))

    return method


def _in_place(name: str) -> Callable[..., Any]:
    function = getattr(operator, f"__i{name}__")

    def method(self: PretendArray, other: Any) -> Any:
        self.host = function(self.host, _host(other))
        return self

    return method


for _name in METHODS:
    setattr(PretendArray, _name, _method(_name))
for _name in PROPERTIES:
    setattr(
        PretendArray,
        _name,
        property(lambda self, name=_name: PretendArray(getattr(self.host, name), owner=self)),
    )
for _name in _OPERATORS:
    setattr(PretendArray, f"__{_name}__", _operator(_name, False))
    if _name not in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(PretendArray, f"__r{_name}__", _operator(_name, True))
        setattr(PretendArray, f"__i{_name}__", _in_place(_name))


class PretendEvent:
    """A moment of a stream."""

    def __init__(self, stream: "PretendStream") -> None:
        self.stream, self.position = stream, stream.given

    def synchronize(self) -> None:
        self.stream.do(self.position)


class PretendStream:
    """Copies that are put off for as long as nobody waits for them, or done at once if `is_eager`.

    Work of the device is done at once, so that events of its stream are always past.
    """

    is_eager = False

    def __init__(self, non_blocking: bool = False) -> None:
        self.is_beside = non_blocking
        self.given = self.done = 0
        self._copies: list[tuple[np.ndarray, np.ndarray]] = []
        self.log: list[tuple[Any, ...]] = []  # what was given and waited for
        self._one_at_a_time = threading.Lock()

    def give(self, target: np.ndarray, source: np.ndarray) -> None:
        if not self.is_beside:
            raise compiled.DeviceTrouble("a copy that was not to hold up the device's work does")
        self.log.append(("copy", target.ctypes.data, target.nbytes))
        self._copies.append((target, source))
        self.given += 1
        if self.is_eager:
            self.do(self.given)

    def do(self, until: int) -> None:
        with self._one_at_a_time:
            for target, source in self._copies[self.done : until]:
                target[...] = source
            self.done = max(self.done, until)

    def record(self) -> PretendEvent:
        if not self.is_beside:
            self.given = self.done = self.given + 1
        return PretendEvent(self)

    def wait_event(self, event: PretendEvent) -> None:
        self.log.append(("wait", event.stream, event.position))
        event.synchronize()

    def synchronize(self) -> None:
        self.do(self.given)


class PretendFunction:
    """A function of CUDA C++ code, started as CuPy starts it."""

    def __init__(self, functions: Any, name: str, traffic: dict[str, compiled.Traffic]) -> None:
        self._functions, self._name, self.traffic = functions, name, traffic
        self.max_dynamic_shared_size_bytes = 48 * 1024
        self.is_backwards = False

    def __call__(
        self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], *, shared_mem: int = 0
    ) -> None:
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise compiled.DeviceTrouble("more shared memory than the function was promised")
        arrays = [arg for arg in args if isinstance(arg, PretendArray) and arg.size]
        given = [self._given(arg) for arg in args]
        self.traffic[self._name] = compiled.launch(
            self._functions, self._name, grid, *block, given, shared_mem, self.is_backwards
        )
        for array in arrays:
            guards = np.concatenate([edge.ravel() for edge in _guards(array.storage)])
            if not (guards == _MARK).all():
                raise compiled.DeviceTrouble(f"{self._name} wrote beyond an array")

    def _given(self, arg: Any) -> np.ndarray | np.generic:
        if isinstance(arg, PretendArray):
            if not arg.host.flags.c_contiguous:
                raise compiled.DeviceTrouble(f"{self._name} is given an array with gaps")
            return arg.host
        if isinstance(arg, np.generic):
            return arg
        raise TypeError(f"{self._name}: {type(arg).__name__} has no definite type on the device")


def _guards(own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bytes before and after an array of `_allocate`."""
    before = (ctypes.c_uint8 * _GUARD).from_address(own.ctypes.data - _GUARD)
    after = (ctypes.c_uint8 * _GUARD).from_address(own.ctypes.data + own.nbytes)
    return np.frombuffer(before, np.uint8), np.frombuffer(after, np.uint8)


class PretendCupy:
    """Stands for the module `cupy`."""

    ndarray = PretendArray
    definitions: tuple[str, ...] = ()  # for the compiler
    is_backwards = False  # in which order threads take their turns
    edit = staticmethod(lambda code: code)  # to break the code on purpose

    def __init__(self) -> None:
        self.traffic: dict[str, compiled.Traffic] = {}  # of each function's latest launch
        runtime = SimpleNamespace(
            memGetInfo=lambda: (2**30, 2**31),
            getDevice=lambda: 0,
            deviceGetAttribute=lambda which, device: 2**17,
        )
        self.cuda = SimpleNamespace(is_available=lambda: True, runtime=runtime)
        work = PretendStream()
        self.cuda.get_current_stream = lambda: work
        self.cuda.Device = lambda: SimpleNamespace(synchronize=work.synchronize)
        self.streams: list[PretendStream] = []  # all others
        self.cuda.Stream = self._stream
        self.cuda.alloc_pinned_memory = lambda n: np.full(n, _MARK, dtype=np.uint8)
        pool = SimpleNamespace(free_bytes=lambda: 0, free_all_blocks=lambda: None)
        self.get_default_memory_pool = lambda: pool
        self.fft = SimpleNamespace(**{name: self._wrap(np.fft, name) for name in FFTS})
        plans = SimpleNamespace(clear=lambda: None)
        self.fft.config = SimpleNamespace(get_plan_cache=lambda: plans)
        for name in FUNCTIONS:
            setattr(self, name, self._wrap(np, name))
        # stands for cupyx.scipy.special
        self.special = SimpleNamespace(**{f: self._wrap(scipy.special, f) for f in SPECIAL})
        self.add = self._wrap(np, "add")
        self.add.at = self._wrap(np.add, "at")  # type: ignore[attr-defined]
        self.add.reduceat = self._wrap(np.add, "reduceat")  # type: ignore[attr-defined]
        for name in TYPES:
            setattr(self, name, getattr(np, name))

    def _stream(self, non_blocking: bool = False) -> PretendStream:
        self.streams.append(PretendStream(non_blocking))
        return self.streams[-1]

    @staticmethod
    def _wrap(module: Any, name: str) -> Callable[..., Any]:
        function = getattr(module, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            kwargs = {key: _host(value) for key, value in kwargs.items()}
            return _device(function(*map(_host, args), **kwargs))

        return wrapped

    # moves between main memory and the device
    def asarray(self, value: Any, dtype: Any = None) -> PretendArray:
        if isinstance(value, PretendArray):
            is_same = dtype is None or value.dtype == dtype
            return value if is_same else PretendArray(value.host.astype(dtype))
        return PretendArray(np.asarray(value, dtype=dtype))

    def array(self, value: Any, dtype: Any = None) -> PretendArray:
        return PretendArray(np.asarray(getattr(value, "host", value), dtype=dtype))

    def asnumpy(self, value: Any) -> np.ndarray:
        return value.get() if isinstance(value, PretendArray) else np.asarray(value)

    def ascontiguousarray(self, value: Any, dtype: Any = None) -> PretendArray:
        host = _host(value)
        if not isinstance(value, PretendArray):
            raise TypeError("ascontiguousarray: not an array of the device")
        is_ready = host.flags.c_contiguous and (dtype is None or host.dtype == dtype)
        return value if is_ready else PretendArray(np.ascontiguousarray(host, dtype=dtype))

    # memory
    def empty(self, shape: Any, dtype: Any = float) -> PretendArray:
        host = _allocate(shape, dtype)
        array = PretendArray.__new__(PretendArray)
        array.host = array.storage = host
        return array

    def zeros(self, shape: Any, dtype: Any = float) -> PretendArray:
        array = self.empty(shape, dtype)
        array.host[...] = 0
        return array

    # code
    def RawModule(self, *, code: str, options: Sequence[str] = ()) -> Any:
        if not all(option.startswith(("-D", "-std=")) for option in options):
            raise compiled.DeviceTrouble(f"options that NVRTC may not know: {options}")
        if compiled.WHY_NOT:
            pytest.skip(compiled.WHY_NOT)
        functions = compiled.functions_of(self.edit(code), self.definitions)

        def get_function(name: str) -> PretendFunction:
            function = PretendFunction(functions, name, self.traffic)
            function.is_backwards = self.is_backwards
            return function

        return SimpleNamespace(get_function=get_function)
