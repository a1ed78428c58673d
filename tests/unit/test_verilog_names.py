"""Any text gives a legal name, and no two nets of a module share one."""

from __future__ import annotations

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp

from hapir.lowering.rtl.builder import Module
from hapir.targets.verilog.lint import lint
from hapir.targets.verilog.names import RESERVED, Names, mangle
from hapir.targets.verilog.printer import print_files, verilog_names

IN_IR = ("int", "reg", "module", "self", "a.b", "a_b", "end", "a_b_2", "class", "main", "_", "unused_ok", "dut")
NASTY = (*IN_IR, "a/b", "", "0", "é", "x y", "$display")


@given(st.text())
@example("")
@example("9lives")
@example("module")
def test_mangled_text_is_a_simple_identifier(text: str) -> None:
    name = mangle(text)
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
    assert name not in RESERVED
    assert mangle(name) == name


@given(st.lists(st.sampled_from(NASTY) | st.text(max_size=4), max_size=40))
def test_a_scope_keeps_names_apart(texts: list[str]) -> None:
    scope = Names()
    given_names = [scope.fresh(text) for text in texts]
    assert len(set(given_names)) == len(texts)
    assert all(name in scope for name in given_names)


def test_the_first_gets_the_plain_name() -> None:
    scope = Names(["clk"])
    assert [scope.fresh(text) for text in ("a.b", "a_b", "a_b_2", "clk")] == ["a_b", "a_b_2", "a_b_2_2", "clk_2"]


_legal_in_ir = st.from_regex(r"[ab_.$-][ab_.$0-]{0,2}", fullmatch=True)


@given(st.lists(st.sampled_from(IN_IR) | _legal_in_ir, min_size=2, max_size=12, unique=True))
@settings(max_examples=20, deadline=None)
def test_circuits_with_any_names_are_clean(labels: list[str]) -> None:
    inner = Module(labels[0], {f"{label}": 2 for label in labels if label not in ("clk", "rst")}, doc="Inner.")
    for label in labels:
        register = inner.reg(label, 2)
        register.set(register + inner[label])
        inner.output(f"{label}.out", register)
    outer = Module(labels[1], {"x": 2})
    found = outer.instance(inner, labels[-1], **dict.fromkeys(labels, outer["x"]))
    outer.output(labels[0], outer.cat(*found.values()))
    module = ModuleOp([inner.finish(), outer.finish()])
    assert lint(print_files(module), verilog_names(module)[labels[1]]) == []
