"""Steps that compute convolutions by minimal filtering (`winograd`): tiles of the input are transformed, multiplied
per element of the transform, and transformed back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hapir.dialects.nn_shapes import Window
from hapir.lowering.kernel.buffers import Frame, Table
from hapir.lowering.kernel.contraction import Contraction
from hapir.lowering.kernel.geometry import LANES, Geometry, Tiles
from hapir.lowering.kernel.program_sparse import Lists, PixelTiles
from hapir.lowering.kernel.steps import KernelStep


@dataclass(frozen=True)
class Tiling:
    """Results in tiles of `size` x `size` (1 x `size` where windows have one row), transformed `block` tiles at a time.

    Tiles run over rows and images as one sequence; those at the edges reach beyond the map and read its last pixels.
    """

    size: int
    both: bool
    rows: int
    columns: int
    batch: int
    block: int

    @staticmethod
    def of(geometry: Geometry, size: int, block: int) -> Tiling:
        """The tiles of a layer."""
        both = geometry.window.kernel[0] > 1
        rows = -(-geometry.rows // size) if both else geometry.rows
        return Tiling(size, both, rows, -(-geometry.columns // size), geometry.batch, block)

    @property
    def per_image(self) -> int:
        """Tiles of one map."""
        return self.rows * self.columns

    @property
    def total(self) -> int:
        """Tiles of all maps."""
        return self.batch * self.per_image

    @property
    def reach(self) -> int:
        """Inputs of a tile along one axis."""
        return self.size + 2

    @property
    def height(self) -> int:
        """Rows of a tile's result."""
        return self.size if self.both else 1

    @property
    def planes(self) -> int:
        """Products of a tile per channel and filter."""
        return self.reach**2 if self.both else self.reach


@dataclass(frozen=True)
class Winograd(KernelStep):
    """A convolution 3 x 3 or 1 x 3 of stride 1 as one matrix product per element of the transform.

    The source lies in `frame`, which holds the padding; the result in `to` where it is given. Weights lie
    `[plane][strip][word][vector of the strip][filter][element]`, transformed. `inputs` is scratch for a block's
    transformed inputs, `[plane][tile][word]`, `products` for `[plane][strip][tile][filter]`; planes are one vector
    further apart than they are long, so that they do not meet in one set of a cache.
    """

    frame: Frame
    contraction: Contraction
    tiling: Tiling
    tiles: Tiles
    weights: Table
    bias: Table | None
    inputs: int
    products: int
    to: Frame | None = None

    def on(self, inputs: int, products: int) -> Winograd:
        """The same step with its scratch."""
        return replace(self, inputs=inputs, products=products)

    @property
    def own_scratch(self) -> tuple[int, ...]:
        """The transformed inputs and the products of a block of tiles."""
        return (self.inputs, self.products)

    @property
    def own_tables(self) -> tuple[Table | None, ...]:
        """Weights and bias."""
        return (self.weights, self.bias)

    @property
    def words(self) -> int:
        """Words of a pixel's channels."""
        return -(-self.geometry.channels // self.contraction.elements)

    @property
    def strips(self) -> int:
        """Strips of filters."""
        return -(-self.geometry.filters // (self.tiles.superblock * LANES))

    @property
    def input_plane(self) -> int:
        """Words from plane to plane of transformed inputs."""
        return self.tiling.block * self.words + LANES

    @property
    def product_plane(self) -> int:
        """Words from plane to plane of products."""
        return self.tiling.block * self.strips * self.tiles.superblock * LANES + LANES


@dataclass(frozen=True)
class WinogradLists(KernelStep):
    """The same for filters that see few channels: lists of the transformed kernels that there are, tiles in lanes.

    Tiles are the places of `tiles.panel`, whose phases are the pixels of a tile of results. `lists` name words of
    channels per filter; `weights` holds, plane by plane, a word for each of their `entries`. Signed bytes are lifted
    by 128 where `tiles.lift`, which the bias takes back. `inputs` is scratch for transformed inputs,
    `[plane][word][tile]`, `tiles.sums` for products, `[plane][filter][tile]`, `tiles.rows` for results,
    `[pixel of a tile][16 tiles][filter]`, and `corner` for those of 16 filters.
    """

    size: int
    contraction: Contraction
    tiles: PixelTiles
    lists: Lists
    entries: int
    weights: Table
    bias: Table | None
    inputs: int
    corner: int

    @property
    def own_scratch(self) -> tuple[int, ...]:
        """All that is kept for a block of tiles."""
        tiles = self.tiles
        return (tiles.planes, tiles.sums, tiles.rows, tiles.blank, self.inputs, self.corner)

    @property
    def own_tables(self) -> tuple[Table | None, ...]:
        """Lists, weights and bias."""
        lists = self.lists
        return (lists.tiles, lists.filters, lists.counts, lists.places, self.weights, self.bias)

    @property
    def block(self) -> int:
        """Tiles of a block."""
        return self.tiles.vectors * LANES

    @property
    def planes(self) -> int:
        """Products of a tile per channel and filter."""
        return (self.size + 2) ** 2

    @property
    def words(self) -> int:
        """Words of a tile's channels."""
        return self.tiles.panel.depth * (1 if self.contraction.elements == 1 else 2)

    @property
    def width(self) -> int:
        """Filters, rounded up to vectors."""
        return -(-self.geometry.filters // LANES) * LANES

    @property
    def input_plane(self) -> int:
        """Words from plane to plane of transformed inputs."""
        return self.words * self.block + LANES

    @property
    def product_plane(self) -> int:
        """Words from plane to plane of products."""
        return self.width * self.block + LANES


def tile_geometry(geometry: Geometry, size: int) -> Geometry:
    """A layer's tiles as results of windows that are tiles of inputs."""
    padding, reach = geometry.window.padding, size + 2
    window = Window((reach, reach), (size, size), padding)
    rows, columns = -(-geometry.rows // size), -(-geometry.columns // size)
    return replace(geometry, rows=rows, columns=columns, window=window)
