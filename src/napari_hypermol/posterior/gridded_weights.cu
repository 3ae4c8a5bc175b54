// Weights of all samples, each spread over the eight grid points around it, on a CUDA device.
//
// gridded_weights.py says what they are for and has the plain version, in float32 as here;
// additions.cu comes before this. One block of threads works on one particle, or on a range of its
// samples; a thread has one sample, and adds WIDTH directions of it in one operation.

#if WIDTH == 1
typedef float Values;
#elif WIDTH == 2
typedef float2 Values;
#else
typedef float4 Values;
#endif

#define ROUND 4096  // makes truncation round down; no grid has that many steps

// The lower of two neighbouring grid points, as the plain version chooses it.
__device__ __forceinline__ int below(float u)
{
    return static_cast<int>(u + static_cast<float>(ROUND)) - ROUND;
}

// A sample's weights in all directions: its own times the moments, which are zero-padded.
__device__ __forceinline__ Values scaled(const float* moments, float weight)
{
    Values out;
    float* parts = reinterpret_cast<float*>(&out);
#pragma unroll
    for (int r = 0; r < WIDTH; ++r) parts[r] = weight * __ldg(moments + r);
    return out;
}

__device__ __forceinline__ void add_times(Values* target, float factor, Values value)
{
    float* parts = reinterpret_cast<float*>(&value);
#pragma unroll
    for (int r = 0; r < WIDTH; ++r) parts[r] *= factor;
    add_to_memory(target, value);
}

// Adds to one of `n_copies` grids (z, y, x, WIDTH) of `edge` x `edge` x `width` points. x runs from
// frequency 0 upwards, with a column for the far point of the last step; z and y are periodic.
extern "C" __global__ void spread_weights(
    const float* weights, const float* moments, const float* rotations, const float* placed,
    float scale, const float* kx, const float* ky, int n_samples, int edge, int width,
    float* targets, int n_copies)
{
    const long long particle = blockIdx.x;
    moments += particle * WIDTH;
    bool is_seen = false;
    for (int r = 0; r < WIDTH; ++r) is_seen |= __ldg(moments + r) != 0;
    if (!is_seen) return;
    weights += particle * n_samples;
    rotations += 9 * particle;
    Values* target = reinterpret_cast<Values*>(targets) + (particle % n_copies) * edge * edge * width;

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
    const int first = static_cast<int>(particle * (blockDim.x + 1) % n_own);
    for (int s = threadIdx.x; s < n_own; s += blockDim.x) {
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
        const Values own = scaled(moments, 0.5f * __ldg(weights + k));  // half for k, half for -k
#pragma unroll
        for (int z = 0; z < 2; ++z) {
            const int at_z = iz + z >= 0 ? iz + z : iz + z + edge;
            const float along_z = z ? dz : 1 - dz;
#pragma unroll
            for (int y = 0; y < 2; ++y) {
                const int at_y = iy + y >= 0 ? iy + y : iy + y + edge;
                const float along_y = along_z * (y ? dy : 1 - dy);
                Values* at = target + (static_cast<long long>(at_z) * edge + at_y) * width + ix;
                add_times(at, along_y * (1 - dx), own);
                add_times(at + 1, along_y * dx, own);
            }
        }
    }
}
