"""xDSL's parser, which leaves operations without a place, made to give each the place where its text starts.

Whatever goes wrong while text is read becomes a diagnostic there.
"""

from __future__ import annotations

import bisect
import re
from typing import cast

from xdsl.context import Context
from xdsl.dialects.builtin import FileLineColLoc, IntAttr, ModuleOp, StringAttr, UnknownLoc
from xdsl.ir import Attribute, Operation, TypeAttribute
from xdsl.parser import Parser, ParserState
from xdsl.utils.exceptions import (
    MultipleSpansParseError,
    ParseError,
    UnregisteredConstructException,
    VerifyException,
)
from xdsl.utils.lexer import Input
from xdsl.utils.lexer import Span as TextSpan
from xdsl.utils.mlir_lexer import MLIRLexer

from hapir.diagnostics import Diagnostic, HapirError, Label, Span, did_you_mean


def parse_ir(ctx: Context, text: str, name: str, *, implicit_module: bool = True) -> ModuleOp:
    """The module that a text says, every operation with its place. Raises HapirError (HAP0852)."""
    try:
        return LocatedParser(ctx, text, name).parse_located(implicit_module)
    except ParseError as error:
        raise HapirError(_diagnostic(error, ctx, text)) from error


class _Lexer(MLIRLexer):
    """xDSL's lexer, with another expression for strings: on one without end its own takes exponential time."""

    _unescaped_characters_regex = re.compile(r'"[^"\\\n\v\f]*(?:\\(?:["nt\\]|[0-9A-Fa-f]{2})[^"\\\n\v\f]*)*"')


class LocatedParser(Parser):
    """A parser whose operations have a location, and whose only error is ParseError."""

    def __init__(self, ctx: Context, text: str, name: str):
        super().__init__(ctx, "", name)
        self._parser_state = ParserState(_Lexer(Input(text, name)))
        self._text = text
        self._file = StringAttr(name)
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def parse_located(self, implicit_module: bool) -> ModuleOp:
        """The whole input as a module. Raises ParseError."""
        start = self.pos
        try:
            module = self.parse_module(implicit_module)
        except ParseError:
            raise
        except Exception as error:
            raise self._refused(self.pos, self.pos, error) from error
        if isinstance(module.location, UnknownLoc):
            module.location = self._location(start)
        return module

    def parse_operation(self) -> Operation:
        token = self._current_token.span
        try:
            op = super().parse_operation()
        except ParseError:
            raise
        except Exception as error:
            raise self._refused(token.start, token.end, error) from error
        if isinstance(op.location, UnknownLoc):
            op.location = self._location(token.start)
        return op

    def parse_optional_type(self) -> TypeAttribute | None:
        start = self.pos
        try:
            return super().parse_optional_type()
        except VerifyException as error:
            raise self._refused(start, self.pos, error) from error

    def parse_optional_attribute(self) -> Attribute | None:
        start = self.pos
        try:
            return super().parse_optional_attribute()
        except VerifyException as error:
            raise self._refused(start, self.pos, error) from error

    def _location(self, position: int) -> FileLineColLoc:
        line = bisect.bisect_right(self._starts, position)
        column = position - self._starts[line - 1] + 1
        return FileLineColLoc(self._file, IntAttr(line), IntAttr(column))

    def _refused(self, start: int, end: int, error: Exception) -> ParseError:
        """Any exception as the error that the text of an operation or attribute is to blame for."""
        words = " ".join(str(error).split())
        if not isinstance(error, VerifyException | UnregisteredConstructException):
            words = f"its parser fails: {type(error).__name__}: {words}"
        end = start + len(self._text[start:end].rstrip())
        return ParseError(TextSpan(start, end, self.lexer.input), words)


def _diagnostic(error: ParseError, ctx: Context, text: str) -> Diagnostic:
    message = " ".join(error.msg.split())
    span, help = _span(error.span), None
    if unknown := re.fullmatch(r"Operation (\S+) is not registered", message):
        name = unknown[1]
        # xDSL points behind the name
        start = text.rfind(name, 0, error.span.start)
        if start >= 0:
            span = _span(TextSpan(start, start + len(name), Input(text, error.span.input.name)))
        message, help = f"there is no operation `{name}`", _known_operation(name, ctx)
    elif not text.strip():
        message = "there is no IR: the input is empty"
    labels: list[Label] = []
    if isinstance(error, MultipleSpansParseError):
        labels = [Label(_span(place), note or error.ref_text or "here") for place, note in error.refs]
    return Diagnostic("HAP0852", message, span, tuple(labels), help)


def _known_operation(name: str, ctx: Context) -> str:
    dialect = name.partition(".")[0]
    if dialect in ctx.registered_dialect_names:
        loaded = ctx.get_optional_dialect(dialect)
        names = [op.name for op in loaded.operations] if loaded else []
        hint = did_you_mean(name, names)
    else:
        hint = did_you_mean(dialect, ctx.registered_dialect_names)
    return hint or "`hapir list dialects` shows what there is; --allow-unregistered-dialect reads it all the same"


def _span(span: TextSpan[str] | TextSpan[bytes]) -> Span:
    """A span of xDSL's as one of hapir's; an empty one is a column wide."""
    start = span.get_location()
    # not `replace`: the span may be one of a subclass that is particular about its text
    source = cast("Input[str]", span.input)
    end = TextSpan(max(span.end, span.start + 1), span.end, source).get_location()
    return Span(start.file, start.line, start.col, end.line, end.col)
