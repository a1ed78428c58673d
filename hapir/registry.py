"""THE list: all that hapir knows by name (dialects, passes, pipelines, targets, layers, formats, ...), as lazy getters.

Adding one = one new file + one line here + tests. Plug-ins contribute through the `xdsl.universe` entry point with a
`HapirUniverse` of their own. Conventions that the spec language relies on:

- a pass, layer, unit, block, format, multiplier, encoding or dataflow is a dataclass; its fields are the options of the
  spec, its docstring the help;
- a pass option named `layers` is a glob (or several) over layer names, and one that matches no layer is an error;
- `__post_init__` may raise ValueError for options out of range; it is reported at the statement.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from hapir.diagnostics import Diagnostic
from hapir.plugins import merge
from hapir.universe import HapirUniverse

if TYPE_CHECKING:
    from hapir.context import HapirContext


def lazy(module: str, name: str) -> Callable[[], Any]:
    """A getter that imports `name` from `hapir.<module>` when it is called."""
    return lambda: getattr(import_module(f"hapir.{module}"), name)


def function_layer(name: str) -> Callable[[], Any]:
    """A getter of the statement of a function of `nn.pointwise`."""
    return lambda: lazy("dialects.nn_pointwise_layers", "statement")()(name)


_FUNCTIONS = (
    *("exp", "log", "sqrt", "reciprocal", "erf", "floor", "ceil", "round", "sin", "cos", "tan", "asin", "acos", "atan"),
    *("sinh", "cosh", "asinh", "acosh", "atanh", "elu", "selu", "celu", "thresholded_relu", "shrink", "softplus"),
    *("softsign", "mish", "gelu_tanh", "is_nan", "is_infinite", "abs", "neg", "signum", "logical_not"),
    *("bit_not", "bits", "from_bits", "div", "floor_mod", "fmod", "pow", "prelu", "minimum", "maximum"),
    *(
        "wrapping_add",
        "wrapping_sub",
        "wrapping_mul",
        "equal",
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        "logical_and",
        "logical_or",
    ),
    *("logical_xor", "bit_and", "bit_or", "bit_xor", "shift_left", "shift_right", "where"),
)
"""The functions of the table `dialects/nn_functions.py`, whose module is imported when one is used."""

HAPIR = HapirUniverse(
    all_dialects={
        "nn": lazy("dialects.nn", "Nn"),
        "num": lazy("dialects.num", "Num"),
        "enc": lazy("dialects.enc", "Enc"),
        "machine": lazy("dialects.machine", "Machine"),
        "dataflow": lazy("dialects.dataflow", "Dataflow"),
        "kernel": lazy("dialects.kernel", "Kernel"),
        "rtl": lazy("dialects.rtl", "Rtl"),
    },
    all_passes={
        "simplify_arithmetic": lazy("lowering.canonical.simplify_arithmetic", "SimplifyArithmeticPass"),
        "cancel_transposes": lazy("lowering.canonical.cancel_transposes", "CancelTransposesPass"),
        "simplify_shapes": lazy("lowering.canonical.simplify_shapes", "SimplifyShapesPass"),
        "join_paddings": lazy("lowering.canonical.join_paddings", "JoinPaddingsPass"),
        "recognize_pools": lazy("lowering.canonical.recognize_pools", "RecognizePoolsPass"),
        "join_biases": lazy("lowering.canonical.join_biases", "JoinBiasesPass"),
        "recognize_norms": lazy("lowering.canonical.recognize_norms", "RecognizeNormsPass"),
        "grow_concats": lazy("lowering.canonical.grow_concats", "GrowConcatsPass"),
        "recognize_activations": lazy("lowering.canonical.recognize_activations", "RecognizeActivationsPass"),
        "infer_nn_shapes": lazy("lowering.infer_nn_shapes", "InferNnShapesPass"),
        "fold_batch_norm": lazy("lowering.compress.fold_batch_norm", "FoldBatchNormPass"),
        "prune": lazy("lowering.compress.prune", "PrunePass"),
        "filter_prune": lazy("lowering.compress.structure.filter_prune", "FilterPrunePass"),
        "structure_prune": lazy("lowering.compress.structure.structure_prune", "StructurePrunePass"),
        "quantize": lazy("lowering.compress.quantize", "QuantizePass"),
        "threshold": lazy("lowering.compress.threshold", "ThresholdPass"),
        "quantize_weights": lazy("lowering.compress.weights.quantize_weights", "QuantizeWeightsPass"),
        "fixed_point": lazy("lowering.compress.weights.fixed_point", "FixedPointPass"),
        "precision": lazy("lowering.compress.weights.precision", "PrecisionPass"),
        "equalize": lazy("lowering.compress.weights.equalize", "EqualizePass"),
        "bias_correction": lazy("lowering.compress.weights.bias_correction", "BiasCorrectionPass"),
        "round_weights": lazy("lowering.compress.round_weights", "RoundWeightsPass"),
        "use_multiplier": lazy("lowering.compress.use_multiplier", "UseMultiplierPass"),
        "encode": lazy("lowering.compress.encode", "EncodePass"),
        "bwn": lazy("lowering.compress.weights.bwn", "BwnPass"),
        "dorefa": lazy("lowering.compress.weights.dorefa", "DorefaPass"),
        "xnor_net": lazy("lowering.compress.weights.xnor_net", "XnorNetPass"),
        "twn": lazy("lowering.compress.weights.twn", "TwnPass"),
        "ttq": lazy("lowering.compress.weights.ttq", "TtqPass"),
        "syq": lazy("lowering.compress.weights.syq", "SyqPass"),
        "abc_net": lazy("lowering.compress.weights.abc_net", "AbcNetPass"),
        "low_rank": lazy("lowering.compress.structure.low_rank", "LowRankPass"),
        "tucker": lazy("lowering.compress.structure.tucker", "TuckerPass"),
        "alf_deploy": lazy("lowering.compress.structure.alf_deploy", "AlfDeployPass"),
        "separable": lazy("lowering.compress.structure.separable", "SeparablePass"),
        "csg": lazy("lowering.compress.structure.csg", "CsgPass"),
        "bsg": lazy("lowering.compress.structure.bsg", "BsgPass"),
        "crelu": lazy("lowering.compress.structure.crelu", "CreluPass"),
        "keep_accuracy": lazy("lowering.compress.keep_accuracy", "KeepAccuracyPass"),
        "mixed_precision": lazy("lowering.compress.search.mixed_precision", "MixedPrecisionPass"),
        "rao": lazy("lowering.compress.search.rao", "RaoPass"),
        "fuse": lazy("lowering.compress.fuse", "FusePass"),
        "n_ary": lazy("lowering.compress.weights.n_ary", "NAryPass"),
        "k_means": lazy("lowering.compress.weights.k_means", "KMeansPass"),
        "log2": lazy("lowering.compress.weights.log2", "Log2Pass"),
        "lq_net": lazy("lowering.compress.weights.lq_net", "LqNetPass"),
        "addnet": lazy("lowering.compress.weights.addnet", "AddnetPass"),
        "fold_constants": lazy("lowering.fold_constants", "FoldConstantsPass"),
        "integer_products": lazy("lowering.canonical.integer_products", "IntegerProductsPass"),
        "integer_scales": lazy("lowering.canonical.integer_scales", "IntegerScalesPass"),
        "read_codes": lazy("lowering.canonical.read_codes", "ReadCodesPass"),
        "choose_kernels": lazy("lowering.kernel.choose_kernels", "ChooseKernelsPass"),
        "tile_kernels": lazy("lowering.kernel.tile_kernels", "TileKernelsPass"),
        "lower_to_rtl": lazy("lowering.rtl.lower_to_rtl", "LowerToRtlPass"),
    },
    all_targets={
        "c": lazy("targets.c.target", "CTarget"),
        "verilog": lazy("targets.verilog.printer", "VerilogTarget"),
    },
    layers={
        "conv2d": lazy("dialects.nn_product_layers", "Conv2d"),
        "conv1d": lazy("dialects.nn_product_layers", "Conv1d"),
        "transposed_conv2d": lazy("dialects.nn_product_layers", "TransposedConv2d"),
        "transposed_conv1d": lazy("dialects.nn_product_layers", "TransposedConv1d"),
        "dense": lazy("dialects.nn_product_layers", "Dense"),
        "linear": lazy("dialects.nn_product_layers", "Linear"),
        "matmul": lazy("dialects.nn_product_layers", "Matmul"),
        "max_pool": lazy("dialects.nn_pool_layers", "MaxPool"),
        "max_pool_indices": lazy("dialects.nn_pool_layers", "MaxPoolIndices"),
        "avg_pool": lazy("dialects.nn_pool_layers", "AvgPool"),
        "max_pool1d": lazy("dialects.nn_pool_layers", "MaxPool1d"),
        "avg_pool1d": lazy("dialects.nn_pool_layers", "AvgPool1d"),
        "global_avg_pool": lazy("dialects.nn_pool_layers", "GlobalAvgPool"),
        "global_max_pool": lazy("dialects.nn_pool_layers", "GlobalMaxPool"),
        "relu": lazy("dialects.nn_elementwise_layers", "Relu"),
        "leaky_relu": lazy("dialects.nn_elementwise_layers", "LeakyRelu"),
        "clip": lazy("dialects.nn_elementwise_layers", "Clip"),
        "sigmoid": lazy("dialects.nn_elementwise_layers", "Sigmoid"),
        "sign": lazy("dialects.nn_elementwise_layers", "Sign"),
        "tanh": lazy("dialects.nn_elementwise_layers", "Tanh"),
        "hard_sigmoid": lazy("dialects.nn_elementwise_layers", "HardSigmoid"),
        "hard_swish": lazy("dialects.nn_elementwise_layers", "HardSwish"),
        "silu": lazy("dialects.nn_elementwise_layers", "Silu"),
        "gelu": lazy("dialects.nn_elementwise_layers", "Gelu"),
        "add": lazy("dialects.nn_elementwise_layers", "Add"),
        "sub": lazy("dialects.nn_elementwise_layers", "Sub"),
        "mul": lazy("dialects.nn_elementwise_layers", "Mul"),
        **{name: function_layer(name) for name in _FUNCTIONS},
        "cast": lazy("dialects.nn_pointwise_layers", "Cast"),
        "constant": lazy("dialects.nn_pointwise_layers", "Constant"),
        "concat": lazy("dialects.nn_layout_layers", "Concat"),
        "split": lazy("dialects.nn_layout_layers", "Split"),
        "flatten": lazy("dialects.nn_layout_layers", "Flatten"),
        "reshape": lazy("dialects.nn_layout_layers", "Reshape"),
        "transpose": lazy("dialects.nn_layout_layers", "Transpose"),
        "pad": lazy("dialects.nn_layout_layers", "Pad"),
        "resize": lazy("dialects.nn_layout_layers", "Resize"),
        "slice": lazy("dialects.nn_move_layers", "Slice"),
        "tile": lazy("dialects.nn_move_layers", "Tile"),
        "gather": lazy("dialects.nn_move_layers", "Gather"),
        "resample": lazy("dialects.nn_move_layers", "Resample"),
        "batch_norm": lazy("dialects.nn_norm_layers", "BatchNorm"),
        "layer_norm": lazy("dialects.nn_norm_layers", "LayerNorm"),
        "group_norm": lazy("dialects.nn_norm_layers", "GroupNorm"),
        "rms_norm": lazy("dialects.nn_norm_layers", "RmsNorm"),
        "local_response_norm": lazy("dialects.nn_norm_layers", "LocalResponseNorm"),
        "reduce_sum": lazy("dialects.nn_reduction_layers", "ReduceSum"),
        "reduce_mean": lazy("dialects.nn_reduction_layers", "ReduceMean"),
        "reduce_max": lazy("dialects.nn_reduction_layers", "ReduceMax"),
        "reduce_min": lazy("dialects.nn_reduction_layers", "ReduceMin"),
        "reduce_product": lazy("dialects.nn_reduction_layers", "ReduceProduct"),
        "softmax": lazy("dialects.nn_reduction_layers", "Softmax"),
        "log_softmax": lazy("dialects.nn_reduction_layers", "LogSoftmax"),
        "argmax": lazy("dialects.nn_reduction_layers", "Argmax"),
        "quantize": lazy("dialects.num_layers", "Quantize"),
        "dequantize": lazy("dialects.num_layers", "Dequantize"),
        "view": lazy("dialects.num_layers", "View"),
        "rescale": lazy("dialects.num_layers", "Rescale"),
        "requantize": lazy("dialects.num_layers", "Requantize"),
        "widen": lazy("dialects.num_layers", "Widen"),
        "sum_pool": lazy("dialects.num_layers", "SumPool"),
        "lstm": lazy("dialects.nn_recurrent_layers", "Lstm"),
        "gru": lazy("dialects.nn_recurrent_layers", "Gru"),
        "rnn": lazy("dialects.nn_recurrent_layers", "Rnn"),
    },
    units={
        "mac": lazy("dialects.machine_units", "MacUnit"),
        "requantize": lazy("dialects.machine_units", "RequantizeUnit"),
        "xnor_popcount": lazy("dialects.machine_units", "XnorPopcountUnit"),
    },
    blocks={
        "machine": lazy("spec.machine_blocks", "MachineBlock"),
        "memory": lazy("spec.machine_blocks", "MemoryBlock"),
        "array": lazy("spec.machine_blocks", "ArrayBlock"),
        "unit": lazy("spec.machine_blocks", "UnitBlock"),
        "network_on_chip": lazy("spec.machine_devices", "NetworkOnChipBlock"),
        "fpga": lazy("spec.machine_devices", "FpgaBlock"),
        "host": lazy("spec.machine_devices", "HostBlock"),
        "cache": lazy("spec.machine_devices", "CacheBlock"),
    },
    formats={
        "integer": lazy("dialects.formats", "Integer"),
        "f32": lazy("dialects.formats", "Float32"),
        "fixed": lazy("dialects.formats", "Fixed"),
        "minifloat": lazy("dialects.formats", "Minifloat"),
        "bipolar": lazy("dialects.formats", "Bipolar"),
        "ternary": lazy("dialects.formats", "Ternary"),
        "bfloat": lazy("dialects.formats", "Bfloat"),
        "power_of_two": lazy("dialects.formats_levels", "PowerOfTwo"),
        "codebook": lazy("dialects.formats_levels", "Codebook"),
        "rccm": lazy("dialects.formats_levels", "Rccm"),
    },
    multipliers={
        "exact": lazy("multipliers.exact", "Exact"),
        "truncated": lazy("multipliers.truncated", "Truncated"),
    },
    encodings={
        "dense": lazy("encodings.dense", "Dense"),
        "bit_planes": lazy("encodings.bit_planes", "BitPlanes"),
        "codebook": lazy("encodings.codebook", "Codebook"),
        "trits": lazy("encodings.trits", "Trits"),
        "bitmap": lazy("encodings.bitmap", "Bitmap"),
        "crs": lazy("encodings.crs", "Crs"),
        "ras": lazy("encodings.ras", "Ras"),
        "rle": lazy("encodings.rle", "Rle"),
        "huffman": lazy("encodings.huffman", "Huffman"),
        "smallest": lazy("encodings.smallest", "Smallest"),
    },
    evaluators={
        "accuracy": lazy("search.accuracy", "Accuracy"),
        "agreement": lazy("search.agreement", "Agreement"),
        "sqnr": lazy("search.sqnr", "Sqnr"),
    },
    dataflows={
        "weight_stationary": lazy("dialects.dataflow_kinds", "WeightStationary"),
    },
    pipelines={
        "finish": lazy("pipelines", "FINISH"),
        "canonical": lazy("pipelines", "CANONICAL"),
        "float_c": lazy("pipelines", "FLOAT_C"),
        "int8": lazy("pipelines", "INT8"),
        "rtl": lazy("pipelines", "RTL"),
        "kernels": lazy("pipelines", "KERNELS"),
    },
)


@cache
def discover() -> tuple[HapirUniverse, tuple[Diagnostic, ...]]:
    """The merged universe of this environment, and a warning for each plug-in or entry that had to be left out."""
    return merge(HAPIR, entry_points(group="xdsl.universe"))


def universe() -> HapirUniverse:
    """hapir's own entries and those of all installed plug-ins that work."""
    return discover()[0]


def make_context() -> HapirContext:
    """A fresh context with an empty weight store that knows all dialects, xDSL's own too; none is imported yet."""
    from xdsl.dialects import get_all_dialects

    from hapir.context import HapirContext

    ctx = HapirContext()
    for name, getter in {**get_all_dialects(), **universe().all_dialects}.items():
        ctx.register_dialect(name, getter)
    return ctx
