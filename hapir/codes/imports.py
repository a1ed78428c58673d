"""Codes of networks that come from other tools: HAP09xx."""

from hapir.codes.code import Code

IMPORTS = {
    "HAP0955": Code(
        "a factor without an integer form",
        "`integer_scales` makes the real factors behind sums of products integers and shifts. This one is so large "
        "that no multiplier of the width asked for holds it, even without a shift.",
        "integer_scales(multiplier_bits = 8) on a layer whose sums are scaled up by 1000",
    ),
    "HAP0990": Code(
        "an operator that cannot be imported",
        "The model holds a node that has no counterpart in hapir, or a form of one that has none. Each such node is "
        "named with the reason and, where there is one, the nearest form that works; `hapir import --report` lists "
        "them all.",
        "hapir import control_flow.onnx -o net.hap",
    ),
    "HAP0991": Code(
        "an input that cannot be imported",
        "Inputs are tensors of f32, of integers of 8 to 64 bits, or of booleans, and their sizes are known.",
        "hapir import strings.onnx -o net.hap",
    ),
}
