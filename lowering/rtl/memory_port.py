"""The two movers of activations at the outside memory port: the input on its way in, the output on its way out."""

from __future__ import annotations

from hapir.dialects.rtl import address_width
from hapir.lowering.rtl.builder import Module
from hapir.lowering.rtl.program import Program
from hapir.lowering.schedule.ws_machine import WsMachine


def input_load(machine: WsMachine, program: Program) -> Module:
    """Requests the input's words in a row and scatters the responses over the banks, channel by channel.

    Where taps are packed into the array's rows, `input_banks` has several bits and each word goes to several banks.
    """
    rows, bank_address = machine.rows, address_width(machine.bank_depth)
    m = Module(
        "input_load",
        {
            "init": 1,
            "req_ready": 1,
            "word_valid": 1,
            **program.ports("input_base", "input_words", "input_plane", "input_banks"),
        },
        doc="Brings a layer's input into the activation banks.",
    )
    words = program.width("input_words")
    to_request = m.reg("to_request", words)
    address = m.reg("address", program.address_bits, None)
    to_receive = m.reg("to_receive", words)
    requesting = to_request.any().named("requesting")
    accept = requesting & m["req_ready"]
    to_request.set(to_request - 1, accept)
    to_request.set(m["input_words"], m["init"])
    address.set(address + 1, accept)
    address.set(m["input_base"].fit(address.width), m["init"])

    receiving = to_receive.any().named("receiving")
    take = (receiving & m["word_valid"]).named("take")
    word = m.reg("word", bank_address, None)
    group = m.reg("group", bank_address, None)
    banks = m.reg("banks", rows, None)
    plane = m["input_plane"].fit(bank_address)
    plane_end = (take & (word + 1).eq(plane)).named("plane_end")
    group_end = (plane_end & banks.bit(rows - 1)).named("group_end")
    to_receive.set(to_receive - 1, take)
    to_receive.set(m["input_words"], m["init"])
    word.set(word + 1, take)
    word.set(m.const(0, bank_address), plane_end | m["init"])
    group.set(group + plane, group_end)
    group.set(m.const(0, bank_address), m["init"])
    first = m["input_banks"].fit(rows)
    turned = m.cat(banks.bits(0, rows - 1), m.const(0, 1)) if rows > 1 else banks
    banks.set(turned, plane_end)
    banks.set(first, group_end | m["init"])
    m.output("req_valid", requesting)
    m.output("req_addr", address)
    m.output("receiving", receiving)
    m.output("write_en", banks & take.repeat(rows))
    m.output("write_addr", group + word)
    return m


def output_store(machine: WsMachine, program: Program) -> Module:
    """Reads the output planes from the banks and writes them to the outside memory, one word per cycle.

    `bank_data` are the words that all banks read at `read_addr` in the cycle before.
    """
    rows, width = machine.rows, machine.memory_bits
    bank_address = address_width(machine.bank_depth)
    m = Module(
        "output_store",
        {
            "init": 1,
            "run": 1,
            "req_ready": 1,
            "bank_data": rows * width,
            **program.ports("output_base", "output_words", "output_plane"),
        },
        doc="Moves a layer's output from the activation banks to the outside memory.",
    )
    left = m.reg("left", program.width("output_words"))
    valid = m.reg("valid", 1)
    address = m.reg("address", program.address_bits, None)
    word = m.reg("word", bank_address, None)
    group = m.reg("group", bank_address, None)
    bank = m.reg("bank", rows, None)
    bank_read = m.reg("bank_read", rows, None)
    advance = (m["run"] & (~valid | m["req_ready"])).named("advance")
    read = (advance & left.any()).named("read")
    plane = m["output_plane"].fit(bank_address)
    plane_end = (read & (word + 1).eq(plane)).named("plane_end")
    group_end = (plane_end & bank.bit(rows - 1)).named("group_end")
    left.set(left - 1, read)
    left.set(m["output_words"], m["init"])
    valid.set(read, advance)
    valid.set(m.const(0, 1), m["init"])
    accept = (valid & m["req_ready"]).named("accept")
    address.set(address + 1, accept)
    address.set(m["output_base"].fit(address.width), m["init"])
    word.set(word + 1, read)
    word.set(m.const(0, bank_address), plane_end | m["init"])
    group.set(group + plane, group_end)
    group.set(m.const(0, bank_address), m["init"])
    turned = m.cat(bank.bits(0, rows - 1), bank.bit(rows - 1)) if rows > 1 else bank
    bank.set(turned, plane_end)
    bank.set(m.const(1, rows), m["init"])
    bank_read.set(bank, read)
    data = m.const(0, width)
    for b in range(rows):
        mine = m["bank_data"].bits(b * width, width) & bank_read.bit(b).repeat(width)
        data = data | mine
    m.output("req_valid", valid)
    m.output("req_addr", address)
    m.output("req_data", data)
    m.output("read_en", read)
    m.output("read_addr", group + word)
    m.output("finished", accept & ~left.any())
    return m
