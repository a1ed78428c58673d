"""Put codes in the place of real weights: what all weight quantizers share.

The codes are a parameter whose type says what they mean, and `num.dequantize` gives the reals that the layer reads.
Each new parameter says what it lost: the largest error and the signal-to-quantization-noise ratio in dB.

```
%w = nn.weight "c1.weight" : tensor<16x1x3x3xf32>
```
becomes, with the codes of a rule called `twn`,
```
%c = nn.weight "c1.weight.twn" {max_error = 0.21 : f64, sqnr_db = 7.3 : f64}
    : tensor<16x1x3x3x!num.scaled<!num.ternary, "c1.weight.twn.scale">>
%w = num.dequantize %c : ... -> tensor<16x1x3x3xf32>
```
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import FloatAttr, StringAttr, f64
from xdsl.ir import Attribute, SSAValue

from hapir.context import HapirContext
from hapir.diagnostics import some
from hapir.dialects import num
from hapir.dialects.formats import Bipolar, Integer, Ternary
from hapir.dialects.nn import NetworkOp, SignOp, WeightOp
from hapir.dialects.num import BipolarType, CodebookType, PlanesType, ScaledType, TernaryType, unsigned
from hapir.dialects.num_layers import codes_type
from hapir.lowering.compress.calibration import sqnr_db
from hapir.lowering.compress.fold_batch_norm import batch_norms, fold_target
from hapir.lowering.compress.weight_slots import WeightSlot, weight_slots
from hapir.lowering.constants import constant_value, is_constant
from hapir.lowering.network_edits import (
    erase_unused_weights,
    insert_before,
    insert_weight,
    parameter_key,
    real_weight_of,
    reject_fused,
    reject_quantized,
    weight_op_of,
)
from hapir.quantizers.coded import Codebook, Coded, Floats, Planes, Scaled
from hapir.reference.values import dtype_of
from hapir.weights import WeightStore

Rule = Callable[[Floats, WeightSlot], Coded]
"""Real weights and where they are, to codes."""


def code_weights(
    network: NetworkOp, layers: str | Sequence[str], context: HapirContext, rule: Rule, suffix: str
) -> None:
    """Code the weights of the layers that globs name; keys end in `suffix`. Warns as `warn_of_norms` does.

    Raises HapirError: HAP0208 for a glob without a layer, HAP0404 for weights that are not finite, HAP0506 and HAP0516
    for a network that is quantized or fused, HAP0595 for weights that are coded already.
    """
    reject_fused(network)
    reject_quantized(network)
    warn_of_norms(network, layers, context)
    weights = context.weights
    for slot in weight_slots(network, layers):
        exact = real_weight_of(slot.value, weights)
        slot.op.operands[slot.index] = insert_coded(slot, rule(exact, slot), exact, weights, suffix)
    erase_unused_weights(network)


def warn_of_norms(network: NetworkOp, layers: str | Sequence[str], context: HapirContext) -> None:
    """Warn (HAP0535) where batch norms could be folded into layers whose weights are about to be coded.

    Coded weights take no factor, so these norms would stay floats, or need `threshold`. In a binarized network, one
    with signs, that is what is meant: norm and sign become one comparison.
    """
    if any(isinstance(op, SignOp) for op in network.walk()):
        return
    selected = {slot.op for slot in weight_slots(network, layers)}
    left = [norm for norm in batch_norms(network) if fold_target(norm) in selected]
    if left:
        names = some([f"`{norm.layer_name or norm.name}`" for norm in left], 3)
        what = f"coded weights take no factor, so the batch norm behind them stays: {names}"
        context.warn("HAP0535", what, help="call fold_batch_norm() before this step")


def insert_coded(slot: WeightSlot, coded: Coded, exact: Floats, weights: WeightStore, suffix: str) -> SSAValue:
    """Store codes and their table, and give the reals that they mean; `exact` is what they stand for."""
    key = f"{weight_op_of(slot.value).key.data}.{suffix}"
    element = _element_type(coded, key, weights)
    codes = coded.codes.astype(dtype_of(element))
    value = insert_weight(slot.op, key, codes, element, weights, slot.value.name_hint)
    reals = coded.reals()
    weight_op_of(value).attributes.update(losses(exact, reals))
    dequantize = num.DequantizeOp(value)
    insert_before(slot.op, [dequantize])
    dequantize.result.name_hint = slot.value.name_hint
    return dequantize.result


def scaled_of(value: SSAValue, weights: WeightStore) -> Scaled | None:
    """The codes and scales behind a parameter that is a `num.dequantize` of `num.scaled` codes; None for all others."""
    owner = value.owner
    if not (isinstance(owner, num.DequantizeOp) and is_constant(owner.q)):
        return None
    element = num.element_type(owner.q)
    if not isinstance(element, ScaledType):
        return None
    scales = weights[element.scales.data].astype(np.float32)
    codes = constant_value(owner.q, weights)
    return Scaled(codes.astype(dtype_of(element), copy=False), _format_of(element.codes), scales)


def table_rows(value: SSAValue, weights: WeightStore) -> int | None:
    """How many rows the table of levels or bases behind a parameter has; None for a parameter without such a table."""
    owner = value.owner
    element = num.element_type(owner.q) if isinstance(owner, num.DequantizeOp) else None
    if not isinstance(element, CodebookType | PlanesType):
        return None
    key = num.table_key(element)
    assert key is not None
    return 1 if weights[key].ndim == 1 else len(weights[key])


def source_of(value: SSAValue, weights: WeightStore) -> Floats | None:
    """The real weights that a coded parameter stands for; None where it is not coded or the store has lost them.

    Keys of codes are the key of the weights and a suffix, and the store keeps what passes replace.
    """
    if isinstance(value.owner, WeightOp) or not is_constant(value):
        return None
    key = parameter_key(value)
    while (key := key.rpartition(".")[0]) != "":
        if key in weights and weights[key].dtype == np.float32 and weights[key].shape == num.shape_of(value):
            return weights[key].astype(np.float64)
    return None


def losses(exact: Floats, approximate: npt.NDArray[np.floating]) -> dict[str, Attribute]:
    """The attributes `max_error` and `sqnr_db` of a parameter that stands for another."""
    reals = approximate.astype(np.float64)
    return {
        "max_error": FloatAttr(max_error(exact, reals), f64),
        "sqnr_db": FloatAttr(sqnr_db(exact, reals), f64),
    }


def max_error(exact: Floats, approximate: Floats) -> float:
    """The largest distance of a value from what stands for it; 0 of nothing."""
    return float(np.abs(exact - approximate).max(initial=0.0))


def _element_type(coded: Coded, key: str, weights: WeightStore) -> Attribute:
    """The type of coded weights; their table is stored under a key of its own."""

    def stored(name: str, table: npt.NDArray[np.float32]) -> StringAttr:
        return StringAttr(weights.put_new(f"{key}.{name}", table))

    match coded:
        case Scaled():
            return ScaledType(codes_type(coded.format), stored("scale", coded.scales))
        case Codebook():
            return CodebookType(unsigned(coded.bits), stored("levels", coded.levels))
        case Planes():
            return PlanesType(coded.bits, stored("bases", coded.bases))


def _format_of(codes: Attribute) -> Integer | Bipolar | Ternary:
    """The format behind the codes of a type."""
    match codes:
        case BipolarType():
            return Bipolar(codes.width.data)
        case TernaryType():
            return Ternary()
        case _:
            storage = num.storage_of(codes)
            assert storage is not None
            return Integer(storage.width.data, num.is_signed(storage))
