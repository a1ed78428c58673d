"""Steps that skip zeros: lists of non-zero weights, with pixels in the lanes of vectors.

The input of a tile of pixels is copied to a *panel* first: one plane per word of channels and phase of the stride, so
that what a weight multiplies are neighbours in memory. Sums lie `[filter][pixel]` until all weights of a tile are done;
then they are transposed to rows of filters, which the finish of a pixel reads as it does after any other kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

from hapir.lowering.kernel.buffers import Frame, Table
from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.contraction import Contraction
from hapir.lowering.kernel.steps import KernelStep


@dataclass(frozen=True)
class Panel:
    """How the input of some places lies: `[plane][length]`, planes `[channel or word of channels][phase]`.

    The result's pixel (p, q) is the place `p * columns + q`, so places run on from row to row; those with q past the
    result's columns are computed and dropped. Place i of phase (a, b) holds the pixel at row
    `i // columns * stride + a - top`, and columns alike. A tap thus reads its phase at a fixed distance, its *shift*.
    One panel serves `run` places; `length` adds the farthest shift and fills up to whole vectors. Its elements are
    words of 32 bits, or single bytes.
    """

    phases: tuple[tuple[int, int], ...]
    columns: int
    run: int
    length: int
    depth: int
    ctype: CType

    @property
    def size(self) -> int:
        """Elements of all planes."""
        return self.depth * len(self.phases) * self.length


@dataclass(frozen=True, eq=False)
class Lists:
    """Lists of places in the panel, one per filter that has weights in a tile of channels.

    `tiles` holds for each tile of channels how many lists it has and where its planes start. `filters` says whose list
    it is, `counts` how many places it has: one number, or two where some are added and some subtracted. `places` are
    counted from the start of the tile's planes. These three are of one type, and each has one entry more than is used.
    """

    tiles: Table
    filters: Table
    counts: Table
    places: Table


@dataclass(frozen=True)
class PixelTiles:
    """How pixels pass through a kernel: `vectors` of 16 make a tile; the last four numbers are buffers for scratch.

    `planes` holds the panel, `sums` is `[filters, rounded up][pixel of a tile]`, `rows` is `[16 pixels][filters,
    rounded up]`, `blank` is a pixel of padding, `fill` in each channel. Signed bytes are lifted by 128 where `lift`.
    """

    panel: Panel
    vectors: int
    lift: bool
    fill: int
    planes: int
    sums: int
    rows: int
    blank: int


@dataclass(frozen=True)
class SparseStep(KernelStep):
    """What both kernels share. Lift and zero point are folded into the bias."""

    tiles: PixelTiles
    lists: Lists
    bias: Table | None

    @property
    def own_scratch(self) -> tuple[int, ...]:
        return (self.tiles.planes, self.tiles.sums, self.tiles.rows, self.tiles.blank)

    @property
    def own_tables(self) -> tuple[Table | None, ...]:
        lists = self.lists
        return (lists.tiles, lists.filters, lists.counts, lists.places, self.bias)


@dataclass(frozen=True)
class SparseConvolution(SparseStep):
    """Non-zero words of weights times vectors of pixels (compressed rows); `weights` has a word per place.

    `contraction` says what a word is: one float, or the bytes or halves of neighbouring channels.
    """

    contraction: Contraction
    weights: Table

    @property
    def own_tables(self) -> tuple[Table | None, ...]:
        return (*super().own_tables, self.weights)


@dataclass(frozen=True)
class ReduceAndScale(SparseStep):
    """Activations added up per level of the weights, one multiplication per level (Schindler 2021, section 5.2).

    A list's sum starts at `offset * minuses` and stays within 16 unsigned bits, which its length makes certain; it is
    added `scales` times to the filter's sums (once where None), and the bias takes the offsets back.
    """

    offset: int
    scales: Table | None

    @property
    def own_tables(self) -> tuple[Table | None, ...]:
        return (*super().own_tables, self.scales)


@dataclass(frozen=True)
class SparseVector(KernelStep):
    """Few pixels of a layer without windows: each filter's non-zeros times the inputs that they name, pixel by pixel.

    `counts` has an entry per filter; `places`, which are channels, and `weights` run through all of them and have one
    entry more. `sums` is scratch for the filters of a pixel.
    """

    contraction: Contraction
    counts: Table
    places: Table
    weights: Table
    bias: Table | None
    sums: int

    @property
    def own_scratch(self) -> tuple[int, ...]:
        return (self.sums,)

    @property
    def own_tables(self) -> tuple[Table | None, ...]:
        return (self.counts, self.places, self.weights, self.bias)


@dataclass(frozen=True)
class SparseBlocks(KernelStep):
    """Outer products of pixels and 16 filters over those words of a window that one of the filters has a weight for.

    `counts` says how many words each vector of 16 filters has (group by group), `places` where they lie from a pixel's
    window on, in elements, and `weights` holds `[word][filter][element]`; the last two have one word more than is used.
    The source lies in `frame`, which holds the padding; `pixels` of a row are taken at a time, and `chunk`, a multiple
    of it, for all filters before the next ones.
    """

    frame: Frame
    contraction: Contraction
    pixels: int
    chunk: int
    counts: Table
    places: Table
    weights: Table
    bias: Table | None

    @property
    def own_tables(self) -> tuple[Table | None, ...]:
        return (self.counts, self.places, self.weights, self.bias)
