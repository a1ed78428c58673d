"""Runs circuits by Verilator: Verilog -> C++ -> one shared object, called through ctypes.

The circuit's top module has the ports of the contract below. The harness (`harness.cpp`) gives clock, reset and start,
and is the memory outside: it moves bytes at the memory port and does nothing else.

Ports: inputs `clk rst start mem_req_ready mem_rsp_valid mem_rsp_data[W]`; outputs `done layer_fetch cycle_count[32]
mem_req_valid mem_req_write mem_req_addr[A] mem_req_wdata[W]`. W is a multiple of 8, A at most 32; addresses count
words. Byte b of word n is bits 8b..8b+7 of the word, and byte n * W / 8 + b of the memory image. Cycle 0 is the one
after the cycle in which `start` is high.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files as package_files
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hapir.cache import cached_file, cached_library
from hapir.diagnostics import fail
from hapir.targets.verilog import tools

Bytes = npt.NDArray[np.uint8]

RUNTIME_FLAGS: tuple[str, ...] = ("-std=c++17", "-O2", "-fPIC", "-fvisibility=hidden", "-w")
RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
SAFE_FLAGS = ("-fno-dfg-peephole-replace-shiftl-shiftl", "-fno-dfg-peephole-replace-shiftr-shiftr")
"""Verilator 5.048 to 5.050 merge `(x >> a) >> b` into a shift by a sum that has lost its carry (its issue 7955)."""
MOST_LAYERS = 1024
"""Layer boundaries that are kept of one run."""


@dataclass(frozen=True)
class Design:
    """Verilog to simulate: file name -> text, the top module, the memory port's widths in bits."""

    files: Mapping[str, str]
    top: str
    memory_bits: int
    address_bits: int

    def __post_init__(self) -> None:
        if self.memory_bits % 8 or self.memory_bits < 8 or not 1 <= self.address_bits <= 32:
            raise ValueError(f"a memory port of {self.memory_bits} data and {self.address_bits} address bits")


@dataclass(frozen=True)
class RunCounts:
    """One run: cycles from after `start` to `done`, those between layer boundaries, the circuit's own count, requests.

    Boundaries are the cycles with `layer_fetch`, and the first one with `done`.
    """

    cycles: int
    layer_cycles: tuple[int, ...]
    cycle_count: int
    reads: int
    writes: int


@dataclass(frozen=True)
class SimResult(RunCounts):
    """One run, and the memory image after it."""

    memory: Bytes


@dataclass(frozen=True)
class BatchResult:
    """Many runs: their output bytes (N x bytes), and the counts of each."""

    outputs: Bytes
    runs: tuple[RunCounts, ...]


class _Settings(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("latency", "max_cycles", "stall_seed", "start_seed")]


_OUTCOME = np.dtype(
    [(name, np.uint64) for name in ("status", "cycles", "cycle_count", "reads", "writes", "boundaries", "address")]
)
_TIMEOUT, _OUTSIDE = 1, 2


class Simulation:
    """A built circuit. Every call of `run` or `run_batch` starts a fresh one; calls from several threads are safe."""

    def __init__(self, library: ctypes.CDLL, index: int, design: Design):
        self._run = library["hapir_run"]
        self._run.restype = None
        self._index = index
        self.design = design

    @classmethod
    def build(
        cls, files: Mapping[str, str], top: str, memory_width_bits: int, address_bits: int, *, cache: bool = True
    ) -> Simulation:
        """Compile a circuit given as file name -> text. Raises HapirError (HAP0841, HAP0842, HAP0843, HAP0844)."""
        return build_many([Design(files, top, memory_width_bits, address_bits)], cache=cache)[0]

    def run(
        self,
        memory_image: Bytes,
        latency: int,
        max_cycles: int,
        stall_seed: int | None = None,
        start_seed: int | None = None,
    ) -> SimResult:
        """Run once on a memory image.

        `latency` (>= 1) is the cycles from a request to its answer. `stall_seed` makes the memory refuse and delay at
        random, `start_seed` gives random contents to all that reset does not set. Raises HapirError: HAP0744 past
        `max_cycles`, HAP0745 for an address beyond the image.
        """
        nothing = np.empty((1, 0), np.uint8)
        memory, _, results = self._call(memory_image, nothing, 0, 0, 0, latency, max_cycles, stall_seed, start_seed)
        return SimResult(*(getattr(results[0], field.name) for field in fields(RunCounts)), memory=memory)

    def run_batch(
        self,
        image_base: Bytes,
        inputs: Bytes,
        input_offset: int,
        output_offset: int,
        output_bytes: int,
        *,
        latency: int,
        max_cycles: int,
        stall_seed: int | None = None,
        start_seed: int | None = None,
    ) -> BatchResult:
        """Run once per row of `inputs` (N x bytes), each from a copy of `image_base` with the row at `input_offset`.

        `max_cycles` is per run; `output_bytes` bytes at `output_offset` are kept. Between runs the circuit is reset,
        not rebuilt. Raises HapirError as `run` does.
        """
        rows = np.ascontiguousarray(inputs, np.uint8)
        _, outputs, results = self._call(
            image_base, rows, input_offset, output_offset, output_bytes, latency, max_cycles, stall_seed, start_seed
        )
        return BatchResult(outputs, tuple(results))

    def _call(
        self,
        base: Bytes,
        inputs: Bytes,
        input_offset: int,
        output_offset: int,
        output_bytes: int,
        latency: int,
        max_cycles: int,
        stall_seed: int | None,
        start_seed: int | None,
    ) -> tuple[Bytes, Bytes, list[RunCounts]]:
        if latency < 1:
            raise ValueError(f"an answer takes at least one cycle, got {latency}")
        image = padded(base, self.design.memory_bits // 8)
        count, input_bytes = inputs.shape
        for offset, size in ((input_offset, input_bytes), (output_offset, output_bytes)):
            if offset < 0 or offset + size > image.size:
                raise ValueError(f"bytes {offset}..{offset + size} of a memory of {image.size}")
        work = np.empty_like(image)
        outputs = np.zeros((count, output_bytes), np.uint8)
        outcomes = np.zeros(count, _OUTCOME)
        boundaries = np.zeros((count, MOST_LAYERS), np.uint64)
        # seed 0 stands for none in the harness
        seeds = (0 if seed is None else seed + 1 for seed in (stall_seed, start_seed))
        settings = _Settings(latency, max_cycles, *seeds)
        u64 = ctypes.c_uint64
        self._run(
            u64(self._index),
            ctypes.byref(settings),
            _pointer(image),
            _pointer(work),
            u64(image.size),
            u64(count),
            _pointer(inputs),
            u64(input_bytes),
            u64(input_offset),
            _pointer(outputs),
            u64(output_bytes),
            u64(output_offset),
            ctypes.c_void_p(outcomes.ctypes.data),
            ctypes.c_void_p(boundaries.ctypes.data),
            u64(MOST_LAYERS),
        )
        results = [self._result(outcomes[n], boundaries[n]) for n in range(count)]
        return work[: base.size], outputs, results

    def _result(self, outcome: np.void, boundaries: npt.NDArray[np.uint64]) -> RunCounts:
        counts = {name: int(outcome[name]) for name in _OUTCOME.names or ()}
        if counts["status"] == _TIMEOUT:
            fail(
                "HAP0744",
                f"`{self.design.top}` was not done after {counts['cycles']} cycles",
                help=f"it had begun {counts['boundaries']} layers after {counts['reads']} reads and "
                f"{counts['writes']} writes",
            )
        if counts["status"] == _OUTSIDE:
            fail("HAP0745", f"`{self.design.top}` asked for word {counts['address']} in cycle {counts['cycles']}")
        if counts["boundaries"] > MOST_LAYERS:
            raise ValueError(f"{counts['boundaries']} layer boundaries; {MOST_LAYERS} are kept")
        marks = [int(mark) for mark in boundaries[: counts["boundaries"]]]
        layers = tuple(end - begin for begin, end in pairwise(marks))
        return RunCounts(counts["cycles"], layers, counts["cycle_count"], counts["reads"], counts["writes"])


def padded(base: Bytes, word_bytes: int) -> Bytes:
    """The image as contiguous bytes, filled with zeros to whole words."""
    flat = np.ascontiguousarray(base, np.uint8).reshape(-1)
    return np.concatenate([flat, np.zeros(-flat.size % word_bytes, np.uint8)])


def _pointer(array: Bytes) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def build_many(
    designs: Sequence[Design], *, cache: bool = True, jobs: int | None = None, optimize: bool = True
) -> list[Simulation]:
    """Compile designs together: one shared object per job (default: one per processor), so that headers are read once.

    `optimize=False` compiles faster and runs slower: for designs that run a few thousand cycles only. Raises HapirError
    (HAP0841, HAP0842, HAP0843, HAP0844).
    """
    jobs = max(1, min(jobs or os.cpu_count() or 1, len(designs)))
    groups = [tuple(range(start, len(designs), jobs)) for start in range(jobs)]
    runtime = runtime_objects(cache)
    with ThreadPoolExecutor(jobs) as pool:
        built = [pool.submit(_library, [designs[i] for i in group], runtime, cache, optimize) for group in groups]
        libraries = [future.result() for future in built]
    found: dict[int, Simulation] = {}
    for group, library in zip(groups, libraries, strict=True):
        for position, index in enumerate(group):
            found[index] = Simulation(library, position, designs[index])
    return [found[index] for index in range(len(designs))]


def tool_key(flags: Sequence[str]) -> list[str]:
    """What beside its text decides how a design is compiled."""
    return [tools.verilator_version(), *SAFE_FLAGS, *tools.cxx(), tools.cxx_version(tools.cxx()), *flags]


def runtime_objects(keep: bool, timing: bool = False) -> list[Path]:
    """Verilator's run-time library as object files, built once; `timing` adds what delays in Verilog need (C++20)."""
    include = tools.verilator_root() / "include"

    def build(source: str, flags: Sequence[str]) -> Path:
        def make(folder: Path) -> Path:
            command = [*tools.cxx(), *flags, f"-I{include}", "-c", str(include / source), "-o", "runtime.o"]
            tools.check(tools.run(command, folder), "the C++ compiler")
            return folder / "runtime.o"

        return cached_file("verilator", [source, *tool_key(flags)], ".o", make, keep=keep)

    wanted = [(source, RUNTIME_FLAGS) for source in RUNTIME]
    if timing:
        wanted.append(("verilated_timing.cpp", ("-std=c++20", *RUNTIME_FLAGS[1:])))
    with ThreadPoolExecutor(len(wanted)) as pool:
        return list(pool.map(build, *zip(*wanted, strict=True)))


@cache
def _harness() -> str:
    return package_files("hapir.targets.verilog").joinpath("harness.cpp").read_text(encoding="utf-8")


def _library(designs: Sequence[Design], runtime: Sequence[Path], keep: bool, optimize: bool) -> ctypes.CDLL:
    """The shared object of some designs, from the cache where it is there."""
    flags = ("-std=c++17", "-O1" if optimize else "-O0", "-fPIC", "-fvisibility=hidden", "-w", "-pthread")
    parts = [*tool_key(flags), _harness()]
    for design in designs:
        parts += [design.top, str(design.memory_bits), str(design.address_bits)]
        parts += [text for pair in sorted(design.files.items()) for text in pair]

    def make(folder: Path) -> Path:
        return _compile(designs, runtime, flags, folder)

    return cached_library("simulation", parts, make, keep=keep)


def _compile(designs: Sequence[Design], runtime: Sequence[Path], flags: Sequence[str], folder: Path) -> Path:
    """Verilog to C++ by Verilator, all of it with the harness in one translation unit."""
    included: list[str] = []
    cases: list[str] = []
    for index, design in enumerate(designs):
        included += _verilate(design, f"V{index}", folder / f"d{index}")
        # each design brings a list of headers that wants to be the only one of its kind
        included.append("#undef VL_PCH_INCLUDED")
        cases.append(f"case {index}: return new Simulated<V{index}, {design.memory_bits // 8}>(settings);")
    factory = f"""\
namespace hapir {{
Circuit* make(uint64_t design, const Settings& settings) {{
    switch (design) {{
    {"    ".join(f"{case}{os.linesep}" for case in cases)}    default: return nullptr;
    }}
}}
}}
"""
    include = tools.verilator_root() / "include"
    unit = "\n".join([*included, _harness(), factory])
    (folder / "unit.cpp").write_text(unit, encoding="utf-8")
    objects = [str(path) for path in runtime]
    command = [*tools.cxx(), *flags, "-shared", f"-I{include}", f"-I{include / 'vltstd'}"]
    command += [f"-Id{index}" for index in range(len(designs))]
    tools.check(tools.run([*command, "-o", "simulation.so", "unit.cpp", *objects], folder), "the C++ compiler")
    return folder / "simulation.so"


def _verilate(design: Design, prefix: str, folder: Path) -> list[str]:
    """Generate a design's C++ into `folder`; returns the lines that include it from the parent folder."""
    folder.mkdir()
    for name, text in design.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    arguments = ["--cc", "--top-module", design.top, "--prefix", prefix, "--Mdir", ".", "--no-timing", "-O3"]
    # short functions keep the C++ compiler's time linear; inlining small modules only keeps its text short
    arguments += ["--output-split-cfuncs", "500", "--inline-mult", "100", *SAFE_FLAGS]
    arguments += ["--x-initial", "unique", "-Wno-fatal", "-Wno-lint", "-Wno-style", *sorted(design.files)]
    tools.check(tools.run_verilator(arguments, folder), "Verilator")
    return sorted(f'#include "{folder.name}/{path.name}"' for path in folder.glob(f"{prefix}*.cpp"))
