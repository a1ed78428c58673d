"""A test bench in pure Verilog-2005 that checks itself: for users' simulators, where no Python runs.

It holds the outside memory with its latency, starts the circuit, prints the cycles of each layer, and compares each
output byte with the expected one. The last line is `PASS` or `FAIL: ...`; a failure ends in `$stop`, which makes
Verilator's programs and `vvp -n` exit with an error. Ports and timing are those of `simulate`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

import numpy as np
import numpy.typing as npt

from hapir.cache import cached_file
from hapir.dialects.rtl import address_width
from hapir.targets.verilog import tools
from hapir.targets.verilog.simulate import SAFE_FLAGS, Bytes, padded, runtime_objects, tool_key

_BENCH = Template("""\
// Test bench of $top, written by hapir. Verilog-2005.
// With Verilator: verilator --binary --timing --top-module $name *.v && ./obj_dir/V$name
// With Icarus:    iverilog -g2005 -s $name -o bench *.v && vvp -n bench
`default_nettype none

module $name;
  // the clock, and a circuit that is reset for two cycles and then started
  reg clk;
  reg rst;
  reg start;
  reg running;
  reg finished;
  integer step;
  always #5 clk = ~clk;

  reg [$word_high:0] memory [0:$words_high];  // $words words
  reg [$latency_high:0] answer_valid;
  reg [$word_high:0] answer [0:$latency_high];
  integer stage;

  wire done;
  wire layer_fetch;
  wire [31:0] cycle_count;
  wire mem_req_valid;
  wire mem_req_write;
  wire$address_bits mem_req_addr;
  wire [$word_high:0] mem_req_wdata;
  $top dut (
      .clk(clk),
      .rst(rst),
      .start(start),
      .done(done),
      .layer_fetch(layer_fetch),
      .cycle_count(cycle_count),
      .mem_req_valid(mem_req_valid),
      .mem_req_ready(1'b1),
      .mem_req_write(mem_req_write),
      .mem_req_addr(mem_req_addr),
      .mem_req_wdata(mem_req_wdata),
      .mem_rsp_valid(answer_valid[$latency_high]),
      .mem_rsp_data(answer[$latency_high])
  );

  // the memory: a request accepted in cycle t is answered in cycle t + $latency
  always @(posedge clk) begin
    for (stage = $latency_high; stage > 0; stage = stage - 1) begin
      answer_valid[stage] <= answer_valid[stage - 1];
      answer[stage] <= answer[stage - 1];
    end
    answer_valid[0] <= 1'b0;
    if (running && mem_req_valid) begin
      if ($outside) begin
        $$display("FAIL: word %0d is beyond the memory", mem_req_addr);
        $$stop;
      end else if (mem_req_write) begin
        memory[$index] <= mem_req_wdata;
      end else begin
        answer_valid[0] <= 1'b1;
        answer[0] <= memory[$index];
      end
    end
  end

  // the run, and its cycles
  integer cycle;
  integer layer;
  integer layer_start;
  always @(posedge clk) begin
    step <= step + 1;
    rst <= step < 2;
    start <= step == 2;
    if (start) running <= 1'b1;
    if (finished) compare;
    if (running) begin
      cycle <= cycle + 1;
      if (layer_fetch || done) begin
        if (layer > 0) $$display("layer %0d: %0d cycles", layer, cycle - layer_start);
        layer <= layer + 1;
        layer_start <= cycle;
      end
      if (done) begin
        running <= 1'b0;
        finished <= 1'b1;
        $$display("total: %0d cycles, the circuit counted %0d", cycle, cycle_count);
      end else if (cycle == $max_cycles) begin
        $$display("FAIL: not done after $max_cycles cycles");
        $$stop;
      end
    end
  end

  // the comparison, byte by byte; bit 8 marks bytes between the values, which may be anything
  reg [8:0] expected [0:$expected_high];
  reg [8:0] wanted;
  reg [$word_high:0] word;
  reg [7:0] found;
  integer index;
  integer errors;
  task compare;
    begin
      errors = 0;
      for (index = 0; index < $expected_bytes; index = index + 1) begin
        word = memory[($output_offset + index) / $word_bytes];
        found = word[(($output_offset + index) % $word_bytes) * 8 +: 8];
        wanted = expected[index];
        if (!wanted[8] && found !== wanted[7:0]) begin
          errors = errors + 1;
          if (errors <= 10) $$display("output byte %0d is %0d, expected %0d", index, found, wanted[7:0]);
        end
      end
      if (errors == 0) begin
        $$display("PASS");
        $$finish;
      end else begin
        $$display("FAIL: %0d of $expected_bytes output bytes differ", errors);
        $$stop;
      end
    end
  endtask

  initial begin
    clk = 1'b0;
    rst = 1'b1;
    start = 1'b0;
    running = 1'b0;
    finished = 1'b0;
    step = 0;
    cycle = 0;
    layer = 0;
    layer_start = 0;
    answer_valid = {$latency{1'b0}};
    $$readmemh("$image_file", memory);
    $$readmemh("$expected_file", expected);
  end
endmodule
`default_nettype wire
""")


@dataclass(frozen=True)
class Bench:
    """A bench: its top module, and its files (Verilog and data) by name."""

    name: str
    files: Mapping[str, str]


@dataclass(frozen=True)
class BenchResult:
    """What a bench said: all its text, whether the last line was PASS, and cycles per layer."""

    passed: bool
    text: str
    layer_cycles: tuple[int, ...]


def make_bench(
    top: str,
    memory_bits: int,
    address_bits: int,
    latency: int,
    image: Bytes,
    output_offset: int,
    expected: Bytes,
    max_cycles: int,
    *,
    defined: npt.NDArray[np.bool_] | None = None,
) -> Bench:
    """A bench for a circuit with the ports of `simulate`: memory `image`, `expected` bytes at `output_offset`.

    Bytes that `defined` leaves out (as many entries as `expected`) are not compared.
    """
    compared = np.ones(expected.size, np.bool_) if defined is None else defined.reshape(-1)
    words = padded(image, memory_bits // 8).reshape(-1, memory_bits // 8)
    if latency < 1 or expected.size < 1 or output_offset + expected.size > words.size:
        raise ValueError(f"latency {latency}, {expected.size} bytes at {output_offset} of {words.size}")
    index_bits = address_width(len(words))
    name = f"{top}_bench"
    text = _BENCH.substitute(
        top=top,
        name=name,
        address_bits="" if address_bits == 1 else f" [{address_bits - 1}:0]",
        index=f"mem_req_addr[{index_bits - 1}:0]" if index_bits < address_bits else "mem_req_addr",
        outside=f"mem_req_addr > {len(words) - 1}" if len(words) < 1 << address_bits else "1'b0",
        word_bits=memory_bits,
        word_bytes=memory_bits // 8,
        word_high=memory_bits - 1,
        words=len(words),
        words_high=len(words) - 1,
        latency=latency,
        latency_high=latency - 1,
        max_cycles=max_cycles,
        expected_bytes=expected.size,
        expected_high=expected.size - 1,
        output_offset=output_offset,
        image_file=f"{name}_image.hex",
        expected_file=f"{name}_expected.hex",
    )
    # a word's first byte is its lowest, and numbers are written from the highest on
    hexes = "".join(f"{bytes(word[::-1]).hex()}\n" for word in words)
    wanted = np.where(compared, expected.reshape(-1).astype(np.uint16), 0x100)
    bytes_text = "".join(f"{value:03x}\n" for value in wanted.tolist())
    return Bench(name, {f"{name}.v": text, f"{name}_image.hex": hexes, f"{name}_expected.hex": bytes_text})


_FLAGS = ("-std=c++20", "-O1", "-w", "-pthread")


def run_bench(files: Mapping[str, str], bench: Bench, *, cache: bool = True) -> BenchResult:
    """Compile circuit and bench to a program by Verilator, as `verilator --binary` does, and run it.

    Raises HapirError (HAP0841, HAP0842, HAP0843, HAP0844) where a tool is missing or refuses the text.
    """
    sources = {**files, **{name: text for name, text in bench.files.items() if name.endswith(".v")}}
    runtime = runtime_objects(cache, timing=True)

    def make(folder: Path) -> Path:
        for name, text in sources.items():
            (folder / name).write_text(text, encoding="utf-8")
        arguments = ["--cc", "--exe", "--main", "--timing", "--top-module", bench.name, "--prefix", "Vbench"]
        arguments += ["--Mdir", ".", "--output-split-cfuncs", "500", *SAFE_FLAGS, *sorted(sources)]
        tools.check(tools.run_verilator(arguments, folder), "Verilator")
        unit = "".join(f'#include "{path.name}"\n' for path in sorted(folder.glob("Vbench*.cpp")))
        (folder / "unit.cpp").write_text(unit, encoding="utf-8")
        include = tools.verilator_root() / "include"
        command = [*tools.cxx(), *_FLAGS, f"-I{include}", f"-I{include / 'vltstd'}", "-I.", "-o", "bench", "unit.cpp"]
        tools.check(tools.run([*command, *map(str, runtime)], folder), "the C++ compiler")
        return folder / "bench"

    parts = [*tool_key(_FLAGS), bench.name, *(text for pair in sorted(sources.items()) for text in pair)]
    return _run_program(cached_file("bench", parts, "", make, keep=cache), bench)


def _run_program(program: Path, bench: Bench) -> BenchResult:
    with tempfile.TemporaryDirectory(prefix="hapir-") as name:
        folder = Path(name)
        for file, text in bench.files.items():
            (folder / file).write_text(text, encoding="utf-8")
        # the cache's files are data; the copy that runs is a program
        copy = folder / "bench.run"
        copy.write_bytes(program.read_bytes())
        copy.chmod(0o700)
        done = tools.run([str(copy)], folder)
    lines = done.stdout.splitlines()
    cycles = tuple(int(found[1]) for line in lines if (found := re.match(r"layer \d+: (\d+) cycles", line)))
    return BenchResult("PASS" in lines and done.returncode == 0, done.stdout, cycles)
