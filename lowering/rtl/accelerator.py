"""The weight-stationary accelerator: all engines wired to one controller that runs the layer program.

Time of a layer: FETCH reads the instruction, INIT spreads it, RUN loads and issues pixels. After the last pixel the
next layer is fetched at once, and its weights arrive while this one drains; the last layer goes through DRAIN and
STORE, which writes the output. What the drain still needs is kept in a second, late copy of the fields. `layer_fetch`
is high in FETCH, so the cycles between its pulses are the layers' cycles that the estimate states.

Pixels and weights meet at the array: a pixel issued in cycle n enters it in cycle n + 4, its swap token in n + 3, a
weight row read in cycle n in n + 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp, StringAttr, SymbolRefAttr
from xdsl.dialects.hw import HWModuleOp, InstanceOp

from hapir.diagnostics import fail
from hapir.dialects.rtl import address_width
from hapir.lowering.rtl import activation_memory, memory_port, output_path, pe_array, pixel_walk, weight_path
from hapir.lowering.rtl.builder import Module, Signal, Wire
from hapir.lowering.rtl.multiplier_circuit import CircuitError, check_circuit
from hapir.lowering.rtl.program import Program, make_program
from hapir.lowering.schedule.weight_stationary import LayerPlan
from hapir.lowering.schedule.ws_machine import WsMachine

IDLE, FETCH, INIT, RUN, DRAIN, STORE, DONE = range(7)

LATE_FIELDS = (
    "pad",
    "zero_point",
    "low",
    "high",
    "cols_last",
    "output_plane",
    "output_step",
    "output_base",
    "output_words",
)
"""Fields that a layer still needs after its last pixel was issued."""


@dataclass(frozen=True)
class Accelerator:
    """A finished circuit with its program."""

    module: ModuleOp
    top: str
    program: Program
    machine: WsMachine
    plans: tuple[LayerPlan, ...]


@dataclass(frozen=True)
class _Parts:
    """The sub-modules of the accelerator."""

    bank: Module
    row_address: Module
    array: Module
    fetch: Module
    buffer: Module
    feed: Module
    walk: Module
    output: Module
    load: Module
    store: Module


def build_accelerator(plans: Sequence[LayerPlan], name: str) -> Accelerator:
    """The circuit that runs these layers; `name` is the top module's.

    Raises HapirError (HAP0603) where the machine's multiplier has no circuit, or one that differs from its meaning.
    """
    machine, program = plans[0].machine, make_program(plans)
    _check_multiplier(machine)
    column_tiles = max(plan.column_tiles for plan in plans)
    shape = pe_array.ArrayShape(
        machine.rows,
        machine.cols,
        machine.activation.width.data,
        machine.activation_signed,
        machine.weight.width.data,
        machine.accumulator_bits,
        machine.multiplier_model,
    )
    pe = pe_array.processing_element(shape)
    row = pe_array.array_row(shape, pe)
    lane = output_path.requantizer(machine)
    group_bits = address_width(machine.bank_depth)
    parts = _Parts(
        bank=activation_memory.bank(machine.bank_depth, machine.memory_bits),
        row_address=activation_memory.row_address(
            machine.bank_depth, machine.memory_bits, program.coordinate_bits, program.byte_bits
        ),
        array=pe_array.array(shape, row),
        fetch=weight_path.weight_fetch(machine, program),
        buffer=weight_path.weight_buffer(machine, program, column_tiles),
        feed=weight_path.weight_feed(machine, program, group_bits),
        walk=pixel_walk.pixel_walk(machine, program),
        output=output_path.output_path(machine, program, column_tiles, lane),
        load=memory_port.input_load(machine, program),
        store=memory_port.output_store(machine, program),
    )
    top = _top(name, machine, program, parts)
    modules = [pe, row, parts.array, parts.bank, parts.row_address, parts.fetch, parts.buffer, parts.feed]
    modules += [parts.walk, lane, parts.output, parts.load, parts.store, top]
    ops = [m.finish() for m in modules]
    for op in ops:
        op.location = machine.op.location
        _prefix_parts(op, name, is_top=op is ops[-1])
    return Accelerator(ModuleOp(list(ops)), name, program, machine, tuple(plans))


def _check_multiplier(machine: WsMachine) -> None:
    try:
        check_circuit(machine.multiplier_model, machine.activation, machine.weight)
    except CircuitError as error:
        fail(
            "HAP0603",
            f"no hardware for the multiplier `{machine.multiplier}`: {error}",
            at=machine.op,
            labels=machine.labels(machine.array, "in this array"),
            help="choose another `multiplier`, or mend the plug-in that offers it",
        )


def _prefix_parts(op: HWModuleOp, top: str, *, is_top: bool) -> None:
    """Name parts after the top module, so that several accelerators live in one project."""
    if not is_top:
        op.sym_name = StringAttr(f"{top}_{op.sym_name.data}")
    for part in op.body.block.ops:
        if isinstance(part, InstanceOp):
            part.module_name = SymbolRefAttr(f"{top}_{part.module_name.string_value()}")


def _top(name: str, machine: WsMachine, program: Program, parts: _Parts) -> Module:
    m = Module(
        name,
        {"start": 1, "mem_req_ready": 1, "mem_rsp_valid": 1, "mem_rsp_data": machine.memory_bits},
        doc=f"Weight-stationary accelerator, {machine.rows} x {machine.cols} multiply-accumulate units.",
    )
    control = _controller(m, program)
    init, storing = control.init, control.storing

    def ports(module: Module, *, late: bool = False) -> dict[str, Signal]:
        fields = control.late_fields if late else control.fields
        return {port: fields[port] for port in module.inputs if port in fields}

    # -- the memory port: input first, then weights; the output alone at the end
    ready = m["mem_req_ready"]
    load = m.instance(
        parts.load, "input_load", init=init, req_ready=ready, word_valid=m["mem_rsp_valid"], **ports(parts.load)
    )
    slot_freed = m.wire("slot_freed", 1)
    fetch = m.instance(
        parts.fetch,
        "weight_fetch",
        init=init,
        hold=load["req_valid"],
        slot_freed=slot_freed,
        req_ready=ready,
        **ports(parts.fetch),
    )
    row_take, params_addr = m.wire("row_take", 1), m.wire("params_addr", parts.buffer["params_addr"].width)
    buffer = m.instance(
        parts.buffer,
        "weight_buffer",
        init=init,
        word_valid=m["mem_rsp_valid"] & ~load["receiving"],
        word=m["mem_rsp_data"],
        row_take=row_take,
        params_addr=params_addr,
        **ports(parts.buffer),
    )
    tile_start = m.wire("tile_start", 1)
    feed = m.instance(
        parts.feed, "weight_feed", init=init, row_ready=buffer["row_ready"], tile_start=tile_start, **ports(parts.feed)
    )
    slot_freed.drive(feed["slot_freed"])
    row_take.drive(feed["row_take"])
    walk = m.instance(
        parts.walk,
        "pixel_walk",
        init=init,
        ready=~(load["receiving"] | control.draining),
        full=feed["full"],
        first_tile=feed["first_tile"],
        last_tile=feed["last_tile"],
        **ports(parts.walk),
    )
    tile_start.drive(walk["tile_start"])
    control.all_issued.drive(walk["all_issued"])

    acts, bank_data, nets = _activations(m, machine, parts, control, feed, walk, tile_start, load)
    sums = _array(m, machine, parts, acts, feed, buffer, tile_start)
    tokens = m.delay(walk["tokens"], machine.array_latency - 1, "tokens", reset=True)
    out = m.instance(
        parts.output,
        "output_path",
        tokens=tokens,
        sums=sums,
        params=buffer["params"],
        **ports(parts.output, late=True),
    )
    params_addr.drive(out["params_addr"])
    control.layer_done.drive(out["layer_done"])
    for port in ("write_en", "write_bytes", "write_addrs", "write_mask"):
        nets[port].drive(out[port])
    store = m.instance(
        parts.store,
        "output_store",
        init=control.store_init,
        run=storing,
        req_ready=ready,
        bank_data=bank_data,
        **ports(parts.store, late=True),
    )
    control.store_done.drive(store["finished"])
    nets["store_en"].drive(store["read_en"])
    nets["store_addr"].drive(store["read_addr"])

    writing = store["req_valid"]
    m.output("mem_req_valid", m.any_of(load["req_valid"], fetch["req_valid"], writing))
    m.output("mem_req_write", writing)
    asked = m.mux(load["req_valid"], load["req_addr"], fetch["req_addr"])
    m.output("mem_req_addr", m.mux(writing, store["req_addr"], asked))
    m.output("mem_req_wdata", store["req_data"])
    return m


@dataclass(frozen=True)
class _Control:
    """What the controller tells the engines, and the nets on which they answer."""

    init: Signal
    storing: Signal
    store_init: Signal
    draining: Signal
    read_half: Signal
    write_half: Signal
    fields: dict[str, Signal]
    late_fields: dict[str, Signal]
    all_issued: Wire
    layer_done: Wire
    store_done: Wire


def _controller(m: Module, program: Program) -> _Control:
    """The state machine, the instruction register, and the late copy for the layer that drains."""
    all_issued, layer_done, store_done = (m.wire(n, 1) for n in ("all_issued", "layer_done", "store_done"))
    state = m.reg("state", 3, IDLE)
    layers = len(program.weight_base)
    pc = m.reg("pc", address_width(layers))
    fetching, init = state.eq(FETCH).named("fetching"), state.eq(INIT).named("init")
    storing = state.eq(STORE).named("storing")
    instruction = m.reg("instruction", program.instruction_bits, None)
    instruction.set(m.rom("program", pc, program.instructions(), program.instruction_bits), fetching)
    fields: dict[str, Signal] = {}
    position = 0
    for field in program.fields:
        fields[field.name] = instruction.bits(position, field.width).named(field.name)
        position += field.width

    stores, last = fields["store"], pc.eq(layers - 1).named("last_layer")
    issued = (state.eq(RUN) & all_issued).named("issued")
    drained = (state.eq(DRAIN) & layer_done).named("drained")
    finished = m.any_of(issued & ~stores, storing & store_done).named("layer_finished")
    begin = (m["start"] & (state.eq(IDLE) | state.eq(DONE))).named("begin")
    state.set(m.const(INIT, 3), fetching)
    state.set(m.const(RUN, 3), init)
    state.set(m.const(DRAIN, 3), issued & stores)
    state.set(m.const(STORE, 3), drained)
    state.set(m.mux(last, m.const(DONE, 3), m.const(FETCH, 3)), finished)
    state.set(m.const(FETCH, 3), begin)
    pc.set(pc + 1, finished)
    pc.set(m.const(0, pc.width), begin)

    draining = m.reg("draining", 1)
    draining.set(m.const(0, 1), layer_done)
    draining.set(m.const(1, 1), issued & ~stores)
    late = (layer_done | (init & ~draining)).named("late_update")
    read_half, write_half = m.reg("read_half", 1), m.reg("write_half", 1)
    read_half.set(~read_half, finished)
    read_half.set(m.const(0, 1), begin)
    write_half.set(~read_half, late & ~state.eq(DRAIN))
    late_fields: dict[str, Signal] = {}
    for name in LATE_FIELDS:
        register = m.reg(f"late_{name}", fields[name].width, None)
        register.set(fields[name], late)
        late_fields[name] = register

    cycles = m.reg("cycles", 32)
    cycles.set(cycles + 1, ~(state.eq(IDLE) | state.eq(DONE)))
    cycles.set(m.const(0, 32), begin)
    m.output("done", state.eq(DONE))
    m.output("layer_fetch", fetching)
    m.output("cycle_count", cycles)
    return _Control(
        init,
        storing,
        drained,
        draining,
        read_half,
        write_half,
        fields,
        late_fields,
        all_issued,
        layer_done,
        store_done,
    )


def _activations(
    m: Module,
    machine: WsMachine,
    parts: _Parts,
    control: _Control,
    feed: dict[str, Signal],
    walk: dict[str, Signal],
    tile_start: Signal,
    load: dict[str, Signal],
) -> tuple[Signal, Signal, dict[str, Wire]]:
    """Address generators and banks: (aligned activations of a pixel, words of all banks, nets of other users)."""
    rows, width = machine.rows, machine.memory_bits
    bank_address = address_width(machine.bank_depth)
    bits = machine.activation.width.data
    storing, fields = control.storing, control.fields
    nets: dict[str, Wire] = {
        "write_en": m.wire("out_write_en", rows),
        "write_bytes": m.wire("out_write_bytes", rows * 8),
        "write_addrs": m.wire("out_write_addrs", rows * bank_address),
        "write_mask": m.wire("out_write_mask", machine.word_bytes),
        "store_en": m.wire("store_en", 1),
        "store_addr": m.wire("store_addr", bank_address),
    }
    pixel: dict[str, Signal] = {}
    for axis in ("y", "x", "byte"):
        register = m.reg(f"pixel_{axis}", walk[f"pixel_{axis}"].width, None)
        register.set(walk[f"pixel_{axis}"])
        pixel[f"pixel_{axis}"] = register
    group, used = m.reg("tile_group", feed["group"].width, None), m.reg("tile_rows", feed["rows"].width, None)
    group.set(feed["group"], tile_start)
    used.set(feed["rows"], tile_start)
    pixel_valid = m.delay(walk["tokens"].bit(pixel_walk.TOKENS.index("valid")), 2, "pixel_valid", reset=True)
    # the half turns over with the fetch of the next layer, when the last two pixels have not been read yet
    pixel_half = m.delay(control.read_half, 2, "pixel_half")
    acts: list[Signal] = []
    data: list[Signal] = []
    for r in range(rows):
        in_use = m.reg(f"row_used_{r}", 1, None)
        in_use.set(used.uge(r + 1) if r + 1 < 1 << used.width else m.const(0, 1))
        address = m.instance(
            parts.row_address,
            f"address_{r}",
            tap_set=feed["row_take"] & feed["row_index"].eq(r),
            tap_y=feed["tap_y"],
            tap_x=feed["tap_x"],
            tap_byte=feed["tap_byte"],
            tile_take=tile_start,
            height=fields["height"],
            width=fields["width"],
            group_addr=group,
            **pixel,
        )
        word = m.instance(
            parts.bank,
            f"bank_{r}",
            read_half=m.mux(storing, control.write_half, pixel_half),
            read_addr=m.mux(storing, nets["store_addr"], address["word_addr"]),
            read_en=m.mux(storing, nets["store_en"], pixel_valid & in_use),
            write_half=m.mux(load["receiving"], control.read_half, control.write_half),
            write_addr=m.mux(
                load["receiving"], load["write_addr"], nets["write_addrs"].bits(r * bank_address, bank_address)
            ),
            write_data=m.mux(
                load["receiving"], m["mem_rsp_data"], nets["write_bytes"].bits(r * 8, 8).repeat(machine.word_bytes)
            ),
            write_mask=m.mux(
                load["receiving"], m.const((1 << machine.word_bytes) - 1, machine.word_bytes), nets["write_mask"]
            ),
            write_en=m.mux(load["receiving"], load["write_en"].bit(r), nets["write_en"].bit(r)),
        )["read_data"]
        data.append(word)
        acts.append(_select(m, word, address, in_use, control.late_fields["pad"], bits, r, width))
    return m.cat(*reversed(acts)), m.cat(*reversed(data)), nets


def _select(
    m: Module, word: Signal, address: dict[str, Signal], in_use: Signal, pad: Signal, bits: int, r: int, width: int
) -> Signal:
    """The byte of the word that was read, the zero point outside the map, 0 in rows without a tap; registered."""
    inside = m.delay(address["inside"], 1, f"inside_{r}")
    select = m.delay(address["byte_sel"], 1, f"byte_sel_{r}")
    byte = word.bits(0, 8)
    for lane in range(1, width // 8):
        byte = m.mux(select.eq(lane), word.bits(lane * 8, 8), byte)
    act = m.reg(f"act_{r}", bits, None)
    value = m.mux(inside, byte, pad)
    act.set(m.mux(m.delay(in_use, 1, f"used_{r}"), value, 0).bits(0, bits))
    return act


def _array(
    m: Module,
    machine: WsMachine,
    parts: _Parts,
    acts: Signal,
    feed: dict[str, Signal],
    buffer: dict[str, Signal],
    tile_start: Signal,
) -> Signal:
    """The array with its weights: rows of weights one byte per column, in the array's own width."""
    weight_bits = machine.weight.width.data
    row = [buffer["row_data"].bits(c * 8, weight_bits) for c in range(machine.cols)]
    weights = m.delay(m.cat(*reversed(row)), 2, "weight_row")
    one_hot = m.cat(*(feed["row_take"] & feed["row_index"].eq(r) for r in reversed(range(machine.rows))))
    return m.instance(
        parts.array,
        "array",
        acts=acts,
        swap=m.delay(tile_start, 3, "swap", reset=True),
        load=m.delay(one_hot, 3, "load_row", reset=True),
        weights=weights,
    )["psums"]
