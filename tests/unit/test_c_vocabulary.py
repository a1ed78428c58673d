"""The C target and the wider vocabulary: what its kernels do, and what it refuses, with the place."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import ArrayAttr, StringAttr, TensorType, f32
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.nn_functions import FUNCTIONS
from hapir.dialects.nn_op import UnaryOp
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import shape_of
from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.plan_moves import axis_of, loops, strides
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.kernel.steps import Axis, reads, scratch
from hapir.lowering.network_edits import replace
from hapir.reference import run_network
from hapir.registry import make_context, universe
from hapir.spec import build_module, load_spec_text
from hapir.targets.c.build import build_c
from hapir.targets.c.emit import CArtefact, emit_c
from hapir.weights import WeightStore

WARNINGS = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic")


def network(result: str, *statements: str, inputs: str = "x: f32[1, 4, 6, 6]") -> tuple[nn.NetworkOp, WeightStore]:
    lines = "\n    ".join(statements)
    text = f"hap 1\nnetwork n({inputs}) -> {result if result.startswith('(') else f'f32{result}'} {{\n    {lines}\n}}\n"
    module = build_module(load_spec_text(text, "t.hap", Path()), None, make_context(), None)
    (built,) = (op for op in module.ops if isinstance(op, nn.NetworkOp))
    rng, store = np.random.default_rng(3), HapirContext().weights
    for op in built.walk():
        if isinstance(op, nn.WeightOp):
            store.put(op.key.data, rng.uniform(0.2, 1, shape_of(op.result)).astype(np.float32))
    return built, store


def test_what_has_no_kernel_is_refused_at_its_place():
    """A form of an op, and an op that hapir does not know."""
    built, store = network("[1, 2, 3, 4, 6]", "r = reshape(x, shape = [2, 3, 4, 6])", "return local_response_norm(r)")
    with pytest.raises(HapirError) as refused:
        emit_c(built, store)
    (diagnostic,) = refused.value.diagnostics
    assert diagnostic.code == "HAP0709"
    assert diagnostic.message == "the C target has no kernel for nn.local_response_norm of 1x2x3x4x6"
    assert diagnostic.span is not None
    assert diagnostic.span.line == 4
    built, store = network("[1, 4, 6, 6]", "return relu(x)")
    relu = built.body.block.first_op
    assert isinstance(relu, nn.ReluOp)
    replace(relu, PluginOp(relu.x, layer="p"))
    with pytest.raises(HapirError, match=r"the C target has no kernel for nn\.plugin"):
        emit_c(built, store)


@irdl_op_definition
class PluginOp(UnaryOp):
    """An op of somebody else's."""

    name = "nn.plugin"

    def result_type(self) -> Attribute:
        return self.x.type


def check(built: nn.NetworkOp, store: WeightStore, *, batch: int = 3) -> CArtefact:
    """The C of a network gives what the reference gives."""
    artefact = emit_c(built, store)
    inputs = {
        name.data: np.random.default_rng(i).standard_normal((batch, *shape_of(v)[1:]), dtype=np.float32)
        for i, (name, v) in enumerate(zip(built.input_names, built.body.block.args, strict=True))
    }
    expected = run_network(built, store, inputs)
    found = build_c(artefact, flags=WARNINGS, cache=False).run(inputs)
    for name, array in expected.items():
        np.testing.assert_allclose(
            np.asarray(found[name], np.float32), array, rtol=2e-5, atol=2e-5 * (1 + float(np.abs(array).max()))
        )
    return artefact


KERNELS: list[tuple[str, tuple[str, ...]]] = [
    ("[1, 4, 6, 6]", ("a = sigmoid(silu(tanh(x)))", "b = leaky_relu(gelu(a), slope = 0.1)",
                      "return hard_swish(hard_sigmoid(sub(b, x), slope = 0.3))")),
    ("[1, 4, 6, 6]", ("return add(sign(x), sign(relu(x)))",)),
    ("[1, 4, 6, 6]", ("g = mul(x, sigmoid(global_avg_pool(x)))", "return sub(global_max_pool(g), mul(g, x))")),
    ("[1, 6, 6, 4]", ("return transpose(mul(x, x), axes = [0, 3, 2, 1])",)),
    ("[1, 4, 6, 6]", ("s = split(relu(x), sizes = [1, 2, 1])", "return concat(s3, s1, s2)")),
    ("[1, 4, 6, 6]", ("s = split(x, parts = 3, axis = 2)", "return concat(s3, relu(s3), s1, axis = 2)")),
    ("[1, 7, 9, 12]", ("return pad(relu(x), padding = [1, 2, 2, 4], channels = [2, 1], value = -0.25)",)),
    ("[1, 7, 9, 12]", ("return pad(x, padding = [1, 2, 2, 4], channels = [2, 1], mode = reflect)",)),
    ("[1, 5, 9, 12]", ("return pad(relu(x), padding = [1, 2, 2, 4], channels = [0, 1], mode = edge)",)),
    ("[1, 4, 5, 13]", ("return resize(relu(x), size = [5, 13])",)),
    ("[1, 2, 3, 4, 6]", ("return reshape(relu(x), shape = [2, 3, 4, 6])",)),
    ("[1, 2, 9, 5]", ("s = slice(relu(x), axis = [1, 2, 3], start = [1, -1, 0], size = [2, 3, 5], step = [1, -2, 1])",
                      "return tile(s, repeats = [1, 1, 3, 1])")),
    ("[1, 4, 9, 5]", ("r = resample(x, scale = [1.5, 0.9], mode = linear, coordinates = align_corners)",
                      "return resample(relu(r), size = [9, 5], mode = cubic, inside = true, antialias = true)")),
    ("[1, 7, 7, 4]", ("r = resample(transpose(x, axes = [0, 2, 3, 1]), axes = [1, 2], size = [7, 7], nearest = ceil)",
                      "return resample(r, axes = [2], size = [7], mode = linear, coordinates = crop,"
                      "region = [0.2, 1.5], outside = 3)")),
    ("[1, 4, 6, 6]", ("t = transpose(x, axes = [0, 1, 3, 2])", "return matmul(relu(t), matmul(x, x))")),
    ("[1, 3, 17]", ("s = relu(reshape(x, shape = [4, 36]))",
                    "c = conv1d(s, channels = 6, kernel = 3, stride = 2, padding = [1, 0], groups = 2)",
                    "p = max_pool1d(c, kernel = 2, stride = 1)",
                    "a = avg_pool1d(p, kernel = 2, stride = 1, padding = [0, 1])",
                    "return conv1d(a, channels = 3, kernel = 1)")),
    ("[1, 5]", ("s = reshape(x, shape = [4, 36])", "d = conv1d(s, channels = 8, kernel = 5, groups = 4, dilation = 2)",
                "f = flatten(concat(d, relu(d), axis = 2))", "return dense(f, units = 5)")),
    ("[1, 8, 1]", ("s = pad(reshape(x, shape = [4, 36]), padding = [2, 0], channels = [0, 4])",
                   "return add(global_avg_pool(s), global_max_pool(s))")),
    ("[1, 6, 13, 14]", ("t = transposed_conv2d(relu(x), channels = 6, kernel = [3, 2], stride = 2, groups = 2,"
                        "padding = [1, 0, 0, 0], extra = [1, 0])",
                        "return resize(t, size = [13, 14], mode = bilinear)")),
    ("[1, 3, 5, 9]", ("t = transposed_conv2d(x, channels = 3, kernel = 2, dilation = 2, bias = false, padding = 1)",
                      "return resize(t, size = [5, 9], mode = bilinear_corners)")),
    ("[1, 4, 6, 6]", ("n = layer_norm(relu(x))", "m = layer_norm(n, axis = 1, epsilon = 0.01)",
                      "l = local_response_norm(m, size = 3, alpha = 0.5)",
                      "return local_response_norm(l, size = 8, alpha = 0.5, bias = 2)")),
    ("[1, 11]", ("s = transpose(reshape(x, shape = [4, 36]), axes = [0, 2, 1])", "l = lstm(s, units = 3)",
                 "b = lstm(relu(l), units = 2, reverse = true, bias = false)", "g = gru(add(b, b), units = 4)",
                 "r = gru(g, units = 2, reverse = true, bias = false)", 
                 "return concat(relu(l.h), l.c, r.h, sub(b.c, tanh(b.h)), dense(flatten(r), units = 1))")),
    ("[1, 9]", ("s = reshape(x, shape = [4, 36])", "a = rnn(s, units = 3, reverse = true)",
                "b = rnn(a, units = 2, activations = elu, clip = 0.5, bias = false)",
                "c = concat(a, b, axis = 2)",
                "g = gru(c, units = 3, reset_after = false, activations = [hard_sigmoid, softsign])",
                "l = lstm(g, a.h, g.h, units = 3, given = [initial_h, initial_c], peepholes = true, clip = 3)",
                "return concat(l.h, l.c, g.h)")),
    ("[1, 4, 4, 3]", ("m = max_pool(relu(x), kernel = [2, 3], stride = 1, padding = [3, 2, 1, 1], dilation = [3, 2])",
                      "a = avg_pool(m, kernel = 2, stride = 1, padding = [2, 0], dilation = [3, 1])",
                      "return avg_pool(a, kernel = [5, 4], stride = 1, padding = 4, dilation = [3, 3],"
                      "count_include_pad = true)")),
    ("[1, 3, 5, 3]", ("c = relu(conv2d(x, channels = 3, kernel = 3, padding = 1))",
                      "m = max_pool(c, kernel = 2, stride = [1, 5], padding = [0, 0, 0, 1], dilation = [2, 1])",
                      "return max_pool(conv2d(m, channels = 3, kernel = 1), kernel = 2, stride = 1, padding = 1)")),
    ("[1, 5, 44]", ("t = transposed_conv1d(relu(reshape(x, shape = [4, 36])), channels = 6, kernel = 3, groups = 2,"
                    "padding = [1, 0], bias = false)",
                    "return transposed_conv1d(t, channels = 5, kernel = 4, dilation = 2, extra = 1)")),
    ("[1, 36, 9]", ("s = linear(transpose(reshape(x, shape = [4, 36]), axes = [0, 2, 1]), units = 5)",
                    "return linear(gelu(linear(s, units = 16)), units = 9, bias = false)")),
    ("[1, 4, 6, 6]", ("g = group_norm(relu(x), groups = 2)", "return rms_norm(rms_norm(g, axis = 1), epsilon = 0.1)")),
    ("[1, 4]", ("r = group_norm(reshape(x, shape = [4, 36]), groups = 4)",
                "return add(flatten(global_max_pool(r)), group_norm(flatten(global_max_pool(x)), groups = 2))")),
    ("[1, 4, 6, 3]", ("return linear(relu(linear(relu(x), units = 5)), units = 3)",)),
    ("[1, 9]", ("c = batch_norm(conv2d(x, channels = 4, kernel = 3, padding = 1))",
                "p = avg_pool(max_pool(clip(c, low = 0, high = 6), kernel = 2), kernel = 3)",
                "return softmax(dense(flatten(p), units = 9))")),
    ("[1, 4]", ("a = add(reduce_sum(x, axes = [2, 3]), reduce_mean(x, axes = [2, 3]))",
                "b = mul(reduce_max(x, axes = [2, 3]), reduce_min(x, axes = [2, 3]))",
                "return log_softmax(add(add(a, b), reduce_product(x, axes = [2, 3])))")),
]  # fmt: skip
"""What the C target computes: a result shape, and statements on `x`."""


def test_every_layer_has_a_kernel():
    """In these tests, that is: no layer falls through unseen."""
    called = {name for _, lines in KERNELS for line in lines for name in re.findall(r"(\w+)\(", line)}
    functions = {*FUNCTIONS, "cast", "constant"}  # those of test_c_pointwise
    quantized = {"dequantize", "quantize", "requantize", "rescale", "sum_pool", "view", "widen"}  # of test_c_reference
    assert called | functions | quantized | {"argmax", "gather", "max_pool_indices"} == set(universe().layers)


@pytest.mark.parametrize(("result", "statements"), KERNELS)
def test_kernels(result: str, statements: tuple[str, ...]):
    check(*network(result, *statements))
    check(*network(result.replace("[1,", "[2,"), *statements, inputs="x: f32[2, 4, 6, 6]"), batch=4)


def test_results_that_are_inputs_and_maps_that_are_seen_in_two_shapes():
    """Buffers that hold a map in the network's order are read again, by the shape that they were moved in."""
    results = "(same: f32[1, 4, 6, 6], y: f32[1, 4, 6, 6], z: f32[1, 12, 2, 6])"
    statements = "a = reshape(x, shape = [12, 2, 6])", "return x, relu(layer_norm(x)), add(relu(a), layer_norm(a))"
    built, store = network(results, *statements)
    check(built, store)


def test_a_reshape_of_a_vector_is_no_copy():
    artefact = check(*network("[1, 3, 2]", "return reshape(relu(x), shape = [3, 2])", inputs="x: f32[1, 6]"))
    assert [row.kernel for row in artefact.layers] == ["elementwise"]
    artefact = check(*network("[1, 6]", "return reshape(relu(x), shape = 6)", inputs="x: f32[1, 6]"))
    assert [row.kernel for row in artefact.layers] == ["elementwise"]


def test_macs_of_a_product_of_matrices():
    built, store = network("[1, 4, 6, 6]", "return matmul(x, x)")
    assert [row.macs for row in emit_c(built, store).layers if row.kernel == "matmul"] == [4 * 6 * 6 * 6]


def test_neighbours_are_copied_at_once():
    built, store = network("[1, 8]", "s = split(x, sizes = [8, 4])", "return relu(s1)", inputs="x: f32[1, 12]")
    text = emit_c(built, store).files["n.c"]
    assert re.search(r"memcpy\(y, x, sizeof\(\*y\) \* 8\);", text)


def test_strides():
    assert strides((2, 3, 4, 5), channels_last=False) == (60, 20, 5, 1)
    assert strides((2, 3, 4, 5), channels_last=True) == (60, 1, 15, 3)
    assert strides((2, 3, 4), channels_last=True) == (12, 1, 3)


def test_loops_join_where_they_continue_each_other():
    assert loops([Axis(2, 12, 12), Axis(1, 7, 7), Axis(3, 4, 4), Axis(4, 1, 1)]) == (Axis(24, 1, 1),)
    assert loops([Axis(3, 1, 4), Axis(4, 3, 1)]) == (Axis(3, 1, 4), Axis(4, 3, 1))
    assert loops([Axis(3, 0, 4), Axis(4, 1, 1)]) == (Axis(3, 0, 4), Axis(4, 1, 1))


def test_places_become_strides_or_tables():
    assert axis_of(np.array([3, 4, 5]), 10, 2, "p") == (Axis(3, 10, 2), 30)
    assert axis_of(np.array([2, 1, 0]), 10, 1, "p") == (Axis(3, -10, 1), 20)
    assert axis_of(np.array([4]), 10, 1, "p") == (Axis(1, 0, 1), 40)
    axis, first = axis_of(np.array([1, 0, 1]), 10, 1, "p")
    assert isinstance(axis.read, Table)
    assert (axis.read.values.tolist(), first) == ([10, 0, 10], 0)


def test_numbers_stand_for_whole_parameters():
    """A number for all weights of a layer, for a result, and beside a join that is no function of elements."""
    built = nn.NetworkOp("n", [("x", TensorType(f32, (1, 3, 4, 4)))], [])
    x = built.body.block.args[0]
    w, same, one = (nn.FillOp(v, f32, shape) for v, shape in ((0.5, (2, 3, 1, 1)), (2.0, (1, 2, 4, 4)), (1.5, (1, 5))))
    conv = nn.Conv2dOp(x, w.result, None, window=Window((1, 1)))
    joined = nn.ConcatOp([conv.result, same.result])
    built.body.block.add_ops([w, same, one, conv, joined, nn.ReturnOp([joined.result, one.result])])
    built.result_names = ArrayAttr([StringAttr("y"), StringAttr("z")])
    built.set_result_types()
    built.verify()
    given = {"x": np.arange(48, dtype=np.float32).reshape(1, 3, 4, 4)}
    found, expected = build_c(emit_c(built, WeightStore())).run(given), run_network(built, {}, given)
    assert all(np.array_equal(found[name], array) for name, array in expected.items())


@pytest.mark.parametrize(("result", "statements"), KERNELS)
def test_steps_read_what_was_written(result: str, statements: tuple[str, ...]):
    """Also where results are written over operands, and buffers take other numbers."""
    built, store = network(result, *statements)
    program = plan_program(built, store)
    written = {port.buffer for port in program.inputs}
    for step in program.steps:
        arena = {b for b in reads(step) if program.buffers[b].home != "constant"}
        assert arena <= written, f"{step.origin.layer} reads buffers that nothing wrote: {arena - written}"
        written |= {step.target, *scratch(step)}
