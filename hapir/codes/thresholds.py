"""Codes of thresholds: HAP054x."""

from hapir.codes.code import Code

THRESHOLDS = {
    "HAP0540": Code(
        "thresholds out of order",
        "The thresholds of a channel ascend: the code counts how many of them an accumulator has reached.",
        "a num.threshold whose weights hold the row 3, 1",
    ),
    "HAP0541": Code(
        "too many levels for thresholds",
        "Floats between two integer layers become one threshold per level of the codes behind them, and there are more "
        "levels than the option max_bits allows. Quantize these activations to fewer bits, or allow more.",
        'recipe b { bwn(), quantize(calibration = "d.npz"), threshold() }    // a batch norm, then 8-bit activations',
    ),
    "HAP0542": Code(
        "no threshold above the accumulator",
        "A code that is never reached needs a threshold above all sums, and these sums may be the largest of 32 bits.",
        "threshold() on a network whose input is si32",
    ),
    "HAP0543": Code(
        "floats without thresholds",
        "Floats between integers become thresholds where a line per channel leads from sums to codes: one scale, and "
        "batch norms of which at most one has an irrational deviation. A code that is always the same needs none.",
        "two batch norms in a row, then a sign",
    ),
    "HAP0544": Code(
        "thresholds in a network of floats",
        "threshold compares the integer sums of layers; a network that is not quantized has none.",
        "recipe r { fold_batch_norm(), threshold() }",
    ),
}
