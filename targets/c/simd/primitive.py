"""SIMD in the generated C: one vocabulary of 16 lanes of 32 bits, written once per path and chosen by the preprocessor.

A primitive is a named piece of C (a type, an inline function) with a text per path. `hapir__i32x16` and `hapir__f32x16`
are one register of AVX-512, two of AVX2, four of NEON, an array in plain C. A program prints the primitives it uses,
path by path, so each compiler sees the text of one path only. The same bits come out of every path on integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from hapir.dialects.kernel import PATHS

SELECT = """\
/* One of four paths: 512-bit or 256-bit vectors of x86, those of AArch64, or plain C. */
#if defined(HAPIR_PLAIN_C)
#define HAPIR__PATH_C
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#define HAPIR__PATH_AVX512
#elif defined(__AVX2__) && defined(__FMA__)
#define HAPIR__PATH_AVX2
#elif defined(__aarch64__) && defined(__ARM_NEON)
#define HAPIR__PATH_NEON
#else
#define HAPIR__PATH_C
#endif
#if defined(HAPIR__PATH_AVX512) || defined(HAPIR__PATH_AVX2)
#include <immintrin.h>
#elif defined(HAPIR__PATH_NEON)
#include <arm_neon.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif
#if defined(__GNUC__)
typedef float hapir__f32x4 __attribute__((vector_size(16)));
#endif
#if defined(HAPIR__PATH_C) && defined(__GNUC__) && !defined(__clang__) && !defined(__SSE2__) && !defined(__ARM_NEON) \\
    && !defined(__ALTIVEC__) && !defined(__riscv_vector)
/* Without vectors GCC makes some of words, and 12.2 gets the high half of a product wrong in them (riscv64, -O2). */
#pragma GCC optimize("no-tree-vectorize")
#endif"""


FAMILIES = (
    "base",
    "bf16",
    "bits",
    "channel",
    "math",
    "memory",
    "sparse",
    "stages",
    "transpose",
    "winograd",
)
"""Files `FAMILY.py`, each with a table `PRIMITIVES`."""


@dataclass(frozen=True)
class Primitive:
    """A piece of C by path (no text: nothing is needed there), and the names of what it builds on."""

    name: str
    texts: Mapping[str, str]
    needs: tuple[str, ...] = ()


def joined(first: Primitive, second: Primitive) -> Primitive:
    """One primitive that was asked for on different paths."""
    needs = dict.fromkeys((*first.needs, *second.needs))
    return Primitive(first.name, {**first.texts, **second.texts}, tuple(needs))


def everywhere(name: str, text: str, *needs: str) -> Primitive:
    """The same text on every path."""
    return Primitive(name, dict.fromkeys(PATHS, text), needs)


@cache
def primitives() -> Mapping[str, Primitive]:
    """All primitives by name."""
    found: dict[str, Primitive] = {}
    for family in FAMILIES:
        table: tuple[Primitive, ...] = import_module(f"hapir.targets.c.simd.{family}").PRIMITIVES
        for primitive in table:
            assert primitive.name not in found, f"two primitives are called {primitive.name}"
            found[primitive.name] = primitive
    return found


def with_needs(used: Iterable[Primitive], path: str) -> list[Primitive]:
    """These and all they build on that have a text for a path, each once, after what it needs."""
    known, found = primitives(), dict[str, Primitive]()

    def visit(primitive: Primitive) -> None:
        if primitive.name not in found and primitive.texts.get(path):
            for name in primitive.needs:
                visit(known[name])
            found[primitive.name] = primitive

    for primitive in used:
        visit(primitive)
    return list(found.values())


def print_primitives(used: Iterable[Primitive]) -> str:
    """The text of primitives and what they need, path by path; nothing where there are none."""
    wanted = list(used)
    if not wanted:
        return ""
    common = [primitive for primitive in wanted if _is_common(primitive)]
    sections = [SELECT, *(primitive.texts["c"].strip("\n") for primitive in common)]
    for path in PATHS:
        own = with_needs((primitive for primitive in wanted if not _is_common(primitive)), path)
        if own:
            texts = [primitive.texts[path].strip("\n") for primitive in own]
            sections.append("\n\n".join((f"#ifdef HAPIR__PATH_{path.upper()}", *texts, "#endif")))
    return "\n\n".join(sections)


def _is_common(primitive: Primitive) -> bool:
    """Whether all paths have one text, which needs nothing."""
    return not primitive.needs and len(primitive.texts) == len(PATHS) and len(set(primitive.texts.values())) == 1
