"""The C of two tiny layers, as text: what a reader of the generated code sees. `--update-golden` rewrites it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from hapir.context import HapirContext
from hapir.lowering.network_edits import networks_of
from hapir.registry import HAPIR
from hapir.targets.c.emit import emit_c
from hapir.weights import WeightStore

EXPECTED = Path(__file__).parent / "c"

TINY = """
nn.network @tiny (%x: tensor<1x2x4x4x!a>) -> (tensor<1x3x!b>) inputs ["image"] results ["int"] {
  %p = dataflow.layer "c.1" (%i = %x : tensor<1x2x4x4x!a>) -> (tensor<1x2x2x2x!b>) {
    %w = nn.weight "c.1.weight" : tensor<2x2x3x3x!w>
    %b = nn.weight "c.1.bias" : tensor<2xsi32>
    %s = nn.conv2d %i, %w bias %b window <3x3, pad 1 1 1 1> groups 1 layer "c.1"
        : (tensor<1x2x4x4x!a>, tensor<2x2x3x3x!w>, tensor<2xsi32>) -> tensor<1x2x4x4xsi32>
    %m = nn.weight "c.1.multiplier" : tensor<2xui16>
    %h = nn.weight "c.1.shift" : tensor<2xui8>
    %q = num.requantize %s, %m, %h half_up bounds 3, 255 layer "c.1"
        : tensor<1x2x4x4xsi32>, tensor<2xui16>, tensor<2xui8> -> tensor<1x2x4x4x!b>
    %r = nn.max_pool %q window <2x2, stride 2x2> layer "p1" : tensor<1x2x4x4x!b> -> tensor<1x2x2x2x!b>
    dataflow.yield %r : tensor<1x2x2x2x!b>
  }
  %f = nn.flatten %p layer "flat" : tensor<1x2x2x2x!b> -> tensor<1x8x!b>
  %d = dataflow.layer "c_1" (%i = %f : tensor<1x8x!b>) -> (tensor<1x3x!b>) {
    %w = nn.weight "c_1.weight" : tensor<3x8x!w>
    %s = nn.dense %i, %w layer "c_1" : (tensor<1x8x!b>, tensor<3x8x!w>) -> tensor<1x3xsi32>
    %m = nn.weight "c_1.multiplier" : tensor<1xui16>
    %h = nn.weight "c_1.shift" : tensor<1xui8>
    %q = num.requantize %s, %m, %h half_even bounds 0, 255 layer "c_1"
        : tensor<1x3xsi32>, tensor<1xui16>, tensor<1xui8> -> tensor<1x3x!b>
    dataflow.yield %q : tensor<1x3x!b>
  }
  nn.return %d : tensor<1x3x!b>
}
"""
TYPES = {"!a": "!num.affine<si8, 0.5 : -3>", "!b": "!num.affine<ui8, 0.25 : 3>", "!w": "!num.affine<si8, 0.125 : 0>"}


def weights() -> WeightStore:
    """Small numbers that show their places."""
    return WeightStore(
        {
            "c.1.weight": (np.arange(36) - 18).reshape(2, 2, 3, 3).astype(np.int8),
            "c.1.bias": np.array([100, -100], np.int32),
            "c.1.multiplier": np.array([40000, 50000], np.uint16),
            "c.1.shift": np.array([20, 21], np.uint8),
            "c_1.weight": np.arange(24).reshape(3, 8).astype(np.int8),
            "c_1.multiplier": np.array([33000], np.uint16),
            "c_1.shift": np.array([22], np.uint8),
        }
    )


def test_tiny_network(request: pytest.FixtureRequest):
    text = TINY
    for short, type_ in TYPES.items():
        text = text.replace(short, type_)
    ctx = HapirContext()
    for name, dialect in HAPIR.all_dialects.items():
        ctx.register_dialect(name, dialect)
    module = Parser(ctx, text).parse_module()
    module.verify()
    assert isinstance(module, ModuleOp)
    files = emit_c(networks_of(module)[0], weights()).files
    if request.config.getoption("--update-golden"):
        EXPECTED.mkdir(exist_ok=True)
        for name, printed in files.items():
            (EXPECTED / name).write_text(printed, encoding="utf-8")
    assert {path.name: path.read_text(encoding="utf-8") for path in EXPECTED.iterdir()} == files
