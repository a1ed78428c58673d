"""The kernels that a schedule may ask for, by algorithm: dataclasses whose fields are what may be said of each.

What is not said is chosen. A kernel is written in the IR as a `#kernel.choice`, the fields that are said as options.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from xdsl.dialects.builtin import FloatAttr, IntegerAttr, StringAttr, i64
from xdsl.ir import Attribute

from hapir.dialects.kernel import ChoiceAttr


@dataclass(frozen=True)
class Direct:
    """Outer products: sums of some pixels times some vectors of 16 filters stay in registers.

    `arithmetic`: of integers up to 8 bits: `bits` counts bit planes, `codes` looks up weights of at most 16 levels that
        are stored in 1 to 4 bits, `bytes` multiplies bytes; by default the cheapest that the formats allow. Of floats
        `bf16`, which rounds inputs and weights to bfloat16; by default f32.
    `pixels`: pixels of a register block on the host's SIMD path.
    `blocks`: vectors of 16 filters of a register block.
    `order`: the outermost loop, filters or rows of the result.

    Example: `kernel c1 { algorithm = direct, pixels = 7, blocks = 4 }`
    """

    name: ClassVar[str] = "direct"
    arithmetic: str | None = None
    pixels: int | None = None
    blocks: int | None = None
    order: Literal["filters", "rows"] | None = None

    def __post_init__(self) -> None:
        for name, value in (("pixels", self.pixels), ("blocks", self.blocks)):
            if value is not None and not 1 <= value <= MAXIMUM_BLOCK:
                raise ValueError(f"`{name}` must be in 1..{MAXIMUM_BLOCK}, not {value}")


MAXIMUM_BLOCK = 64
"""Pixels or vectors of a register block: more than any register file holds."""


@dataclass(frozen=True)
class Winograd:
    """Minimal filtering: windows of 3 x 3, or of 3 in a row, of stride 1 take fewer multiplications.

    `tile`: rows and columns of the result that are computed at a time; 4 saves more multiplications and takes larger
        weights.

    Example: `kernel "c*" { algorithm = winograd, tile = 4 }`
    """

    name: ClassVar[str] = "winograd"
    tile: Literal[2, 4] | None = None


@dataclass(frozen=True)
class Sparse:
    """Lists of what is not zero: of single weights with pixels in the lanes, or of blocks of 16 filters.

    Example: `kernel f1 { algorithm = sparse }`
    """

    name: ClassVar[str] = "sparse"


@dataclass(frozen=True)
class Ras:
    """Reduce and scale: one sum of inputs per level of the weights, scaled at its end.

    Example: `kernel f1 { algorithm = ras }`
    """

    name: ClassVar[str] = "ras"


@dataclass(frozen=True)
class Dsc:
    """Each two-dimensional kernel is skipped, computed by its non-zeros, or by minimal filtering.

    `tau`: the non-zeros of a 3 x 3 kernel from which on it is computed by minimal filtering: 0 of all kernels that have
    any, 10 of none.
    `tile`: rows and columns of the result that minimal filtering computes at a time.

    Example: `kernel c2 { algorithm = dsc, tau = 4 }`
    """

    name: ClassVar[str] = "dsc"
    tau: int | None = None
    tile: Literal[2, 4] | None = None

    def __post_init__(self) -> None:
        if self.tau is not None and not 0 <= self.tau <= MAXIMUM_TAU:
            raise ValueError(f"`tau` counts the non-zeros of a 3x3 kernel: it must be in 0..10, not {self.tau}")


MAXIMUM_TAU = 10
"""One more than a 3 x 3 kernel has weights."""

KernelKind = Direct | Winograd | Sparse | Ras | Dsc
KINDS: Mapping[str, type[KernelKind]] = {kind.name: kind for kind in (Direct, Winograd, Sparse, Ras, Dsc)}
"""By the name of the algorithm, in the order of `dialects.kernel.ALGORITHMS`."""


def choice_of(kind: KernelKind) -> ChoiceAttr:
    """A kernel as the IR writes it."""
    said = {f.name: getattr(kind, f.name) for f in fields(kind) if getattr(kind, f.name) is not None}
    arithmetic = said.pop("arithmetic", "")
    return ChoiceAttr.of(kind.name, arithmetic, {name: _attribute(value) for name, value in said.items()})


def kind_of(choice: ChoiceAttr) -> KernelKind:
    """A choice as what it says of its algorithm. Raises ValueError for an option that the algorithm does not have."""
    kind = KINDS[choice.algorithm.data]
    said: dict[str, Any] = {name: _plain(value) for name, value in choice.options.data.items()}
    if choice.arithmetic.data:
        said["arithmetic"] = choice.arithmetic.data
    known = [f.name for f in fields(kind)]
    for name in said:
        if name not in known:
            raise ValueError(f"`{kind.name}` has no option `{name}`")
    return kind(**said)


def _attribute(value: object) -> Attribute:
    match value:
        case int():
            return IntegerAttr(value, i64)
        case float():
            return FloatAttr(value, 64)
        case _:
            return StringAttr(str(value))


def _plain(attribute: Attribute) -> int | float | str:
    match attribute:
        case IntegerAttr() | FloatAttr():
            return attribute.value.data
        case StringAttr():
            return attribute.data
        case _:
            raise ValueError(f"an option of a kernel is a number or a word, not {attribute}")
