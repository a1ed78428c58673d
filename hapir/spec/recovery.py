"""Syntax errors in words, and the way on after one.

A syntax error ends its statement: the parser's stack is cut back to where a statement may begin, the text is skipped to
the next statement of the same block, and parsing goes on. The tree of a text with errors holds the other statements.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, cast

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from hapir.diagnostics import Findings, Label, Span
from hapir.spec.expected import describe, expected
from hapir.spec.foreign import suggest_unit
from hapir.spec.syntax_help import (
    Surprise,
    answer,
    begins_definition,
    brace_follows,
    character_help,
    is_dangling,
)
from hapir.spec.units import UNITS

MAXIMUM_ERRORS = 10

_SCAN = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|[\n,;(){}\[\]]')
_SEPARATOR = re.compile(r"[,;\n](?:[ \t\r\n,;]|//[^\n]*)*")
_STATEMENT = re.compile(
    r"\n\s*(?:return\b|(?:network|machine|recipe|schedule)\s+\w+|[\w.]+[ \t]*=[ \t]*[A-Za-z_]\w*[ \t]*\()"
)


class _LineCounter(Protocol):
    char_pos: int
    line: int
    column: int
    line_start_pos: int


class _LexerState(Protocol):
    line_ctr: _LineCounter


class _Lexer(Protocol):
    state: _LexerState

    def lex(self, parser_state: _State, /) -> Iterator[Token]: ...


class _Tables(Protocol):
    states: Mapping[int, Mapping[str, object]]


class _State(Protocol):
    parse_conf: _Tables
    state_stack: list[int]
    value_stack: list[object]


class _Parser(Protocol):
    """What is used here of lark's InteractiveParser, whose own annotations leave most of it open."""

    parser_state: _State
    lexer_thread: _Lexer

    def feed_token(self, token: Token, /) -> Tree[Token] | None: ...

    def accepts(self) -> set[str]: ...


class Recovery:
    """One parse of one text that survives syntax errors."""

    def __init__(self, grammar: Lark, text: str, file: str, findings: Findings):
        self._text = text
        self._file = file
        self._findings = findings
        self._parser = cast(_Parser, cast(Any, grammar).parse_interactive(text))
        self._previous: Token | None = None
        """The last token that was accepted and is no separator."""
        self._separated = False
        """Whether a separator came after it."""

    def run(self) -> Tree[Token] | None:
        """The tree without the statements whose errors go to the findings; None where the end is not reached."""
        for _ in range(MAXIMUM_ERRORS):
            try:
                return self._feed()
            except UnexpectedToken as error:
                token: Token = error.token
                if not self._unexpected_token(token):
                    return None
            except UnexpectedCharacters as error:
                position = cast(int, error.pos_in_stream)
                self._unexpected_character(position)
                if not self._resume(position):
                    return None
        return None

    def _feed(self) -> Tree[Token]:
        for token in self._parser.lexer_thread.lex(self._parser.parser_state):
            self._parser.feed_token(token)
            self._separated = token.type == "_SEP"
            if not self._separated:
                self._previous = token
        line, column = self._position(len(self._text))
        tree = self._parser.feed_token(Token("$END", "", len(self._text), line, column))
        assert tree is not None
        return tree

    def _unexpected_token(self, token: Token) -> bool:
        """Report a token that does not fit, and go on after it; False where the text ends first."""
        surprise = Surprise(token, self._previous, frozenset(self._parser.accepts()), self._text, self._open_bracket())
        if self._bad_unit(token):
            return self._resume(surprise.start)
        told = answer(surprise)
        at, labels = self._place(token), list[Label]()
        opened = surprise.opened
        if told.at == "bracket" and opened is not None:
            labels.append(Label(at, "it is still open here"))
            at = token_span(opened, self._file)
        elif opened is not None and self._tells_bracket(opened, surprise):
            labels.append(Label(token_span(opened, self._file), f"`{opened}` opens here"))
        if told.at == "previous" and self._previous is not None:
            at = token_span(self._previous, self._file)
        message = told.message or f"expected {expected(set(surprise.accepted))}, found {describe(token)}"
        self._findings.error("HAP0101", message, at=at, labels=labels, help=told.help)
        if token.type == "$END":
            return False
        if brace_follows(surprise):
            return True  # only the end of the line is too much
        if begins_definition(surprise) and self._previous is not None:
            return self._resume(self._previous.start_pos or 0, at_top=True)
        return self._resume(surprise.start + len(token) if is_dangling(surprise) else surprise.start)

    def _tells_bracket(self, opened: Token, surprise: Surprise) -> bool:
        """Whether an open bracket explains a surprise: a brace does where its partner is missing."""
        if (opened.line or 0) >= self._position(surprise.start)[0]:
            return False
        return opened.type != "LBRACE" or surprise.token.type == "$END" or begins_definition(surprise)

    def _bad_unit(self, token: Token) -> bool:
        """Report `200 Mhz`: a word right after a number is meant as a unit."""
        previous = self._previous
        start = token.start_pos or 0
        word = re.match(r"[A-Za-z_/%][\w/%]*(?!\s*=)", self._text[start : start + 40])
        if previous is None or previous.type != "NUMBER" or word is None or previous.line != token.line:
            return False
        line, column = self._position(start)
        span = Span(self._file, line, column, line, column + len(word.group()))
        help = suggest_unit(word.group(), UNITS) or f"the units are {', '.join(UNITS)}"
        if re.fullmatch(r"_\d+|[xXoObB][\da-fA-F]+", word.group()):
            help = "numbers are decimal, and their digits stand together: `1000`, `1e-5`"
        self._findings.error("HAP0107", f"`{word.group()}` is not a unit", at=span, help=help)
        return True

    def _place(self, token: Token) -> Span:
        """The token itself, or the end of the one before where the error shows on a later line only."""
        previous = self._previous
        line, column = self._position(token.start_pos or 0)
        moved_on = token.type in ("$END", "_SEP") and not token.startswith((",", ";"))
        if previous is not None and (moved_on or ((previous.end_line or line) < line and not self._separated)):
            end_line, end_column = previous.end_line or line, previous.end_column or column
            return Span(self._file, end_line, end_column, end_line, end_column + 1)
        text = str(token)
        length = 1 if token.type in ("$END", "_SEP") else max(1, len(text))
        return Span(self._file, line, column, line, column + length)

    def _unexpected_character(self, position: int) -> None:
        line, column = self._position(position)
        at = Span(self._file, line, column, line, column + 1)
        character = self._text[position]
        if character == '"':
            self._findings.error(
                "HAP0108",
                'this string does not end, or has a `\\` that escapes neither `\\` nor `"`',
                at=at,
                help='a string ends with `"` on its own line',
            )
            return
        quoted = re.match(r"'([^'\n]*)'", self._text[position:])
        if quoted is not None:
            at = Span(self._file, line, column, line, column + len(quoted.group()))
            self._findings.error(
                "HAP0102", "the character `'` has no meaning here", at=at, help=f'write `"{quoted[1]}"`'
            )
            return
        shown = f"`{character}`" if character.isprintable() else f"U+{ord(character):04X}"
        help = character_help(character)
        self._findings.error("HAP0102", f"the character {shown} has no meaning here", at=at, help=help)

    def _resume(self, position: int, at_top: bool = False) -> bool:
        """Cut the stack back to a statement's beginning and skip to the next one; False where the text ends first.

        With `at_top` a definition begins at the position itself.
        """
        state = self._parser.parser_state
        keep = len(state.state_stack) - 1
        while keep > 0 and not self._begins_statement(state.state_stack[keep], at_top):
            keep -= 1
        cut = [v for v in state.value_stack[keep:] if isinstance(v, Token)]
        depth = sum((t.type in ("LPAR", "LSQB")) - (t.type in ("RPAR", "RSQB")) for t in cut)
        del state.state_stack[keep + 1 :]
        del state.value_stack[keep:]
        in_block = keep > 0 and self._in_block()
        target = position if at_top else self._next_statement(position, max(0, depth), in_block)
        if target is None:
            return False
        counter = self._parser.lexer_thread.state.line_ctr
        counter.char_pos = target
        counter.line, counter.column = self._position(target)
        counter.line_start_pos = target - counter.column + 1
        return True

    def _actions(self, state: int) -> set[str]:
        return set(self._parser.parser_state.parse_conf.states[state])

    def _begins_statement(self, state: int, at_top: bool) -> bool:
        actions = self._actions(state)
        if at_top:
            return "NETWORK" in actions
        # after the NAME of an item another NAME and `}` are possible too, but no NUMBER
        return {"NAME", "NUMBER", "RBRACE"} <= actions or "NETWORK" in actions

    def _in_block(self) -> bool:
        return "RBRACE" in self._actions(self._parser.parser_state.state_stack[-1])

    def _next_statement(self, position: int, depth: int, in_block: bool) -> int | None:
        """Where the next statement of this block begins, or its closing brace; `depth` brackets are open."""
        braces = 0
        for match in _SCAN.finditer(self._text, position):
            text = match.group()
            if text in ("(", "["):
                depth += 1
            elif text in (")", "]"):
                depth = max(0, depth - 1)
            elif text == "{":
                braces += 1
                depth = 0
            elif text == "}" and braces == 0 and in_block:
                return match.start()
            elif text == "}":
                braces, depth = max(0, braces - 1), 0
            elif text in ("\n", ",", ";") and braces == 0 and self._ends_statement(match.start(), depth):
                separator = _SEPARATOR.match(self._text, match.start())
                return separator.end() if separator else match.end()
        return None

    def _ends_statement(self, separator: int, depth: int) -> bool:
        """Whether a separator is one between statements: no bracket is open, or what follows looks like a statement."""
        return depth == 0 or _STATEMENT.match(self._text, separator) is not None

    def _open_bracket(self) -> Token | None:
        """The innermost bracket that is open where the parser stands."""
        closed = 0
        for value in reversed(self._parser.parser_state.value_stack):
            if not isinstance(value, Token):
                continue
            if value.type in ("RPAR", "RSQB", "RBRACE"):
                closed += 1
            elif value.type in ("LPAR", "LSQB", "LBRACE"):
                if closed == 0:
                    return value
                closed -= 1
        return None

    def _position(self, offset: int) -> tuple[int, int]:
        line = self._text.count("\n", 0, offset) + 1
        return line, offset - self._text.rfind("\n", 0, offset)


def token_span(token: Token, file: str) -> Span:
    """The place of a token that the lexer made."""
    line, column = token.line or 1, token.column or 1
    return Span(file, line, column, token.end_line or line, token.end_column or column + 1)
