"""`Constant` nodes: a tensor, a sparse tensor, a number or a list of numbers."""

from __future__ import annotations

import numpy as np
import onnx

from hapir.diagnostics import fail
from hapir.importers.onnx.elements import ELEMENTS
from hapir.importers.onnx.model import Array
from hapir.importers.onnx.tensors import TensorReader


def constant_array(node: onnx.NodeProto, reader: TensorReader, what: str) -> tuple[Array, int | None]:
    """The value of a `Constant` node, and the width of its integers where numpy has no type for them.

    Raises HapirError: HAP0910 for strings, HAP0913 where there is not one value, and what the reader says.
    """
    if len(node.attribute) != 1:
        fail("HAP0913", f"{what} has {len(node.attribute)} values, not one", help="export the model again")
    attribute = node.attribute[0]
    match attribute.name:
        case "value":
            return reader.array(attribute.t, node.output[0]), ELEMENTS[attribute.t.data_type].narrow
        case "sparse_value":
            return reader.dense(attribute.sparse_tensor, node.output[0]), None
        case "value_float":
            return np.array(attribute.f, np.float32), None
        case "value_floats":
            return np.array(attribute.floats, np.float32), None
        case "value_int":
            return np.array(attribute.i, np.int64), None
        case "value_ints":
            return np.array(attribute.ints, np.int64), None
        case _:
            help = "numbers can be imported"
            fail("HAP0910", f"{what} is of type string", help=help)
