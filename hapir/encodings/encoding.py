"""What every encoding says: how many bits symbols take, the bytes they become, and the way back.

An encoding is a frozen dataclass registered by name; its fields are the options of the spec. It sees `Symbols`:
unsigned numbers of a known width (the two's complement bits of codes, or the bit patterns of f32), one of which may
mean zero. It gives named parts, each with its exact number of bits; a part ends on a whole byte. Everything that the
decoder reads lies in the parts, except what the type of the tensor and the options say. Options that may be `auto` are
chosen by `fitted`; the other methods take a fitted encoding only.

Invariants, held for every registered encoding by tests: `decode` gives back what `encode` was given; `part_bits`, which
does not encode, names the same bits; damaged parts raise `DamagedError` or decode to symbols that fit the width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from math import prod
from types import MappingProxyType
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from hapir.encodings.bits import Bytes, Unsigned, bytes_for, unsigned_of

MOST_SYMBOLS = 1 << 31
"""Tensors have fewer: positions fit 32 bits with a sign, here and in the decoders in C."""


class DamagedError(ValueError):
    """Bytes that no encoder wrote."""


@dataclass(frozen=True)
class Tensor:
    """What is known of symbols before a byte is read: shape, bits (1 to 32), the one that means zero or None."""

    shape: tuple[int, ...]
    bits: int
    zero: int | None

    @property
    def count(self) -> int:
        """How many symbols there are."""
        return prod(self.shape)

    @property
    def rows(self) -> int:
        """The length of axis 0, which encodings with rows go along; 1 for a scalar."""
        return self.shape[0] if self.shape else 1

    @property
    def columns(self) -> int:
        """The symbols of a row."""
        return prod(self.shape[1:])


@dataclass(frozen=True, eq=False)
class Symbols:
    """Unsigned symbols (flat, in the order of C) and what they are. Raises ValueError where they contradict."""

    values: Unsigned
    tensor: Tensor

    def __post_init__(self) -> None:
        if self.values.shape != (self.tensor.count,) or self.tensor.count >= MOST_SYMBOLS:
            raise ValueError(f"{self.values.shape} values for {self.tensor}")
        if self.values.dtype != unsigned_of(self.tensor.bits):
            raise ValueError(f"{self.values.dtype} is not the smallest type of {self.tensor.bits} bits")

    @cached_property
    def histogram(self) -> tuple[Unsigned, npt.NDArray[np.int64]]:
        """The distinct symbols in ascending order, and how often each occurs."""
        if self.values.dtype.itemsize <= 2:
            counts = np.bincount(self.values, minlength=1)
            distinct = np.flatnonzero(counts)
            return distinct.astype(self.values.dtype), counts[distinct]
        distinct, counts = np.unique(self.values, return_counts=True)
        return distinct, counts.astype(np.int64)

    @property
    def nonzero_histogram(self) -> tuple[Unsigned, npt.NDArray[np.int64]]:
        """The histogram without the symbol that means zero."""
        distinct, counts = self.histogram
        kept = slice(None) if self.tensor.zero is None else distinct != self.tensor.zero
        return distinct[kept], counts[kept]

    @property
    def nonzeros(self) -> int:
        """How many symbols do not mean zero."""
        return int(self.nonzero_histogram[1].sum())

    def nonzero_positions(self) -> npt.NDArray[np.int64]:
        """The flat positions of the symbols that do not mean zero, in ascending order."""
        return np.flatnonzero(self.values != self.tensor.zero)

    @property
    def entropy_bits(self) -> float:
        """The order-0 entropy of all symbols together: no code of single symbols takes fewer bits."""
        return entropy_bits(self.histogram[1])


def entropy_bits(counts: npt.NDArray[np.int64]) -> float:
    """n H of things that occur so often, in bits (Shannon 1948): `sum c log2(n / c)`."""
    occurring = counts[counts > 0].astype(np.float64)
    return float((occurring * np.log2(occurring.sum() / occurring)).sum()) if len(occurring) > 1 else 0.0


@dataclass(frozen=True, eq=False)
class Part:
    """A piece of encoded symbols: its name, its bytes, and how many of their bits it needs."""

    name: str
    data: Bytes
    bits: int

    def __post_init__(self) -> None:
        assert self.data.dtype == np.uint8, self.data.dtype
        assert self.data.shape == (bytes_for(self.bits),), (self.name, self.data.shape, self.bits)


Shared = Mapping[str, Part]
"""Parts that several tensors share, by name."""
NOTHING_SHARED: Shared = MappingProxyType({})


class Encoding(ABC):
    """The contract of an encoding."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def part_names(self) -> tuple[str, ...]:
        """The names of the parts, in the order in which `encode` gives them and `decode` takes them."""

    @property
    def leaves_out_zeros(self) -> bool:
        """Whether one symbol must mean zero: the one that is not written."""
        return False

    @property
    def is_fitted(self) -> bool:
        """Whether no option is `auto`."""
        return all(getattr(self, f.name) != "auto" for f in fields(self))  # pyright: ignore[reportArgumentType]  # registered ones are dataclasses

    def unfit(self, symbols: Symbols) -> str | None:
        """Why the encoding cannot hold these symbols; None where it can."""
        return takes_zeros(symbols) if self.leaves_out_zeros else None

    def for_all(self, tensors: Sequence[Symbols]) -> Self:
        """The encoding with those options chosen that must be equal for all tensors that share a part.

        Raises ValueError where they cannot share it.
        """
        return self

    def fitted(self, symbols: Symbols) -> Encoding:
        """The encoding with a number in place of every `auto`, the one that takes the fewest bits here."""
        return self

    def share(self, tensors: Sequence[Symbols]) -> Shared:
        """The parts that all of several tensors have in common; none of most encodings."""
        return NOTHING_SHARED

    @abstractmethod
    def part_bits(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> dict[str, int]:
        """The bits of every part, those of shared ones too, in the order of `part_names`; nothing is encoded."""

    @abstractmethod
    def encode(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> tuple[Part, ...]:
        """The parts in the order of `part_names`."""

    @abstractmethod
    def decode(self, parts: Sequence[Bytes], tensor: Tensor) -> Unsigned:
        """The flat symbols behind the bytes of the parts. Raises DamagedError."""


def takes_zeros(symbols: Symbols) -> str | None:
    """Why an encoding that leaves out zeros cannot hold these symbols."""
    return None if symbols.tensor.zero is not None else "no symbol means zero"


def exactly(part: Bytes, bits: int, name: str) -> Bytes:
    """The part, where its length is that of so many bits. Raises DamagedError."""
    if len(part) != bytes_for(bits):
        raise DamagedError(f"`{name}` has {len(part)} bytes, not {bytes_for(bits)}")
    return part


def within(values: Unsigned, tensor: Tensor) -> Unsigned:
    """The symbols in their own type, where each fits the width. Raises DamagedError."""
    if tensor.bits < 32 and (values >> tensor.bits).any():
        raise DamagedError(f"a symbol has more than {tensor.bits} bits")
    return values.astype(unsigned_of(tensor.bits), copy=False)


def placed(positions: npt.NDArray[np.int64], values: Unsigned, tensor: Tensor) -> Unsigned:
    """The flat symbols of a tensor that is zero but for some, of its width, at positions in it. Raises DamagedError."""
    assert tensor.zero is not None
    if (values == tensor.zero).any():
        raise DamagedError("a value that is kept is zero")
    symbols = np.full(tensor.count, tensor.zero, unsigned_of(tensor.bits))
    symbols[positions] = values
    return symbols
