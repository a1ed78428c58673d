"""Runs QONNX models: Quant and MultiThreshold by their published formulas in numpy, all other nodes by onnxruntime.

Quant (QONNX, Pappalardo et al., 2022): `(clip(round(x / scale + zero_point)) - zero_point) * scale`, the bounds those
of so many bits, signed or not, without the lowest where it is narrow. BipolarQuant: scale where x >= 0, else -scale.
MultiThreshold (FINN): `out_scale * n + out_bias`, n the number of its channel's thresholds that are not above x.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from tests.onnx_sessions import Array, run_model

onnx: Any = import_module("onnx")
helper: Any = import_module("onnx.helper")
numpy_helper: Any = import_module("onnx.numpy_helper")


def _half_up(x: Array) -> Array:
    """Ties away from zero: what QONNX calls HALF_UP."""
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


ROUNDING: dict[str, Callable[[Array], Array]] = {"ROUND": np.rint, "HALF_UP": _half_up, "FLOOR": np.floor}


def quant(x: Array, scale: Array, zero_point: Array, bits: Array, *, signed: int, narrow: int, rounding: str) -> Array:
    """Quant, in double and rounded once."""
    levels = 2.0 ** float(bits)
    low, high = (-levels / 2 + narrow, levels / 2 - 1) if signed else (0.0, levels - 1 - narrow)
    x, scale, zero_point = (a.astype(np.float64) for a in (x, scale, zero_point))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(scale == 0, 0, x / scale)  # a filter that is multiplied by 0
    codes = np.clip(ROUNDING[rounding](ratio + zero_point), low, high)
    return ((codes - zero_point) * scale).astype(np.float32)


def bipolar_quant(x: Array, scale: Array) -> Array:
    """BipolarQuant."""
    return np.where(x >= 0, scale, -scale).astype(np.float32)


def multi_threshold(x: Array, thresholds: Array, *, scale: float, bias: float) -> Array:
    """MultiThreshold of N C ... and thresholds C x L, or 1 x L."""
    axis = min(1, x.ndim - 1)
    shape = [len(thresholds) if i == axis else 1 for i in range(x.ndim)]
    count = sum((x >= thresholds[:, i].reshape(shape)).astype(np.int64) for i in range(thresholds.shape[1]))
    return (scale * np.asarray(count) + bias).astype(np.float32)


def run_qonnx(model: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs of a model by name; nodes between those of QONNX run together."""
    graph = model.graph
    values: dict[str, Array] = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    values.update(inputs)
    pending: list[Any] = []
    for node in graph.node:
        if not node.domain:
            pending.append(node)
            continue
        _run_standard(model, pending, values)
        pending = []
        given = [values[name] for name in node.input]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Quant":
            signed, narrow, rounding = (attributes[name] for name in ("signed", "narrow", "rounding_mode"))
            made = quant(*given, signed=signed, narrow=narrow, rounding=rounding.decode())
        elif node.op_type == "BipolarQuant":
            made = bipolar_quant(*given)
        else:
            assert node.op_type == "MultiThreshold"
            made = multi_threshold(*given, scale=attributes["out_scale"], bias=attributes["out_bias"])
        values[node.output[0]] = made
    _run_standard(model, pending, values)
    return {output.name: values[output.name] for output in graph.output}


def _run_standard(model: Any, nodes: list[Any], values: dict[str, Array]) -> None:
    """Run nodes of ONNX's own domain and keep all that they make."""
    if not nodes:
        return
    made = [name for node in nodes for name in node.output]
    read = dict.fromkeys(name for node in nodes for name in node.input if name and name not in made)
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(values[name].dtype), values[name].shape)
        for name in read
    ]
    results = [onnx.ValueInfoProto(name=name) for name in made]
    graph = helper.make_graph(nodes, "part", given, results)
    opsets = [entry for entry in model.opset_import if not entry.domain]
    part = helper.make_model(graph, opset_imports=opsets, ir_version=model.ir_version)
    values.update(run_model(part, {name: values[name] for name in read}))
