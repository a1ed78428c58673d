"""Names become legal, distinct C identifiers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.targets.c.mangle import HEADERS, KEYWORDS, LIBRARY, Names, mangle

LEGAL = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@pytest.mark.parametrize(
    "name", ["int", "a.b", "1x", "", "_", "__x", "größe", "λ", "memcpy", "string", "a b", "x" * 300]
)
def test_nasty_names_are_legal(name: str):
    identifier = mangle(name)
    assert LEGAL.fullmatch(identifier)
    assert identifier not in KEYWORDS | LIBRARY | HEADERS
    assert "__" not in identifier


def test_a_legal_name_is_kept():
    assert mangle("conv1_weight") == "conv1_weight"


def test_names_that_collide_are_told_apart():
    names = Names()
    assert [names.fresh(n) for n in ("a.b", "a_b", "a-b", "a_b_2")] == ["a_b", "a_b_2", "a_b_3", "a_b_2_2"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.text(max_size=60), st.sampled_from(sorted(KEYWORDS | LIBRARY)), st.text("a._", max_size=4)))
)
def test_any_names_are_legal_and_distinct(wanted: list[str]):
    names = Names()
    found = [names.fresh(name) for name in wanted]
    assert len(set(found)) == len(found)
    assert all(LEGAL.fullmatch(f) and f not in KEYWORDS | LIBRARY and "__" not in f for f in found)
