"""The grammar's rules for readers: `hap.lark` without the separators that say nothing to a person.

`X ...` stands for any number of X, each on a line of its own or parted by `,` or `;`. What else is printed is EBNF:
`?` for optional, `*` for any number, `|` for alternatives, words in quotes as they are written, names in capitals for
what the list of terminals explains.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

_RULE = re.compile(r"^(?P<name>[?!]?_?[a-z]\w*):(?P<body>.*(?:\n[ \t]+.*)*)", re.MULTILINE)
_WORD = re.compile(r"^([A-Z]+): (\"[^\"]+\")$", re.MULTILINE)
_LIST = re.compile(r"(?:_SEP\? )?\(?(\w+) \(_SEP \1\)\*(?: _SEP\?)?(\)\?)?")

TERMINALS = {
    "NAME": "letters, digits and `_`, not beginning with a digit; dots join the parts of a hierarchical name",
    "NUMBER": "digits, with a point and an exponent where wanted: `3`, `0.5`, `1e-5`",
    "QUANTITY": "a number and a unit of the list of units: `200 MHz`, `50 %`",
    "STRING": 'text in double quotes on one line; `\\"` and `\\\\` stand for `"` and `\\`',
    "MEMBER": "a dot and a name behind an index: `.c1` in `block[2].c1`",
}
"""The terminals that are no fixed words, explained."""


@dataclass(frozen=True)
class Rule:
    """One rule: its name, and what it stands for, as a person reads it."""

    name: str
    body: str

    def __str__(self) -> str:
        return f"{self.name}: {self.body}"


def rules() -> dict[str, Rule]:
    """The rules of the language by name, in the order of the grammar."""
    text = re.sub(r"//[^\n]*", "", (files("hapir.spec") / "hap.lark").read_text(encoding="utf-8"))
    words = dict(_WORD.findall(text))
    written = [match["name"].lstrip("?!") for match in _RULE.finditer(text)]
    # lark's marks go; where that makes two rules one, the inner one is named for what it holds
    names = {n: f"{n[1:]}_items" if n[0] == "_" and n[1:] in written else n.lstrip("_") for n in written}
    found = [
        Rule(names[n], _readable(m["body"], words, names)) for n, m in zip(written, _RULE.finditer(text), strict=True)
    ]
    return {rule.name: rule for rule in found}


def terminals() -> list[str]:
    """The terminals that rules use and that are no fixed words."""
    used = {word for rule in rules().values() for word in re.findall(r"\b[A-Z]{2,}\b", _unquoted(rule.body))}
    return sorted(used)


def _readable(body: str, words: dict[str, str], names: dict[str, str]) -> str:
    """What a rule stands for, its terminals and rules by their names for readers."""
    text = " ".join(body.split())
    text = _LIST.sub(lambda m: f"{m[1]} ...", text)
    text = re.sub(r"_SEP\?? ?", "", text)
    text = re.sub(r"\b[A-Z]+\b", lambda m: words.get(m[0], m[0]), text)
    text = re.sub(r"(?<![\w\"])[a-z_]\w*", lambda m: names.get(m[0], m[0]), text)
    return " ".join(text.split()).replace("( ", "(").replace(" )", ")")


def _unquoted(body: str) -> str:
    return re.sub(r'"[^"]*"', "", body)
