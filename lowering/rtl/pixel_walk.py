"""Walks the pixels of every tile: output windows in row-major order, the pixels of a pooling window one after another.

Pooling so needs no line buffer: a window's pixels leave the array in a row. The walker keeps the coordinates of the
tap (0, 0) of the current pixel, signed, and its byte offset in a channel's plane; increments come from the instruction.
"""

from __future__ import annotations

from hapir.dialects.rtl import address_width
from hapir.lowering.rtl.builder import Module, Signal
from hapir.lowering.rtl.program import Program
from hapir.lowering.schedule.ws_machine import WsMachine

TOKENS = (
    "valid",  # a pixel
    "first_tile",  # of the first row tile: accumulators start from 0
    "last_tile",  # of the last row tile: sums are complete
    "tile_first",  # first pixel of a tile
    "window_first",
    "window_last",
    "col_end",  # last pixel of an output-channel tile
    "col_last",  # of the last output-channel tile of a pixel tile
    "layer_end",  # last pixel of the layer
)
"""What travels beside a pixel through the array, one bit each, from bit 0 up."""


def pixel_walk(machine: WsMachine, program: Program) -> Module:
    """Issues one pixel per cycle (one per `write_beats` in the last row tile) while a tile is loaded."""
    m = Module(
        "pixel_walk",
        {
            "init": 1,
            "ready": 1,
            "full": 1,
            "first_tile": 1,
            "last_tile": 1,
            **program.ports(
                "windows_full_last",
                "windows_tail_last",
                "pool_x_last",
                "pool_y_last",
                "window_x_last",
                "col_tile_last",
                "pixel_tile_last",
                "y_first",
                "x_first",
                "byte_first",
                "step_x",
                "step_byte",
                "line_y",
                "line_x",
                "line_byte",
                "next_y",
                "next_x",
                "next_byte",
                "wrap_y",
                "wrap_byte",
            ),
        },
        doc="Issues the pixels of each tile and the tokens that travel with them.",
    )
    running = m.reg("running", 1)
    start = m.all_of(m["full"], ~running, m["ready"]).named("start")
    # the next tile is loaded while this one runs, so the flags are kept
    flags: dict[str, Signal] = {}
    for name in ("first_tile", "last_tile"):
        kept = m.reg(f"{name}_kept", 1, None)
        flags[name] = m.mux(start, m[name], kept).named(f"{name}_now")
        kept.set(flags[name])
    issue = (start | running).named("issue")
    pixel, beat_end = _beats(m, machine, issue, flags["last_tile"])

    pool_x = m.reg("pool_x", program.width("pool_x_last"), None)
    pool_y = m.reg("pool_y", program.width("pool_y_last"), None)
    window = m.reg("window", max(program.width("windows_full_last"), program.width("windows_tail_last")), None)
    col_tile = m.reg("col_tile", program.width("col_tile_last"), None)
    pixel_tile = m.reg("pixel_tile", program.width("pixel_tile_last"), None)

    x_end = pool_x.eq(m["pool_x_last"]).named("x_end")
    y_end = pool_y.eq(m["pool_y_last"]).named("y_end")
    window_end = (x_end & y_end).named("window_end")
    last_pixel_tile = pixel_tile.eq(m["pixel_tile_last"]).named("last_pixel_tile")
    windows = m.mux(last_pixel_tile, m["windows_tail_last"].fit(window.width), m["windows_full_last"].fit(window.width))
    tile_end = m.all_of(window_end, window.eq(windows)).named("tile_end")
    step = (issue & beat_end).named("step")
    finish = (step & tile_end).named("finish")
    col_end = (tile_end & flags["last_tile"]).named("col_end")
    last_col = col_tile.eq(m["col_tile_last"]).named("last_col")
    pixel_tile_end = (finish & flags["last_tile"] & last_col).named("pixel_tile_end")

    running.set(~finish, issue)
    running.set(m.const(0, 1), m["init"])
    zero = m["init"]
    pool_x.set(pool_x + 1, step)
    pool_x.set(m.const(0, pool_x.width), (step & x_end) | zero)
    pool_y.set(pool_y + 1, step & x_end)
    pool_y.set(m.const(0, pool_y.width), (step & window_end) | zero)
    window.set(window + 1, step & window_end)
    window.set(m.const(0, window.width), finish | zero)
    col_tile.set(col_tile + 1, finish & flags["last_tile"])
    col_tile.set(m.const(0, col_tile.width), pixel_tile_end | zero)
    pixel_tile.set(pixel_tile + 1, pixel_tile_end)
    pixel_tile.set(m.const(0, pixel_tile.width), zero)
    _coordinates(m, program, step, x_end, window_end, finish, pixel_tile_end)

    first = m.all_of(pool_x.eq(0), pool_y.eq(0)).named("window_first")
    tokens = {
        "valid": pixel,
        "first_tile": flags["first_tile"],
        "last_tile": flags["last_tile"],
        "tile_first": start,
        "window_first": first,
        "window_last": window_end,
        "col_end": col_end,
        "col_last": last_col,
        "layer_end": m.all_of(col_end, last_col, last_pixel_tile),
    }
    m.output("tile_start", start)
    m.output("all_issued", pixel_tile_end & last_pixel_tile)
    m.output("tokens", m.cat(*(tokens[name] & pixel for name in reversed(TOKENS))))
    return m


def _beats(m: Module, machine: WsMachine, issue: Signal, last_tile: Signal) -> tuple[Signal, Signal]:
    """(a pixel is issued in this cycle, this is the pixel's last cycle)."""
    if machine.write_beats == 1:
        return issue, m.const(1, 1)
    beat = m.reg("beat", address_width(machine.write_beats), None)
    end = (~last_tile | beat.eq(machine.write_beats - 1)).named("beat_end")
    beat.set(beat + 1, issue)
    beat.set(m.const(0, beat.width), (issue & end) | m["init"])
    return (issue & beat.eq(0)).named("pixel"), end


def _coordinates(
    m: Module,
    program: Program,
    step: Signal,
    x_end: Signal,
    window_end: Signal,
    finish: Signal,
    pixel_tile_end: Signal,
) -> None:
    """Current pixel, the same for the start of the pixel tile, and the increments between pixels."""
    along = m.reg("window_x", program.width("window_x_last"), None)
    row_end = along.eq(m["window_x_last"]).named("row_end")
    after = m.mux(row_end, m.const(0, along.width), along + 1).named("window_x_after")
    kept = m.reg("tile_window_x", along.width, None)
    along.set(after, step & window_end)
    along.set(m.mux(pixel_tile_end, after, kept), finish)
    kept.set(after, pixel_tile_end)
    for register in (along, kept):
        register.set(m.const(0, register.width), m["init"])
    for axis in ("y", "x", "byte"):
        width = program.byte_bits if axis == "byte" else program.coordinate_bits
        first = m[f"{axis}_first"]
        now = m.reg(f"pixel_{axis}_q", width, None)
        tile = m.reg(f"tile_{axis}", width, None)
        inner = now if axis == "y" else now + m[f"step_{axis}"]
        wrapped = first if axis == "x" else now + m[f"wrap_{axis}"]
        next_window = m.mux(row_end, wrapped, now + m[f"next_{axis}"])
        following = m.mux(window_end, next_window, m.mux(x_end, now + m[f"line_{axis}"], inner)).named(f"after_{axis}")
        now.set(following, step)
        now.set(m.mux(pixel_tile_end, following, tile), finish)
        tile.set(following, pixel_tile_end)
        for register in (now, tile):
            register.set(first, m["init"])
        m.output(f"pixel_{axis}", now)
