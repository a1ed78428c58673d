"""`smallest`: whichever registered encoding takes the fewest bytes for a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, cast

from hapir.encodings.bits import Bytes, Unsigned, bytes_for
from hapir.encodings.crs import Crs
from hapir.encodings.encoding import NOTHING_SHARED, Encoding, Part, Shared, Symbols, Tensor
from hapir.plugin_failures import at_work


@dataclass(frozen=True)
class Smallest(Encoding):
    """Tries every encoding with its defaults (plug-ins' too, and relative columns) on each tensor.

    The sizes compared are those of the parts in whole bytes; of equals the one that is registered first is taken.
    Packed fields are among them, so nothing grows.

    Example: `encode(encoding = smallest)`
    """

    name: ClassVar[str] = "smallest"

    @property
    def part_names(self) -> tuple[str, ...]:
        raise self._unfitted

    @property
    def is_fitted(self) -> bool:
        return False

    @property
    def _unfitted(self) -> AssertionError:
        return AssertionError("`smallest` stands for another encoding; `fitted` gives it")

    def fitted(self, symbols: Symbols) -> Encoding:
        sizes: dict[Encoding, int] = {}
        for encoding in _candidates():
            with at_work("encodings", encoding.name):
                if encoding.unfit(symbols) is None:
                    fitted = encoding.fitted(symbols)
                    sizes[fitted] = sum(map(bytes_for, fitted.part_bits(symbols).values()))
        return min(sizes, key=lambda encoding: sizes[encoding])

    def part_bits(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> dict[str, int]:
        raise self._unfitted

    def encode(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> tuple[Part, ...]:
        raise self._unfitted

    def decode(self, parts: Sequence[Bytes], tensor: Tensor) -> Unsigned:
        raise self._unfitted


def _candidates() -> list[Encoding]:
    """Every encoding that needs no option, and one that is worth trying with another."""
    from hapir.registry import universe

    definitions = [get() for name, get in universe().encodings.items() if name != Smallest.name]
    return [*(definition() for definition in definitions if _has_defaults(definition)), Crs(columns="relative")]


def _has_defaults(definition: type[Encoding]) -> bool:
    options = fields(cast(Any, definition))
    return all(f.default is not MISSING or f.default_factory is not MISSING for f in options if f.init)
