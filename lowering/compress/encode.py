"""Encode weights: the arrays become the bytes of an encoding, and `enc.decode` gives them back.

Law: exact; the network computes the same, and the weights file holds exactly the bytes of the parts. What is encoded is
what is stored: codes where a quantizer gave codes, else f32. So it comes last in a recipe: passes that write other
weights refuse encoded ones (HAP0554).

```
%c = nn.weight "c1.weight.twn" : tensor<16x1x3x3x!num.scaled<!num.ternary, "c1.weight.twn.scale">>
```
becomes with `encode(encoding = rle)`
```
%l = nn.weight "c1.weight.twn.rle.levels" : tensor<1xui8>
%d = nn.weight "c1.weight.twn.rle.words" : tensor<24xui8>
%c = enc.decode "rle(gap_bits = 2, levels = 2)" of "c1.weight.twn" zero 0 (%l, %d)
    {bits = 193 : i64, entropy_bits = 181.2 : f64} : (tensor<1xui8>, tensor<24xui8>) -> tensor<16x1x3x3x...>
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from xdsl.context import Context
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, ModuleOp, f64, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass

from hapir.context import hapir_context
from hapir.diagnostics import fail
from hapir.dialects import enc
from hapir.dialects.nn import NetworkOp, WeightOp
from hapir.dialects.num import UI8, AffineType, BipolarType, CodebookType, PlanesType, codes_of, element_type
from hapir.encodings.encoding import Encoding, Shared, Symbols
from hapir.lowering.compress.weight_slots import weight_slots
from hapir.lowering.constants import constant_value
from hapir.lowering.network_edits import erase_unused_weights, insert_before, insert_weight, networks_of, reject_fused
from hapir.plugin_failures import at_work
from hapir.quantizers.coded import Codebook
from hapir.reference.enc import symbols_of
from hapir.registered import ENCODING, EncodingText, spell, value_of
from hapir.weights import WeightStore


@dataclass(frozen=True)
class EncodePass(ModulePass):
    """Store weights in an encoding. Exact; each tensor says its size and the order-0 entropy of its symbols.

    Put it last: what writes other weights afterwards would undo it and is refused (HAP0554).

    `encoding`: an encoding of the registry; `smallest` picks for each tensor the one with the fewest bytes.
    `layers`: names of layers, or patterns like `c*`; the weights of layers that multiply are encoded, biases are not.

    Example: `encode(encoding = huffman(source = gaps, codebook = model))`
    """

    name = "encode"
    encoding: EncodingText = "smallest"
    layers: str | tuple[str, ...] = "*"

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoding", spell(value_of(self.encoding, ENCODING)))

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError (HAP0208, HAP0402, HAP0516, HAP0551, HAP0553)."""
        weights = hapir_context(ctx).weights
        for network in networks_of(op):
            reject_fused(network)
            stored = _stored_weights(network, self.layers)
            _encode_all(value_of(self.encoding, ENCODING), stored, network, weights)
            erase_unused_weights(network)


def _stored_weights(network: NetworkOp, layers: str | Sequence[str]) -> list[WeightOp]:
    """The parameters behind the weights of layers, each once. Raises HapirError (HAP0553) for encoded ones."""
    found: dict[WeightOp, None] = {}
    for slot in weight_slots(network, layers):
        _collect(slot.value, found)
    return list(found)


def _collect(value: SSAValue, found: dict[WeightOp, None]) -> None:
    owner = cast(Operation, value.owner)
    if isinstance(owner, enc.DecodeOp):
        fail("HAP0553", "the weights are encoded already", at=owner, help="encode each layer once")
    if isinstance(owner, WeightOp):
        found[owner] = None
    for operand in owner.operands:
        _collect(operand, found)


def _symbols(weight: WeightOp, weights: WeightStore) -> Symbols:
    array, element = constant_value(weight.result, weights), element_type(weight.result)
    return symbols_of(array, element, zero_code(element, weights))


def zero_code(element: Attribute, weights: WeightStore) -> int | None:
    """The code that means 0 of an element type, as arrays hold it; None where none does."""
    match element:
        case CodebookType():
            levels = weights[element.levels.data]
            return Codebook(cast(Any, levels), cast(Any, levels)).zero_code
        case PlanesType():
            return None
        case _ if isinstance(codes_of(element), BipolarType):
            return None
        case AffineType():
            return element.zero_point.data
        case _:
            return 0


def _encode_all(encoding: Encoding, stored: list[WeightOp], network: NetworkOp, weights: WeightStore) -> None:
    """Encode parameters alike; the parts that they share are stored once, in front of the first."""
    tensors = [_symbols(weight, weights) for weight in stored]
    for weight, symbols in zip(stored, tensors, strict=True):
        with at_work("encodings", encoding.name, weight):
            reason = encoding.unfit(symbols)
        if reason is not None:
            _fail_unfit(encoding, f"the weights `{weight.key.data}`", reason, weight)
    with at_work("encodings", encoding.name, network):
        try:
            common = encoding.for_all(tensors)
        except ValueError as error:
            _fail_unfit(encoding, f"all weights of `{network.sym_name.data}` together", str(error), network)
        shared = common.share(tensors)
    values: dict[str, SSAValue] = {}
    if stored:
        stem = f"{network.sym_name.data}.{encoding.name}"
        values = {n: insert_weight(stored[0], f"{stem}.{n}", p.data, UI8, weights, n) for n, p in shared.items()}
    for weight, symbols in zip(stored, tensors, strict=True):
        with at_work("encodings", encoding.name, weight):
            fitted = common.fitted(symbols)
        _replace(weight, fitted, symbols, shared, values, weights)


def _fail_unfit(encoding: Encoding, what: str, reason: str, at: Operation) -> NoReturn:
    help = "choose another encoding, or the layers that it suits"
    fail("HAP0551", f"`{spell(encoding)}` cannot hold {what}: {reason}", at=at, help=help)


def _replace(
    weight: WeightOp,
    encoding: Encoding,
    symbols: Symbols,
    shared: Shared,
    shared_values: dict[str, SSAValue],
    weights: WeightStore,
) -> None:
    """Put the parts and their decoding in the place of a parameter."""
    with at_work("encodings", encoding.name, weight):
        parts = encoding.encode(symbols, shared)
    stem = f"{weight.key.data}.{encoding.name}"
    operands = [
        shared_values[part.name]
        if part.name in shared_values
        else insert_weight(weight, f"{stem}.{part.name}", part.data, UI8, weights, part.name)
        for part in parts
    ]
    decode = enc.DecodeOp(spell(encoding), symbols.tensor.zero, operands, weight.result.type, weight.key.data)
    own = sum(part.bits for part in parts if part.name not in shared_values)
    common = sum(part.bits for part in parts if part.name in shared_values)
    decode.attributes.update(weight.attributes)
    decode.attributes["bits"] = IntegerAttr(own, i64)
    if common:
        decode.attributes["shared_bits"] = IntegerAttr(common, i64)
    decode.attributes["entropy_bits"] = FloatAttr(symbols.entropy_bits, f64)
    insert_before(weight, [decode])
    decode.result.name_hint = weight.result.name_hint
    weight.result.replace_all_uses_with(decode.result)
