"""What narrower weights and activations do to a network: each alone, measured without rewriting the network.

A `Part` is one weight array with the layers that read it, a `Line` the values of one type that a layer's result runs
along (see `activation_types`). Narrow weights replace arrays; narrow activations are a copy of the network in which a
line's values are quantized and dequantized where it ends. Both give what `quantize` will give them: symmetric weights
with a scale per output channel, affine activations over the range that the data show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from xdsl.dialects.builtin import FloatData, IntAttr, TensorType
from xdsl.ir import Operation, SSAValue

from hapir.dialects import num
from hapir.dialects.nn import LayerOp, NetworkOp, SplitOp
from hapir.dialects.nn_macs import macs
from hapir.dialects.num import AffineType, Rounding, shape_of, unsigned
from hapir.lowering.compress.activation_types import line_from, preserves
from hapir.lowering.compress.calibration import Observed, RangeRule, affine_for
from hapir.lowering.compress.weight_blocks import scale_blocks
from hapir.lowering.compress.weight_slots import WeightSlot, weight_slots
from hapir.lowering.network_edits import insert_before, layer_name, real_weight_of, weight_op_of
from hapir.quantizers.coded import Floats
from hapir.quantizers.uniform import UniformRule, uniform_codes
from hapir.weights import Array, WeightStore


@dataclass(eq=False)
class Part:
    """Weights of one width: those of a layer, with all layers that share an array with it; an annotation is a layer's.

    `line` is the line that its first layer reads, None for an input of the network.
    """

    name: str
    slots: list[WeightSlot]
    exact: dict[str, Floats]
    """The arrays by key."""
    line: Line | None = None
    _narrowed: dict[int, dict[str, Array]] = field(default_factory=dict[int, dict[str, Array]])

    @property
    def size(self) -> int:
        """How many weights there are."""
        return sum(array.size for array in self.exact.values())

    def macs(self) -> int:
        """Multiply-accumulates of all its layers."""
        return sum(macs(op) for op in {slot.op: None for slot in self.slots})

    def stored_bits(self, width: int) -> int:
        """Bits of the codes of each array in whole bytes, and of the scales in f32."""
        scales = sum(int(np.prod(blocks)) for blocks in self._blocks().values())
        return sum(-(-array.size * width // 8) * 8 for array in self.exact.values()) + 32 * scales

    def narrowed(self, width: int) -> dict[str, Array]:
        """The weights with so many bits, as reals, by key."""
        if width not in self._narrowed:
            blocks = self._blocks()
            coded = {key: uniform_codes(w, blocks[key], UniformRule(width)) for key, w in self.exact.items()}
            self._narrowed[width] = {key: codes.reals() for key, codes in coded.items()}
        return self._narrowed[width]

    def noise(self, width: int) -> float:
        """The noise of the weights with so many bits, per signal."""
        signal = sum(float(np.square(w).sum()) for w in self.exact.values())
        found = self.narrowed(width)
        errors = (np.subtract(found[key], w, dtype=np.float64) for key, w in self.exact.items())
        return sum(float(np.square(error).sum()) for error in errors) / signal if signal else 0.0

    def _blocks(self) -> dict[str, tuple[int, ...]]:
        first = {weight_op_of(slot.value).key.data: slot for slot in reversed(self.slots)}
        return {key: scale_blocks(slot, "channel", 1) for key, slot in first.items()}


@dataclass(eq=False)
class Line:
    """The values of one type that end in `last`, and the layers whose results begin there."""

    name: str
    last: SSAValue
    makers: list[LayerOp]
    low: float
    high: float

    def element(self, width: int) -> AffineType:
        """The affine type with so many bits."""
        affine = affine_for(self.low, self.high, 0, (1 << width) - 1)
        return AffineType(unsigned(width), FloatData(affine.scale), IntAttr(affine.zero_point))


def parts_of(network: NetworkOp, layers: str | Sequence[str], weights: WeightStore) -> list[Part]:
    """The weights of the layers that globs name, in order. Raises HapirError (HAP0208, HAP0595)."""
    owners: dict[Operation | SSAValue, Part] = {}
    for slot in weight_slots(network, layers):
        key = weight_op_of(slot.value).key.data
        joined = list(dict.fromkeys(owners[place] for place in (slot.op, slot.value) if place in owners))
        part = joined[0] if joined else Part(f"weights of {layer_name(slot.op) or key}", [], {})
        part.slots.append(slot)
        part.exact[key] = real_weight_of(slot.value, weights)
        for other in joined[1:]:  # an array that a layer shares joins that layer's part to this one
            part.slots += other.slots
            part.exact |= other.exact
        owners.update((place, part) for own in part.slots for place in (own.op, own.value))
    return list(dict.fromkeys(owners.values()))


def find_lines(network: NetworkOp, parts: Sequence[Part], seen: Mapping[SSAValue, Observed]) -> list[Line]:
    """The lines that layers of the parts read, in order; each part learns its own.

    `seen` is what activations do on the data, and gives the ranges.
    """
    lines: dict[SSAValue, Line] = {}
    for op in network.body.block.ops:
        # what keeps the integers of its operand is on a line already, and so are the pieces of a split
        if not isinstance(op, LayerOp) or preserves(op) or isinstance(op, SplitOp) or op.results[0] not in seen:
            continue
        found = line_from(op.results[0])
        if found.last in lines:
            lines[found.last].makers.append(op)
        else:
            low, high = RangeRule("min_max").range_of(seen[found.first], seen[found.last], 0, 255)
            name = f"results of {layer_name(op) or len(lines)}"
            lines[found.last] = Line(name, found.last, [op], low, high)
    for part in parts:
        part.line = lines.get(_line_end(part.slots[0].op.operands[0]))
    read = {id(part.line) for part in parts}
    return [line for line in lines.values() if id(line) in read]


def _line_end(value: SSAValue) -> SSAValue:
    """The end of the line that a value lies on: itself, or what it is moved from where several layers read it."""
    owner = value.owner
    while preserves(owner) and not owner.operands[0].has_one_use():
        value = owner.operands[0]
        owner = value.owner
    return value


def with_narrow_lines(network: NetworkOp, widths: Mapping[Line, int]) -> NetworkOp:
    """A copy of the network in which the values at the end of each line have so many bits."""
    values: dict[SSAValue, SSAValue] = {}
    clone = network.clone(values)
    for line, width in widths.items():
        last = values[line.last]
        block = clone.body.block
        after = last.owner.next_op if isinstance(last.owner, Operation) else block.first_op
        assert after is not None
        quantize = num.QuantizeOp(last, TensorType(line.element(width), shape_of(last)), Rounding.half_even, None)
        dequantize = num.DequantizeOp(quantize.result, None)
        insert_before(after, [quantize, dequantize])
        last.replace_uses_with_if(dequantize.result, lambda use, own=quantize: use.operation is not own)
    return clone
