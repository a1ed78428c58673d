"""Machines from their text: what each block and setting becomes, counted in the cycles of the right clock."""

from __future__ import annotations

import pytest

from hapir.diagnostics import Findings
from hapir.spec import syntax
from hapir.spec.machine_checks import size_text
from hapir.spec.machines import MachineBuilder
from hapir.spec.parse import parse


def built(text: str) -> list[str]:
    """The lines of the machine with this body, without its braces and without indentation."""
    (machine,) = parse(f"hap 1\nmachine m {{\n{text}\n}}", "t.hap").definitions
    assert isinstance(machine, syntax.Machine)
    findings = Findings()
    op = MachineBuilder(machine, findings).build()
    assert [d.message for d in findings.sorted()] == []
    assert op is not None
    return [line.strip().removesuffix(" {") for line in str(op).splitlines() if line.strip() not in ("", "}")]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("memory m { }", "machine.memory @m"),
        ("memory m { size = 4 KiB, width = 64 b, banks = 4 }", "machine.memory @m size 32768 width 64 banks 4"),
        ("memory m { size = 12 word, kind = fifo }", 'machine.memory @m kind "fifo" words 12'),
        ("memory m { bandwidth = 1 GB/s, latency = 21 ns }", "machine.memory @m bandwidth 80 latency 3"),
        (
            "memory m { read_bandwidth = 8 B/cycle, write_bandwidth = 100 b/cycle, write_latency = 0 cycle }",
            "machine.memory @m read_bandwidth 64 write_bandwidth 100 write_latency 0",
        ),
        (
            "memory m { width = 16 b, read_energy = 3.2 pJ, write_energy = 1 nJ }",
            "machine.memory @m width 16 read_energy 3.2 write_energy 1000.0",
        ),
        (
            "memory m { read_ports = 2, write_ports = 1, shared_ports = 0 }",
            "machine.memory @m read_ports 2 write_ports 1 shared_ports 0",
        ),
        (
            "memory m { holds = [input, psum], bypass = weight, per = row, double_buffered = true }",
            'machine.memory @m holds ["input", "psum"] bypass ["weight"] per "row" double_buffered',
        ),
        ("array pe[4, 8] { }", "machine.array @pe 4 x 8 {}"),
        ("array pe[8] { }", "machine.array @pe 1 x 8 {}"),
        (
            "array pe[1, 1] { unit xnor_popcount { lanes = 48 } }",
            'machine.unit "xnor_popcount" {lanes = 48 : i64, accumulate = si16}',
        ),
        (
            "fpga f { part = a7, luts = 53200, lut_ram = 1 Mib, block_ram_size = 20 Kib, ultra_rams = 0, pins = 125 }",
            'machine.fpga @f part "a7" luts 53200 lut_ram 1048576 block_ram_size 20480 ultra_rams 0 pins 125',
        ),
        (
            'host h { isa = riscv64, simd = 128 b, registers = 32, cores = 2, extensions = [v, "zvl128b"] }',
            'machine.host @h isa "riscv64" simd 128 registers 32 cores 2 extensions ["v", "zvl128b"] {}',
        ),
        (
            "host h { isa = generic, clock = 2 GHz; cache c { size = 32 KiB, line = 64 B, latency = 2 ns } }",
            "machine.cache @c size 262144 line 512 latency 4",
        ),
        (
            "host h { isa = generic; cache c { size = 1 MiB, associativity = 16, latency = 10 ns, shared = true } }",
            "machine.cache @c size 8388608 ways 16 latency 1 shared",
        ),
        (
            "host h { isa = generic, clock = 1 GHz }; memory after { latency = 10 ns }",
            "machine.memory @after latency 1",
        ),
    ],
)
def test_a_block_becomes_an_operation(text: str, line: str):
    assert line in built(f"clock = 100 MHz\n{text}")


def test_a_network_on_chip_names_parts_wherever_they_stand():
    text = """
    network_on_chip n {
        topology = tree, source = spad, destination = ["buffer", lane], carries = psum, width = 16 b
        bandwidth = 1 Gb/s, latency = 1 cycle, hop_energy = 500 fJ, multicast = true, reduces = true
    }
    clock = 100 MHz
    array pe[2, 2] { memory spad { }; array lane[4] { } }
    memory buffer { }
    """
    assert (
        'machine.network_on_chip @n topology "tree" from ["spad"] to ["buffer", "lane"] carries ["psum"] width 16 '
        "bandwidth 10 latency 1 hop_energy 0.5 multicast reduces"
    ) in built(text)


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("", "machine.machine @m {}"),
        ("clock = 1.5 MHz", "machine.machine @m clock 1500000 {}"),
        ("technology = cmos45", 'machine.machine @m technology "cmos45" {}'),
        ('technology = "cmos45"', 'machine.machine @m technology "cmos45" {}'),
        (
            "technology = cmos45(sram_area = 0.3 um2, dram_access = 1 nJ)",
            'machine.machine @m technology "cmos45" overrides {sram_area = 3.000000e-01 : f64, '
            "dram_access = 1.000000e+03 : f64} {}",
        ),
    ],
)
def test_the_settings_of_a_machine(text: str, head: str):
    assert built(text) == [head]


@pytest.mark.parametrize(
    ("bits", "text"),
    [(0, "0 b"), (7, "7 b"), (8, "1 B"), (12, "12 b"), (8191, "8191 b"), (8192, "1 KiB"), (36864, "4.5 KiB"),
     (26345472, "3.141 MiB"), (1 << 43, "1024 GiB")],
)  # fmt: skip
def test_sizes_are_written_in_the_largest_unit(bits: int, text: str):
    assert size_text(bits) == text
