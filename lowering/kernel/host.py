"""A host CPU as the choice of kernels sees it: vector registers, what executes per cycle, caches, bandwidths.

A `Host` comes from a `machine` that has a `host`, from the computer that compiles (`detect`), or is `DEFAULT`, so that
artefacts depend on no computer. What a description leaves out is that of `TYPICAL` hosts of its instruction set.
Cycles are the host's; a vector is always one of 16 lanes of 32 bits, whatever registers it takes.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from hapir.dialects.machine import MachineOp
from hapir.dialects.machine_devices import CacheOp, HostOp
from hapir.dialects.machine_memory import MemoryOp

VECTOR_LANES = 16
"""Lanes of 32 bits of the vectors that kernels speak of."""
SimdPath = Literal["avx512", "avx2", "neon", "c"]
NATIVE, GENERIC = "native", "generic"
"""Names of hosts that no machine describes: the computer that compiles, and `DEFAULT`."""


@dataclass(frozen=True)
class Ports:
    """What begins per cycle: vector multiplications, vector operations in all, loads, and instructions of any kind."""

    multiply: float
    vector: float
    load: float
    issue: float


@dataclass(frozen=True)
class Level:
    """A place of data, the nearest first: its size (None for the memory behind all caches), and its reading speed."""

    name: str
    size_bytes: int | None
    bytes_per_cycle: float


@dataclass(frozen=True)
class Host:
    """A CPU: the SIMD path that it takes, `registers` of `lanes` lanes, `latency` of a multiplication, its levels."""

    name: str
    path: SimdPath
    lanes: int
    registers: int
    extensions: frozenset[str]
    ports: Ports
    latency: int
    levels: tuple[Level, ...]
    clock_hz: int | None = None

    @property
    def registers_per_vector(self) -> int:
        """Registers that hold one vector of 16 lanes."""
        return VECTOR_LANES // self.lanes

    @property
    def fingerprint(self) -> str:
        """All that costs depend on, as text."""
        levels = ", ".join(f"{x.name} {x.size_bytes} {x.bytes_per_cycle:g}" for x in self.levels)
        ports = f"{self.ports.multiply:g}/{self.ports.vector:g}/{self.ports.load:g}/{self.ports.issue:g}"
        return (
            f"{self.path} {self.registers}x{self.lanes} [{', '.join(sorted(self.extensions))}] "
            f"ports {ports} latency {self.latency} [{levels}] {self.clock_hz}"
        )

    def has(self, *extensions: str) -> bool:
        """Whether the host has all of these."""
        return self.extensions.issuperset(extensions)

    def level_of(self, size_bytes: float) -> Level:
        """The nearest level that holds data of a size beside what streams through it: half of a cache counts."""
        return next((x for x in self.levels if x.size_bytes is None or size_bytes <= x.size_bytes / 2), self.levels[-1])

    def seconds(self, cycles: float) -> float | None:
        """Cycles as time; None where the clock is not known."""
        return None if self.clock_hz is None else cycles / self.clock_hz


_KIB, _MIB = 1 << 10, 1 << 20


def _levels(first: int, *rates: float, second: int, third: int | None) -> tuple[Level, ...]:
    sizes = [("l1", first), ("l2", second), *([("l3", third)] if third else []), ("dram", None)]
    return tuple(Level(name, size, rate) for (name, size), rate in zip(sizes, rates, strict=True))


_X86 = frozenset({"avx2", "fma", "bmi2", "f16c"})
_X86_512 = _X86 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}

TYPICAL: Mapping[SimdPath, Host] = {
    # ports and bandwidths as measured on one core of a Zen 5 (`targets/machines/epyc_zen5.hap`)
    "avx512": Host(
        "avx512",
        "avx512",
        16,
        32,
        _X86_512,
        Ports(multiply=2, vector=4, load=2, issue=8),
        4,
        _levels(48 * _KIB, 127, 62, 28, 10, second=_MIB, third=32 * _MIB),
    ),
    # the first cores with AVX2: two multipliers, three vector ports (Intel's optimization manual, Haswell)
    "avx2": Host(
        "avx2",
        "avx2",
        8,
        16,
        _X86,
        Ports(multiply=2, vector=3, load=2, issue=4),
        5,
        _levels(32 * _KIB, 64, 32, 16, 8, second=256 * _KIB, third=8 * _MIB),
    ),
    # a small in-order core: one vector multiplication and one load of 128 bit (Arm's guide to the Cortex-A55)
    "neon": Host(
        "neon",
        "neon",
        4,
        32,
        frozenset({"neon"}),
        Ports(multiply=1, vector=2, load=1, issue=2),
        4,
        _levels(32 * _KIB, 16, 8, 2, second=512 * _KIB, third=None),
    ),
    # no vectors: one lane at a time in the registers of a RISC
    "c": Host(
        "c",
        "c",
        1,
        16,
        frozenset(),
        Ports(multiply=1, vector=1, load=1, issue=1),
        4,
        _levels(32 * _KIB, 4, 4, 2, second=512 * _KIB, third=None),
    ),
}
"""A host per path, for what a description leaves out and for the tiles of paths that the host itself does not take."""

DEFAULT = replace(
    TYPICAL["avx512"],
    name=GENERIC,
    extensions=_X86_512 | {"avx512_vnni", "avx512_vpopcntdq", "avx512_bf16"},
)
"""The host that nobody named: AVX-512 with its products of bytes and of bfloat16 and its counts of bits."""


def path_of(isa: str, extensions: Iterable[str]) -> SimdPath:
    """The path that a source compiled for an instruction set takes."""
    known = set(extensions)
    if isa == "x86_64" and known >= {"avx512f", "avx512bw", "avx512vl"}:
        return "avx512"
    if isa == "x86_64" and known >= {"avx2", "fma"}:
        return "avx2"
    return "neon" if isa == "aarch64" else "c"


def host_of(machine: MachineOp) -> Host | None:
    """The host of a machine; None where it has none."""
    op = next((op for op in machine.body.block.ops if isinstance(op, HostOp)), None)
    if op is None:
        return None
    extensions = frozenset(e.data for e in op.extensions or ())
    path = path_of(op.isa.data, extensions)
    typical = TYPICAL[path]
    registers = typical.registers if op.registers is None or path == "c" else op.registers.value.data
    clock = op.clock_hz or machine.clock_hz
    host = replace(typical, name=machine.sym_name.data, extensions=extensions, registers=registers)
    return replace(host, levels=_described_levels(op, typical), clock_hz=None if clock is None else clock.value.data)


def _described_levels(op: HostOp, typical: Host) -> tuple[Level, ...]:
    """The data caches and the memory of a host; where it describes no cache, those of the typical one."""
    known = list(typical.levels)
    caches = [
        c for c in op.body.block.ops if isinstance(c, CacheOp) and (c.keeps is None or c.keeps.data != "instructions")
    ]
    memories = [m for m in op.body.block.ops if isinstance(m, MemoryOp)]
    found: list[Level] = []
    for cache, like in zip(caches, known, strict=False):
        rate = like.bytes_per_cycle if cache.bandwidth_bits is None else cache.bandwidth_bits.value.data / 8
        found.append(Level(like.name, cache.size_bits.value.data // 8, rate))
    rates = [m.read_bandwidth_bits or m.bandwidth_bits for m in memories]
    given = [rate.value.data / 8 for rate in rates if rate is not None]
    memory = Level("dram", None, given[0] if given else known[-1].bytes_per_cycle)
    return (*(found or known[:-1]), memory)


def detect(root: Path = Path("/")) -> Host:
    """The computer that runs this, as Linux reports it below `root`; what it does not report is typical."""
    isa = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    flags = _flags(root / "proc/cpuinfo")
    if isa == "aarch64":
        flags = frozenset({"neon", *({"dotprod"} if "asimddp" in flags else ()), *(flags & {"bf16", "i8mm"})})
    path = path_of(isa, flags)
    typical = TYPICAL[path]
    kept = {f for f in flags if re.match(r"avx|fma$|bmi2$|f16c$|neon$|dotprod$|bf16$|i8mm$", f)}
    sizes = _cache_sizes(root / "sys/devices/system/cpu/cpu0/cache")
    levels = tuple(replace(x, size_bytes=sizes.get(x.name, x.size_bytes)) for x in typical.levels)
    return replace(typical, name=NATIVE, extensions=frozenset(kept), levels=levels)


def _flags(cpuinfo: Path) -> frozenset[str]:
    """The extensions of the first core; none where the system does not tell."""
    if not cpuinfo.is_file():
        return frozenset()
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo.read_text(encoding="utf-8", errors="replace"), re.M)
    return frozenset(found[1].split()) if found else frozenset()


def _cache_sizes(folder: Path) -> dict[str, int]:
    """Bytes of the caches that keep data, by level."""
    sizes: dict[str, int] = {}
    for entry in sorted(folder.glob("index*")) if folder.is_dir() else []:
        kind, level, size = (_word(entry / name) for name in ("type", "level", "size"))
        number = re.fullmatch(r"(\d+)([KM]?)", size)
        if kind in ("Data", "Unified") and number:
            sizes[f"l{level}"] = int(number[1]) * {"": 1, "K": _KIB, "M": _MIB}[number[2]]
    return sizes


def _word(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
