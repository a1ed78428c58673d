"""Relayouts move the narrower elements: the same results, and fewer bytes."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import FloatData, TensorType, f32

from hapir.dialects import nn, num
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import AffineType, unsigned
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.kernel.steps import Relayout
from hapir.reference.interpret import run_network
from hapir.targets.c.build import FAST_FLAGS, build_c
from hapir.targets.c.emit import emit_c
from tests.property.network_builder import NetworkBuilder


def test_quantization_comes_before_and_dequantization_behind():
    build = NetworkBuilder([], 1)
    shape, codes = (2, 3, 7, 9), AffineType(unsigned(8), FloatData(0.05), 20)
    x = nn.WeightOp("image", TensorType(f32, shape)).result
    q = build.append(num.QuantizeOp(x, TensorType(codes, shape)))
    pooled = build.append(nn.MaxPoolOp(q, window=Window((3, 3), padding=(1, 1, 1, 1)), layer="pool"))
    y = build.append(num.DequantizeOp(pooled))
    network, weights = build.finish("sample", x, [("y", y)]), build.weights
    program = plan_program(network, weights)
    moved = [program.buffers[step.source].ctype for step in program.steps if isinstance(step, Relayout)]
    assert moved == ["uint8_t", "uint8_t"]
    values = np.random.default_rng(0).normal(0, 4, (4, *shape[1:])).astype(np.float32)
    module = build_c(emit_c(network, weights), flags=FAST_FLAGS, cache=False)
    expected = run_network(network, weights, {"image": values})["y"]
    np.testing.assert_array_equal(module.run({"image": values})["y"], expected)
