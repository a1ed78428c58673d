"""Globs over layer names."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapir.selectors import matches, selected
from hapir.spec.frames import indexed


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("c1", ["c1"], ["c11", "ac1", "c2", "C1"]),
        ("c*", ["c", "c1", "c1.relu", "c\n"], ["a.c1"]),
        ("stage2.*.c1", ["stage2.block1.c1", "stage2.a.b.c1"], ["stage2.c1", "stage2xblock1.c1"]),
        ("c?", ["c1", "cx"], ["c", "c12"]),
        ("s[10].c", ["s10.c"], ["s1.c", "s0.c", "s[10].c"]),
        ("c1[2]", ["c1_2"], ["c12"]),
        ("x[ 2 , 3 ]", ["x2_3"], ["x23"]),
        ("*[2]", ["x2", "c1_2"], ["x1"]),
        ("b[1].*[2]", ["b1.c2", "b1.n1_2"], ["b2.c2"]),
        ("x[!a]", ["x[!a]"], ["xb"]),
        ("x[a-c]", ["x[a-c]"], ["xa", "xb"]),
        ("a.b+", ["a.b+"], ["axb", "a.bb"]),
    ],
)
def test_what_a_glob_selects(glob: str, yes: list[str], no: list[str]):
    assert [name for name in yes if not matches(name, glob)] == []
    assert [name for name in no if matches(name, glob)] == []


@given(st.from_regex(r"[a-z][a-z0-9]{0,3}", fullmatch=True), st.lists(st.integers(0, 99), min_size=1, max_size=3))
def test_an_index_selects_the_name_it_makes(name: str, indices: list[int]):
    assert matches(indexed(name, indices), f"{name}[{', '.join(map(str, indices))}]")


@given(st.text("ab.1_", max_size=8))
def test_a_name_selects_itself_and_a_star_everything(name: str):
    assert matches(name, name)
    assert matches(name, "*")
    assert not matches(f"{name}x", name)


@given(st.text("ab.*?", max_size=8), st.text("ab.", max_size=8))
def test_without_indices_a_glob_is_that_of_a_shell(glob: str, name: str):
    assert matches(name, glob) == fnmatchcase(name, glob)


def test_selected_keeps_the_order():
    assert selected(["c2", "n", "c1"], ["c1", "c*"]) == ["c2", "c1"]
