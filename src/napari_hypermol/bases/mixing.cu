// Functions of the state mixed with one another at every point of a half space, on a CUDA device.
//
// voxel.py and runs/gridded_normal.py have the plain versions. A thread has one point and all functions
// there; neighbouring threads have neighbouring points.

#define MOST 32  // functions that a thread holds

// half_q = sum_p gain_qp half_p, with the gain of the point's shell; (q, m), (n_shells, q, q), (m,).
extern "C" __global__ void mix_shells(float2* half, const float* gain, const int* shells, int n_functions, long long m)
{
    const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= m) return;
    const float* own = gain + static_cast<long long>(shells[i]) * n_functions * n_functions;
    float2 old[MOST];
    for (int q = 0; q < n_functions; ++q) old[q] = half[q * m + i];
    for (int q = 0; q < n_functions; ++q) {
        float2 total = make_float2(0, 0);
        for (int p = 0; p < n_functions; ++p) {
            const float weight = __ldg(own + q * n_functions + p);
            total.x += weight * old[p].x;
            total.y += weight * old[p].y;
        }
        half[q * m + i] = total;
    }
}

// half_q = sum_p H_qp half_p, H symmetric and its upper half given row by row; (q, m) and (pairs, m).
extern "C" __global__ void mix_pairs(float2* half, const float* products, int n_functions, long long m)
{
    const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= m) return;
    float2 old[MOST], mixed[MOST];
    for (int q = 0; q < n_functions; ++q) {
        old[q] = half[q * m + i];
        mixed[q] = make_float2(0, 0);
    }
    const float* weight = products + i;
    for (int q = 0; q < n_functions; ++q)
        for (int p = q; p < n_functions; ++p, weight += m) {
            const float w = __ldg(weight);
            mixed[q].x += w * old[p].x;
            mixed[q].y += w * old[p].y;
            if (p == q) continue;
            mixed[p].x += w * old[q].x;
            mixed[p].y += w * old[q].y;
        }
    for (int q = 0; q < n_functions; ++q) half[q * m + i] = mixed[q];
}
