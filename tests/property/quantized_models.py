"""Quantized ONNX models, drawn and built by hand, and what onnxruntime gives for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from xdsl.dialects.builtin import ModuleOp

from hapir.dialects.nn import NetworkOp
from hapir.importers.onnx.convert import convert
from hapir.importers.onnx.graph import graph_of
from hapir.lowering.network_edits import networks_of
from hapir.reference import run_network
from hapir.weights import Array, WeightStore

ort: Any = import_module("onnxruntime")  # it brings no types
helpers: Any = helper  # of types that onnx leaves open

Arrays = dict[str, Array]


@dataclass(frozen=True)
class Model:
    """A model with its inputs."""

    proto: onnx.ModelProto
    inputs: Arrays

    def network(self) -> tuple[NetworkOp, WeightStore]:
        """The model imported."""
        converted = convert(graph_of(self.proto), "n")
        converted.module.verify()
        assert isinstance(converted.module, ModuleOp)
        return networks_of(converted.module)[0], converted.weights

    def reference(self) -> Arrays:
        """What the reference interpreter gives."""
        network, weights = self.network()
        return run_network(network, weights, self.inputs)

    def runtime(self, *, optimized: bool = True) -> Arrays:
        """What onnxruntime gives."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        levels = ort.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
        session = ort.InferenceSession(self.proto.SerializeToString(), options, ["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, map(np.asarray, session.run(None, self.inputs)), strict=True))


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Array],
    outputs: Mapping[str, tuple[str, Sequence[int]]],
    constants: Mapping[str, Any],
    *,
    opset: int = 21,
) -> Model:
    """A model of nodes; outputs by name with their numpy type and shape."""
    graph = helpers.make_graph(
        list(nodes),
        "quantized",
        [
            helpers.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in inputs.items()
        ],
        [
            helpers.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))
            for n, (dtype, shape) in outputs.items()
        ],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()],
    )
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return Model(helpers.make_model(graph, opset_imports=domains, ir_version=10), dict(inputs))


def draw_codes(rng: np.random.Generator, dtype: str, shape: Sequence[int]) -> Array:
    """Integers over the whole range of a type."""
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max + 1, tuple(shape)).astype(dtype)


def zero_in(rng: np.random.Generator, dtype: str) -> Array:
    """A zero point of a type: at an end, in the middle, or anywhere."""
    limits = np.iinfo(dtype)
    return np.asarray(rng.choice([limits.min, limits.max, rng.integers(limits.min, limits.max)])).astype(dtype)


PAIRS = (("uint8", "uint8"), ("uint8", "int8"), ("int8", "int8"))
"""Activations and weights that onnxruntime multiplies."""


@st.composite
def convolutions(draw: st.DrawFn, operator: str = "QLinearConv") -> Model:
    """A QLinearConv or ConvInteger of any groups, dilations, strides, padding and zero points."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    x_type, w_type = draw(st.sampled_from(PAIRS))
    groups = draw(st.sampled_from([1, 1, 2, 4]))
    depthwise = draw(st.booleans()) and groups > 1
    c = groups * (1 if depthwise else draw(st.integers(1, 5)))
    k = groups * draw(st.integers(1, 5))
    axes = draw(st.sampled_from([2, 2, 2, 1]))
    kernel = [draw(st.integers(1, 3)) for _ in range(axes)]
    strides, dilations = ([draw(st.integers(1, 2)) for _ in range(axes)] for _ in range(2))
    pads = [draw(st.integers(0, kernel[i % axes] - 1)) for i in range(2 * axes)]
    sizes = [draw(st.integers(dilations[i] * (kernel[i] - 1) + 1, 9)) for i in range(axes)]
    n = draw(st.integers(1, 2))
    x, w = draw_codes(rng, x_type, (n, c, *sizes)), draw_codes(rng, w_type, (k, c // groups, *kernel))
    out = [
        (s + pads[i] + pads[axes + i] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
        for i, s in enumerate(sizes)
    ]
    attributes = {"group": groups, "strides": strides, "dilations": dilations, "pads": pads, "kernel_shape": kernel}
    shape = (n, k, *out)
    w_zero = zero_in(rng, w_type) if draw(st.booleans()) else np.zeros((), w_type)
    if operator == "ConvInteger":
        constants: dict[str, Any] = {"w": w, "xz": zero_in(rng, x_type), "wz": w_zero}
        node = helper.make_node(operator, ["x", "w", "xz", "wz"], ["y"], **attributes)
        return model([node], {"x": x}, {"y": ("int32", shape)}, constants)
    per_channel = draw(st.booleans())
    reach = 255.0 * 255.0 * float(np.sqrt(w[0].size))
    constants = {
        "xs": np.float32(rng.uniform(0.001, 1)),
        "xz": zero_in(rng, x_type),
        "w": w,
        "ws": rng.uniform(0.001, 1, k if per_channel else ()).astype(np.float32),
        "wz": np.full(k, w_zero) if per_channel else w_zero,
        "yz": zero_in(rng, x_type),
    }
    largest = float(constants["xs"]) * float(np.max(constants["ws"])) * reach
    # codes of the result that spread over their range, with many ties among them
    constants["ys"] = np.float32(largest / rng.uniform(50, 400))
    if draw(st.booleans()):
        constants["b"] = rng.integers(-(1 << 16), 1 << 16, k).astype(np.int32)
    names = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", *(["b"] if "b" in constants else [])]
    node = helper.make_node(operator, names, ["y"], **attributes)
    return model([node], {"x": x}, {"y": (x_type, shape)}, constants)


@st.composite
def products(draw: st.DrawFn, operator: str = "QLinearMatMul") -> Model:
    """A QLinearMatMul or MatMulInteger of matrices, or stacks of them, the second constant or not."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    a_type, b_type = draw(st.sampled_from(PAIRS))
    m, k, p = (draw(st.integers(1, 9)) for _ in range(3))
    stack = draw(st.sampled_from([(), (), (2,), (2, 3)]))
    stacked = draw(st.booleans())
    a, b = draw_codes(rng, a_type, (*stack, m, k)), draw_codes(rng, b_type, (*(stack if stacked else ()), k, p))
    constant = draw(st.booleans())
    constants: dict[str, Any] = {"az": zero_in(rng, a_type), "bz": zero_in(rng, b_type)}
    inputs: Arrays = {"a": a}
    (constants if constant else inputs)["b"] = b
    if operator == "MatMulInteger":
        node = helper.make_node(operator, ["a", "b", "az", "bz"], ["y"])
        return model([node], inputs, {"y": ("int32", (*stack, m, p))}, constants)
    columns = constant and draw(st.booleans()) and not (stacked and stack)
    scales = rng.uniform(0.001, 1, p if columns else ()).astype(np.float32)
    largest = 65025.0 * float(np.sqrt(k)) * float(np.max(scales)) * 0.03
    constants |= {
        "as": np.float32(0.03),
        "bs": scales,
        "bz": np.full(p, constants["bz"]) if columns else constants["bz"],
        "ys": np.float32(largest / rng.uniform(50, 400)),
        "yz": zero_in(rng, a_type),
    }
    node = helper.make_node(operator, ["a", "as", "az", "b", "bs", "bz", "ys", "yz"], ["y"])
    return model([node], inputs, {"y": (a_type, (*stack, m, p))}, constants)
