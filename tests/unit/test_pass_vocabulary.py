"""What the passes do with ops of the wider vocabulary: follow what they understand, leave the rest alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.dialects import nn, num
from hapir.dialects.num import element_type, is_float, shape_of
from hapir.lowering.compress.channel_groups import channel_groups
from hapir.lowering.compress.fold_batch_norm import FoldBatchNormPass
from hapir.lowering.compress.fuse import FusePass
from hapir.lowering.compress.prune import PrunePass
from hapir.lowering.compress.quantize import QuantizePass
from hapir.lowering.compress.threshold import ThresholdPass
from hapir.lowering.cut_integer_body import cut
from hapir.lowering.network_edits import networks_of
from hapir.lowering.schedule.conv_work import network_work
from hapir.reference import run_network
from hapir.registry import make_context
from hapir.spec import build_module, load_spec_text


class Network:
    """A network of a few statements on one input, with random weights and calibration data."""

    def __init__(self, folder: Path, result: str, *statements: str, inputs: str = "x: f32[1, 4, 6, 6]"):
        lines = "\n    ".join(statements)
        text = f"hap 1\nnetwork n({inputs}) -> f32{result} {{\n    {lines}\n}}\n"
        self.module: ModuleOp = build_module(load_spec_text(text, "t.hap", folder), None, make_context(), None)
        self.ctx = HapirContext(folder=folder)
        rng = np.random.default_rng(5)
        for op in self.network.walk():
            if isinstance(op, nn.WeightOp):
                array = rng.standard_normal(shape_of(op.result)) / 3
                positive = op.key.data.endswith("variance")
                self.ctx.weights.put(op.key.data, (np.abs(array) + 0.5 if positive else array).astype(np.float32))
        (argument,), (self.input,) = self.network.body.block.args, (name.data for name in self.network.input_names)
        self.x = rng.standard_normal((16, *shape_of(argument)[1:]), dtype=np.float32)
        np.savez(folder / "d.npz", allow_pickle=False, **{self.input: self.x})

    @property
    def network(self) -> nn.NetworkOp:
        return networks_of(self.module)[0]

    def apply(self, *steps: ModulePass) -> Network:
        for step in steps:
            step.apply(self.ctx, self.module)
            self.module.verify()
        return self

    def run(self) -> npt.NDArray[np.float32]:
        (result,) = run_network(self.network, self.ctx.weights, {self.input: self.x}).values()
        return result

    def layer(self, name: str) -> nn.LayerOp:
        found = [op for op in self.network.walk() if isinstance(op, nn.LayerOp) and op.layer_name == name]
        return found[-1]


QUANTIZE = QuantizePass(calibration="d.npz")


@pytest.mark.parametrize(
    "reader",
    [
        "split(c2, sizes = [3, 3])", "reshape(c2, shape = [6, 36])", "transpose(c2, axes = [0, 2, 3, 1])",
        "pad(c2, channels = [0, 1])", "layer_norm(c2)", "local_response_norm(c2, size = 3)",
        "lstm(reshape(c2, shape = [6, 36]), units = 3)", "mul(c2, conv2d(c2, channels = 1, kernel = 1))",
        "transposed_conv2d(c2, channels = 2, kernel = 2)", "matmul(c2, c2)",
    ],
)  # fmt: skip
def test_no_channel_leaves_that_reaches_an_op_without_a_rule(tmp_path: Path, reader: str):
    made = Network(
        tmp_path, "[1, 1]",
        "c1 = conv2d(x, channels = 8, kernel = 3, padding = 1)",
        "c2 = conv2d(c1, channels = 6, kernel = 3, padding = 1)",
        f"r = {reader}",
        f"return dense(flatten({'r2' if reader.startswith('split') else 'r'}), units = 1)",
    )  # fmt: skip
    groups = channel_groups(made.network)
    free = {op.layer_name: groups.free(op.results[0]) for op in made.network.walk() if isinstance(op, nn.LayerOp)}
    assert len(free["c1"]) == 8
    assert free["c2"] == free["r"] == []
    masked = Network(tmp_path, "[1, 1]", "return dense(flatten(x), units = 1)")
    masked.module, masked.ctx.weights, masked.x = made.module.clone(), made.ctx.weights.copy(), made.x
    masked.apply(PrunePass(0.5, layers="c1", grain="filter", shrink=False))
    made.apply(PrunePass(0.5, layers="c1", grain="filter"))
    assert shape_of(made.layer("c1").results[0]) == (1, 4, 6, 6)
    np.testing.assert_allclose(made.run(), masked.run(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "reader",
    ["leaky_relu(c1)", "hard_swish(c1)", "resize(c1, scale = 2)", "pad(c1, padding = 1)", "mul(c1, sigmoid(c1))",
     "mul(c1, global_avg_pool(c1))"],
)  # fmt: skip
def test_channels_leave_through_ops_that_keep_them(tmp_path: Path, reader: str):
    made = Network(
        tmp_path, "[1, 2, 1, 1]",
        "c1 = conv2d(x, channels = 8, kernel = 3, padding = 1)", f"r = {reader}",
        "return global_avg_pool(conv2d(r, channels = 2, kernel = 3))",
    )  # fmt: skip
    made.apply(PrunePass(0.5, layers="c1", grain="filter"))
    assert shape_of(made.layer("r").results[0])[1] == 4
    assert made.run().shape == (16, 2, 1, 1)


def test_a_norm_folds_into_a_transposed_convolution(tmp_path: Path):
    made = Network(
        tmp_path, "[1, 6, 12, 12]",
        "t = transposed_conv2d(x, channels = 6, kernel = 2, stride = 2, groups = 2, bias = false)",
        "return batch_norm(t)",
    )  # fmt: skip
    expected = made.run()
    made.apply(FoldBatchNormPass(strict=True))
    assert not [op for op in made.network.walk() if isinstance(op, nn.BatchNormOp)]
    np.testing.assert_allclose(made.run(), expected, rtol=1e-4, atol=1e-5)


def test_norms_of_sequences(tmp_path: Path):
    made = Network(
        tmp_path, "[1, 5, 34]",
        "s = reshape(x, shape = [4, 36])", "n = batch_norm(s)", "c = conv1d(n, channels = 5, kernel = 3)",
        "return batch_norm(c)",
    )  # fmt: skip
    expected = made.run()
    made.apply(FoldBatchNormPass(standalone="convolution"))
    kinds = [op.name for op in made.network.walk() if isinstance(op, nn.LayerOp)]
    assert kinds == ["nn.reshape", "nn.conv1d", "nn.conv1d"]
    np.testing.assert_allclose(made.run(), expected, rtol=1e-4, atol=1e-5)


def test_moving_data_keeps_integers(tmp_path: Path):
    made = Network(
        tmp_path, "[1, 3, 40]",
        "c = conv2d(x, channels = 4, kernel = 3, padding = 1)",
        "p = pad(resize(c, size = [4, 10]), padding = 0, channels = 2, mode = constant)",
        "s = split(transpose(p, axes = [0, 1, 3, 2]), sizes = [3, 5])",
        "d = conv1d(reshape(s2, shape = [5, 40]), channels = 3, kernel = 3, padding = 1)",
        "return max_pool1d(d, kernel = 1)",
    )  # fmt: skip
    expected = made.run()
    made.apply(QUANTIZE)
    block = made.network.body.block
    assert sum(isinstance(op, num.QuantizeOp) for op in block.ops) == 1
    assert sum(isinstance(op, num.DequantizeOp) for op in block.ops) == 1
    assert not [op for op in block.ops if isinstance(op, nn.LayerOp) and is_float(op.results[0])]
    pieces = made.layer("s").results
    assert element_type(pieces[0]) == element_type(pieces[1]) == element_type(made.layer("p").results[0])
    found = made.run()
    assert np.abs(found - expected).max() <= 0.05 * np.abs(expected).max()
    made.apply(FusePass())
    np.testing.assert_array_equal(made.run(), found)
    parts = cut(made.network)
    assert parts.prologue is not None
    assert parts.epilogue is not None


@pytest.mark.parametrize(
    "statement",
    ["sigmoid(c)", "leaky_relu(c)", "pad(c, padding = 1, value = 2)", "resize(c, scale = 2, mode = bilinear)",
     "mul(c, c)", "layer_norm(c)", "transposed_conv2d(c, channels = 4, kernel = 2)", "matmul(c, c)"],
)  # fmt: skip
def test_ops_without_an_integer_form_stay_float(tmp_path: Path, statement: str):
    made = Network(
        tmp_path, "[1, 3, 1, 1]",
        "c = conv2d(x, channels = 4, kernel = 3, padding = 1)", f"f = {statement}",
        "return global_avg_pool(conv2d(f, channels = 3, kernel = 3))",
    )  # fmt: skip
    expected = made.run()
    made.apply(QUANTIZE)
    stays = made.layer("f")
    assert is_float(stays.results[0])
    assert isinstance(stays.operands[0].owner, num.DequantizeOp)
    assert isinstance(next(iter(stays.results[0].uses)).operation, num.QuantizeOp)
    found = made.run()
    assert np.abs(found - expected).max() <= 0.1 * np.abs(expected).max() + 0.02
    network = made.apply(FusePass()).network
    whole = cut(network)  # floats stand among its integers
    assert any(is_float(result) for op in whole.body.body.block.ops for result in op.results)
    parts = whole.run({made.input: made.x}, lambda part, arrays: run_network(part, made.ctx.weights, arrays))
    (value,) = parts.values()
    np.testing.assert_array_equal(value, found)
    with pytest.raises(HapirError) as refused:
        cut(network, floats_inside=False)
    diagnostic = refused.value.diagnostics[0]
    assert diagnostic.code == "HAP0510"
    assert diagnostic.span is not None


@pytest.mark.parametrize(
    ("statement", "op"),
    [("split(c, sizes = [1, 3])", "nn.split"), ("pad(c, padding = 1)", "nn.pad"), ("resize(c, scale = 2)", "nn.resize"),
     ("transpose(c, axes = [0, 2, 3, 1])", "nn.transpose"), ("reshape(c, shape = [2, 2, 36])", "nn.reshape"),
     ("conv1d(reshape(c, shape = [4, 36]), channels = 2, kernel = 3)", "nn.reshape")],
)  # fmt: skip
def test_the_array_refuses_what_it_has_no_engine_for(tmp_path: Path, statement: str, op: str):
    made = Network(
        tmp_path, "[1, 2]", "c = conv2d(x, channels = 4, kernel = 3, padding = 1)", f"f = {statement}",
        f"return dense(flatten({'f2' if op == 'nn.split' else 'f'}), units = 2)",
    )  # fmt: skip
    body = cut(made.apply(QUANTIZE, FusePass()).network).body
    with pytest.raises(HapirError) as refused:
        network_work(body, "the array")
    (diagnostic,) = refused.value.diagnostics
    assert (diagnostic.code, diagnostic.message) == ("HAP0720", f"the array cannot run `{op}`")
    assert diagnostic.span is not None
    assert diagnostic.span.line == 4


@pytest.mark.parametrize(
    ("passes", "words"),
    [
        ((replace(QUANTIZE, requantize="float"),), "ends in a real scale"),
        ((replace(QUANTIZE, activations="u2"), ThresholdPass()), "ends in thresholds"),
    ],
)
def test_the_array_requantizes_by_integers(tmp_path: Path, passes: tuple[ModulePass, ...], words: str):
    made = Network(tmp_path, "[1, 4, 6, 6]", "return relu(conv2d(x, channels = 4, kernel = 3, padding = 1))")
    body = cut(made.apply(*passes, FusePass()).network).body
    with pytest.raises(HapirError, match=words) as refused:
        network_work(body, "the array")
    assert refused.value.diagnostics[0].code == "HAP0720"


def test_the_array_runs_no_sequence(tmp_path: Path):
    made = Network(
        tmp_path, "[1, 2, 34]", "return conv1d(s, channels = 2, kernel = 3)", inputs="s: f32[1, 4, 36]"
    )  # fmt: skip
    body = cut(made.apply(QUANTIZE, FusePass()).network).body
    with pytest.raises(HapirError, match=r"the array cannot run `nn\.conv1d`"):
        network_work(body, "the array")


def test_recurrent_layers_stay_float_at_the_end(tmp_path: Path):
    """All results of an op belong to one part of the cut, also those that nothing reads."""
    made = Network(
        tmp_path, "[1, 5]",
        "c = conv2d(x, channels = 4, kernel = 3)", "l = lstm(reshape(c, shape = [4, 16]), units = 3)",
        "g = gru(l, units = 2)",
        "return concat(l.c, g.h)",
    )  # fmt: skip
    expected = made.run()
    made.apply(QUANTIZE)
    parts = cut(made.network)
    assert parts.epilogue is not None
    assert sum(isinstance(op, nn.RecurrentOp) for op in parts.epilogue.walk()) == 2
    results = parts.run({"x": made.x}, lambda part, values: run_network(part, made.ctx.weights, values))
    np.testing.assert_array_equal(next(iter(results.values())), made.run())
    assert np.abs(made.run() - expected).max() <= 0.05


def test_numbers_stand_where_they_are_read(tmp_path: Path):
    """Numbers of a network are in the part that reads them: they do not cross, and no batch goes with them."""
    made = Network(
        tmp_path, "[1, 4]",
        "q = quantize(mul(x, 3), type = u8, scale = 0.1)", "return exp(div(dequantize(relu(q)), 7))",
        inputs="x: f32[1, 4]",
    )  # fmt: skip
    parts = cut(made.network)
    assert [sum(isinstance(op, nn.FillOp) for op in part.walk()) for part in parts.parts] == [1, 0, 1]
    assert all(shape_of(value) for part in parts.parts for value in part.body.block.args)
    results = parts.run({"x": made.x}, lambda part, values: run_network(part, made.ctx.weights, values))
    np.testing.assert_array_equal(next(iter(results.values())), made.run())
