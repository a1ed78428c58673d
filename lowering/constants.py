"""Values that depend on parameters alone: found, read and computed by the reference interpreter.

A constant op has operands, and all of them are parameters or results of constant ops. The parameter that such a value
comes from is that of its first operand, and so on; a decoding says itself what it decodes.
"""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue
from xdsl.traits import Pure

from hapir.diagnostics import fail
from hapir.dialects.enc import DecodeOp
from hapir.dialects.nn import NetworkOp, WeightOp
from hapir.reference.interpret import run_op
from hapir.weights import Array, WeightStore


def is_constant(value: SSAValue) -> bool:
    """Whether a value is a parameter, or computed from parameters alone."""
    pending = [value]  # no recursion: an activation lies below all layers before it
    while pending:
        owner = pending.pop().owner
        if not isinstance(owner, WeightOp):
            if not isinstance(owner, Operation) or not owner.operands or not owner.has_trait(Pure):
                return False
            pending.extend(owner.operands)
    return True


def is_constant_op(op: Operation) -> bool:
    """Whether an op computes on parameters alone. A parameter itself is none."""
    return bool(op.operands) and bool(op.results) and op.has_trait(Pure) and all(map(is_constant, op.operands))


def constants_of(network: NetworkOp) -> set[SSAValue]:
    """Every value of a network for which `is_constant` holds, found in one walk."""
    found: set[SSAValue] = set()
    for op in network.body.walk():
        computed = bool(op.operands) and op.has_trait(Pure) and all(operand in found for operand in op.operands)
        if isinstance(op, WeightOp) or computed:
            found.update(op.results)
    return found


def stored_key(op: Operation) -> str:
    """The weight key that a parameter, or the first operand of a constant op, starts from."""
    while not isinstance(op, WeightOp):
        if isinstance(op, DecodeOp) and op.key is not None:
            return op.key.data
        owner = op.operands[0].owner
        assert isinstance(owner, Operation)
        op = owner
    return op.key.data


def constant_value(value: SSAValue, weights: WeightStore) -> Array:
    """The array of a constant value. Raises HapirError (HAP0402 for a missing array, HAP0502 for what is none)."""
    owner = value.owner
    if not (isinstance(owner, Operation) and is_constant(value)):
        fail(
            "HAP0502",
            "this pass needs a parameter that is stored, and this one is computed",
            at=owner if isinstance(owner, Operation) else None,
            help="make it an `nn.weight`",
        )
    if isinstance(owner, WeightOp):
        if owner.key.data not in weights:
            what = f"the weights hold no array `{owner.key.data}`"
            fail("HAP0402", what, at=owner, help="check the name in the weights file")
        return weights[owner.key.data]
    return compute(owner, weights)[owner.results.index(value)]


def compute(op: Operation, weights: WeightStore) -> tuple[Array, ...]:
    """What a constant op gives. Raises HapirError as the interpreter does."""
    return run_op(op, [constant_value(v, weights) for v in op.operands], weights)
