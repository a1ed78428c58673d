"""Codes of passes: HAP05xx."""

from hapir.codes.code import Code

PASSES = {
    "HAP0501": Code(
        "pass without weights",
        "The pass reads or writes parameters, and the driver that runs it carries none. `hapir opt` does, xdsl-opt "
        "does not.",
        "xdsl-opt -p fold_batch_norm net.mlir",
    ),
    "HAP0502": Code(
        "computed parameter",
        "The pass changes a parameter's numbers, and this one is the result of another op instead of a stored array.",
        "a conv2d in text IR whose weights are an nn.relu",
    ),
    "HAP0503": Code(
        "batch norm cannot be folded",
        "A batch norm is folded into the conv2d or dense layer that makes its input and that nothing else reads. One "
        "without such a layer stays, or becomes a depthwise convolution with `standalone = convolution`.",
        "fold_batch_norm(strict = true)    // and a batch norm after a pool",
    ),
    "HAP0506": Code(
        "already quantized",
        "Pruning and quantization read float weights. In a recipe, prune comes before quantize, and quantize once.",
        "quantize(...), prune(sparsity = 50 %)",
        about_order=True,
    ),
    "HAP0507": Code(
        "batch norm before quantization",
        "A batch norm has no integer form of its own: fold it into the layer before it first.",
        'recipe small { quantize(calibration = "d.npz") }    // without fold_batch_norm() before it',
        about_order=True,
    ),
    "HAP0508": Code(
        "no integer form",
        "The op cannot be computed on integers as it stands: an average pool whose windows hold different numbers of "
        "elements, an operand without a range, or an output so much finer than its accumulator that no factor fits.",
        "avg_pool(x, kernel = 3, padding = 1, count_include_pad = false)",
    ),
    "HAP0509": Code(
        "accumulator overflow",
        "With these weights and input types the sum of products may leave 32 bits. hapir proves that it cannot, or "
        "refuses.",
        "a dense layer of 100 000 inputs with 8-bit weights",
    ),
    "HAP0510": Code(
        "interrupted integer body",
        "On hardware a quantized network computes on floats only at its beginning and its end. Here floats that come "
        "from integers are quantized again: a layer that stays float, such as softmax, stands in the middle. C can do "
        "that.",
        "dense(softmax(dense(x)))",
    ),
    "HAP0511": Code(
        "channels cannot be followed",
        "Removing channels needs to know how each op passes them on, and this op's way is not known.",
        "prune(grain = filter) after fuse",
    ),
    "HAP0512": Code(
        "channels must stay",
        "The network's inputs and results keep their channels, so do those of softmax and argmax: the selected layers "
        "have no others.",
        'prune(layers = "f1", sparsity = 50 %, grain = filter)    // f1 makes the result',
    ),
    "HAP0513": Code(
        "layer would be empty",
        "Pruning so many channels would leave a layer without any.",
        "prune(sparsity = 99 %, grain = filter, scope = global)",
    ),
    "HAP0514": Code(
        "accuracy lost",
        "On the labelled data the network is less accurate than the float network by more than the recipe allows.",
        'keep_accuracy(within = 1 point, data = "test.npz")',
    ),
    "HAP0515": Code(
        "nothing to compare with",
        "keep_accuracy compares with the float network that the recipe began with; outside a recipe there is none.",
        "hapir opt -p keep_accuracy net.mlir",
    ),
    "HAP0516": Code(
        "fused already",
        "Passes that rewrite layers come before fuse, which groups the finished layers for the targets. hapir fuses at "
        "the end by itself, so a recipe need not name it.",
        "recipe small { fuse(), prune(sparsity = 50 %) }",
        about_order=True,
    ),
    "HAP0517": Code(
        "module without a schedule to lower",
        "lower_to_rtl builds the circuit of one schedule and needs it, its network and its machine in one module.",
        "hapir opt -p lower_to_rtl net.mlir",
    ),
    "HAP0518": Code(
        "format finer than f32",
        "Rounded parameters are stored in f32, and some values of this format have more digits than f32 holds.",
        "round_weights(format = i32)    // and a weight above 16777216",
    ),
    "HAP0519": Code(
        "multiplier does not suit the layer",
        "A multiplier model multiplies integers of at most 8 bits, and a model may ask for more: quantize first, and "
        "choose formats that the model takes.",
        "recipe r { use_multiplier(multiplier = truncated(bits = 2)) }    // before quantize",
    ),
    "HAP0550": Code(
        "unknown encoding",
        "No encoding of this name is registered, neither hapir's own nor a plug-in's.",
        "encode(encoding = hufman)",
    ),
    "HAP0551": Code(
        "encoding does not suit the weights",
        "An encoding may ask for a symbol that means zero, for few distinct values, or for columns that its indices "
        "reach; the message says what these weights lack.",
        "encode(encoding = trits)    // of weights with more than three values",
    ),
    "HAP0552": Code(
        "damaged encoded weights",
        "The bytes of a part are not what an encoder writes: a length, an index or a code is wrong.",
        "a weights file that was changed by hand",
    ),
    "HAP0553": Code(
        "encoded already",
        "Weights are encoded once: a second encoding would be of bytes that are no weights.",
        "encode(), encode(encoding = dense)",
        about_order=True,
    ),
    "HAP0554": Code(
        "encoded before a rewrite",
        "`encode` stores bytes, and this step would write other weights in their place: nothing would be left of the "
        "encoding. Encoding comes last in a recipe.",
        'encode(), quantize(calibration = "d.npz")',
        about_order=True,
    ),
    "HAP0530": Code(
        "codes without a zero undo pruning",
        "More than 5 % of a layer's weights are 0, and the codes that shall stand for them (signs, bipolar numbers, "
        "sums of bases) have no zero: each would come back, as large as any other. Ternary codes keep zeros, channels "
        "that prune removes stay away, and the option `zeros` lets zeros come back.",
        "recipe r { prune(sparsity = 50 %), bwn() }",
    ),
    "HAP0531": Code(
        "signs of zeros alone",
        "All weights that share a scale are 0: no positive scale times a sign stands for them. Such a filter is dead, "
        "and pruning can remove it.",
        "bwn()    // and a filter whose weights are all 0",
    ),
    "HAP0532": Code(
        "filters that do not fill their groups",
        "Scales of granularity group belong to four filters, and the layer has no multiple of four.",
        "syq(granularity = group)    // and a layer of 10 units",
    ),
    "HAP0533": Code(
        "signs that say nothing",
        "XNOR-Net takes the sign of a layer's input, and this input never changes sign: it comes out of a ReLU, or the "
        "calibration data shows it so. XNOR-Net's own block has no ReLU: batch norm, sign, convolution.",
        "xnor_net()    // and a convolution behind a relu",
    ),
    "HAP0534": Code(
        "padding between two levels",
        "An input split at its mean becomes two levels, neither of which is 0, and this layer pads with 0: its border "
        "would count the wrong level.",
        'xnor_net(center = true, calibration = "d.npz")    // and a convolution with padding',
    ),
    "HAP0535": Code(
        "batch norm left behind codes",
        "A warning: a batch norm is folded by multiplying the weights in front of it, and codes take no factor. So it "
        "stays: floats in the middle of integers, which only `threshold` can remove. Fold it first. In a binarized "
        "network, one with signs, norm and sign become one comparison, and there is no warning.",
        "recipe r { twn(), fold_batch_norm() }",
    ),
    "HAP0595": Code(
        "weights are coded already",
        "A pass that changes real weights (prune, factor, fold a batch norm, another quantizer) meets codes: it would "
        "undo what the step before it did. Prune and factor first, and code the weights last.",
        'recipe r { twn(); prune(layers = "c1", sparsity = 50 %) }',
        about_order=True,
    ),
    "HAP0596": Code(
        "parameters beyond f32",
        "What a pass makes of the weights (a folded batch norm, factors, scales, corrected biases) is larger than the "
        "largest f32. Weights of a trained network are far from that.",
        "fold_batch_norm()    // and weights of 3e38",
    ),
    "HAP0525": Code(
        "annotations contradict each other",
        "A ReLU, a pool or an op that moves data keeps the integers of its operand: what is asked of both must agree.",
        'precision(layers = "c1", activations = u8), precision(layers = "r1", activations = u4)    // r1 = relu(c1)',
    ),
    "HAP0526": Code(
        "annotation without a meaning",
        "`weight_format` and `activation_format` hold the name of a format such as `i4`, `activation_range` two "
        "numbers with 0 between them. The pass `precision` writes them so.",
        'nn.relu %x layer "r1" {activation_format = "u99"} : ...',
    ),
    "HAP0527": Code(
        "no batch norm to take a range from",
        "`sigmas` reads how a layer's results are distributed from the batch norm behind it, so it comes before "
        "fold_batch_norm, and the layer needs one.",
        'fold_batch_norm(), precision(layers = "*", activations = u4, sigmas = 3)',
        about_order=True,
    ),
    "HAP0528": Code(
        "range fixed before equalization",
        "equalize scales the channels of this activation; a range that is fixed already would no longer be its own.",
        'precision(layers = "c1", activations = u4, high = 6), equalize()',
        about_order=True,
    ),
    "HAP0529": Code(
        "weights coded before their format was asked for",
        "quantize keeps the codes of weights that are coded already, so it cannot give them another number of bits.",
        'quantize_weights(weights = i8), precision(layers = "c1", weights = i4), quantize(...)',
        about_order=True,
    ),
    "HAP0590": Code(
        "pass cannot be applied",
        "A pass of the recipe refuses the network as it stands; the message says why and the caret shows the step.",
        "a plug-in's pass that knows no concat",
    ),
    "HAP0591": Code(
        "pass left invalid IR",
        "After the pass the IR does not verify: the pass has a bug. Run it through `hapir opt --print-ir-after-change` "
        "to see what it did.",
        "a plug-in's pass that changes a type on one side only",
    ),
}
