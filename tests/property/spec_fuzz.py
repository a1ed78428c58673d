"""Damaged specs from a seed, and what must come of them.

`make(seed)` is a text: a spec of the repository with bytes or tokens changed, two specs spliced, a random derivation of
the grammar, or something much too large. `examine` loads it, builds what it defines, and raises `Wrong` where the end
is neither IR nor well-formed diagnostics. One seed always gives one text, so a seed is a reproducer.
"""

from __future__ import annotations

import json
import random
import re
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import FrameType
from typing import Any

from lark import Lark

from hapir.diagnostics import LIBRARY, Diagnostic, HapirError, Span, render
from hapir.registry import make_context, universe
from hapir.spec import build_module, diagnose, load_spec_text
from hapir.spec.evaluate import FUNCTIONS
from hapir.spec.expected import KEYWORDS
from hapir.spec.grammar import build, grammar_text
from hapir.spec.units import UNITS

ROOT = Path(__file__).parents[2]
LIMIT_S = 5
"""The processor time that one spec may take: what takes longer is a hang."""
LARGE = 300
"""Layers of a network from which a spec is loaded only, which builds it once."""
NETWORKS = ROOT / "targets" / "networks"
NAME = "t.hap"
WORDS = [
    *KEYWORDS,
    *("conv2d", "relu", "dense", "add", "image", "x", "c1", "i", "memory", "array", "unit", "mac", "map", "at", "for"),
    *("range", "size", "prune", "quantize", "layers", "channels", "kernel", "padding", "dataflow", "holds", "clock"),
    *("{", "}", "(", ")", "[", "]", ",", ";", "\n", "=", ":", "->", "+", "-", "*", "/", "//", '"', '"x"', ".", ".c1"),
    *("f32", "u8", "i8", "true", "none", "0", "1", "-1", "3", "1.5", ".5", "1e400", "9" * 50, "2147483648"),
    *("200 MHz", "64 KiB", "50 %", "8 B/cycle", "2 word", "\0", "\ufeff", "\u00e9", "\\", "@", "#", "'", "\t", "\r"),
    *("let n = 3", "block b(x) {", "repeat i in range(1, 3) {", "b(x, n = n * 2)", "extends m(n = 2)", "x[i - 1]"),
    *("x[2].c1", "x[i, n]", "(1 + 2) * 3", "64 KiB / 2", "size(x, 1)", "max(1, n)", "log2(0)", "1 / 0", "return x"),
    *("weights from", 'import "machines/ws_8x8.hap"', "network n(x: f32[1, 4]) -> f32[1, 4] {", "x.c1", "for i in"),
]
_TOKEN = re.compile(r'"[^"\n]*"|//[^\n]*|[A-Za-z_][\w.]*|[0-9][\w.]*|\s+|.', re.DOTALL)


class Wrong(AssertionError):
    """A spec that ends in neither IR nor well-formed diagnostics."""


class Hang(BaseException):
    """A spec that takes longer than the limit; no Exception, so that nothing on the way catches it."""


@dataclass(frozen=True)
class Sample:
    """A text, how it was made, and the folder that it is read in."""

    text: str
    how: str
    folder: Path


@cache
def corpus() -> tuple[Path, ...]:
    """Every spec of the repository, the broken ones as well."""
    folders = ("spec_examples", "targets", "tests/golden", "tests/filecheck", "docs/mistakes", "hapir/templates")
    return tuple(sorted(path for folder in folders for path in (ROOT / folder).rglob("*.hap")))


def make(seed: int) -> Sample:
    """The text of a seed."""
    draw = random.Random(seed)
    maker = draw.choices(list(MAKERS), weights=list(MAKERS.values()))[0]
    text, folder = maker(draw)
    return Sample(text, maker.__name__.strip("_"), folder)


# --- what must come of a text ---------------------------------------------------------------------------------------


def examine(sample: Sample) -> bool:
    """Load a text and build all that it defines; whether it is good. Raises Wrong, and Hang after the limit."""
    try:
        with limited(LIMIT_S):
            spec = load_spec_text(sample.text, NAME, sample.folder)
            check_diagnostics(spec.warnings, sample)
        if any(len(layers) > LARGE for layers in spec.layers.values()):
            return True
        with limited(LIMIT_S):
            diagnose(spec)
        for schedule in spec.schedules:
            with limited(LIMIT_S):
                build_module(spec, schedule, make_context(), weights=False).verify()
        for network in spec.networks:
            with limited(LIMIT_S):
                build_module(spec, None, make_context(), network, weights=False).verify()
    except HapirError as error:
        if not error.diagnostics:
            raise Wrong("an error without diagnostics") from error
        check_diagnostics(error.diagnostics, sample)
        return False
    except Exception as error:  # the finding itself: no exception but HapirError may leave a load
        raise Wrong(f"{type(error).__name__}: {error}") from error
    return True


def check_diagnostics(diagnostics: Sequence[Diagnostic], sample: Sample) -> None:
    """Diagnostics can be shown, written as JSON, and lie inside their files. Raises Wrong."""
    render(diagnostics)
    for diagnostic in diagnostics:
        json.dumps(diagnostic.to_json())
        for span in (diagnostic.span, *(label.span for label in diagnostic.labels)):
            if span is not None:
                _check_span(span, diagnostic, sample)


def _check_span(span: Span, diagnostic: Diagnostic, sample: Sample) -> None:
    lines = _text_of(span.file, sample).removeprefix("\ufeff").split("\n")
    begins = 1 <= span.line <= len(lines) and 1 <= span.column <= len(lines[span.line - 1]) + 1
    # a fault at the end of a line is shown one column behind it
    ends = 1 <= span.end_line <= len(lines) and span.end_column <= len(lines[span.end_line - 1]) + 2
    if not (begins and ends and (span.end_line, span.end_column) > (span.line, span.column)):
        raise Wrong(f"{diagnostic.code} lies outside: {span}")


def _text_of(file: str, sample: Sample) -> str:
    if file == NAME:
        return sample.text
    if file.startswith(LIBRARY):
        return (files("hapir.targets") / file.removeprefix(LIBRARY)).read_text(encoding="utf-8")
    return (sample.folder / file).read_text(encoding="utf-8")


@contextmanager
def limited(seconds: float) -> Generator[None]:
    """Raise Hang inside the block after so many seconds of processor time."""

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise Hang

    previous = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, previous)


# --- texts ----------------------------------------------------------------------------------------------------------


@cache
def light() -> tuple[Path, ...]:
    """The corpus without the library's networks, some of which take a second to build."""
    return tuple(path for path in corpus() if path.parent != NETWORKS)


@cache
def _good() -> tuple[Path, ...]:
    """Light specs that check: a change of one of these is seen by more than the parser."""
    return tuple(path for path in light() if _checks(path))


def _checks(path: Path) -> bool:
    try:
        load_spec_text(path.read_text(encoding="utf-8"), NAME, path.parent)
    except HapirError:
        return False
    return True


def _pick(draw: random.Random) -> tuple[str, Path]:
    """A spec of the corpus, more often a light one that is good."""
    among = draw.choices((_good(), light(), corpus()), weights=(75, 15, 10))[0]
    path = draw.choice(among)
    return path.read_text(encoding="utf-8"), path.parent


def bytes_changed(draw: random.Random) -> tuple[str, Path]:
    """A spec with some of its bytes changed; what is no UTF-8 then is replaced, as an editor would do."""
    text, folder = _pick(draw)
    data = bytearray(text.encode())
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        place = draw.randrange(len(data))
        match draw.randrange(4):
            case 0:
                data[place] = draw.randrange(256)
            case 1:
                data[place] ^= 1 << draw.randrange(8)
            case 2:
                del data[place : place + draw.choice((1, 2, 8, 64))]
                data = data or bytearray(b"\n")
            case _:
                data[place:place] = bytes(draw.choices(range(32, 127), k=draw.randrange(1, 5)))
    return data.decode("utf-8", "replace"), folder


def tokens_changed(draw: random.Random) -> tuple[str, Path]:
    """A spec with tokens deleted, doubled, swapped, or replaced by or preceded by words of the language."""
    text, folder = _pick(draw)
    tokens = _TOKEN.findall(text)
    solid = [i for i, token in enumerate(tokens) if not token.isspace() and not token.startswith("//")]
    gentle = draw.random() < 0.5  # tokens of one kind are exchanged, so that it still parses
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        place = draw.choice(solid)
        match 6 if gentle else draw.randrange(6):
            case 0:
                tokens[place] = ""
            case 1:
                tokens[place] += f" {tokens[place]}"
            case 2:
                other = draw.choice(solid)
                tokens[place], tokens[other] = tokens[other], tokens[place]
            case 3:
                tokens[place] = draw.choice(WORDS)
            case 4:
                tokens[place] = tokens[draw.choice(solid)]
            case 5:
                tokens[place] = f"{draw.choice(WORDS)} {tokens[place]}"
            case _:
                alike = [tokens[i] for i in solid if _kind(tokens[i]) == _kind(tokens[place])]
                tokens[place] = draw.choice([*alike, *_vocabulary().get(_kind(tokens[place]), [])])
    return "".join(tokens), folder


def _kind(token: str) -> str:
    """The terminal of a token, as far as its beginning tells."""
    if token.startswith('"'):
        return "STRING"
    if token[:1].isdigit():
        return "NUMBER"
    return "NAME" if token[:1].isalpha() else token


def lines_changed(draw: random.Random) -> tuple[str, Path]:
    """A spec with lines deleted, doubled, swapped, or taken from another spec."""
    text, folder = _pick(draw)
    lines = text.split("\n")
    for _ in range(draw.choice((1, 2, 4))):
        place = draw.randrange(len(lines))
        match draw.randrange(4):
            case 0:
                lines[place] = ""
            case 1:
                lines.insert(place, lines[place])
            case 2:
                other = draw.randrange(len(lines))
                lines[place], lines[other] = lines[other], lines[place]
            case _:
                lines.insert(place, draw.choice(_pick(draw)[0].split("\n")))
    return "\n".join(lines), folder


def spliced(draw: random.Random) -> tuple[str, Path]:
    """The beginning of one spec and the end of another."""
    text, folder = _pick(draw)
    other, _ = _pick(draw)
    return text[: draw.randrange(len(text) + 1)] + other[draw.randrange(len(other) + 1) :], folder


def derived(draw: random.Random) -> tuple[str, Path]:
    """A random derivation of the grammar, from the vocabulary of the registry."""
    text = " ".join(_derive(draw, "file", [draw.choice((40, 100, 300))]))
    return f"hap 1\n{text}", ROOT / "spec_examples"


def too_large(draw: random.Random) -> tuple[str, Path]:
    """Much of one thing: brackets, operators, names, layers, turns, blocks in blocks, errors."""
    n = draw.choice((10, 100, 1000, 5000))
    inner = draw.choice(
        (
            f"let n = {'(' * n}1{')' * n}",
            f"let n = {' + '.join(['1'] * n)}",
            f"let n = {'-' * n}1",
            f"let n = {' * '.join(['1e300'] * n)}",
            f"let {'a' * n} = 1",
            f"let n = [{', '.join(['[1]'] * n)}]",
            f"let n = {'[' * n}{']' * n}",
            f"y = {'relu(' * n}x{')' * n}",
            f"y = x.{'.'.join(['a'] * n)}",
            f"y = x[{', '.join(['1'] * n)}]",
            f"repeat i in range(1, {n}) {{ y = relu(x) }}",
            f"repeat i in range(1, {n}) {{ repeat j in range(1, {n}) {{ y = relu(x) }} }}",
            f"repeat i in range(1, {n * n}) {{ y = relu(x) }}",
            "repeat i in range(1, 2) { " * n + "}" * n,
            "\n".join(f"y{i} = relu(x)" for i in range(n)),
            "\n".join(f"y{i} = relu(y{i - 1})" for i in range(1, n)),
            "\n".join(f"let a{i} = a{i - 1} * 2" for i in range(1, n)),
            "\n".join(f"block b{i}(x) {{ return b{i + 1}(b{i + 1}(x)) }}" for i in range(min(n, 60))),
            "\n".join(["y = = 1"] * n),
            "\n".join(f"y{i} = relu(z{i})" for i in range(n)),
            "\n".join(f"let a{i} = b{i} + 1" for i in range(n)),
            "\n".join(f"machine a{i} extends b{i} {{ }}" for i in range(n)),
            f"repeat i in range(1, {n}) {{ y = relu(x) }}\n" + "\n".join(f"z{i} = relu(y[{n + i}])" for i in range(n)),
            "\n".join(["'"] * n),
            '"' * n,
            "\\" * n,
            ", " * n,
            "// " * n,
            f"y = conv2d(x, channels = {'9' * min(n, 39)}, kernel = 3)",
        )
    )
    inside = f"network n(x: f32[1, 4]) -> f32[1, 4] {{\n{inner}\nreturn x\n}}"
    return f"hap 1\n{draw.choice((inner, inside))}\n", ROOT / "spec_examples"


_Maker = Callable[[random.Random], tuple[str, Path]]
MAKERS: dict[_Maker, float] = {
    bytes_changed: 16,
    tokens_changed: 48,
    lines_changed: 14,
    spliced: 6,
    derived: 15,
    too_large: 1,
}


# --- derivations of the grammar -------------------------------------------------------------------------------------


@cache
def _grammar() -> tuple[dict[str, list[list[tuple[bool, str]]]], dict[str, str]]:
    """The expansions of each rule, as (is terminal, name), the shortest first; and the terminals that are plain words.

    lark has written repetitions and options as rules of their own.
    """
    parser: Any = build(grammar_text())
    assert isinstance(parser, Lark)
    expansions: dict[str, list[list[tuple[bool, str]]]] = {}
    for rule in parser.rules:
        symbols = [(symbol.is_term, str(symbol.name)) for symbol in rule.expansion]
        expansions.setdefault(str(rule.origin.name), []).append(symbols)
    words = {t.name: str(t.pattern.value) for t in parser.terminals if t.pattern.type == "str"}
    cost = dict.fromkeys(expansions, 1_000_000)
    for _ in range(len(expansions)):
        for name, choices in expansions.items():
            cost[name] = min(sum(1 if term else cost[symbol] for term, symbol in choice) + 1 for choice in choices)
    for choices in expansions.values():
        choices.sort(key=lambda choice: sum(1 if term else cost[symbol] for term, symbol in choice))
    return expansions, words


@cache
def _vocabulary() -> dict[str, list[str]]:
    registry = universe()
    names = [*registry.layers, *registry.all_passes, *registry.units, *registry.dataflows, *registry.blocks, *FUNCTIONS]
    names += ["size", "range", "x", "y", "n", "m", "i", "c1", "image", "range", "channels", "kernel", "units", "layers"]
    names += [
        "f32",
        "i8",
        "u8",
        "true",
        "none",
        "clock",
        "technology",
        "cmos45",
        "holds",
        "weight",
        "at",
        "for",
        "K",
        "C",
    ]
    return {
        "NAME": names,
        "NUMBER": ["0", "1", "2", "3", "8", "16", "1.5", "1e3", "1e300", "7"],
        "QUANTITY": [f"{n} {unit}" for unit in UNITS for n in (0, 1, 64)],
        "STRING": ['"x"', '"c*"', '"machines/ws_8x8.hap"', '"digits.safetensors"', '""', '"\\\\"'],
        "MEMBER": [".c1", ".x.y", ".1"],
        "_SEP": ["\n", ",", ";", "\n\n", ", // c\n"],
    }


def _derive(draw: random.Random, rule: str, budget: list[int]) -> Iterator[str]:
    """The tokens of a random derivation; once the budget is spent, the shortest way to the end is taken."""
    expansions, words = _grammar()
    stack: list[tuple[bool, str]] = [(False, rule)]
    while stack:
        terminal, name = stack.pop()
        if terminal:
            yield words[name] if name in words else draw.choice(_vocabulary()[name])
            continue
        budget[0] -= 1
        choices = expansions[name]
        chosen = draw.choice(choices) if budget[0] > 0 else choices[0]
        stack.extend(reversed(chosen))
