"""What a planned layer moves: accesses of every memory per tensor, in words of that memory, as the hardware does them.

Counted from the plan alone. MACs are issued (every PE of a used row, every cycle with a pixel), useful (those of the
convolution) and wasted (columns without an output channel, pooling windows that overlap).
"""

from __future__ import annotations

from dataclasses import dataclass

from hapir.lowering.schedule.weight_stationary import LayerPlan

BYTE = 8


@dataclass(frozen=True)
class Access:
    """Reads and writes of one tensor at one memory; `word_bits` is the width of one access."""

    memory: str
    tensor: str
    reads: int
    writes: int
    word_bits: int


@dataclass(frozen=True)
class LayerTraffic:
    """A layer's MACs and accesses."""

    macs_issued: int
    macs_useful: int
    requantizations: int
    accesses: tuple[Access, ...]


def layer_traffic(plan: LayerPlan) -> LayerTraffic:
    """Count a layer's work on its machine."""
    machine, work, tiles = plan.machine, plan.work, plan.row_tiles
    pixels = plan.windows * work.pixels_per_output
    row_pixels = pixels * tiles.total_rows * plan.column_tiles
    sums = pixels * tiles.count * plan.column_tiles
    weight_words = plan.pixel_tiles * plan.stream_words
    weight_rows = plan.pixel_tiles * plan.column_tiles * tiles.total_rows
    loaded = plan.input_words if plan.load else 0
    copies = tiles.full_rows // work.channels if tiles.packed else 1
    stored = plan.output_words if plan.store else 0
    word, row_bits = machine.memory_bits, machine.cols * BYTE
    psum_bits = machine.cols * machine.accumulator_bits
    accesses = (
        Access(machine.dram, "input", loaded, 0, word),
        Access(machine.dram, "weight", weight_words, 0, word),
        Access(machine.dram, "output", 0, stored, word),
        Access(machine.activations, "input", row_pixels, loaded * copies, word),
        Access(machine.activations, "output", stored, plan.windows * work.filters, word),
        Access(machine.weights, "weight", weight_rows, weight_rows, row_bits),
        Access(machine.accumulator, "psum", sums - sums // tiles.count, sums, psum_bits),
        Access(
            machine.register, "weight", row_pixels * machine.cols, weight_rows * machine.cols, machine.weight.width.data
        ),
    )
    return LayerTraffic(row_pixels * machine.cols, _useful(plan), pixels * work.filters, accesses)


def _useful(plan: LayerPlan) -> int:
    """MACs of convolution pixels that reach the output, each once: pooling may drop a border or visit some twice."""
    work = plan.work
    if work.pool is None:
        return work.macs
    rows, cols = (_covered(work.pool.kernel[i], work.pool.stride[i], work.output_size[i]) for i in (0, 1))
    return work.filters * work.channels * work.taps * rows * cols


def _covered(kernel: int, stride: int, windows: int) -> int:
    """Positions under at least one of `windows` pooling windows along one axis."""
    return (windows - 1) * min(stride, kernel) + kernel
