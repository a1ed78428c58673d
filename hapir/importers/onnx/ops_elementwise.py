"""Elementwise operators: activations, arithmetic, comparisons, logic."""

from __future__ import annotations

from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.importers.onnx.nodes import Call, handles


@handles("Relu")
def relu(call: Call) -> SSAValue:
    """`max(x, 0)`."""
    return call.add(nn.ReluOp(call.tensor(0), layer=call.layer))


@handles("Add")
def add(call: Call) -> SSAValue:
    """A sum."""
    return call.add(nn.AddOp(call.tensor(0), call.tensor(1), layer=call.layer))
