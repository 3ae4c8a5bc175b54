"""CUDA on the CPU must say what would go wrong on a device; small functions that do it wrong."""

import numpy as np
import pytest

from cuda_on_cpu import compiled

N = 64
CODE = """
extern __shared__ float4 shared_memory[];

extern "C" __global__ void __launch_bounds__(64) reverse(const float* from, float* to, int n)
{
    float* row = reinterpret_cast<float*>(shared_memory);
    row[threadIdx.x] = from[threadIdx.x];
    BARRIER
    to[blockIdx.x * n + threadIdx.x] = row[n - 1 - threadIdx.x] + blockIdx.x;
}

extern "C" __global__ void divergent(float* to)
{
    if (threadIdx.x < 3) __syncthreads();
    to[threadIdx.x] = 1;
}

extern "C" __global__ void elsewhere(float* to)
{
    if (threadIdx.x < 3) __syncthreads();
    else
        __syncthreads();
    to[threadIdx.x] = 1;
}

extern "C" __global__ void beyond(float* to)
{
    reinterpret_cast<float*>(shared_memory)[blockDim.x] = 1;
}

extern "C" __global__ void not_set(float* to)
{
    to[threadIdx.x] = reinterpret_cast<float*>(shared_memory)[threadIdx.x];
}

extern "C" __global__ void misaligned(float* to)
{
    atomicAdd(reinterpret_cast<float2*>(to + 1), make_float2(1, 1));
}

extern "C" __global__ void added(float* to, float value)
{
    atomicAdd(reinterpret_cast<float4*>(to), make_float4(value, 0, 0, __ldg(to + 4)));
}
"""


@pytest.fixture(scope="module")
def functions():
    if compiled.WHY_NOT:
        pytest.skip(compiled.WHY_NOT)
    return compiled.functions_of(CODE.replace("BARRIER", "__syncthreads();"))


def run(functions, name, *args, grid=(1,), **kwargs):
    compiled.launch(functions, name, grid, N, args, 4 * N, **kwargs)


@pytest.mark.parametrize("is_backwards", [False, True])
def test_threads_and_blocks(functions, is_backwards):
    row, out = np.arange(N, dtype=np.float32), np.zeros((3, N), np.float32)
    run(functions, "reverse", row, out, np.int32(N), grid=(3,), is_backwards=is_backwards)
    np.testing.assert_array_equal(out, row[::-1] + np.arange(3)[:, None])


def test_without_a_barrier_it_is_wrong():
    if compiled.WHY_NOT:
        pytest.skip(compiled.WHY_NOT)
    broken = compiled.functions_of(CODE.replace("BARRIER", ""))
    row, out = np.arange(N, dtype=np.float32), np.zeros((1, N), np.float32)
    run(broken, "reverse", row, out, np.int32(N))
    assert not np.array_equal(out[0], row[::-1])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("divergent", "different barriers"),
        ("elsewhere", "different barriers"),
        ("beyond", "beyond shared memory"),
        ("misaligned", "misaligned"),
    ],
)
def test_trouble_is_said(functions, name, sentence):
    with pytest.raises(compiled.DeviceTrouble, match=sentence):
        run(functions, name, np.zeros(N, dtype=np.float32))


def test_shared_memory_is_not_zero(functions):
    out = np.zeros(N, dtype=np.float32)
    run(functions, "not_set", out)
    assert np.isnan(out).all()


def test_additions_of_four_at_once(functions):
    out = np.zeros(N, dtype=np.float32)
    out[4] = 1
    run(functions, "added", out, np.float32(0.5))
    np.testing.assert_array_equal(out[:5], [N / 2, 0, 0, N, 1])


def test_arguments_are_checked(functions):
    out = np.zeros(N, dtype=np.float32)
    with pytest.raises(compiled.DeviceTrouble, match="number of arguments"):
        run(functions, "added", out)
    with pytest.raises(compiled.DeviceTrouble, match="another size"):
        run(functions, "added", out, np.float64(0.5))


def test_code_that_does_not_compile_is_said():
    if compiled.WHY_NOT:
        pytest.skip(compiled.WHY_NOT)
    with pytest.raises(compiled.DeviceTrouble, match=r"g\+\+"):
        compiled.functions_of('extern "C" __global__ void f() { nothing; }')
