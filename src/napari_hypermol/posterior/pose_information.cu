// How well each image tells its pose, on a CUDA device; one block of threads has one particle.
//
// pose_information.py says what is computed and has the plain version; slices.cu comes before this. Of a
// stretch of samples seven slices come one after the other, six of them turned a little. What is made of
// them, the derivatives J of the model, lies in shared memory side by side as slices do in
// likelihood.cu, and so do their products in pairs, in registers.

#define SHIFT 3     // column of J: turns about three axes come first, then shifts along two,
#define CONTRAST 5  // the contrast,
#define STATE 6     // and states

struct Derivatives {
    float2* columns;  // (stretch, width): J, then columns that fill the last tile up, of which nothing is kept
    float2* slices;   // (stretch, length)
    float* turned;    // seven rotations; the last one is the particle's own
    int width, length;
};

// sum_q c_q A_q of one sample.
__device__ __forceinline__ float2 mixed(const float2* slices, const float* c, int n_columns)
{
    float2 sum = {};
    for (int q = 0; q < n_columns; ++q) add_scaled(sum, __ldg(c + q), slices[q]);
    return sum;
}

// The last view's columns: shifts multiply by exp(-2 pi i k.s / N). Leaves the residual as the data.
__device__ __forceinline__ void columns_of_its_own_view(
    Rooms r, Scene scene, float2* j, const float2* slices, int s, int k, float contrast, const float* functions,
    const float* slopes, int n_states)
{
    const float2 whole = mixed(slices, functions, scene.n_columns);
    const float re = contrast * whole.x, im = contrast * whole.y;
    const float per_index = static_cast<float>(2 * 3.14159265358979323846 * scene.per_pixel);
    const float x = per_index * scene.kx[k], y = per_index * scene.ky[k];
    j[SHIFT] = make_float2(x * im, -x * re);
    j[SHIFT + 1] = make_float2(y * im, -y * re);
    j[CONTRAST] = whole;
    for (int d = 0; d < n_states; ++d) {
        const float2 slope = mixed(slices, slopes + d * scene.n_columns, scene.n_columns);
        j[STATE + d] = make_float2(contrast * slope.x, contrast * slope.y);
    }
    r.data[s] = make_float2(r.data[s].x - r.weight[s] * re, r.data[s].y - r.weight[s] * im);
}

// J and the residual at a stretch of samples. Ends at a barrier.
__device__ void differentiate(
    Rooms r, Scene scene, Derivatives to, int first, int n_here, float contrast, float per_turn,
    const float* functions, const float* slopes, int n_states)
{
    for (int view = 0; view < 7; ++view) {
        place(r, scene, to.turned + 9 * view, nullptr, 0);  // passes a barrier
        slice(r, scene, to.slices, to.length, first, n_here);
        for (int s = threadIdx.x; s < n_here; s += blockDim.x) {
            const float2* slices = to.slices + s * to.length;
            float2* j = to.columns + s * to.width;
            if (view == 6) {
                columns_of_its_own_view(r, scene, j, slices, s, first + s, contrast, functions, slopes, n_states);
                continue;
            }
            const float2 there = mixed(slices, functions, scene.n_columns);
            float2& turn = j[view / 2];
            if (view % 2 == 0)
                turn = there;
            else
                turn = make_float2(contrast * per_turn * (turn.x - there.x), contrast * per_turn * (turn.y - there.y));
        }
    }
    __syncthreads();
}

// sum W Re conj(J_i) J_j, and the slope sum Re conj(J_i) (D - W a M); (n, 6 + n_states) and its square.
extern "C" __global__ void __launch_bounds__(THREADS) pose_information(
    const float* values, const Placed* placed, const float* rotations, const float* kx, const float* ky,
    int n_placed, int n_columns, int n_samples, double per_pixel, int stretch,
    const float* data, const float* weights, const float* contrasts, const float* functions, const float* slopes,
    int n_states, const float* turns, float per_turn, const int2* tiles, int n_tiles,
    float* gradient, float* information)
{
    const Scene scene = {values, placed, kx, ky, n_placed, n_columns, n_samples, per_pixel};
    const Rooms r = rooms(n_placed, n_columns, stretch);
    const int n_all = STATE + n_states;
    const long long particle = blockIdx.x;
    Derivatives to;
    to.width = row_length(n_all);
    to.length = row_length(n_columns);
    to.columns = reinterpret_cast<float2*>(r.rest);
    to.slices = to.columns + stretch * to.width;
    to.turned = reinterpret_cast<float*>(to.slices + stretch * to.length);
    data += 2 * particle * n_samples;
    weights += particle * n_samples;
    functions += particle * n_columns;
    slopes += particle * n_states * n_columns;
    rotations += 9 * particle;

    for (int item = threadIdx.x; item < 7 * 9; item += blockDim.x) {
        const int view = item / 9, row = item % 9 / 3, column = item % 3;
        float total = rotations[item % 9];
        if (view < 6) {
            total = 0;
            for (int inner = 0; inner < 3; ++inner)
                total += turns[9 * view + 3 * row + inner] * rotations[3 * inner + column];
        }
        to.turned[item] = total;
    }
    __syncthreads();

    const int splits = blockDim.x / n_tiles, split = threadIdx.x / n_tiles;
    const bool is_busy = split < splits;
    const int2 tile = tiles[threadIdx.x % n_tiles];
    const bool is_diagonal = tile.x == tile.y;
    float sums[TILE * (TILE + 1)] = {};  // of the slope, then of the information row by row
    for (int first = 0; first < n_samples; first += stretch) {
        const int n_here = min(stretch, n_samples - first);
        read_images(r, data, weights, n_samples, first, n_here);
        differentiate(r, scene, to, first, n_here, contrasts[particle], per_turn, functions, slopes, n_states);
        for (int s = split; is_busy && s < n_here; s += splits) {
            const float2* j = to.columns + s * to.width;
            add_products(sums + TILE, j + TILE * tile.x, j + TILE * tile.y, r.weight[s]);
            if (!is_diagonal) continue;
            const float2 residual = r.data[s];
#pragma unroll
            for (int p = 0; p < TILE; ++p) {
                const float2 value = j[TILE * tile.x + p];
                sums[p] += value.x * residual.x + value.y * residual.y;
            }
        }
        __syncthreads();
    }

    add_splits(sums, r.rest, n_tiles, splits);
    if (split > 0) return;
    gradient += particle * n_all;
    information += particle * n_all * n_all;
#pragma unroll
    for (int p = 0; p < TILE; ++p) {
        const int row = TILE * tile.x + p;
        if (row >= n_all) continue;
        if (is_diagonal) gradient[row] = sums[p];
#pragma unroll
        for (int q = 0; q < TILE; ++q) {
            const int column = TILE * tile.y + q;
            // of a diagonal tile the lower triangle is written, twice, so that it is symmetric
            if (column >= n_all || (is_diagonal && q > p)) continue;
            information[row * n_all + column] = sums[TILE + p * TILE + q];
            information[column * n_all + row] = sums[TILE + p * TILE + q];
        }
    }
}
