"""From a scheduled integer body to Verilog files, and to a simulation of them that runs images.

Files: `NAME.v` (the accelerator), `NAME_memory.hex` (the outside memory before a run: weights and parameters, one word
per line, for `$readmemh`), `NAME_layout.json` (where input and output lie in that memory, and how), and
`NAME_bench.v` with its data: a test bench in pure Verilog that runs one drawn input and compares every output byte with
the reference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hapir.dialects.dataflow import ScheduleOp
from hapir.dialects.machine import MachineOp
from hapir.dialects.nn import NetworkOp
from hapir.dialects.num import integer_range, is_signed, shape_of
from hapir.lowering.rtl.accelerator import Accelerator, build_accelerator
from hapir.lowering.rtl.program import memory_image, pack_input, pack_output, unpack_output
from hapir.lowering.schedule.conv_work import layer_data
from hapir.lowering.schedule.plan import plan_schedule
from hapir.lowering.schedule.ws_timing import network_cycles
from hapir.reference.interpret import run_network
from hapir.targets.verilog.bench import Bench, make_bench
from hapir.targets.verilog.names import mangle
from hapir.targets.verilog.printer import print_verilog, verilog_names
from hapir.targets.verilog.simulate import Bytes, RunCounts, Simulation

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class VerilogArtefact:
    """An emitted accelerator: its files, the top module's name, and the memory image it starts from."""

    files: dict[str, str]
    top: str
    accelerator: Accelerator
    memory: Bytes
    input_name: str
    output_name: str
    output_shape: tuple[int, ...]

    @property
    def input_offset(self) -> int:
        """First byte of the input in the memory image."""
        return self.accelerator.program.input_base * self.accelerator.machine.word_bytes

    @property
    def output_offset(self) -> int:
        """First byte of the output in the memory image."""
        return self.accelerator.program.output_base * self.accelerator.machine.word_bytes

    @property
    def output_bytes(self) -> int:
        """Bytes of the output area."""
        return self.accelerator.plans[-1].output_words * self.accelerator.machine.word_bytes

    @property
    def verilog(self) -> str:
        """The circuit's text."""
        return self.files[f"{self.top}.v"]

    def pack(self, x: Array) -> Bytes:
        """Inputs (N, ...) as the bytes of the input area, N x bytes."""
        return pack_input(self.accelerator.plans[0], x)

    def unpack(self, area: Bytes) -> Array:
        """Output areas (N x bytes) as the integers of the body's result."""
        plan = self.accelerator.plans[-1]
        raw = np.ascontiguousarray(unpack_output(plan, area))
        values = raw.view(np.int8) if is_signed(plan.work.y_type.storage) else raw
        return values.reshape(len(area), *self.output_shape[1:])


def emit_verilog(
    body: NetworkOp,
    weights: Mapping[str, Array],
    machine: MachineOp,
    schedule: ScheduleOp,
    name: str | None = None,
) -> VerilogArtefact:
    """Emit the accelerator that runs an integer body. Raises HapirError HAP06xx, HAP07xx where it cannot."""
    plans = plan_schedule(body, weights, machine, schedule, "the Verilog target")
    top = mangle(name or body.sym_name.data)
    accelerator = build_accelerator(plans, top)
    accelerator.module.verify()
    image = memory_image(plans, accelerator.program, {p.work.name: layer_data(p.work, weights) for p in plans})
    word_bytes = accelerator.machine.word_bytes
    name_in_verilog = verilog_names(accelerator.module)[top]
    circuit = VerilogArtefact(
        {
            f"{name_in_verilog}.v": print_verilog(accelerator.module),
            f"{name_in_verilog}_memory.hex": hex_words(image, word_bytes),
            f"{name_in_verilog}_layout.json": json.dumps(_layout(accelerator), indent=2) + "\n",
        },
        name_in_verilog,
        accelerator,
        image,
        body.input_names.data[0].data,
        body.result_names.data[0].data,
        shape_of(body.return_op.values[0]),
    )
    bench = bench_of(circuit, body, weights)
    return replace(circuit, files={**circuit.files, **bench.files})


def bench_of(artefact: VerilogArtefact, body: NetworkOp, weights: Mapping[str, Array]) -> Bench:
    """The pure-Verilog bench: one input over the whole range of its format, drawn from a fixed seed."""
    accelerator = artefact.accelerator
    storage = accelerator.plans[0].work.x_type.storage
    low, high = integer_range(storage)
    dtype = np.int8 if is_signed(storage) else np.uint8
    drawn = np.random.default_rng(0).integers(low, high + 1, shape_of(body.body.block.args[0]))
    x = drawn.astype(dtype)
    y = run_network(body, weights, {artefact.input_name: x})[artefact.output_name]
    image = artefact.memory.copy()
    packed, last = artefact.pack(x)[0], accelerator.plans[-1]
    image[artefact.input_offset : artefact.input_offset + len(packed)] = packed
    return make_bench(
        artefact.top,
        accelerator.machine.memory_bits,
        accelerator.program.address_bits,
        accelerator.machine.latency,
        image,
        artefact.output_offset,
        pack_output(last, y)[0],
        2 * sum(c.total for c in network_cycles(accelerator.plans)) + 1000,
        defined=pack_output(last, np.ones_like(y))[0].astype(np.bool_),
    )


def hex_words(image: Bytes, word_bytes: int) -> str:
    """A memory image as `$readmemh` text, one word per line; byte 0 of a word is its lowest."""
    words = image.reshape(-1, word_bytes)[:, ::-1]
    text = np.ascontiguousarray(words).tobytes().hex()
    width = 2 * word_bytes
    return "\n".join(text[at : at + width] for at in range(0, len(text), width)) + "\n"


def _layout(accelerator: Accelerator) -> dict[str, object]:
    program, first, last = accelerator.program, accelerator.plans[0], accelerator.plans[-1]
    return {
        "word_bits": accelerator.machine.memory_bits,
        "words": program.memory_words,
        "note": "planes follow one another channel by channel, row-major, one byte per value, padded to whole words",
        "input": {
            "word": program.input_base,
            "channels": first.work.channels,
            "height": first.work.height,
            "width": first.work.width,
            "words_per_channel": first.input_plane_words,
        },
        "output": {
            "word": program.output_base,
            "channels": last.work.filters,
            "height": last.work.output_size[0],
            "width": last.work.output_size[1],
            "words_per_channel": last.output_plane_words,
        },
        "layers": [
            {"name": plan.work.name, "weights_word": base, "weights_words": plan.stream_words}
            for plan, base in zip(accelerator.plans, program.weight_base, strict=True)
        ],
    }


class AcceleratorSimulation:
    """An emitted accelerator under Verilator: runs batches, and keeps the counts of the last one."""

    def __init__(self, artefact: VerilogArtefact, simulation: Simulation):
        self.artefact = artefact
        self.simulation = simulation
        self.runs: tuple[RunCounts, ...] = ()

    def run(
        self, inputs: Mapping[str, Array], stall_seed: int | None = None, start_seed: int | None = None
    ) -> dict[str, Array]:
        """The body's results for inputs (N, ...) by name. Raises HapirError (HAP0744) where the circuit hangs.

        The seeds are those of `Simulation.run`: a memory that stalls, a circuit that wakes up with random contents.
        """
        artefact = self.artefact
        machine = artefact.accelerator.machine
        expected = sum(c.total for c in network_cycles(artefact.accelerator.plans))
        slack = 1 if stall_seed is None else 40
        batch = self.simulation.run_batch(
            artefact.memory,
            artefact.pack(inputs[artefact.input_name]),
            artefact.input_offset,
            artefact.output_offset,
            artefact.output_bytes,
            latency=machine.latency,
            max_cycles=2 * slack * expected + 1000,
            stall_seed=stall_seed,
            start_seed=start_seed,
        )
        self.runs = batch.runs
        return {artefact.output_name: artefact.unpack(batch.outputs)}

    def layer_cycles(self) -> dict[str, int]:
        """Cycles of every layer in the last image, as counted in the simulation."""
        names = [plan.work.name for plan in self.artefact.accelerator.plans]
        return dict(zip(names, self.runs[-1].layer_cycles, strict=True)) if self.runs else {}


def simulate(artefact: VerilogArtefact, *, cache: bool = True) -> AcceleratorSimulation:
    """Build the simulation of an emitted accelerator. Raises HapirError (HAP084x, HAP088x)."""
    accelerator = artefact.accelerator
    built = Simulation.build(
        {f"{artefact.top}.v": artefact.verilog},
        artefact.top,
        accelerator.machine.memory_bits,
        accelerator.program.address_bits,
        cache=cache,
    )
    return AcceleratorSimulation(artefact, built)
