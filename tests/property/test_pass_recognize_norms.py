"""recognize_norms: norms in pieces become layers, the function stays but for rounding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp, TensorType, f32
from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn
from hapir.lowering.canonical.recognize_norms import RecognizeNormsPass
from hapir.reference.interpret import run_network
from hapir.registry import make_context
from hapir.weights import WeightStore

RNG = np.random.default_rng(4)


class Written:
    """A network of one input that is being written."""

    def __init__(self, *shape: int):
        self.network = nn.NetworkOp("n", [("x", TensorType(f32, shape))], [("y", f32)])
        self.weights = WeightStore()
        self.x: SSAValue = self.network.body.block.args[0]
        self.shape = shape

    def add(self, op: Operation) -> SSAValue:
        self.network.body.block.add_op(op)
        return op.results[0]

    def constant(self, *shape: int) -> SSAValue:
        key = self.weights.put(f"k{len(self.weights)}", RNG.normal(size=shape).astype(np.float32))
        return self.add(nn.WeightOp(key, TensorType(f32, shape)))

    def layers(self, y: SSAValue) -> list[str]:
        """The layers after the pass, which keeps the function."""
        self.network.body.block.add_op(nn.ReturnOp([y]))
        self.network.set_result_types()
        x = RNG.normal(size=self.shape).astype(np.float32)
        expected = run_network(self.network, self.weights, {"x": x})["y"]
        ctx = make_context()
        ctx.weights = self.weights.copy()
        module = ModuleOp([self.network])
        RecognizeNormsPass().apply(ctx, module)
        module.verify()
        found = run_network(self.network, ctx.weights, {"x": x})["y"]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        return [op.name.removeprefix("nn.") for op in self.network.body.block.ops if isinstance(op, nn.LayerOp)]


def normalized(w: Written, axes: list[int], epsilon: float = 1e-5) -> SSAValue:
    apart = w.add(nn.SubOp(w.x, w.add(nn.ReduceOp("mean", w.x, axes, keep=True))))
    variance = w.add(nn.ReduceOp("mean", w.add(nn.MulOp(apart, apart)), axes, keep=True))
    raised = w.add(nn.AddOp(variance, w.add(nn.FillOp(epsilon, f32))))
    return w.add(nn.PointwiseOp("div", [apart, w.add(nn.PointwiseOp("sqrt", [raised]))]))


LAYER_NORMS: list[Callable[[Written], SSAValue]] = [
    lambda w: normalized(w, [3]),
    lambda w: w.add(nn.MulOp(normalized(w, [3]), w.constant(5))),
    lambda w: w.add(nn.AddOp(w.constant(5), w.add(nn.MulOp(w.constant(5), normalized(w, [3]))))),
    lambda w: w.add(nn.AddOp(w.add(nn.MulOp(normalized(w, [2, 3]), w.constant(4, 5))), w.constant(1, 1, 4, 1))),
    lambda w: w.add(nn.AddOp(normalized(w, [1, 2, 3], 0.5), w.constant(3, 1, 1))),
]


@pytest.mark.parametrize("write", LAYER_NORMS)
def test_layer_norms(write: Callable[[Written], SSAValue]):
    w = Written(2, 3, 4, 5)
    assert w.layers(write(w)) == ["layer_norm"]


def test_what_is_no_layer_norm():
    w = Written(2, 3, 4, 5)
    assert "layer_norm" not in w.layers(normalized(w, [2]))
    w = Written(2, 3, 4, 5)
    assert w.layers(w.add(nn.MulOp(normalized(w, [3]), w.constant(4, 1)))) == ["layer_norm", "mul"]


BATCH_NORMS: list[Callable[[Written], SSAValue]] = [
    lambda w: w.add(nn.AddOp(w.add(nn.MulOp(w.x, w.constant(3, 1, 1))), w.constant(3, 1, 1))),
    lambda w: w.add(nn.SubOp(w.add(nn.MulOp(w.constant(1, 3, 1, 1), w.x)), w.constant(3, 1, 1))),
    lambda w: w.add(
        nn.AddOp(w.add(nn.MulOp(w.add(nn.SubOp(w.x, w.constant(3, 1, 1))), w.constant(3, 1, 1))), w.constant(3, 1, 1))
    ),
]


@pytest.mark.parametrize("write", BATCH_NORMS)
def test_batch_norms(write: Callable[[Written], SSAValue]):
    w = Written(2, 3, 4, 5)
    assert w.layers(write(w)) == ["batch_norm"]


def test_what_is_no_batch_norm():
    w = Written(2, 3, 4, 5)
    assert w.layers(w.add(nn.AddOp(w.add(nn.MulOp(w.x, w.constant(5))), w.constant(3, 1, 1)))) == ["mul", "add"]
    w = Written(2, 3, 4, 5)
    assert w.layers(w.add(nn.AddOp(w.x, w.constant(3, 1, 1)))) == ["add"]
