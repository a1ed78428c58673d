"""Elementwise steps as C: 16 elements at a time where the channels lie together, else one loop nest."""

from __future__ import annotations

from collections.abc import Callable

from hapir.lowering.kernel.buffers import Frame
from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.geometry import LANES
from hapir.lowering.kernel.program import Program
from hapir.lowering.kernel.steps import Elementwise, Operand
from hapir.targets.c.print_convolution import bordered
from hapir.targets.c.print_stages import Symbols, print_stages
from hapir.targets.c.simd.memory import load, store
from hapir.targets.c.text import Printed, c, function, offset, sink, source, times
from hapir.targets.c.vector_stages import Chain, has_vectors

_NO_CHANNEL = "$channel"
"""Stands where a text would need the channel of lane 0."""
_JOIN = {"+": "add", "-": "sub", "*": "mul"}


def print_elementwise(step: Elementwise, name: str, program: Program, symbols: Symbols) -> Printed:
    """A buffer that is read and written is one parameter, so that `restrict` stays true."""
    parameters: dict[int, str] = {step.target: sink(program.buffers[step.target].ctype, "y")}
    names: dict[int, str] = {step.target: "y"}
    for operand in step.operands:
        if operand.buffer not in names:
            names[operand.buffer] = f"x{len(names)}"
            parameters[operand.buffer] = source(program.buffers[operand.buffer].ctype, names[operand.buffer])
    ctypes: dict[int, CType] = {buffer: program.buffers[buffer].ctype for buffer in names}
    body = (
        _vectors(step, names, ctypes, symbols) if _has_vectors(step, ctypes) else _scalars(step, names, ctypes, symbols)
    )
    return Printed(function(name, list(parameters.values()), body, step.origin), name, tuple(parameters))


def _read_type(operand: Operand, ctypes: dict[int, CType]) -> CType:
    """The type of an operand after its stages."""
    return operand.stages[-1].ctype if operand.stages else ctypes[operand.buffer]


def _has_vectors(step: Elementwise, ctypes: dict[int, CType]) -> bool:
    return step.inner == 1 and all(has_vectors(ctypes[o.buffer], (*o.stages, *step.stages)) for o in step.operands)


def _vectors(step: Elementwise, names: dict[int, str], ctypes: dict[int, CType], symbols: Symbols) -> str:
    """Runs of contiguous elements: all, or rows where something lies in a frame; pixels where channels count."""
    target = ctypes[step.target]
    frames: dict[str, Frame | None] = {names[o.buffer]: o.frame for o in step.operands} | {"y": step.to}
    rows = step.pixels if any(frames.values()) else None
    pixels, run = (rows[2], rows[2] * step.channels) if rows else (step.outer, step.outer * step.channels)
    body = _run(step, names, ctypes, run, _NO_CHANNEL, symbols)
    if _NO_CHANNEL in body:
        body = _run(step, names, ctypes, step.channels, "", symbols)
        body = c("for (int32_t o = 0; o < $length; o += $k) {\n    $body\n}", length=run, k=step.channels, body=body)
        assert pixels
    if rows is None:
        return body
    batch, height, _ = rows
    moved: list[str] = []
    for name, frame in frames.items():
        pitch, image, start = (frame.pitch, frame.image, frame.start) if frame else (run, run * height, 0)
        place = offset(
            name, str(start), times("n", image) if batch > 1 else "", times("h", pitch) if height > 1 else ""
        )
        kind = next(t for b, t in ctypes.items() if names[b] == name)
        const = "" if name == "y" else "const "
        moved.append(f"{const}{kind} *{name}_row = {place};")
    for name in sorted(frames, key=len, reverse=True):
        body = body.replace(f"@{name}@", f"{name}_row")
    body = "\n".join((*moved, body))
    for index, length in (("h", height), ("n", batch)):
        if length > 1:
            loop = "for (int32_t $i = 0; $i < $length; ++$i) {\n    $body\n}".replace("$i", index)
            body = c(loop, length=length, body=body)
    return bordered(symbols, target, step.to, rows, body)


def _run(
    step: Elementwise, names: dict[int, str], ctypes: dict[int, CType], count: int, channel: str, symbols: Symbols
) -> str:
    """`count` elements from where the pointers (`@name@`, plus `o` by pixels) are."""
    framed = step.to is not None or any(o.frame for o in step.operands)

    def pointer(name: str, i: str) -> str:
        return offset(f"@{name}@" if framed else name, "" if channel == _NO_CHANNEL else "o", i)

    def body(lanes: int, i: str) -> str:
        chain = Chain(symbols, channel or i or "0", lanes)
        values: list[str] = []
        for o in step.operands:
            value = chain.name(ctypes[o.buffer], load(ctypes[o.buffer], pointer(names[o.buffer], i), lanes))
            values.append(chain.through(value, ctypes[o.buffer], o.stages, stored=False))
        ctype = _read_type(step.operands[0], ctypes)
        value = values[0]
        if len(values) > 1:
            ctype = "float" if ctype == "float" else "int32_t"
            kind = "f32x16" if ctype == "float" else "i32x16"
            value = chain.name(ctype, f"{kind}__{_JOIN[step.operator]}({', '.join(values)})")
        value = chain.through(value, ctype, step.stages)
        chain.lines.append(f"{store(ctypes[step.target], pointer('y', i), value, lanes)};")
        return chain.text()

    return loop_of_vectors(count, body)


def loop_of_vectors(count: int, body: Callable[[int, str], str]) -> str:
    """Statements for `count` elements: `body` gives those for so many lanes from a place on."""
    parts: list[str] = []
    whole, rest = count // LANES * LANES, count % LANES
    if whole > LANES:
        loop = "for (int32_t i = 0; i < $whole; i += $lanes) {\n    $body\n}"
        parts.append(c(loop, whole=whole, lanes=LANES, body=body(LANES, "i")))
    elif whole:
        parts.append(c("{\n    $body\n}", body=body(LANES, "")))
    if rest:
        parts.append(c("{\n    $body\n}", body=body(rest, str(whole) if whole else "")))
    return "\n".join(parts)


def _scalars(step: Elementwise, names: dict[int, str], ctypes: dict[int, CType], symbols: Symbols) -> str:
    """One loop nest over outer x channels x inner."""
    assert step.to is None
    by_channel = step.channels > 1
    index = offset("o", *([times("k", step.inner)] if by_channel else []), *(["i"] if step.inner > 1 else []))
    values = [
        print_stages(f"{names[o.buffer]}[{index}]", ctypes[o.buffer], o.stages, "k", symbols) for o in step.operands
    ]
    ctype = _read_type(step.operands[0], ctypes)
    text = print_stages(f" {step.operator} ".join(values), ctype, step.stages, "k", symbols)
    body = f"y[{index}] = {text};"
    if step.inner > 1:
        body = c("for (int32_t i = 0; i < $inner; ++i) {\n    $body\n}", inner=step.inner, body=body)
    if by_channel:
        body = c("for (int32_t k = 0; k < $channels; ++k) {\n    $body\n}", channels=step.channels, body=body)
    elif "[k]" in body:
        body = f"const int32_t k = 0;\n{body}"
    return c(
        "for (int32_t o = 0; o < $length; o += $step) {\n    $body\n}",
        length=step.outer * step.channels * step.inner,
        step=step.channels * step.inner,
        body=body,
    )
