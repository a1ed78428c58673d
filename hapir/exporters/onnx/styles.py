"""The styles in which a network is said in ONNX, and what all of the exporter shares about them."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
from xdsl.ir import Attribute

from hapir.dialects.num import dtype_of, unsigned
from hapir.exporters.onnx.proto import Array

QONNX = "qonnx.custom_op.general"
OLDEST_OPSET = 13
"""The first where axes, sizes and scales are what this exporter writes."""
DEFAULT_OPSET = 17
"""What runtimes of the last years read, and the first with LayerNormalization."""


class Style(Enum):
    """How a network is said in ONNX; what each promises is in the docstring of `hapir.exporters.onnx.export`."""

    FLOAT = "float"
    QDQ = "qdq"
    QONNX = "qonnx"
    INTEGER = "integer"


class Unsayable(Exception):
    """An op, or a form of it, that ONNX cannot say: the reason, and a way out."""

    def __init__(self, reason: str, help: str | None = None):
        super().__init__(reason)
        self.reason = reason
        self.help = help


Unit = Array
"""What 1 of an accumulator stands for in the reals that carry it: a number, or one per index of axis 1 (float64)."""


def carried_dtype(element: Attribute) -> np.dtype[Any]:
    """The numpy type of a tensor of this element type in ONNX: `ui1` is bool."""
    return np.dtype(np.bool_) if element == unsigned(1) else dtype_of(element)
