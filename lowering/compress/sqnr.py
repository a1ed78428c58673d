"""What quantization cost each layer: signal-to-quantization-noise ratios, measured by running both networks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hapir.reference.interpret import run_network
from xdsl.ir import Operation

from hapir.dialects.dataflow import LayerOp as FusedLayerOp
from hapir.dialects.nn import NetworkOp
from hapir.dialects.num import AffineType, element_type
from hapir.lowering.compress.calibration import sqnr_db
from hapir.lowering.network_edits import layer_name
from hapir.weights import Array, WeightStore


def sqnr_per_layer(
    float_network: NetworkOp, quantized_network: NetworkOp, weights: WeightStore, data: Mapping[str, Array]
) -> dict[str, float]:
    """The ratio in dB between each layer's float result and the error of its quantized one, by layer name.

    The two networks read one store: passes keep the arrays of the float network. Layers that have no affine result in
    the quantized network are left out, so are those whose channels were pruned in between.
    """
    exact = _results_by_layer(float_network, weights, data)
    approximate = _results_by_layer(quantized_network, weights, data, quantized=True)
    return {
        name: sqnr_db(exact[name].astype(np.float64), approximate[name].astype(np.float64))
        for name in approximate
        if name in exact and exact[name].shape == approximate[name].shape
    }


def _results_by_layer(
    network: NetworkOp, weights: WeightStore, data: Mapping[str, Array], *, quantized: bool = False
) -> dict[str, Array]:
    """The last result of each named layer as reals."""
    found: dict[str, Array] = {}

    def observe(op: Operation, results: tuple[Array, ...]) -> None:
        name = layer_name(op)
        if name is None or isinstance(op, FusedLayerOp) or op.name == "num.quantize":
            return
        element = element_type(op.results[0])
        if isinstance(element, AffineType):
            found[name] = element.scale.data * (results[0].astype(np.float64) - element.zero_point.data)
        elif not quantized:
            found[name] = results[0]

    run_network(network, weights, data, observe=observe)
    return found
