import numpy as np
import pytest

from napari_hypermol import backend
from napari_hypermol.errors import DeviceError


def test_numpy_arrays_stay_with_numpy():
    x = np.ones(3)
    assert backend.array_module(x) is np
    assert backend.array_module([1, 2]) is np
    assert backend.as_numpy(x) is x
    np.testing.assert_array_equal(backend.as_numpy([1, 2]), [1, 2])


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_cpu_is_always_there(device):
    assert backend.choose_device(device) == "cpu"


def test_missing_gpu_is_said(monkeypatch):
    monkeypatch.setattr(backend, "cupy", None)
    assert not backend.is_gpu_available()
    with pytest.raises(DeviceError, match="no CUDA device was found"):
        backend.choose_device("cuda")


def test_gpu_that_is_not_used_yet_is_said(monkeypatch):
    monkeypatch.setattr(backend, "is_gpu_available", lambda: True)
    with pytest.raises(DeviceError, match="runs on the CPU so far"):
        backend.choose_device("cuda")


def test_unknown_device_is_refused():
    with pytest.raises(DeviceError, match="expected auto, cpu or cuda"):
        backend.choose_device("tpu")
