"""Edits that all passes over `nn.network` share: parameters read and written by key, replacement that keeps locations.

Invariants: an op made here carries the location of the op it stands for; a changed parameter gets a new key, the old
array stays in the store; parameters that nothing reads any more leave the IR.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import Float32Type, ModuleOp, StringAttr, TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.traits import Pure

from hapir.diagnostics import fail
from hapir.dialects.dataflow import LayerOp as FusedLayerOp
from hapir.dialects.enc import DecodeOp
from hapir.dialects.nn import FillOp, NetworkOp, WeightOp
from hapir.dialects.num import (
    DequantizeOp,
    QuantizeOp,
    RequantizeOp,
    RescaleOp,
    ThresholdOp,
    WidenOp,
    element_type,
    table_key,
)
from hapir.lowering.constants import constant_value, is_constant, is_constant_op, stored_key
from hapir.weights import Array, WeightStore


def networks_of(module: ModuleOp) -> list[NetworkOp]:
    """The networks of a module, in order."""
    return [op for op in module.body.block.ops if isinstance(op, NetworkOp)]


def reject_fused(network: NetworkOp) -> None:
    """Raise HapirError (HAP0516) where layers are grouped already: a pass that looks at layers would not see theirs."""
    for op in network.body.block.ops:
        if isinstance(op, FusedLayerOp):
            fail("HAP0516", "the layers are fused already", at=op, help="leave fuse() out, or put it last")


def reject_quantized(network: NetworkOp) -> None:
    """Raise HapirError (HAP0506) where a network computes on integers already; coded weights alone do not count."""
    integer_ops = (QuantizeOp, DequantizeOp, RequantizeOp, RescaleOp, WidenOp, ThresholdOp)
    for op in network.body.walk():
        if isinstance(op, integer_ops) and not is_constant_op(op):
            fail("HAP0506", "the network is quantized already", at=op, help="quantize once, and prune before that")


def reject_encoded(network: NetworkOp) -> None:
    """Raise HapirError (HAP0554) where weights are encoded: a pass that writes others would undo that silently."""
    for op in network.body.walk():
        if isinstance(op, DecodeOp):
            _fail_encoded(op)


def _fail_encoded(op: DecodeOp) -> NoReturn:
    what = f"the weights `{stored_key(op)}` are encoded already, and this step would replace them"
    fail("HAP0554", what, at=op, help="put encode last")


def layer_name(op: Operation) -> str | None:
    """The `.hap` name an op carries, whichever dialect it is of."""
    name = op.properties.get("layer")
    return name.data if isinstance(name, StringAttr) else None


def key_stem(op: Operation) -> str:
    """What keys of parameters made for an op start with: its layer's name, else the op's own."""
    return layer_name(op) or op.name.rpartition(".")[2]


def unused_name(stem: str, used: set[str]) -> str:
    """`stem`, with a number where that name is taken; the result is taken from then on."""
    name, n = stem, 0
    while name in used:
        n += 1
        name = f"{stem}.{n}"
    used.add(name)
    return name


def set_type(value: SSAValue, type_: Attribute) -> None:
    """Change the type of a value in place, keeping its uses and location."""
    value._type = type_  # pyright: ignore[reportPrivateUsage]  # xDSL's own setter would drop a block argument's location


def sole_user(value: SSAValue) -> Operation | None:
    """The op that reads a value, where exactly one operand does."""
    return value.get_user_of_unique_use()


def _behind(op: Operation) -> Iterator[Operation]:
    """An op and those that its operands come from, one by one."""
    pending = [op]
    while pending:
        yield (found := pending.pop())
        pending.extend(v.owner for v in found.operands if isinstance(v.owner, Operation))


def weight_op_of(value: SSAValue) -> WeightOp:
    """The `nn.weight` behind a parameter operand. Raises HapirError.

    HAP0554 where it is encoded, HAP0595 where it is coded, HAP0502 where it is computed.
    """
    owner = value.owner
    if isinstance(owner, WeightOp):
        return owner
    if is_constant(value):
        assert isinstance(owner, Operation)
        decoded = next((op for op in _behind(owner) if isinstance(op, DecodeOp)), None)
        if decoded is not None:
            _fail_encoded(decoded)
        what = f"the weights `{stored_key(owner)}` are coded already"
        fail("HAP0595", what, at=owner, help="prune and factor first, and code the weights last")
    fail(
        "HAP0502",
        "this pass needs a parameter that is stored, and this one is computed",
        at=owner if isinstance(owner, Operation) else None,
        help="make it an `nn.weight`",
    )


def weight_of(value: SSAValue, weights: WeightStore) -> Array:
    """The stored array of a parameter operand. Raises HapirError (HAP0402, HAP0403): missing or misshapen."""
    op = weight_op_of(value)
    if op.key.data not in weights:
        fail("HAP0402", f"the weights hold no array `{op.key.data}`", at=op, help="check the name in the weights file")
    array = weights[op.key.data]
    assert isinstance(op.result.type, TensorType)
    declared = op.result.type.get_shape()
    if array.shape != declared:
        fail("HAP0403", f"the array `{op.key.data}` has shape {array.shape}, the network needs {declared}", at=op)
    return array


def real_weight_of(value: SSAValue, weights: WeightStore) -> npt.NDArray[np.float64]:
    """The stored array of a parameter operand as float64. Raises HapirError (HAP0404) where it is not finite."""
    array = weight_of(value, weights).astype(np.float64)
    if not np.isfinite(array).all():
        op = weight_op_of(value)
        fail("HAP0404", f"the array `{op.key.data}` holds infinities or not-a-number", at=op, help="train it again")
    return array


def decoded_weight_of(value: SSAValue, weights: WeightStore) -> npt.NDArray[np.float64]:
    """The reals of a parameter operand as float64, through whatever decodes them: for those who only read.

    Raises HapirError (HAP0402, HAP0404, HAP0502).
    """
    if isinstance(value.owner, WeightOp):
        return real_weight_of(value, weights)
    return constant_value(value, weights).astype(np.float64)


def parameter_key(value: SSAValue) -> str:
    """The key that a parameter operand starts from, coded or not: what keys made from it begin with."""
    owner = value.owner
    if not (isinstance(owner, Operation) and is_constant(value)):
        return weight_op_of(value).key.data
    return stored_key(owner)


def insert_weight(
    user: Operation, key: str, array: Array, element: Attribute, weights: WeightStore, hint: str | None = None
) -> SSAValue:
    """Store an array under a new key and read it by a new `nn.weight` just before its user; returns the value.

    Reals are stored as f32. Raises HapirError (HAP0596) where f32 cannot hold one.
    """
    if isinstance(element, Float32Type):
        array = as_f32(array, key, user)
    op = WeightOp(weights.put_new(key, array), TensorType(element, array.shape))
    insert_before(user, [op])
    op.result.name_hint = hint
    return op.result


def as_f32(array: npt.NDArray[Any], key: str, at: Operation) -> npt.NDArray[np.float32]:
    """Numbers that a pass computed, as a parameter holds them; `key` names it. Raises HapirError (HAP0596)."""
    with np.errstate(over="ignore", invalid="ignore"):
        stored = array.astype(np.float32)
    if not np.isfinite(stored).all():
        what = f"the new array `{key}` has numbers that f32 cannot hold"
        fail("HAP0596", what, at=at, help="train with smaller weights, or leave this layer out")
    return stored


def insert_before(anchor: Operation, ops: Sequence[Operation], location_of: Operation | None = None) -> None:
    """Insert ops before another one, at the location of `location_of` (the anchor's where it is not given)."""
    block = anchor.parent
    assert block is not None
    for op in ops:
        op.location = (location_of or anchor).location
    block.insert_ops_before(list(ops), anchor)


def replace(old: Operation, new: Operation) -> None:
    """Put an op with one result in the place of another: same uses, name hint, location and annotations."""
    insert_before(old, [new])
    new.attributes.update({name: value for name, value in old.attributes.items() if name not in new.attributes})
    new.results[0].name_hint = new.results[0].name_hint or old.results[0].name_hint
    old.results[0].replace_all_uses_with(new.results[0])
    old.detach()
    old.erase()


def used_keys(module: ModuleOp) -> set[str]:
    """The weight keys that a module names: parameters, and the tables of the types of all values."""
    keys: set[str] = set()
    for op in module.walk():
        if isinstance(op, WeightOp):
            keys.add(op.key.data)
        values = [*op.results, *(value for region in op.regions for block in region.blocks for value in block.args)]
        tables = (table_key(element_type(value)) for value in values if isinstance(value.type, TensorType))
        keys.update(table for table in tables if table is not None)
    return keys


def erase_unused_weights(network: NetworkOp) -> None:
    """Drop the parameters, the numbers and the ops on parameters alone that nothing reads."""
    for op in reversed(list(network.body.walk())):
        # uses come first: whether an op is constant may lead far back
        if not any(result.uses for result in op.results) and (isinstance(op, WeightOp | FillOp) or is_constant_op(op)):
            op.detach()
            op.erase()


def erase_dead(network: NetworkOp) -> None:
    """Drop what computes a value that nothing reads any more."""
    for op in reversed(list(network.body.block.ops)):
        if op.results and op.has_trait(Pure) and not any(result.uses for result in op.results):
            op.detach()
            op.erase()
    erase_unused_weights(network)
