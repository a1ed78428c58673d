"""From partial sums to bytes in the activation memory: accumulate, bias, requantize, pool, write.

One lane per column, all lanes in step. Stages after the aligned sums: accumulate, bias, multiply, shift, clamp, pool,
write; the tokens of `pixel_walk` say what each pixel is. Pooling keeps a running maximum over a window's pixels.
"""

from __future__ import annotations

from hapir.dialects.num import Rounding
from hapir.dialects.rtl import address_width
from hapir.lowering.rtl.builder import Module, Reg, Signal
from hapir.lowering.rtl.pixel_walk import TOKENS
from hapir.lowering.rtl.program import SIGNED_BYTE_BITS, Program
from hapir.lowering.schedule.ws_machine import PARAMETER_BITS, WsMachine

BIAS_AT, MULTIPLIER_AT, SHIFT_AT, SHIFT_BITS = 0, 32, 56, 6


def requantizer(machine: WsMachine) -> Module:
    """One lane: sum + bias, times an unsigned factor, shifted right with rounding, plus zero point, clamped.

    Four registered stages; the parameters are sampled with the sum, low, high and zero point are constant in a layer.
    """
    psum, factor = machine.accumulator_bits, machine.multiplier_bits
    m = Module(
        "requantizer",
        {
            "sum": psum,
            "bias": psum,
            "multiplier": factor,
            "shift": SHIFT_BITS,
            "zero_point": SIGNED_BYTE_BITS,
            "low": SIGNED_BYTE_BITS,
            "high": SIGNED_BYTE_BITS,
        },
        doc=f"clamp(round((sum + bias) * multiplier / 2^shift) + zero_point), rounding {machine.rounding.value}.",
    )

    def stage(name: str, value: Signal) -> Reg:
        register = m.reg(name, value.width, None)
        register.set(value)
        return register

    biased = stage("biased", m["sum"] + m["bias"])
    multiplier = stage("multiplier_q", m["multiplier"])
    shift = stage("shift_q", m["shift"])
    product = stage("product", m.mul(biased, multiplier, lhs_signed=True, rhs_signed=False))
    late_shift = stage("shift_qq", shift)
    rounded = stage("rounded", _round_shift(m, product, late_shift, machine.rounding))
    wide = rounded.width + 1
    moved = (rounded.sext(wide) + m["zero_point"].sext(wide)).named("moved")
    below = moved.slt(m["low"].sext(wide))
    above = moved.sgt(m["high"].sext(wide))
    clamped = m.mux(below, m["low"], m.mux(above, m["high"], moved.bits(0, SIGNED_BYTE_BITS)))
    m.output("byte", stage("clamped", clamped))
    return m


def _round_shift(m: Module, product: Signal, shift: Signal, rounding: Rounding) -> Signal:
    """`product / 2^shift` as an integer, one bit wider than the product."""
    width = product.width + 1
    doubled = m.cat(product, m.const(0, 1)).named("doubled")  # bit 0 of the shifted value is the half
    shifted = doubled.sra(shift).named("shifted")
    floor = shifted.bits(1, width - 1).sext(width)
    half = shifted.bit(0)
    if rounding == Rounding.floor:
        return floor
    if rounding == Rounding.half_up:
        up = half
    else:
        ones = m.const((1 << width) - 1, width)
        lost = (doubled & ~ones.shl(shift)).any().named("lost")
        toward = shifted.bit(1) if rounding == Rounding.half_even else ~product.bit(product.width - 1)
        up = half & (lost | toward)
    return floor + up.zext(width)


def output_path(machine: WsMachine, program: Program, column_tiles: int, lane: Module) -> Module:
    """The whole path for all columns. `pixels` are the aligned sums; `tokens` are one cycle ahead of them.

    `write_*` address the banks; `layer_done` is high in the cycle of the layer's last write.
    """
    cols, psum_bits = machine.cols, machine.accumulator_bits
    m = Module(
        "output_path",
        {
            "tokens": len(TOKENS),
            "sums": cols * psum_bits,
            "params": cols * PARAMETER_BITS,
            **program.ports("zero_point", "low", "high", "cols_last", "output_plane", "output_step"),
        },
        doc="Accumulators, requantization, max-pooling and the write into the activation banks.",
    )
    early = {name: m["tokens"].bit(i) for i, name in enumerate(TOKENS)}
    now = _later(m, m["tokens"], "accumulate")
    totals = _accumulate(m, machine, early, now)
    m.output("params_addr", _params_address(m, column_tiles, now))

    tokens = now["all"]
    bytes_: list[Signal] = []
    for c in range(cols):
        parameters = m["params"].bits(c * PARAMETER_BITS, PARAMETER_BITS)
        out = m.instance(
            lane,
            f"lane_{c}",
            sum=totals.bits(c * psum_bits, psum_bits),
            bias=parameters.bits(BIAS_AT, psum_bits),
            multiplier=parameters.bits(MULTIPLIER_AT, machine.multiplier_bits),
            shift=parameters.bits(SHIFT_AT, SHIFT_BITS),
            zero_point=m["zero_point"],
            low=m["low"],
            high=m["high"],
        )
        bytes_.append(out["byte"])
    pool = _later(m, m.delay(tokens, 4, "requantized", reset=True), "pool")
    write = _later(m, pool["all"], "write")
    pooled = _max_pool(m, bytes_, pool)
    _write(m, machine, program, pooled, write)
    return m


def _later(m: Module, tokens: Signal, stage: str) -> dict[str, Signal]:
    """Tokens one cycle later, by name, and all of them under `all`."""
    register = m.reg(f"tokens_{stage}", len(TOKENS))
    register.set(tokens)
    return {"all": register} | {name: register.bit(i) for i, name in enumerate(TOKENS)}


def _accumulate(m: Module, machine: WsMachine, early: dict[str, Signal], now: dict[str, Signal]) -> Signal:
    """Add the sums to what earlier row tiles left; returns the registered totals."""
    width = machine.cols * machine.accumulator_bits
    memory = m.memory("accumulators", machine.accumulator_depth, width)
    count = m.reg("pixel", memory.address_width, None)
    address = m.mux(early["tile_first"], m.const(0, count.width), count).named("read_pixel")
    count.set(address + 1, early["valid"])
    stored = memory.read(address, "stored")
    write_address = m.reg("write_pixel", count.width, None)
    write_address.set(address)
    totals = m.reg("totals", width, None)
    # one pixel per tile and one-cycle tiles: the sum to add to is still on its way into the memory
    forward = m.reg("forward", 1)
    forward.set(early["valid"] & now["valid"] & address.eq(write_address))
    parts: list[Signal] = []
    for c in range(machine.cols):
        at = (c * machine.accumulator_bits, machine.accumulator_bits)
        before = m.mux(forward, totals.bits(*at), stored.bits(*at))
        base = m.mux(now["first_tile"], m.const(0, machine.accumulator_bits), before)
        parts.append(base + m["sums"].bits(*at))
    total = m.cat(*reversed(parts)).named("total")
    totals.set(total)
    memory.write(write_address, total, now["valid"])
    return totals


def _params_address(m: Module, column_tiles: int, now: dict[str, Signal]) -> Signal:
    """The output-channel tile whose sums are complete now, in this layer's half of the parameter store."""
    tile = m.reg("col_tile", address_width(column_tiles))
    tile.set(tile + 1, now["col_end"])
    tile.set(m.const(0, tile.width), now["col_end"] & now["col_last"])
    half = m.reg("params_half", 1, 1)
    half.set(~half, now["layer_end"])
    return m.cat(half, tile)


def _max_pool(m: Module, bytes_: list[Signal], tokens: dict[str, Signal]) -> Signal:
    """The running maximum of each column over its window, registered; eight bits a column."""
    out: list[Signal] = []
    for c, byte in enumerate(bytes_):
        best = m.reg(f"best_{c}", byte.width, None)
        best.set(m.mux(tokens["window_first"] | best.slt(byte), byte, best), tokens["valid"] & tokens["last_tile"])
        out.append(best.bits(0, 8))
    return m.cat(*reversed(out))


def _write(m: Module, machine: WsMachine, program: Program, pooled: Signal, tokens: dict[str, Signal]) -> None:
    """Scatter one output pixel of all columns over the banks, `rows` columns per beat."""
    rows, cols, beats = machine.rows, machine.cols, machine.write_beats
    bank_address = address_width(machine.bank_depth)
    done = m.all_of(tokens["valid"], tokens["last_tile"], tokens["window_last"]).named("pixel_done")
    busy, beat, last_beat, held, kept = _hold(m, beats, done, pooled, tokens)

    lanes = address_width(machine.word_bytes) if machine.word_bytes > 1 else 0
    pixel_bits = bank_address + lanes
    pixel = m.reg("out_pixel", pixel_bits)
    tile_pixel = m.reg("out_tile_pixel", pixel_bits)
    group = m.reg("out_group", bank_address)
    step = (busy & last_beat).named("out_step")
    column_end = step & kept["col_end"]
    tile_end = (column_end & kept["col_last"]).named("out_tile_end")
    following = pixel + 1
    pixel.set(following, step)
    pixel.set(m.mux(kept["col_last"], following, tile_pixel), column_end)
    tile_pixel.set(following, tile_end)
    for register in (pixel, tile_pixel):
        register.set(m.const(0, pixel_bits), step & kept["layer_end"])

    plane = m["output_plane"].fit(bank_address)
    turn, advance = _turn(m, rows, cols, column_end, tile_end)
    moved = group + m["output_step"].fit(bank_address)
    group.set(m.mux(advance, moved + plane, moved) if advance is not None else moved, column_end)
    group.set(m.const(0, bank_address), tile_end)

    columns = [held.bits(c * 8, 8) for c in range(cols)]
    used = [m.any_of(~kept["col_last"], m["cols_last"].fit(cols.bit_length()).uge(c + 1)) for c in range(cols)]
    lane_bytes: list[Signal] = []
    enables: list[Signal] = []
    for i in range(rows):
        choices = [w * rows + i for w in range(beats) if w * rows + i < cols]
        byte, enable = m.const(0, 8), m.const(0, 1)
        for index, c in enumerate(choices):
            chosen = beat.eq(index) if beats > 1 else m.const(1, 1)
            byte = m.mux(chosen, columns[c], byte)
            enable = m.mux(chosen, used[c], enable)
        lane_bytes.append(byte)
        enables.append(enable & busy)
    base: Signal = group
    if beats > 1:
        offset = m.reg("beat_group", bank_address)
        offset.set(offset + plane, busy & ~last_beat)
        offset.set(m.const(0, bank_address), step)
        base = group + offset
    word = base + (pixel.bits(lanes, bank_address) if lanes else pixel)
    _rotate(m, rows, lane_bytes, enables, word, plane, turn)
    one = m.const(1, machine.word_bytes)
    m.output("write_mask", one.shl(pixel.bits(0, lanes)) if lanes else one)
    m.output("layer_done", step & kept["layer_end"])


def _hold(
    m: Module, beats: int, done: Signal, pooled: Signal, tokens: dict[str, Signal]
) -> tuple[Signal, Signal, Signal, Signal, dict[str, Signal]]:
    """(a beat is written now, which, the last, the columns, their tokens), held over the beats of a pixel."""
    if beats == 1:
        return done, m.const(0, 1), m.const(1, 1), pooled, tokens
    beat = m.reg("write_beat", address_width(beats))
    last = beat.eq(beats - 1).named("last_beat")
    busy = (done | beat.any()).named("write_busy")
    beat.set(beat + 1, busy)
    beat.set(m.const(0, beat.width), busy & last)
    kept: dict[str, Signal] = {}
    for name in ("col_end", "col_last", "layer_end"):
        register = m.reg(f"{name}_held", 1, None)
        kept[name] = m.mux(done, tokens[name], register).named(f"{name}_write")
        register.set(kept[name])
    register = m.reg("columns_held", pooled.width, None)
    held = m.mux(done, pooled, register).named("columns")
    register.set(held)
    return busy, beat, last, held, kept


def _turn(m: Module, rows: int, cols: int, column_end: Signal, tile_end: Signal) -> tuple[Signal | None, Signal | None]:
    """By how many banks a tile's first channel is turned, and whether the next tile crosses into a further group."""
    remainder = cols % rows
    if remainder == 0:
        return None, None
    wide = (2 * rows).bit_length()
    turn = m.reg("turn", wide)
    moved = turn + remainder
    crosses = moved.uge(rows).named("turn_crosses")
    turn.set(m.mux(crosses, moved - rows, moved), column_end)
    turn.set(m.const(0, wide), tile_end)
    return turn, crosses


def _rotate(
    m: Module,
    rows: int,
    lane_bytes: list[Signal],
    enables: list[Signal],
    word: Signal,
    plane: Signal,
    turn: Signal | None,
) -> None:
    """Turn the lanes to their banks: bank b takes lane (b - turn) mod rows, one group further where it wrapped."""
    if turn is not None:
        # stage k turns by 2^k where that bit of `turn` is set
        for k in range((rows - 1).bit_length()):
            by, bit = (1 << k) % rows, turn.bit(k)
            lane_bytes = [m.mux(bit, lane_bytes[(b - by) % rows], lane_bytes[b]) for b in range(rows)]
            enables = [m.mux(bit, enables[(b - by) % rows], enables[b]) for b in range(rows)]
    further = (word + plane).named("further_word") if turn is not None else word
    addresses = [word if turn is None else m.mux(turn.uge(b + 1), further, word) for b in range(rows)]
    m.output("write_en", m.cat(*reversed(enables)))
    m.output("write_bytes", m.cat(*reversed(lane_bytes)))
    m.output("write_addrs", m.cat(*reversed(addresses)))
