"""How long each weight pass takes on ResNet-50 of the library, and how much memory.

Run: `python benchmarks/compress_speed.py` from the repository root (a few minutes); with names, only those passes.
The weights are `random(seed = 1)`, 25.6 million of them. Each pass runs in a process of its own, after its imports.
Times are wall and CPU seconds of the last pass alone. Memory is the highest resident size of the process from before
the weights are made to the end, weights included, as a multiple of the bytes of the fp32 weights.
Goals: int8 per channel < 5 s, n-ary < 10 s, k-means of 4 bits < 60 s, Huffman size < 5 s; memory < 6.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from hapir.lowering.network_edits import networks_of
from hapir.pipeline_text import read_passes
from hapir.registry import make_context
from hapir.spec import build_module, load_spec_text

SPEC = """hap 1
import "networks/resnet50.hap"
schedule s of resnet50 { weights = random(seed = 1) }
"""
PASSES = {
    "int8 per channel": "quantize_weights",
    "int4 MSE": 'quantize_weights{weights="i4" method="mse"}',
    "dorefa": "dorefa",
    "bwn": "bwn",
    "twn": "twn",
    "ttq": "ttq",
    "abc_net": "abc_net",
    "n-ary ternary": "n_ary",
    "n-ary quinary per channel": 'n_ary{kind="quinary" granularity="channel"}',
    "k-means 4 bit": "k_means",
    "k-means 8 bit": "k_means{bits=8}",
    "log2": "log2",
    "lq_net": "lq_net",
    "lq_net per channel": 'lq_net{granularity="channel"}',
    "addnet 2-Add": "addnet",
    "addnet 4-Add": 'addnet{coefficients="four_add"}',
    "prune 90 %": "prune{sparsity=0.9}",
    "prune 90 % of all layers": 'prune{sparsity=0.9 scope="global"}',
    "prune 30 % of the filters": 'prune{sparsity=0.3 grain="filter"}',
    "prune 30 % of the columns": 'structure_prune{structures="column" sparsity=0.3}',
    "low rank": "low_rank{rank=16}",
    "csg": "csg",
    "Huffman of ternary codes": 'n_ary,encode{encoding="huffman"}',
    "Huffman of 4-bit codes": 'k_means,encode{encoding="huffman"}',
    "Huffman of int8 codes": 'quantize_weights,encode{encoding="huffman"}',
}
FP32 = 4


def resident_bytes(field: str) -> int:
    """A field of this process's status: `VmRSS` now, `VmHWM` at most since the last reset."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}: this benchmark needs Linux")


def measure(pipeline: str) -> tuple[float, float, float]:
    """Wall and CPU seconds of a pipeline's last pass, and the memory of all as a multiple of the fp32 weights."""
    spec = load_spec_text(SPEC, "benchmark.hap", Path())
    steps = [step.what for step in read_passes(pipeline, "benchmark")]
    before = resident_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest size so far is the one now
    ctx = make_context()
    module = build_module(spec, "s", ctx)
    bytes_of_weights = sum(array.nbytes for array in ctx.weights.values())
    assert networks_of(module)
    wall = cpu = 0.0
    for step in steps:
        start = time.perf_counter(), time.process_time()
        step.apply(ctx, module)
        wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    return wall, cpu, (resident_bytes("VmHWM") - before) / bytes_of_weights


def main() -> None:
    """Print a line for each pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(PASSES)}; all by default")
    parser.add_argument("--pipeline", help="measure this pipeline in this process and print JSON")
    options = parser.parse_args()
    if options.pipeline:
        print(json.dumps(measure(options.pipeline)))
        return
    print(f"{'pass':<28} {'wall s':>8} {'CPU s':>8} {'memory':>7}")
    for name in options.names or PASSES:
        command = [sys.executable, __file__, "--pipeline", PASSES[name]]
        wall, cpu, multiple = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"{name:<28} {wall:8.2f} {cpu:8.2f} {multiple:6.1f}x", flush=True)


if __name__ == "__main__":
    main()
