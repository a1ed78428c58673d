"""How a product layer is computed on a host: the algorithm, the arithmetic, and how its loops are tiled.

Rationale. What runs on a CPU is decided before any text is printed, as attributes of the layers, so that a decision can
be read, tested, overridden and saved. `#kernel.choice` (attribute `kernel` of a convolution or dense layer) names the
algorithm; `#kernel.tiles` (attribute `tiles`) says how the loops of the outer-product kernels are blocked, per SIMD
path, since one source serves several. `kernel.request` is what a schedule asks of some layers; `choose_kernels` carries
it out. Loops and registers follow from these: sums of `pixels x blocks` vectors of 16 lanes stay in registers while the
reduction runs over words of 32 bits.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntAttr, StringAttr
from xdsl.ir import Attribute, Dialect, ParametrizedAttribute
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    param_def,
    prop_def,
    traits_def,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.traits import HasParent
from xdsl.utils.exceptions import VerifyException

from hapir.dialects.dataflow import ScheduleOp

ALGORITHMS = ("direct", "winograd", "sparse", "ras", "dsc")
"""Outer products over windows as they lie; minimal filtering; lists of non-zeros with pixels in lanes; one accumulator
per level of the weights; non-zeros and minimal filtering mixed per two-dimensional kernel."""

PATHS = ("avx512", "avx2", "neon", "c")
"""What one generated source holds side by side: 512-bit and 256-bit vectors of x86, 128-bit ones of ARM, plain C."""

ORDERS = ("filters", "rows")
"""The outermost loop: blocks of filters, whose weights stay in the cache, or rows of the result."""


@irdl_attr_definition
class ChoiceAttr(ParametrizedAttribute):
    """The kernel of one layer: `#kernel.choice<direct>`, `#kernel.choice<winograd, {tile = 4 : i64}>`.

    `arithmetic` names the contraction of a direct kernel (`targets/c/contractions.py`) where it is not the one that the
    formats imply, else it is empty.
    """

    name = "kernel.choice"
    algorithm: StringAttr
    arithmetic: StringAttr
    options: DictionaryAttr

    @staticmethod
    def of(algorithm: str, arithmetic: str = "", options: Mapping[str, Attribute] | None = None) -> ChoiceAttr:
        """A choice in plain values."""
        return ChoiceAttr(StringAttr(algorithm), StringAttr(arithmetic), DictionaryAttr(dict(options or {})))

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            algorithm = StringAttr(parser.parse_identifier())
            arithmetic, options = StringAttr(""), DictionaryAttr({})
            while parser.parse_optional_punctuation(","):
                text = parser.parse_optional_str_literal()
                if text is not None:
                    arithmetic = StringAttr(text)
                else:
                    options = parser.parse_attribute()
                    if not isinstance(options, DictionaryAttr):
                        parser.raise_error("the options of a kernel are a dictionary")
            return [algorithm, arithmetic, options]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(self.algorithm.data)
            if self.arithmetic.data:
                printer.print_string(", ")
                printer.print_string_literal(self.arithmetic.data)
            if self.options.data:
                printer.print_string(", ")
                printer.print_attribute(self.options)

    def verify(self) -> None:
        if self.algorithm.data not in ALGORITHMS:
            raise VerifyException(f"an algorithm is one of {', '.join(ALGORITHMS)}, not {self.algorithm.data}")


@irdl_attr_definition
class RegisterTileAttr(ParametrizedAttribute):
    """A register block on one path, `#kernel.register_tile<avx512 : 8 by 2>`: pixels times vectors of 16 filters."""

    name = "kernel.register_tile"
    path: StringAttr
    pixels: IntAttr = param_def(converter=IntAttr.get)
    blocks: IntAttr = param_def(converter=IntAttr.get)

    @staticmethod
    def of(path: str, pixels: int, blocks: int) -> RegisterTileAttr:
        """A tile in plain values."""
        return RegisterTileAttr(StringAttr(path), pixels, blocks)

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            path = StringAttr(parser.parse_identifier())
            parser.parse_punctuation(":")
            pixels = IntAttr(parser.parse_integer(allow_negative=False))
            parser.parse_keyword("by")
            return [path, pixels, IntAttr(parser.parse_integer(allow_negative=False))]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(f"{self.path.data} : {self.pixels.data} by {self.blocks.data}")

    def verify(self) -> None:
        if self.path.data not in PATHS:
            raise VerifyException(f"a SIMD path is one of {', '.join(PATHS)}, not {self.path.data}")
        if min(self.pixels.data, self.blocks.data) < 1:
            raise VerifyException(
                f"a register block has pixels and vectors, got {self.pixels.data} by {self.blocks.data}"
            )


@irdl_attr_definition
class TilesAttr(ParametrizedAttribute):
    """How a direct kernel is blocked: `#kernel.tiles<filters, 4, [#kernel.register_tile<avx512 : 7 by 4>, ...]>`.

    The outermost loop, the vectors of 16 filters that the weights are packed for, and a register block per path, whose
    vectors divide those.
    """

    name = "kernel.tiles"
    order: StringAttr
    superblock: IntAttr = param_def(converter=IntAttr.get)
    registers: ArrayAttr[RegisterTileAttr]

    @staticmethod
    def of(order: str, superblock: int, registers: Mapping[str, tuple[int, int]]) -> TilesAttr:
        """Tiles in plain values: pixels and vectors by path."""
        tiles = [RegisterTileAttr.of(path, *registers[path]) for path in PATHS]
        return TilesAttr(StringAttr(order), superblock, ArrayAttr(tiles))

    @property
    def by_path(self) -> dict[str, tuple[int, int]]:
        """Pixels and vectors by path."""
        return {tile.path.data: (tile.pixels.data, tile.blocks.data) for tile in self.registers}

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            order = StringAttr(parser.parse_identifier())
            parser.parse_punctuation(",")
            superblock = IntAttr(parser.parse_integer(allow_negative=False))
            parser.parse_punctuation(",")
            return [order, superblock, parser.parse_attribute()]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(f"{self.order.data}, {self.superblock.data}, ")
            printer.print_attribute(self.registers)

    def verify(self) -> None:
        if self.order.data not in ORDERS:
            raise VerifyException(f"the outermost loop runs over {' or '.join(ORDERS)}, not {self.order.data}")
        if tuple(tile.path.data for tile in self.registers) != PATHS:
            raise VerifyException(f"there is one register block per path, in this order: {', '.join(PATHS)}")
        for tile in self.registers:
            if self.superblock.data < 1 or self.superblock.data % tile.blocks.data:
                raise VerifyException(
                    f"weights are packed for {self.superblock.data} vectors, which {tile.blocks.data} do not divide"
                )


@irdl_op_definition
class RequestOp(IRDLOperation):
    """What a schedule asks of the layers that a glob names.

    Example: `kernel.request "conv*" <winograd, {tile = 4 : i64}>`
    """

    name = "kernel.request"
    layers = prop_def(StringAttr)
    choice = prop_def(ChoiceAttr)
    traits = traits_def(HasParent(ScheduleOp))
    assembly_format = "$layers $choice attr-dict"

    def __init__(self, layers: str, choice: ChoiceAttr):
        super().__init__(properties={"layers": StringAttr(layers), "choice": choice})


Kernel = Dialect("kernel", [RequestOp], [ChoiceAttr, RegisterTileAttr, TilesAttr])
