"""What this computer can do at best, measured: products of each kind on data in the nearest cache, and reading.

A peak is the rate of a kernel's own register block, in a shape that keeps the multipliers busy, over operands that stay
in the first-level cache; a bandwidth is that of vector loads over so many bytes again and again. Both take the same
SIMD path, compiler and flags as the network.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from hapir.cache import cached_library
from hapir.dialects.kernel import PATHS
from hapir.lowering.kernel.contraction import Contraction
from hapir.lowering.kernel.contraction_bits import Bits
from hapir.lowering.kernel.geometry import LANES
from hapir.lowering.kernel.register_tiles import bit_tiles, default_tiles
from hapir.targets.c.build import FAST_FLAGS, compile_units, find_compiler
from hapir.targets.c.contractions import tile
from hapir.targets.c.emit import INLINE
from hapir.targets.c.simd.primitive import Primitive, joined, primitives, print_primitives
from hapir.targets.c.text import c

WORDS = 64
"""Words of a reduction: operands of some KiB."""
PIXELS, FILTERS = 64, 256
"""The layer that the register block is made for: a large one."""
BURST = 1e-3
"""Seconds of one measurement."""
BURSTS = 12
"""Measurements of which the best counts."""
SMALLEST, LARGEST = 1 << 12, 1 << 28
"""Bytes that are read at least, and at most."""

_HEAD = """\
#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <string.h>
#include <time.h>

$inline
#if defined(__GNUC__)
#define AGAIN __asm__ volatile("" ::: "memory") /* what was done may not be left out the next time */
#else
#define AGAIN
#endif

$primitives

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Reads `size` bytes, a multiple of 256, again and again. */
double hapir_read(const uint8_t *data, int64_t size, int32_t times, int32_t *sums);
double hapir_read(const uint8_t *data, int64_t size, int32_t times, int32_t *sums)
{
    const double start = now();
    hapir__i32x16 s0 = i32x16__zero(), s1 = s0, s2 = s0, s3 = s0;
    for (int32_t t = 0; t < times; ++t) {
        for (int64_t i = 0; i < size; i += 256) {
            s0 = i32x16__add(s0, i32x16__load(data + i));
            s1 = i32x16__add(s1, i32x16__load(data + i + 64));
            s2 = i32x16__add(s2, i32x16__load(data + i + 128));
            s3 = i32x16__add(s3, i32x16__load(data + i + 192));
        }
        AGAIN;
    }
    i32x16__store(sums, i32x16__add(i32x16__add(s0, s1), i32x16__add(s2, s3)));
    return now() - start;
}
"""
_PEAK = """
$defines

int32_t hapir_macs_$number(void);
int32_t hapir_macs_$number(void)
{
    return peak_${number}_pixels * peak_${number}_blocks * $macs;
}

double hapir_peak_$number(const $x *x, const $w *w, $sums *sums, int32_t times);
double hapir_peak_$number(const $x *x, const $w *w, $sums *sums, int32_t times)
{
    const double start = now();
    for (int32_t t = 0; t < times; ++t) {
        peak_${number}_tile(x, $stride, w, peak_${number}_blocks * $vector, 1, 0, 1, 0, $words, sums);
        AGAIN;
    }
    return now() - start;
}
"""


class Peaks:
    """Measures when asked, each thing once; one object may serve a whole profile.

    Raises HapirError (HAP0801, HAP0802, HAP0844) where the measuring program cannot be built.
    """

    def __init__(self, contractions: Sequence[Contraction], *, flags: Sequence[str] = FAST_FLAGS, cache: bool = True):
        self.contractions = list({contraction.name: contraction for contraction in contractions}.values())
        text = peaks_source(self.contractions)
        compiler = find_compiler()

        def make(folder: Path) -> Path:
            return compile_units(compiler, flags, {"peaks.c": text}, {"peaks.c": ()}, folder)

        self._library = cached_library("c", (*compiler.command, compiler.version, *flags, text), make, keep=cache)
        self._memory = np.zeros(1 << 20, np.uint8)
        self._bandwidths: dict[int, float] = {}
        self.macs: Mapping[str, float] = {
            contraction.name: self._peak(number) for number, contraction in enumerate(self.contractions)
        }
        """Multiply-accumulates per second by name of the contraction."""

    def _peak(self, number: int) -> float:
        function = self._library[f"hapir_peak_{number}"]
        function.restype = ctypes.c_double
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32]
        start = -(-self._memory.ctypes.data // 64) * 64
        places = start, start + (1 << 17), start + (1 << 19)
        return self._library[f"hapir_macs_{number}"]() / best_time(lambda times: function(*places, times))

    def bandwidth(self, size_bytes: int) -> float:
        """Bytes per second of reading so many bytes again and again, to the next power of two."""
        size = 1 << (min(max(size_bytes, SMALLEST), LARGEST) - 1).bit_length()
        if size not in self._bandwidths:
            data, sums = np.ones(size + 64, np.uint8), np.zeros(16, np.int32)
            place = -(-data.ctypes.data // 64) * 64
            function = self._library["hapir_read"]
            function.restype = ctypes.c_double
            function.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_void_p]
            self._bandwidths[size] = size / best_time(lambda times: function(place, size, times, sums.ctypes.data))
        return self._bandwidths[size]


def best_time(run: Callable[[int], float]) -> float:
    """Seconds of one time of what `run` does so many times: of several bursts, the fastest."""
    times = 1
    while (seconds := run(times)) < BURST / 4 and times < 1 << 28:
        times *= 2 if seconds > BURST / 64 else 8
    times = max(1, int(times * BURST / max(seconds, 1e-9)))
    return min(run(times) for _ in range(BURSTS)) / times


def peaks_source(contractions: Sequence[Contraction]) -> str:
    """The C of the measuring program."""
    used = {name: primitives()[name] for name in ("i32x16__zero", "i32x16__add", "i32x16__load", "i32x16__store")}

    def use(primitive: Primitive) -> str:
        known = used.get(primitive.name)
        used[primitive.name] = primitive if known is None else joined(known, primitive)
        return primitive.name

    bodies = [_peak(number, contraction, use) for number, contraction in enumerate(contractions)]
    head = _HEAD.replace("$inline", INLINE).replace("$primitives", print_primitives(used.values()))
    return "\n".join((head, *bodies))


def _peak(number: int, contraction: Contraction, use: Callable[[Primitive], str]) -> str:
    bits = isinstance(contraction, Bits)
    tiles = bit_tiles(PIXELS, FILTERS, contraction) if bits else default_tiles(PIXELS, FILTERS, contraction)
    lines: list[str] = []
    for path in PATHS:
        pixels, blocks = tiles.registers[path]
        lines += [
            f"#{'if' if path == PATHS[0] else 'elif'} defined(HAPIR__PATH_{path.upper()})",
            f"#define peak_{number}_tile {use(tile(contraction, path, pixels, blocks))}",
            f"enum {{ peak_{number}_pixels = {pixels}, peak_{number}_blocks = {blocks} }};",
        ]
    return c(
        _PEAK.replace("${number}", str(number)),
        number=number,
        defines="\n".join((*lines, "#endif")),
        macs=LANES * WORDS * (32 if bits else contraction.elements),
        x=contraction.x,
        w=contraction.w,
        sums=contraction.sums,
        stride=WORDS * contraction.elements,
        vector=contraction.per_vector,
        words=WORDS,
    )
