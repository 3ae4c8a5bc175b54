from types import SimpleNamespace

import numpy as np
import pytest
import scipy.special

from napari_hypermol import backend
from napari_hypermol.errors import DeviceError


def test_numpy_arrays_stay_with_numpy():
    x = np.ones(3)
    assert backend.array_module(x) is np
    assert backend.array_module([1, 2]) is np
    assert backend.as_numpy(x) is x
    np.testing.assert_array_equal(backend.as_numpy([1, 2]), [1, 2])


class OldDriver:
    """CuPy on a driver that is older than it."""

    class cuda:
        @staticmethod
        def is_available():
            raise RuntimeError("CUDA driver version is insufficient for CUDA runtime version")


def test_driver_that_is_too_old_is_said(monkeypatch):
    monkeypatch.setattr(backend, "cupy", OldDriver())
    assert not backend.is_gpu_available()
    with pytest.warns(UserWarning, match=r"cannot be used .*driver version is insufficient"):
        assert backend.choose_device("auto") == "cpu"
    with pytest.raises(DeviceError, match=r"cannot be used .*driver version is insufficient"):
        backend.choose_device("cuda")


def no_gpu():
    """CuPy on a machine without one."""
    return SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False))


@pytest.mark.parametrize("missing", [None, no_gpu()])
def test_missing_gpu_is_said_where_it_is_asked_for(monkeypatch, missing):
    monkeypatch.setattr(backend, "cupy", missing)
    assert not backend.is_gpu_available()
    assert backend.most_shared_memory() == 96 * 1024
    assert backend.choose_device("auto") == backend.choose_device("cpu") == "cpu"
    with pytest.raises(DeviceError, match="no CUDA device was found"):
        backend.choose_device("cuda")


def test_gpu_is_used_where_there_is_one(cupy):
    assert backend.choose_device("auto") == backend.choose_device("cuda") == "cuda"
    assert backend.choose_device("cpu") == "cpu"
    assert backend.free_device_memory() > 0
    backend.release_device_memory()


def breaks(message):
    def call(*args, **options):
        raise ImportError(message)

    return call


@pytest.mark.parametrize("part", ["compiler", "transforms"])
def test_gpu_that_cannot_be_used_is_left_alone(cupy, monkeypatch, part):
    """CuPy is there, and a GPU, but not the libraries."""
    if part == "compiler":
        monkeypatch.setattr(cupy, "RawModule", breaks("libnvrtc is missing\nand more"))
    else:
        monkeypatch.setattr(cupy.fft, "rfft", breaks("libcufft is missing"))
    with pytest.warns(UserWarning, match=r"cannot be used \(lib\w+ is missing\),.*processors"):
        assert backend.choose_device("auto") == "cpu"
    with pytest.raises(DeviceError, match=r"device cuda: the GPU cannot be used \(lib"):
        backend.choose_device("cuda")
    assert backend.choose_device("cpu") == "cpu"


def test_gpu_that_calculates_wrongly_is_left_alone(cupy, monkeypatch):
    monkeypatch.setattr(backend, "_TRIAL", backend._TRIAL.replace("1.0f", "2.0f"))
    with pytest.warns(UserWarning, match="calculates wrongly"):
        assert backend.choose_device("auto") == "cpu"


def test_there_and_back(cupy, rng):
    values = rng.normal(size=(3, 4)).astype(np.float32)
    there = backend.as_device(values)
    assert backend.array_module(there) is cupy
    np.testing.assert_array_equal(backend.as_numpy(there), values)


def test_unknown_device_is_refused():
    with pytest.raises(DeviceError, match="expected auto, cpu or cuda"):
        backend.choose_device("tpu")


def test_special_functions_of_either_library(cupy, rng):
    x = rng.normal(size=7) * 20
    assert backend.special_functions(x) is scipy.special
    found = backend.special_functions(cupy.asarray(x)).log_ndtr(cupy.asarray(x))
    assert isinstance(found, cupy.ndarray)
    np.testing.assert_allclose(backend.as_numpy(found), scipy.special.log_ndtr(x), rtol=1e-12)


CODE = """
extern "C" __global__ void ramp(float* to, int n, float step)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) to[i] = i * step;
}
"""


@pytest.mark.parametrize("shared_bytes", [0, 64 * 1024])
def test_device_functions(cupy, shared_bytes):
    ramp = backend.device_function(CODE, "ramp", shared_bytes)
    assert backend.device_function(CODE, "ramp", shared_bytes) is ramp  # compiled once
    out = cupy.zeros(100, dtype=np.float32)
    args = (out, np.int32(90), np.float32(0.5))
    ramp((4,), (32,), args, shared_mem=shared_bytes)
    np.testing.assert_array_equal(backend.as_numpy(out), [*np.arange(90) / 2, *[0] * 10])
