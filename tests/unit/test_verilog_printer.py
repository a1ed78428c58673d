"""Printed circuits compute what the IR says, tools have nothing to complain about, and errors are clear."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from xdsl.dialects import test
from xdsl.dialects.builtin import ModuleOp, StringAttr

from hapir.diagnostics import HapirError
from hapir.lowering.rtl.builder import Module
from hapir.targets.verilog.lint import lint
from hapir.targets.verilog.printer import print_files, print_verilog
from hapir.targets.verilog.simulate import Design, build_many
from tests.unit.verilog_circuits import KINDS, STEPS, WORD, draw_circuit, expected_words

CIRCUITS = 24


def test_random_circuits_compute_what_the_interpreter_says() -> None:
    circuits = [draw_circuit(seed) for seed in range(CIRCUITS)]
    drawn = sum((Counter(circuit.count) for circuit in circuits), Counter[str]())
    assert min(drawn[kind] for kind in KINDS) >= 3
    for circuit in circuits:
        circuit.module.verify()
    designs = [Design(print_files(circuit.module), "top", WORD, 7) for circuit in circuits]
    rng = np.random.default_rng(1)
    for seed, (circuit, simulation) in enumerate(zip(circuits, build_many(designs, optimize=False), strict=True)):
        image = rng.integers(0, 256, 2 * STEPS * WORD // 8, dtype=np.uint8)
        words = [int.from_bytes(row.tobytes(), "little") for row in image.reshape(-1, WORD // 8)[:STEPS]]
        result = simulation.run(image, 1, 1000)
        found = [int.from_bytes(row.tobytes(), "little") for row in result.memory.reshape(-1, WORD // 8)[STEPS:]]
        assert found == expected_words(circuit, words), f"circuit {seed}"


@pytest.mark.parametrize("seed", range(100, 100 + CIRCUITS))
def test_random_circuits_are_clean(seed: int) -> None:
    assert lint(print_files(draw_circuit(seed, 40).module), "top") == []


@pytest.mark.slow
def test_yosys_reads_random_circuits() -> None:
    for seed in range(3):
        assert lint(print_files(draw_circuit(seed).module), "top", ["yosys"]) == []


def _module(build: str = "m") -> Module:
    return Module(build, {"x": 8, "y": 8})


def _text(m: Module) -> str:
    return print_verilog(ModuleOp([m.finish()]))


def test_one_file_and_many_files_hold_the_same_modules() -> None:
    circuit = draw_circuit(3)
    files = print_files(circuit.module)
    assert list(files) == ["reg_.v", "dut.v", "top.v"]
    whole = print_verilog(circuit.module)
    for text in files.values():
        body = text.partition("`default_nettype none\n")[2].partition("`default_nettype wire")[0]
        assert body.strip() in whole
    assert lint({"all.v": whole}, "top") == []


def test_text_is_the_same_each_time() -> None:
    assert print_verilog(draw_circuit(7).module) == print_verilog(draw_circuit(7).module)


def test_what_nobody_reads_is_left_out() -> None:
    m = _module()
    dead = m.reg("dead", 8)
    dead.set(dead + m["y"])
    m.output("z", m["x"])
    text = _text(m)
    assert "dead" not in text
    assert "&{1'b0, clk, rst, y}" in text


def test_comparisons_that_cannot_fail_are_constants() -> None:
    m = _module()
    m.output("never", m["x"].ult(0))
    m.output("always_", m["x"].uge(0))
    m.output("sometimes", m["x"].uge(1))
    files = {"m.v": _text(m)}
    assert "assign never = 1'b0;" in files["m.v"]
    assert "assign always_ = 1'b1;" in files["m.v"]
    assert lint(files) == []


def test_a_product_stays_signed() -> None:
    m = _module()
    m.output("p", m.mul(m["x"], m["y"], lhs_signed=True, rhs_signed=True))
    assert "wire signed [15:0] product = $signed(x) * $signed(y);" in _text(m)


def test_long_choices_are_laid_out_over_lines() -> None:
    m = _module()
    value = m["x"]
    for n in range(6):
        value = m.mux(m["y"].eq(n), m["x"] + n, value)
    m.output("z", value)
    text = _text(m)
    assert "      (y == 8'd5) ? (x + 8'd5) :\n" in text
    assert max(map(len, text.splitlines())) <= 120


def test_comments_are_no_commands() -> None:
    m = Module("m", {"x": 1}, doc="verilator lint_off WIDTH\nSynopsys translate_off")
    m.output("z", m["x"])
    text = _text(m)
    assert "// - verilator lint_off" in text
    assert "// - Synopsys" in text


def test_output_of_its_own_name_is_the_register() -> None:
    m = _module()
    reg = m.reg("count", 8)
    reg.set(reg + 1)
    m.output("count", reg)
    text = _text(m)
    assert "output reg  [7:0] count" in text
    assert "count <= count + 8'd1;" in text
    assert lint({"m.v": text}) == []


def test_unknown_op_is_named() -> None:
    m = _module()
    m.output("z", m.emit(test.TestOp(operands=[m["x"].value], result_types=[m["x"].value.type])))
    with pytest.raises(HapirError, match=r"HAP0741.*test.op"):
        _text(m)


def test_undriven_register_is_named() -> None:
    m = _module()
    m.output("z", m.reg("lonely", 8))
    with pytest.raises(HapirError, match=r"HAP0743.*lonely"):
        _text(m)


def test_foreign_module_op_is_named() -> None:
    with pytest.raises(HapirError, match=r"HAP0741.*builtin.module"):
        print_verilog(ModuleOp([ModuleOp([])]))


def test_comment_of_a_module_is_printed() -> None:
    m = _module()
    m.output("z", m["x"])
    op = m.finish()
    op.attributes["comment"] = StringAttr("One.\nTwo.")
    assert "// One.\n// Two.\nmodule m (" in print_verilog(ModuleOp([op]))
