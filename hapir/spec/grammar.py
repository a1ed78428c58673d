"""The parser of the language: `hap.lark` with the closed list of units, as LALR tables.

Making the tables takes some 100 ms, a good part of `hapir check`, so they are kept in the cache. The cache may only
save time: where it cannot be used, or holds something else, the tables are made anew.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import lark
from lark import Lark

from hapir.cache import cached_file
from hapir.spec.units import UNITS

NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
"""The pattern of a number; a quantity is one with a unit behind it."""


@cache
def grammar() -> Lark:
    """The LALR parser."""
    text = grammar_text()
    made_from = (text, lark.__version__, sys.version)
    try:
        with cached_file("grammar", made_from, ".tables", lambda folder: _save(text, folder)).open("rb") as stored:
            return cast(Any, Lark).load(stored)
    except Exception:  # no cache, or a damaged file: unpickling raises many types
        return build(text)


def grammar_text() -> str:
    """`hap.lark` with the token of quantities, which is made of the list of units."""
    quantity = quantity_pattern().replace("/", r"\/")
    text = (files("hapir.spec") / "hap.lark").read_text(encoding="utf-8")
    return text.replace("%declare QUANTITY", f"QUANTITY.2: /{quantity}/")


def quantity_pattern() -> str:
    """The pattern of a quantity, made of the list of units; `8 B/16` is none, while a comment may follow at once."""
    units = "|".join(re.escape(unit) for unit in sorted(UNITS, key=lambda u: (-len(u), u)) if unit != "%")
    return rf"{NUMBER}[ \t]*(?:%|(?:{units})(?![A-Za-z0-9_]|/(?!/)))"


def build(text: str, debug: bool = False) -> Lark:
    """The parser of a grammar; with `debug`, lark logs the conflicts it resolves."""
    return Lark(text, start="file", parser="lalr", propagate_positions=True, maybe_placeholders=False, debug=debug)


def _save(text: str, folder: Path) -> Path:
    path = folder / "grammar"
    with path.open("wb") as stream:
        cast(Any, build(text)).save(stream)
    return path
