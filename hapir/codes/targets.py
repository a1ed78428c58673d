"""Codes of targets: HAP07xx."""

from hapir.codes.code import Code

TARGETS = {
    "HAP0701": Code(
        "type without a C form",
        "The C target computes on f32 and on integers of up to 32 bits, quantized or raw.",
        "nn.relu on tensor<1x4xf64>",
    ),
    "HAP0703": Code(
        "parameter is not constant",
        "Biases of integer sums, multipliers and shifts are packed when the C is written, so they must be `nn.weight` "
        "ops, and not computed by the network. Weights and biases of floats may be.",
        "nn.dense %x, %w bias %b   // of integers, where %b is an input of the network",
    ),
    "HAP0704": Code(
        "weights not finite",
        "A weight, or a scale made of weights, is infinite or not a number. Train again, or raise the batch norm's "
        "epsilon.",
        "a batch norm with variance 0 and epsilon 0",
    ),
    "HAP0705": Code(
        "shift too large",
        "A requantization shifts a 64-bit product by at most 62.",
        "num.requantize with a shift of 63 in its table",
    ),
    "HAP0706": Code(
        "scales along another axis",
        "Activations with one scale per index are supported along axis 1, the channels.",
        'num.quantize to !num.per_channel<si8, 0, "x.scale"> // scales along the batch',
    ),
    "HAP0707": Code(
        "clip on raw integers",
        "The bounds of a clip are real numbers; raw integers have no scale to read them by.",
        "nn.clip on tensor<1x4xsi32>",
    ),
    "HAP0708": Code(
        "buffer too large",
        "The C indexes with 32 bits: a tensor or table may take at most 2 GiB.",
        "conv2d on f32[64, 1024, 128, 128]",
    ),
    "HAP0709": Code(
        "no C kernel",
        "The C target does not know this operation. Lower it to operations of `nn` and `num` first.",
        "hapir opt -t c net.mlir   // where net.mlir holds an op of a plug-in",
    ),
    "HAP0710": Code(
        "sum may overflow",
        "With these weights, and any input that the types allow, a sum can leave 32 bits. Integer sums are proven to "
        "fit and never checked at run time.",
        "a dense layer of 100000 inputs, all weights 127",
    ),
    "HAP0711": Code(
        "multiplier without C text",
        "The model of a multiplier says what it means in numpy, but gives no C for it: such a layer runs on the "
        "reference, and on hardware where the model has a circuit.",
        "use_multiplier(multiplier = a_plug_ins_model)   // and --on c",
    ),
    "HAP0714": Code(
        "no kernel on bit planes",
        "Bit planes are counted where activations and weights are integers of at most 4 bits; each plane of one meets "
        "each of the other. The message says what this layer has instead.",
        "kernel c1 { arithmetic = bits }   // and activations of 8 bits",
    ),
    "HAP0715": Code(
        "an arithmetic that a layer cannot have",
        "Weights of at most 16 different values can be stored as codes of 1 to 4 bits and looked up while they are "
        "multiplied by bytes. Others are stored as bytes, and layers of wider integers multiply neither. Layers of "
        "floats are computed in bf16 unless each filter reads one channel, or a weight is past the largest bfloat16.",
        "kernel c1 { arithmetic = codes }   // and weights of 8 bits",
    ),
    "HAP0716": Code(
        "unknown arithmetic",
        "Layers of integers count bit planes (`bits`), look up weights that are stored as codes (`codes`), or multiply "
        "bytes (`bytes`). Layers of floats have `bf16`. Without a choice the cheapest of integers is taken, and f32.",
        "kernel c1 { arithmetic = bf16 }   // on a layer of integers",
    ),
    "HAP0717": Code(
        "formats without a sparse kernel",
        "Kernels that skip zeros multiply f32, bytes by signed bytes, and signed 16-bit by signed 16-bit integers; "
        "Reduce-and-Scale adds activations of up to 8 bits, signed or not. Other formats are computed densely.",
        "kernel c1 { algorithm = ras }   // and activations of 16 bits",
    ),
    "HAP0718": Code(
        "too many levels for Reduce-and-Scale",
        "Reduce-and-Scale keeps one sum per magnitude of the weights and multiplies once per magnitude. With more than "
        "32 of them that saves nothing.",
        "kernel c1 { algorithm = ras }   // and weights quantized to 8 bits",
    ),
    "HAP0719": Code(
        "no kernel by minimal filtering",
        "Minimal filtering (Winograd) computes tiles of 2 or 4 results from windows of 3x3, or of 3 in a row, of "
        "stride 1 over all channels, on floats and on bytes. On bytes the transformed weights and inputs must fit 16 "
        "bits and the sums, times 4 or 64, must fit 32. What the layer lacks is said.",
        "kernel c1 { algorithm = winograd }   // and c1 has stride 2",
    ),
    "HAP0720": Code(
        "operation that the hardware lacks",
        "The accelerator runs convolutions and dense layers with requantization, relu, clip and max-pooling on the way "
        "out. Other operations run in C.",
        "g1 = global_avg_pool(c1)   // on --on rtl",
    ),
    "HAP0721": Code(
        "network that is not a chain",
        "The accelerator runs one image at a time through layers that each read what the one before wrote. Networks "
        "with several inputs, outputs or branches run in C.",
        "s1 = add(c1, c2)   // on --on rtl",
    ),
    "HAP0723": Code(
        "not a threshold of non-zeros",
        "The dense-sparse kernel takes a 3x3 kernel of one filter and channel as dense where it has at least `tau` "
        "non-zeros. It can have 0 to 9, so thresholds are 0 to 10.",
        "#kernel.choice<dsc, {tau = 11 : i64}>",
    ),
    "HAP0724": Code(
        "no dense-sparse kernel",
        "The dense-sparse kernel mixes lists of non-zeros with minimal filtering, and takes what both take: windows of "
        "3x3 and stride 1 over all channels, on floats or bytes, with sums that 32 bits hold in the end.",
        "kernel c1 { algorithm = dsc }   // and c1 has groups",
    ),
    "HAP0728": Code(
        "unknown host",
        "Kernels are chosen for the host of a machine of the spec or the library, for `native`, the computer that "
        "compiles, or for `generic`, a server with AVX-512. A machine without a `host` block is none.",
        "hapir compile digits.hap -o out --host tiny_ws",
    ),
    "HAP0729": Code(
        "kernel for no layer",
        "A block `kernel` of a schedule names layers that are no convolutions or dense layers after the recipe: only "
        "these have kernels to choose from.",
        "kernel r1 { algorithm = winograd }   // where r1 is a relu",
    ),
    "HAP0730": Code(
        "kernel that cannot compute the layer",
        "A block `kernel` of a schedule asks for an algorithm that does not compute this layer: its window, its "
        "formats or its weights are not such. The message says why, and which kernels it can have.",
        "kernel c1 { algorithm = winograd }   // where c1 has kernel = 5",
    ),
    "HAP0731": Code(
        "register block that the layer cannot have",
        "`pixels` are neighbours in a row of the result and `blocks` are vectors of 16 filters of one group; a layer "
        "may have fewer. Depthwise layers and those of a multiplier model are not computed in such blocks.",
        "kernel f1 { pixels = 8 }   // where f1 is a dense layer of one image",
    ),
    "HAP0741": Code(
        "no Verilog text",
        "The Verilog printer knows `hw.module`, `hw.instance`, `hw.constant`, all `comb` ops and the `rtl` dialect, on "
        "bit vectors. Lower everything else to these first.",
        "hapir opt -t verilog net.mlir   # where net.mlir holds an nn.network",
    ),
    "HAP0742": Code(
        "illegal external name",
        "hapir may rename its own modules and ports, but not those of a module written elsewhere.",
        "hw.module.extern @reg(in %x: i8)",
    ),
    "HAP0743": Code(
        "net without a driver",
        "A register needs an rtl.next and a wire an rtl.assign. A value is computed before it is read; feedback goes "
        "through registers or wires.",
        '%busy = rtl.wire "busy" : i1   // and no rtl.assign',
    ),
    "HAP0744": Code(
        "simulation took too long",
        "The circuit did not raise `done` within the cycles it was given: it waits for something that never comes, or "
        "the limit is too low.",
        "hapir run net.hap --on rtl",
    ),
    "HAP0745": Code(
        "circuit left its memory",
        "In simulation the circuit asked for a memory word beyond the end of the outside memory.",
        "hapir run net.hap --on rtl",
    ),
    "HAP0790": Code(
        "unknown target",
        "`--target` names something that hapir cannot emit.",
        "hapir compile digits.hap -o out --target vhdl",
    ),
    "HAP0791": Code(
        "target cannot take this network",
        "Hardware and estimates need a schedule that names a machine, and a network on integers: a recipe that "
        "quantizes.",
        "hapir run digits.hap --on rtl --recipe none --input digits_test.npz",
    ),
}
