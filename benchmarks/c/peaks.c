/* What one core can do: independent chains of one instruction, in registers. -DPEAK=1: f32 multiply-add, 2: u8 x i8
 * dot products, 3: xor and popcount, 4: bf16 dot products. Behind the interface of c_libraries.py; OPERATIONS per call as in
 * peaks.py. */
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if PEAK == 4
#define CHAINS 24 /* of a longer latency */
#else
#define CHAINS 12
#endif
#define TURNS 4096

void bench_prepare(const void *given);
void bench_burst(long calls);
const void *bench_result(void);
long bench_bytes(void);
int bench_type(void);
long bench_lanes(void);

static char sink[64 * CHAINS];

#if PEAK == 1
#if defined(__AVX512F__)
typedef float lanes __attribute__((vector_size(64)));
#elif defined(__AVX2__)
typedef float lanes __attribute__((vector_size(32)));
#else
typedef float lanes __attribute__((vector_size(16)));
#endif
long bench_lanes(void) { return sizeof(lanes) / sizeof(float); }
#define STEP(acc) acc = acc * b + a
#elif PEAK == 2 && defined(__AVX512VNNI__)
typedef __m512i lanes;
long bench_lanes(void) { return 64; }
#define STEP(acc) acc = _mm512_dpbusd_epi32(acc, a, b)
#elif PEAK == 2 && defined(__AVXVNNI__)
typedef __m256i lanes;
long bench_lanes(void) { return 32; }
#define STEP(acc) acc = _mm256_dpbusd_avx_epi32(acc, a, b)
#elif PEAK == 3 && defined(__AVX512VPOPCNTDQ__)
typedef __m512i lanes;
long bench_lanes(void) { return 512; }
/* the operand changes with every turn, else the compiler would count its bits once */
#define STEP(acc) acc = _mm512_add_epi64(acc, _mm512_popcnt_epi64(_mm512_xor_si512(acc, b)))
#elif PEAK == 3
typedef uint64_t lanes;
long bench_lanes(void) { return 64; }
#define STEP(acc) acc += (uint64_t)__builtin_popcountll(acc ^ b)
#elif PEAK == 4 && defined(__AVX512BF16__)
typedef __m512 lanes;
long bench_lanes(void) { return 32; }
#define STEP(acc) acc = _mm512_dpbf16_ps(acc, (__m512bh)a, (__m512bh)b)
#else
typedef int lanes;
long bench_lanes(void) { return 0; }
#define STEP(acc) acc += b
#endif

static lanes a, b, starts[CHAINS];

void bench_prepare(const void *given)
{
    /* chains that start alike would be one chain to the compiler */
    const char *bytes = given;
    memcpy(&a, bytes, sizeof a);
    memcpy(&b, bytes + 64, sizeof b);
    memcpy(starts, bytes + 128, sizeof starts);
}

void bench_burst(long calls)
{
    lanes acc[CHAINS];
    memcpy(acc, starts, sizeof acc);
    for (long i = 0; i < calls; ++i) {
        for (int turn = 0; turn < TURNS; ++turn) {
            STEP(acc[0]); STEP(acc[1]); STEP(acc[2]); STEP(acc[3]); STEP(acc[4]); STEP(acc[5]);
            STEP(acc[6]); STEP(acc[7]); STEP(acc[8]); STEP(acc[9]); STEP(acc[10]); STEP(acc[11]);
#if CHAINS == 24
            STEP(acc[12]); STEP(acc[13]); STEP(acc[14]); STEP(acc[15]); STEP(acc[16]); STEP(acc[17]);
            STEP(acc[18]); STEP(acc[19]); STEP(acc[20]); STEP(acc[21]); STEP(acc[22]); STEP(acc[23]);
#endif
        }
    }
    memcpy(sink, acc, sizeof acc);
}

const void *bench_result(void) { return sink; }
long bench_bytes(void) { return sizeof sink; }
int bench_type(void) { return 'i'; }
