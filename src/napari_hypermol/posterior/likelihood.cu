// Overlaps, image adjoint, normal operator and explained power on a CUDA device, in float32.
//
// likelihood.py says what they are and has the plain versions. additions.cu and slices.cu come before this. Data and
// weights are read once.

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

// Adjoint of `seen`.
__device__ __forceinline__ float2 unseen(float2 value, const Taps& t)
{
    const float re = t.phase.x * value.x + t.phase.y * value.y;
    const float im = t.phase.x * value.y - t.phase.y * value.x;
    return make_float2(re, t.sign * im);
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
    float sums[TILE * (TILE + 1)] = {};  // of b, then of G row by row
    float* linear = sums;
    float* quadratic = sums + TILE;

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
            const float2* row = slices + s * length;
            add_products(quadratic, row + TILE * tile.x, row + TILE * tile.y, r.weight[s]);
            if (!is_diagonal) continue;
            const float2 d = r.data[s];
#pragma unroll
            for (int p = 0; p < TILE; ++p) {
                const float2 value = row[TILE * tile.x + p];
                linear[p] += value.x * d.x + value.y * d.y;
            }
        }
        __syncthreads();
    }

    add_splits(sums, r.rest, n_own, splits);
    if (split > 0) return;
    const long long out = blockIdx.y * static_cast<long long>(gridDim.x) + particle;
    b += out * n_columns;
    g += out * n_columns * n_columns;
#pragma unroll
    for (int p = 0; p < TILE; ++p) {
        const int row = TILE * tile.x + p;
        if (row >= n_columns) continue;
        if (is_diagonal) b[row] = linear[p];
#pragma unroll
        for (int q = 0; q < TILE; ++q) {
            const int column = TILE * tile.y + q;
            // of a diagonal tile the lower triangle is written, twice, so that G is symmetric
            if (column >= n_columns || (is_diagonal && q > p)) continue;
            const float value = pairs[row * n_columns + column] ? quadratic[p * TILE + q] : 0.0f;
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
