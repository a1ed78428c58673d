"""Run-time dispatch on x86: the one source compiled once per path, and a unit that asks the processor which to run.

Each path is a file of three lines that renames `<name>_run` and includes `<name>.c`; the compiler's -m flags say what
the path may use, so gcc, clang and what calls itself like them agree. The choice is kept in an atomic word that holds
the same value whoever writes it, so threads need no lock. Elsewhere than on x86 only the `base` path is there.
"""

from __future__ import annotations

from dataclasses import dataclass

from hapir.targets.c.text import c, listed


@dataclass(frozen=True)
class Feature:
    """An instruction set: the compiler's flag and macro, and the CPUID bit (leaf, subleaf, register, bit)."""

    flag: str
    macro: str
    leaf: int
    subleaf: int
    register: str
    bit: int


def _leaf_7(flag: str, macro: str, register: str, bit: int, subleaf: int = 0) -> Feature:
    return Feature(flag, macro, 7, subleaf, register, bit)


FMA = Feature("-mfma", "__FMA__", 1, 0, "ecx", 12)
F16C = Feature("-mf16c", "__F16C__", 1, 0, "ecx", 29)
AVX2 = _leaf_7("-mavx2", "__AVX2__", "ebx", 5)
AVXVNNI = _leaf_7("-mavxvnni", "__AVXVNNI__", "eax", 4, subleaf=1)
SKYLAKE = (
    _leaf_7("-mavx512f", "__AVX512F__", "ebx", 16),
    _leaf_7("-mavx512dq", "__AVX512DQ__", "ebx", 17),
    _leaf_7("-mavx512cd", "__AVX512CD__", "ebx", 28),
    _leaf_7("-mavx512bw", "__AVX512BW__", "ebx", 30),
    _leaf_7("-mavx512vl", "__AVX512VL__", "ebx", 31),
)
ICE_LAKE = (
    _leaf_7("-mavx512vbmi", "__AVX512VBMI__", "ecx", 1),
    _leaf_7("-mavx512vbmi2", "__AVX512VBMI2__", "ecx", 6),
    _leaf_7("-mavx512vnni", "__AVX512VNNI__", "ecx", 11),
    _leaf_7("-mavx512bitalg", "__AVX512BITALG__", "ecx", 12),
    _leaf_7("-mavx512vpopcntdq", "__AVX512VPOPCNTDQ__", "ecx", 14),
)
BF16 = _leaf_7("-mavx512bf16", "__AVX512BF16__", "eax", 5, subleaf=1)
"""Bits as in Intel's manual, volume 2A, CPUID."""


@dataclass(frozen=True)
class Path:
    """A path by name: what it may use; `state` are the bits of XCR0 that the system must have switched on."""

    name: str
    features: tuple[Feature, ...]
    state: int
    only_where: frozenset[str] = frozenset()
    """Macros one of which the source must mention: without them the path is no other than the next."""

    @property
    def flags(self) -> tuple[str, ...]:
        """For the compiler."""
        return tuple(feature.flag for feature in self.features)


def _macros(*features: Feature) -> frozenset[str]:
    return frozenset(feature.macro for feature in features)


_AVX, _AVX512 = 0x6, 0xE6
_WIDE = (AVX2, FMA, F16C)
ALL = (
    Path("avx512_bf16", (*_WIDE, *SKYLAKE, *ICE_LAKE, BF16), _AVX512, _macros(BF16)),
    Path("avx512_vnni", (*_WIDE, *SKYLAKE, *ICE_LAKE), _AVX512, _macros(*ICE_LAKE)),
    Path("avx512", (*_WIDE, *SKYLAKE), _AVX512),
    Path("avx2_vnni", (*_WIDE, AVXVNNI), _AVX, _macros(AVXVNNI)),
    Path("avx2", _WIDE, _AVX),
    Path("base", (), 0),
)
"""The best first."""

OWN_NAMES = ("path", "has_path", "run_on", *(f"run_{path.name}" for path in ALL))
"""What follows `<name>_` in the identifiers of these files."""

X86 = "defined(__x86_64__) || defined(__i386__)"


def paths_of(source: str) -> tuple[Path, ...]:
    """The paths that differ for a source text, the best first; the last needs nothing."""
    return tuple(path for path in ALL if not path.only_where or any(macro in source for macro in path.only_where))


def dispatch_files(name: str, source: str) -> dict[str, str]:
    """The header and the unit that choose, and a unit per path."""
    paths = paths_of(source)
    files = {f"{name}_dispatch.h": _header(name, paths), f"{name}_dispatch.c": _chooser(name, paths)}
    return files | {f"{name}_{path.name}.c": _unit(name, path) for path in paths}


def unit_flags(name: str, source: str) -> dict[str, tuple[str, ...]]:
    """The units that hold the paths, and the flags that each is compiled with on x86."""
    return {f"{name}_{path.name}.c": path.flags for path in paths_of(source)}


def _unit(name: str, path: Path) -> str:
    """One path; where there are no such processors its unit holds declarations only."""
    rename = f"#define {name}_run {name}_run_{path.name}\n"
    include = f'#include "{name}.c"\n'
    if not path.features:
        return f"/* {name}, path {path.name}: what the compiler's own flags allow. */\n{rename}{include}"
    missing = listed("#if ", [f"!defined({f.macro})" for f in path.features], "").replace(",", " ||")
    missing = missing.replace("\n", " \\\n")
    flags = " ".join(path.flags)
    return (
        f"/* {name}, path {path.name}: on x86 compile with {flags} */\n"
        f'#define HAPIR__ONE_PATH\n{rename}#include "{name}.h"\n\n#if {X86}\n'
        f'{missing}\n#error "compile this file with {flags}"\n#endif\n{include}#endif\n'
    )


def _header(name: str, paths: tuple[Path, ...]) -> str:
    """Which paths there are, and running on one of them."""
    upper = name.upper()
    return (
        c(
            """
        /* The paths of $name, the best first; $name_run takes the first that the processor has. Generated by hapir. */
        #ifndef $UPPER_DISPATCH_H
        #define $UPPER_DISPATCH_H

        #include "$name.h"

        #ifdef __cplusplus
        extern "C" {
        #endif

        enum $name_path {
            $paths
        };

        /* Whether this processor and its system run a path: 1 or 0. */
        int $name_has_path(int path);

        /* $name_run on one path. Returns 1 as well where the path is not there. */
        int $name_run_on(int path, struct $name_ctx *ctx, const struct $name_in *in, struct $name_out *out);

        #ifdef __cplusplus
        }
        #endif

        #endif
        """.replace("$name", name).replace("$UPPER", upper),
            paths=",\n".join(f"{upper}_PATH_{path.name.upper()}" for path in paths),
        )
        + "\n"
    )


def _chooser(name: str, paths: tuple[Path, ...]) -> str:
    """The unit with `<name>_run`."""
    upper = name.upper()
    wide = [path for path in paths if path.features]
    parameters = f"(struct {name}_ctx *ctx, const struct {name}_in *in, struct {name}_out *out)"
    return (
        c(
            """
        /* Chooses the path of $name. Generated by hapir. */
        #include "$name_dispatch.h"

        #include <stddef.h>
        #include <stdint.h>
        #ifndef __STDC_NO_ATOMICS__
        #include <stdatomic.h>
        #endif

        $declarations

        #if $x86
        #include <cpuid.h>

        /* Those of the bits `wanted` that are set in a register of CPUID, number 0 to 3. */
        static uint32_t hapir__cpuid(uint32_t leaf, uint32_t subleaf, int number, uint32_t wanted)
        {
            unsigned found[4] = {0, 0, 0, 0};
            if (__get_cpuid_count(leaf, subleaf, &found[0], &found[1], &found[2], &found[3]) == 0) {
                return 0;
            }
            return found[number] & wanted;
        }

        /* Which registers the system saves; the instruction is there only where CPUID says so. */
        static uint32_t hapir__saved(void)
        {
            uint32_t low, high;
            if (hapir__cpuid(1, 0, 2, UINT32_C(1) << 27) == 0) {
                return 0;
            }
            __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
            return low;
        }

        static uint32_t hapir__paths(void)
        {
            const uint32_t saved = hapir__saved();
            uint32_t paths = UINT32_C(1) << $UPPER_PATH_BASE;
            $checks
            return paths;
        }
        #else
        static uint32_t hapir__paths(void)
        {
            return UINT32_C(1) << $UPPER_PATH_BASE;
        }
        #endif

        /* A bit per path. Asking the processor is slow; whoever asks gets the same answer, so it may be kept. */
        static uint32_t hapir__known_paths(void)
        {
        #ifndef __STDC_NO_ATOMICS__
            static _Atomic(uint32_t) known;
            uint32_t paths = atomic_load_explicit(&known, memory_order_relaxed);
            if (paths == 0) {
                paths = hapir__paths();
                atomic_store_explicit(&known, paths, memory_order_relaxed);
            }
            return paths;
        #else
            return hapir__paths();
        #endif
        }

        int $name_has_path(int path)
        {
            return path >= 0 && path < $count && (hapir__known_paths() >> path & 1) != 0;
        }

        int $name_run_on(int path, struct $name_ctx *ctx, const struct $name_in *in, struct $name_out *out)
        {
            if (!$name_has_path(path)) {
                return 1;
            }
            switch (path) {
        #if $x86
            $cases
        #endif
            default:
                return $name_run_base(ctx, in, out);
            }
        }

        int $name_run$parameters
        {
            const uint32_t paths = hapir__known_paths();
            int path = 0;
            while ((paths >> path & 1) == 0) {
                ++path;
            }
            return $name_run_on(path, ctx, in, out);
        }
        """.replace("$name", name).replace("$UPPER", upper),
            declarations="\n".join(f"int {name}_run_{path.name}{parameters};" for path in paths),
            x86=X86,
            checks="\n".join(_check(path, upper) for path in wide),
            count=len(paths),
            cases="\n".join(
                f"case {upper}_PATH_{path.name.upper()}:\n    return {name}_run_{path.name}(ctx, in, out);"
                for path in wide
            ),
            parameters=parameters,
        )
        + "\n"
    )


def _check(path: Path, upper: str) -> str:
    """Adds a path's bit where all that it needs is there."""
    wanted: dict[tuple[int, int, str], int] = {}
    for feature in path.features:
        key = feature.leaf, feature.subleaf, feature.register
        wanted[key] = wanted.get(key, 0) | 1 << feature.bit
    terms = [f"(saved & {path.state:#x}) == {path.state:#x}"]
    for (leaf, subleaf, register), bits in wanted.items():
        number = ("eax", "ebx", "ecx", "edx").index(register)
        value = f"0x{bits:08X}U"
        terms.append(f"hapir__cpuid({leaf}, {subleaf}, {number}, {value}) == {value}")
    condition = "\n        && ".join(terms)
    return f"if ({condition}) {{\n    paths |= UINT32_C(1) << {upper}_PATH_{path.name.upper()};\n}}"
