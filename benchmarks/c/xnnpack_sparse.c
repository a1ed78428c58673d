/* XNNPACK's sparse 1x1 convolution in f32 (operator API, N C H W) behind the interface of c_libraries.py. The weights are
 * OUTPUTS x INPUTS, then the biases, in the file WEIGHTS. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <xnnpack.h>

static float weights[OUTPUTS * INPUTS + OUTPUTS];
static float result[OUTPUTS * PIXELS];
static xnn_operator_t operation;

static void check(enum xnn_status status)
{
    if (status != xnn_status_success) {
        fprintf(stderr, "XNNPACK answers %d\n", (int)status);
        abort();
    }
}

void bench_prepare(const void *x)
{
    FILE *file = fopen(WEIGHTS, "rb");
    if (!file || fread(weights, sizeof weights, 1, file) != 1)
        abort();
    fclose(file);
    check(xnn_initialize(NULL));
    check(xnn_create_convolution2d_nchw_f32(0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, INPUTS, OUTPUTS, INPUTS, OUTPUTS, weights,
                                            weights + OUTPUTS * INPUTS, -INFINITY, INFINITY, 0, &operation));
    check(xnn_setup_convolution2d_nchw_f32(operation, 1, 1, PIXELS, x, result, NULL));
}

void bench_burst(long calls)
{
    for (long i = 0; i < calls; ++i)
        check(xnn_run_operator(operation, NULL));
}

const void *bench_result(void) { return result; }
long bench_bytes(void) { return sizeof result; }
int bench_type(void) { return 'f'; }
