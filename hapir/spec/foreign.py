"""Words of other languages and tools, and hapir's word for each.

Newcomers bring names from PyTorch, Keras, ONNX, TVM, Timeloop and Verilog. The tables say what they are called here, so
that an unknown name gets an answer even where the spelling is far off. A word of hapir, also one that a plug-in adds,
always comes first: the tables are asked only about names that are unknown. Their entries need not exist in this
installation; `suggest` offers those that do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping

from hapir.diagnostics import did_you_mean

_MODULES = re.compile(r"^(?:(?:torch|nn|functional|keras|layers|tf|np|onnx|jax|linen)\.)+|^f\.")

LAYERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("fc", "fullyconnected", "innerproduct", "gemm", "affine", "mlp"), ("dense",)),
    **dict.fromkeys(("conv", "convolution", "convolution2d", "cnn"), ("conv2d",)),
    **dict.fromkeys(("depthwiseconv2d", "dwconv", "depthwise", "separableconv2d"), ("conv2d",)),
    **dict.fromkeys(("convtranspose", "convtranspose2d", "deconv", "deconv2d", "conv2dtranspose"),
                    ("transposed_conv2d",)),
    **dict.fromkeys(("maxpool", "maxpool2d", "maxpooling2d", "maxpooling", "pool", "pooling"), ("max_pool",)),
    **dict.fromkeys(("avgpool", "avgpool2d", "averagepool", "averagepooling2d", "meanpool"), ("avg_pool",)),
    **dict.fromkeys(("globalaveragepool", "globalaveragepooling2d", "adaptiveavgpool2d", "gap", "globalpool"),
                    ("global_avg_pool",)),
    **dict.fromkeys(("globalmaxpool", "globalmaxpooling2d", "adaptivemaxpool2d"), ("global_max_pool",)),
    **dict.fromkeys(("bn", "batchnorm", "batchnorm1d", "batchnorm2d", "batchnormalization"), ("batch_norm",)),
    **dict.fromkeys(("ln", "layernorm", "layernormalization"), ("layer_norm",)),
    **dict.fromkeys(("cat", "concatenate", "stack", "merge"), ("concat",)),
    **dict.fromkeys(("view", "unflatten", "squeeze", "unsqueeze", "expanddims"), ("reshape", "flatten")),
    **dict.fromkeys(("permute", "swapaxes"), ("transpose",)),
    **dict.fromkeys(("upsample", "upsampling2d", "interpolate"), ("resize", "resample")),
    **dict.fromkeys(("stridedslice", "narrow", "crop", "cropping2d", "flip", "reverse"), ("slice",)),
    **dict.fromkeys(("repeat", "expand", "broadcastto", "repeatvector"), ("tile",)),
    **dict.fromkeys(("embedding", "take", "indexselect", "lookup"), ("gather",)),
    **dict.fromkeys(("zeropad2d", "zeropadding2d", "constantpad2d"), ("pad",)),
    **dict.fromkeys(("plus", "sum", "eltwise", "residual", "shortcut"), ("add",)),
    **dict.fromkeys(("multiply", "times"), ("mul",)),
    **dict.fromkeys(("bmm", "matrixmultiply", "dot"), ("matmul",)),
    **dict.fromkeys(("relu6", "hardtanh", "clamp", "clipbyvalue"), ("clip",)),
    **dict.fromkeys(("rectifier", "rectifiedlinear"), ("relu",)),
    **dict.fromkeys(("logsoftmax",), ("softmax",)),
}  # fmt: skip
"""Foreign names of layers, in small letters without `_`, and hapir's."""

NO_LAYERS: Mapping[str, str] = {
    **dict.fromkeys(
        ("dropout", "dropout2d", "spatialdropout2d", "gaussiannoise"), "only training needs it: leave it out"
    ),
    **dict.fromkeys(("identity", "noop"), "leave it out: use its input instead"),
    **dict.fromkeys(
        ("input", "inputlayer", "placeholder"),
        "inputs stand in the parentheses of the network: `network n(image: f32[1, 3, 8, 8])`",
    ),
    **dict.fromkeys(("output", "outputlayer"), "write `return value`"),
    **dict.fromkeys(("sequential", "model", "module", "modulelist"), "layers are statements: `c1 = conv2d(x, ...)`"),
    **dict.fromkeys(
        ("loss", "crossentropyloss", "mseloss", "backward"), "a spec describes the network as it runs: leave it out"
    ),
    **dict.fromkeys(("print", "assert"), "`hapir check` and `hapir run` print shapes and results: leave it out"),
}
"""Foreign names that no layer is meant for, and what to do about them."""

OPTIONS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("kernelsize", "kernelshape", "ksize", "filtersize", "poolsize", "window", "k"), ("kernel",)),
    **dict.fromkeys(("outchannels", "filters", "outplanes", "numfilters", "cout", "numoutput"), ("channels", "units")),
    **dict.fromkeys(("outfeatures", "outputs", "neurons", "numclasses", "hiddensize", "width"), ("units", "channels")),
    **dict.fromkeys(("strides", "step"), ("stride",)),
    **dict.fromkeys(("pad", "pads"), ("padding",)),
    **dict.fromkeys(("dilations", "dilationrate", "rate"), ("dilation",)),
    **dict.fromkeys(("group", "ngroups", "depthmultiplier"), ("groups",)),
    **dict.fromkeys(("usebias", "hasbias"), ("bias",)),
    **dict.fromkeys(("dim", "dims", "axes"), ("axis",)),
    **dict.fromkeys(("eps",), ("epsilon",)),
    **dict.fromkeys(("min", "minvalue", "minval"), ("low",)),
    **dict.fromkeys(("max", "maxvalue", "maxval"), ("high",)),
    **dict.fromkeys(("amount", "ratio", "rate", "density"), ("sparsity",)),
    **dict.fromkeys(("bits", "wbits", "weightbits", "weighttype", "wdtype", "dtype"), ("weights",)),
    **dict.fromkeys(("abits", "activationbits", "acttype"), ("activations",)),
    **dict.fromkeys(("calibrationdata", "dataset", "calib", "data"), ("calibration", "data")),
    **dict.fromkeys(("perchannel", "scheme", "mode"), ("granularity",)),
    **dict.fromkeys(("layer", "module", "modules", "names", "nodes", "targets"), ("layers",)),
    **dict.fromkeys(("tolerance", "maxdrop", "threshold"), ("within",)),
    **dict.fromkeys(("capacity", "depth", "entries", "bytes", "words"), ("size",)),
    **dict.fromkeys(("bw", "rate", "throughput", "readbandwidth", "sharedbandwidth", "rbw"), ("bandwidth",)),
    **dict.fromkeys(("wordbits", "wordsize", "datawidth", "wordwidth"), ("width",)),
    **dict.fromkeys(("numbanks", "nbanks"), ("banks",)),
    **dict.fromkeys(("delay", "cycles"), ("latency",)),
    **dict.fromkeys(("doublebuffer", "pingpong", "doublebuffering"), ("double_buffered",)),
    **dict.fromkeys(("stores", "keep", "tensors", "operands", "memoryoperands"), ("holds",)),
    **dict.fromkeys(("frequency", "freq", "clk", "clockrate", "fmax"), ("clock",)),
    **dict.fromkeys(("tech", "node", "process", "library"), ("technology",)),
    **dict.fromkeys(("precision", "operandprecision", "format"), ("multiply",)),
    **dict.fromkeys(("accumulator", "psumprecision"), ("accumulate",)),
}  # fmt: skip
"""Foreign names of options and settings, in small letters without `_`, and hapir's."""

NO_OPTIONS: Mapping[str, str] = {
    **dict.fromkeys(
        ("inchannels", "infeatures", "inplanes", "cin", "inputdim", "inputshape", "inputsize", "numfeatures"),
        "leave it out: it follows from the input",
    ),
    **dict.fromkeys(("activation", "act", "nonlinearity"), "an activation is a layer of its own: `r1 = relu(x)`"),
    **dict.fromkeys(("inplace", "training", "trainable", "momentum", "trackrunningstats"), "leave it out"),
    **dict.fromkeys(("name", "label"), "the name of a layer stands before the `=`: `c1 = conv2d(x, ...)`"),
    **dict.fromkeys(("device",), "leave it out: a schedule says what runs where"),
    **dict.fromkeys(("dataformat",), "leave it out: the order is N x C x H x W"),
    **dict.fromkeys(("dim", "axis"), "leave it out: it works along axis 1, the channels"),
}
"""Foreign names that no option is meant for, and what to do about them."""

PASSES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("foldbn", "fusebn", "fuseconvbn", "bnfolding", "foldnorm"), ("fold_batch_norm",)),
    **dict.fromkeys(("ptq", "quantization", "quantise", "int8", "quantizeweights"), ("quantize",)),
    **dict.fromkeys(("sparsify", "pruning", "magnitudeprune", "magnitudepruning", "sparsity"), ("prune",)),
    **dict.fromkeys(("fusion", "fuserelu", "fuselayers"), ("fuse",)),
    **dict.fromkeys(("shapeinference", "infershapes"), ("infer_nn_shapes",)),
    **dict.fromkeys(("evaluate", "accuracy", "checkaccuracy"), ("keep_accuracy",)),
}
"""Foreign names of passes, in small letters without `_`, and hapir's."""

DATAFLOWS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("ws", "weight", "nvdla", "tpu"), ("weight_stationary",)),
    **dict.fromkeys(("os", "output", "shidiannao"), ("output_stationary",)),
    **dict.fromkeys(("rs", "row", "eyeriss"), ("row_stationary",)),
    **dict.fromkeys(("is", "input"), ("input_stationary",)),
}
"""Foreign names of dataflows, and hapir's."""

BLOCKS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("buffer", "sram", "dram", "ram", "scratchpad", "storage", "regfile", "fifo", "mem"),
                    ("memory",)),
    **dict.fromkeys(("pearray", "pes", "pe", "mesh", "systolicarray", "grid", "operationalarray"), ("array",)),
    **dict.fromkeys(("alu", "mac", "multiplier", "compute", "intmac", "functionalunit"), ("unit",)),
    **dict.fromkeys(("mapping", "maplayer", "layer"), ("map",)),
}  # fmt: skip
"""Foreign names of the blocks of machines and schedules, and hapir's."""

FORMATS: Mapping[str, str] = {
    **dict.fromkeys(("float", "float32", "fp32", "single", "real"), "f32"),
    **{f"int{width}": f"i{width}" for width in (2, 3, 4, 5, 6, 7, 8, 16, 32, 64)},
    **{f"uint{width}": f"u{width}" for width in (2, 3, 4, 5, 6, 7, 8, 16, 32, 64)},
    **{f"s{width}": f"i{width}" for width in (4, 8, 16, 32)},
    **dict.fromkeys(("int", "integer"), "i32"),
    **dict.fromkeys(("byte", "uchar"), "u8"),
    "char": "i8",
}
"""Foreign names of element types and number formats, and hapir's."""

WORDS: Mapping[str, str] = {
    **dict.fromkeys(("True", "TRUE", "yes", "on"), "true"),
    **dict.fromkeys(("False", "FALSE", "no", "off"), "false"),
    **dict.fromkeys(("None", "null", "nil", "NULL"), "none"),
}
"""Foreign spellings of the words that are values."""

NO_VALUES: Mapping[tuple[str, str], str] = {
    ("padding", "same"): "the padding that keeps the size is (kernel - 1) / 2: `padding = 1` for `kernel = 3`",
    ("padding", "same_upper"): "write what is added at each side: `padding = [0, 0, 1, 1]` is top, left, bottom, right",
    ("padding", "valid"): "write `padding = 0`, or leave it out",
}
"""Foreign values of options, in small letters, and what to write instead."""

UNIT_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("bit", "bits"), "b"),
    **dict.fromkeys(("byte", "bytes"), "B"),
    **dict.fromkeys(("percent", "pct"), "%"),
    **dict.fromkeys(("sec", "second", "seconds"), "s"),
    **dict.fromkeys(("clk", "clks", "cc", "clock", "clocks"), "cycle"),
    **dict.fromkeys(("B/clk", "B/cc", "B/c"), "B/cycle"),
    **dict.fromkeys(("bps", "bit/s", "bits/s"), "b/s"),
    **dict.fromkeys(("Mbps",), "Mb/s"),
    **dict.fromkeys(("Gbps",), "Gb/s"),
    **dict.fromkeys(("um^2", "um²"), "um2"),
    **dict.fromkeys(("mm^2", "mm²"), "mm2"),
    **dict.fromkeys(("k", "K"), "KiB"),
    **dict.fromkeys(("M",), "MiB"),
}
"""Foreign spellings of units, and hapir's."""


def suggest(
    name: str,
    known: Collection[str],
    table: Mapping[str, tuple[str, ...]] | None = None,
    advice: Mapping[str, str] | None = None,
) -> str | None:
    """A help line for an unknown name: hapir's word for it, what else to do, or the closest spelling.

    `table` gives the candidates for a foreign word, of which the first that is `known` is offered; `advice` says what
    to do about words that nothing is meant for.
    """
    plain = _plain(name)
    spelt = _same_letters(plain, known)
    if spelt is not None:
        return f"write `{spelt}`"
    for candidate in (table or {}).get(plain, ()):
        if candidate in known:
            return f"here it is called `{candidate}`"
    if advice is not None and plain in advice:
        return advice[plain]
    return did_you_mean(name, known) or (did_you_mean(plain, known) if plain != name else None)


def suggest_unit(word: str, known: Iterable[str]) -> str | None:
    """A help line for a word after a number that is no unit."""
    units = list(known)
    meant = UNIT_WORDS.get(word) or UNIT_WORDS.get(word.lower())
    if meant is None:
        # `MHZ` and `mhz` are one unit in other letters; `mb` may be two, and the closest spelling decides
        same = [unit for unit in units if unit.lower() == word.lower()]
        meant = same[0] if len(same) == 1 else None
    return f"write `{meant}`" if meant in units else did_you_mean(word, units)


def suggest_value(option: str, word: str, accepts: Callable[[str], bool]) -> str | None:
    """A help line for a word that its option does not take, where hapir's spelling of it would be taken."""
    advice = NO_VALUES.get((option, word.lower()))
    if advice is not None:
        return advice
    for table in (WORDS, FORMATS):
        meant = table.get(word) or table.get(word.lower())
        if meant is not None and accepts(meant):
            return f"write `{meant}`"
    return None


def _plain(name: str) -> str:
    """A name in small letters, without the module before it and without `_`."""
    return _MODULES.sub("", name.lower()).replace("_", "")


def _same_letters(plain: str, known: Iterable[str]) -> str | None:
    """The known name that differs in case, `_` and module only."""
    same = [candidate for candidate in known if _plain(candidate) == plain]
    return same[0] if len(same) == 1 else None
