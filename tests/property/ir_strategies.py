"""Random IR of the dialects `num`, `machine` and `dataflow`: types, op attributes and structure, no sensible programs.

Names are any printable ASCII text (quotes and backslashes included); the text form of xDSL's strings does not read back
other characters, and the spec language has none in names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st
from xdsl.dialects.builtin import FloatData, IntegerType, ModuleOp, StringAttr, TensorType, f32
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from hapir.dialects import dataflow, machine, nn, num
from hapir.dialects.num import SI32, AffineType, PerChannelType, Rounding, integer_range, signed, unsigned
from tests.property.strategies import NASTY_NAMES

KEYS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12)
SYMBOLS = st.sampled_from([name for name in NASTY_NAMES if "." not in name])
LAYERS = st.none() | st.sampled_from(NASTY_NAMES)
STORAGES = st.integers(2, 16).map(signed) | st.integers(2, 16).map(unsigned)
SCALES = st.floats(5e-324, 1e300)
ROUNDINGS = st.sampled_from(list(Rounding))
SHAPES = st.tuples(st.just(1), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))


@st.composite
def affine_types(draw: st.DrawFn, storages: st.SearchStrategy[IntegerType] = STORAGES) -> AffineType:
    """Any affine type, zero points at both ends of the storage included."""
    storage = draw(storages)
    low, high = integer_range(storage)
    return AffineType(storage, FloatData(draw(SCALES)), draw(st.sampled_from((low, high)) | st.integers(low, high)))


@st.composite
def conversions(draw: st.DrawFn) -> list[Operation]:
    """One op of each kind in `num`, and the weights they read."""
    shape = draw(SHAPES)
    x = nn.WeightOp(draw(KEYS), TensorType(f32, shape))
    narrow = draw(affine_types())
    q = num.QuantizeOp(x.result, TensorType(narrow, shape), draw(ROUNDINGS), draw(LAYERS))
    per_channel = PerChannelType(draw(STORAGES), draw(st.integers(0, 3)), StringAttr(draw(KEYS)))
    p = num.QuantizeOp(x.result, TensorType(per_channel, shape), draw(ROUNDINGS))
    reach = integer_range(signed(32))[1] // (1 << narrow.storage.width.data)
    wide = num.WidenOp(q.result, draw(st.integers(-reach, reach)), draw(LAYERS))
    lengths = st.sampled_from((1, shape[1]))
    multiplier = nn.WeightOp(draw(KEYS), TensorType(unsigned(draw(st.integers(1, 32))), (draw(lengths),)))
    shift = nn.WeightOp(draw(KEYS), TensorType(unsigned(8), (draw(lengths),)))
    result = draw(affine_types())
    low, high = sorted(draw(st.tuples(*[st.integers(*integer_range(result.storage))] * 2)))
    r = num.RequantizeOp(
        wide.result,
        multiplier.result,
        shift.result,
        TensorType(result, shape),
        rounding=draw(ROUNDINGS),
        low=low,
        high=high,
        layer=draw(LAYERS),
    )
    clip = nn.ClipOp(r.result, low=-draw(SCALES), high=draw(SCALES), layer=draw(LAYERS))
    back = [num.DequantizeOp(value, draw(LAYERS)) for value in (clip.result, p.result)]
    return [x, q, p, wide, multiplier, shift, r, clip, *back]


def _fused(layer: str, ops: Sequence[Operation], inputs: Sequence[SSAValue]) -> dataflow.LayerOp:
    """The ops as the body of a layer that hands its inputs on beside the last op's result."""
    block = Block(ops, arg_types=[value.type for value in inputs])
    yielded = [ops[-1].results[0], *block.args]
    block.add_op(dataflow.YieldOp(yielded))
    return dataflow.LayerOp(layer, inputs, [value.type for value in yielded], Region(block))


@st.composite
def quantized_networks(draw: st.DrawFn, symbol: str) -> nn.NetworkOp:
    """A network of conversions, some of them inside layers with any number of operands."""
    types: list[Attribute] = [TensorType(draw(affine_types()), draw(SHAPES)) for _ in range(draw(st.integers(0, 3)))]
    network = nn.NetworkOp(
        symbol,
        [(f"in{i}", type_) for i, type_ in enumerate(types)],
        [(draw(KEYS), type_) for type_ in types],
    )
    block = network.body.block
    for inside in draw(st.lists(st.booleans(), max_size=3)):
        ops = draw(conversions())
        block.add_ops([_fused(draw(KEYS), ops, block.args)] if inside else ops)
    block.add_op(nn.ReturnOp(block.args))
    return network


SIZES = st.none() | st.integers(1, 2**40)


@st.composite
def memories(draw: st.DrawFn, name: str) -> machine.MemoryOp:
    """A memory, each part given or not."""
    return machine.MemoryOp(
        name,
        size_bits=draw(SIZES),
        size_words=draw(SIZES),
        width_bits=draw(SIZES),
        banks=draw(SIZES),
        bandwidth_bits=draw(SIZES),
        latency_cycles=draw(st.none() | st.integers(0, 100)),
        holds=draw(st.none() | st.lists(st.sampled_from(machine.HELD), max_size=3)),
        double_buffered=draw(st.booleans()),
    )


@st.composite
def machines(draw: st.DrawFn, symbol: str) -> machine.MachineOp:
    """A machine with memories, units and arrays of both."""

    def parts() -> list[Operation]:
        multiply = (draw(STORAGES), draw(STORAGES))
        units = [
            machine.MacUnit(multiply, SI32, draw(KEYS)),
            machine.RequantizeUnit(unsigned(draw(st.integers(1, 32))), draw(ROUNDINGS)),
        ]
        chosen = draw(st.lists(st.sampled_from(units), max_size=2))
        names = draw(st.lists(SYMBOLS, max_size=3, unique=True))
        return [*(draw(memories(name)) for name in names), *map(machine.UnitOp.of, chosen)]

    arrays = [
        machine.ArrayOp(f"array{i}", draw(st.integers(1, 300)), draw(st.integers(1, 300)), parts())
        for i in range(draw(st.integers(0, 2)))
    ]
    return machine.MachineOp(symbol, draw(KEYS), draw(st.integers(1, 10**10)), [*parts(), *arrays])


@st.composite
def schedules(draw: st.DrawFn, symbol: str) -> dataflow.ScheduleOp:
    """A schedule with any number of maps and levels."""
    dimension = st.sampled_from(dataflow.DIMENSIONS)

    def level() -> Operation:
        return dataflow.LevelOp(
            draw(KEYS),
            loops=draw(st.lists(st.tuples(dimension, st.integers(1, 2**20)), max_size=4)),
            rows=draw(st.lists(dimension, max_size=4)),
            columns=draw(st.lists(dimension, max_size=4)),
            bypass=draw(st.lists(st.sampled_from(dataflow.TENSORS), max_size=3)),
        )

    maps = [
        dataflow.MapOp(draw(KEYS), [level() for _ in range(draw(st.integers(0, 3)))])
        for _ in range(draw(st.integers(0, 3)))
    ]
    return dataflow.ScheduleOp(symbol, draw(SYMBOLS), draw(SYMBOLS), draw(KEYS), maps)


@dataclass(frozen=True)
class DrawnModule:
    """A module that shows as its text."""

    module: ModuleOp

    def __repr__(self) -> str:
        return str(self.module)


@st.composite
def modules(draw: st.DrawFn) -> DrawnModule:
    """A module with some of all, under different names."""
    kinds = st.sampled_from((quantized_networks, machines, schedules))
    symbols = draw(st.lists(SYMBOLS, max_size=3, unique=True))
    return DrawnModule(ModuleOp([draw(draw(kinds)(symbol)) for symbol in symbols]))
