"""Steps that compute convolutions by minimal filtering (`winograd`): tiles of the input are transformed, multiplied
per element of the transform, and transformed back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hapir.lowering.kernel.contraction import Contraction
from hapir.lowering.kernel.program import LANES, Frame, Geometry, KernelStep, Table, Tiles


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
