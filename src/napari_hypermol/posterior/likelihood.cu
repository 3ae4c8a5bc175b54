// Overlaps, image adjoint, normal operator and explained power on a CUDA device, in float32.
//
// likelihood.py says what they are and has the plain versions, projector.py has the slices. Here one
// block of threads works on one particle, or on a range of its samples. It goes through the samples a
// stretch at a time: the stretch's slices, all columns side by side, lie in shared memory and are never
// written out; data and weights are read once. Tap by tap, the functions of a Fourier grid are read as
// neighbours by neighbouring threads.
//
// likelihood_cuda.py passes in, as macros: THREADS, TILE, LEFT_TAP and MIDDLE_TAP (the interpolation
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

// Shared memory, in this order; `likelihood_cuda.shared_bytes` counts the same.
struct Rooms {
    View* views;
    int* used;     // columns in use
    float* weight;  // of the stretch
    float2* data;
    Taps* taps;
    float* rest;
};

#define ROUND 4096  // makes truncation round down; no grid has that many steps

// Devices of compute capability 9 add two or four neighbours in one operation.
#ifndef VECTOR_ATOMICS
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define VECTOR_ATOMICS 1
#else
#define VECTOR_ATOMICS 0
#endif
#endif

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

// Adjoint of `gather`.
template <typename Values>
__device__ __forceinline__ void scatter(float* target, Steps step, const Taps& t, Values value)
{
#pragma unroll
    for (int z = 0; z < 3; ++z)
#pragma unroll
        for (int y = 0; y < 3; ++y) {
            float* line = target + (z * step.z + y * step.y);
#pragma unroll
            for (int x = 0; x < 3; ++x) {
                Values term = {};
                add_scaled(term, t.z[z] * t.y[y] * t.x[x], value);
                add_to_memory(reinterpret_cast<Values*>(line + x * step.x), term);
            }
        }
}

// The stored half and the ramp of an off-centre component: phase times (re, sign im).
__device__ __forceinline__ float2 seen(float2 value, const Taps& t)
{
    const float re = value.x, im = t.sign * value.y;
    return make_float2(t.phase.x * re - t.phase.y * im, t.phase.x * im + t.phase.y * re);
}

// Adjoint of `seen`.
__device__ __forceinline__ float2 unseen(float2 value, const Taps& t)
{
    const float re = t.phase.x * value.x + t.phase.y * value.y;
    const float im = t.phase.x * value.y - t.phase.y * value.x;
    return make_float2(re, t.sign * im);
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

// Adds to the Fourier grids the adjoint slices of `value(s, q)`, a functor, over active placements.
// `located` is the placement whose taps are in shared memory, or -1. Begins and ends at a barrier.
template <typename Value>
__device__ void unslice(Rooms r, Scene scene, float* target, int first, int n_here, int located, Value value)
{
    for (int m = scene.n_placed - 1; m >= 0; --m) {  // backwards: the last one is located already
        if (!r.views[m].is_active) continue;
        if (m != located) locate(r, scene, m, first, n_here);
        located = m;
        __syncthreads();
        const Placed& p = scene.placed[m];
        const Steps step = {p.x_step, p.y_step, p.z_step};
        const int width = p.width, start = p.start, per_sample = p.n_functions / width;
        for (int item = threadIdx.x; item < n_here * per_sample; item += blockDim.x) {
            const int s = item / per_sample, q = (item - s * per_sample) * width;
            const Taps& t = r.taps[s];
            float* to = target + t.row + 2 * q;
            const float2 one = unseen(value(s, start + q), t);
            if (width == 2) {
                const float2 other = unseen(value(s, start + q + 1), t);
                scatter(to, step, t, make_float4(one.x, one.y, other.x, other.y));
            } else {
                scatter(to, step, t, one);
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

// ---- the four functions -----------------------------------------------------------------------

// b and G. A thread has a tile of TILE x TILE entries of G in registers and every n-th sample; threads
// with the same tile are added up at the end, in a fixed order. Diagonal tiles carry b.
extern "C" __global__ void __launch_bounds__(THREADS) overlaps(
    const float* values, const Placed* placed, const float* rotations, const float* kx, const float* ky,
    int n_placed, int n_columns, int n_samples, double per_pixel, int stretch,
    const float* data, const float* weights, const int2* tiles, int n_tiles, int tiles_per_block,
    const unsigned char* pairs, float* b, float* g)
{
    const Scene scene = {values, placed, kx, ky, n_placed, n_columns, n_samples, per_pixel};
    const Rooms r = rooms(n_placed, n_columns, stretch);
    float2* slices = reinterpret_cast<float2*>(r.rest);
    const int length = row_length(n_columns);
    const long long particle = blockIdx.x;

    const int first_tile = blockIdx.z * tiles_per_block;
    const int n_own = min(tiles_per_block, n_tiles - first_tile);
    const int splits = blockDim.x / n_own;
    const int split = threadIdx.x / n_own;
    const bool is_busy = split < splits;
    const int2 tile = tiles[first_tile + threadIdx.x % n_own];
    const bool is_diagonal = tile.x == tile.y;
    float quadratic[TILE][TILE] = {}, linear[TILE] = {};

    // Columns that only fill the last tile up are zero throughout.
    for (int item = threadIdx.x; item < stretch * (length - n_columns); item += blockDim.x) {
        const int s = item / (length - n_columns);
        slices[s * length + n_columns + item - s * (length - n_columns)] = make_float2(0, 0);
    }
    place(r, scene, rotations + 9 * particle, nullptr, 0);
    const Stretches part(n_samples, stretch);
    for (int i = part.begin; i < part.end; ++i) {
        const int first = i * stretch, n_here = min(stretch, n_samples - first);
        read_images(r, data + 2 * particle * n_samples, weights + particle * n_samples, n_samples, first, n_here);
        slice(r, scene, slices, length, first, n_here);
        for (int s = split; is_busy && s < n_here; s += splits) {
            const float4* one = reinterpret_cast<const float4*>(slices + s * length + TILE * tile.x);
            const float4* two = reinterpret_cast<const float4*>(slices + s * length + TILE * tile.y);
            const float weight = r.weight[s];
            float4 column[TILE / 2];
#pragma unroll
            for (int q = 0; q < TILE / 2; ++q) column[q] = two[q];
#pragma unroll
            for (int p = 0; p < TILE / 2; ++p) {
                float4 row = one[p];
                if (is_diagonal) {
                    const float2 d = r.data[s];
                    linear[2 * p] += row.x * d.x + row.y * d.y;
                    linear[2 * p + 1] += row.z * d.x + row.w * d.y;
                }
                row = make_float4(weight * row.x, weight * row.y, weight * row.z, weight * row.w);
#pragma unroll
                for (int q = 0; q < TILE / 2; ++q) {
                    const float4 c = column[q];
                    quadratic[2 * p][2 * q] += row.x * c.x + row.y * c.y;
                    quadratic[2 * p][2 * q + 1] += row.x * c.z + row.y * c.w;
                    quadratic[2 * p + 1][2 * q] += row.z * c.x + row.w * c.y;
                    quadratic[2 * p + 1][2 * q + 1] += row.z * c.z + row.w * c.w;
                }
            }
        }
        __syncthreads();
    }

    // The upper half of the splits is added to the lower one until one is left.
    for (int left = splits, half; left > 1; left = half) {
        half = (left + 1) / 2;
        const int slots = (left - half) * n_own;
        if (split >= half && split < left) {
            float* slot = r.rest + (threadIdx.x - half * n_own);
            for (int p = 0; p < TILE; ++p) {
                slot[p * slots] = linear[p];
#pragma unroll
                for (int q = 0; q < TILE; ++q) slot[(TILE + p * TILE + q) * slots] = quadratic[p][q];
            }
        }
        __syncthreads();
        if (split < left - half) {
            const float* slot = r.rest + threadIdx.x;
            for (int p = 0; p < TILE; ++p) {
                linear[p] += slot[p * slots];
#pragma unroll
                for (int q = 0; q < TILE; ++q) quadratic[p][q] += slot[(TILE + p * TILE + q) * slots];
            }
        }
        __syncthreads();
    }
    if (split > 0) return;
    const long long out = blockIdx.y * static_cast<long long>(gridDim.x) + particle;
    b += out * n_columns;
    g += out * n_columns * n_columns;
    for (int p = 0; p < TILE; ++p) {
        const int row = TILE * tile.x + p;
        if (row >= n_columns) break;
        if (is_diagonal) b[row] = linear[p];
#pragma unroll
        for (int q = 0; q < TILE; ++q) {
            const int column = TILE * tile.y + q;
            // of a diagonal tile the lower triangle is written, twice, so that G is symmetric
            if (column >= n_columns || (is_diagonal && q > p)) continue;
            const float value = pairs[row * n_columns + column] ? quadratic[p][q] : 0.0f;
            g[row * n_columns + column] = value;
            g[column * n_columns + row] = value;
        }
    }
}

// Adds adjoint slices of D, mixed by the first moments, to one of `n_copies` of the Fourier grids.
extern "C" __global__ void __launch_bounds__(THREADS, 4) image_adjoint(
    const float* values, const Placed* placed, const float* rotations, const float* kx, const float* ky,
    int n_placed, int n_columns, int n_samples, double per_pixel, int stretch,
    const float* data, const float* first_moments, float* targets, int n_copies, long long total)
{
    const Scene scene = {values, placed, kx, ky, n_placed, n_columns, n_samples, per_pixel};
    const Rooms r = rooms(n_placed, n_columns, stretch);
    const long long particle = blockIdx.x;
    const float* moments = first_moments + particle * n_columns;
    float* target = targets + (particle % n_copies) * total;
    if (place(r, scene, rotations + 9 * particle, moments, 1) == 0) return;
    const Stretches part(n_samples, stretch);
    for (int i = part.begin; i < part.end; ++i) {
        const int first = part.staggered(i) * stretch, n_here = min(stretch, n_samples - first);
        read_images(r, data + 2 * particle * n_samples, nullptr, n_samples, first, n_here);
        unslice(r, scene, target, first, n_here, -1, [&](int s, int q) {
            const float moment = __ldg(moments + q);
            return make_float2(moment * r.data[s].x, moment * r.data[s].y);
        });
    }
}

// Adds the normal operator of `values` to one of `n_copies` of the Fourier grids. Mixing is fused with
// the additions to memory, which cost far more.
extern "C" __global__ void __launch_bounds__(THREADS) normal_operator(
    const float* values, const Placed* placed, const float* rotations, const float* kx, const float* ky,
    int n_placed, int n_columns, int n_samples, double per_pixel, int stretch,
    const float* weights, const float* second_moments, float* targets, int n_copies, long long total)
{
    const Scene scene = {values, placed, kx, ky, n_placed, n_columns, n_samples, per_pixel};
    const Rooms r = rooms(n_placed, n_columns, stretch);
    float2* slices = reinterpret_cast<float2*>(r.rest);
    const int length = row_length(n_columns);
    const long long particle = blockIdx.x;
    const float* moments = second_moments + particle * n_columns * n_columns;
    float* target = targets + (particle % n_copies) * total;
    const int n_used = place(r, scene, rotations + 9 * particle, moments, n_columns + 1);
    if (n_used == 0) return;
    int last = 0;
    for (int m = 0; m < n_placed; ++m)
        if (r.views[m].is_active) last = m;
    const Stretches part(n_samples, stretch);
    for (int i = part.begin; i < part.end; ++i) {
        const int first = part.staggered(i) * stretch, n_here = min(stretch, n_samples - first);
        read_images(r, nullptr, weights + particle * n_samples, n_samples, first, n_here);
        slice(r, scene, slices, length, first, n_here);
        unslice(r, scene, target, first, n_here, last, [&](int s, int q) {
            const float2* row = slices + s * length;
            float2 mixed = {};
            for (int u = 0; u < n_used; ++u) {
                const int p = r.used[u];  // moments are symmetric: neighbours q are neighbours in memory
                add_scaled(mixed, __ldg(moments + p * n_columns + q), row[p]);
            }
            return make_float2(r.weight[s] * mixed.x, r.weight[s] * mixed.y);
        });
    }
}

// Power explained in each shell. Several threads share a sample's columns; a thread owns shells.
extern "C" __global__ void __launch_bounds__(THREADS) explained_power(
    const float* values, const Placed* placed, const float* rotations, const float* kx, const float* ky,
    int n_placed, int n_columns, int n_samples, double per_pixel, int stretch,
    const float* data, const float* weights, const float* first_moments, const float* second_moments,
    const unsigned char* is_premultiplied, const int* groups, const float* noise, const int* shells,
    const float* plane_weights, int n_shells, double* out)
{
    const Scene scene = {values, placed, kx, ky, n_placed, n_columns, n_samples, per_pixel};
    const Rooms r = rooms(n_placed, n_columns, stretch);
    const int length = row_length(n_columns);
    double* power = reinterpret_cast<double*>(r.rest);  // (n_shells), then what follows
    float* value = reinterpret_cast<float*>(power + (n_shells + 1) / 2 * 2);
    int* shell = reinterpret_cast<int*>(value + stretch);
    float* partial = reinterpret_cast<float*>(shell + stretch);
    float2* slices = reinterpret_cast<float2*>(partial + 3 * blockDim.x);
    const long long particle = blockIdx.x;
    const float* first_moment = first_moments + particle * n_columns;
    const float* second = second_moments + particle * n_columns * n_columns;
    const float* spectrum = noise + static_cast<long long>(groups[particle]) * n_shells;

    const int n_used = place(r, scene, rotations + 9 * particle, second, n_columns + 1);
    for (int h = threadIdx.x; h < n_shells; h += blockDim.x) power[h] = 0;
    const int shares = blockDim.x / stretch;  // threads per sample
    const Stretches part(n_samples, stretch);
    for (int i = part.begin; i < part.end && n_used > 0; ++i) {
        const int first = i * stretch, n_here = min(stretch, n_samples - first);
        read_images(r, data + 2 * particle * n_samples, weights + particle * n_samples, n_samples, first, n_here);
        slice(r, scene, slices, length, first, n_here);
        const int own = threadIdx.x / shares;
        if (own < n_here) {
            const float2* row = slices + own * length;
            float2 mean = {};
            float square = 0;
            for (int u = threadIdx.x % shares; u < n_used; u += shares) {
                const int q = r.used[u];
                const float* moments = second + q * n_columns;
                float2 mixed = {};
                for (int v = 0; v < u; ++v) add_scaled(mixed, 2 * __ldg(moments + r.used[v]), row[r.used[v]]);
                add_scaled(mixed, __ldg(moments + q), row[q]);
                square += mixed.x * row[q].x + mixed.y * row[q].y;
                add_scaled(mean, __ldg(first_moment + q), row[q]);
            }
            partial[threadIdx.x] = mean.x;
            partial[blockDim.x + threadIdx.x] = mean.y;
            partial[2 * blockDim.x + threadIdx.x] = square;
        }
        __syncthreads();
        for (int s = threadIdx.x; s < n_here; s += blockDim.x) {
            float re = 0, im = 0, square = 0;
            for (int t = s * shares; t < (s + 1) * shares; ++t) {
                re += partial[t];
                im += partial[blockDim.x + t];
                square += partial[2 * blockDim.x + t];
            }
            shell[s] = shells[first + s];
            const float sigma_square = spectrum[shell[s]], weight = r.weight[s];
            const float explained = re * r.data[s].x + im * r.data[s].y;
            value[s] = sigma_square * (2 * explained - weight * square);
            if (is_premultiplied[particle])  // the model of the image has H once more
                value[s] *= weight * sigma_square / plane_weights[first + s];
        }
        __syncthreads();
        for (int h = threadIdx.x; h < n_shells; h += blockDim.x)
            for (int s = 0; s < n_here; ++s)
                if (shell[s] == h) power[h] += value[s];
        // no barrier here: the next stretch passes two before it writes `value` and `shell` again
    }
    out += (blockIdx.y * static_cast<long long>(gridDim.x) + particle) * n_shells;
    for (int h = threadIdx.x; h < n_shells; h += blockDim.x) out[h] = power[h];
}
