"""The weight-stationary dataflow: how a layer's loops lie on a `WsMachine`, as numbers that hardware and model share.

Loop nest, outer to inner: pixel tiles (as many output windows as the accumulators hold), output-channel tiles
(columns), row tiles (channel groups outside, kernel taps inside), pixels. A row tile keeps one weight per PE still
while all pixels of the pixel tile stream past. Array rows are input channels of one tap; where a layer that comes from
outside has so few channels that several taps fit, the rows take several taps (`packed`) and the channels lie in several
banks.

Activations lie in the banks by channel: channel c in bank c mod rows, group c div rows, row-major, a byte each, every
channel padded to whole words. The outside memory holds the same planes channel after channel (NCHW).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import IntegerType
from xdsl.ir import Operation

from hapir.diagnostics import Diagnostic, HapirError, fail, span_of
from hapir.dialects.num import integer_range, is_signed
from hapir.lowering.schedule.conv_work import ConvWork
from hapir.lowering.schedule.ws_machine import WsMachine


@dataclass(frozen=True)
class RowTiles:
    """The row tiles of one output-channel tile: `count` tiles, the last `tail` of them with `tail_rows` rows."""

    count: int
    tail: int
    full_rows: int
    tail_rows: int
    packed: bool

    def rows(self, index: int) -> int:
        """Rows of tile `index`."""
        return self.tail_rows if index >= self.count - self.tail else self.full_rows

    @property
    def total_rows(self) -> int:
        """Rows of all tiles together."""
        return (self.count - self.tail) * self.full_rows + self.tail * self.tail_rows


@dataclass(frozen=True)
class LayerPlan:
    """One layer on one machine."""

    work: ConvWork
    machine: WsMachine
    load: bool
    store: bool
    row_tiles: RowTiles
    windows_per_tile: int

    @property
    def column_tiles(self) -> int:
        """Output-channel tiles."""
        return -(-self.work.filters // self.machine.cols)

    @property
    def last_columns(self) -> int:
        """Columns in use in the last output-channel tile."""
        return self.work.filters - (self.column_tiles - 1) * self.machine.cols

    @property
    def windows(self) -> int:
        """Output pixels after pooling."""
        p, q = self.work.output_size
        return p * q

    @property
    def pixel_tiles(self) -> int:
        """Pixel tiles."""
        return -(-self.windows // self.windows_per_tile)

    @property
    def last_windows(self) -> int:
        """Output pixels in the last pixel tile."""
        return self.windows - (self.pixel_tiles - 1) * self.windows_per_tile

    def pixels(self, pixel_tile: int) -> int:
        """Convolution pixels of a pixel tile."""
        windows = self.last_windows if pixel_tile == self.pixel_tiles - 1 else self.windows_per_tile
        return windows * self.work.pixels_per_output

    @property
    def input_plane_words(self) -> int:
        """Words of one input channel."""
        return -(-self.work.height * self.work.width // self.machine.word_bytes)

    @property
    def output_plane_words(self) -> int:
        """Words of one output channel."""
        return -(-self.windows // self.machine.word_bytes)

    @property
    def input_words(self) -> int:
        """Words of the input in the outside memory."""
        return self.work.channels * self.input_plane_words

    @property
    def output_words(self) -> int:
        """Words of the output in the outside memory."""
        return self.work.filters * self.output_plane_words

    def tile_words(self, row_tile: int) -> int:
        """Memory words of one weight tile; the last of a column tile brings the channels' parameters with it."""
        words = self.row_tiles.rows(row_tile) * self.machine.words_per_row
        return words + (self.machine.parameter_words if row_tile == self.row_tiles.count - 1 else 0)

    @property
    def stream_words(self) -> int:
        """Memory words of the weight stream of one pixel tile."""
        per_column_tile = self.row_tiles.total_rows * self.machine.words_per_row + self.machine.parameter_words
        return self.column_tiles * per_column_tile

    def issue_cycles(self, pixels: int, row_tile: int) -> int:
        """Cycles to issue a tile's pixels; the last row tile waits for the write port of narrow-and-wide arrays."""
        return pixels * (self.machine.write_beats if row_tile == self.row_tiles.count - 1 else 1)

    @property
    def ideal_cycles(self) -> int:
        """Every tile at the larger of its pixels and the rows it must load: no latency, no fill, no drain."""
        tiles = self.row_tiles
        cycles = 0
        for pixel_tile, repeats in ((0, self.pixel_tiles - 1), (self.pixel_tiles - 1, 1)):
            pixels = self.pixels(pixel_tile)
            full = (tiles.count - tiles.tail) * max(pixels, tiles.full_rows)
            cycles += repeats * (full + tiles.tail * max(pixels, tiles.tail_rows))
        return self.column_tiles * cycles


def taps_at_once(channels: int, taps: int, rows: int) -> int:
    """Kernel taps that the rows of an array hold side by side where a layer comes from outside."""
    return min(rows // channels, taps)


def row_tiles(work: ConvWork, rows: int, *, from_outside: bool) -> RowTiles:
    """How the C * R * S products of an output lie on `rows` array rows."""
    at_once = taps_at_once(work.channels, work.taps, rows) if from_outside else 1
    if at_once > 1:
        count = -(-work.taps // at_once)
        tail_taps = work.taps - (count - 1) * at_once
        return RowTiles(count, 1, at_once * work.channels, tail_taps * work.channels, True)
    groups = -(-work.channels // rows)
    tail_rows = work.channels - (groups - 1) * rows
    return RowTiles(groups * work.taps, work.taps, min(rows, work.channels), tail_rows, False)


def plan_network(
    works: Sequence[ConvWork], machine: WsMachine, pinned_windows: Mapping[str, int] | None = None
) -> list[LayerPlan]:
    """Plan every layer: the first loads its input, the last stores its output, the others stay on chip.

    `pinned_windows` fixes a layer's output pixels per pixel tile. Raises HapirError: HAP0603 where a format does not
    match the machine's units, HAP0604 where a layer does not fit a memory (by how much).
    """
    plans: list[LayerPlan] = []
    for index, work in enumerate(works):
        _check_formats(work, machine)
        most = machine.accumulator_depth // work.pixels_per_output
        refused = window_problem(work.name, work.pixels_per_output, machine, work.op)
        if refused is not None:
            raise HapirError(refused)
        p, q = work.output_size
        windows = (pinned_windows or {}).get(work.name, min(most, p * q))
        if not 1 <= windows <= most:
            fail(
                "HAP0604",
                f"layer `{work.name}` is mapped with {windows} output pixels at once, "
                f"`{machine.accumulator}` holds {most}",
                at=work.op,
                labels=machine.labels(machine.accumulator, f"{machine.accumulator_depth} words"),
                help="map fewer pixels at a time",
            )
        plan = LayerPlan(
            work,
            machine,
            load=index == 0,
            store=index == len(works) - 1,
            row_tiles=row_tiles(work, machine.rows, from_outside=index == 0),
            windows_per_tile=min(windows, p * q),
        )
        _check_capacity(plan)
        plans.append(plan)
    return plans


def _within(storage: IntegerType, other: IntegerType) -> bool:
    """Whether all integers of one type are integers of the other."""
    (first, last), (low, high) = integer_range(storage), integer_range(other)
    return low <= first and last <= high


def _check_formats(work: ConvWork, machine: WsMachine) -> None:
    here = machine.labels(machine.array, "this array")
    narrower = machine.multiplier == "exact" and _within(work.x_type.storage, machine.activation)
    fits = narrower or work.x_type.storage == machine.activation  # a model may differ on the same numbers
    if not fits or work.y_type.storage.width.data > 8:
        fail(
            "HAP0603",
            f"layer `{work.name}` reads {_spelled(work.x_type.storage)}, the array multiplies "
            f"{_spelled(machine.activation)} activations",
            at=work.op,
            labels=here,
            help=f"quantize(activations = {_spelled(machine.activation)})",
        )
    if not _within(work.weight_storage, machine.weight):
        fail(
            "HAP0603",
            f"layer `{work.name}` has {_spelled(work.weight_storage)} weights, the array holds "
            f"{_spelled(machine.weight)}",
            at=work.op,
            labels=here,
            help=f"quantize(weights = {_spelled(machine.weight)})",
        )
    if work.multiplier != machine.multiplier:
        fail(
            "HAP0603",
            f"layer `{work.name}` multiplies by `{work.multiplier}`, the array by `{machine.multiplier}`",
            at=work.op,
            labels=here,
            help=f"use_multiplier(multiplier = {machine.multiplier}) after quantize, or another `mac`",
        )
    if work.rounding != machine.rounding:
        fail(
            "HAP0603",
            f"layer `{work.name}` rounds {work.rounding.value}, the machine rounds {machine.rounding.value}",
            at=work.op,
            help=f"quantize(rounding = {machine.rounding.value})",
        )


def _spelled(storage: IntegerType) -> str:
    """A format as specs write it."""
    return f"{'i' if is_signed(storage) else 'u'}{storage.width.data}"


def _check_capacity(plan: LayerPlan) -> None:
    machine, work = plan.machine, plan.work
    copies = plan.row_tiles.packed
    for what, channels, plane in (
        ("input", machine.rows if copies else work.channels, plan.input_plane_words),
        ("output", work.filters, plan.output_plane_words),
    ):
        refused = map_problem(f"the {what} of layer `{work.name}`", channels, plane, machine, work.op)
        if refused is not None:
            raise HapirError(refused)


def map_problem(what: str, channels: int, plane_words: int, machine: WsMachine, at: Operation) -> Diagnostic | None:
    """HAP0604 where channels of `plane_words` words each do not fit a half of the activation memory; by how much."""
    needed = -(-channels // machine.rows) * plane_words
    if needed <= machine.bank_depth:
        return None
    missing = (needed - machine.bank_depth) * machine.rows * machine.word_bytes
    total = 2 * needed * machine.rows * machine.word_bytes
    return Diagnostic(
        "HAP0604",
        f"{what} needs {needed} words in each of {machine.rows} banks, a half of `{machine.activations}` has "
        f"{machine.bank_depth}: {missing} B too small",
        span_of(at.location),
        machine.labels(machine.activations, "too small"),
        f"give `{machine.activations}` at least {-(-total // 1024)} KiB, or shrink the layer",
    )


def window_problem(layer: str, pixels: int, machine: WsMachine, at: Operation) -> Diagnostic | None:
    """HAP0604 where the accumulators do not hold the convolution pixels of one pooling window."""
    if pixels <= machine.accumulator_depth:
        return None
    return Diagnostic(
        "HAP0604",
        f"one pooling window of layer `{layer}` has {pixels} pixels, `{machine.accumulator}` holds "
        f"{machine.accumulator_depth}",
        span_of(at.location),
        machine.labels(machine.accumulator, "too small"),
        f"give it at least `size = {pixels} word`",
    )
