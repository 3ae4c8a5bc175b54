// Additions to memory that other threads add to as well, on a CUDA device.

// Devices of compute capability 9 add two or four neighbours in one operation.
#ifndef VECTOR_ATOMICS
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define VECTOR_ATOMICS 1
#else
#define VECTOR_ATOMICS 0
#endif
#endif

__device__ __forceinline__ void add_to_memory(float* target, float value) { atomicAdd(target, value); }

__device__ __forceinline__ void add_to_memory(float2* target, float2 value)
{
#if VECTOR_ATOMICS
    atomicAdd(target, value);
#else
    float* scalar = reinterpret_cast<float*>(target);
    atomicAdd(scalar, value.x);
    atomicAdd(scalar + 1, value.y);
#endif
}

__device__ __forceinline__ void add_to_memory(float4* target, float4 value)
{
#if VECTOR_ATOMICS
    atomicAdd(target, value);
#else
    float2* halves = reinterpret_cast<float2*>(target);
    add_to_memory(halves, make_float2(value.x, value.y));
    add_to_memory(halves + 1, make_float2(value.z, value.w));
#endif
}
