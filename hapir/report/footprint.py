"""What the parameters of a network are and take, layer by layer: counted from the IR and the arrays behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import f32
from xdsl.ir import Operation, SSAValue

from hapir.dialects.nn import GatherTapsOp, LayerOp, NetworkOp, WeightOp
from hapir.dialects.nn_macs import macs
from hapir.dialects.num import code_bits, element_type, table_key, zero_point_of
from hapir.encodings.bits import bytes_for
from hapir.lowering.compress.weight_slots import slots_of
from hapir.lowering.constants import constant_value, constants_of
from hapir.lowering.network_edits import layer_name
from hapir.report.compression import Footprint
from hapir.weights import Array, WeightStore

UNNAMED = "(unnamed)"
"""The layer of parameters that no named layer reads."""


def footprints(network: NetworkOp, weights: WeightStore) -> dict[str, tuple[str, Footprint]]:
    """The op and the footprint of each named layer, in program order; those without parameters or MACs too.

    A layer that became several ops is one entry, of its first `nn` op's kind. What several layers share counts at the
    first.
    """
    found: dict[str, tuple[str, Footprint]] = {}
    counted: set[str] = set()
    decoded: dict[SSAValue, Array] = {}
    constants = constants_of(network)
    for op in network.body.walk():
        if op.results and constants.issuperset(op.results):
            continue
        parameters = [v for v in op.operands if v in constants]
        decoded.update((v, constant_value(v, weights)) for v in parameters if v not in decoded)
        if not parameters and not isinstance(op, LayerOp):
            continue
        name = layer_name(op) or UNNAMED
        kind, before = found.get(name, ("", Footprint()))
        if isinstance(op, LayerOp) and not kind:
            kind = op.name.partition(".")[2]
        found[name] = (kind, before + _footprint(op, {v: decoded[v] for v in parameters}, weights, counted))
    return found


def _footprint(
    op: Operation, parameters: Mapping[SSAValue, Array], weights: WeightStore, counted: set[str]
) -> Footprint:
    """The footprint of an op whose `parameters` have these values; `counted` keys belong to layers before it."""
    slots = [slot.value for slot in slots_of(op)]
    total = Footprint()
    multiplies = macs(op)
    size = sum(parameters[value].size for value in slots)
    for value, array in parameters.items():
        stored = {key: bits for key, bits in _arrays(value) if key not in counted}
        nonzeros = int(np.count_nonzero(_means_something(value, array)))
        if value in slots:
            # every weight is used as often as any other one
            total += Footprint(macs=multiplies // size * nonzeros)
        if not stored:
            continue
        counted.update(stored)
        disk = sum(weights[key].nbytes for key in stored)
        packed = sum(bytes_for(weights[key].size * bits) for key, bits in stored.items())
        is_weight, places = value in slots, isinstance(op, GatherTapsOp)
        # neither the factors of a requantizer nor the places of weights that are left are parameters
        computes = isinstance(op, LayerOp) and not places
        total += Footprint(
            parameters=array.size if computes else 0,
            nonzeros=nonzeros if computes else 0,
            weights=array.size if is_weight else 0,
            weight_bytes=disk if is_weight or places else 0,
            disk_bytes=disk,
            ram_bytes=array.nbytes,
            packable_bytes=disk - packed if is_weight else 0,
        )
    return total if slots else total + Footprint(macs=multiplies)


def _means_something(value: SSAValue, array: Array) -> npt.NDArray[np.bool_]:
    """Where the number does not mean 0."""
    return np.not_equal(array, zero_point_of(element_type(value)))


def _arrays(value: SSAValue) -> Iterator[tuple[str, int]]:
    """The keys of all arrays that a parameter is made of, and the bits that an element needs: those stored behind it,
    and the tables of their types.
    """
    op = value.owner
    assert isinstance(op, Operation)
    if isinstance(op, WeightOp):
        yield op.key.data, code_bits(element_type(op.result))
    else:
        for operand in op.operands:
            yield from _arrays(operand)
    for result in op.results:
        if (table := table_key(element_type(result))) is not None:
            yield table, code_bits(f32)
