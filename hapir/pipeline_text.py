"""The text of a pipeline (`a,b{n=2 s="x"}`) as passes.

The text is xDSL's, but for named pipelines, free spaces around passes, and whole numbers where an option takes a float.
Whatever is wrong with it is a diagnostic at its place in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin

from xdsl.passes import ModulePass
from xdsl.utils.arg_spec import (
    ArgSpec,
    ArgSpecConvertible,
    ParameterListType,
    ParameterType,
    PipelineLexer,
    SpecToken,
    SpecTokenKind,
    _convert_arg_to_type,  # pyright: ignore[reportPrivateUsage]  # what from_spec calls, without the option's name
    _parse_spec,  # pyright: ignore[reportPrivateUsage]  # one element of what parse_pipeline reads, whose place we need
)
from xdsl.utils.exceptions import ArgSpecParseError, DiagnosticException, ParseError
from xdsl.utils.hints import isa

from hapir.diagnostics import Diagnostic, Findings, HapirError, Span, did_you_mean
from hapir.pipeline import Step, value_text
from hapir.pipelines import NamedPipeline
from hapir.registry import universe
from hapir.spec.options import describe, option_types

T = TypeVar("T", bound=ArgSpecConvertible)
Available = Mapping[str, Callable[[], type[T]]]


@dataclass
class _Element(Generic[T]):
    """A pass or pipeline as it is written: its spec, where it stands, and how to find the place of an option."""

    spec: ArgSpec
    at: Span
    option_at: Callable[[str], Span]
    pipelines: tuple[str, ...] = ()
    """The named pipelines that it came out of, the outermost first."""
    places: dict[str, Span] = field(default_factory=dict[str, Span])
    """Options that were given to a pipeline around it."""


def read_passes(text: str, name: str, available: Available[ModulePass] | None = None) -> tuple[Step, ...]:
    """The passes of a pipeline's text, named pipelines expanded, each with its place in the text.

    `name` is what diagnostics call the text; `available` are the passes, by default those of the registry.
    Raises HapirError with all that is wrong: HAP0850 for the text, HAP0203, HAP0862 for names, HAP0204, HAP0206,
    HAP0304, HAP0305 for options.
    """
    known = universe().all_passes if available is None else available
    findings = Findings()
    steps: list[Step] = []
    try:
        for element in _elements(text, name):
            for single in _expanded(element, known, findings):
                made = _made(known[single.spec.name], single, f"the pass `{single.spec.name}`", findings)
                if made is not None:
                    steps.append(Step(made, single.at))
        findings.raise_errors()
    except HapirError as error:
        raise HapirError(with_text(error.diagnostics, name, text)) from error
    return tuple(steps)


def check_target(text: str, name: str, available: Mapping[str, Callable[..., Any]]) -> None:
    """Check the text of `--target`, a target with options. Raises HapirError (HAP0790, HAP0850, HAP02xx, HAP03xx)."""
    findings = Findings()
    try:
        elements = _elements(text, name)
        if len(elements) != 1:
            at = elements[1].at if elements else None
            raise HapirError(Diagnostic("HAP0850", "one target is needed", at, help="`hapir list targets` names them"))
        (element,) = elements
        target = element.spec.name
        if target not in available:
            hint = did_you_mean(target, available) or "`hapir list targets` names them"
            findings.error("HAP0790", f"there is no target `{target}`", at=element.at, help=hint)
        elif isinstance(made := available[target](), type) and issubclass(made, ArgSpecConvertible):
            _made(lambda: made, element, f"the target `{target}`", findings)
        findings.raise_errors()
    except HapirError as error:
        raise HapirError(with_text(error.diagnostics, name, text)) from error


def with_text(diagnostics: Sequence[Diagnostic], name: str, text: str) -> tuple[Diagnostic, ...]:
    """Diagnostics that can show the line of a pipeline's text that they point at."""
    return tuple(replace(d, sources={name: text, **d.sources}) for d in diagnostics)


class _Lexer(PipelineLexer):
    """xDSL's lexer, but spaces that part no options mean nothing."""

    def __init__(self, text: str):
        super().__init__(text)
        self._depth = 0
        self._expects = True
        """Whether something must follow the last token, so that a space cannot end it."""

    def lex(self) -> SpecToken:
        token = super().lex()
        self._depth += (token.kind is SpecTokenKind.L_BRACE) - (token.kind is SpecTokenKind.R_BRACE)
        self._expects = token.kind in (SpecTokenKind.L_BRACE, SpecTokenKind.EQUALS, SpecTokenKind.COMMA)
        return token

    def peek(self) -> SpecToken:
        token = super().peek()
        while (self._depth == 0 or self._expects) and token.kind is SpecTokenKind.SPACE:
            self._peeked = None
            token = super().peek()
        return token


def _elements(text: str, name: str) -> list[_Element[Any]]:
    """The elements of a pipeline's text. Raises HapirError (HAP0850)."""

    def located(spec: ArgSpec, start: int, end: int) -> _Element[Any]:
        def option_at(option: str) -> Span:
            # strings are passed over; what the option is called may stand in one
            words = re.compile(rf'"(?:\\.|[^"\\])*"|(?<=[{{\s])({re.escape(option)})(?![\w-])')
            places = (match.span(1) for match in words.finditer(text, start + len(spec.name), end) if match[1])
            return _span(text, name, *next(places, (start, end)))

        return _Element(spec, _span(text, name, start, end), option_at)

    found: list[_Element[Any]] = []
    try:
        lexer = _Lexer(text)
        while (first := lexer.peek()).kind is not SpecTokenKind.EOF:
            spec = _parse_spec(lexer)
            following = lexer.lex()
            start = first.span.start
            found.append(located(spec, start, start + len(text[start : following.span.start].rstrip())))
            if following.kind is SpecTokenKind.EOF:
                break
            if following.kind is not SpecTokenKind.COMMA:
                raise ArgSpecParseError(following, "Expected a comma here")
    except ArgSpecParseError as error:
        # the error keeps no token, only the text of its message: `name:line:column`, the line, a caret, and why
        lines = str(error).strip().splitlines()
        place = re.search(r":(\d+):(\d+)$", lines[1]) if len(lines) > 1 else None
        line, column = (int(place[1]), int(place[2])) if place else (1, 1)
        at = Span(name, line, column, line, column + 1)
        reason = f"{lines[-1].strip()[:1].lower()}{lines[-1].strip()[1:]}"
        raise HapirError(_unreadable(reason, at)) from error
    except ParseError as error:  # an escape in a string that the lexer knows and the literal does not
        raise HapirError(_unreadable(error.msg, _span(text, name, error.span.start, error.span.end))) from error
    except ValueError as error:  # a number of thousands of digits
        raise HapirError(_unreadable(str(error), _span(text, name, 0, len(text)))) from error
    return found


def _unreadable(reason: str, at: Span) -> Diagnostic:
    help = """a pipeline is written `first,second{number=2 word="x"}`"""
    return Diagnostic("HAP0850", f"the text cannot be read: {reason}", at, help=help)


def _span(text: str, name: str, start: int, end: int) -> Span:
    line = text.count("\n", 0, start) + 1
    column = start - (text.rfind("\n", 0, start) + 1) + 1
    end_line = text.count("\n", 0, end) + 1
    return Span(name, line, column, end_line, end - (text.rfind("\n", 0, end) + 1) + 1)


def _expanded(element: _Element[ModulePass], known: Available[ModulePass], findings: Findings) -> list[_Element[Any]]:
    """A pass as it is, a named pipeline as its passes; a pass of the same name comes first."""
    name, pipelines = element.spec.name, universe().pipelines
    if name in known:
        return [element]
    inside = f" in the pipeline `{element.pipelines[-1]}`" if element.pipelines else ""
    if name not in pipelines:
        hint = did_you_mean(name, [*known, *pipelines]) or "`hapir list passes` names them"
        findings.error("HAP0203", f"there is no pass or pipeline `{name}`{inside}", at=element.at, help=hint)
        return []
    if name in element.pipelines:
        chain = " -> ".join((*element.pipelines, name))
        findings.error("HAP0862", f"the pipeline `{name}` names itself: {chain}", at=element.at)
        return []
    pipeline: NamedPipeline = pipelines[name]()
    try:
        inner = _elements(pipeline.passes, name)
    except HapirError as error:
        reason = error.diagnostics[0].message
        findings.error("HAP0862", f"the pipeline `{name}` is broken: {reason}", at=element.at)
        return []
    found: list[_Element[Any]] = []

    def at_the_name(option: str) -> Span:
        return element.at

    for part in inner:
        within = replace(part, at=element.at, option_at=at_the_name, pipelines=(*element.pipelines, name))
        found += _expanded(within, known, findings)
    return _with_options(element, found, known, findings)


def _with_options(
    element: _Element[Any], parts: list[_Element[Any]], known: Available[ModulePass], findings: Findings
) -> list[_Element[Any]]:
    """The passes of a named pipeline with the options given to it, each at every pass that has it."""
    options = {part.spec.name: option_types(known[part.spec.name]()) for part in parts}
    for option, values in element.spec.normalize_parameter_names().parameters.items():
        takers = [part for part in parts if option in options[part.spec.name]]
        at = element.places.get(option) or element.option_at(option)
        if not takers and parts:
            every = {name for names in options.values() for name in names}
            hint = did_you_mean(option, sorted(every)) or f"its options are {', '.join(sorted(every))}"
            what = f"no pass of the pipeline `{element.spec.name}` has an option `{option}`"
            findings.error("HAP0204", what, at=at, help=hint)
        for part in takers:
            given = part.spec.normalize_parameter_names().parameters
            part.spec = ArgSpec(part.spec.name, {**given, option: values})
            part.places[option] = at
    return parts


def _made(getter: Callable[[], type[T]], element: _Element[T], what: str, findings: Findings) -> T | None:
    """The pass or target with its options; None where something is wrong, which the findings then tell."""
    try:
        cls = getter()
    except ImportError as error:
        module = error.name or str(error)
        findings.error("HAP0880", f"{what} needs `{module}`, which is not installed", at=element.at)
        return None
    hints = option_types(cls)
    spelled = {name.replace("-", "_"): name for name in element.spec.parameters}
    given = element.spec.normalize_parameter_names().parameters
    converted: dict[str, ParameterListType] = {}
    bad = False
    for option, values in given.items():
        at = element.places.get(option) or element.option_at(spelled[option])
        if option not in hints:
            help = did_you_mean(option, hints) or (f"its options are {', '.join(hints)}" if hints else "it has none")
            findings.error("HAP0204", f"{what} has no option `{option}`", at=at, help=help)
            bad = True
            continue
        converted[option] = tuple(_number(value, _plain(hints[option])) for value in values)
        try:
            if any(isinstance(value, bool) for value in values) and not _takes_bool(hints[option]):
                raise ValueError  # Python's bool is an int
            _convert_arg_to_type(converted[option], _plain(hints[option]))
        except ValueError:
            shown = ",".join(map(value_text, values)) if values else "no value"
            wanted = describe(hints[option])
            findings.error("HAP0304", f"`{option}` of {what} takes {wanted}, not {shown}", at=at)
            bad = True
    for option in sorted(cls.required_fields() & set(hints) - set(given)):
        wanted = describe(hints[option])
        findings.error("HAP0206", f"{what} needs the option `{option}`, {wanted}", at=element.at)
        bad = True
    if bad:
        return None
    try:
        return cls.from_spec(ArgSpec(cls.name, converted))
    except (ValueError, TypeError, DiagnosticException) as error:
        findings.error("HAP0305", " ".join(str(error).split()), at=element.at)
        return None


def _plain(hint: Any) -> Any:
    """An annotation without what it says to others: a registered value is written as a string here."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _takes_bool(hint: Any) -> bool:
    return hint is bool or any(map(_takes_bool, get_args(hint)))


def _number(value: ParameterType, hint: Any) -> ParameterType:
    """A whole number, or one like 1e-3 that the lexer takes for a word, where the option takes a float."""
    if isinstance(value, bool | float) or isa(value, hint) or not (isa(1.5, hint) or isa((1.5,), hint)):
        return value
    try:
        return float(value)
    except (ValueError, OverflowError):
        return value
