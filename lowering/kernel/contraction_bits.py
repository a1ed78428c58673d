"""Contractions of few bits: bit planes that are counted, and codes that are looked up while they are multiplied.

Both run over the loops of every outer-product kernel; weights lie in words of 32 bits at the bits that they need.
Plain data, no IR.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hapir.lowering.kernel.bit_planes import Codes, Planes
from hapir.lowering.kernel.contraction import Contraction

BYTE_STEPS = 31
"""Counts of up to 8 that a byte takes (G. Schindler, 2021, chapter 4)."""
HALF_STEPS = 4095
"""Counts of up to 16 that a half takes."""


@dataclass(frozen=True)
class Term:
    """One count of a word: plane `x` of the activation with plane `w` of the weight, into a sum worth `place`."""

    x: int
    w: int
    place: int


@dataclass(frozen=True)
class Bits(Contraction):
    """Counts of planes: a word is 32 elements, as one word per plane on both sides.

    `step` is that of the activation's codes; `shallow` says that a window has at most `BYTE_STEPS` counts per sum, so
    that counts can stay in bytes throughout.
    """

    planes: Planes
    step: int
    shallow: bool

    @staticmethod
    def of(planes: Planes, codes: Codes, words: int) -> Bits:
        """The contraction of such weights and activations over windows of so many words."""
        x_planes = 2 if planes.kind == "ternary" else codes.bits
        step = 1 if planes.kind == "ternary" else codes.step
        steps = words * min(x_planes, planes.bits)
        name = f"{planes.kind}_{planes.bits}x{x_planes}{'_twice' if step == 2 else ''}"
        shallow = steps <= BYTE_STEPS
        return Bits(
            f"{name}{'' if shallow else '_deep'}", "uint32_t", "uint32_t", "int32_t", x_planes, planes, step, shallow
        )

    @property
    def per_vector(self) -> int:
        return 16 * self.planes.bits

    @property
    def terms(self) -> tuple[Term, ...]:
        """The counts of a word of all but ternary weights, by place."""
        places = self.planes.place_values
        terms = [Term(i, j, places[j] << i) for i in range(self.elements) for j in range(self.planes.bits)]
        return tuple(sorted(terms, key=lambda term: (abs(term.place), term.place)))

    @property
    def counts(self) -> int:
        """Counts of a word."""
        return 2 if self.planes.kind == "ternary" else len(self.terms)

    @property
    def sums_per_result(self) -> int:
        """Places with a sum of their own."""
        return 2 if self.planes.kind == "ternary" else self.elements + self.planes.bits - 1

    @property
    def factor(self) -> int:
        """What the sum of all counts is multiplied by."""
        return -self.step if self.planes.kind == "bipolar" else self.step


LEVELS = 16
"""The most levels that one lookup in registers has."""


@dataclass(frozen=True)
class Lookup(Contraction):
    """Unsigned bytes times weights that are stored as codes of `bits` bits, each looked up among `levels`.

    A vector of codes holds `words` words of four weights: word i of 1, 2 and 4 bits is field i of every byte. Codes of
    3 bits take three vectors: two codes in the low six bits of each byte, the last two in what is left of them. The
    last vector of a run holds `last` words.
    """

    bits: int
    levels: tuple[int, ...]
    last: int

    @staticmethod
    def of(bits: int, levels: tuple[int, ...], run: int) -> Lookup:
        """The contraction of weights of such levels over runs of so many bytes."""
        words = _WORDS[bits]
        last = (-(-run // 4) - 1) % words + 1
        text = "_".join(str(level).replace("-", "m") for level in _short(levels))
        name = f"lookup{bits}_{text}{f'_last{last}' if last < words else ''}"
        return Lookup(name, "uint8_t", "uint32_t", "int32_t", 4 * words, bits, levels, last)

    @property
    def short(self) -> bool:
        """Whether two products together fit 16 bits, whatever the bytes are."""
        return max(map(abs, self.levels)) <= 64

    @property
    def words(self) -> int:
        """Words of a vector of codes."""
        return _WORDS[self.bits]

    @property
    def vectors(self) -> int:
        """Vectors of codes that lie together."""
        return 3 if self.bits == 3 else 1

    @property
    def per_vector(self) -> int:
        return 16 * self.vectors


_WORDS = {1: 8, 2: 4, 3: 8, 4: 2}


def _short(levels: tuple[int, ...]) -> tuple[int | str, ...]:
    """Neighbouring integers as their ends."""
    steps = {b - a for a, b in pairwise(levels)}
    return (levels[0], "to", levels[-1]) if steps == {1} and len(levels) > 2 else levels
