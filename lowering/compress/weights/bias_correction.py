"""Empirical bias correction: undo the shift of each output channel's mean that coded weights cause.

Law: lossy; on the calibration data the mean of every output channel of a selected layer is afterwards that of the layer
with the weights that its codes stand for and the bias it had, up to float rounding. Layers are corrected in program
order, each on what the corrected layers before it give: `b -= mean(y with codes) - mean(y with real weights)` over
images and places (Nagel et al., ICCV 2019, section 4.2 and appendix D). Layers without coded weights are left alone. A
later `quantize` keeps the codes and takes the corrected biases into its accumulators.

```
%w = num.dequantize %c : ... -> tensor<16x1x3x3xf32>
%y = nn.conv2d %x, %w bias %b ... layer "c1"
```
becomes
```
%w = num.dequantize %c : ... -> tensor<16x1x3x3xf32>
%b_corrected = nn.weight "c1.bias.corrected" {largest_shift = 0.03 : f64, stands_for = "c1.bias"} : tensor<16xf32>
%y = nn.conv2d %x, %w bias %b_corrected ... layer "c1"
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from xdsl.context import Context
from xdsl.dialects.builtin import FloatAttr, ModuleOp, StringAttr, f32, f64
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.diagnostics import fail
from hapir.dialects.nn import NetworkOp, WeightOp
from hapir.dialects.nn_products import ProductOp
from hapir.dialects.num import shape_of
from hapir.lowering.compress.coded_weights import source_of
from hapir.lowering.compress.observe_activations import calibration_data, refuse_not_finite
from hapir.lowering.compress.selected_layers import selected_layers
from hapir.lowering.constants import constant_value, is_constant, is_constant_op
from hapir.lowering.network_edits import (
    decoded_weight_of,
    insert_weight,
    key_stem,
    networks_of,
    parameter_key,
    reject_fused,
    reject_quantized,
    replace,
    weight_op_of,
)
from hapir.reference.interpret import run_op
from hapir.weights import Array, WeightStore

Floats = npt.NDArray[np.float64]

STANDS_FOR = "stands_for"
"""The attribute of a corrected bias that holds the key of the one it had before, or "" for none."""


@dataclass(frozen=True)
class BiasCorrectionPass(ModulePass):
    """Correct biases for what coded weights do to the mean of each output channel. Lossy; means agree on the data.

    `calibration`: an .npz or .safetensors file with arrays named like the network's inputs, relative to the spec.
    `layers`: names of layers, or patterns like `c*`; of these, the layers with coded weights are corrected.
    `samples`: use only the first so many of the data, all of which are worked on at once.

    Example: `quantize_weights(weights = i3); bias_correction(calibration = "digits_calib.npz")`
    """

    name = "bias_correction"
    calibration: str
    layers: str | tuple[str, ...] = "*"
    samples: int | None = field(default=None, metadata=bounded(at_least=1))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError (HAP0208, HAP0405, HAP0506)."""
        context = hapir_context(ctx)
        for network in networks_of(op):
            reject_fused(network)
            reject_quantized(network)
            layers = selected_layers(network, self.layers)
            data = calibration_data(network, context.data_file(self.calibration), self.samples)
            for layer, shift in mean_shifts(network, layers, context.weights, data).items():
                _correct(layer, shift, context.weights)


def mean_shifts(
    network: NetworkOp, layers: Sequence[ProductOp], weights: WeightStore, data: Mapping[str, Array]
) -> dict[ProductOp, Floats]:
    """How far the mean of each output channel of the layers is off, once the layers before are corrected.

    Runs the network once, with two arrays for each value that coded weights have changed: with codes, as corrected so
    far, and with the weights that they stand for.
    """
    exact: dict[SSAValue, Array] = dict(zip(network.body.block.args, data.values(), strict=True))
    coded = dict(exact)
    shifts: dict[ProductOp, Floats] = {}
    last_use = {operand: op for op in network.body.block.ops for operand in op.operands}
    for op in network.body.block.ops:
        if isinstance(op, WeightOp) or is_constant_op(op) or not op.results:
            continue
        source = _source(op, weights)
        changed = source is not None or any(coded[v] is not exact[v] for v in op.operands if v in exact)
        approximate = run_op(op, [_array(v, coded, weights) for v in op.operands], weights)
        real = approximate
        if changed:
            operands = [_array(v, exact, weights) for v in op.operands]
            if source is not None:
                operands[1:] = [source.astype(np.float32), *_bias_before(op, weights)]
            real = run_op(op, operands, weights)
        if isinstance(op, ProductOp) and op in layers and source is not None:
            if not (np.isfinite(approximate[0]).all() and np.isfinite(real[0]).all()):
                refuse_not_finite(op)
            shift = _channel_means(approximate[0]) - _channel_means(real[0])
            shifts[op] = shift
            approximate = (approximate[0] - shift.astype(np.float32).reshape(-1, *[1] * (approximate[0].ndim - 2)),)
        exact.update(zip(op.results, real, strict=True))
        coded.update(zip(op.results, approximate, strict=True))
        for value in (*op.operands, *op.results):
            if last_use.get(value, op) is op:
                exact.pop(value, None)
                coded.pop(value, None)
    return shifts


def _source(op: Operation, weights: WeightStore) -> Floats | None:
    """The real weights behind a layer's codes; None where its weights are real. Raises HapirError (HAP0402)."""
    if not isinstance(op, ProductOp) or isinstance(op.w.owner, WeightOp) or not is_constant(op.w):
        return None
    source = source_of(op.w, weights)
    if source is None:
        what = f"the weights that `{parameter_key(op.w)}` was coded from are not there to compare with"
        fail("HAP0402", what, at=op, help="correct biases in the recipe that codes the weights")
    return source


def _array(value: SSAValue, known: Mapping[SSAValue, Array], weights: WeightStore) -> Array:
    return constant_value(value, weights) if is_constant(value) else known[value]


def _channel_means(y: Array) -> Floats:
    """The mean of each index of axis 1."""
    return y.astype(np.float64).mean(axis=(0, *range(2, y.ndim)))


def _bias_before(op: Operation, weights: WeightStore) -> list[Array]:
    """The bias that a layer had before any correction; nothing where it has none."""
    assert isinstance(op, ProductOp)
    if op.bias is None:
        return []
    key = _uncorrected_key(op.bias)
    if key is None:
        return [constant_value(op.bias, weights)]
    return [weights[key]] if key else [np.zeros(shape_of(op.bias), np.float32)]


def _uncorrected_key(bias: SSAValue) -> str | None:
    """The key of the bias that a corrected one stands for, "" where there was none; None for one not corrected."""
    attribute = bias.owner.attributes.get(STANDS_FOR) if isinstance(bias.owner, WeightOp) else None
    return attribute.data if isinstance(attribute, StringAttr) else None


def _correct(layer: ProductOp, shift: Floats, weights: WeightStore) -> None:
    """Take the shift out of a layer's bias, which it gets where it has none and the shift is not zero."""
    if not shift.any():
        return
    if layer.bias is None:
        key, bias, stem = "", np.zeros(len(shift)), f"{key_stem(layer)}.bias"
    else:
        key, bias = _uncorrected_key(layer.bias), decoded_weight_of(layer.bias, weights)
        key = parameter_key(layer.bias) if key is None else key
        stem = key or f"{key_stem(layer)}.bias"
    corrected = insert_weight(layer, f"{stem}.corrected", bias - shift, f32, weights)
    weight_op_of(corrected).attributes.update(
        {"largest_shift": FloatAttr(float(np.abs(shift).max()), f64), STANDS_FOR: StringAttr(key)}
    )
    if layer.bias is not None:
        corrected.name_hint = layer.bias.name_hint
        layer.operands[2] = corrected
    else:
        replace(layer, layer.on(layer.x, layer.w, corrected))
