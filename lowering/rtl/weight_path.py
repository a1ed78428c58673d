"""The weight path: request tiles from the outside memory, keep them in slots, feed them row by row to the array.

`weight_fetch` asks for whole tiles as slots come free; `weight_buffer` takes the responses (rows, and the parameters
that come with the last row tile of an output-channel tile); `weight_feed` moves one row per cycle into the shadow
registers and tells each row which kernel tap it serves.
"""

from __future__ import annotations

from hapir.dialects.rtl import address_width
from hapir.lowering.rtl.builder import Module, Reg, Signal
from hapir.lowering.rtl.program import Program
from hapir.lowering.schedule.ws_machine import WsMachine


def weight_fetch(machine: WsMachine, program: Program) -> Module:
    """Requests the words of one tile after another; a tile starts only when a slot of the buffer is free."""
    tile_bits = max(program.width("words_full"), program.width("words_tail")) + machine.parameter_words.bit_length() + 1
    m = Module(
        "weight_fetch",
        {
            "init": 1,
            "hold": 1,
            "slot_freed": 1,
            "req_ready": 1,
            **program.ports(
                "weight_base",
                "words_full",
                "words_tail",
                "tail_from",
                "row_tile_last",
                "col_tile_last",
                "pixel_tile_last",
            ),
        },
        doc="Streams weight tiles from the outside memory, one request per cycle while a slot is free.",
    )
    active = m.reg("active", 1)
    fresh = m.reg("fresh", 1)
    address = m.reg("address", program.address_bits, None)
    left = m.reg("left", tile_bits, None)
    row_tile = m.reg("row_tile", program.width("row_tile_last"), None)
    col_tile = m.reg("col_tile", program.width("col_tile_last"), None)
    pixel_tile = m.reg("pixel_tile", program.width("pixel_tile_last"), None)
    credits = m.reg("credits", machine.slots.bit_length(), None)

    valid = m.all_of(active, ~m["hold"], ~fresh | credits.any()).named("valid")
    accept = (valid & m["req_ready"]).named("accept")
    tile_end = (accept & left.eq(1)).named("tile_end")
    col_end = (tile_end & row_tile.eq(m["row_tile_last"])).named("col_end")
    pixel_end = (col_end & col_tile.eq(m["col_tile_last"])).named("pixel_end")
    layer_end = pixel_end & pixel_tile.eq(m["pixel_tile_last"])

    following = m.mux(row_tile.eq(m["row_tile_last"]), m.const(0, row_tile.width), row_tile + 1).named("following")
    tile = m.mux(m["init"], m.const(0, row_tile.width), following)
    rows = m.mux(
        tile.fit(_max_width(tile, m["tail_from"])).uge(m["tail_from"].fit(_max_width(tile, m["tail_from"]))),
        m["words_tail"].fit(tile_bits),
        m["words_full"].fit(tile_bits),
    )
    extra = m.mux(tile.eq(m["row_tile_last"]), m.const(machine.parameter_words, tile_bits), 0)
    words = (rows + extra).named("words")

    left.set(left - 1, accept)
    left.set(words, tile_end | m["init"])
    fresh.set(m.const(0, 1), accept)
    fresh.set(m.const(1, 1), tile_end | m["init"])
    address.set(address + 1, accept)
    address.set(m["weight_base"].fit(address.width), pixel_end | m["init"])
    row_tile.set(tile, tile_end | m["init"])
    col_tile.set(col_tile + 1, col_end)
    col_tile.set(m.const(0, col_tile.width), pixel_end | m["init"])
    pixel_tile.set(pixel_tile + 1, pixel_end)
    pixel_tile.set(m.const(0, pixel_tile.width), m["init"])
    active.set(m.const(0, 1), layer_end)
    active.set(m.const(1, 1), m["init"])
    taken = accept & fresh
    credits.set(credits - 1, taken & ~m["slot_freed"])
    credits.set(credits + 1, m["slot_freed"] & ~taken)
    credits.set(m.const(machine.slots, credits.width), m["init"])
    m.output("req_valid", valid)
    m.output("req_addr", address)
    return m


def _max_width(a: Signal, b: Signal) -> int:
    return max(a.width, b.width)


def weight_buffer(machine: WsMachine, program: Program, column_tiles: int) -> Module:
    """Keeps weight rows in a ring and channel parameters by output-channel tile.

    Rows leave in order, one per `row_take`, appearing on `row_data` one cycle later; `params` are those at
    `params_addr`, one cycle later. Layers use the two halves of the parameter store in turn, because a layer's first
    parameters may arrive while the one before still drains; the top bit of the address is the half.
    """
    ring = machine.slots * machine.rows
    lanes, width = machine.words_per_row, machine.memory_bits
    row_bits = max(program.width("rows_full"), program.width("rows_tail"))
    params_address = 1 + address_width(column_tiles)
    m = Module(
        "weight_buffer",
        {
            "init": 1,
            "word_valid": 1,
            "word": width,
            "row_take": 1,
            "params_addr": params_address,
            **program.ports("rows_full", "rows_tail", "tail_from", "row_tile_last", "col_tile_last"),
        },
        doc="Weight rows waiting for the array, and the parameters of every output channel of the layer.",
    )
    row_tile = m.reg("row_tile", program.width("row_tile_last"), None)
    col_tile = m.reg("col_tile", program.width("col_tile_last"), None)
    rows_left = m.reg("rows_left", row_bits, None)
    write_row = m.reg("write_row", address_width(ring), None)
    read_row = m.reg("read_row", address_width(ring), None)
    waiting = m.reg("waiting", ring.bit_length())

    last_tile = row_tile.eq(m["row_tile_last"]).named("last_tile")
    in_params, params_lane, params_done = _params_phase(m, machine, last_tile)
    row_word = (m["word_valid"] & ~in_params).named("row_word")
    lane, row_done = _lane_counter(m, "lane", lanes, row_word)
    tile_done = (row_done & rows_left.eq(1)).named("tile_done")

    following = m.mux(last_tile, m.const(0, row_tile.width), row_tile + 1)
    tile = m.mux(m["init"], m.const(0, row_tile.width), following)
    wide = _max_width(tile, m["tail_from"])
    rows = m.mux(
        tile.fit(wide).uge(m["tail_from"].fit(wide)), m["rows_tail"].fit(row_bits), m["rows_full"].fit(row_bits)
    )
    rows_left.set(rows_left - 1, row_done)
    rows_left.set(rows, tile_done | m["init"])
    row_tile.set(tile, tile_done | m["init"])
    params_done.set(m.const(1, 1), m["word_valid"] & in_params & params_lane.eq(machine.parameter_words - 1))
    params_done.set(m.const(0, 1), tile_done | m["init"])
    column_done = tile_done & last_tile
    col_tile.set(col_tile + 1, column_done)
    col_tile.set(m.const(0, col_tile.width), (column_done & col_tile.eq(m["col_tile_last"])) | m["init"])

    for pointer, step in ((write_row, row_done), (read_row, m["row_take"])):
        wrapped = m.mux(pointer.eq(ring - 1), m.const(0, pointer.width), pointer + 1)
        pointer.set(wrapped, step)
        pointer.set(m.const(0, pointer.width), m["init"])
    waiting.set(waiting + 1, row_done & ~m["row_take"])
    waiting.set(waiting - 1, m["row_take"] & ~row_done)
    waiting.set(m.const(0, waiting.width), m["init"])

    parts: list[Signal] = []
    for index in range(lanes):
        memory = m.memory(f"rows_{index}", ring, width)
        memory.write(write_row, m["word"], row_word & lane.eq(index) if lanes > 1 else row_word)
        parts.append(memory.read(read_row, f"row_part_{index}", m["row_take"]))
    m.output("row_ready", waiting.any())
    m.output("row_data", m.cat(*reversed(parts)).bits(0, machine.cols * 8))
    half = m.reg("params_half", 1)
    half.set(~half, m["init"])
    address = m.cat(half, col_tile.fit(params_address - 1))
    _params_store(m, machine, column_tiles, m["word_valid"] & in_params, params_lane, address)
    return m


def _params_phase(m: Module, machine: WsMachine, last_tile: Signal) -> tuple[Signal, Signal, Reg]:
    """Whether the next word holds parameters, which word of them it is, and the register that ends the phase."""
    done = m.reg("params_done", 1, None)
    in_params = (last_tile & ~done).named("in_params")
    words = machine.parameter_words
    lane = m.reg("params_lane", address_width(words), None)
    step = m["word_valid"] & in_params
    lane.set(lane + 1, step)
    lane.set(m.const(0, lane.width), (step & lane.eq(words - 1)) | m["init"])
    return in_params, lane, done


def _lane_counter(m: Module, name: str, lanes: int, step: Signal) -> tuple[Signal, Signal]:
    """The index of the next word in its row, and 1 with the word that completes the row."""
    if lanes == 1:
        return m.const(0, 1), step
    lane = m.reg(name, address_width(lanes), None)
    complete = step & lane.eq(lanes - 1)
    lane.set(lane + 1, step)
    lane.set(m.const(0, lane.width), complete | m["init"])
    return lane, complete


def _params_store(
    m: Module, machine: WsMachine, column_tiles: int, write: Signal, lane: Signal, address: Signal
) -> None:
    depth = (1 << address_width(column_tiles)) + column_tiles
    parts: list[Signal] = []
    for index in range(machine.parameter_words):
        memory = m.memory(f"params_{index}", depth, machine.memory_bits)
        memory.write(address, m["word"], write & lane.eq(index))
        parts.append(memory.read(m["params_addr"], f"params_part_{index}"))
    m.output("params", m.cat(*reversed(parts)).bits(0, machine.cols * 64))


def weight_feed(machine: WsMachine, program: Program, group_bits: int) -> Module:
    """Moves rows into the array's shadow registers and walks the kernel taps.

    `row_take` reads a row; in the same cycle `row_index` and the tap outputs say where it goes. `full` is high while a
    whole tile waits in the shadow registers; `tile_start` takes it.
    """
    row_bits = max(program.width("rows_full"), program.width("rows_tail"))
    m = Module(
        "weight_feed",
        {
            "init": 1,
            "row_ready": 1,
            "tile_start": 1,
            **program.ports(
                "rows_full",
                "rows_tail",
                "tail_from",
                "row_tile_last",
                "packed",
                "channel_last",
                "tap_x_last",
                "tap_y_last",
                "tap_dx",
                "tap_dy",
                "tap_step",
                "tap_wrap",
                "input_plane",
            ),
        },
        doc="Loads the next tile's weights while the current one computes.",
    )
    full = m.reg("full_q", 1)
    row = m.reg("row", address_width(machine.rows), None)
    row_tile = m.reg("row_tile", program.width("row_tile_last"), None)
    group = m.reg("group", group_bits, None)

    middle = row.any() if machine.rows > 1 else m.const(0, 1)
    take = (m["row_ready"] & m.any_of(middle, ~full, m["tile_start"])).named("take")
    wide = _max_width(row_tile, m["tail_from"])
    rows = m.mux(
        row_tile.fit(wide).uge(m["tail_from"].fit(wide)), m["rows_tail"].fit(row_bits), m["rows_full"].fit(row_bits)
    ).named("rows")
    compare = max(row_bits, row.width + 1)
    tile_end = (take & (row.fit(compare) + 1).eq(rows.fit(compare))).named("tile_end")
    column_end = (tile_end & row_tile.eq(m["row_tile_last"])).named("column_end")

    row.set(row + 1, take)
    row.set(m.const(0, row.width), tile_end | m["init"])
    row_tile.set(row_tile + 1, tile_end)
    row_tile.set(m.const(0, row_tile.width), column_end | m["init"])
    full.set(m.const(0, 1), m["tile_start"])
    full.set(m.const(1, 1), tile_end)
    full.set(m.const(0, 1), m["init"])

    taps_end = _taps(m, program, take, tile_end, column_end)
    group.set(group + m["input_plane"].fit(group_bits), taps_end)
    group.set(m.const(0, group_bits), column_end | m["init"])

    m.output("row_take", take)
    m.output("row_index", row)
    m.output("slot_freed", tile_end)
    m.output("full", full)
    # what the tile in the shadow registers is, while the feed walks on to the next one
    about = {"rows": rows, "group": group, "first_tile": row_tile.eq(0), "last_tile": row_tile.eq(m["row_tile_last"])}
    for name, value in about.items():
        loaded = m.reg(f"loaded_{name}", value.width, None)
        loaded.set(value, tile_end)
        m.output(name, loaded)
    return m


def _taps(m: Module, program: Program, take: Signal, tile_end: Signal, column_end: Signal) -> Signal:
    """Walk the kernel: per row where taps are packed into a tile, else per tile. 1 where the last tap ends."""
    channel = m.reg("channel", program.width("channel_last"), None)
    at_x = m.reg("at_x", program.width("tap_x_last"), None)
    at_y = m.reg("at_y", program.width("tap_y_last"), None)
    x = m.reg("tap_x_q", program.coordinate_bits, None)
    y = m.reg("tap_y_q", program.coordinate_bits, None)
    byte = m.reg("tap_byte_q", program.byte_bits, None)
    channel_end = (take & channel.eq(m["channel_last"])).named("channel_end")
    step = m.mux(m["packed"], channel_end, tile_end).named("tap_advance")
    line_end = (step & at_x.eq(m["tap_x_last"])).named("line_end")
    taps_end = (line_end & at_y.eq(m["tap_y_last"])).named("taps_end")
    clear = m.any_of(taps_end, column_end, m["init"]).named("taps_clear")
    channel.set(channel + 1, take & m["packed"])
    channel.set(m.const(0, channel.width), m.any_of(channel_end, column_end, m["init"]))
    at_x.set(at_x + 1, step)
    at_x.set(m.const(0, at_x.width), line_end | clear)
    at_y.set(at_y + 1, line_end)
    at_y.set(m.const(0, at_y.width), clear)
    x.set(x + m["tap_dx"], step)
    x.set(m.const(0, x.width), line_end | clear)
    y.set(y + m["tap_dy"], line_end)
    y.set(m.const(0, y.width), clear)
    byte.set(byte + m["tap_step"], step)
    byte.set(byte + m["tap_wrap"], line_end)
    byte.set(m.const(0, byte.width), clear)
    m.output("tap_x", x)
    m.output("tap_y", y)
    m.output("tap_byte", byte)
    return taps_end
