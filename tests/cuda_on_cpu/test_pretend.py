"""The pretended device must refuse what a real one refuses, or it proves nothing."""

import importlib

import numpy as np
import pytest

from cuda_on_cpu import compiled, pretend
from napari_hypermol import backend
from napari_hypermol.coordinates.grids import fourier_samples

CODE = """
extern "C" __global__ void fill(float* to, int n, float value)
{
    if (threadIdx.x < n) to[threadIdx.x] = value;
}
"""


@pytest.fixture
def xp(monkeypatch):
    monkeypatch.setattr(backend, "cupy", pretend.PretendCupy())
    return backend.cupy


@pytest.fixture
def x(xp):
    return xp.asarray(np.arange(6.0).reshape(2, 3))


def test_it_is_taken_for_cupy(xp, x):
    assert backend.array_module(x) is xp
    assert backend.array_module(np.ones(2)) is np
    np.testing.assert_array_equal(backend.as_numpy(x), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    "mix",
    [
        lambda xp, x: np.asarray(x),
        lambda xp, x: np.array(x),
        lambda xp, x: np.sin(x),
        lambda xp, x: np.where(x > 1, 1, 0),
        lambda xp, x: np.stack([x, x]),
        lambda xp, x: np.ones((2, 3)) + x,
        lambda xp, x: x * np.ones((2, 3)),
        lambda xp, x: x @ np.ones(3),
        lambda xp, x: np.ones(3) @ x.T,
        lambda xp, x: x > np.ones(3),
        lambda xp, x: x[np.array([0, 1])],
        lambda xp, x: x[:, [0, 1]] + np.ones(2),
        lambda xp, x: x.__setitem__(slice(0, 1), np.ones(3)),
        lambda xp, x: np.ones((2, 3)).__iadd__(x),
        lambda xp, x: x.__iadd__(np.ones(3)),
        lambda xp, x: np.ones((2, 3)).__setitem__(slice(None), x),
        lambda xp, x: xp.exp(np.ones(3)),
        lambda xp, x: xp.where(x > 1, np.ones(3), x),
        lambda xp, x: xp.stack([x, np.ones((2, 3))]),
        lambda xp, x: xp.concatenate((x, np.ones((2, 3)))),
        lambda xp, x: xp.ascontiguousarray(np.ones(3)),
        lambda xp, x: x.sum(axis=np.ones(1)),
    ],
)
def test_mixing_is_refused(xp, x, mix):
    with pytest.raises(TypeError):
        mix(xp, x)


def test_what_the_device_lacks_is_refused(xp, x):
    with pytest.raises(AttributeError):
        xp.argwhere(x)
    with pytest.raises(AttributeError):
        x.tofile("nowhere")


def test_a_forgotten_conversion_is_caught(xp):
    """The line of `shift_phases` with and without its ``xp.asarray``."""
    samples, shifts = fourier_samples(8, 3), xp.asarray(np.ones((2, 2)))
    converted = shifts[:, :1] * xp.asarray(samples.kx)
    np.testing.assert_array_equal(backend.as_numpy(converted), np.ones((2, 1)) * samples.kx)
    with pytest.raises(TypeError, match="on the device"):
        shifts[:, :1] * samples.kx


def test_it_calculates_as_numpy_does(xp, x):
    host = backend.as_numpy(x)
    pairs = [
        (x + 1, host + 1), (2 - x, 2 - host), (x * x[:1], host * host[:1]),
        (x @ x.T, host @ host.T),
        (xp.exp(1j * x), np.exp(1j * host)), (x.sum(axis=1), host.sum(axis=1)), (-x, -host),
        (x[:, 1], host[:, 1]), (x[..., None], host[..., None]), (x.astype(int), host.astype(int)),
        (xp.where(x > 2, x, 0), np.where(host > 2, host, 0)), (x.T.real, host.T),
        (x[xp.asarray([1, 0])], host[[1, 0]]),
    ]  # fmt: skip
    for found, expected in pairs:
        assert isinstance(found, pretend.PretendArray)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(backend.as_numpy(found), expected)


def test_parts_are_views(xp, x):
    x[1] = 7
    x[0][None][:, 1:] += x[1, 1:]
    x.reshape(6)[0] = 9
    np.testing.assert_array_equal(backend.as_numpy(x), [[9, 8, 9], [7, 7, 7]])


def test_memory_is_not_zero(xp):
    assert np.isnan(backend.as_numpy(xp.empty((2, 2), dtype=np.float32))).all()


def started(xp, *args):
    if compiled.WHY_NOT:
        pytest.skip(compiled.WHY_NOT)
    xp.RawModule(code=CODE).get_function("fill")((1,), (32,), args)


def test_code_runs(xp):
    out = xp.zeros(8, dtype=np.float32)
    started(xp, out, np.int32(5), np.float32(3))
    np.testing.assert_array_equal(backend.as_numpy(out), [3] * 5 + [0] * 3)


@pytest.mark.parametrize(
    ("arrange", "error", "sentence"),
    [
        (lambda xp: (xp.zeros(8, np.float32), 5, np.float32(3)), TypeError, "no definite type"),
        (
            lambda xp: (np.zeros(8, np.float32), np.int32(5), np.float32(3)),
            TypeError,
            "no definite",
        ),
        (
            lambda xp: (xp.zeros((8, 2), np.float32)[:, 0], np.int32(5), np.float32(3)),
            compiled.DeviceTrouble,
            "with gaps",
        ),
        (
            lambda xp: (xp.zeros(4, np.float32), np.int32(5), np.float32(3)),
            compiled.DeviceTrouble,
            "beyond an array",
        ),
    ],
)
def test_code_is_given_the_right_things(xp, arrange, error, sentence):
    with pytest.raises(error, match=sentence):
        started(xp, *arrange(xp))


def test_copies_lie_in_memory_as_what_they_copy(xp):
    """As CuPy's do; code that reads them wants them in C order."""
    for axes in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        host = np.arange(24.0).reshape(2, 3, 4).transpose(axes)
        copy = xp.asarray(host)
        assert copy.host.strides == host.strides
        np.testing.assert_array_equal(backend.as_numpy(copy), host)
    with pytest.raises(compiled.DeviceTrouble, match="with gaps"):
        started(xp, xp.asarray(np.zeros((2, 4), np.float32).T), np.int32(5), np.float32(3))


def test_additions_beyond_an_array_are_noticed(xp):
    code = CODE.replace("to[threadIdx.x] = value", "atomicAdd(to + threadIdx.x, value)")
    if compiled.WHY_NOT:
        pytest.skip(compiled.WHY_NOT)
    add = xp.RawModule(code=code).get_function("fill")
    add((1,), (32,), (xp.zeros(8, np.float32), np.int32(8), np.float32(3)))
    with pytest.raises(compiled.DeviceTrouble, match="beyond an array"):
        add((1,), (32,), (xp.zeros(8, np.float32), np.int32(9), np.float32(3)))


def test_shared_memory_has_to_be_asked_for(xp):
    if compiled.WHY_NOT:
        pytest.skip(compiled.WHY_NOT)
    function = xp.RawModule(code=CODE).get_function("fill")
    args = (xp.zeros(8, np.float32), np.int32(5), np.float32(3))
    with pytest.raises(compiled.DeviceTrouble, match="more shared memory"):
        function((1,), (32,), args, shared_mem=60_000)
    backend.device_function.cache_clear()
    backend.device_module.cache_clear()
    backend.device_function(CODE, "fill", 60_000)((1,), (32,), args, shared_mem=60_000)
    backend.device_function.cache_clear()
    backend.device_module.cache_clear()


def test_cupy_has_all_of_it():
    cupy = pytest.importorskip("cupy")
    names = [*pretend.FUNCTIONS, *pretend.TYPES, "asarray", "asnumpy", "ascontiguousarray"]
    assert [name for name in [*names, "empty", "zeros"] if not hasattr(cupy, name)] == []
    assert [name for name in pretend.FFTS if not hasattr(cupy.fft, name)] == []
    methods = [*pretend.METHODS, *pretend.PROPERTIES, "get", "data", "__array_function__"]
    assert [name for name in methods if not hasattr(cupy.ndarray, name)] == []
    assert hasattr(cupy.add, "reduceat")
    assert hasattr(cupy.add, "at")
    special = importlib.import_module("cupyx.scipy.special")
    assert [name for name in pretend.SPECIAL if not hasattr(special, name)] == []
    assert hasattr(cupy.RawModule, "get_function")
    assert hasattr(cupy.RawKernel, "max_dynamic_shared_size_bytes")
