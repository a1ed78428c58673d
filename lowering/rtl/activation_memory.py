"""The activation banks, one per array row, and the address generator in front of each.

A bank has two halves (one read, one written) and words as wide as the outside memory, with byte writes. Implicit im2col
happens in the address generators: all rows walk the same pixels, each adds the offset of its own kernel tap and checks
the map's borders; outside them the zero point takes the place of the byte read.
"""

from __future__ import annotations

from hapir.dialects.rtl import address_width
from hapir.lowering.rtl.builder import Module, Signal


def bank(depth: int, word_bits: int) -> Module:
    """One activation bank: two halves of `depth` words, a read port and a byte-masked write port."""
    address = address_width(depth)
    m = Module(
        "activation_bank",
        {
            "read_half": 1,
            "read_addr": address,
            "read_en": 1,
            "write_half": 1,
            "write_addr": address,
            "write_data": word_bits,
            "write_mask": word_bits // 8,
            "write_en": 1,
        },
        doc="Activations of every R-th channel; the half in the top address bit is read while the other is written.",
    )
    storage = m.memory("bytes", (1 << address) + depth, word_bits)
    read = storage.read(m.cat(m["read_half"], m["read_addr"]), "word", m["read_en"])
    storage.write(m.cat(m["write_half"], m["write_addr"]), m["write_data"], m["write_en"], m["write_mask"])
    m.output("read_data", read)
    return m


def row_address(depth: int, word_bits: int, coordinate_bits: int, byte_bits: int) -> Module:
    """One row's address generator.

    The tap offsets of the next tile are set by `tap_set` and taken by `tile_take`. `inside` says that the tap lies on
    the map; `word_addr` and `byte_sel` say where. Outputs are registered: one cycle after the pixel.
    """
    m = Module(
        "row_address",
        {
            "tap_set": 1,
            "tap_y": coordinate_bits,
            "tap_x": coordinate_bits,
            "tap_byte": byte_bits,
            "tile_take": 1,
            "pixel_y": coordinate_bits,
            "pixel_x": coordinate_bits,
            "pixel_byte": byte_bits,
            "height": coordinate_bits,
            "width": coordinate_bits,
            "group_addr": address_width(depth),
        },
        doc="Implicit im2col for one array row: pixel plus tap, with the border check.",
    )
    current: dict[str, Signal] = {}
    for part in ("y", "x", "byte"):
        waiting = m.reg(f"next_{part}", m[f"tap_{part}"].width, None)
        waiting.set(m[f"tap_{part}"], m["tap_set"])
        taken = m.reg(f"offset_{part}", waiting.width, None)
        taken.set(waiting, m["tile_take"])
        current[part] = (m[f"pixel_{part}"] + taken).named(f"sum_{part}")
    y, x, byte = (current[part] for part in ("y", "x", "byte"))
    lanes = address_width(word_bits // 8) if word_bits > 8 else 0
    # negative coordinates wrap to large unsigned ones, so one comparison checks both borders
    inside = m.reg("inside_q", 1, None)
    inside.set(y.ult(m["height"]) & x.ult(m["width"]))
    word = m.reg("word_addr_q", address_width(depth), None)
    word.set(m["group_addr"] + (byte.bits(lanes, byte_bits - lanes).fit(word.width) if byte_bits > lanes else 0))
    m.output("inside", inside)
    m.output("word_addr", word)
    select = m.reg("byte_sel_q", max(lanes, 1), None)
    select.set(byte.bits(0, lanes).fit(select.width) if lanes else m.const(0, 1))
    m.output("byte_sel", select)
    return m
