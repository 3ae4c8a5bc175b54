// Weights of all samples, each spread over the eight grid points around it, on a CUDA device.
//
// gridded_weights.py says what they are for and has the plain version, in float32 as here. One
// block of threads works on one particle, or on a range of its samples. Neighbouring threads have
// neighbouring directions of the same sample, which are neighbours in memory, so that additions go
// there together. Where a sample falls is found again by every thread: adding costs far more.

#define ROUND 4096  // makes truncation round down; no grid has that many steps

// The lower of two neighbouring grid points, as the plain version chooses it.
__device__ __forceinline__ int below(float u)
{
    return static_cast<int>(u + static_cast<float>(ROUND)) - ROUND;
}

// Whether a particle has a moment in any direction.
__device__ __forceinline__ bool is_seen(const float* moments, int rank)
{
    for (int r = 0; r < rank; ++r)
        if (__ldg(moments + r) != 0) return true;
    return false;
}

// Adds to one of `n_copies` grids (z, y, x, rank) of `edge` x `edge` x `width` points. x runs from
// frequency 0 upwards, with a column for the far point of the last step; z and y are periodic.
extern "C" __global__ void spread_weights(
    const float* weights, const float* moments, const float* rotations, const float* placed,
    float scale, const float* kx, const float* ky, int n_samples, int rank, int edge, int width,
    float* targets, int n_copies)
{
    const long long particle = blockIdx.x;
    moments += particle * rank;
    if (!is_seen(moments, rank)) return;
    weights += particle * n_samples;
    rotations += 9 * particle;
    float* target = targets + (particle % n_copies) * edge * edge * width * rank;

    float rows[2][3];  // of R P, image frequencies to grid steps
    for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 3; ++j) {
            float total = 0;
            for (int axis = 0; axis < 3; ++axis)
                total += __ldg(rotations + 3 * i + axis) * __ldg(placed + 3 * axis + j);
            rows[i][j] = total * scale;
        }

    const long long n = n_samples;
    const int begin = static_cast<int>(blockIdx.y * n / gridDim.y);
    const int n_own = static_cast<int>((blockIdx.y + 1) * n / gridDim.y) - begin;
    // Blocks begin as many samples apart as one has at work at once, so that they are not all at
    // the Fourier origin at the same time.
    const int first = static_cast<int>(particle * (blockDim.x / rank + 1) % n_own);
    for (int item = threadIdx.x; item < n_own * rank; item += blockDim.x) {
        const int s = item / rank, r = item - s * rank;
        const int k = begin + (first + s < n_own ? first + s : first + s - n_own);
        const float h = __ldg(kx + k), v = __ldg(ky + k);
        float ux = rows[0][0] * h + rows[1][0] * v;
        float uy = rows[0][1] * h + rows[1][1] * v;
        float uz = rows[0][2] * h + rows[1][2] * v;
        if (ux < 0) {  // weights are even in frequency; only x >= 0 is stored
            ux = -ux;
            uy = -uy;
            uz = -uz;
        }
        const int ix = static_cast<int>(ux), iy = below(uy), iz = below(uz);
        const float dx = ux - static_cast<float>(ix);
        const float dy = uy - static_cast<float>(iy);
        const float dz = uz - static_cast<float>(iz);
        const float moment = 0.5f * __ldg(moments + r);  // half for k, half for -k
        const float weight = moment * __ldg(weights + k);
#pragma unroll
        for (int z = 0; z < 2; ++z) {
            const int at_z = iz + z >= 0 ? iz + z : iz + z + edge;
            const float along_z = weight * (z ? dz : 1 - dz);
#pragma unroll
            for (int y = 0; y < 2; ++y) {
                const int at_y = iy + y >= 0 ? iy + y : iy + y + edge;
                const float along_y = along_z * (y ? dy : 1 - dy);
                const long long point = (static_cast<long long>(at_z) * edge + at_y) * width + ix;
                float* at = target + point * rank + r;
                atomicAdd(at, along_y * (1 - dx));
                atomicAdd(at + rank, along_y * dx);
            }
        }
    }
}
