"""Compute at compile time what depends on parameters alone.

Law: exact. An op whose operands are all `nn.weight`s becomes an `nn.weight` that holds what the reference interpreter
computes, so coded weights (`num.dequantize` of codes, decoded bytes, generated slices) reach every target as plain
arrays, and a new code needs no work in any of them.

```
%c = nn.weight "c1.weight.twn" : tensor<16x1x3x3x!num.scaled<!num.ternary, "c1.weight.twn.scale">>
%w = num.dequantize %c : ... -> tensor<16x1x3x3xf32>
```
becomes
```
%w = nn.weight "c1.weight.twn.value" : tensor<16x1x3x3xf32>
```
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from hapir.context import hapir_context
from hapir.dialects.nn import NetworkOp, WeightOp
from hapir.lowering.constants import compute, constants_of, is_constant_op, stored_key
from hapir.lowering.encoded_weights import EncodedWeight, encoded_weight
from hapir.lowering.network_edits import erase_unused_weights, insert_before, networks_of
from hapir.weights import WeightStore


@dataclass(frozen=True)
class FoldConstantsPass(ModulePass):
    """Turn ops on parameters alone into parameters. Exact.

    Example: `hapir opt digits.hap -p 'fold_constants'`
    """

    name = "fold_constants"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        weights = hapir_context(ctx).weights
        for network in networks_of(op):
            fold_constants(network, weights)


def has_constant_ops(network: NetworkOp) -> bool:
    """Whether there is anything to fold."""
    return any(map(is_constant_op, network.body.walk()))


def fold_constants(network: NetworkOp, weights: WeightStore) -> dict[str, EncodedWeight]:
    """Fold a network in place, in program order; the new arrays go into the store.

    Returns, by key, how those of them that were decoded from bytes are stored.
    """
    constants = constants_of(network)
    computed = [op for op in network.body.walk() if op.operands and _gives(op, constants)]
    folded = [op for op in computed if not _only_feeds(op, constants)]
    encoded: dict[str, EncodedWeight] = {}
    for op in folded:
        _fold(op, weights, encoded)
    erase_unused_weights(network)
    return encoded


def _gives(op: Operation, constants: set[SSAValue]) -> bool:
    """Whether an op has results and all of them are constants."""
    return bool(op.results) and constants.issuperset(op.results)


def _only_feeds(op: Operation, constants: set[SSAValue]) -> bool:
    """Whether folding what reads an op makes the op itself unused."""
    return all(_gives(use.operation, constants) for result in op.results for use in result.uses)


def _fold(op: Operation, weights: WeightStore, encoded: dict[str, EncodedWeight]) -> None:
    for result, array in zip(op.results, compute(op, weights), strict=True):
        folded = WeightOp(weights.put_new(f"{stored_key(op)}.value", array), result.type)
        stored = encoded_weight(result)
        if stored is not None:
            encoded[folded.key.data] = stored
        insert_before(op, [folded])
        folded.result.name_hint = result.name_hint
        result.replace_all_uses_with(folded.result)
    op.detach()
    op.erase()
