// gemmbitserial (Umuroglu and Jahre, 2017) behind the interface of c_libraries.py: signs times signs. Its operands are
// packed before anything is timed; its result are sums, of which `bench_result` takes the signs.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "gemmbitserial.hpp"

using namespace gemmbitserial;

static GEMMContext context;
static std::vector<int8_t> signs;

extern "C" void bench_prepare(const void *x)
{
    std::vector<int8_t> weights(static_cast<size_t>(OUTPUTS) * INPUTS);
    std::FILE *file = std::fopen(WEIGHTS, "rb");
    if (!file || std::fread(weights.data(), 1, weights.size(), file) != weights.size())
        std::abort();
    std::fclose(file);
    context = allocGEMMContext(OUTPUTS, INPUTS, ROWS, 1, 1, true, true);
    context.lhs.importRegular(weights.data());
    context.rhs.importRegular(const_cast<int8_t *>(static_cast<const int8_t *>(x)));
    signs.resize(static_cast<size_t>(ROWS) * OUTPUTS);
}

extern "C" void bench_burst(long calls)
{
    for (long i = 0; i < calls; ++i)
        gemmBitSerial(context);
}

extern "C" const void *bench_result()
{
    for (size_t i = 0; i < signs.size(); ++i)
        signs[i] = context.res[i] >= 0 ? 1 : -1;
    return signs.data();
}

extern "C" long bench_bytes() { return static_cast<long>(signs.size()); }
extern "C" int bench_type() { return 'i'; }
