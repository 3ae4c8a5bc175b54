// Slices of one particle on a CUDA device, in float32: what every function begins with that looks at images.
//
// projector.py says what they are and has the plain version. One block of threads works on one particle,
// or on a range of its samples. It goes through the samples a stretch at a time: the stretch's slices,
// all columns side by side, lie in shared memory and are never written out. Tap by tap, the functions of
// a Fourier grid are read as neighbours by neighbouring threads.
//
// slices_cuda.py passes in, as macros: THREADS, TILE, LEFT_TAP and MIDDLE_TAP (the interpolation
// polynomials of coordinates/gridding.py), and the sizes of the structs as it understands them.

// A placed component, packed by likelihood_cuda.py. Steps and places count floats of `values`.
struct Placed {
    long long origin;            // one step in y and z before frequency zero, and x = 0's left neighbour
    int x_step, y_step, z_step;  // below 2^30
    int n_functions;
    int start;  // first column
    int width;  // functions read at once: 2 where memory is aligned for it, else 1
    float rotation[9];
    float centre[3];
    float scale;  // grid steps per image frequency
};

// A placed component as one particle shows it.
struct View {
    float rows[6];  // two rows of R P, image frequencies to grid steps
    float x, y;     // the centre in the image frame [pixels]
    int is_centred, is_active;
    int padding[2];
};

// Floats from a grid point to its neighbours.
struct Steps {
    int x, y, z;
};

// Where a sample falls in a Fourier grid.
struct Taps {
    float x[3], y[3], z[3];
    float sign;  // -1 where the stored half has the conjugate
    float2 phase;
    long long row;  // of the first of 27 taps
};

static_assert(sizeof(Placed) == PLACED_BYTES, "Placed is packed differently");
static_assert(sizeof(View) == VIEW_BYTES, "View is packed differently");
static_assert(sizeof(Taps) == TAPS_BYTES, "Taps are packed differently");

// What all four functions are given.
struct Scene {
    const float* values;
    const Placed* placed;
    const float* kx;
    const float* ky;
    int n_placed, n_columns, n_samples;
    double per_pixel;  // turns of a phase for a frequency index and a pixel
};

// Shared memory, in this order; `slices_cuda.shared_bytes` counts the same.
struct Rooms {
    View* views;
    int* used;     // columns in use
    float* weight;  // of the stretch
    float2* data;
    Taps* taps;
    float* rest;
};

#define ROUND 4096  // makes truncation round down; no grid has that many steps

extern __shared__ float4 shared_memory[];

__device__ __forceinline__ int multiple_of_4(int n) { return (n + 3) / 4 * 4; }

__device__ __forceinline__ Rooms rooms(int n_placed, int n_columns, int stretch)
{
    Rooms r;
    r.views = reinterpret_cast<View*>(shared_memory);
    r.used = reinterpret_cast<int*>(r.views + n_placed);
    r.weight = reinterpret_cast<float*>(r.used + multiple_of_4(n_columns));
    r.data = reinterpret_cast<float2*>(r.weight + stretch);
    r.taps = reinterpret_cast<Taps*>(r.data + stretch);
    r.rest = reinterpret_cast<float*>(r.taps + stretch);
    return r;
}

// Length of a row of slices [functions]: whole tiles, and two more so that the rows of four threads
// that read 16 bytes each lie in different banks.
__device__ __forceinline__ int row_length(int n_columns) { return (n_columns + TILE - 1) / TILE * TILE + 2; }

// ---- interpolation ---------------------------------------------------------------------------

__device__ __forceinline__ float outer_tap(float t)
{
    constexpr float c[7] = {LEFT_TAP};
    return (((((c[6] * t + c[5]) * t + c[4]) * t + c[3]) * t + c[2]) * t + c[1]) * t + c[0];
}

__device__ __forceinline__ float middle_tap(float t)
{
    constexpr float c[7] = {MIDDLE_TAP};
    const float s = t * t;
    return ((c[6] * s + c[4]) * s + c[2]) * s + c[0];
}

// Nearest grid step of a frequency, and the three tap weights around it. Rounds as the plain version,
// which takes the lower step for a fraction of 0.4999: both must read the same taps.
__device__ __forceinline__ int nearest(float u, float* weights)
{
    const int step = static_cast<int>(u + (ROUND + 0.5f)) - ROUND;
    const float t = u - static_cast<float>(step);
    weights[0] = outer_tap(t);
    weights[1] = middle_tap(t);
    weights[2] = outer_tap(-t);
    return step;
}

__device__ __forceinline__ void add_scaled(float2& sum, float weight, float2 value)
{
    sum.x += weight * value.x;
    sum.y += weight * value.y;
}

__device__ __forceinline__ void add_scaled(float4& sum, float weight, float4 value)
{
    sum.x += weight * value.x;
    sum.y += weight * value.y;
    sum.z += weight * value.z;
    sum.w += weight * value.w;
}

// Weighted sum over 27 taps; Values is float2 (one function) or float4 (two).
template <typename Values>
__device__ __forceinline__ Values gather(const float* values, Steps step, const Taps& t)
{
    Values total = {};
#pragma unroll
    for (int z = 0; z < 3; ++z)
#pragma unroll
        for (int y = 0; y < 3; ++y) {
            const float* line = values + (z * step.z + y * step.y);
            Values along_x = {};
#pragma unroll
            for (int x = 0; x < 3; ++x)
                add_scaled(along_x, t.x[x], __ldg(reinterpret_cast<const Values*>(line + x * step.x)));
            add_scaled(total, t.z[z] * t.y[y], along_x);
        }
    return total;
}

// The stored half and the ramp of an off-centre component: phase times (re, sign im).
__device__ __forceinline__ float2 seen(float2 value, const Taps& t)
{
    const float re = value.x, im = t.sign * value.y;
    return make_float2(t.phase.x * re - t.phase.y * im, t.phase.x * im + t.phase.y * re);
}

// ---- one particle ----------------------------------------------------------------------------

// Views of all placements. Those whose `moments`, `step` apart, are all zero are not active; without
// moments all are. Returns the number of columns in use; which ones may be read after the next barrier.
__device__ int place(Rooms r, Scene scene, const float* rotation, const float* moments, int step)
{
    for (int m = threadIdx.x; m < scene.n_placed; m += blockDim.x) {
        const Placed& p = scene.placed[m];
        View& view = r.views[m];
        for (int i = 0; i < 2; ++i)
            for (int j = 0; j < 3; ++j) {
                float total = 0;
                for (int axis = 0; axis < 3; ++axis) total += rotation[3 * i + axis] * p.rotation[3 * axis + j];
                view.rows[3 * i + j] = total;
            }
        view.x = view.rows[0] * p.centre[0] + view.rows[1] * p.centre[1] + view.rows[2] * p.centre[2];
        view.y = view.rows[3] * p.centre[0] + view.rows[4] * p.centre[1] + view.rows[5] * p.centre[2];
        view.is_centred = p.centre[0] == 0 && p.centre[1] == 0 && p.centre[2] == 0;
        for (int i = 0; i < 6; ++i) view.rows[i] *= p.scale;
        bool is_active = moments == nullptr;
        for (int q = p.start; q < p.start + p.n_functions && !is_active; ++q)
            is_active = moments[static_cast<long long>(q) * step] != 0;
        view.is_active = is_active;
    }
    __syncthreads();
    int n_used = 0;
    for (int m = 0; m < scene.n_placed; ++m) {
        if (!r.views[m].is_active) continue;
        for (int q = threadIdx.x; q < scene.placed[m].n_functions; q += blockDim.x)
            r.used[n_used + q] = scene.placed[m].start + q;
        n_used += scene.placed[m].n_functions;
    }
    return n_used;
}

// Data and weights of samples first ... first + n_here; the barrier is the caller's.
__device__ void read_images(Rooms r, const float* data, const float* weights, int n_samples, int first, int n_here)
{
    for (int s = threadIdx.x; s < n_here; s += blockDim.x) {
        const int k = first + s;
        if (weights != nullptr) r.weight[s] = weights[k];
        if (data != nullptr) r.data[s] = make_float2(data[k], data[n_samples + k]);
    }
}

// Taps of one placement at the samples of a stretch; the barrier is the caller's.
__device__ void locate(Rooms r, Scene scene, int m, int first, int n_here)
{
    const View& view = r.views[m];
    const Placed& p = scene.placed[m];
    for (int s = threadIdx.x; s < n_here; s += blockDim.x) {
        Taps& t = r.taps[s];
        const float kx = scene.kx[first + s], ky = scene.ky[first + s];
        const float ux = view.rows[0] * kx + view.rows[3] * ky;
        const float uy = view.rows[1] * kx + view.rows[4] * ky;
        const float uz = view.rows[2] * kx + view.rows[5] * ky;
        t.sign = ux >= 0 ? 1.0f : -1.0f;
        const int x = nearest(ux * t.sign, t.x);
        const int y = nearest(uy * t.sign, t.y);
        const int z = nearest(uz * t.sign, t.z);
        t.row = p.origin + static_cast<long long>(z) * p.z_step + static_cast<long long>(y) * p.y_step +
                static_cast<long long>(x) * p.x_step;
        t.phase = make_float2(1.0f, 0.0f);
        if (!view.is_centred) {
            // double: a turn counts hundreds of times at the edge of a large box
            double turns = (static_cast<double>(view.x) * kx + static_cast<double>(view.y) * ky) * -scene.per_pixel;
            turns -= rint(turns);
            sincospif(2.0f * static_cast<float>(turns), &t.phase.y, &t.phase.x);
        }
    }
}

// Slices of all active placements at the samples of a stretch. Ends at a barrier.
__device__ void slice(Rooms r, Scene scene, float2* slices, int length, int first, int n_here)
{
    for (int m = 0; m < scene.n_placed; ++m) {
        if (!r.views[m].is_active) continue;
        locate(r, scene, m, first, n_here);
        __syncthreads();
        const Placed& p = scene.placed[m];
        const Steps step = {p.x_step, p.y_step, p.z_step};
        const int width = p.width, start = p.start, per_sample = p.n_functions / width;
        for (int item = threadIdx.x; item < n_here * per_sample; item += blockDim.x) {
            const int s = item / per_sample, q = (item - s * per_sample) * width;
            const Taps& t = r.taps[s];
            const float* from = scene.values + t.row + 2 * q;
            float2* out = slices + s * length + start + q;
            if (width == 2) {
                const float4 two = gather<float4>(from, step, t);
                out[0] = seen(make_float2(two.x, two.y), t);
                out[1] = seen(make_float2(two.z, two.w), t);
            } else {
                out[0] = seen(gather<float2>(from, step, t), t);
            }
        }
        __syncthreads();
    }
}

// The samples of a block, a stretch at a time.
struct Stretches {
    int begin, end, length;

    __device__ Stretches(int n_samples, int stretch) : length(stretch)
    {
        const int n = (n_samples + stretch - 1) / stretch;
        begin = static_cast<int>(static_cast<long long>(blockIdx.y) * n / gridDim.y);
        end = static_cast<int>(static_cast<long long>(blockIdx.y + 1) * n / gridDim.y);
    }

    // Blocks that add to memory begin at different stretches, so that they are not all at the
    // Fourier origin at the same time.
    __device__ int staggered(int i) const
    {
        const int n = end - begin;
        return begin + (i - begin + static_cast<int>(blockIdx.x % n)) % n;
    }
};

// ---- sums over samples -------------------------------------------------------------------------

// Adds weight times Re conj(row) column to TILE x TILE sums, of one sample; both begin at multiples of 16 bytes.
__device__ __forceinline__ void add_products(float* sums, const float2* rows, const float2* columns, float weight)
{
    const float4* one = reinterpret_cast<const float4*>(rows);
    const float4* two = reinterpret_cast<const float4*>(columns);
    float4 column[TILE / 2];
#pragma unroll
    for (int q = 0; q < TILE / 2; ++q) column[q] = two[q];
#pragma unroll
    for (int p = 0; p < TILE / 2; ++p) {
        const float4 row = one[p];
        const float4 w = make_float4(weight * row.x, weight * row.y, weight * row.z, weight * row.w);
#pragma unroll
        for (int q = 0; q < TILE / 2; ++q) {
            const float4 c = column[q];
            sums[2 * p * TILE + 2 * q] += w.x * c.x + w.y * c.y;
            sums[2 * p * TILE + 2 * q + 1] += w.x * c.z + w.y * c.w;
            sums[(2 * p + 1) * TILE + 2 * q] += w.z * c.x + w.w * c.y;
            sums[(2 * p + 1) * TILE + 2 * q + 1] += w.z * c.z + w.w * c.w;
        }
    }
}

// Adds up the sums of threads that share a tile: thread `split * n_own + tile` has N of them, and those of
// split 0 get the total, in a fixed order. `room` is for N * (n_own * splits / 2) floats. Begins at a barrier.
template <int N>
__device__ void add_splits(float (&sums)[N], float* room, int n_own, int splits)
{
    const int split = threadIdx.x / n_own;
    for (int left = splits, half; left > 1; left = half) {  // the upper half is added to the lower one
        half = (left + 1) / 2;
        const int slots = (left - half) * n_own;
        if (split >= half && split < left) {
            float* slot = room + (threadIdx.x - half * n_own);
#pragma unroll
            for (int j = 0; j < N; ++j) slot[j * slots] = sums[j];
        }
        __syncthreads();
        if (split < left - half) {
            const float* slot = room + threadIdx.x;
#pragma unroll
            for (int j = 0; j < N; ++j) sums[j] += slot[j * slots];
        }
        __syncthreads();
    }
}
