"""The steps of a C program: kernels with their buffers, tables and finishing stages.

A step of a family with files of its own says itself what it reads and uses (`Step.own_reads`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hapir.lowering.kernel.buffers import Frame, Table
from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.contraction import Contraction
from hapir.lowering.kernel.depthwise import Blocking
from hapir.lowering.kernel.geometry import Geometry, Origin, Pooled, Product, Runs, Tiles
from hapir.lowering.kernel.stages import Join, Stage


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
class Unpacked:
    """Of weights that are codes: on some paths a strip of them becomes bytes in a buffer before the loops over pixels.

    The bytes are multiplied by `contraction`, in runs of `words`.
    """

    paths: tuple[str, ...]
    contraction: Contraction
    words: int
    buffer: int


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
    unpacked: Unpacked | None = None
    """Where strips of weights that are codes are unpacked."""


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
    """Each row brought to a mean square of 1, around its mean where it is `centred`, then scaled and shifted.

    Each factor serves `shared` neighbours; those of row n are the `n % cycle`-th run of as many as a row takes. Factors
    are a table, or a buffer where the network computes them.
    """

    source: int
    rows: int
    columns: int
    gamma: Table | int
    beta: Table | int | None
    epsilon: float
    centred: bool = True
    shared: int = 1
    cycle: int = 1

    @property
    def factors(self) -> tuple[Table | int, ...]:
        """Scale, and shift where there is one."""
        return (self.gamma,) if self.beta is None else (self.gamma, self.beta)


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


_OneSource = (
    *(KernelStep, Convolution, Reframe, PackBits, Depthwise, TransposedConvolution, Pool, Relayout, Move, Bilinear),
    *(ResponseNorm, Softmax, Argmax),
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
    if isinstance(step, Norm):
        return (step.source, *(f for f in step.factors if isinstance(f, int)))
    own = (step.source,) if isinstance(step, _OneSource) else step.own_reads
    return (*own, *(join.buffer for join in joins(step)))


def scratch(step: Step) -> tuple[int, ...]:
    """The buffers a step uses while it runs beside its target."""
    found = list(step.own_scratch)
    if isinstance(step, Pool):
        found.append(step.sums)
    if isinstance(step, Convolution) and step.pool is not None:
        found.append(step.pool.rows_buffer)
    if isinstance(step, Convolution) and step.unpacked is not None:
        found.append(step.unpacked.buffer)
    return tuple(found)
