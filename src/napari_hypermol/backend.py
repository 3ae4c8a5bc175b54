"""Which array library and device an array lives on; the only file that imports CuPy.

Code asks `array_module` at the top of a function and then does not care. Moves between devices
happen in `runs` and `plugin` only. There is no global switch.
"""

from types import ModuleType
from typing import Any

import numpy as np

from napari_hypermol.errors import DeviceError

try:
    import cupy
except ImportError:  # the `gpu` extra is not installed: everything runs on the CPU
    cupy = None

__all__ = ["array_module", "as_numpy", "choose_device", "is_gpu_available"]


def is_gpu_available() -> bool:
    """Whether CuPy is installed and sees a CUDA device."""
    return cupy is not None and bool(cupy.cuda.is_available())


def choose_device(device: str) -> str:
    """The device a run will use.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}

    Returns
    -------
    str
        "cpu" or "cuda".

    Raises
    ------
    DeviceError
        If "cuda" is asked for and there is none.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise DeviceError(f"device {device!r}: expected auto, cpu or cuda")
    if device == "cuda":
        if not is_gpu_available():
            raise DeviceError(
                "device cuda: no CUDA device was found; install napari-hypermol[gpu] on a machine "
                "with one, or use --device cpu"
            )
        # Slices on the GPU come with their own kernels; until then say so instead of pretending.
        raise DeviceError("device cuda: reconstruction runs on the CPU so far; use --device cpu")
    return "cpu"


def array_module(x: Any) -> ModuleType:
    """NumPy or CuPy, whichever `x` belongs to."""
    if cupy is not None and isinstance(x, cupy.ndarray):
        return cupy  # type: ignore[no-any-return]
    return np


def as_numpy(x: Any) -> Any:
    """`x` as a NumPy array in main memory."""
    if cupy is not None and isinstance(x, cupy.ndarray):
        return cupy.asnumpy(x)
    return np.asarray(x)
