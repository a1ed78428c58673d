"""Crash reproducers: one file with the IR before a pass, the pipeline from there on, and all data that it reads.

The file is IR whose first comments say how to go on, so that `hapir opt FILE` repeats what happened, from any folder:

```
// hapir opt reproducer: `hapir opt FILE` runs these passes again
// configuration: -p 'quantize{calibration="data0.npz"}'
// failed: quantize: ZeroDivisionError: division by zero
// command: hapir opt digits.hap -p int8
// file weights.safetensors: embedded
// file data0.npz: reproducer.data0.npz
builtin.module { ... }
// embedded weights.safetensors
// eNpjYBg...
// end
```

Files of up to `EMBEDDED_BYTES` are embedded, larger ones lie beside the reproducer. What a reproducer may ask for is
limited: it may come from a stranger.
"""

from __future__ import annotations

import base64
import dataclasses
import re
import shlex
import shutil
import textwrap
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.context import HapirContext
from hapir.diagnostics import Span, fail
from hapir.files import write_atomically
from hapir.opt.source import Source
from hapir.pipeline import ir_text, pass_text
from hapir.weights import WeightStore

MAGIC = "// hapir opt reproducer"
EMBEDDED_BYTES = 256 * 1024
FLAGS = ("--allow-unregistered-dialect", "--disable-verify", "--no-verify-each", "--no-implicit-module")
"""Options without a value that a reproducer may set."""
WEIGHTS, ORIGINAL, ORIGINAL_WEIGHTS = "weights.safetensors", "original.mlir", "original_weights.safetensors"


@dataclass(frozen=True)
class State:
    """A module before a pass, with what the context held then."""

    module: ModuleOp
    weights: WeightStore


@dataclass
class _Files:
    """The files of a reproducer that is being written."""

    path: Path
    header: list[str] = field(default_factory=list[str])
    embedded: list[str] = field(default_factory=list[str])

    def add(self, name: str, data: bytes) -> None:
        """Embed a small file; write a large one beside the reproducer."""
        if len(data) > EMBEDDED_BYTES:
            beside = self.path.with_name(f"{self.path.stem}.{name}")
            write_atomically(beside, data)
            self.header.append(f"// file {name}: {beside.name}")
            return
        self.header.append(f"// file {name}: embedded")
        text = base64.b64encode(zlib.compress(data, 9)).decode()
        self.embedded += [f"// embedded {name}", *(f"// {line}" for line in textwrap.wrap(text, 100)), "// end"]


def write_reproducer(
    path: Path,
    state: State,
    steps: Sequence[ModulePass],
    ctx: HapirContext,
    *,
    flags: Sequence[str],
    failed: str,
    command: str,
) -> None:
    """Write what repeats `steps` on `state`. Raises HapirError (HAP0884) where the place cannot be written."""
    files = _Files(path)
    passes = [_with_data(step, ctx, files) for step in steps]
    if state.weights:
        files.add(WEIGHTS, state.weights.to_bytes())
    if ctx.original is not None and not ctx.original.is_structurally_equivalent(state.module):
        files.add(ORIGINAL, ir_text(ctx.original).encode())
        # passes leave old arrays in the store, so mostly it holds the original's as well
        if any(state.weights.get(key) is not array for key, array in ctx.original_weights.items()):
            files.add(ORIGINAL_WEIGHTS, ctx.original_weights.to_bytes())
    pipeline = ",".join(map(pass_text, passes))
    head = [
        f"{MAGIC}: `hapir opt FILE` runs these passes again",
        f"// configuration: {shlex.join(['-p', pipeline, *flags])}",
        f"// failed: {' '.join(failed.split())}",
        f"// command: {' '.join(command.split())}",
    ]
    text = "\n".join([*head, *files.header, ir_text(state.module).rstrip("\n"), *files.embedded])
    write_atomically(path, f"{text}\n".encode())


def _with_data(step: ModulePass, ctx: HapirContext, files: _Files) -> ModulePass:
    """A pass that reads its data from the reproducer: options that name an existing file are given a new name."""
    moved: dict[str, object] = {}
    for option in dataclasses.fields(step):
        value: object = getattr(step, option.name, None)
        if isinstance(value, str) and option.init and value and "\0" not in value:
            place = ctx.folder / value
            if place.is_file():
                name = f"data{sum('data' in line for line in files.header)}{place.suffix}"
                files.add(name, place.read_bytes())
                moved[option.name] = name
    return dataclasses.replace(step, **cast(Any, moved)) if moved else step


@dataclass(frozen=True)
class Reproducer:
    """A reproducer that was read: the pipeline's text, the flags to run it with, and its files by name."""

    passes: str
    flags: tuple[str, ...]
    files: dict[str, bytes | Path]

    def prepare(self, ctx: HapirContext, folder: Path, parse: Callable[[str], ModuleOp]) -> None:
        """Give a context the weights, the data (in `folder`) and the original that the passes read."""
        for name, content in self.files.items():
            if isinstance(content, bytes):
                (folder / name).write_bytes(content)
            else:
                shutil.copyfile(content, folder / name)
        ctx.folder = ctx.project = folder
        if WEIGHTS in self.files:
            ctx.weights = WeightStore.load(folder / WEIGHTS)
        if ORIGINAL in self.files:
            ctx.original = parse((folder / ORIGINAL).read_text(encoding="utf-8"))
            own = ORIGINAL_WEIGHTS in self.files
            ctx.original_weights = WeightStore.load(folder / ORIGINAL_WEIGHTS) if own else ctx.weights.copy()


def read_reproducer(source: Source) -> Reproducer | None:
    """The reproducer that an input is; None where it is plain IR. Raises HapirError (HAP0861)."""
    lines = source.text.split("\n")
    if not lines[0].startswith(MAGIC):
        return None
    passes, flags, named = "", tuple[str, ...](), dict[str, tuple[str, Span]]()
    for number, line in enumerate(lines[1:], 2):
        at = Span(source.name, number, 1, number, len(line) + 1)
        if line.startswith("// configuration: "):
            passes, flags = _configuration(line.removeprefix("// configuration: "), at)
        elif file := re.fullmatch(r"// file (\S+): (\S+)", line):
            for name in file.groups():
                if "/" in name or "\\" in name or name.startswith("."):
                    fail("HAP0861", f"`{name}` is not the name of a file of a reproducer", at=at)
            named[file[1]] = (file[2], at)
        elif not line.startswith("//"):
            break
    return Reproducer(passes, flags, {name: _content(name, *what, source, lines) for name, what in named.items()})


def _configuration(text: str, at: Span) -> tuple[str, tuple[str, ...]]:
    """The pipeline and the flags of a header."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        fail("HAP0861", f"the configuration cannot be read: {error}", at=at)
    if len(words) < 2 or words[0] != "-p":
        fail("HAP0861", "the configuration starts with -p and a pipeline", at=at)
    for flag in words[2:]:
        if flag not in FLAGS:
            fail("HAP0861", f"a reproducer cannot ask for `{flag}`", at=at, help=f"it may ask for {', '.join(FLAGS)}")
    return words[1], tuple(words[2:])


def _content(name: str, where: str, at: Span, source: Source, lines: Sequence[str]) -> bytes | Path:
    """An embedded file's bytes, or the place of one that lies beside the reproducer."""
    if where != "embedded":
        beside = source.folder / where
        if not beside.is_file():
            fail("HAP0861", f"the file `{where}` is not beside the reproducer", at=at, help="move both together")
        return beside
    try:
        start = lines.index(f"// embedded {name}") + 1
        text = "".join(line.removeprefix("// ") for line in lines[start : lines.index("// end", start)])
        unpacked = zlib.decompressobj()
        data = unpacked.decompress(base64.b64decode(text, validate=True), EMBEDDED_BYTES)
    except (ValueError, zlib.error) as error:
        fail("HAP0861", f"the embedded file `{name}` cannot be read: {error}", at=at)
    if not unpacked.eof:
        fail("HAP0861", f"the embedded file `{name}` is cut short, or too large", at=at)
    return data
