"""From C files to a shared object that Python calls: for tests, `hapir run --on c`, and benchmarks.

The compiler is `CC`, or the first of cc, gcc, clang. Objects are kept by `hapir.cache` under the text, the compiler and
its flags.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from hapir.cache import cached_library
from hapir.diagnostics import fail
from hapir.lowering.kernel.buffers import ALIGNMENT
from hapir.lowering.kernel.c_types import DTYPES
from hapir.targets.c.emit import CArtefact, PortLayout
from hapir.targets.c.text import c
from hapir.weights import Array

FAST_FLAGS = ("-std=c11", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno")
ERROR_LINES = 12
"""How much of a compiler's complaint is shown."""


@dataclass(frozen=True)
class Compiler:
    """A command and what it says about itself (part of the cache's key)."""

    command: tuple[str, ...]
    version: str


def find_compiler(cc: str | None = None) -> Compiler:
    """`cc`, else the environment's `CC`, else cc, gcc or clang. Raises HapirError (HAP0801) where there is none."""
    wanted = cc or os.environ.get("CC")
    for candidate in [wanted] if wanted else ["cc", "gcc", "clang"]:
        try:
            command = shlex.split(candidate)
        except ValueError:  # a quotation that does not end
            command = []
        if command and shutil.which(command[0]):
            return Compiler(tuple(command), _version(tuple(command)))
    fail(
        "HAP0801",
        f"the C compiler `{wanted}` was not found" if wanted else "no C compiler was found",
        help="install gcc or clang, or set CC to the command of one",
    )


@cache
def _version(command: tuple[str, ...]) -> str:
    """What the compiler is, and what `-march=native` means here: a cache on a shared disk may meet another machine.

    Of the second only the instruction sets count. The compiler also asks the core that it happens to run on for the
    sizes of its caches, and these may change under a virtual machine.
    """

    def said(*arguments: str) -> str:
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    native = said("-march=native", "-E", "-v", "-x", "c", os.devnull).split()
    return "\n".join((said("--version"), *sorted({word for word in native if word.startswith(("-m", "+"))})))


@dataclass(frozen=True)
class Call:
    """What a call takes: how many runs, addresses, the arrays that get the results, and what must live as long."""

    runs: int
    context: int
    inputs: ctypes.Array[ctypes.c_void_p]
    results: ctypes.Array[ctypes.c_void_p]
    arrays: Sequence[Array]
    kept: object


class CModule:
    """A compiled network: `run` takes named arrays and gives named arrays."""

    def __init__(self, library: ctypes.CDLL, artefact: CArtefact):
        self.artefact, self.library = artefact, library
        self._batch = library[f"{artefact.name}_batch"]
        self._batch.restype = ctypes.c_int
        pointers = ctypes.POINTER(ctypes.c_void_p)
        self._batch.argtypes = [ctypes.c_void_p, ctypes.c_size_t, pointers, pointers]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run a whole batch: axis 0 of every input is a multiple of the declared N, the same for all.

        Inputs must have the declared element types. Raises HapirError (HAP0420, HAP0421) where an input is missing or
        does not fit. Safe to call from several threads: each call has a context of its own.
        """
        call = self.call(inputs)
        status = self._batch(call.context, call.runs, call.inputs, call.results)
        if status != 0:
            raise AssertionError(f"{self.artefact.name}_run returned {status}")
        return {p.name: array for p, array in zip(self.artefact.results, call.arrays, strict=True)}

    def call(self, inputs: Mapping[str, Array]) -> Call:
        """The memory of a call: inputs that were checked, results and a context. Raises HapirError as `run` does."""
        runs, arrays = self._check(inputs)
        results = [np.empty(_times(p.shape, runs), DTYPES[p.ctype]) for p in self.artefact.results]
        memory = np.empty(self.artefact.context_bytes + ALIGNMENT, np.uint8)
        context = -(-memory.ctypes.data // ALIGNMENT) * ALIGNMENT
        return Call(runs, context, _pointers(arrays), _pointers(results), results, (arrays, memory))

    def _check(self, inputs: Mapping[str, Array]) -> tuple[int, list[Array]]:
        arrays: list[Array] = []
        counts: set[int] = set()
        for port in self.artefact.inputs:
            if port.name not in inputs:
                known = ", ".join(sorted(inputs)) or "nothing"
                fail("HAP0420", f"the input `{port.name}` is missing", help=f"the data holds {known}")
            array = np.asarray(inputs[port.name], _dtype(port, inputs[port.name]), order="C")
            runs = 1 if array.shape == port.shape or 0 in (array.ndim, len(port.shape)) else len(array) // port.shape[0]
            if array.shape != _times(port.shape, runs):
                fail(
                    "HAP0421",
                    f"the input `{port.name}` has shape {array.shape}, the network takes {port.shape}",
                    help="axis 0 may be a multiple of the declared batch",
                )
            arrays.append(array)
            counts.add(runs)
        if len(counts) > 1:
            fail("HAP0421", "the inputs hold different numbers of images", help="give as many of each")
        return counts.pop() if counts else 1, arrays


def _times(shape: tuple[int, ...], runs: int) -> tuple[int, ...]:
    """The shape of so many runs, one after the other along axis 0."""
    return (runs * shape[0], *shape[1:]) if shape else shape


def _dtype(port: PortLayout, array: Array) -> np.dtype[np.generic]:
    expected = DTYPES[port.ctype]
    # floats of any width become f32; integers must be what the network reads
    if array.dtype != expected and not (expected.kind == "f" and array.dtype.kind in "fiu"):
        fail("HAP0421", f"the input `{port.name}` holds {array.dtype}, the network takes {expected}")
    return expected


def _pointers(arrays: Sequence[Array]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * max(1, len(arrays)))(*(a.ctypes.data for a in arrays))


_LOAD = """\
const int loaded = $name_load(ctx, $name_file, sizeof($name_file));
if (loaded != 0) {
    return loaded;
}"""


def batch_driver(artefact: CArtefact) -> str:
    """C that runs many images in one call; part of the shared object only."""
    name = artefact.name
    feeds = [f"in.{p.member} = (const {p.ctype} *)inputs[{i}] + n * {p.length};" for i, p in enumerate(artefact.inputs)]
    takes = [f"out.{p.member} = ({p.ctype} *)results[{i}] + n * {p.length};" for i, p in enumerate(artefact.results)]
    return (
        c(
            """
        #include "$name.h"

        #include <stddef.h>

        _Static_assert(sizeof(struct $name_ctx) == $context, "the report is exact");

        int $name_batch(struct $name_ctx *ctx, size_t images, void *const *inputs, void *const *results);

        int $name_batch(struct $name_ctx *ctx, size_t images, void *const *inputs, void *const *results)
        {
            $load
            for (size_t n = 0; n < images; ++n) {
                struct $name_in in = {0};
                struct $name_out out = {0};
                $feeds
                $takes
                const int status = $name_run(ctx, &in, &out);
                if (status != 0) {
                    return status;
                }
            }
            (void)inputs;
            (void)results;
            return 0;
        }
        """.replace("$name", name).replace("$UPPER", name.upper()),
            feeds="\n".join(feeds),
            takes="\n".join(takes),
            context=artefact.context_bytes,
            load=_LOAD.replace("$name", name) if artefact.file_bytes else "",
        )
        + "\n"
    )


def build_c(
    artefact: CArtefact, *, cc: str | None = None, flags: Sequence[str] = FAST_FLAGS, cache: bool = True
) -> CModule:
    """Compile a network for this machine and load it.

    Raises HapirError: HAP0801 without a compiler, HAP0802 where it fails, HAP0844 where the cache cannot be written.
    """
    return build_c_together([artefact], cc=cc, flags=flags, cache=cache)[0]


def build_c_together(
    artefacts: Sequence[CArtefact],
    *,
    cc: str | None = None,
    flags: Sequence[str] = FAST_FLAGS,
    cache: bool = True,
    more: Mapping[str, str] | None = None,
) -> list[CModule]:
    """Compile several networks, whose names must differ, into one shared object with one call of the compiler.

    `more` are other C files of the object, by name. Raises HapirError as `build_c` does.
    """
    assert len({a.name for a in artefacts}) == len(artefacts), "networks in one object need different names"
    compiler = find_compiler(cc)
    files: dict[str, str] = dict(more or {})
    units: dict[str, tuple[str, ...]] = dict.fromkeys(files, ())
    for artefact in artefacts:
        driver = f"{artefact.name}_batch.c"
        files |= artefact.files | {driver: batch_driver(artefact)}
        units |= {**artefact.units, driver: ()}
    parts = (*compiler.command, compiler.version, *flags, *(text for pair in sorted(files.items()) for text in pair))

    def make(folder: Path) -> Path:
        return compile_units(compiler, flags, files, units, folder)

    library = cached_library("c", parts, make, keep=cache)
    return [CModule(library, artefact) for artefact in artefacts]


def compile_units(
    compiler: Compiler,
    flags: Sequence[str],
    files: Mapping[str, str],
    units: Mapping[str, tuple[str, ...]],
    folder: Path,
) -> Path:
    """Compile C files into one shared object in a folder, those with flags of their own one by one.

    Raises HapirError (HAP0802) with the compiler's first lines.
    """
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
    together = [unit for unit, own in units.items() if not own]
    for unit, own in units.items():
        if own:
            together.append(f"{unit}.o")
            _run(compiler, [*flags, *own, "-fPIC", "-c", "-o", f"{unit}.o", unit], folder)
    target = folder / "network.so"
    _run(compiler, [*flags, "-shared", "-fPIC", "-o", target.name, *together, "-lm"], folder)
    return target


def _run(compiler: Compiler, arguments: Sequence[str], folder: Path) -> None:
    done = subprocess.run([*compiler.command, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    made = folder / arguments[arguments.index("-o") + 1]
    if done.returncode != 0 or not made.exists():
        lines = (done.stderr or done.stdout).strip().splitlines()[:ERROR_LINES]
        said = "\n".join(lines) or f"it said nothing, exit code {done.returncode}"
        fail("HAP0802", f"the C compiler `{compiler.command[0]}` failed:\n{said}", help="check CC and the flags")
