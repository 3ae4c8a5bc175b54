// Functions of the state mixed with one another at every point of a half space, on a CUDA device.
//
// voxel.py and runs/gridded_normal.py have the plain versions. A thread has one point and all functions
// there; neighbouring threads have neighbouring points. mixing_cuda.py passes in, as a macro, N_FUNCTIONS:
// known to the compiler, they are in registers.

// half_q = sum_p gain_qp half_p, with the gain of the point's shell; (q, m), (n_shells, q, q), (m,).
extern "C" __global__ void mix_shells(float2* half, const float* gain, const int* shells, long long m)
{
    const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= m) return;
    const float* own = gain + static_cast<long long>(shells[i]) * N_FUNCTIONS * N_FUNCTIONS;
    float2 old[N_FUNCTIONS];
#pragma unroll
    for (int q = 0; q < N_FUNCTIONS; ++q) old[q] = half[q * m + i];
#pragma unroll
    for (int q = 0; q < N_FUNCTIONS; ++q) {
        float2 total = make_float2(0, 0);
#pragma unroll
        for (int p = 0; p < N_FUNCTIONS; ++p) {
            const float weight = __ldg(own + q * N_FUNCTIONS + p);
            total.x += weight * old[p].x;
            total.y += weight * old[p].y;
        }
        half[q * m + i] = total;
    }
}

// half_q = sum_p H_qp half_p, H symmetric and its upper half given row by row; (q, m) and (pairs, m).
extern "C" __global__ void mix_pairs(float2* half, const float* products, long long m)
{
    const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= m) return;
    float2 old[N_FUNCTIONS], mixed[N_FUNCTIONS];
#pragma unroll
    for (int q = 0; q < N_FUNCTIONS; ++q) {
        old[q] = half[q * m + i];
        mixed[q] = make_float2(0, 0);
    }
    const float* weight = products + i;
#pragma unroll
    for (int q = 0; q < N_FUNCTIONS; ++q)
#pragma unroll
        for (int p = q; p < N_FUNCTIONS; ++p, weight += m) {
            const float w = __ldg(weight);
            mixed[q].x += w * old[p].x;
            mixed[q].y += w * old[p].y;
            if (p == q) continue;
            mixed[p].x += w * old[q].x;
            mixed[p].y += w * old[q].y;
        }
#pragma unroll
    for (int q = 0; q < N_FUNCTIONS; ++q) half[q * m + i] = mixed[q];
}
