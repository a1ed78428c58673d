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

from hapir.dialects import dataflow, machine, machine_devices, machine_memory, machine_units, nn, num
from hapir.dialects.num import (
    SI32,
    AffineType,
    BipolarType,
    PerChannelType,
    Rounding,
    integer_range,
    signed,
    unsigned,
)
from tests.property.printed import PrintedByRepr
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
    levels, rows = draw(st.integers(1, 3)), draw(lengths)
    thresholds = nn.WeightOp(draw(KEYS), TensorType(signed(draw(st.integers(1, 32))), (rows, levels)))
    flips = nn.WeightOp(draw(KEYS), TensorType(unsigned(1), (rows,)))
    bipolar = AffineType(BipolarType(2), FloatData(draw(SCALES)), draw(st.integers(-3, 3)))
    low = 3 - 2 * draw(st.integers(levels, 3))
    t = num.ThresholdOp(
        wide.result,
        thresholds.result,
        flips.result,
        TensorType(bipolar, shape),
        low=low,
        layer=draw(LAYERS),
    )
    view = num.ViewOp(wide.result, PerChannelType(signed(32), draw(st.integers(0, 3)), StringAttr(draw(KEYS))))
    clip = nn.ClipOp(r.result, low=-draw(SCALES), high=draw(SCALES), layer=draw(LAYERS))
    back = [num.DequantizeOp(value, draw(LAYERS)) for value in (clip.result, p.result)]
    return [x, q, p, wide, multiplier, shift, r, thresholds, flips, t, view, clip, *back]


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


NAMES = st.lists(SYMBOLS, max_size=3, unique=True)
TENSOR_LISTS = st.none() | st.lists(st.sampled_from(machine_memory.HELD), max_size=4, unique=True)
ENERGIES = st.none() | st.floats(0, 1e300)


@st.composite
def memories(draw: st.DrawFn, name: str) -> machine_memory.MemoryOp:
    """A memory, each part given or not, within what the verifier asks of their combinations."""
    in_words, shared = draw(st.booleans()), draw(st.booleans())
    width = draw(SIZES)
    holds = draw(TENSOR_LISTS)
    return machine_memory.MemoryOp(
        name,
        kind=draw(st.none() | st.sampled_from(machine_memory.MEMORY_KINDS)),
        size_bits=None if in_words else draw(SIZES),
        size_words=draw(SIZES) if in_words else None,
        width_bits=width,
        banks=draw(SIZES),
        read_ports=draw(SIZES),
        write_ports=draw(SIZES),
        shared_ports=draw(SIZES),
        bandwidth_bits=draw(SIZES) if shared else None,
        read_bandwidth_bits=None if shared else draw(SIZES),
        write_bandwidth_bits=None if shared else draw(SIZES),
        latency_cycles=draw(st.none() | st.integers(0, 100)),
        write_latency_cycles=draw(st.none() | st.integers(0, 100)),
        read_energy_pj=None if width is None else draw(ENERGIES),
        write_energy_pj=None if width is None else draw(ENERGIES),
        holds=holds,
        bypass=draw(st.none() | st.just([t for t in machine_memory.HELD if t not in (holds or ())])),
        per=draw(st.none() | st.sampled_from(machine_memory.MULTIPLICITIES)),
        double_buffered=draw(st.booleans()),
    )


@st.composite
def networks_on_chip(draw: st.DrawFn, name: str, ends: Sequence[str]) -> machine_devices.NetworkOnChipOp:
    """A network between some of the parts of a machine."""
    nodes = st.lists(st.sampled_from(ends), min_size=1, max_size=3)
    width = draw(SIZES)
    return machine_devices.NetworkOnChipOp(
        name,
        draw(st.sampled_from(machine_devices.TOPOLOGIES)),
        draw(nodes),
        draw(nodes),
        carries=draw(TENSOR_LISTS),
        width_bits=width,
        bandwidth_bits=draw(SIZES),
        latency_cycles=draw(SIZES),
        hop_energy_pj=None if width is None else draw(ENERGIES),
        multicast=draw(st.booleans()),
        reduces=draw(st.booleans()),
    )


@st.composite
def devices(draw: st.DrawFn) -> list[Operation]:
    """An FPGA, and a host with a cache."""
    counts = {name: draw(SIZES) for name in ("luts", "flip_flops", "lut_ram_bits", "block_rams", "block_ram_bits")}
    fpga = machine_devices.FpgaOp("fpga", part=draw(st.none() | KEYS), dsps=draw(SIZES), pins=draw(SIZES), **counts)
    line, ways = draw(st.integers(1, 1024)), draw(st.integers(1, 16))
    cache = machine_devices.CacheOp(
        "cache",
        line * ways * draw(st.integers(1, 1024)),
        keeps=draw(st.none() | st.sampled_from(machine_devices.CACHE_CONTENTS)),
        line_bits=line,
        ways=ways,
        bandwidth_bits=draw(SIZES),
        latency_cycles=draw(SIZES),
        shared=draw(st.booleans()),
    )
    host = machine_devices.HostOp(
        "host",
        draw(st.sampled_from(machine_devices.INSTRUCTION_SETS)),
        [cache] if draw(st.booleans()) else [],
        simd_bits=draw(SIZES),
        registers=draw(SIZES),
        cores=draw(SIZES),
        clock_hz=draw(SIZES),
        extensions=draw(st.none() | st.lists(KEYS, max_size=3)),
    )
    return [fpga, host]


@st.composite
def machines(draw: st.DrawFn, symbol: str) -> machine.MachineOp:
    """A machine with memories, units, arrays of both and of arrays, networks between them, and devices."""

    def parts() -> list[Operation]:
        multiply = (draw(STORAGES), draw(STORAGES))
        units: list[machine_units.Unit] = [
            machine_units.MacUnit(multiply, SI32, draw(KEYS)),
            machine_units.RequantizeUnit(unsigned(draw(st.integers(1, 32))), draw(ROUNDINGS)),
            machine_units.XnorPopcountUnit(draw(st.integers(1, 127)), signed(draw(st.integers(8, 16)))),
        ]
        chosen = draw(st.lists(st.sampled_from(units), max_size=2))
        return [*(draw(memories(name)) for name in draw(NAMES)), *map(machine_units.UnitOp.of, chosen)]

    def array(name: str, more: Sequence[Operation]) -> machine.ArrayOp:
        return machine.ArrayOp(name, draw(st.integers(1, 300)), draw(st.integers(1, 300)), [*parts(), *more])

    arrays = [
        array(f"array{i}", [array(f"inner{i}", [])] if draw(st.booleans()) else [])
        for i in range(draw(st.integers(0, 2)))
    ]
    ends = [a.sym_name.data for a in arrays]
    wires = [draw(networks_on_chip(f"wire{i}", ends)) for i in range(draw(st.integers(0, 2)) if ends else 0)]
    technology = draw(st.none() | KEYS)
    overrides = {} if technology is None else draw(st.dictionaries(KEYS, st.floats(0, 1e300), max_size=2))
    clock = draw(st.none() | st.integers(1, 10**10))
    around = draw(devices()) if draw(st.booleans()) else []
    return machine.MachineOp(symbol, technology, clock, [*parts(), *arrays, *wires, *around], overrides)


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
class DrawnModule(PrintedByRepr):
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
