"""What was meant where the text does not go on as the grammar asks: the faults that people really make.

Each rule looks at one surprise - a token, what stands before it, and what the parser would have taken - and answers in
the reader's terms, or not at all. The first that answers is heard; what no rule knows gets a general way out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lark import Token

from hapir.diagnostics import did_you_mean
from hapir.spec.expected import KEYWORDS

Place = Literal["token", "previous", "bracket"]

_VALUE = {"NAME", "NUMBER", "QUANTITY", "STRING", "LSQB"}
_DEFINITIONS = ("network", "machine", "recipe", "schedule", "import")
_STATEMENTS = {
    "for": ("loops", "rows of layers are written `repeat i in range(1, 3) { ... }`"),
    "while": ("loops", "rows of layers are written `repeat i in range(1, 3) { ... }`"),
    "if": ("conditions", "a network is a fixed graph: write one network for each case, and `block`s that they share"),
    "else": ("conditions", "a network is a fixed graph: write one network for each case, and `block`s that they share"),
    "elif": ("conditions", "a network is a fixed graph: write one network for each case, and `block`s that they share"),
    "def": ("functions", "layers to be used again are written `block name(x, channels) { ... }`"),
    "function": ("functions", "layers to be used again are written `block name(x, channels) { ... }`"),
    "fn": ("functions", "layers to be used again are written `block name(x, channels) { ... }`"),
    "class": ("classes", "a network is written `network name(image: f32[1, 3, 8, 8]) -> f32[1, 10] { ... }`"),
    "model": ("models", "a network is written `network name(image: f32[1, 3, 8, 8]) -> f32[1, 10] { ... }`"),
    "module": ("modules", "hardware is written `machine name { ... }`, a network `network name(...) -> ... { ... }`"),
    "struct": ("structs", "hardware is written `machine name { ... }`, a network `network name(...) -> ... { ... }`"),
    "const": ("`const`", "constants are written `let name = value`"),
    "var": ("variables", "constants are written `let name = value`"),
    "int": ("variables", "constants are written `let name = value`"),
    "float": ("variables", "constants are written `let name = value`"),
    "parameter": ("`parameter`", "constants are written `let name = value`"),
    "localparam": ("`localparam`", "constants are written `let name = value`"),
    "from": ("`from ... import`", 'a file is imported by `import "machines/ws_8x8.hap"`'),
    "include": ("`include`", 'a file is imported by `import "machines/ws_8x8.hap"`'),
    "use": ("`use`", 'a file is imported by `import "machines/ws_8x8.hap"`'),
}
"""Words that begin a statement elsewhere: what they are, and what hapir has instead."""
_COMPARISONS = "there are no comparisons and no conditions: a network is a fixed graph"
_CHARACTERS = {
    "#": "comments begin with //",
    "`": "names are written without quotes",
    "\u201c": 'strings stand in plain double quotes: `"`',
    "\u201d": 'strings stand in plain double quotes: `"`',
    "\u2018": 'strings stand in plain double quotes: `"`',
    "\u2019": 'strings stand in plain double quotes: `"`',
    "\u00d7": "products are written with `*`",
    "\u2212": "a minus is written `-`",
    "\u00a0": "this is a space that does not break lines: write a plain one",
    "^": "there are no powers: write a product, `3 * 3`",
    "@": "matrices are multiplied by a layer: `matmul(a, b)`",
    "\\": "a call goes on on the next line after a `,`; parts of a long value get names by `let`",
    "%": "a share is a number and `%`: `50 %`; the remainder is `mod(a, b)`",
    ".": "a name goes on directly after its point, and a number has a digit before it: `0.5`",
    **dict.fromkeys("<>!?&|~", _COMPARISONS),
}


@dataclass(frozen=True)
class Surprise:
    """A token that the parser does not take, and what is known about the place."""

    token: Token
    previous: Token | None
    """The last token before it that is no separator."""
    accepted: frozenset[str]
    """The terminals that the parser would take."""
    text: str
    opened: Token | None
    """The innermost bracket that is open."""

    @property
    def start(self) -> int:
        """Where the token begins in the text."""
        return self.token.start_pos or 0

    @property
    def after(self) -> str:
        """The rest of the token's line, from the token on."""
        return self.text[self.start :].split("\n", 1)[0]

    @property
    def takes_value(self) -> bool:
        """Whether a value may stand here."""
        return self.accepted >= _VALUE

    @property
    def ends_line(self) -> bool:
        """Whether the line, or the whole text, ends here."""
        return self.token.type == "$END" or (self.token.type == "_SEP" and not self.token.startswith((",", ";")))

    def begins_statement(self, token: Token) -> bool:
        """Whether a token is the first of its statement, as far as the line tells."""
        before = self.text[: token.start_pos or 0].rpartition("\n")[2].rstrip()
        return not before or before.endswith(("{", "}", ",", ";"))


@dataclass(frozen=True)
class Answer:
    """What to tell: a way out, and a message and a place where there are better ones than the parser's own."""

    help: str
    message: str | None = None
    at: Place = "token"


Rule = Callable[[Surprise], Answer | None]


def answer(surprise: Surprise) -> Answer:
    """The answer of the first rule that has one."""
    for rule in _RULES:
        found = rule(surprise)
        if found is not None:
            return found
    return Answer(_general(surprise))


def character_help(character: str) -> str:
    """The way out of a character that belongs to no word of the language."""
    return _CHARACTERS.get(character) or (
        "names are made of the letters a to z and A to Z, digits, `_` and `.`; everything else is a string"
    )


def begins_definition(surprise: Surprise) -> bool:
    """Whether a definition begins inside another one, whose brace is then the one that is missing."""
    previous = surprise.previous
    return (
        previous is not None
        and previous.type == "NAME"
        and str(previous) in _DEFINITIONS
        and surprise.token.type in ("NAME", "STRING")
        and surprise.begins_statement(previous)
    )


def brace_follows(surprise: Surprise) -> bool:
    """Whether the body that is missing begins on a line of its own, as in C."""
    after = surprise.text[surprise.start :]
    return "LBRACE" in surprise.accepted and surprise.ends_line and bool(re.match(r"(\s|//[^\n]*\n)*\{", after))


def is_dangling(surprise: Surprise) -> bool:
    """Whether the line ends in an operator, so that the next line goes on with it."""
    previous = surprise.previous
    return surprise.ends_line and previous is not None and previous.type in ("PLUS", "MINUS", "STAR", "SLASH")


# --- rules, the most telling first ------------------------------------------------------------------------------------


def _foreign_statement(s: Surprise) -> Answer | None:
    places: tuple[tuple[Token | None, Place], ...] = ((s.previous, "previous"), (s.token, "token"))
    for token, at in places:
        if token is None or str(token) not in _STATEMENTS or not s.begins_statement(token):
            continue
        if at == "previous" and (s.token.type in ("EQUAL", "$END") or s.ends_line):
            continue  # it may be a name that is used as one
        what, help = _STATEMENTS[str(token)]
        return Answer(help, f"there are no {what} here" if not what.startswith("`") else f"there is no {what}", at)
    return None


def _nested_definition(s: Surprise) -> Answer | None:
    if not begins_definition(s):
        return None
    what = f"`{s.previous}` begins a definition, but a brace is still open"
    return Answer(f"close the brace with `}}` before `{s.previous}`", what, "previous")


def _unclosed(s: Surprise) -> Answer | None:
    """A bracket of an earlier line that nothing closes before its block or the file ends."""
    opened = s.opened
    if opened is None or opened.type == "LBRACE" or (opened.line or 0) >= (s.token.line or 0):
        return None
    if not _never_closes(s.text, opened.start_pos or 0):
        return None
    return Answer(f"close it with `{_closing(opened)}`", f"this `{opened}` is never closed", "bracket")


def _never_closes(text: str, start: int) -> bool:
    depth = 0
    for match in re.finditer(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|[(){}\[\]]', text[start:]):
        bracket = match.group()
        depth += (bracket in ("(", "[")) - (bracket in (")", "]"))
        if bracket in ("{", "}"):
            return True
        if depth == 0 and bracket in (")", "]"):
            return False
    return True


def _end_of_file(s: Surprise) -> Answer | None:
    if s.token.type != "$END" or s.opened is None:
        return None
    closing = _closing(s.opened)
    return Answer(f"close it with `{closing}`", f"expected `{closing}`, found the end of the file")


def _colon(s: Surprise) -> Answer | None:
    if s.token.type != "COLON" or s.previous is None:
        return None
    if "LBRACE" in s.accepted and "EQUAL" not in s.accepted:
        return Answer("a body stands in braces: `{ ... }`", "expected `{`, found `:`")
    if s.previous.type == "NAME" and "EQUAL" in s.accepted:
        if "LBRACE" not in s.accepted and not s.after.removeprefix(":").strip():
            return Answer(f"a block is written `kind name {{ ... }}`, a setting `{s.previous} = value`")
        return Answer(f"write `{s.previous} = {_rest(s.after[1:])}`", "expected `=`, found `:`")
    return None


def _equals(s: Surprise) -> Answer | None:
    if s.token.type != "EQUAL" or s.previous is None:
        return None
    if s.previous.type == "EQUAL":
        return Answer(
            "write one `=`: it gives a name to a layer, or a value to an option", "expected one `=`, found two"
        )
    if s.previous.type in ("PLUS", "MINUS", "STAR", "SLASH"):
        return Answer("nothing is changed after it is made: give the result a name of its own")
    return None


def _power(s: Surprise) -> Answer | None:
    if s.token.type != "STAR" or s.previous is None or s.previous.type != "STAR":
        return None
    return Answer("powers are written as products: `3 * 3`", "there is no operator `**`")


def _dangling(s: Surprise) -> Answer | None:
    if not is_dangling(s) or s.token.type == "$END":
        return None
    return Answer(
        "finish it on this line; parts of a long value get names by `let`",
        f"expected a value after `{s.previous}`, found the end of the line",
    )


def _list(s: Surprise) -> Answer | None:
    """Lists in round brackets or in braces."""
    if s.token.type == "LBRACE" and s.takes_value:
        inside = re.match(r"\{([^{}\n]*)\}", s.after)
        return Answer(f"a list stands in square brackets: `[{inside[1].strip() if inside else '...'}]`")
    before = None if s.opened is None else s.text[: s.opened.start_pos or 0].rstrip(" \t")[-1:]
    if s.opened is not None and s.opened.type == "LPAR" and before in ("=", "(", "[", ","):
        inside = re.match(r"\(([^()\n]*)\)", s.text[s.opened.start_pos or 0 :])
        if inside and "," in inside[1] and "=" not in inside[1] and s.accepted >= {"RPAR"} and not s.takes_value:
            return Answer(f"a list stands in square brackets: `[{inside[1].strip()}]`")
    return None


def _leading_point(s: Surprise) -> Answer | None:
    digits = re.fullmatch(r"\.([0-9]+)", s.token) if s.token.type == "MEMBER" else None
    if digits is None or not s.takes_value:
        return None
    return Answer(f"write `0.{digits[1]}`")


def _block_comment(s: Surprise) -> Answer | None:
    return Answer("comments begin with //, on each line") if s.after.startswith(("/*", "*/")) else None


def _path(s: Surprise) -> Answer | None:
    if s.accepted != frozenset({"STRING"}) or s.token.type not in ("NAME", "MEMBER"):
        return None
    path = re.match(r"[^\s,;{}()]+", s.after)
    return Answer(f'write `"{path.group() if path else s.token}"`')


def _repeat(s: Surprise) -> Answer | None:
    if s.previous is None:
        return None
    if str(s.previous) == "repeat" and s.begins_statement(s.previous) and s.token.type in ("NUMBER", "LPAR"):
        return Answer(
            "write `repeat i in range(1, 3) { ... }`", f"a repeat names its variable and a range, found `{s.token}`"
        )
    if s.accepted == frozenset({"IN"}):
        return Answer(f"write `repeat {s.previous} in range(1, 3) {{ ... }}`")
    return None


def _remainder(s: Surprise) -> Answer | None:
    previous = s.previous
    if previous is None or previous.type != "QUANTITY" or not previous.endswith("%") or previous.line != s.token.line:
        return None
    if s.token.type not in ("NUMBER", "NAME", "LPAR"):
        return None
    return Answer(f"`%` is per cent; the remainder is `mod({previous.rstrip('%').strip()}, {s.token})`")


def _arrow(s: Surprise) -> Answer | None:
    if "ARROW" not in s.accepted:
        return None
    return Answer("a network says what it returns: `network name(...) -> f32[1, 10] { ... }`")


def _named_block(s: Surprise) -> Answer | None:
    if s.token.type == "LBRACE" and {"NAME", "EQUAL"} <= s.accepted:
        return Answer(f"a block has a name: `{s.previous} name {{ ... }}`", "expected a name, found `{`")
    return None


def _body(s: Surprise) -> Answer | None:
    if "LBRACE" not in s.accepted or s.takes_value:
        return None
    if brace_follows(s):
        return Answer("put the `{` of the next line at the end of this one")
    if s.ends_line:
        return Answer("end it with its body, which may be empty: `{ }`", f"expected `{{`, found {_found_end(s)}")
    return Answer("a body stands in braces: `{ ... }`")


def _keyword(s: Surprise) -> Answer | None:
    known = [k for k in KEYWORDS if k.upper() in s.accepted]
    meant = did_you_mean(s.token, known) if s.token.type == "NAME" else None
    return None if meant is None else Answer(meant)


def _separator(s: Surprise) -> Answer | None:
    """Two things on one line without anything between them."""
    if "_SEP" not in s.accepted or s.previous is None or s.previous.line != s.token.line:
        return None
    if s.token.type not in ("NAME", "NUMBER", "QUANTITY", "STRING", "RETURN", "LET", "BLOCK", "REPEAT", "LSQB"):
        return None
    if s.opened is not None and s.opened.type in ("LPAR", "LSQB"):
        return Answer(f"put a `,` before `{s.token}`")
    return Answer(f"begin a new line, or put a `;` before `{s.token}`")


_RULES: tuple[Rule, ...] = (
    _foreign_statement,
    _nested_definition,
    _block_comment,
    _unclosed,
    _dangling,
    _colon,
    _equals,
    _power,
    _list,
    _leading_point,
    _path,
    _repeat,
    _remainder,
    _arrow,
    _named_block,
    _body,
    _keyword,
    _separator,
    _end_of_file,
)


def _general(s: Surprise) -> str:
    """The way out by where the surprise is."""
    if "NETWORK" in s.accepted:
        return "a file is made of `import`, `let`, `network`, `block`, `machine`, `recipe` and `schedule`"
    if s.ends_line and s.takes_value:
        return f"write a value after `{s.previous}`"
    if s.opened is not None and s.opened.type == "LPAR":
        return "a call is written `name(tensor, option = value)`, with a `,` between its arguments"
    if s.opened is not None and s.opened.type == "LSQB":
        return "a list is written `[1, 2]`, with a `,` between its elements"
    if s.opened is not None and s.opened.type == "LBRACE":
        return "a statement is written `name = value` or `name = layer(tensor, option = value)`, each on its own line"
    return "`hapir new NAME` writes a whole spec to begin with"


def _closing(bracket: Token) -> str:
    return {"LPAR": ")", "LSQB": "]", "LBRACE": "}"}[bracket.type]


def _found_end(s: Surprise) -> str:
    return "the end of the file" if s.token.type == "$END" else "the end of the line"


def _rest(text: str) -> str:
    """A value as it goes on to the next separator, shortened."""
    value = re.split(r"[,;)}\n]|//", text)[0].strip() or "value"
    return value if len(value) <= 30 else "..."
