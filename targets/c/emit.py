"""A network as C11: `<name>.h`, `<name>.c`, `<name>_weights.c`.

The text depends on the network and its weights only: no paths, no times, no hash order. It needs no library but the C
one's string.h, stdint.h, stddef.h and, for float steps that need it, math.h; it allocates nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.lowering.kernel.buffers import ALIGNMENT, Table
from hapir.lowering.kernel.plan_image import Image, Placed, plan_image
from hapir.lowering.kernel.plan_loads import Load, WeightsFile, loaded_bytes, plan_loads
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.kernel.program import Port, Program
from hapir.targets.c import dispatch, layer_time
from hapir.targets.c.mangle import Names, mangle
from hapir.targets.c.memory import LayerRow, TableRow, layer_rows, table_rows
from hapir.targets.c.options import DEFAULT, COptions
from hapir.targets.c.print_header import PortLayout, Sizes, print_header
from hapir.targets.c.print_image import print_image
from hapir.targets.c.print_loads import LOADED, PrintedLoads, has_decoder, print_loads
from hapir.targets.c.print_stages import Symbols
from hapir.targets.c.print_steps import print_step
from hapir.targets.c.print_weights import before_tables, declare_table, linked_name, print_table
from hapir.targets.c.simd.primitive import print_primitives
from hapir.targets.c.text import c, comment_text, listed
from hapir.targets.c.threads import MACRO as THREADS
from hapir.weights import WeightStore


@dataclass(frozen=True)
class CArtefact:
    """What the C target makes of a network.

    `files` maps file names to text. `name` is the network's name as an identifier: functions are `<name>_run`. All
    sizes are in bytes; `live_bytes` bounds the arena of any plan from below, `loaded_bytes` are those of tables that
    `<name>_load` fills from a weights file of `file_bytes`, both 0 where all weights are constants. `data` are files
    that are no text. `units` are the C files to compile, with flags that only they get, on x86.
    """

    name: str
    files: dict[str, str]
    inputs: tuple[PortLayout, ...]
    results: tuple[PortLayout, ...]
    arena_bytes: int
    live_bytes: int
    weight_bytes: int
    layers: tuple[LayerRow, ...]
    tables: tuple[TableRow, ...] = ()
    loaded_bytes: int = 0
    file_bytes: int = 0
    data: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    units: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    @property
    def context_bytes(self) -> int:
        """The size of `struct <name>_ctx`."""
        return self.arena_bytes + (self.loaded_bytes + ALIGNMENT if self.file_bytes else 0)


def emit_c(
    network: nn.NetworkOp,
    weights: WeightStore,
    name: str | None = None,
    file: WeightsFile | None = None,
    options: COptions = DEFAULT,
) -> CArtefact:
    """Plan and print a network (or the integer body of one); `name` is its symbol's name where not given.

    Weights that `file` holds encoded are decoded from it at run time, where the C target knows how; it is one of the
    files then, as C, for programs without a file system. Raises HapirError: HAP0701 to HAP0710 where the network has
    no C form, HAP0804 where encoded weights are to come from a second file.
    """
    program = plan_program(network, weights, () if file is None else file.encoded)
    loads = () if file is None else tuple(load for load in plan_loads(program, file) if has_decoder(load))
    if options.weights_file:
        if loads:
            fail(
                "HAP0804",
                f"`{loads[0].table.role}` is encoded and is read from the weights file already",
                at=network,
                help="leave out `--weights-file`, or encode nothing",
            )
        image = plan_image(program)
        return print_program(program, name, image if image.placed else None, options)
    return print_program(program, name, _Decoded(loads, file) if file is not None and loads else None, options)


@dataclass(frozen=True, eq=False)
class _Decoded:
    """Tables that are decoded at run time, and the file that they come from."""

    placed: tuple[Load, ...]
    file: WeightsFile

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        return self.file.data


def print_program(
    program: Program, name: str | None = None, loaded: _Decoded | Image | None = None, options: COptions = DEFAULT
) -> CArtefact:
    """Print a program; decides nothing but identifiers."""
    identifier = mangle(program.name if name is None else name)
    words = ("H", "ALIGNED", "ARENA_BYTES", "WEIGHT_BYTES", "LOADED_BYTES", "FILE_BYTES", "LAYERS", "DISPATCH_H")
    macros = [f"{identifier.upper()}_{word}" for word in words]
    own = ("run", "batch", "ctx", "in", "out", "no_weights", "load", "file", "layer_time", *dispatch.OWN_NAMES)
    public = Names(*macros, *(f"{identifier}_{word}" for word in own))
    tables = {id(t): public.fresh(f"{identifier}_{t.role}") for t in program.tables}
    ports = _layouts(program.inputs, program, macros), _layouts(program.results, program, macros)
    loads = loaded.placed if loaded else ()
    in_context = frozenset(id(load.table) for load in loads)
    symbols = Symbols(tables, loaded=in_context)
    steps = _print_steps(identifier, program, symbols, tables)
    constants = [t for t in program.tables if id(t) not in symbols.loaded]
    sizes = Sizes(
        program.arena_bytes,
        program.live_bytes,
        sum(t.size_bytes for t in constants),
        loaded_bytes(loaded.placed) if isinstance(loaded, _Decoded) else 0,
        len(loaded.data) if loaded else 0,
    )
    match loaded:
        case _Decoded():
            printed = print_loads(identifier, loaded.placed, [tables[id(x.table)] for x in loads], loaded.file)
        case Image():
            printed = print_image(identifier, loaded)
        case None:
            printed = None
    source = _source(identifier, program, *ports, steps, symbols, loads, printed)
    files = {
        f"{identifier}.h": print_header(identifier, program, *ports, sizes, dispatch=options.dispatch),
        f"{identifier}.c": source,
        f"{identifier}_weights.c": _weights(identifier, constants, sizes.constants, tables),
    }
    if loaded:
        files[f"{identifier}_file.c"] = _file(identifier, loaded.data)
    units = {unit: () for unit in files if unit.endswith(".c")}
    if options.dispatch:
        files |= dispatch.dispatch_files(identifier, source)
        units |= {f"{identifier}_dispatch.c": (), **dispatch.unit_flags(identifier, source)}
        del units[f"{identifier}.c"]  # the paths include it
    return CArtefact(
        identifier,
        files,
        *ports,
        sizes.arena,
        sizes.live,
        sizes.constants,
        layer_rows(program, in_context),
        table_rows(program, constants, {id(t): linked_name(t, tables[id(t)]) for t in constants}),
        sizes.loaded,
        sizes.file,
        {f"{identifier}_weights.bin": loaded.data} if isinstance(loaded, Image) else {},
        units,
    )


def _file(name: str, data: bytes) -> str:
    """The weights file as C, for programs that have no other way to it."""
    table = Table(f"{name}.file", "uint8_t", np.frombuffer(data, np.uint8))
    return (
        f"/* The weights file of {name}, for {name}_load: {len(data)} bytes. Generated by hapir; leave it out\n"
        f" * where the file is read from elsewhere. */\n"
        f'#include "{name}.h"\n\n{before_tables([table])}{print_table(table, f"{name}_file")}\n'
    )


def _layouts(ports: tuple[Port, ...], program: Program, macros: list[str]) -> tuple[PortLayout, ...]:
    names = Names(*macros)
    return tuple(PortLayout(p.name, names.fresh(p.name), program.buffers[p.buffer].ctype, p.shape) for p in ports)


@dataclass(frozen=True)
class _Steps:
    functions: tuple[str, ...]
    calls: tuple[tuple[str, tuple[int, ...], tuple[Table, ...]], ...]


def _print_steps(identifier: str, program: Program, symbols: Symbols, tables: dict[int, str]) -> _Steps:
    """Each step's functions, named after its layer."""
    names = Names(*tables.values(), f"{identifier}_run", f"{identifier}_batch")
    functions: list[str] = []
    calls: list[tuple[str, tuple[int, ...], tuple[Table, ...]]] = []
    for step in program.steps:
        printed = print_step(step, names.fresh(f"layer_{step.origin.layer}"), program, symbols)
        functions.append(printed.text)
        calls.append((printed.function, printed.arguments, printed.tables))
    return _Steps(tuple(functions), tuple(calls))


def _source(
    name: str,
    program: Program,
    inputs: tuple[PortLayout, ...],
    results: tuple[PortLayout, ...],
    steps: _Steps,
    symbols: Symbols,
    loads: Sequence[Load | Placed],
    printed: PrintedLoads | None,
) -> str:
    run = _run(name, program, inputs, results, steps, symbols, loads)
    load = [] if printed is None else ["#ifndef HAPIR__ONE_PATH", *printed.functions, printed.load, "#endif"]
    simd = print_primitives(symbols.primitives.values())
    parts = [*([simd] if simd else []), *symbols.helpers.values(), *steps.functions, *load, run]
    body = "\n\n".join(parts)
    constants = [t for t in program.tables if id(t) not in symbols.loaded]
    declarations = "\n".join(declare_table(t, symbols.of(t)) for t in constants)
    return (
        c(
            """
        /* $name: generated by hapir. See $name.h for the interface. */
        #include "$name.h"

        $includes

        /* Maps lie channels-last between the layers. */

        $inline
        $assertion
        $declarations

        $layer
        $threads
        $body
        """.replace("$name", name),
            includes="\n".join(f"#include <{header}>" for header in _includes(body)),
            inline=INLINE if "HAPIR__INLINE" in body else "",
            # shifts round down: C leaves it to the compiler, and all in use do
            assertion='_Static_assert((-1 >> 1) == -1, "the right shift of a negative number must round down");\n'
            if any(word in body for word in ("requantize__", "product__", "i32x16__"))
            else "",
            declarations=declarations,
            layer=layer_time.MACRO.replace("$name", name) if steps.calls else "",
            threads=THREADS if "HAPIR__THREADS(" in body else "",
            body=body,
        )
        + "\n"
    )


INLINE = """\
#if defined(__GNUC__)
/* Inlined, so that lengths are constants. */
#define HAPIR__INLINE static inline __attribute__((always_inline, unused))
#else
#define HAPIR__INLINE static inline
#endif
"""


MATH = (
    *(
        "expf",
        "logf",
        "expm1f",
        "log1pf",
        "tanhf",
        "erf",
        "sqrtf",
        "powf",
        "pow",
        "rint",
        "rintf",
        "floor",
        "floorf",
        "ceilf",
    ),
    *("fabsf", "fmodf", "sinf", "cosf", "tanf", "asinf", "acosf", "atanf", "sinhf", "coshf", "asinhf", "acoshf"),
    *("atanhf", "isnan", "isinf"),
)
"""Functions of libm that texts call."""


def _includes(body: str) -> list[str]:
    """The standard headers a text needs."""
    found = ["stddef.h"]
    if any(f"{word}(" in body for word in MATH) or "INFINITY" in body:
        found.append("math.h")
    if "memcpy(" in body or "memset(" in body:
        found.append("string.h")
    return found


def _run(
    name: str,
    program: Program,
    inputs: tuple[PortLayout, ...],
    results: tuple[PortLayout, ...],
    steps: _Steps,
    symbols: Symbols,
    loads: Sequence[Load | Placed],
) -> str:
    places = {port.buffer: f"in->{layout.member}" for port, layout in zip(program.inputs, inputs, strict=True)}
    places |= {port.buffer: f"out->{layout.member}" for port, layout in zip(program.results, results, strict=True)}

    def address(index: int) -> str:
        buffer = program.buffers[index]
        if buffer.home == "arena":
            start = f"(ctx->arena + {buffer.offset})" if buffer.offset else "ctx->arena"
            return f"({buffer.ctype} *)(void *){start}"
        return places[index] if buffer.table is None else symbols.of(buffer.table)

    pointers = ["ctx", "in", "out"]
    members = [f"in->{p.member}" for p in inputs] + [f"out->{p.member}" for p in results]
    null = "\n    || ".join([" || ".join(f"{p} == NULL" for p in pointers), *(f"{m} == NULL" for m in members)])
    tables = {id(x.table): f"(const {x.table.ctype} *)(const void *){_in_weights(x.offset)}" for x in loads}
    calls = [
        listed(f"HAPIR__LAYER({i}, {f}(", [*(address(b) for b in arguments), *(tables[id(t)] for t in taken)], "));")
        for i, (f, arguments, taken) in enumerate(steps.calls)
    ]
    return c(
        """
        int $name_run(struct $name_ctx *ctx, const struct $name_in *in, struct $name_out *out)
        {
            if ($null) {
                return 1;
            }
            $loaded
            $calls
            return 0;
        }
        """.replace("$name", name),
        null=null.replace("\n", "\n        "),
        loaded=f"if (ctx->loaded != 0x{LOADED:08X}U) {{\n    return 2;\n}}" if loads else "",
        calls="\n".join(calls),
    )


def _in_weights(offset: int) -> str:
    return f"(ctx->weights + {offset})" if offset else "ctx->weights"


def _weights(name: str, constants: Sequence[Table], size: int, tables: dict[int, str]) -> str:
    definitions = "\n\n".join(f"/* {comment_text(t.role)} */\n{print_table(t, tables[id(t)])}" for t in constants)
    nothing = f"extern const uint8_t {name}_no_weights;\nconst uint8_t {name}_no_weights = 0;"
    text = f"/* Constants of {name}: {size} bytes. Generated by hapir. */\n#include <stdint.h>\n\n"
    return f"{text}{before_tables(constants)}{definitions or nothing}\n"
