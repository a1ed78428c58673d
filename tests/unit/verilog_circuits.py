"""Random circuits, in a wrapper that simulation can feed, and what they compute.

A drawn circuit is wrapped so that it has the port contract of `hapir.targets.verilog.simulate`: every second cycle a
memory word arrives in the register that feeds its inputs, and its outputs are written behind the input words.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from xdsl.dialects import comb, hw
from xdsl.dialects.builtin import IntegerType, ModuleOp
from xdsl.ir import Operation

from hapir.dialects import rtl
from hapir.dialects.rtl import width_of
from hapir.lowering.rtl.builder import Module, Signal
from tests.unit.verilog_interpreter import Interpreter

WORD = 128
INPUTS = {"a": 8, "b": 8, "c": 13, "wide": 70, "sel": 3, "en": 1, "flag": 1}
HINTS = ("acc", "acc", "a.b", "a_b", "reg", "int", "logic", "class", "x-1", "unused", "lane", "sum", "product", "clk")
STEPS = 24  # words that a circuit is fed


@dataclass
class _Draw:
    """A circuit being drawn: what may be read so far."""

    rng: random.Random
    m: Module
    pool: list[Signal]
    count: dict[str, int] = field(default_factory=dict[str, int])

    def pick(self) -> Signal:
        """Some signal, recent ones more often."""
        return self.pool[max(self.rng.randrange(len(self.pool)), self.rng.randrange(len(self.pool)))]

    def sized(self, width: int) -> Signal:
        """Some signal of a given width, now and then a constant."""
        if self.rng.random() < 0.15:
            special = (0, (1 << width) - 1, 1 << (width - 1), (1 << (width - 1)) - 1)
            return self.m.const(self.rng.choice((*special, self.rng.getrandbits(width))), width)
        x = self.pick()
        if x.width < width and self.rng.random() < 0.5:
            return x.sext(width)
        return x.fit(width)

    def bit(self) -> Signal:
        """Some single bit."""
        return self.sized(1)


def _reg(d: _Draw) -> Signal:
    width = d.rng.choice((1, 4, 8, 33))
    reg = d.m.reg(d.rng.choice(HINTS), width, d.rng.choice((None, 0, 1, (1 << width) - 1)))
    reg.set(d.sized(width), d.rng.choice((None, d.bit())))
    if d.rng.random() < 0.5:
        reg.set(d.sized(width) + reg, d.bit())
    return reg


def _memory(d: _Draw) -> Signal:
    lanes, size = d.rng.choice((1, 2, 4)), d.rng.choice((1, 8, 20))
    depth = d.rng.choice((2, 4, 16))
    memory = d.m.memory(d.rng.choice(HINTS), depth, lanes * size)
    mask = d.sized(lanes) if d.rng.random() < 0.7 else None
    memory.write(d.sized(memory.address_width), d.sized(lanes * size), d.bit(), mask)
    if d.rng.random() < 0.3:
        d.pool.append(memory.read(d.sized(memory.address_width), "q"))
    return memory.read(d.sized(memory.address_width), d.rng.choice(HINTS), d.rng.choice((None, d.bit())))


def _wire(d: _Draw) -> Signal:
    """A wire that is read before it is driven."""
    width = d.rng.choice((1, 9))
    wire = d.m.wire(d.rng.choice(HINTS), width)
    early = wire ^ 1
    wire.drive(d.sized(width))
    return early


def _variadic(kind: Callable[..., Operation]) -> Callable[[_Draw], Signal]:
    def make(d: _Draw) -> Signal:
        width = d.pick().width
        operands = [d.sized(width).value for _ in range(d.rng.choice((1, 2, 2, 2, 3)))]
        return d.m.emit(kind(operands, IntegerType(width)))

    return make


def _binary(kind: Callable[..., Operation], *, nonzero: bool = False) -> Callable[[_Draw], Signal]:
    def make(d: _Draw) -> Signal:
        width = min(d.pick().width, 24)
        lhs, rhs = d.sized(width), d.sized(width)
        # a division by zero has no meaning, and the least number by -1 leaves the range
        rhs = d.m.cat(d.m.const(0, 1), rhs.fit(width - 1) | 1) if nonzero and width > 1 else rhs
        rhs = d.m.const(1, 1) if nonzero and width == 1 else rhs
        return d.m.emit(kind(lhs.value, rhs.value, IntegerType(width)))

    return make


def _shift(kind: Callable[..., Operation]) -> Callable[[_Draw], Signal]:
    def make(d: _Draw) -> Signal:
        x = d.pick()
        amount = d.pick().fit(min(x.width, d.rng.choice((2, 4, 70)))).fit(x.width)
        return d.m.emit(kind(x.value, amount.value, IntegerType(x.width)))

    return make


def _compare(d: _Draw) -> Signal:
    width = d.pick().width
    predicate = d.rng.choice(comb.ICMP_COMPARISON_OPERATIONS)
    return d.m.emit(comb.ICmpOp(d.sized(width).value, d.sized(width).value, predicate))


def _extract(d: _Draw) -> Signal:
    x = d.pick()
    low = d.rng.randrange(x.width)
    return x.bits(low, d.rng.randint(1, x.width - low))


def _mul(d: _Draw) -> Signal:
    lhs, rhs = d.pick(), d.pick()
    signs = d.rng.random() < 0.5, d.rng.random() < 0.5
    return d.m.mul(lhs.fit(min(lhs.width, 20)), rhs.fit(min(rhs.width, 40)), lhs_signed=signs[0], rhs_signed=signs[1])


def _rom(d: _Draw) -> Signal:
    width = d.rng.choice((1, 7, 150))
    words = [d.rng.getrandbits(width) for _ in range(d.rng.randint(1, 9))]
    return d.m.rom(d.rng.choice(HINTS), d.pick(), words, width)


def _parity(d: _Draw) -> Signal:
    return d.m.emit(comb.ParityOp.create(operands=[d.pick().value], result_types=[IntegerType(1)]))


def _mux(d: _Draw) -> Signal:
    width = d.pick().width
    return d.m.mux(d.bit(), d.sized(width), d.sized(width))


def _concat(d: _Draw) -> Signal:
    return d.m.cat(*(d.pick() for _ in range(d.rng.randint(2, 4))))


def _delay(d: _Draw) -> Signal:
    return d.m.delay(d.pick(), d.rng.choice((1, 2, 5)), d.rng.choice(HINTS), reset=d.rng.random() < 0.5)


KINDS: dict[str, Callable[[_Draw], Signal]] = {
    "add": _variadic(comb.AddOp),
    "mul": _variadic(comb.MulOp),
    "and": _variadic(comb.AndOp),
    "or": _variadic(comb.OrOp),
    "xor": _variadic(comb.XorOp),
    "not": lambda d: ~d.pick(),
    "sub": _binary(comb.SubOp),
    "divu": _binary(comb.DivUOp, nonzero=True),
    "divs": _binary(comb.DivSOp, nonzero=True),
    "modu": _binary(comb.ModUOp, nonzero=True),
    "mods": _binary(comb.ModSOp, nonzero=True),
    "shl": _shift(comb.ShlOp),
    "shru": _shift(comb.ShrUOp),
    "shrs": _shift(comb.ShrSOp),
    "icmp": _compare,
    "extract": _extract,
    "replicate": lambda d: d.pick().fit(5).repeat(d.rng.randint(1, 4)),
    "concat": _concat,
    "parity": _parity,
    "mux": _mux,
    "rtl.mul": _mul,
    "rom": _rom,
    "reg": _reg,
    "memory": _memory,
    "wire": _wire,
    "delay": _delay,
}


def _fill(d: _Draw, size: int) -> None:
    for _ in range(size):
        kind = d.rng.choice(tuple(KINDS))
        signal = KINDS[kind](d)
        if signal.width > 200:
            signal = signal.bits(signal.width - 200, 200)
        if d.rng.random() < 0.2 and not isinstance(signal.value.owner, (rtl.RegOp, hw.ConstantOp)):
            signal.named(d.rng.choice(HINTS))
        d.count[kind] = d.count.get(kind, 0) + 1
        d.pool.append(signal)


def _output_ports(d: _Draw, total: int, seed: int) -> None:
    """Outputs of `total` bits: the last signals drawn, and names that collide with other names."""
    names = iter((*(hint for hint in dict.fromkeys(HINTS) if hint not in ("clk", "unused")), *map(str, range(total))))
    left = total
    for signal in reversed(d.pool):
        if left and (signal.width <= 40 or left == total):
            part = signal.bits(0, min(signal.width, left))
            d.m.output(next(names), part)
            left -= part.width
    if left:
        d.m.output("filler", d.m.const(seed % (1 << min(left, 8)), left))


@dataclass(frozen=True)
class Circuit:
    """A drawn circuit in its wrapper `top`, and which kinds of operations were drawn how often."""

    module: ModuleOp
    dut: str
    count: dict[str, int]


def draw_circuit(seed: int, size: int = 30) -> Circuit:
    """A random circuit of about `size` operations with an instance inside."""
    rng = random.Random(seed)
    child = Module("reg", {"x": 8, "y": 13}, doc="verilator would obey this line")
    inner = _Draw(rng, child, list(child.inputs.values())[1:])
    _fill(inner, 6)
    _output_ports(inner, 20, seed)
    m = Module("dut", INPUTS, doc="A random circuit.")
    d = _Draw(rng, m, [m[name] for name in ("rst", *INPUTS)])
    _fill(d, size // 2)
    found = m.instance(child, rng.choice(HINTS), x=d.sized(8), y=d.sized(13))
    d.pool.extend(found[name] for name in list(found)[: rng.randint(1, len(found))])
    _fill(d, size - size // 2)
    _output_ports(d, WORD, seed)
    count = {kind: d.count.get(kind, 0) + inner.count.get(kind, 0) for kind in KINDS}
    ops = [child.finish(), m.finish(), _wrapper(m).finish()]
    return Circuit(ModuleOp(list(ops)), "dut", count)


def _wrapper(dut: Module) -> Module:
    """Even cycles read word t / 2, odd cycles write the outputs; done after `STEPS` words."""
    top = Module("top", {"start": 1, "mem_req_ready": 1, "mem_rsp_valid": 1, "mem_rsp_data": WORD})
    running, time, word = top.reg("running", 1), top.reg("time", 8), top.reg("word", WORD)
    finished = top.reg("finished", 1)
    last = time.eq(2 * STEPS - 1)
    running.set(top.const(0, 1), last)
    running.set(top.const(1, 1), top["start"])
    time.set(time + 1, running & top["mem_req_ready"])
    finished.set(top.const(1, 1), running & last)
    finished.set(top.const(0, 1), top["start"])
    word.set(top["mem_rsp_data"], top["mem_rsp_valid"])
    pins: dict[str, Signal] = {}
    low = 0
    for name, width in INPUTS.items():
        pins[name] = word.bits(low, width)
        low += width
    results = top.instance(dut, "dut", **pins)
    top.output("done", finished)
    top.output("layer_fetch", top["start"] & ~running)
    top.output("cycle_count", time.zext(32))
    top.output("mem_req_valid", running)
    top.output("mem_req_write", time.bit(0))
    top.output("mem_req_addr", top.mux(time.bit(0), time.bits(1, 7) + STEPS, time.bits(1, 7)))
    top.output("mem_req_wdata", top.cat(*results.values()))
    return top


def expected_words(circuit: Circuit, words: list[int]) -> list[int]:
    """What the wrapped circuit writes, by the interpreter: two cycles of reset, one of start, then two per word."""
    modules = {op.sym_name.data: op for op in circuit.module.body.block.ops if isinstance(op, hw.HWModuleOp)}
    dut = modules[circuit.dut]
    interpreter = Interpreter(dut, modules)
    terminator = dut.body.block.last_op
    assert terminator is not None
    widths = [width_of(x) for x in terminator.operands]
    written: list[int] = []
    for time in range(-3, 2 * STEPS):
        word = words[time // 2 - 1] if time >= 2 else 0
        pins: list[int] = []
        low = 0
        for width in INPUTS.values():
            pins.append(word >> low & ((1 << width) - 1))
            low += width
        results = interpreter.outputs([0, int(time < -1), *pins])
        if time >= 0 and time % 2:
            joined = 0
            for value, width in zip(results, widths, strict=True):
                joined = joined << width | value
            written.append(joined)
        interpreter.edge()
    return written
