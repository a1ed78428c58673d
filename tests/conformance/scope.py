"""Which cases count: those of the operators and types in `ops.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from tests.conformance.cases import Case

FILE = Path(__file__).parent / "ops.toml"


@cache
def _scope() -> tuple[frozenset[str], frozenset[str]]:
    data: dict[str, Any] = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return frozenset(op for family in data["operators"].values() for op in family), frozenset(data["types"])


def operators() -> frozenset[str]:
    """The operators that count."""
    return _scope()[0]


def excluded(case: Case) -> str | None:
    """Why a case does not count; None where it does."""
    listed, types = _scope()
    if case.kind != "node":
        return "a model"
    if "_expanded" in case.name:
        return "expanded"
    others = [op for op in case.ops if op not in listed]
    if others:
        return f"operator {others[0]}"
    others = [name for name in case.types if name not in types]
    return f"type {others[0]}" if others else None


def subject(case: Case) -> str:
    """The operator that a case is about: its own, or that whose expansion it is; the kind for models."""
    if case.kind != "node":
        return case.kind
    if "_expanded" in case.name:
        return "expanded functions"
    return case.ops[0] if len(case.ops) == 1 else "several"
