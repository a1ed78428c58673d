"""Operators of ONNX that join elements along axes, of older operator sets too: what onnxruntime computes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.onnx_nodes import Node, check_reference


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("shape", [(1, 3, 2, 2), (2, 3, 2, 2), (2, 3, 4), (3, 4), (4,), (2, 3, 1, 1)])
@pytest.mark.parametrize("opset", [9, 12, 13])
def test_softmax_of_all_axes_behind_one(kind: str, shape: tuple[int, ...], opset: int):
    """Up to opset 12 the axes from one on are one; where none is named that is axis 1."""
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    for axis in range(len(shape)):
        check_reference(Node(kind, {"x": x}, {"axis": axis}, opset=opset))
    if len(shape) > 1:
        check_reference(Node(kind, {"x": x}, opset=opset))
