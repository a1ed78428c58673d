"""A toy with the port contract of `hapir.targets.verilog.simulate`: adds 1 to blocks of memory words."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp

from hapir.lowering.rtl.builder import Module
from hapir.targets.verilog.printer import print_files
from hapir.targets.verilog.simulate import Design

IDLE, FETCH, READ, WAIT, WRITE, DONE = range(6)


def adder(word_bits: int = 32, address_bits: int = 10, layers: int = 2, words: int = 5, offset: int = 100) -> ModuleOp:
    """Each layer reads `words` words one by one and writes word + 1 `offset` words further.

    With latency L and no stalls a word takes L + 2 cycles (request, L - 1 waiting, answer, write), a layer one more
    for its fetch.
    """
    m = Module(
        "adder",
        {"start": 1, "mem_req_ready": 1, "mem_rsp_valid": 1, "mem_rsp_data": word_bits},
        doc="Adds 1 to blocks of memory words, one word at a time.",
    )
    state = m.reg("state", 3, IDLE)
    address = m.reg("address", address_bits)
    index = m.reg("index", 16)
    layer = m.reg("layer", 8)
    cycles = m.reg("cycles", 32)
    data = m.reg("data", word_bits, None)
    begin = m["start"] & (state.eq(IDLE) | state.eq(DONE))
    busy = ~(state.eq(IDLE) | state.eq(DONE))
    asked = m["mem_req_ready"] & state.eq(READ)
    answered = m["mem_rsp_valid"] & state.eq(WAIT)
    written = m["mem_req_ready"] & state.eq(WRITE)
    last_word, last_layer = index.eq(words - 1), layer.eq(layers - 1)
    state.set(m.const(READ, 3), state.eq(FETCH))
    state.set(m.const(WAIT, 3), asked)
    state.set(m.const(WRITE, 3), answered)
    finish = m.mux(last_layer, m.const(DONE, 3), m.const(FETCH, 3))
    state.set(m.mux(last_word, finish, m.const(READ, 3)), written)
    state.set(m.const(FETCH, 3), begin)
    data.set(m["mem_rsp_data"] + 1, answered)
    address.set(address + 1, written)
    address.set(m.const(0, address_bits), begin)
    index.set(m.mux(last_word, m.const(0, 16), index + 1), written)
    index.set(m.const(0, 16), begin)
    layer.set(layer + 1, written & last_word)
    layer.set(m.const(0, 8), begin)
    cycles.set(cycles + 1, busy)
    cycles.set(m.const(0, 32), begin)
    m.output("done", state.eq(DONE))
    m.output("layer_fetch", state.eq(FETCH))
    m.output("cycle_count", cycles)
    m.output("mem_req_valid", state.eq(READ) | state.eq(WRITE))
    m.output("mem_req_write", state.eq(WRITE))
    m.output("mem_req_addr", m.mux(state.eq(WRITE), address + offset, address))
    m.output("mem_req_wdata", data)
    return ModuleOp([m.finish()])


def adder_design(word_bits: int = 32, address_bits: int = 10, layers: int = 2, words: int = 5) -> Design:
    """The toy as Verilog to simulate."""
    return Design(print_files(adder(word_bits, address_bits, layers, words)), "adder", word_bits, address_bits)


def layer_cycles(words: int, latency: int) -> int:
    """Cycles of a layer without stalls."""
    return 1 + words * (latency + 2)
