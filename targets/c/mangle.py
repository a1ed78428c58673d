"""One function that makes any name a legal C (and C++) identifier, and a set that keeps identifiers apart."""

from __future__ import annotations

import re
from collections.abc import Collection


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KEYWORDS = _words(
    """
    alignas alignof and and_eq asm atomic_cancel auto bitand bitor bool break case catch char char8_t char16_t char32_t
    class compl concept const consteval constexpr constinit const_cast continue co_await co_return co_yield decltype
    default delete do double dynamic_cast else enum explicit export extern false final float for friend goto if import
    inline int long module mutable namespace new noexcept not not_eq nullptr operator or or_eq override private
    protected public register reinterpret_cast requires restrict return short signed sizeof static static_assert
    static_cast struct switch template this thread_local throw true try typedef typeid typename typeof typeof_unqual
    union unsigned using virtual void volatile wchar_t while xor xor_eq fortran near far interrupt linux unix i386
    """
)
"""Of C11, C23 and C++20, and macros that compilers define without a leading underscore."""

LIBRARY = _words(
    """
    main abort abs atexit atof atoi bsearch calloc div errno exit free getenv labs malloc qsort rand realloc srand
    memchr memcmp memcpy memmove memset strcat strchr strcmp strcpy strlen strncmp strncpy strstr acos asin atan ceil
    cos cosh exp expf fabs floor fmax fmin fmod frexp gamma hypot index j0 j1 jn y0 y1 yn ldexp log log10 log2 lround
    modf nan nearbyint pow remainder rint round scalbn signgam sin sinh sqrt sqrtf tan tanh tgamma trunc assert
    printf puts putc getc scanf fopen fclose read write open close time clock signal raise system remove rename
    int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t size_t ptrdiff_t intptr_t uintptr_t max_align_t
    intmax_t uintmax_t NULL EOF NAN INFINITY HUGE_VAL offsetof
    """
)
"""Names of the C library that a file-scope identifier must not take."""

HEADERS = _words(
    """
    assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic
    stdbool stddef stdint stdio stdlib stdnoreturn string strings tgmath threads time uchar wchar wctype
    """
)
"""Stems of the standard headers: a network of this name would shadow one."""

MAX_LENGTH = 48
"""C11 promises 31 significant characters of external names and 63 of others; compilers in use take far more."""


def mangle(name: str, taken: Collection[str] = ()) -> str:
    """A legal identifier close to `name` that is no keyword, no library name and not in `taken`.

    It never holds two underscores in a row, so a name that does cannot clash with any (C++ reserves them besides).

    Law: for any names, mangling one after the other with the results so far as `taken` gives distinct identifiers.
    """
    stem = re.sub(r"[^A-Za-z0-9_]", "_", name)[:MAX_LENGTH].rstrip("_")
    stem = re.sub(r"__+", "_", stem)
    if not stem or not stem[0].isalpha():
        stem = f"n{stem}" if stem[:1] != "_" else f"n_{stem.lstrip('_')}"
    reserved = KEYWORDS | LIBRARY | HEADERS
    candidate, n = stem, 1
    while candidate in taken or candidate in reserved:
        n += 1
        candidate = f"{stem}_{n}"
    return candidate


class Names:
    """Identifiers of one scope, each given once."""

    def __init__(self, *taken: str):
        self._taken: set[str] = set(taken)

    def fresh(self, name: str) -> str:
        """A new identifier close to `name`."""
        identifier = mangle(name, self._taken)
        self._taken.add(identifier)
        return identifier
