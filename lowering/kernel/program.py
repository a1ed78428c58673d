"""The C program of a network as data: what an emitter prints, with every decision already made.

A `Program` is a list of steps over numbered buffers. A step names its kernel, its geometry, its constant tables (packed
already) and the stages that finish each element; a buffer knows its home and, in the arena, its byte offset. Maps lie
channels-last (N H W C) inside the program; inputs and results keep the network's order (N C H W).

Invariants: steps are in execution order; a buffer in the arena overlaps no other that is live at the same step; every
integer sum was proven to fit 32 bits with the weights at hand, so the C text needs no overflow check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from hapir.dialects.kernel import TilesAttr
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import Rounding
from hapir.lowering.kernel.c_types import DTYPES as DTYPES
from hapir.lowering.kernel.c_types import CType as CType
from hapir.lowering.kernel.c_types import size_of as size_of
from hapir.lowering.kernel.contraction import Contraction
from hapir.lowering.kernel.depthwise import Blocking
from hapir.weights import Array

ALIGNMENT = 64
"""Bytes; every buffer and table starts at a multiple (one cache line, one 512-bit vector)."""


@dataclass(frozen=True)
class Source:
    """The parameter that a table holds in another order: its weight key, and what moves its elements there."""

    key: str
    arrange: Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Table:
    """A constant array; `role` is its name before mangling (`c1.weight`). Values are flat and of the ctype's dtype.

    `source` is known of the weights of layers, which may be decoded when the program starts.
    """

    role: str
    ctype: CType
    values: Array = field(repr=False)
    source: Source | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes in the weights unit."""
        return self.values.size * size_of(self.ctype)


SLACK = 64
"""Bytes behind every buffer of the arena that kernels may read: whole words and vectors at the end of a row."""


@dataclass(frozen=True)
class Frame:
    """How a channels-last map lies in a larger buffer, all in elements.

    `pitch` is from row to row and `image` from map to map, `start` where the first map begins; what lies around the
    maps is `fill`, written by the step that writes the maps. `rows` and `columns` are those of the frame.
    """

    rows: int
    columns: int
    channels: int
    top: int
    left: int
    fill: int | float

    @staticmethod
    def around(height: int, width: int, channels: int, padding: tuple[int, int, int, int], fill: float) -> Frame:
        """The frame of a map with padding top, left, bottom, right."""
        top, left, bottom, right = padding
        return Frame(height + top + bottom, width + left + right, channels, top, left, fill)

    @property
    def pitch(self) -> int:
        """From row to row."""
        return self.columns * self.channels

    @property
    def image(self) -> int:
        """From map to map: the elements of one frame."""
        return self.rows * self.pitch

    @property
    def start(self) -> int:
        """Where the first map begins."""
        return self.top * self.pitch + self.left * self.channels


@dataclass(frozen=True)
class Buffer:
    """Memory of one value. `offset` is in bytes within the arena; `table` is set for constants only."""

    ctype: CType
    length: int
    home: Literal["arena", "input", "output", "constant"]
    offset: int = 0
    table: Table | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes, without alignment."""
        return self.length * size_of(self.ctype)


@dataclass(frozen=True)
class Scaling:
    """How lanes of 32 bits find `round(v * multiplier / 2^shift)`; proven exact for every v that can occur.

    `low`: the product fits 32 bits. `high`: v is lifted by 2^lift, and the result stands in the upper half of the
    product of 64 bits, shifted right by shift + lift - 32 more: by nothing in all channels, or by at least 1. `wide`:
    multipliers may reach 2^32.
    """

    half: Literal["low", "high"]
    lift: int
    wide: bool


@dataclass(frozen=True)
class Requantize:
    """`clamp(round(v * multiplier / 2^shift) + zero_point, low, high)`, the product exact in 64 bits.

    `multiplier` and `shift` are one number or a table with one entry per channel. `narrow` says that every multiplier
    is below 2^31, so that half of 2^shift can be added to the product without overflow. Without `scaling` lanes of 32
    bits do not suffice.
    """

    multiplier: Table | int
    shift: Table | int
    rounding: Rounding
    zero_point: int
    low: int
    high: int
    narrow: bool
    ctype: CType
    scaling: Scaling | None = None


@dataclass(frozen=True)
class Rescale:
    """`clamp(round(v * scale) + zero_point, low, high)`, the product in double."""

    scale: Table | float
    rounding: Rounding
    zero_point: int
    low: int
    high: int
    ctype: CType


@dataclass(frozen=True)
class Clamp:
    """`min(max(v, low), high)`; a missing bound does not bind."""

    low: float | int | None
    high: float | int | None
    ctype: CType


@dataclass(frozen=True)
class Widen:
    """`(v - zero_point) * multiplier` in int32; `wide` where the difference alone may need 64 bits."""

    zero_point: int
    multiplier: int
    wide: bool
    ctype: CType = "int32_t"


@dataclass(frozen=True)
class Steps:
    """A quantizer as `nearest(v * factor + added)`, or the floor of that, `first` <= v <= `last`: the outermost steps.

    It makes no difference whether the product is rounded before the addition.
    """

    factor: float
    added: float
    floor: bool
    first: float
    last: float


@dataclass(frozen=True)
class Quantize:
    """`clamp(round(v / scale) + zero_point, low, high)`, the division in double.

    Where `steps` is given, it gives the same codes, less the zero point, for every float.
    """

    scale: Table | float
    zero_point: int
    rounding: Rounding
    low: int
    high: int
    ctype: CType
    steps: Steps | None = None


@dataclass(frozen=True)
class Dequantize:
    """`(v - zero_point) * scale`, in double and rounded once to float; `single`: a product of floats is the same."""

    scale: Table | float
    zero_point: int
    single: bool = False
    ctype: CType = "float"


@dataclass(frozen=True)
class ScaleShift:
    """`v * scale[c] + shift[c]`: batch norm with its four parameters folded to two."""

    scale: Table
    shift: Table
    ctype: CType = "float"


@dataclass(frozen=True)
class Threshold:
    """`low + step * n`, n how many of the channel's thresholds v has reached, or `count` minus that where it flips.

    `thresholds` has a row of channels per level, or one entry per level where `shared`; flips are 0 or 1.
    """

    thresholds: Table
    flips: Table | int
    count: int
    shared: bool
    low: int
    step: int
    ctype: CType


Function = Literal["gelu", "hard_sigmoid", "hard_swish", "leaky_relu", "sigmoid", "sign", "silu", "tanh"]


@dataclass(frozen=True)
class Apply:
    """A function of one float, with its constants."""

    function: Function
    constants: tuple[float, ...] = ()
    ctype: CType = "float"


@dataclass(frozen=True)
class Join:
    """`v + other`, the other being the element at the same place of a map in `buffer`, after stages of its own.

    The map lies in `frame` where that is given. Integers were proven to fit 32 bits.
    """

    buffer: int
    source: CType
    stages: tuple[Stage, ...]
    ctype: CType
    frame: Frame | None = None


@dataclass(frozen=True)
class ToBf16:
    """The nearest bfloat16, ties to even, as its bits; what is no number stays none."""

    ctype: CType = "uint16_t"


Stage = Requantize | Rescale | Clamp | Widen | Quantize | Dequantize | ScaleShift | Threshold | Apply | Join | ToBf16
"""What happens to one element on its way out; `ctype` is the type it gives."""


@dataclass(frozen=True)
class Origin:
    """Where a step comes from: the layer's name, its shape in words, and `file:line` of the spec where known.

    `fused` are the layers that were joined with it, in order, itself included.
    """

    layer: str
    text: str
    place: str | None
    fused: tuple[str, ...] = ()

    def with_layer(self, other: Origin, words: str) -> Origin:
        """The same step once another's is joined to it, and what that one is in words."""
        joined = (*(self.fused or (self.layer,)), *(other.fused or (other.layer,)))
        return replace(self, text=f"{self.text}, {words}", fused=tuple(dict.fromkeys(joined)))


@dataclass(frozen=True)
class Geometry:
    """A windowed op on one map: H x W x C to P x Q x K."""

    batch: int
    channels: int
    height: int
    width: int
    filters: int
    rows: int
    columns: int
    window: Window
    groups: int = 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a layer that has a weight for each element of a window."""
        taps = self.window.kernel[0] * self.window.kernel[1] * (self.channels // self.groups)
        return self.batch * self.rows * self.columns * self.filters * taps


LANES = 16
"""Filters of a vector: sums of 32 bits in 512 bits, as one register or several."""


@dataclass(frozen=True)
class Tiles:
    """How an outer-product kernel is blocked.

    Weights are packed for strips of `superblock` vectors of filters. `registers` holds, per SIMD path, the pixels and
    vectors whose sums stay in registers; `order` is the outermost loop. `decided` says that the IR has them so, and
    nothing changes them any more.
    """

    order: Literal["filters", "rows"]
    superblock: int
    registers: Mapping[str, tuple[int, int]]
    decided: bool = False

    @staticmethod
    def of(attribute: TilesAttr) -> Tiles:
        """What the IR says."""
        order = cast(Literal["filters", "rows"], attribute.order.data)
        return Tiles(order, attribute.superblock.data, attribute.by_path, decided=True)


@dataclass(frozen=True)
class Runs:
    """A window as it lies: rows x columns of runs of `words`, with the elements between them.

    A run is what is contiguous: a pixel's channels of one group, or a whole row of the window.
    """

    rows: int
    row_stride: int
    columns: int
    column_stride: int
    words: int

    @property
    def total_words(self) -> int:
        """Words of a whole window."""
        return self.rows * self.columns * self.words


@dataclass(frozen=True)
class Product:
    """A multiplication that is not C's own: the model as specs write it, and the statements that return the product."""

    model: str
    body: str


@dataclass(frozen=True)
class Pooled:
    """A max pool run on the rows of a convolution as they appear; `rows_buffer` is a ring of kernel-height rows.

    The rows are results, or where `of_sums` the sums of a strip of filters as vectors: the largest sum gives the
    largest result, so that only this one goes through the stages.
    """

    window: Window
    rows: int
    columns: int
    rows_buffer: int
    of_sums: bool = False


@dataclass(frozen=True)
class Step:
    """What all steps share: where from, the buffer written, the finishing stages."""

    origin: Origin
    target: int
    stages: tuple[Stage, ...]

    @property
    def own_reads(self) -> tuple[int, ...]:
        """The buffers that a step of another file reads."""
        return ()

    @property
    def own_scratch(self) -> tuple[int, ...]:
        """The buffers that a step of another file uses while it runs."""
        return ()

    @property
    def own_tables(self) -> tuple[Table | None, ...]:
        """The constants of a step of another file, but for those of its stages."""
        return ()


@dataclass(frozen=True)
class Borders:
    """What is added to sums whose window reaches into padding.

    `rows` and `columns` hold the case of each row and column of the result, 0 where all taps read the map; `values` has
    a row of all filters per case of rows and, within it, of columns, of which there are `column_cases`.
    """

    rows: Table
    columns: Table
    column_cases: int
    values: Table


@dataclass(frozen=True)
class KernelStep(Step):
    """A layer of a family of kernels with files of its own: it says itself what it uses."""

    source: int
    geometry: Geometry


@dataclass(frozen=True)
class Convolution(Step):
    """Outer products of pixels and filters; a dense layer is the 1x1 case over a row of N pixels.

    Weights lie `[group][strip][word][vector of the strip][filter][element]`, zero padded, a strip being a superblock of
    filters. `contraction` says what a word is and how it is multiplied. The zero point is folded into the bias. The
    source lies in `frame`, which holds the padding; the result in `to` where it is given. `product` takes the place of
    `*` where it is given.
    """

    source: int
    frame: Frame
    geometry: Geometry
    contraction: Contraction
    runs: Runs
    tiles: Tiles
    weights: Table
    bias: Table | None
    to: Frame | None = None
    pool: Pooled | None = None
    product: Product | None = None
    borders: Borders | None = None
    maps: tuple[int, int, int] | None = None
    """Images, rows and columns of the result where the geometry has all its pixels in one row and `to` is given."""


@dataclass(frozen=True)
class PackBits(Step):
    """A channels-last map of bytes as bit planes in a frame of words: `[group][word of 32 channels][plane]` per pixel.

    A plane is one bit of each byte after `low` was taken from it, `positions` says which.
    """

    source: int
    batch: int
    height: int
    width: int
    channels: int
    groups: int
    low: int
    positions: tuple[int, ...]
    to: Frame


@dataclass(frozen=True)
class Reframe(Step):
    """A channels-last map copied into a frame; `lift` is added to each element, and makes signed bytes unsigned.

    The map lies in `frame` where it is given. Stages have no tables, and are not there beside a lift.
    """

    source: int
    batch: int
    height: int
    width: int
    to: Frame
    lift: int = 0
    frame: Frame | None = None


@dataclass(frozen=True)
class Depthwise(Step):
    """Each channel times its own filters (as many for each), 16 filters in lanes; `blocking` says how.

    Weights lie as `pack_depthwise` packs them. The zero point is folded into the bias. The source lies in `frame`,
    which holds the padding, and `lift` says that its signed bytes are read as unsigned ones, 128 higher; the result
    lies in `to` where it is given.
    """

    source: int
    frame: Frame
    geometry: Geometry
    blocking: Blocking
    weights: Table
    bias: Table | None
    sums: CType
    lift: bool = False
    to: Frame | None = None


@dataclass(frozen=True)
class Pool(Step):
    """Windows reduced per channel: `max`, `sum` (of value - zero_point) or `mean` (of floats).

    The source lies in `frame` and the result in `to` where they are given.
    """

    source: int
    geometry: Geometry
    kind: Literal["max", "sum", "mean"]
    zero_point: int
    count_padding: bool
    sums: int
    frame: Frame | None = None
    to: Frame | None = None


@dataclass(frozen=True)
class Operand:
    """A buffer read by an elementwise step, what happens to each element on the way in, and the frame it lies in."""

    buffer: int
    stages: tuple[Stage, ...] = ()
    frame: Frame | None = None


@dataclass(frozen=True)
class Elementwise(Step):
    """One or two equal shapes, element by element; `operator` joins two. Shape outer x channels x inner.

    Where an operand or the result (`to`) lies in a frame, `outer` is images x rows x columns, which `pixels` gives.
    """

    operands: tuple[Operand, ...]
    outer: int
    channels: int
    inner: int
    operator: Literal["+", "-", "*"] = "+"
    pixels: tuple[int, int, int] | None = None
    to: Frame | None = None


@dataclass(frozen=True)
class Relayout(Step):
    """N C H W to N H W C (`channels_last`) or back; the result lies in `to`, `width` pixels a row, where given."""

    source: int
    batch: int
    channels: int
    pixels: int
    channels_last: bool
    width: int = 0
    to: Frame | None = None


@dataclass(frozen=True)
class Concat(Step):
    """Blocks of the sources laid one after the other, `outer` times; lengths in elements."""

    sources: tuple[int, ...]
    outer: int
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class Axis:
    """One loop of a move: its turns, and what a turn adds to the places read and written, in elements.

    A table holds the place that each turn reads instead.
    """

    size: int
    read: int | Table
    write: int


@dataclass(frozen=True)
class Move(Step):
    """Elements copied from place to place, the outermost loop first; `fill` goes everywhere before that."""

    source: int
    axes: tuple[Axis, ...]
    read_from: int
    write_to: int
    fill: float | int | None = None


@dataclass(frozen=True)
class Matmul(Step):
    """Products of float matrices M x K and K x P, one after the other; the sums run over k from 0."""

    sources: tuple[int, int]
    batch: int
    m: int
    k: int
    p: int


@dataclass(frozen=True)
class Norm(Step):
    """Each row brought to mean 0 and variance 1, then scaled and shifted element by element."""

    source: int
    rows: int
    columns: int
    gamma: Table
    beta: Table
    epsilon: float


@dataclass(frozen=True)
class ResponseNorm(Step):
    """Each channel of a pixel over `(bias + alpha * sum x^2)^beta`; the sum runs from `before` channels to `after`."""

    source: int
    pixels: int
    channels: int
    before: int
    after: int
    alpha: float
    beta: float
    bias: float


@dataclass(frozen=True)
class TransposedConvolution(Step):
    """Each pixel times each filter element, added to the place it falls on; weights lie `[group][r][s][input][filter]`.

    The geometry's window is over the result: its rows and columns are those of the result.
    """

    source: int
    geometry: Geometry
    weights: Table
    bias: Table | None


@dataclass(frozen=True)
class Bilinear(Step):
    """Maps sampled between their pixels: per row and per column of the result two places and the second's weight."""

    source: int
    batch: int
    channels: int
    height: int
    width: int
    rows: tuple[Table, Table, Table]
    columns: tuple[Table, Table, Table]


@dataclass(frozen=True)
class Recurrent(Step):
    """An LSTM or GRU over the steps of N T C. Weights lie `[input][gate]` and `[hidden][gate]`.

    `hidden` and `cell` are buffers N H that hold the last state afterwards; `gates` is scratch: two rows of all gates.
    """

    kind: Literal["lstm", "gru"]
    source: int
    batch: int
    length: int
    inputs: int
    units: int
    w_input: Table
    w_hidden: Table
    biases: tuple[Table, Table] | None
    reverse: bool
    gates: int
    hidden: int
    cell: int | None


@dataclass(frozen=True)
class Softmax(Step):
    """Softmax of each row."""

    source: int
    rows: int
    columns: int


@dataclass(frozen=True)
class Argmax(Step):
    """The lowest index of each row's largest value."""

    source: int
    rows: int
    columns: int


@dataclass(frozen=True)
class Port:
    """An input or result: its name in the spec, its buffer, its shape in the network's order, its type in words."""

    name: str
    buffer: int
    shape: tuple[int, ...]
    meaning: str


@dataclass(frozen=True)
class Program:
    """A network ready to be printed. `live_bytes` is the lower bound: the most bytes live at one step."""

    name: str
    inputs: tuple[Port, ...]
    results: tuple[Port, ...]
    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    tables: tuple[Table, ...]
    arena_bytes: int
    live_bytes: int

    @property
    def weight_bytes(self) -> int:
        """Bytes of all constant tables."""
        return sum(t.size_bytes for t in self.tables)


_OneSource = (
    *(KernelStep, Convolution, Reframe, PackBits, Depthwise, TransposedConvolution, Pool, Relayout, Move, Bilinear),
    *(Norm, ResponseNorm, Recurrent, Softmax, Argmax),
)


def joins(step: Step) -> tuple[Join, ...]:
    """The stages of a step that read another map."""
    return tuple(stage for stage in step.stages if isinstance(stage, Join))


def reads(step: Step) -> tuple[int, ...]:
    """The buffers whose contents a step needs."""
    if isinstance(step, Elementwise):
        return tuple(o.buffer for o in step.operands)
    if isinstance(step, Concat | Matmul):
        return step.sources
    own = (step.source,) if isinstance(step, _OneSource) else step.own_reads
    return (*own, *(join.buffer for join in joins(step)))


def scratch(step: Step) -> tuple[int, ...]:
    """The buffers a step uses while it runs beside its target; the states of a recurrent layer may be read later."""
    found = list(step.own_scratch)
    if isinstance(step, Pool):
        found.append(step.sums)
    if isinstance(step, Convolution) and step.pool is not None:
        found.append(step.pool.rows_buffer)
    if isinstance(step, Recurrent):
        found += [step.gates, step.hidden, *([] if step.cell is None else [step.cell])]
    return tuple(found)
