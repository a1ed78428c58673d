"""join_biases: sums with constants along channels and features become biases, the function stays but for rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp, TensorType, f32
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.lowering.canonical.join_biases import JoinBiasesPass
from hapir.reference.interpret import run_network
from hapir.registry import make_context
from hapir.weights import Array, WeightStore

RNG = np.random.default_rng(1)
WINDOW = Window((1, 3), padding=(0, 1, 0, 1))
Make = Callable[[SSAValue, SSAValue, SSAValue | None], Any]
LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], Make]] = {
    "conv2d": ((2, 3, 1, 6), (4, 3, 1, 3), lambda x, w, b: nn.Conv2dOp(x, w, b, window=WINDOW)),
    "conv1d": ((2, 3, 6), (4, 3, 3), lambda x, w, b: nn.Conv1dOp(x, w, b, window=WINDOW)),
    "transposed": ((2, 3, 1, 6), (3, 4, 1, 3), lambda x, w, b: nn.TransposedConv2dOp(x, w, b, window=WINDOW)),
    "dense": ((2, 5), (4, 5), nn.DenseOp),
    "linear": ((2, 4, 5), (4, 5), nn.LinearOp),
}


def sample(
    kind: str, constant: tuple[int, ...], *, biased: bool, order: str, twice: bool = False
) -> tuple[nn.NetworkOp, WeightStore, Array]:
    """A layer, and a constant that is added to what it gives or taken from it."""
    shape, weight, make = LAYERS[kind]
    store = WeightStore()
    network = nn.NetworkOp("n", [("x", TensorType(f32, shape))], [("y", f32)])
    arrays = {"w": weight, "b": (4,), "k": constant}
    ops = {name: nn.WeightOp(name, TensorType(f32, size)) for name, size in arrays.items() if name != "b" or biased}
    for name in ops:
        store.put(name, RNG.normal(size=arrays[name]).astype(np.float32))
    bias: SSAValue | None = ops["b"].result if biased else None
    layer = make(network.body.block.args[0], ops["w"].result, bias)
    made, k = layer.result, ops["k"].result
    last = {"x + k": lambda: nn.AddOp(made, k), "k + x": lambda: nn.AddOp(k, made), "x - k": lambda: nn.SubOp(made, k)}
    final = last[order]()
    results = [final.result, made] if twice else [final.result]
    network.body.block.add_ops([*ops.values(), layer, final, nn.ReturnOp(results)])
    names = ["y", "z"][: len(results)]
    network.result_names = type(network.input_names)([type(network.input_names.data[0])(n) for n in names])
    network.set_result_types()
    network.verify()
    return network, store, RNG.normal(size=shape).astype(np.float32)


def joined(network: nn.NetworkOp, store: WeightStore, x: Array) -> list[str]:
    """The layers after the pass, which keeps the function."""
    expected = run_network(network, store, {"x": x})
    ctx = make_context()
    ctx.weights = store.copy()
    module = ModuleOp([network])
    JoinBiasesPass().apply(ctx, module)
    module.verify()
    for name, found in run_network(network, ctx.weights, {"x": x}).items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-4, atol=1e-5)
    return [op.name for op in network.body.block.ops if isinstance(op, nn.LayerOp)]


CHANNELS = {
    "conv2d": [(4, 1, 1), (1, 4, 1, 1), ()],
    "conv1d": [(4, 1), (1, 1, 1)],
    "transposed": [(4, 1, 1)],
    "dense": [(4,), (1, 4)],
    "linear": [(4,), (1, 1, 4), (1,)],
}


@pytest.mark.parametrize("order", ["x + k", "k + x", "x - k"])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("kind", "constant"), [(k, c) for k, shapes in CHANNELS.items() for c in shapes])
def test_a_constant_along_channels_is_a_bias(kind: str, constant: tuple[int, ...], biased: bool, order: str):
    assert len(joined(*sample(kind, constant, biased=biased, order=order))) == 1


@pytest.mark.parametrize(
    ("kind", "constant"),
    [
        ("conv2d", (6,)),
        ("conv2d", (2, 1, 1, 1)),
        ("conv1d", (4, 6)),
        ("dense", (2, 1)),
        ("dense", (3, 1, 4)),
        ("linear", (4, 1)),
    ],
)
def test_other_constants_stay(kind: str, constant: tuple[int, ...]):
    assert len(joined(*sample(kind, constant, biased=False, order="x + k"))) == 2


def test_a_layer_that_others_read_stays():
    assert len(joined(*sample("dense", (4,), biased=True, order="x + k", twice=True))) == 2
