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
from hapir.dialects.nn import LayerOp, NetworkOp
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
    """A weight array: its layers, and the line that the first of them reads (None: an input of the network)."""

    key: str
    slots: list[WeightSlot]
    exact: Floats
    line: Line | None = None
    _narrowed: dict[int, Array] = field(default_factory=dict[int, Array])

    @property
    def layer(self) -> str:
        """The name of the first layer."""
        return layer_name(self.slots[0].op) or self.key

    def macs(self) -> int:
        """Multiply-accumulates of all its layers."""
        return sum(macs(slot.op) for slot in self.slots)

    def stored_bits(self, width: int) -> int:
        """Bits of the codes in whole bytes, and of the scales in f32."""
        scales = int(np.prod(self._blocks()))
        return -(-self.exact.size * width // 8) * 8 + 32 * scales

    def narrowed(self, width: int) -> Array:
        """The weights with so many bits, as reals."""
        if width not in self._narrowed:
            self._narrowed[width] = uniform_codes(self.exact, self._blocks(), UniformRule(width)).reals()
        return self._narrowed[width]

    def noise(self, width: int) -> float:
        """The noise of the weights with so many bits, per signal."""
        signal = float(np.square(self.exact).sum())
        return (
            float(np.square(np.subtract(self.narrowed(width), self.exact, dtype=np.float64)).sum()) / signal
            if signal
            else 0.0
        )

    def _blocks(self) -> tuple[int, ...]:
        return scale_blocks(self.slots[0], "channel", 1)


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
    """The weight arrays of the layers that globs name, in order. Raises HapirError (HAP0208, HAP0595)."""
    parts: dict[SSAValue, Part] = {}
    for slot in weight_slots(network, layers):
        if slot.value in parts:
            parts[slot.value].slots.append(slot)
        else:
            key = weight_op_of(slot.value).key.data
            parts[slot.value] = Part(key, [slot], real_weight_of(slot.value, weights))
    return list(parts.values())


def find_lines(network: NetworkOp, parts: Sequence[Part], seen: Mapping[SSAValue, Observed]) -> list[Line]:
    """The lines that layers of the parts read, in order; each part learns its own.

    `seen` is what activations do on the data, and gives the ranges.
    """
    lines: dict[SSAValue, Line] = {}
    for op in network.body.block.ops:
        # a piece of a split has the type of the whole, which is a line of its own
        if not isinstance(op, LayerOp) or preserves(op) or len(op.results) != 1 or op.results[0] not in seen:
            continue
        found = line_from(op.results[0])
        if found.last in lines:
            lines[found.last].makers.append(op)
        else:
            low, high = RangeRule("min_max").range_of(seen[found.first], seen[found.last], 0, 255)
            name = layer_name(op) or f"value {len(lines)}"
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
