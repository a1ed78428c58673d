"""What quantization cost each layer: signal-to-quantization-noise ratios, measured by running both networks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import Float32Type
from xdsl.ir import Operation, SSAValue

from hapir.dialects import dataflow, num
from hapir.dialects.nn import NetworkOp
from hapir.dialects.num import AffineType, element_type
from hapir.lowering.compress.activation_types import preserves
from hapir.lowering.compress.calibration import sqnr_db
from hapir.lowering.network_edits import layer_name, sole_user
from hapir.reference.interpret import run_network
from hapir.weights import Array, WeightStore


def sqnr_per_layer(
    float_network: NetworkOp, quantized_network: NetworkOp, weights: WeightStore, data: Mapping[str, Array]
) -> dict[str, float]:
    """The ratio in dB of each layer's float result to the error of its quantized one, by layer name.

    `float_network` is what quantize started from, with its batch norms folded: a layer that took one in gives other
    values than before. A layer that only a ReLU, clip, max pool or other op reads which keeps its integers is measured
    behind it: its integers hold only what that lets through. The two networks read one store: passes keep the arrays of
    the float network.
    Layers without integers in the quantized network are left out, so are those that were pruned in between.
    """
    exact = results_by_layer(float_network, weights, data)
    approximate = results_by_layer(quantized_network, weights, data)
    return {
        name: sqnr_db(exact[name][0], reals)
        for name, (reals, is_affine) in approximate.items()
        if is_affine and name in exact and exact[name][0].shape == reals.shape
    }


def results_by_layer(
    network: NetworkOp, weights: WeightStore, data: Mapping[str, Array]
) -> dict[str, tuple[npt.NDArray[np.float64], bool]]:
    """The last real result of each named layer, and whether it was affine integers."""
    names: dict[SSAValue, list[str]] = {}
    for op in network.walk():
        name = layer_name(op)
        if name is not None and not isinstance(op, dataflow.LayerOp | num.QuantizeOp | num.DequantizeOp):
            names.setdefault(_where_measured(op.results[0]), []).append(name)
    found: dict[str, tuple[npt.NDArray[np.float64], bool]] = {}

    def observe(op: Operation, results: tuple[Array, ...]) -> None:
        for value, array in zip(op.results, results, strict=True):
            element = element_type(value)
            reals = array.astype(np.float64)
            if isinstance(element, AffineType):
                reals = element.scale.data * (reals - element.zero_point.data)
            if isinstance(element, AffineType | Float32Type):
                found.update((name, (reals, isinstance(element, AffineType))) for name in names.get(value, ()))

    run_network(network, weights, data, observe=observe)
    return found


def _where_measured(value: SSAValue) -> SSAValue:
    """The last value that has the same integers, following them out of fused layers."""
    while True:
        user = sole_user(value)
        if preserves(user):
            value = user.results[0]
        elif isinstance(user, dataflow.YieldOp):
            layer = user.parent_op()
            assert isinstance(layer, dataflow.LayerOp)
            value = layer.outputs[list(user.values).index(value)]
        else:
            return value
