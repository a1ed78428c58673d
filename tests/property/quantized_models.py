"""Quantized ONNX models, drawn and built by hand, and what onnxruntime gives for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis
import numpy as np
import onnx
from hypothesis import Phase, given, settings
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
quantization: Any = import_module("onnxruntime.quantization")
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
    domains: Mapping[str, int] | None = None,
) -> Model:
    """A model of nodes; outputs by name with their numpy type and shape, further domains with their versions."""
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
    versions = {"": opset, "com.microsoft": 1, **(domains or {})}
    opsets = [helper.make_opsetid(*pair) for pair in versions.items()]
    return Model(helpers.make_model(graph, opset_imports=opsets, ir_version=10), dict(inputs))


def draw_codes(rng: np.random.Generator, dtype: str, shape: Sequence[int]) -> Array:
    """Integers over the whole range of a type."""
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max + 1, tuple(shape)).astype(dtype)


def zero_in(rng: np.random.Generator, dtype: str) -> Array:
    """A zero point of a type: at an end, in the middle, or anywhere."""
    low, high = _limits(dtype)
    return np.asarray([low, high, int(rng.integers(low, high))][int(rng.integers(3))], dtype)


def _limits(dtype: str) -> tuple[int, int]:
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


_STEPS = (1.0, 3.0, 0.25)


def _ties(rng: np.random.Generator) -> dict[str, Any]:
    """Scales of few digits: in f32 sums meet ties which the exact product of sum and factor just misses."""
    tenths = np.float32(rng.choice([0.1, 0.3, 0.7, 0.05, 0.01, 0.5]))
    return {"xs": np.float32(1), "ws": tenths, "ys": np.float32(rng.choice(_STEPS))}


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
        node = helpers.make_node(operator, ["x", "w", "xz", "wz"], ["y"], **attributes)
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
    constants["ys"] = np.float32(largest / rng.uniform(50, 400))
    if draw(st.booleans()):
        constants |= _ties(rng)
        x = np.clip(constants["xz"].astype(int) + rng.integers(-9, 10, x.shape), *_limits(x_type)).astype(x_type)
        constants["w"] = np.clip(w_zero.astype(int) + rng.integers(-3, 4, w.shape), *_limits(w_type)).astype(w_type)
    if draw(st.booleans()):
        reach = 1 << 16 if constants["ys"] not in _STEPS else 20
        constants["b"] = rng.integers(-reach, reach, k).astype(np.int32)
    names = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", *(["b"] if "b" in constants else [])]
    node = helpers.make_node(operator, names, ["y"], **attributes)
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
        node = helpers.make_node(operator, ["a", "b", "az", "bz"], ["y"])
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
    if not columns and draw(st.booleans()):
        constants |= {"as": (ties := _ties(rng))["xs"], "bs": ties["ws"], "ys": ties["ys"]}
        inputs["a"] = np.clip(constants["az"].astype(int) + rng.integers(-9, 10, a.shape), *_limits(a_type)).astype(
            a_type
        )
    node = helpers.make_node(operator, ["a", "as", "az", "b", "bs", "bz", "ys", "yz"], ["y"])
    return model([node], inputs, {"y": (a_type, (*stack, m, p))}, constants)


@st.composite
def conversions(draw: st.DrawFn) -> Model:
    """QuantizeLinear and DequantizeLinear behind it: per tensor, per axis or in blocks, of 8 and 16 bits."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    dtype = draw(st.sampled_from(["uint8", "int8", "uint16", "int16"]))
    shape = [draw(st.integers(1, 4)) for _ in range(draw(st.integers(1, 4)))]
    axis = draw(st.integers(0, len(shape) - 1))
    kind = draw(st.sampled_from(["tensor", "axis", "blocks"]))
    attributes: dict[str, Any] = {}
    scales: tuple[int, ...] = ()
    if kind != "tensor":
        attributes["axis"] = axis - draw(st.sampled_from([0, len(shape)]))
        scales = (shape[axis],)
    if kind == "blocks":
        attributes["block_size"] = size = draw(st.integers(1, 2))
        shape[axis] *= size
        scales = tuple(n // size if i == axis else n for i, n in enumerate(shape))
    scale = rng.choice([0.1, 0.25, 0.02, 1 / 3], scales).astype(np.float32)
    x = (rng.integers(-400, 400, shape) / 2 * 0.1).astype(np.float32)
    constants: dict[str, Any] = {"s": scale}
    if dtype == "uint8" and draw(st.booleans()):
        names = ["s"]
    else:
        constants["z"] = draw_codes(rng, dtype, scales)
        names = ["s", "z"]
    nodes = [
        helpers.make_node("QuantizeLinear", ["x", *names], ["q"], **attributes),
        helpers.make_node("DequantizeLinear", ["q", *names], ["y"], **attributes),
    ]
    return model(nodes, {"x": x}, {"q": (dtype, shape), "y": ("float32", shape)}, constants)


def example(strategy: st.SearchStrategy[Model], seed: int) -> Model:
    """A drawn model, the same for the same seed."""
    found: list[Model] = []

    @hypothesis.seed(seed)
    @settings(max_examples=1, database=None, phases=[Phase.generate], deadline=None)
    @given(strategy)
    def draw(one: Model) -> None:
        found.append(one)

    draw()
    return found[-1]


KINDS = (("QUInt8", "QInt8"), ("QInt8", "QInt8"), ("QUInt8", "QUInt8"))
"""Types of activations and weights that onnxruntime's quantizer is asked for."""


def float_network(rng: np.random.Generator) -> Model:
    """A residual network: convolutions, one of them depthwise, ReLU6 as a Clip, pools and a dense layer."""

    def weights(*shape: int) -> Array:
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    constants: Arrays = {"w1": weights(8, 3, 3, 3), "w2": weights(8, 1, 3, 3), "w3": weights(8, 8, 1, 1)}
    constants |= {"wf": weights(10, 8), "lo": np.array(0, np.float32), "hi": np.array(6, np.float32)}
    constants |= {f"b{i}": weights(8) for i in (1, 2, 3)} | {"bf": weights(10)}
    node = helpers.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], name="c1", pads=[1] * 4),
        node("Relu", ["c1"], ["r1"], name="r1"),
        node("Conv", ["r1", "w2", "b2"], ["c2"], name="c2", pads=[1] * 4, group=8),
        node("Clip", ["c2", "lo", "hi"], ["r2"], name="r2"),
        node("Conv", ["r2", "w3", "b3"], ["c3"], name="c3"),
        node("Add", ["c3", "r1"], ["a1"], name="a1"),
        node("MaxPool", ["a1"], ["p1"], name="p1", kernel_shape=[2, 2], strides=[2, 2]),
        node("GlobalAveragePool", ["p1"], ["g"], name="g"),
        node("Flatten", ["g"], ["f"], name="f"),
        node("Gemm", ["f", "wf", "bf"], ["y"], name="fc", transB=1),
    ]
    x = rng.normal(size=(4, 3, 16, 16)).astype(np.float32)
    return model(nodes, {"x": x}, {"y": ("float32", (4, 10))}, constants, opset=17)


def quantized_network(style: str, per_channel: bool, kinds: tuple[str, str]) -> Model:
    """The float network after onnxruntime's own quantizer, in the style QDQ or QOperator."""
    rng = np.random.default_rng(7)
    real = float_network(rng)
    batches = iter([{"x": rng.normal(size=(4, 3, 16, 16)).astype(np.float32)} for _ in range(4)])

    class Reader(quantization.CalibrationDataReader):
        def get_next(self) -> Any:
            return next(batches, None)

    with TemporaryDirectory() as folder:
        paths = Path(folder, "real.onnx"), Path(folder, "quantized.onnx")
        paths[0].write_bytes(real.proto.SerializeToString())
        activation, weight = (quantization.QuantType[kind] for kind in kinds)
        quantization.quantize_static(
            *paths, Reader(), quant_format=quantization.QuantFormat[style], per_channel=per_channel,
            activation_type=activation, weight_type=weight,
        )  # fmt: skip
        return Model(onnx.load_model_from_string(paths[1].read_bytes()), real.inputs)
