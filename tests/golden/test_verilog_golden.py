"""The text of small circuits, to be read by people: one golden file for each.

`pytest tests/golden/test_verilog_golden.py --update-golden` writes the expected texts anew; read the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from xdsl.dialects.builtin import ModuleOp

from hapir.lowering.rtl.builder import Module
from hapir.targets.verilog.lint import lint
from hapir.targets.verilog.printer import print_verilog
from tests.unit.verilog_toy import adder

FOLDER = Path(__file__).parent / "verilog"


def _processing_element() -> ModuleOp:
    """A multiply-accumulate unit with double-buffered weights, and a row of two."""
    pe = Module("pe", {"a": 8, "weight": 8, "load": 1, "swap": 1, "psum": 32}, doc="A weight-stationary unit.")
    shadow = pe.reg("shadow", 8, None)
    shadow.set(pe["weight"], pe["load"])
    active = pe.reg("active", 8, None)
    used = pe.mux(pe["swap"], shadow, active).named("used")
    active.set(used)
    total = pe.reg("total", 32, None)
    total.set(pe["psum"] + pe.mul(pe["a"], used, lhs_signed=False, rhs_signed=True).sext(32))
    pe.output("total", total)
    row = Module("row", {"a": 8, "weights": 16, "load": 1, "swap": 1})
    psum = row.const(0, 32)
    for n in range(2):
        pins = {"a": row.delay(row["a"], n, f"a_{n}"), "weight": row["weights"].bits(8 * n, 8), "psum": psum}
        psum = row.instance(pe, f"pe_{n}", load=row["load"], swap=row["swap"], **pins)["total"]
    row.output("sum", psum.bits(4, 20))
    return ModuleOp([pe.finish(), row.finish()])


def _buffer() -> ModuleOp:
    """A memory with byte lanes, a table, a counter and a long delay."""
    m = Module("buffer", {"data": 32, "mask": 4, "write": 1, "step": 1}, doc="A ring of sixteen words.")
    place = m.reg("place", 4)
    place.set(place + 1, m["step"])
    memory = m.memory("ring", 16, 32)
    memory.write(place, m["data"], m["write"], m["mask"])
    factor = m.rom("factors", place.bits(0, 2), [3, 0, 0x12345678, 7], 32)
    m.output("word", m.delay(memory.read(place, "word"), 3, "late") ^ factor)
    m.output("last", place.eq(15))
    return ModuleOp([m.finish()])


CIRCUITS: dict[str, Callable[[], ModuleOp]] = {
    "processing_element": _processing_element,
    "buffer": _buffer,
    "adder": lambda: adder(32, 10),
}


@pytest.mark.parametrize("name", CIRCUITS)
def test_text(name: str, request: pytest.FixtureRequest) -> None:
    text = print_verilog(CIRCUITS[name]())
    expected = FOLDER / f"{name}.v"
    if request.config.getoption("--update-golden"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CIRCUITS)
def test_golden_text_is_clean(name: str) -> None:
    tops = {"processing_element": "row"}
    assert lint({f"{name}.v": (FOLDER / f"{name}.v").read_text(encoding="utf-8")}, tops.get(name)) == []
