"""Which array library and device an array lives on; the only file that imports CuPy.

Code asks `array_module` at the top of a function and then does not care. Moves between devices
happen in `runs` and `plugin` only. There is no global switch.
"""

import warnings
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import scipy.special
from numpy.typing import NDArray

from napari_hypermol.errors import DeviceError

try:
    import cupy
    from cupyx.scipy import special as cupy_special
except ImportError:  # the `gpu` extra is not installed: everything runs on the CPU
    cupy = cupy_special = None

__all__ = [
    "DEVICE_OUT_OF_MEMORY",
    "CopyStream",
    "WorkStream",
    "array_module",
    "as_device",
    "as_numpy",
    "choose_device",
    "device_bytes",
    "device_function",
    "device_module",
    "free_device_memory",
    "is_gpu_available",
    "most_shared_memory",
    "page_locked",
    "ready",
    "release_device_memory",
    "special_functions",
]

# What running out of memory on the device raises; nothing without CuPy.
DEVICE_OUT_OF_MEMORY: tuple[type[Exception], ...] = (
    () if cupy is None else (cupy.cuda.memory.OutOfMemoryError,)
)
# [bytes] of shared memory a block of threads has without asking for more, on every CUDA device.
SHARED_MEMORY = 48 * 1024
_MOST_SHARED = 96 * 1024  # [bytes] that more than one block of threads can have at a time
_SHARED_IF_ASKED = 97  # cudaDevAttrMaxSharedMemoryPerBlockOptin


def is_gpu_available() -> bool:
    """Whether CuPy is installed and sees a CUDA device."""
    try:
        return cupy is not None and bool(cupy.cuda.is_available())
    except RuntimeError:  # a driver that is older than CuPy, or broken
        return False


def choose_device(device: str) -> str:
    """The device a run will use.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        "auto": a GPU where CuPy sees one.

    Returns
    -------
    str
        "cpu" or "cuda".

    Raises
    ------
    DeviceError
        If "cuda" is asked for and there is none, or none that works.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise DeviceError(f"device {device!r}: expected auto, cpu or cuda")
    if device == "cpu" or (device == "auto" and cupy is None):
        return "cpu"
    trouble = "" if cupy is None else _gpu_trouble()
    if trouble and device == "auto":
        warnings.warn(
            f"the GPU cannot be used ({trouble}), so the processors do the work; libraries that "
            "are missing come with napari-hypermol[gpu]",
            stacklevel=2,
        )
    elif trouble:
        raise DeviceError(
            f"device cuda: the GPU cannot be used ({trouble}); install napari-hypermol[gpu] if a "
            "library is missing, or use --device cpu"
        )
    if trouble or not is_gpu_available():
        if device == "auto":
            return "cpu"
        raise DeviceError(
            "device cuda: no CUDA device was found; install napari-hypermol[gpu] on a machine "
            "with one, or use --device cpu"
        )
    return "cuda"


_TRIAL = """
extern "C" __global__ void trial(float* x) { x[threadIdx.x] = 1.0f; }
"""


def _gpu_trouble() -> str:
    """What goes wrong when a GPU is used; empty if nothing does, or there is none.

    CuPy alone comes without the compiler and the libraries that it calls, and it may be newer than
    the driver.
    """
    try:
        if not cupy.cuda.is_available():
            return ""
        x = cupy.zeros((4, 4), dtype=np.float32)
        device_function(_TRIAL, "trial")((1,), (16,), (x,))
        product = cupy.fft.rfft(x @ x, axis=-1)
        is_right = bool((as_numpy(product)[:, 0] == 16).all())
    except Exception as problem:  # of the driver, a library that is missing, a compiler
        return str(problem).strip().partition("\n")[0] or type(problem).__name__
    return "" if is_right else "it calculates wrongly"


def array_module(x: Any) -> ModuleType:
    """NumPy or CuPy, whichever `x` belongs to."""
    if cupy is not None and isinstance(x, cupy.ndarray):
        return cupy  # type: ignore[no-any-return]
    return np


def special_functions(x: Any) -> Any:
    """SciPy's special functions, or CuPy's, for the library of `x`."""
    return scipy.special if array_module(x) is np else cupy_special


def as_device(x: Any) -> Any:
    """`x` as an array on the device."""
    return cupy.asarray(x)


def free_device_memory() -> int:
    """Memory on the device that nothing uses [bytes], with what CuPy keeps for later."""
    free, _ = cupy.cuda.runtime.memGetInfo()
    return int(free + cupy.get_default_memory_pool().free_bytes())


def most_shared_memory() -> int:
    """Shared memory that a block of threads may ask for [bytes]."""
    if not is_gpu_available():
        return _MOST_SHARED
    runtime = cupy.cuda.runtime
    allowed = runtime.deviceGetAttribute(_SHARED_IF_ASKED, runtime.getDevice())
    return min(_MOST_SHARED, int(allowed))


def release_device_memory() -> None:
    """Give back what CuPy keeps for later, so that it can be had in larger pieces."""
    cupy.fft.config.get_plan_cache().clear()  # plans keep their work areas
    cupy.get_default_memory_pool().free_all_blocks()


def device_bytes(n: int) -> Any:
    """Memory on the device, not filled; (n,) uint8 array."""
    return cupy.empty(n, dtype=cupy.uint8)


def page_locked(n: int) -> NDArray[np.uint8]:
    """Main memory from which the device copies while both go on with other things; (n,)."""
    return np.frombuffer(cupy.cuda.alloc_pinned_memory(n), np.uint8, n)


class WorkStream:
    """The work that this thread gives to the device, as copies beside it see it."""

    def __init__(self) -> None:
        self._stream = cupy.cuda.get_current_stream()

    def mark(self) -> Any:
        """An event: all work given so far is done."""
        return self._stream.record()

    def after(self, event: Any) -> None:
        """Work that is given from now on begins after an event."""
        self._stream.wait_event(event)


class CopyStream:
    """Copies to the device, one after the other, beside the work on it."""

    def __init__(self) -> None:
        self._stream = cupy.cuda.Stream(non_blocking=True)

    def copy(self, source: NDArray[Any], target: Any) -> None:
        """Give a copy to be done; `source` is `page_locked` and must stay as it is until it is."""
        target.set(source, stream=self._stream)

    def mark(self) -> Any:
        """An event: all copies given so far are done."""
        return self._stream.record()

    def after(self, event: Any) -> None:
        """Copies that are given from now on begin after an event."""
        self._stream.wait_event(event)

    def finish(self) -> None:
        """Wait for all of them."""
        self._stream.synchronize()


def as_numpy(x: Any) -> Any:
    """`x` as a NumPy array in main memory."""
    if cupy is not None and isinstance(x, cupy.ndarray):
        return cupy.asnumpy(x)
    return np.asarray(x)


def ready(xp: ModuleType, array: Any, dtype: Any = np.float32) -> Any:
    """An array of the library `xp` in C order, of the type that device code reads."""
    return xp.ascontiguousarray(xp.asarray(array), dtype=dtype)


@lru_cache(maxsize=64)
def device_module(source: str) -> Any:
    """Compiled once for all of its functions, which takes seconds."""
    return cupy.RawModule(code=source, options=("-std=c++17",))


@lru_cache(maxsize=64)
def device_function(source: str, name: str, shared_bytes: int = 0) -> Callable[..., None]:
    """A function of CUDA C++ code, compiled when it is first called.

    Parameters
    ----------
    source : str
        The code, in which the function is extern "C".
    name : str
    shared_bytes : int
        Shared memory of a block of threads that it will be called with.

    Returns
    -------
    callable
        ``(grid, block, args, shared_mem=...)`` starts it, as `cupy.RawKernel` does; args are CuPy
        arrays and NumPy scalars of exactly the types in the code.
    """
    function = device_module(source).get_function(name)
    if shared_bytes > max(SHARED_MEMORY, function.max_dynamic_shared_size_bytes):
        function.max_dynamic_shared_size_bytes = shared_bytes
    return function  # type: ignore[no-any-return]
