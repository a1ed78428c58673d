"""The language by topic: what its constructs mean, which rules of the grammar they are, and an example that is right.

The rules are read from the grammar and the examples are checked by a test, so neither can grow old unnoticed; every
rule belongs to one topic.
"""

from __future__ import annotations

from dataclasses import dataclass

from hapir.catalogue.docstrings import parse_docstring
from hapir.catalogue.entry import Entry
from hapir.catalogue.grammar import rules
from hapir.spec import silence
from hapir.spec.evaluate import FUNCTIONS, SIZE, Function
from hapir.spec.lint import LINTS


@dataclass(frozen=True)
class Topic:
    """A part of the language: one line, its meaning, its rules of the grammar by name, and a whole file as example."""

    summary: str
    text: str
    rules: tuple[str, ...]
    example: str


TOPICS = {
    "files": Topic(
        "A spec is a file of definitions, and may import others.",
        """\
The first line says the version of the language. Then come constants, networks, blocks, machines, recipes and
schedules in any order; each name is defined once. A new line, `,` and `;` separate alike. A comment begins with `//`
and ends with the line.

`import` brings in the definitions of another file: one beside the importing file, or of hapir's library, as
`hapir list machines` and `hapir list networks` show. Files lie in the folder of the spec or below it, unless
`--allow-outside` is given. Constants stay in their own file.""",
        ("file", "top", "version", "import_file"),
        """\
hap 1
import "machines/ws_8x8.hap"          // the machine ws_8x8

network tiny(image: f32[1, 16]) -> f32[1, 4] {
    f1 = dense(image, units = 4); return softmax(f1)
}
""",
    ),
    "values": Topic(
        "Numbers, quantities, words, strings, lists and ranges.",
        """\
A quantity is a number with a unit on one line, like `200 MHz`, `64 KiB`, `8 B/cycle` or `50 %`. Units come from a
closed list, which `hapir list quantities` shows; a quantity of another dimension than an option takes is an error. A
list stands in brackets, and its members may be pairs like `K: 2`. `range(4, 32, step = 4)` is a list as well; both
ends are included. `i8`, `u4` and `f32` name number formats; `u8 * i8` is a product of two.

Where an option selects layers, it takes globs over their names: `"c*"`, `"stage2.*.c1"`, or a list of them; `*` stands
for any text, dots included, `?` for one character, and `"x[2].c1"` means the name that `x[2]` makes. A glob that
matches nothing is an error.""",
        ("value", "operand", "name", "list", "list_items", "element", "pair", "call", "argument", "option"),
        """\
hap 1
network tiny(image: f32[1, 2, 8, 8]) -> f32[1, 4, 6, 6] {
    c1 = conv2d(image, channels = 4, kernel = [3, 3], stride = 1)
    return relu(c1)
}
recipe smaller { prune(layers = ["c1", "r*"], sparsity = 50 %, grain = weight) }
""",
    ),
    "expressions": Topic(
        "Constants and arithmetic, exact and with units.",
        """\
`let` names a value; it may stand at the top of a file and in every body, and is seen below and inside. Numbers and
quantities combine with `+`, `-`, `*`, `/` and parentheses. Arithmetic is exact: `0.1 + 0.2` is `0.3`, `7 / 2` is 3.5,
and `8 / 2` is the integer 4. Quantities keep their dimension: `2 * 64 KiB` and `64 KiB + 1 KiB` are sizes,
`64 KiB / 16 B` is a number. Put spaces around a `/` after a unit.""",
        ("let", "sum", "plus", "minus", "product", "times", "over", "factor", "negative"),
        """\
hap 1
let n = 4
let banks = max(2, n / 2)
machine m {
    technology = cmos45
    clock = 100 MHz * 2
    memory dram { bandwidth = 8 B/cycle, latency = 20 cycle }
    memory buffer { size = n * 16 KiB - 1 KiB, banks = banks }
}
""",
    ),
    "network": Topic(
        "A network is a list of layers, each with a name.",
        """\
A network declares its inputs and results with their types, and computes from one to the other. A statement
`name = layer(tensor, option = value)` makes a layer of that name; tensors are given by position, options by name.
Layers are registered ops: `hapir list layers` shows them. Nested calls are layers too, with names made for them: in
`f1 = dense(flatten(x), units = 10)` the inner one is `f1.flatten`. Several results are declared by name and returned in
that order: `return a, b`. Layouts are N C H W.

Parameters come from the file that `weights from` names, under `<layer>.<parameter>`: `c1.weight`, `n1.gamma`,
`f1.bias`. A network without weights can be checked and estimated.

Numbers may be parameters of the network, with a default; `size(tensor, axis)` is the size of a tensor along an axis,
0 the batch and 1 the channels.""",
        (
            "network",
            "parameters",
            "parameter",
            "typed",
            "default",
            "required",
            "results",
            "network_body",
            "statement",
            "layer",
            "indices",
            "weights_from",
            "give_back",
        ),
        """\
hap 1
network two_heads(image: f32[1, 3, 8, 8], classes = 10) -> (class: f32[1, classes], score: f32[1, 1]) {
    c1 = conv2d(image, channels = 8, kernel = 3, padding = 1)
    f = flatten(relu(c1))
    f1 = dense(f, units = classes)
    f2 = dense(f, units = 1)
    return f1, f2
}
""",
    ),
    "tensors": Topic(
        "Types of tensors, functions of their elements, integers and codes.",
        """\
`f32[4, 6]` is a tensor of floats; `i8`, `u16` or `i64` are integers of that many bits, and `u1` is 0 or 1.
`f32[]` is one number.

`hapir list layers` has a function for most of what is computed element by element: `exp(x)`, `div(x, y)`,
`maximum(x, y)`, `where(c, x, y)`. Operands repeat along axes of size 1, as in numpy, and a number may stand in the
place of a tensor: `mul(x, 0.5)`. Operands have one type; `cast(x, type = i64)` gives another. Comparisons like
`greater(x, y)` give `u1`, which `where` chooses by. `wrapping_add` and its like are sums of integers modulo 2^width.
`reduce_sum`, `reduce_max` and others join elements along axes. `constant(shape = [3])` is a tensor of the weights by
itself, under `<name>.value`.

Axis 0 is the batch: most layers treat its items one by one, and such a network runs on any number of them. A layer that
works across axis 0, like `softmax(x, axis = 0)`, makes the network take exactly the shapes that it declares.

Codes are integers that stand for reals, `(q - zero_point) * scale`. Recipes make them; a network that was quantized
elsewhere says them itself: `quantize` and `dequantize` go between reals and codes, `weights = i8` in a convolution or a
dense layer makes it multiply codes by integer weights, which gives exact sums in `i32`, and `rescale` or `requantize`
makes codes of the sums.""",
        ("tensor",),
        """\
hap 1
network gated(x: f32[4, 6], gain: f32[]) -> (y: f32[4, 6], best: i64[4]) {
    centred = sub(x, reduce_mean(x, axes = 1, keep = true))
    loud = greater(abs(centred), 0.5)
    y = mul(where(loud, centred, 0), gain)
    best = cast(argmax(y, axis = 1), type = i64)
    return y, best
}
network codes(x: f32[1, 3, 8, 8]) -> f32[1, 4] {
    q = quantize(x, type = u8, scale = 0.02, zero_point = 128)
    c1 = conv2d(q, channels = 4, kernel = 3, weights = i8)
    r1 = rescale(c1, type = u8, scale = 0.05)
    return dequantize(rescale(dense(flatten(r1), units = 4, weights = i8), type = i8, scale = 0.1))
}
""",
    ),
    "block": Topic(
        "A block is a piece of a network with a name, to be used again.",
        """\
A block takes tensors and numbers, by position or by name, and returns one tensor. A call makes its layers under the
name of the call: `b = pair(x, 8)` makes `b.c1` and `b.r1`, and globs like `"b.*"` find them. Defaults may use earlier
parameters. Blocks stand at the top of a file, where importers see them, or in a network or another block.""",
        ("layer_block", "member"),
        """\
hap 1
block pair(x, channels, kernel = 3) {
    c1 = conv2d(x, channels = channels, kernel = kernel, padding = 1)
    return relu(c1)
}
network n(image: f32[1, 3, 8, 8]) -> f32[1, 8, 8, 8] {
    first = pair(image, 4)
    second = pair(first, channels = 2 * size(first, 1))
    return relu(second.c1)
}
""",
    ),
    "repeat": Topic(
        "Statements that are repeated, with a counter in their names.",
        """\
`repeat i in range(1, 4) { ... }` runs its body once for each value, not at all for `range(1, 0)`. `x[i]` is the name
made of `x` and the values of the indices: `b[2]` is `b2`, `b[2, 3]` is `b2_3`, and after a digit comes a `_`: `c1[2]`
is `c1_2`. A row of names may begin with a tensor that exists: `x[0] = image`. A plain name `c = ...` in the body is
`c[i]`: it is read as `c` in the same turn, as `c[i - 1]` in the next, and as `c[4]` after the last.""",
        ("repeat",),
        """\
hap 1
network deep(image: f32[1, 4, 8, 8]) -> f32[1, 4, 8, 8] {
    c[0] = relu(image)
    repeat i in range(1, 4) {
        c[i] = conv2d(c[i - 1], channels = 4, kernel = 3, padding = 1)
    }
    return relu(c[4])
}
""",
    ),
    "machine": Topic(
        "A machine is what there is to compute with: memories, arrays and units.",
        """\
A machine names a table of energies and areas (`hapir list technologies`) and its clock, and holds memories, arrays of
processing elements, units and what else `hapir list blocks` shows. What an array holds is there once for each element.
`hapir list units` shows the functional units.

A machine may have parameters, each with a default, and may extend another machine, whose parameters it gives: it
inherits all of it. A setting of the same name replaces the inherited one, a block of the same kind and name is merged
into it.""",
        ("machine", "extends", "body", "item", "assign", "block"),
        """\
hap 1
machine square(side = 8, buffer = 16 KiB) {
    technology = cmos45
    clock = 200 MHz
    memory dram        { bandwidth = 8 B/cycle, latency = 20 cycle }
    memory activations { size = buffer, holds = [input, output], double_buffered = true }
    memory weights     { size = 2 KiB, holds = weight }
    array pe[side, side] {
        unit mac { multiply = u8 * i8, accumulate = i32, multiplier = exact }
        memory weight_reg  { size = 1 word, holds = weight, double_buffered = true }
        memory accumulator { size = 256 word, holds = psum }
    }
    unit requantize { multiplier = u16, rounding = half_up }
}
machine large extends square(side = 16) {
    clock = 400 MHz
    memory dram { bandwidth = 16 B/cycle }
}
""",
    ),
    "recipe": Topic(
        "A recipe is a list of passes that make a network fit.",
        """\
A step is a registered pass, its arguments are the pass's options: `hapir list passes` shows them. Steps run in the
order written. A recipe may have parameters with defaults, and may call other recipes.""",
        ("recipe",),
        """\
hap 1
recipe lighter(share = 30 %) {
    fold_batch_norm()
    prune(sparsity = share)
}
recipe all {
    lighter(share = 50 %)
    quantize(weights = i8, activations = u8, calibration = "calibration.npz")
}
""",
    ),
    "schedule": Topic(
        "A schedule joins network, recipe and machine: what runs where, and in which order.",
        """\
It names the network (`of`), and where there are any the recipe (`with`) and the machine (`on`); parameters of each are
given in parentheses. `dataflow` chooses how loops run on the array: `hapir list dataflows`. What is not said is
chosen. A block `map` pins loops of one layer at the parts of the machine, from the outside in: `for` at a memory, with
the dimensions N K C P Q R S G (batch, output and input channels, output rows and columns, kernel rows and columns,
groups), `rows` and `columns` at an array, and tensors that `bypass` a memory.

A block `kernel` says how a host computes a layer in C, or the layers of a glob: the `algorithm` (direct, winograd,
sparse, ras, dsc) and what belongs to it, such as the `tile` of winograd, or `arithmetic`, `pixels`, `blocks` and
`order` of direct: see `hapir list kernels`. What is not said is chosen for the `host` of the machine, or for the one
that `--host` names.

`weights = "other.safetensors"` or `weights = random(seed = 1)` gives the network other parameters than its own, or any
where it names none, as the networks of the library do.

The only schedule of a spec is the default of every command; among several, `--schedule NAME` chooses.""",
        ("schedule", "with_recipe", "on_machine", "instance"),
        """\
hap 1
import "machines/ws_8x8.hap"
network tiny(image: f32[1, 4, 8, 8], channels = 8) -> f32[1, channels, 6, 6] {
    c1 = conv2d(image, channels = channels, kernel = 3)
    return relu(c1)
}
schedule small of tiny(channels = 16) on ws_8x8 {
    dataflow = weight_stationary
    map c1 {
        at dram { for = [K: 2] }
        at pe   { rows = [C], columns = [K] }
    }
    kernel c1 { algorithm = winograd, tile = 4 }
}
""",
    ),
    "warnings": Topic(
        "Warnings, and comments that silence them.",
        parse_docstring(silence.__doc__ or "").text + f"\n\nWarnings of every check: {', '.join(LINTS)}.",
        (),
        """\
hap 1
network tiny(image: f32[1, 16]) -> f32[1, 16] {
    r1 = relu(image)          // hapir: allow HAP0220
    return softmax(image)
}
""",
    ),
}


def topic_entries() -> list[Entry]:
    """The topics of the language, each with its rules of the grammar."""
    known = rules()
    return [_entry(name, topic, "\n".join(str(known[rule]) for rule in topic.rules)) for name, topic in TOPICS.items()]


def _entry(name: str, topic: Topic, grammar: str) -> Entry:
    text = f"{topic.text}\n\nGrammar:\n\n```\n{grammar}\n```" if grammar else topic.text
    return Entry("topic", name, topic.summary, text, example=topic.example.rstrip())


def function_entries() -> list[Entry]:
    """The functions of expressions."""
    size = Entry(
        "function",
        SIZE,
        f"`{SIZE}(tensor, axis)`: the size of a tensor along an axis, 0 the batch and 1 the channels.",
        "Only in networks and blocks, where there are tensors.",
        example=f"let n = {SIZE}(x, 1)",
    )
    return [*(_function(name, function) for name, function in FUNCTIONS.items()), size]


def _function(name: str, function: Function) -> Entry:
    takes = "Takes quantities of one dimension as well, and gives one." if function.measures else ""
    arguments = ", ".join(("8", "3")[: function.arity or 2])
    return Entry(
        "function",
        name,
        f"`{function.signature}`: {function.text}.",
        takes,
        example=f"let n = {name}({arguments})",
    )
