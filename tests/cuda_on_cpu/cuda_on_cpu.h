// CUDA C++ as a C++ compiler understands it: enough to run one block of threads after the other.
//
// Every thread of a block is a fiber, which runs until its next barrier. So a missing barrier shows in
// the result when the threads are run backwards; a barrier that not all threads reach, uninitialised
// shared memory (it is filled with NaN) and writing beyond it are errors here, as they are there.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <ucontext.h>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __shared__
#define __forceinline__ inline
#define __launch_bounds__(...)

using std::min;

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct Index { unsigned x, y, z; };

inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

Index threadIdx, blockIdx, blockDim, gridDim;
const char* trouble;  // the first thing that would go wrong on a device
// Bytes read with __ldg, and added to memory with atomicAdd, since the library was loaded.
extern "C" {
long long bytes_read, bytes_added;
}

inline void sincospif(float x, float* s, float* c)
{
    *s = static_cast<float>(std::sin(M_PI * x));
    *c = static_cast<float>(std::cos(M_PI * x));
}

template <typename T>
inline void require_aligned(const T* at)
{
    if (reinterpret_cast<std::uintptr_t>(at) % alignof(T) != 0) trouble = "misaligned address";
}

template <typename T>
inline T __ldg(const T* at)
{
    require_aligned(at);
    bytes_read += sizeof(T);
    T value;
    std::memcpy(&value, at, sizeof(T));
    return value;
}

template <typename T>
inline void atomicAdd(T* at, T value)
{
    require_aligned(at);
    bytes_added += sizeof(T);
    float sum[sizeof(T) / sizeof(float)], term[sizeof(T) / sizeof(float)];
    std::memcpy(sum, at, sizeof(T));
    std::memcpy(term, &value, sizeof(T));
    for (std::size_t i = 0; i < sizeof(T) / sizeof(float); ++i) sum[i] += term[i];
    std::memcpy(at, sum, sizeof(T));
}

// ---- fibers ----------------------------------------------------------------------------------

constexpr std::size_t STACK = 1 << 16, SHARED = 1 << 18, GUARD = 1 << 12;  // [bytes]
struct Fiber {
    ucontext_t context;
    std::vector<char> stack;
    int barrier;  // line where it waits; 0: has ended
};
std::vector<Fiber> fibers;
ucontext_t scheduler;
void (*body)(void*);
void* body_argument;

inline void run_fiber(int t)
{
    body(body_argument);
    fibers[t].barrier = 0;
    swapcontext(&fibers[t].context, &scheduler);
}

inline void wait_at(int line)
{
    Fiber& fiber = fibers[threadIdx.x];
    fiber.barrier = line;
    swapcontext(&fiber.context, &scheduler);
}

#define __syncthreads() wait_at(__LINE__)

// All threads of the block that blockIdx names; backwards in turn, from the last to the first.
inline void run_block(unsigned n_threads, bool is_backwards)
{
    fibers.resize(n_threads);
    for (unsigned t = 0; t < n_threads; ++t) {
        Fiber& fiber = fibers[t];
        fiber.stack.resize(STACK);
        fiber.barrier = -1;
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = STACK;
        makecontext(&fiber.context, reinterpret_cast<void (*)()>(run_fiber), 1, static_cast<int>(t));
    }
    while (trouble == nullptr) {
        for (unsigned i = 0; i < n_threads; ++i) {
            threadIdx.x = is_backwards ? n_threads - 1 - i : i;
            swapcontext(&scheduler, &fibers[threadIdx.x].context);
        }
        for (const Fiber& fiber : fibers)
            if (fiber.barrier != fibers[0].barrier) trouble = "threads of a block wait at different barriers";
        if (fibers[0].barrier == 0) return;
    }
}

// ---- launches --------------------------------------------------------------------------------

extern float4 shared_memory[];

template <typename... Args>
struct Call {
    void (*function)(Args...);
    void** args;

    template <std::size_t... I>
    void operator()(std::index_sequence<I...>) const { function(*static_cast<Args*>(args[I])...); }

    static void run(void* self) { (*static_cast<Call*>(self))(std::index_sequence_for<Args...>{}); }
};

// `args` points to every argument, as for cuLaunchKernel, and `sizes` has their bytes. Returns what
// went wrong, or null.
template <typename... Args>
const char* launch(void (*function)(Args...), void** args, const int* sizes, int n_args, const unsigned* grid,
                   unsigned n_threads, unsigned shared_bytes, int is_backwards)
{
    const int own[] = {static_cast<int>(sizeof(Args))...};
    if (n_args != static_cast<int>(sizeof...(Args))) return "wrong number of arguments";
    if (!std::equal(own, own + n_args, sizes)) return "an argument has another size than in the code";
    if (shared_bytes + GUARD > SHARED) return "too much shared memory";
    Call<Args...> call = {function, args};
    body = Call<Args...>::run;
    body_argument = &call;
    trouble = nullptr;
    blockDim = {n_threads, 1, 1};
    gridDim = {grid[0], grid[1], grid[2]};
    char* shared = reinterpret_cast<char*>(shared_memory);
    for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x) {
                std::memset(shared, 0xff, shared_bytes + GUARD);  // NaN
                run_block(n_threads, is_backwards);
                for (std::size_t i = shared_bytes; i < shared_bytes + GUARD; ++i)
                    if (shared[i] != '\xff') trouble = "written beyond shared memory";
                if (trouble != nullptr) return trouble;
            }
    return nullptr;
}

#define ON_CPU(name)                                                                                      \
    extern "C" const char* launch_##name(void** args, const int* sizes, int n_args, const unsigned* grid, \
                                         unsigned n_threads, unsigned shared_bytes, int is_backwards)     \
    {                                                                                                     \
        return launch(name, args, sizes, n_args, grid, n_threads, shared_bytes, is_backwards);            \
    }
