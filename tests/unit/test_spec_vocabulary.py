"""The wider vocabulary in the language: shapes, parameters, counts and names of results, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.nn_functions import FUNCTIONS
from hapir.dialects.num import shape_of
from hapir.reference import run_network
from hapir.registry import make_context, universe
from hapir.report.summary import summarize
from hapir.spec import build_module, load_spec_text
from tests.unit.test_spec_build import SPEC as FIRST
from tests.unit.test_spec_functions import REDUCTIONS

SPEC = """hap 1

network maps(image: f32[1, 4, 8, 8]) -> f32[1, 6, 16, 16] {
    t1 = transposed_conv2d(leaky_relu(image, slope = 0.1), channels = 6, kernel = 3, stride = 2, padding = 1, extra = 1)
    t2 = transposed_conv2d(sigmoid(image), channels = 6, kernel = [4, 2], stride = 2, padding = [1, 0], groups = 2)
    r1 = resize(pad(image, padding = [0, 1], channels = [1, 1], mode = reflect), size = 16, mode = bilinear)
    n1 = local_response_norm(hard_swish(r1), size = 3, alpha = 0.01)
    r2 = resize(pad(image, channels = [0, 2], value = 1), scale = 2)
    m1 = mul(t1, hard_sigmoid(global_avg_pool(t2), slope = 0.2))
    s1 = sub(silu(t2), sign(gelu(n1)))
    return add(add(m1, s1), r2)
}

network norms(signal: f32[1, 3, 20]) -> f32[1, 20, 4] {
    up = transposed_conv1d(signal, channels = 4, kernel = 4, stride = 2, padding = [1, 2], extra = 1)
    gn = group_norm(max_pool1d(up, kernel = 2, stride = 2, dilation = 3, padding = 1), groups = 2)
    rn = rms_norm(transpose(gn, axes = [0, 2, 1]), epsilon = 1e-6)
    d1 = linear(rn, units = 4)
    return relu(d1)
}

network sequences(signal: f32[1, 3, 20]) -> (scores: f32[1, 5], last: f32[1, 8], cell: f32[1, 8]) {
    c1 = conv1d(signal, channels = 6, kernel = 5, stride = 2, padding = [2, 1], groups = 3)
    p1 = max_pool1d(tanh(c1), kernel = 2)
    p2 = avg_pool1d(p1, kernel = 3, stride = 1, padding = 1, count_include_pad = true)
    n1 = layer_norm(transpose(p2, axes = [0, 2, 1]))
    l1 = lstm(n1, units = 8)
    u1 = rnn(l1, l1.h, units = 8, given = initial_h, activations = "leaky_relu 0.1", clip = 5)
    g1 = gru(u1, units = 4, bias = false, reverse = true)
    s = split(g1, sizes = [1, 3], axis = 2)
    q = matmul(transpose(s2, axes = [0, 2, 1]), s1)
    f1 = dense(concat(flatten(q), g1.h, l1.h), units = 5)
    h = split(f1, parts = 1)
    return reshape(h1, shape = 5), l1.h, l1.c
}

network places(image: f32[1, 4, 8, 8]) -> f32[1, 8, 12, 6] {
    y1 = slice(image, axis = [2, 3], start = [7, 0], size = [4, 8], step = [-2, 1])
    y2 = slice(y1, axis = 3, start = -7, step = 2)
    y3 = tile(y2, repeats = [1, 2, 1, 1])
    y4 = pad(y3, before = [0, 0, 1, 2], after = [0, 0, 1, 0], mode = wrap)
    y5 = resample(y4, scale = [2.0, 1.1], mode = linear, coordinates = align_corners)
    return resample(y5, axes = [2, 3], size = [12, 6], mode = cubic, inside = true)
}
"""


def networks(text: str) -> dict[str, nn.NetworkOp]:
    spec = load_spec_text(text, "t.hap", Path())
    modules = {name: build_module(spec, None, make_context(), name) for name in spec.networks}
    for module in modules.values():
        module.verify()
    return {name: op for name, module in modules.items() for op in module.ops if isinstance(op, nn.NetworkOp)}


def shapes(network: nn.NetworkOp) -> dict[str, list[tuple[int, ...]]]:
    """The shapes that each layer gives."""
    return {
        op.layer_name: [shape_of(result) for result in op.results]
        for op in network.walk()
        if isinstance(op, nn.LayerOp) and op.layer_name
    }


def test_shapes():
    built = networks(SPEC)
    maps, sequences = shapes(built["maps"]), shapes(built["sequences"])
    assert maps["t1"] == maps["t2"] == maps["m1"] == [(1, 6, 16, 16)]
    assert maps["r1.pad"] == [(1, 6, 8, 10)]
    assert maps["r2.pad"] == [(1, 6, 8, 8)]
    assert maps["m1.global_avg_pool"] == [(1, 6, 1, 1)]
    norms = shapes(built["norms"])
    assert norms["up"] == [(1, 4, 40)]
    assert norms["gn"] == [(1, 4, 20)]
    assert norms["rn"] == norms["d1"] == [(1, 20, 4)]
    assert sequences["c1"] == [(1, 6, 10)]
    assert sequences["p1"] == sequences["p2"] == [(1, 6, 5)]
    assert sequences["l1"] == [(1, 5, 8), (1, 8), (1, 8)]
    assert sequences["g1"] == [(1, 5, 4), (1, 4)]
    assert sequences["s"] == [(1, 5, 1), (1, 5, 3)]
    assert sequences["q"] == [(1, 3, 1)]


def test_parameters():
    keys = {
        op.key.data: shape_of(op.result)
        for network in networks(SPEC).values()
        for op in network.walk()
        if isinstance(op, nn.WeightOp)
    }
    assert keys["t1.weight"] == (4, 6, 3, 3)
    assert keys["t2.weight"] == (4, 3, 4, 2)
    assert keys["t2.bias"] == (6,)
    assert keys["c1.weight"] == (6, 1, 5)
    assert keys["d1.weight"] == (4, 4)
    assert keys["n1.gamma"] == keys["n1.beta"] == (6,)
    assert {key: shape for key, shape in keys.items() if key.startswith("l1")} == {
        "l1.weight_input": (32, 6), "l1.weight_hidden": (32, 8), "l1.bias_input": (32,), "l1.bias_hidden": (32,),
    }  # fmt: skip
    assert {key: shape for key, shape in keys.items() if key.startswith("g1")} == {
        "g1.weight_input": (12, 8), "g1.weight_hidden": (12, 4),
    }  # fmt: skip


def test_counts():
    """Multiply-accumulates, written out by hand."""
    built = networks(SPEC)
    macs = {layer.name: layer.macs for network in built.values() for layer in summarize(network).layers}
    assert macs["t1"] == 4 * 8 * 8 * 6 * 3 * 3
    assert macs["t2"] == 4 * 8 * 8 * 3 * 4 * 2
    assert macs["c1"] == 6 * 10 * 1 * 5
    assert macs["l1"] == 5 * 32 * (6 + 8)
    assert macs["g1"] == 5 * 12 * (8 + 4)
    assert macs["q"] == 3 * 1 * 5
    assert macs["d1"] == 20 * 4 * 4
    assert macs["f1"] == 5 * (3 + 4 + 8)
    assert macs["m1"] == macs["s1"] == macs["n1"] == macs["r1"] == 0


def test_they_run():
    rng = np.random.default_rng(0)
    for network in networks(SPEC).values():
        weights = {
            op.key.data: rng.standard_normal(shape_of(op.result), dtype=np.float32) / 4
            for op in network.walk()
            if isinstance(op, nn.WeightOp)
        }
        declared = shape_of(network.body.block.args[0])
        x = rng.standard_normal((3, *declared[1:]), dtype=np.float32)
        name = network.input_names.data[0].data
        together = run_network(network, weights, {name: x})
        for (result, array), value in zip(together.items(), network.return_op.values, strict=True):
            assert array.dtype == np.float32
            assert array.shape == (3, *shape_of(value)[1:])
            assert np.isfinite(array).all()
            alone = [run_network(network, weights, {name: x[i : i + 1]})[result] for i in range(3)]
            np.testing.assert_allclose(array, np.concatenate(alone), rtol=1e-4, atol=1e-5)


def test_every_layer_statement_is_built_here_or_there():
    """These networks and those of the first vocabulary use all registered layers, so none is left untested."""
    built = {
        op.name.removeprefix("nn.")
        for text in (SPEC, FIRST)
        for network in networks(text).values()
        for op in network.walk()
        if isinstance(op, nn.LayerOp)
    }
    # the 1-D pools build the ops of the others; indices, no floats, are tested with the pools
    others = {"max_pool1d", "avg_pool1d", "max_pool_indices"}
    functions = {*FUNCTIONS, *REDUCTIONS, "cast", "constant"}  # those of test_spec_functions
    # those of quantized networks are in test_spec_quantized
    quantized = {name for name, layer in universe().layers.items() if layer().__module__ == "hapir.dialects.num_layers"}
    assert built | others | functions | quantized | {"gather"} == set(universe().layers)


def network(*statements: str, input: str = "f32[1, 4, 8, 8]", result: str = "f32[1, 4, 8, 8]") -> str:
    lines = "\n    ".join(statements)
    return f"hap 1\nnetwork n(x: {input}) -> {result} {{\n    {lines}\n}}\n"


@pytest.mark.parametrize(
    ("call", "code", "message"),
    [
        ("conv1d(x, channels = 2, kernel = 3)", "HAP0301", "conv1d needs a sequence N x C x L, got shape 1x4x8x8"),
        ("conv1d(x, channels = 0, kernel = 3)", "HAP0305", "channels must be at least 1, got 0"),
        ("conv1d(x, channels = 2, kernel = 0)", "HAP0305", "must be at least 1"),
        ("conv1d(x, channels = 2, kernel = [3, 3])", "HAP0304", "`kernel` takes an integer"),
        ("max_pool1d(x, kernel = 2)", "HAP0301", "max_pool1d needs a sequence"),
        ("avg_pool1d(x, kernel = 2)", "HAP0301", "avg_pool1d needs a sequence"),
        ("transposed_conv2d(x, channels = 3, kernel = 2, groups = 2)", "HAP0301", "2 groups must divide both 4 input"),
        ("transposed_conv2d(x, channels = 3, kernel = 2, extra = 1)", "HAP0301", "must be below the stride (1, 1)"),
        ("transposed_conv2d(flatten(x), channels = 3, kernel = 2)", "HAP0301", "needs a map N x C x H x W"),
        ("matmul(x, flatten(x))", "HAP0301", "the left matrices have 8 columns, the right ones 1 rows"),
        ("transposed_conv1d(x, channels = 3, kernel = 2)", "HAP0301", "transposed_conv1d needs a sequence N x C x L"),
        ("max_pool(x, kernel = 2, padding = 2)", "HAP0301", "a window would be empty"),
        ("max_pool_indices(flatten(x), kernel = 2)", "HAP0301", "max_pool_indices needs a map"),
        ("linear(x, units = 0)", "HAP0305", "units must be at least 1, got 0"),
        ("group_norm(x, groups = 3)", "HAP0301", "3 groups must divide 4 channels"),
        ("group_norm(x, groups = 0)", "HAP0305", "groups must be at least 1, got 0"),
        ("rms_norm(x, axis = 4)", "HAP0301", "rms_norm of shape 1x4x8x8 starts at an axis of 0..3, not 4"),
        ("rms_norm(x, epsilon = -1)", "HAP0305", "epsilon must not be negative"),
        (
            "conv2d(x, x, channels = 4, kernel = 1)",
            "HAP0301",
            "the tensor in the place of weight has shape 1x4x8x8, needs 4x4x1x1",
        ),
        ("dense(flatten(x), x, x, units = 4, bias = false)", "HAP0301", "in the place of weight"),
        ("conv2d(x, x, x, x, channels = 4, kernel = 1)", "HAP0205", "`conv2d` takes one tensor, 4 given"),
        ("matmul(x)", "HAP0205", "`matmul` takes 2 tensors, 1 given"),
        ("mul(x, flatten(x))", "HAP0301", "mul needs equal shapes, or axes of size 1 that repeat"),
        ("sub(x, x, x)", "HAP0205", "`sub` takes 2 tensors, 3 given"),
        ("leaky_relu(x, slope = 1 MHz)", "HAP0302", "slope"),
        ("split(x)", "HAP0305", "say either `parts`, how many equal pieces, or `sizes`"),
        ("split(x, parts = 2, sizes = [2, 2])", "HAP0305", "say either `parts`"),
        ("split(x, parts = 0)", "HAP0305", "parts is 1 to 4096, got 0"),
        ("split(x, sizes = [4, 0])", "HAP0305", "sizes must be at least 1"),
        ("split(x, parts = 3)", "HAP0301", "the 4 of axis 1 do not split into 3 equal parts"),
        ("split(x, sizes = [1, 2])", "HAP0301", "add up to the 4 of axis 1"),
        ("split(x, parts = 2, axis = 4)", "HAP0301", "axis 4 is outside 0..3"),
        ("reshape(x, shape = [4, 0])", "HAP0305", "sizes of at least 1"),
        ("reshape(x, shape = [4, 65])", "HAP0301", "4x8x8 has 256 elements, 4x65 has 260"),
        ("transpose(x, axes = [1, 0, 2, 2])", "HAP0305", "a permutation of 0, 1, 2 ..., got [1, 0, 2, 2]"),
        ("transpose(x, axes = [0, 2, 1])", "HAP0301", "the axes of 1x4x8x8 are a permutation of 0..3"),
        ("pad(x, padding = 8, mode = reflect)", "HAP0301", "axis 2 of size 8 cannot reflect 8 elements"),
        ("pad(flatten(x), padding = 1)", "HAP0301", "pad takes a map N x C x H x W or a sequence"),
        ("pad(x, mode = mirror)", "HAP0304", "mode"),
        ("pad(x, before = [0, 0, 1, 1], padding = 1)", "HAP0305", "say either `padding` and `channels`"),
        ("pad(x, before = [0, 0, 1])", "HAP0301", "1x4x8x8 needs one padding per axis"),
        ("pad(x, before = [0, 0, 0, -1])", "HAP0305", "padding must not be negative"),
        ("reshape(x, shape = [4], axis = 5)", "HAP0301", "starts at an axis of 0..4, not 5"),
        ("slice(x, axis = 4)", "HAP0301", "axis names axes of 0..3, each once, got [4]"),
        ("slice(x, axis = [2, 2])", "HAP0301", "axis names axes of 0..3, each once, got [2, 2]"),
        ("slice(x, start = 4)", "HAP0301", "a size of at least 1"),
        ("slice(x, start = 2, size = 3)", "HAP0301", "a slice from 2 to 4 leaves axis 1 of size 4"),
        ("slice(x, step = 0)", "HAP0301", "a step that is not 0"),
        ("slice(x, axis = [2, 3], size = [1, 2, 3])", "HAP0301", "a slice along 2 axes takes one number or as many"),
        ("tile(x, repeats = [1, 2])", "HAP0301", "1x4x8x8 needs one number of repeats per axis"),
        ("gather(x, x)", "HAP0301", "the indices of nn.gather are integers"),
        ("resample(x)", "HAP0305", "say `size`, the new sizes, or `scale`, the factors, or both"),
        ("resample(x, scale = [0, 1])", "HAP0305", "scale holds positive numbers"),
        ("resample(x, scale = [2.0])", "HAP0301", "resample along 2 axes needs as many scales"),
        ("resample(x, axes = [4], size = [4])", "HAP0301", "the axes of 1x4x8x8 are 0..3, not [4]"),
        ("resample(x, size = [4, 4], coordinates = crop, region = [0, 0, 1])", "HAP0301", "needs 4 region, got 3"),
        ("resize(x)", "HAP0305", "say either `scale`, a whole factor, or `size`"),
        ("resize(x, size = 0)", "HAP0305", "at least 1"),
        ("resize(flatten(x), scale = 2)", "HAP0301", "resize needs a map N x C x H x W"),
        ("layer_norm(x, axis = 4)", "HAP0301", "starts at an axis of 0..3, not 4"),
        ("layer_norm(x, epsilon = -1)", "HAP0305", "epsilon must not be negative"),
        ("local_response_norm(x, size = 0)", "HAP0305", "size must be at least 1, got 0"),
        ("local_response_norm(x, bias = 0)", "HAP0305", "bias must be positive"),
        ("lstm(x, units = 4)", "HAP0301", "a recurrent layer needs a sequence N x T x C, got shape 1x4x8x8"),
        ("gru(x, units = 0)", "HAP0305", "units must be at least 1, got 0"),
        ("rnn(x, units = 4, given = [lengths, lengths])", "HAP0305", "given names lengths twice"),
        ("rnn(x, units = 4, given = lengths)", "HAP0301", "`given` names 1 tensors, 0 stand behind the sequence"),
        ("rnn(x, units = 4, given = start)", "HAP0304", "`given` takes one of weight_input, weight_hidden"),
        (
            "rnn(x, x, units = 4, bias = false, given = bias_input)",
            "HAP0305",
            "a layer without bias takes none as given",
        ),
        ("lstm(x, units = 4, activations = [tanh, tanh])", "HAP0305", "activations are 3 here, got 2"),
        ("rnn(x, units = 4, activations = swish)", "HAP0305", "a cell has no activation 'swish'; it has sigmoid, tanh"),
        ("rnn(x, units = 4, clip = 0)", "HAP0305", "clip must be above 0, got 0"),
    ],
)
def test_what_does_not_fit(call: str, code: str, message: str):
    with pytest.raises(HapirError) as raised:
        networks(network(f"y = {call}", "return y"))
    found = [(d.code, d.message) for d in raised.value.diagnostics]
    assert any(c == code and message in m for c, m in found), found


def test_axis_0_takes_part():
    """What the first axis is to these layers, and that they know that they change it."""
    text = network(
        "a = concat(x, x, axis = 0)",
        "b = slice(a, axis = 0, start = 1, size = 1)",
        "c = reshape(b, shape = [16, 16], axis = 0)",
        "d = transpose(c, axes = [1, 0])",
        "e = tile(d, repeats = [2, 1])",
        "f = pad(e, before = [1, 0], after = [3, 0], mode = reflect)",
        "g = reshape(gather(f, i, axis = 0), shape = [4, 16], axis = 0)",
        "s = split(g, sizes = [1, 2, 1], axis = 0)",
        "h = resample(s2, axes = [0], size = [4], coordinates = asymmetric, nearest = floor)",
        "return tile(reshape(h, shape = [1, 4, 4]), repeats = [1, 4, 2, 2])",
        input="f32[1, 4, 8, 8], i: i64[1, 4]",
        result="f32[4, 4, 8, 8]",
    )
    (built,) = networks(text).values()
    x, i = np.random.default_rng(1).standard_normal((1, 4, 8, 8), dtype=np.float32), np.array([[3, -1, 0, 35]])
    (found,) = run_network(built, {}, {"x": x, "i": i}).values()
    expected = np.pad(np.tile(x.reshape(16, 16).T, (2, 1)), ((1, 3), (0, 0)), mode="reflect")[[35, 0]]
    expected = np.tile(expected[[0, 0, 1, 1]].reshape(4, 1, 4, 4), (1, 4, 2, 2))
    np.testing.assert_array_equal(found, expected)
    changing = {op.layer_name for op in built.walk() if isinstance(op, nn.LayerOp) and not op.keeps_items}
    assert changing == {*"abcdefghs", "g.gather"}
    with pytest.raises(HapirError, match="indices from -1 to 36, axis 0 has 36 elements"):
        run_network(built, {}, {"x": x, "i": np.array([[3, -1, 0, 36]])})


def test_linear_of_a_matrix_is_dense():
    """Passes that prune and quantize know `nn.dense`."""
    text = network("y = linear(x, units = 4, bias = false)", "return y", input="f32[1, 4]", result="f32[1, 4]")
    (built,) = networks(text).values()
    assert [op.name for op in built.walk() if isinstance(op, nn.LayerOp)] == ["nn.dense"]


def test_tensors_stand_for_parameters():
    """In their order; those that are not given are stored."""
    statements = "y = conv2d(x, w, channels = 2, kernel = 1)", "return batch_norm(y, b, b, b)"
    text = network(*statements, result="f32[1, 2, 8, 8]").replace("(x:", "(w: f32[2, 4, 1, 1], b: f32[2], x:")
    (built,) = networks(text).values()
    assert [op.key.data for op in built.walk() if isinstance(op, nn.WeightOp)] == [
        "y.bias",
        "output.batch_norm.variance",
    ]


def test_pieces_and_members_of_layers():
    text = network(
        "s = split(x, parts = 2)",
        "a = concat(s[1], s2)",
        "l = lstm(reshape(a, shape = [16, 16]), units = 16)",
        "repeat i in range(1, 2) {",
        "    d = split(a, sizes = [1, 3])",
        "    r = relu(d[2])",
        "    h = gru(l, units = 4)",
        "}",
        "g = mul(reshape(h[2].h, shape = [4, 1, 1]), concat(r[1], d[2, 1]))",
        "return add(g, reshape(mul(reshape(l.h, shape = [16, 1]), l), shape = [4, 8, 8]))",
    )
    built = shapes(networks(text)["n"])
    assert built["s"] == [(1, 2, 8, 8)] * 2
    assert built["d1"] == built["d2"] == [(1, 1, 8, 8), (1, 3, 8, 8)]
    assert built["r1"] == [(1, 3, 8, 8)]
    assert built["h2"] == [(1, 16, 4), (1, 4)]
    hints = [r.name_hint for op in networks(text)["n"].walk() if isinstance(op, nn.LayerOp) for r in op.results]
    assert {"s1", "s2", "l", "l_h", "l_c", "h1_h"} <= set(hints)


def test_members_inside_blocks():
    text = network(
        "block encoder(t) { l = lstm(t, units = 2)\n return l.h }",
        "e = encoder(reshape(x, shape = [16, 16]))",
        "return mul(x, reshape(dense(concat(e, e.l.c), units = 4), shape = [4, 1, 1]))",
    )
    assert shapes(networks(text)["n"])["e.l"] == [(1, 16, 2), (1, 2), (1, 2)]


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (("s = split(x, parts = 2)", "return relu(s)"), "`s` is not one tensor but 2"),
        (("s = split(x, parts = 2)", "return s"), "`s` is not one tensor but 2"),
        (("return relu(split(x, parts = 2))",), "`output.split` is not one tensor but 2"),
        (("repeat i in range(1, 2) { s = split(x, parts = 2) }", "return s[2]"), "`s[2]` is not one tensor but 2"),
        (("s = split(x, parts = 2)", "return s3"), "there is no tensor `s3`"),
        (("l = lstm(reshape(x, shape = [16, 16]), units = 2)", "return l.g"), "there is no tensor `l.g`"),
        (("s1 = relu(x)", "s = split(s1, parts = 2)", "return s2"), "`s1` is defined twice"),
    ],
)
def test_names_that_are_no_tensor(statements: tuple[str, ...], message: str):
    with pytest.raises(HapirError) as raised:
        networks(network(*statements))
    found = [d.message for d in raised.value.diagnostics]
    assert message in found, found


def test_what_is_never_used():
    """Using any of a layer's tensors is using the layer."""
    text = network(
        "s = split(x, parts = 2)",
        "unused = split(x, parts = 2)",
        "l = lstm(reshape(x, shape = [16, 16]), units = 4)",
        "return mul(mul(x, reshape(l.c, shape = [4, 1, 1])), concat(s1, s1))",
    )
    found = load_spec_text(text, "t.hap", Path()).warnings
    assert [d.message for d in found] == ["`unused` is never used"]
