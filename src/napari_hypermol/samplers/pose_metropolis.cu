// Metropolis on the pose of each particle on a CUDA device; one block of threads has one particle.
//
// pose_metropolis.py says what a step is and has the plain version; slices.cu comes before this. Slices of
// a rotation, and the data at every shift of a patch beside them, lie in shared memory a stretch of samples
// at a time; their products in pairs are b at every shift, and G. What is random comes in. Sums over
// samples are single, everything made of them is double.
//
// pose_metropolis_cuda.py passes in, as macros: FAR_TAIL of posterior/states.py and WIDER of the leaps.

#define PI 3.14159265358979323846

// Where one particle is, and what is tried.
struct Walk {
    float now[9], other[9];
    double omega[3], before[3];
    double along[2], drift[2], shift[2];  // [pixels]
    double here, there, ratio, accepted, turned;
    int is_accepted, chosen;
};

// What is summed out of a rotation's likelihood, and the shifts it is looked at.
struct Summed {
    const float* nodes;  // (n_nodes, q)
    const double* log_prior;
    int n_nodes, n_shifts;
    double contrast_std, temperature, shift_precision;
    double toward[2];  // from the present shift to the middle of the prior
};

// Shared memory beyond slices.cu's; `pose_metropolis_cuda.shared_bytes` counts the same.
struct Sums {
    Walk* walk;
    double *square, *half, *fixed;  // of every node
    double *top, *total;            // of every thread
    double *by_shift, *now_by_shift;
    float *gram, *b;
    float2* slices;
};

static_assert(sizeof(Walk) == WALK_BYTES, "Walk is packed differently");

__device__ Sums sums_in(float* rest, int n_columns, int n_nodes, int n_shifts)
{
    Sums s;
    s.walk = reinterpret_cast<Walk*>(rest);
    s.square = reinterpret_cast<double*>(s.walk + 1);
    s.half = s.square + n_nodes;
    s.fixed = s.half + n_nodes;
    s.top = s.fixed + n_nodes;
    s.total = s.top + blockDim.x;
    s.by_shift = s.total + blockDim.x;
    s.now_by_shift = s.by_shift + n_shifts;
    s.gram = reinterpret_cast<float*>(s.now_by_shift + n_shifts);
    s.b = s.gram + n_columns * n_columns;
    const int used = static_cast<int>((s.b + n_shifts * n_columns) - rest);
    s.slices = reinterpret_cast<float2*>(rest + multiple_of_4(used));  // read 16 bytes at a time
    return s;
}

// ---- rotations -----------------------------------------------------------------------------------

// exp([omega]_x) R by Rodrigues' formula, rows orthonormal again to rounding.
__device__ void turn(const double* omega, const float* rotation, float* out)
{
    const double x = omega[0], y = omega[1], z = omega[2];
    const double angle = sqrt(x * x + y * y + z * z), h = 0.5 * angle;
    const double a = angle > 1e-12 ? sin(angle) / angle : 1.0;
    const double c = angle > 1e-12 ? sin(h) / h : 1.0, b = 0.5 * c * c;
    const double rows[2][3] = {
        {1 - b * (y * y + z * z), b * x * y - a * z, b * x * z + a * y},
        {b * x * y + a * z, 1 - b * (x * x + z * z), b * y * z - a * x},
    };
    double first[3] = {}, second[3] = {};
    for (int j = 0; j < 3; ++j)
        for (int k = 0; k < 3; ++k) {
            first[j] += rows[0][k] * rotation[3 * k + j];
            second[j] += rows[1][k] * rotation[3 * k + j];
        }
    double length = sqrt(first[0] * first[0] + first[1] * first[1] + first[2] * first[2]);
    for (int j = 0; j < 3; ++j) first[j] /= length;
    const double overlap = first[0] * second[0] + first[1] * second[1] + first[2] * second[2];
    for (int j = 0; j < 3; ++j) second[j] -= overlap * first[j];
    length = sqrt(second[0] * second[0] + second[1] * second[1] + second[2] * second[2]);
    for (int j = 0; j < 3; ++j) second[j] /= length;
    for (int j = 0; j < 3; ++j) {
        const int k = (j + 1) % 3, l = (j + 2) % 3;
        out[j] = static_cast<float>(first[j]);
        out[3 + j] = static_cast<float>(second[j]);
        out[6 + j] = static_cast<float>(first[k] * second[l] - first[l] * second[k]);
    }
}

// omega, of which exp([omega]_x) centre is the rotation.
__device__ void offset_from(const float* centre, const float* rotation, double* omega)
{
    double q[3][3] = {};
    for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j)
            for (int k = 0; k < 3; ++k) q[i][j] += static_cast<double>(rotation[3 * i + k]) * centre[3 * j + k];
    omega[0] = q[2][1] - q[1][2];
    omega[1] = q[0][2] - q[2][0];
    omega[2] = q[1][0] - q[0][1];
    const double sine = 0.5 * sqrt(omega[0] * omega[0] + omega[1] * omega[1] + omega[2] * omega[2]);
    const double angle = atan2(sine, 0.5 * (q[0][0] + q[1][1] + q[2][2] - 1.0));
    const double scale = 0.5 * (sine > 1e-12 ? angle / sine : 1.0);
    for (int i = 0; i < 3; ++i) omega[i] *= scale;
}

// Square of the angle between two rotations [rad^2].
__device__ double angle_square(const float* first, const float* second)
{
    double gap = 0;
    for (int i = 0; i < 9; ++i) {
        const double d = static_cast<double>(first[i]) - second[i];
        gap += d * d;
    }
    const double angle = 2 * asin(fmin(sqrt(gap / 8), 1.0));
    return angle * angle;
}

// Log density of a leap by omega, with respect to the uniform measure of rotations.
__device__ double log_leap(const double* omega, const float* root)
{
    double solved[3], square = 0;
    for (int i = 0; i < 3; ++i) {
        double rest = omega[i];
        for (int j = 0; j < i; ++j) rest -= root[3 * i + j] * solved[j];
        solved[i] = rest / root[3 * i + i];
        square += solved[i] * solved[i];
    }
    const double half = 0.5 * sqrt(omega[0] * omega[0] + omega[1] * omega[1] + omega[2] * omega[2]);
    const double ratio = half > 1e-6 ? sin(half) / half : 1.0;
    return -0.5 * square / (WIDER * WIDER) - log(ratio * ratio);
}

// ---- contrast ------------------------------------------------------------------------------------

__device__ double log_normal_tail(double z)
{
    if (z > 8) return 0;
    if (z > FAR_TAIL) return log(0.5 * erfc(-z / sqrt(2.0)));
    const double inverse = 1 / (z * z);
    return -0.5 * z * z - log(-z) - 0.5 * log(2 * PI) + log1p(-inverse * (1 - 3 * inverse));
}

// The contrast integrated out of exp(a linear - a^2 square / 2), a normal about 1 and above 0.
__device__ double log_contrast_evidence(double linear, double square, double std)
{
    if (std == 0) return linear - 0.5 * square;
    const double prior = 1 / (std * std), precision = square + prior;
    const double centre = (linear + prior) / precision;
    return 0.5 * precision * centre * centre - 0.5 * prior + log_normal_tail(centre * sqrt(precision)) -
           log_normal_tail(1 / std) - 0.5 * log(precision / prior);
}

// ---- a rotation ----------------------------------------------------------------------------------

// Data of one sample with a shift more undone.
__device__ __forceinline__ float2 moved(float2 data, float turns)
{
    float sine, cosine;
    sincospif(2 * (turns - rintf(turns)), &sine, &cosine);
    return make_float2(data.x * cosine - data.y * sine, data.x * sine + data.y * cosine);
}

// b at every shift of a patch, and G, of one rotation. Ends at a barrier.
__device__ void products(
    Rooms r, Scene scene, Sums u, const float* rotation, const double* offsets, const double* along, int n_shifts,
    const float* data, const float* weights, const int2* tiles, int n_tiles, int stretch)
{
    const int n_columns = scene.n_columns, padded = (n_columns + TILE - 1) / TILE * TILE;
    const int length = padded + row_length(n_shifts);
    const int splits = blockDim.x / n_tiles, split = threadIdx.x / n_tiles;
    const bool is_busy = split < splits;
    const int2 tile = tiles[threadIdx.x % n_tiles];
    const bool is_gram = TILE * tile.x < padded;
    float sums[TILE * TILE] = {};

    // Columns that only fill tiles up are zero throughout.
    const int n_fill = length - n_columns - n_shifts, before = padded - n_columns;
    for (int item = threadIdx.x; item < stretch * n_fill; item += blockDim.x) {
        const int s = item / n_fill, j = item - s * n_fill;
        u.slices[s * length + n_columns + j + (j < before ? 0 : n_shifts)] = make_float2(0, 0);
    }
    place(r, scene, rotation, nullptr, 0);
    for (int first = 0; first < scene.n_samples; first += stretch) {
        const int n_here = min(stretch, scene.n_samples - first);
        read_images(r, data, weights, scene.n_samples, first, n_here);
        slice(r, scene, u.slices, length, first, n_here);  // passes a barrier
        for (int item = threadIdx.x; item < n_here * n_shifts; item += blockDim.x) {
            const int s = item / n_shifts, j = item - s * n_shifts;
            const double x = offsets[2 * j] + along[0], y = offsets[2 * j + 1] + along[1];
            const float turns = static_cast<float>(x * scene.per_pixel) * scene.kx[first + s] +
                                static_cast<float>(y * scene.per_pixel) * scene.ky[first + s];
            u.slices[s * length + padded + j] = moved(r.data[s], turns);
        }
        __syncthreads();
        for (int s = split; is_busy && s < n_here; s += splits) {
            const float2* row = u.slices + s * length;
            add_products(sums, row + TILE * tile.x, row + TILE * tile.y, is_gram ? r.weight[s] : 1.0f);
        }
        __syncthreads();
    }
    add_splits(sums, reinterpret_cast<float*>(u.slices), n_tiles, splits);
    if (split == 0) {
#pragma unroll
        for (int p = 0; p < TILE; ++p)
#pragma unroll
            for (int q = 0; q < TILE; ++q) {
                const int row = TILE * tile.x + p, column = TILE * tile.y + q;
                if (column >= n_columns) continue;
                if (!is_gram) {
                    if (row - padded < n_shifts) u.b[(row - padded) * n_columns + column] = sums[p * TILE + q];
                } else if (row < n_columns && (tile.x != tile.y || q <= p)) {
                    u.gram[row * n_columns + column] = sums[p * TILE + q];
                    u.gram[column * n_columns + row] = sums[p * TILE + q];
                }
            }
    }
    __syncthreads();
}

// Log evidence of a patch of shifts, from their b and G; fills `by_shift`. Every thread returns it.
__device__ double patch_evidence(Sums u, Summed given, const double* offsets, const double* along, int n_columns)
{
    const int n_nodes = given.n_nodes, n_shifts = given.n_shifts;
    const double std = given.contrast_std, prior = std > 0 ? 1 / (std * std) : 0;
    for (int t = threadIdx.x; t < n_nodes; t += blockDim.x) {
        const float* c = given.nodes + t * n_columns;
        double total = 0;
        for (int p = 0; p < n_columns; ++p) {
            if (c[p] == 0) continue;  // positions the component is not in
            double inner = 0;
            for (int q = 0; q < n_columns; ++q) inner += static_cast<double>(c[q]) * u.gram[p * n_columns + q];
            total += c[p] * inner;
        }
        u.square[t] = fmax(total, 0.0);
        if (std > 0) {
            const double precision = u.square[t] + prior;
            u.half[t] = 0.5 / precision;
            u.fixed[t] = -0.5 * prior - 0.5 * log(precision / prior);
        }
    }
    __syncthreads();
    const int shares = blockDim.x / n_shifts, s = threadIdx.x / shares;  // threads per shift
    double top = -1e300, total = 0;
    if (s < n_shifts) {
        const float* b = u.b + s * n_columns;
        for (int t = threadIdx.x % shares; t < n_nodes; t += shares) {
            const float* c = given.nodes + t * n_columns;
            double linear = 0;
            for (int q = 0; q < n_columns; ++q) linear += static_cast<double>(c[q]) * b[q];
            const double raised = linear + prior, exponent = std > 0 ? raised * raised * u.half[t] : 0;
            double evidence;
            if (raised > 0 && exponent > 32 && prior > 64)  // more than 8 standard deviations above 0
                evidence = exponent + u.fixed[t];
            else
                evidence = log_contrast_evidence(linear, u.square[t], std);
            const double value = evidence * given.temperature + given.log_prior[t];
            if (value > top) {
                total = total * exp(top - value) + 1;
                top = value;
            } else {
                total += exp(value - top);
            }
        }
        u.top[threadIdx.x] = top;
        u.total[threadIdx.x] = total;
    }
    __syncthreads();
    if (threadIdx.x < n_shifts) {
        const double* tops = u.top + threadIdx.x * shares;
        const double* totals = u.total + threadIdx.x * shares;
        top = tops[0];
        for (int j = 1; j < shares; ++j) top = fmax(top, tops[j]);
        total = 0;
        for (int j = 0; j < shares; ++j) total += totals[j] * exp(tops[j] - top);
        const double x = offsets[2 * threadIdx.x] + along[0] - given.toward[0];
        const double y = offsets[2 * threadIdx.x + 1] + along[1] - given.toward[1];
        u.by_shift[threadIdx.x] = top + log(total) - 0.5 * given.shift_precision * (x * x + y * y);
    }
    __syncthreads();
    top = u.by_shift[0];
    for (int j = 1; j < n_shifts; ++j) top = fmax(top, u.by_shift[j]);
    total = 0;
    for (int j = 0; j < n_shifts; ++j) total += exp(u.by_shift[j] - top);
    return top + log(total);
}

// Index drawn with probabilities exp(log_terms), not normalised.
__device__ int drawn(const double* log_terms, int n, double uniform)
{
    double top = log_terms[0], total = 0, cumulated = 0;
    for (int j = 1; j < n; ++j) top = fmax(top, log_terms[j]);
    for (int j = 0; j < n; ++j) total += exp(log_terms[j] - top);
    for (int j = 0; j < n - 1; ++j) {
        cumulated += exp(log_terms[j] - top);
        if (cumulated >= uniform * total) return j;
    }
    return n - 1;
}

// All steps of all particles. `data`, `rotations` and `shifts` are the chain's and change.
extern "C" __global__ void __launch_bounds__(THREADS, 3) pose_metropolis(
    const float* values, const Placed* placed, const float* kx, const float* ky,
    int n_placed, int n_columns, int n_samples, double per_pixel, int stretch,
    float* data, const float* weights, float* rotations, double* shifts,
    const float* prior_rotations, double rotation_precision, const double* prior_shifts, double shift_precision,
    const float* nodes, long long nodes_step, const double* log_prior, int n_nodes, double contrast_std,
    double temperature, const float* centres, const float* roots, const float* levers,
    const float* turns, const unsigned char* is_leap, const double* patches, const double* uniforms,
    int n_steps, int n_patches, int n_shifts, const int2* tiles, int n_tiles,
    double* accepted, double* density, double* mean_turn)
{
    const Scene scene = {values, placed, kx, ky, n_placed, n_columns, n_samples, per_pixel};
    const Rooms r = rooms(n_placed, n_columns, stretch);
    const Sums u = sums_in(r.rest, n_columns, n_nodes, n_shifts);
    Walk& walk = *u.walk;
    const long long i = blockIdx.x;
    const int every = n_steps / n_patches;
    data += 2 * i * n_samples;
    weights += i * n_samples;
    rotations += 9 * i;
    centres += 9 * i;
    roots += 9 * i;
    levers += 6 * i;
    prior_rotations += 9 * i;
    Summed given = {nodes + i * nodes_step, log_prior, n_nodes, n_shifts, contrast_std, temperature, shift_precision};

    if (threadIdx.x < 9) walk.now[threadIdx.x] = rotations[threadIdx.x];
    if (threadIdx.x < 2) walk.shift[threadIdx.x] = shifts[2 * i + threadIdx.x];
    if (threadIdx.x == 0) walk.accepted = walk.turned = 0;
    __syncthreads();
    for (int step = 0; step < n_steps; ++step) {
        const double* offsets = patches + 2 * n_shifts * (i * n_patches + step / every);
        for (int axis = 0; axis < 2; ++axis) given.toward[axis] = prior_shifts[2 * i + axis] - walk.shift[axis];
        if (step % every == 0) {
            if (threadIdx.x < 2) walk.drift[threadIdx.x] = 0;
            __syncthreads();
            products(r, scene, u, walk.now, offsets, walk.drift, n_shifts, data, weights, tiles, n_tiles, stretch);
            const double here = patch_evidence(u, given, offsets, walk.drift, n_columns);
            if (threadIdx.x < n_shifts) u.now_by_shift[threadIdx.x] = u.by_shift[threadIdx.x];
            if (threadIdx.x == 0) {
                walk.here = here;
                if (rotation_precision > 0)
                    walk.here -= 0.5 * rotation_precision * angle_square(walk.now, prior_rotations);
            }
        }
        if (threadIdx.x == 0) {
            walk.ratio = 0;
            for (int axis = 0; axis < 3; ++axis) {
                walk.omega[axis] = turns[3 * (i * n_steps + step) + axis];
                walk.before[axis] = 0;
            }
            if (is_leap[i * n_steps + step]) {
                offset_from(centres, walk.now, walk.before);
                walk.ratio = log_leap(walk.before, roots) - log_leap(walk.omega, roots);
                const double* w = walk.omega;
                if (w[0] * w[0] + w[1] * w[1] + w[2] * w[2] >= PI * PI) walk.ratio = -1e300;  // once around
                turn(walk.omega, centres, walk.other);
            } else {
                turn(walk.omega, walk.now, walk.other);
            }
            for (int axis = 0; axis < 2; ++axis) {  // the patch goes with the turn, and comes back with it
                walk.along[axis] = walk.drift[axis];
                for (int j = 0; j < 3; ++j)
                    walk.along[axis] += levers[3 * axis + j] * (walk.omega[j] - walk.before[j]);
            }
        }
        __syncthreads();
        products(r, scene, u, walk.other, offsets, walk.along, n_shifts, data, weights, tiles, n_tiles, stretch);
        double there = patch_evidence(u, given, offsets, walk.along, n_columns);
        if (threadIdx.x == 0) {
            if (rotation_precision > 0) there -= 0.5 * rotation_precision * angle_square(walk.other, prior_rotations);
            const double* uniform = uniforms + 2 * (i * n_steps + step);
            walk.is_accepted = log(uniform[0]) < there - walk.here + walk.ratio;
            if (walk.is_accepted) {
                walk.here = there;
                walk.accepted += 1;
                walk.turned += sqrt(angle_square(walk.other, walk.now));
                for (int axis = 0; axis < 2; ++axis) walk.drift[axis] = walk.along[axis];
                for (int j = 0; j < 9; ++j) walk.now[j] = walk.other[j];
                for (int j = 0; j < n_shifts; ++j) u.now_by_shift[j] = u.by_shift[j];
            }
            if ((step + 1) % every == 0) walk.chosen = drawn(u.now_by_shift, n_shifts, uniform[1]);
        }
        __syncthreads();
        if ((step + 1) % every != 0) continue;
        const double x = offsets[2 * walk.chosen] + walk.drift[0], y = offsets[2 * walk.chosen + 1] + walk.drift[1];
        if (x != 0 || y != 0)
            for (int k = threadIdx.x; k < n_samples; k += blockDim.x) {
                // double: what is lost here is lost for good
                double whole = (x * kx[k] + y * ky[k]) * per_pixel;
                whole -= rint(whole);
                const float2 d = moved(make_float2(data[k], data[n_samples + k]), static_cast<float>(whole));
                data[k] = d.x;
                data[n_samples + k] = d.y;
            }
        __syncthreads();  // everybody has read `chosen` and `drift`
        if (threadIdx.x == 0) {
            walk.shift[0] += x;
            walk.shift[1] += y;
        }
        __syncthreads();
    }
    if (threadIdx.x < 9) rotations[threadIdx.x] = walk.now[threadIdx.x];
    if (threadIdx.x < 2) shifts[2 * i + threadIdx.x] = walk.shift[threadIdx.x];
    if (threadIdx.x == 0) {
        accepted[i] = walk.accepted / n_steps;
        density[i] = walk.here;
        mean_turn[i] = walk.accepted > 0 ? walk.turned / walk.accepted : 0;
    }
}
