"""The estimate of the weight-stationary machine: cycles of its own RTL, energy and area from the technology table.

Energy of a layer = accesses of each memory x energy per access at that memory's size and width + MACs +
requantizations. Multipliers of unequal operands count as square ones of the same product of widths.
"""

from __future__ import annotations

from collections.abc import Sequence

from hapir.dialects.machine_memory import MemoryOp
from hapir.lowering.rtl.multiplier_circuit import CircuitError, check_circuit
from hapir.lowering.schedule.weight_stationary import LayerPlan
from hapir.lowering.schedule.ws_machine import WsMachine
from hapir.lowering.schedule.ws_timing import LayerCycles, network_cycles
from hapir.lowering.schedule.ws_traffic import LayerTraffic, layer_traffic
from hapir.multipliers.model import Cost
from hapir.targets.estimate.report import EstimateReport, LayerEstimate, Roofline
from hapir.targets.estimate.technology import Constant, Technology, load_technology


def estimate_plans(network: str, plans: Sequence[LayerPlan]) -> EstimateReport:
    """Estimate a planned network. Raises HapirError HAP0605 where the machine names no known technology."""
    machine = plans[0].machine
    technology = load_technology(machine.op)
    constants = _constants(machine, technology)
    cycles = network_cycles(plans)
    layers = tuple(_layer(plan, c, constants) for plan, c in zip(plans, cycles, strict=True))
    return EstimateReport(
        network=network,
        machine=machine.name,
        basis="emitted" if _has_circuit(machine) else "model",
        clock_hz=machine.clock_hz,
        layers=layers,
        area_um2=_area(machine, technology),
        constants=tuple(constants.values()),
    )


def _constants(machine: WsMachine, table: Technology) -> dict[str, Constant]:
    """Energy per action, by the name under which it is reported."""
    bank_bytes = machine.activation_bits // machine.rows // 8
    word = machine.memory_bits / table.entries["sram_access"].word_bits
    row = machine.cols * 8 / table.entries["sram_access"].word_bits
    psums = machine.cols * machine.accumulator_bits
    accumulator_bytes = machine.accumulator_depth * psums / 8
    psum = psums / table.entries["sram_access"].word_bits
    factor = machine.multiplier_bits * machine.accumulator_bits
    act_bits, weight_bits = machine.activation.width.data, machine.weight.width.data
    multiply = table.constant("integer_multiply", "multiplication in a PE", (act_bits * weight_bits) ** 0.5)
    memories = {
        machine.dram: table.constant(
            "dram_access",
            f"access of {machine.dram}",
            scale=machine.memory_bits / table.entries["dram_access"].word_bits,
        ),
        machine.activations: table.constant(
            "sram_access", f"access of a bank of {machine.activations}", bank_bytes, word
        ),
        machine.weights: table.constant(
            "sram_access", f"access of a row of {machine.weights}", machine.weight_buffer_bits / 8, row
        ),
        machine.accumulator: table.constant(
            "sram_access", f"access of a row of {machine.accumulator}", accumulator_bytes, psum
        ),
        machine.register: table.constant("register_access", "access of a weight register", scale=weight_bits),
    }
    widths = {
        machine.dram: machine.memory_bits,
        machine.activations: machine.memory_bits,
        machine.weights: machine.cols * 8,
        machine.accumulator: psums,
        machine.register: weight_bits,
    }
    found: dict[str, Constant] = {}
    for name, constant in memories.items():
        found |= _of_memory(machine, name, constant, widths[name])
    return found | {
        "multiply": modelled(multiply, machine.multiplier, _cost(machine)),
        "add": table.constant("integer_add", "addition in a PE", machine.accumulator_bits),
        "requantize": table.constant("integer_multiply", "requantization of one sum", factor**0.5),
    }


def _of_memory(machine: WsMachine, name: str, constant: Constant, bits: int) -> dict[str, Constant]:
    """The energy of accesses of `bits`: the table's, or what the memory says of an access of its width."""
    memory = machine.parts[name]
    assert isinstance(memory, MemoryOp)
    given = {"read": memory.read_energy_pj, "write": memory.write_energy_pj}
    if not any(given.values()):
        return {name: constant}
    assert memory.width_bits is not None
    scale = bits / memory.width_bits.value.data
    source = f"machine {machine.name}: {name}"
    read, write = (
        constant if energy is None else Constant(f"{way} of {name}", energy.value.data * scale, "pJ", source, "given")
        for way, energy in given.items()
    )
    return {name: read, _write(name): write}


def _write(memory: str) -> str:
    """The key of a memory's write energy, where it is not that of a read."""
    return f"write of {memory}"


def _has_circuit(machine: WsMachine) -> bool:
    """Whether the array that is estimated can be emitted."""
    try:
        check_circuit(machine.multiplier_model, machine.activation, machine.weight)
    except CircuitError:
        return False
    return True


def _cost(machine: WsMachine) -> Cost:
    return machine.multiplier_model.cost(machine.activation.width.data, machine.weight.width.data)


def modelled(exact: Constant, multiplier: str, cost: Cost) -> Constant:
    """The energy of the exact multiplication as a model's: its share of it, and where that comes from."""
    if cost.energy == 1.0 and not cost.source:
        return exact
    source = f"{exact.source}; times {cost.energy:.3g} for {multiplier}: {cost.source}"
    standing = "assumed" if cost.assumed or exact.standing == "assumed" else "interpolated"
    return Constant(exact.name, exact.value * cost.energy, exact.unit, source, standing)


def _layer(plan: LayerPlan, cycles: LayerCycles, constants: dict[str, Constant]) -> LayerEstimate:
    machine, traffic = plan.machine, layer_traffic(plan)
    energy = {"mac": traffic.macs_issued * (constants["multiply"].value + constants["add"].value)}
    energy["requantize"] = traffic.requantizations * constants["requantize"].value
    for access in traffic.accesses:
        read = constants[access.memory]
        write = constants.get(_write(access.memory), read)
        cost = access.reads * read.value + access.writes * write.value
        energy[access.memory] = energy.get(access.memory, 0.0) + cost
    peak = machine.rows * machine.cols
    return LayerEstimate(
        name=plan.work.name,
        cycles=cycles,
        total_cycles=cycles.total,
        ideal_cycles=plan.ideal_cycles,
        macs_useful=traffic.macs_useful,
        macs_issued=traffic.macs_issued,
        utilization=traffic.macs_useful / (cycles.total * peak),
        accesses=traffic.accesses,
        energy_pj=energy,
        roofline=_roofline(machine, traffic, cycles.total),
    )


def _roofline(machine: WsMachine, traffic: LayerTraffic, cycles: int) -> Roofline:
    peak = machine.rows * machine.cols
    moved = sum((a.reads + a.writes) * a.word_bits // 8 for a in traffic.accesses if a.memory == machine.dram)
    intensity = traffic.macs_useful / moved
    memory = intensity * machine.word_bytes
    return Roofline(
        macs_per_byte=intensity,
        compute_macs_per_cycle=peak,
        memory_macs_per_cycle=memory,
        bound="compute" if memory >= peak else "memory",
        achieved_macs_per_cycle=traffic.macs_useful / cycles,
    )


def _area(machine: WsMachine, table: Technology) -> dict[str, float]:
    """Area by part: arithmetic and storage; wiring and control are not in the table."""
    act_bits, weight_bits = machine.activation.width.data, machine.weight.width.data
    pes = machine.rows * machine.cols
    multiplier = table.constant("integer_multiply_area", "multiplier", (act_bits * weight_bits) ** 0.5).value
    multiplier *= _cost(machine).area
    adder = table.constant("integer_add_area", "adder", machine.accumulator_bits).value
    scaler = table.constant(
        "integer_multiply_area", "scaler", (machine.multiplier_bits * machine.accumulator_bits) ** 0.5
    )
    register = table.constant("register_area", "register bit").value
    sram = table.constant("sram_area", "SRAM bit").value
    pe_bits = 2 * weight_bits + act_bits + machine.accumulator_bits
    psum_bits = machine.accumulator_depth * machine.accumulator_bits
    return {
        "multipliers": pes * multiplier,
        "adders": pes * adder,
        "pe registers": pes * pe_bits * register,
        "requantizers": machine.cols * scaler.value,
        machine.accumulator: machine.cols * psum_bits * sram,
        machine.activations: machine.activation_bits * sram,
        machine.weights: machine.weight_buffer_bits * sram,
    }
