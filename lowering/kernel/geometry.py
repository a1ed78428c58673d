"""The loops of a layer: its shape, how its window lies, and how they are blocked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast

from hapir.dialects.kernel import TilesAttr
from hapir.dialects.nn_shapes import Window


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
