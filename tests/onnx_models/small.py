"""Small models, each with something that importers get wrong; seeds of the fuzz test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]


def value(name: str, shape: Sequence[int | str | None] | None, element: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    """An input or output; text and None are open sizes."""
    return helper.make_tensor_value_info(name, element, shape)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[str | onnx.ValueInfoProto],
    constants: dict[str, Array] | None = None,
    *,
    opset: int = 17,
    **others: Any,
) -> onnx.ModelProto:
    """A model; outputs that are named alone have no declared types."""
    graph = helper.make_graph(
        nodes,
        "net",
        inputs,
        [onnx.ValueInfoProto(name=out) if isinstance(out, str) else out for out in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), *others.pop("domains", ())]
    return helper.make_model(graph, opset_imports=imports, ir_version=10, **others)


def random(*shape: int) -> Array:
    """Weights."""
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def convolutions() -> onnx.ModelProto:
    """A small classifier, its flattening written as exporters do: with the shape of its input."""
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["c1", "g", "b", "m", "v"], ["n1"], "norm1"),
        helper.make_node("Clip", ["n1", "low", "high"], ["r1"], "relu6"),
        helper.make_node("MaxPool", ["r1"], ["p1"], "pool1", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["p1"], ["p2"], "pool2"),
        helper.make_node("Shape", ["p2"], ["shape"]),
        helper.make_node("Constant", [], ["zero"], value=numpy_helper.from_array(np.array(0, np.int64))),
        helper.make_node("Gather", ["shape", "zero"], ["count"], axis=0),
        helper.make_node("Constant", [], ["axes"], value_ints=[0]),
        helper.make_node("Unsqueeze", ["count", "axes"], ["counts"]),
        helper.make_node("Constant", [], ["rest"], value_ints=[-1]),
        helper.make_node("Concat", ["counts", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["p2", "target"], ["flat"], "flatten"),
        helper.make_node("Dropout", ["flat"], ["kept"], "dropout"),
        helper.make_node("Gemm", ["kept", "w2", "b2"], ["logits"], "fc", transB=1),
        helper.make_node("Identity", ["logits"], ["scores"]),
    ]
    constants = {
        "w1": random(4, 3, 3, 3),
        "b1": random(4),
        "w2": random(5, 4),
        "b2": random(5),
        "g": random(4),
        "b": random(4),
        "m": random(4),
        "v": np.ones(4, np.float32),
        "low": np.array(0, np.float32),
        "high": np.array(6, np.float32),
    }
    return model(nodes, [value("image", ["N", 3, 8, 8])], ["scores"], constants)


def elementwise() -> onnx.ModelProto:
    """Broadcasting, reductions, a slice, a split and a cast, in half precision."""
    nodes = [
        helper.make_node("Add", ["a", "b"], ["s"]),
        helper.make_node("Split", ["s"], ["s1", "s2"], axis=1),
        helper.make_node("Mul", ["s1", "s2"], ["p"]),
        helper.make_node("Slice", ["p", "starts", "ends", "axes", "steps"], ["q"]),
        helper.make_node("ReduceMean", ["q"], ["r"], axes=[2], keepdims=0),
        helper.make_node("Cast", ["r"], ["y"], to=TensorProto.FLOAT16),
        helper.make_node("Softmax", ["y"], ["z"], axis=-1),
    ]
    constants: dict[str, Array] = {
        "b": random(4, 1).astype(np.float16),
        "starts": np.array([3]),
        "ends": np.array([-9]),
        "axes": np.array([2]),
        "steps": np.array([-1]),
    }
    return model(nodes, [value("a", [1, 4, 6], TensorProto.FLOAT16)], ["z"], constants, opset=13)


def recurrent() -> onnx.ModelProto:
    """An LSTM with inputs left out, and what exporters put around it."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["t", "w", "r", "b"], ["h", "", "c"], "lstm", hidden_size=3),
        helper.make_node("Squeeze", ["h", "axes"], ["y"]),
    ]
    constants: dict[str, Array] = {"w": random(1, 12, 4), "r": random(1, 12, 3), "b": random(1, 24)}
    return model(nodes, [value("x", [1, 5, 4])], ["y", "c"], {**constants, "axes": np.array([1])})


def quantized() -> onnx.ModelProto:
    """A quantized product in the style of QDQ, weights of 4 bits among them."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "scale", "zero"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "scale"], ["wd"]),
        helper.make_node("MatMul", ["xd", "wd"], ["y"]),
        helper.make_node("Quant", ["y", "scale", "none", "bits"], ["z"], domain="qonnx.custom_op.general", signed=1),
    ]
    constants: dict[str, Array] = {
        "scale": np.array(0.25, np.float32),
        "zero": np.array(3, np.int8),
        "none": np.array(0, np.float32),
        "bits": np.array(4, np.float32),
    }
    made = model(
        nodes,
        [value("x", ["batch_size", 4])],
        ["z"],
        constants,
        opset=21,
        domains=[helper.make_opsetid("qonnx.custom_op.general", 1)],
    )
    made.graph.initializer.append(helper.make_tensor("w", TensorProto.INT4, [4, 2], [-8, 7, 1, -1, 2, -2, 3, 0]))
    return made


def functions() -> onnx.ModelProto:
    """Functions of the model's own, one calling the other."""
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    double = helper.make_function(
        "own", "double", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], imports[:1]
    )
    leak = helper.make_node("LeakyRelu", ["d"], ["q"])
    leak.attribute.append(onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.FLOAT, ref_attr_name="slope"))
    body = [helper.make_node("double", ["p"], ["d"], domain="own"), leak]
    outer = helper.make_function("own", "outer", ["p"], ["q"], body, imports, ["slope"])
    nodes = [
        helper.make_node("outer", ["x"], ["h"], "first", domain="own", slope=0.5),
        helper.make_node("outer", ["h"], ["y"], "second", domain="own", slope=0.25),
    ]
    return model(nodes, [value("x", [1, 4])], ["y"], domains=imports[1:], functions=[double, outer])


def control_flow() -> onnx.ModelProto:
    """A branch and a loop, which no network has, a sparse constant, and an open axis."""
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["t"])], "then", [], [value("t", None)])
    other = helper.make_graph([helper.make_node("Neg", ["x"], ["e"])], "else", [], [value("e", None)])
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["state", "state"], ["next"])],
        "body",
        [value("i", [], TensorProto.INT64), value("go", [], TensorProto.BOOL), value("state", None)],
        [value("on", [], TensorProto.BOOL), value("next", None)],
    )
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("v", TensorProto.FLOAT, [2], [1.0, 2.0]),
        helper.make_tensor("i", TensorProto.INT64, [2], [1, 3]),
        [4],
    )
    nodes = [
        helper.make_node("Constant", [], ["k"], sparse_value=sparse),
        helper.make_node("If", ["flag"], ["b"], "choice", then_branch=branch, else_branch=other),
        helper.make_node("Loop", ["trips", "flag", "b"], ["l"], "loop", body=body),
        helper.make_node("Add", ["l", "k"], ["y"]),
    ]
    constants: dict[str, Array] = {"trips": np.array(3), "flag": np.array(True)}
    return model(nodes, [value("x", [1, 4])], ["y"], constants)


def shapes() -> onnx.ModelProto:
    """Chains of constants that grow: ranges, tiles, expansions."""
    nodes = [
        helper.make_node("Range", ["zero", "six", "one"], ["r"]),
        helper.make_node("ConstantOfShape", ["two"], ["c"], value=numpy_helper.from_array(np.array([2.0], np.float32))),
        helper.make_node("Tile", ["c", "times"], ["t"]),
        helper.make_node("Expand", ["one", "target"], ["e"]),
        helper.make_node("Cast", ["e"], ["ef"], to=TensorProto.FLOAT),
        helper.make_node("Pad", ["x", "pads"], ["p"]),
        helper.make_node("Mul", ["p", "ef"], ["m"]),
        helper.make_node("Gather", ["m", "r"], ["g"], axis=1),
        helper.make_node("Resize", ["g", "", "scales"], ["z"], mode="nearest"),
        helper.make_node("Div", ["z", "t"], ["y"]),
    ]
    constants: dict[str, Array] = {
        "zero": np.array(0),
        "six": np.array(6),
        "one": np.array(1),
        "two": np.array([1]),
        "times": np.array([12]),
        "target": np.array([1, 6]),
        "pads": np.array([0, 1, 0, 1]),
        "scales": np.array([1, 2], np.float32),
    }
    return model(nodes, [value("x", [1, 4])], ["y"], constants)


SMALL: dict[str, Callable[[], onnx.ModelProto]] = {
    f.__name__: f for f in (convolutions, elementwise, recurrent, quantized, functions, control_flow, shapes)
}


def save_external(proto: onnx.ModelProto, path: Path) -> None:
    """Write a model with the data of its larger tensors in a file beside it, `<name>.data`."""
    cast(Any, onnx).save(proto, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=16)
