"""Layers of few bits and few non-zeros, which other tools have no model for: cases against hapir's own dense kernels.

Layers of few bits are written as IR, in the form in which recipes leave them between two other layers: so the numbers
fill their ranges, and neither floats nor wide sums at the ends are timed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import FloatData, IntegerType, ModuleOp, Signedness, StringAttr, TensorType
from xdsl.ir import Attribute, Operation, SSAValue

from benchmarks.c.graph import Array
from benchmarks.c.networks import INT8, SEED, Case, Workload, compile_case
from hapir.context import HapirContext
from hapir.dialects import nn, num
from hapir.dialects.num import AffineType, BipolarType, PerChannelType, Rounding, TernaryType, signed, unsigned
from hapir.lowering.kernel.host import NATIVE
from hapir.lowering.network_edits import networks_of
from hapir.pipeline import Step, run_steps
from hapir.pipeline_text import read_passes
from hapir.reference.interpret import run_network
from hapir.targets.c.emit import emit_c
from hapir.weights import WeightStore

BINARY, TERNARY = "binary", "ternary"
LEVELS = {BINARY: (BipolarType(1), (-1, 1), (0,)), TERNARY: (TernaryType(), (-1, 0, 1), (-8, 8))}
"""The codes of weights and activations, their values, and the thresholds behind the layer."""


class _Dense:
    """A dense layer under construction: as many outputs as inputs."""

    def __init__(
        self, name: str, workload: Workload, x: Attribute, result: Attribute, weights: Array, codes: Attribute
    ):
        ends = TensorType(x, workload.shape), TensorType(result, workload.shape)
        self.case_name, self.workload, self.result_type = name, workload, ends[1]
        self.store, self.ops = WeightStore(), list[Operation]()
        self.network = nn.NetworkOp(f"{workload.name}_{name}", [("x", ends[0])], [("y", ends[1])])
        self.store.put("y.scale", np.ones(len(weights), np.float32))
        weight = self.parameter("weight", PerChannelType(codes, 0, StringAttr("y.scale")), weights)
        dense = nn.DenseOp(self.network.body.block.args[0], weight, None, layer="y")
        self.ops.append(dense)
        self.sums = dense.result

    def parameter(self, key: str, element: Attribute, array: Array) -> SSAValue:
        """A new parameter of the layer."""
        self.store.put(f"y.{key}", array)
        self.ops.append(nn.WeightOp(f"y.{key}", TensorType(element, array.shape)))
        return self.ops[-1].results[0]

    def case(self, last: Operation, x: Array) -> Case:
        """The layer with what follows it, fused, and what the reference makes of an input."""
        self.network.body.block.add_ops([*self.ops, last, nn.ReturnOp(last.results)])
        module = ModuleOp([self.network])
        steps = [Step(step.what) for step in read_passes(f"finish,kernels{{host={NATIVE}}}", "hapir")]
        run_steps(module, HapirContext(weights=self.store), steps, lambda name, after: after.verify())
        (fused,) = networks_of(module)
        expected = run_network(fused, self.store, {"x": x})["y"]
        weights = self.store["y.weight"]
        return Case(self.workload, self.case_name, emit_c(fused, self.store), x, expected, weights=weights)


def few_levels_case(kind: str, workload: Workload) -> Case:
    """Binary or ternary weights and activations, thresholds behind the sums."""
    rng = np.random.default_rng(SEED)
    codes, values, middle = LEVELS[kind]
    element = AffineType(codes, FloatData(1.0), 0)
    size = workload.shape[1]
    weights: Array = rng.choice(values, (size, size)).astype(np.int8)
    layer = _Dense(kind, workload, element, element, weights, codes)
    thresholds = layer.parameter("thresholds", signed(16), np.tile(np.array(middle, np.int16), (size, 1)))
    flips = layer.parameter("flips", unsigned(1), np.zeros(size, np.uint8))
    last = num.ThresholdOp(layer.sums, thresholds, flips, layer.result_type, low=-1, layer="y")
    return layer.case(last, rng.choice(values, workload.shape).astype(np.int8))


def bits_case(weight_bits: int, activation_bits: int, workload: Workload) -> Case:
    """Uniform codes, requantized to u8; weights of one bit are signs, activations of one bit 0 and 1."""
    rng = np.random.default_rng(SEED)
    size, high = workload.shape[1], (1 << (weight_bits - 1)) - 1
    codes: Attribute = BipolarType(1) if weight_bits == 1 else signed(weight_bits)
    values = np.array([-1, 1] if weight_bits == 1 else range(-high, high + 1))
    weights: Array = rng.choice(values, (size, size)).astype(np.int8)
    x_element = AffineType(unsigned(activation_bits), FloatData(1.0), 0)
    name = f"w{weight_bits}a{activation_bits}"
    layer = _Dense(name, workload, x_element, AffineType(unsigned(8), FloatData(1.0), 128), weights, codes)
    x: Array = rng.integers(0, 1 << activation_bits, workload.shape).astype(np.uint8)
    # four standard deviations of a sum reach the ends of u8
    deviation = float(np.sqrt(size * np.mean(values.astype(float) ** 2) * np.mean(x.astype(float) ** 2)))
    shift = 14 - int(np.floor(np.log2(32 / deviation)))
    factors = np.full(size, round(32 / deviation * 2**shift), np.uint16)
    multiplier = layer.parameter("multiplier", IntegerType(16, Signedness.UNSIGNED), factors)
    shifts = layer.parameter("shift", unsigned(8), np.full(size, shift, np.uint8))
    last = num.RequantizeOp(
        layer.sums, multiplier, shifts, layer.result_type, rounding=Rounding.half_up, low=0, high=255, layer="y"
    )
    return layer.case(last, x)


def levels_case(zeros: float, workload: Workload, folder: Path, algorithm: str) -> Case:
    """A layer of three weights, 0 among them in a given share, on u8: for Reduce-and-Scale."""
    rng = np.random.default_rng(SEED)
    share, channels = (1 - zeros) / 2, workload.shape[1]
    shape = (channels, channels, *(1 for _ in workload.shape[2:]))
    array = rng.choice([-0.75, 0.0, 1.0], shape, p=[share, zeros, share]) / 16
    recipe = 'ttq()\n    quantize(activations = u8, calibration = "calibration.npz")'
    given, name = {"y.weight": array.astype(np.float32)}, f"{algorithm}{100 * zeros:.0f}"
    return compile_case(workload, name, folder, recipe, given, graph_too=False, algorithm=algorithm)


def zeros_case(zeros: float, workload: Workload, folder: Path, arithmetic: str) -> Case:
    """A layer with so many weights pruned, f32 or int8, and its graph for the others."""
    recipe = f"prune(sparsity = {100 * zeros:.0f} %, grain = weight)"
    if arithmetic == INT8:
        recipe += '\n    quantize(weights = i8, activations = u8, calibration = "calibration.npz")'
    return compile_case(workload, f"{arithmetic}_zeros{100 * zeros:.0f}", folder, recipe, algorithm="sparse")
