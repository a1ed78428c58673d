"""`hapir opt`: clean errors, IR around passes on stderr, times, weights beside the IR, chunks, atomic output."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdsl.ir import Attribute

from hapir.weights import WeightStore
from tests.projects import Outcome, run_main, write_project
from tests.unit.opt_passes import IR, registered

BAD_IR = """\
"nn.network"() <{sym_name = "n", function_type = () -> (), input_names = [], result_names = []}> ({
  %x = "test.op"() : () -> tensor<1x4xf32>
  %y = "nn.relu"(%x) : (tensor<1x4xf32>) -> tensor<1x5xf32>
  %z = "nn.relu"(%x) : (tensor<1x4xf32>) -> tensor<1x6xf32>
  nn.return
}) : () -> ()
"""
"""Two operations that do not verify, in lines 3 and 4."""


@pytest.fixture(autouse=True)
def _passes() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture
def ir(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.mlir"
    path.write_text(IR)
    return path


def _refused(outcome: Outcome, *words: str) -> None:
    assert outcome.code == 1
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert [word for word in words if word not in outcome.err] == []


def _banners(outcome: Outcome) -> list[str]:
    return re.findall(r"^// === IR (.*) ===$", outcome.err, re.MULTILINE)


def test_ir_goes_through_unchanged(ir: Path) -> None:
    first = run_main("opt", ir)
    assert first.code == 0
    ir.write_text(first.out)
    assert run_main("opt", ir).out == first.out


def test_a_spec_is_an_input(tmp_path: Path) -> None:
    outcome = run_main("opt", write_project(tmp_path), "-p", 'quantize{calibration="calib.npz"},fuse')
    assert outcome.code == 0
    assert 'dataflow.layer "c1"' in outcome.out
    assert "dataflow.schedule @on_m" in outcome.out


def test_standard_input_is_an_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def feed(text: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text), encoding="utf-8"))

    feed(IR.encode())
    assert "nn.relu" in run_main("opt").out
    feed(b"hap 1\nnetwork n(x: f32[1, 4]) -> f32[1, 4] { return relu(x) }\n")
    assert "nn.relu" in run_main("opt", "-f", "hap").out
    feed(IR.replace("nn.relu", "nn.relo").encode())
    _refused(run_main("opt", "-"), "<stdin>:2:8", "%y = nn.relo %x", "did you mean `nn.relu`?")


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        ("fuze", ["HAP0203", "-p:1:1", "did you mean `fuse`?"]),
        ("fuse{", ["HAP0850", "-p:1:6"]),
        ("round_weights", ["HAP0206", "`format`"]),
        ('quantize{calibration="none.npz"}', ["HAP0401", "none.npz", "-p:1:1"]),
        ("cse,refuse_in_test", ["HAP0590", "`refuse_in_test` cannot be applied: not with me", "-p:1:5"]),
        ("refuse_op_in_test", ["HAP0590", "not this one", '"nn.relu"(%x)']),
        ("refuse_op_in_test{placed=true}", ["HAP0502", "tiny.mlir:2:3", "-p:1:1", "in this step"]),
        ("corrupt_in_test", ["HAP0591", "`corrupt_in_test` left invalid IR: nn.relu gives", "tiny.mlir:2:3", "-p:1:1"]),
        ("corrupt_in_test{lost=true}", ["HAP0591", "the operation is `%y = nn.relu %x"]),
    ],
)
def test_pipeline_errors_are_clean(tmp_path: Path, ir: Path, pipeline: str, words: list[str]) -> None:
    output = tmp_path / "out.mlir"
    source = write_project(tmp_path) if "quantize" in pipeline else ir
    outcome = run_main("opt", source, "-p", pipeline, "-o", output)
    _refused(outcome, *words)
    assert "nn.network" not in outcome.err  # the operation is shown, and not the module around it
    assert not output.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["HAP0852", "the input is empty"]),
        ("// only words\n", ["HAP0852"]),
        ("\n  nn.relu 5", ["HAP0852", "tiny.mlir:2:11", "  nn.relu 5\n  |           ^"]),
        ("%a, %b = nonsense.op", ["HAP0852", "there is no operation `nonsense.op`", "tiny.mlir:1:10"]),
        ("nn.xyz", ["there is no operation `nn.xyz`", "--allow-unregistered-dialect"]),
        ('%m = rtl.memory "m" : !rtl.memory_type<0 of 8>', ["HAP0852", "got 0 of 8", "tiny.mlir:1:23"]),
        (BAD_IR, ["HAP0853", "tiny.mlir:3:3", "tiny.mlir:4:3", "nn.relu gives"]),
        ("nn.return", ["HAP0853", "'nn.return' expects parent op 'nn.network'", "tiny.mlir:1:1"]),
        ("test.op(" * 4000, ["HAP0852"]),
        ("\r\n// a\rb\n%x = nn.relo", ["tiny.mlir:3:6", "3 | %x = nn.relo\n  |      ^^^^^^^"]),
        ('nn.relu "x"', ["HAP0852", "tiny.mlir:1:9", "        ^^^\n"]),
        ('"' + "x" * 4000, ["HAP0852", "string literal", "tiny.mlir:1:1"]),
    ],
)
def test_input_errors_are_clean(ir: Path, text: str, words: list[str]) -> None:
    ir.write_bytes(text.encode())
    _refused(run_main("opt", ir), *words)


def test_unreadable_inputs_are_clean(tmp_path: Path, ir: Path) -> None:
    _refused(run_main("opt", tmp_path / "tony.mlir"), "HAP0851", "no such file", "did you mean `tiny.mlir`?")
    _refused(run_main("opt", tmp_path), "HAP0851", "is a directory")
    _refused(run_main("opt", "\0"), "HAP0851")
    (tmp_path / "a.xyz").write_text("")
    _refused(run_main("opt", tmp_path / "a.xyz"), "HAP0851", "`.xyz`", "-f")
    (tmp_path / "bytes.mlir").write_bytes(b"\xff\xfe\x00")
    _refused(run_main("opt", tmp_path / "bytes.mlir"), "HAP0851", "UTF-8")
    (tmp_path / "bytes.hap").write_bytes(b"\xff\xfe\x00")
    _refused(run_main("opt", tmp_path / "bytes.hap"), "UTF-8")
    _refused(run_main("opt", ir, "--weights", tmp_path / "none.npz"), "HAP0401")


@pytest.mark.parametrize("option", ["-o", "--save-weights"])
def test_unwritable_outputs_are_clean(tmp_path: Path, ir: Path, option: str) -> None:
    _refused(run_main("opt", ir, option, tmp_path), "HAP0884", "cannot write")
    _refused(run_main("opt", ir, option, tmp_path / "none" / "x"), "HAP0884", "cannot write")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("riscv-asm", ["HAP0855", "the target `riscv-asm` cannot print this module"]),
        ("verilogg", ["HAP0790", "-t:1:1", "did you mean `verilog`?"]),
        ("c{weigths=true}", ["HAP0204", "-t:1:3", "did you mean `weights`?"]),
        ("c{weights=3}", ["HAP0304", "true or false, not 3"]),
        ("c{", ["HAP0850"]),
        ("c,mlir", ["HAP0850", "one target"]),
        ("", ["HAP0850", "one target"]),
    ],
)
def test_target_errors_are_clean(ir: Path, target: str, words: list[str]) -> None:
    _refused(run_main("opt", ir, "-t", target), *words)


def test_wrong_usage_is_2(ir: Path) -> None:
    outcome = run_main("opt", ir, "--print-ir-after-al")
    assert outcome.code == 2
    assert "unrecognized arguments: --print-ir-after-al" in outcome.err


def test_an_interrupted_pass_ends_the_run(ir: Path) -> None:
    outcome = run_main("opt", ir, "-p", "interrupt_in_test")
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "interrupted\n")


def test_diagnostics_as_json(ir: Path) -> None:
    ir.write_text(BAD_IR)
    outcome = run_main("opt", ir, "--format", "json")
    assert outcome.code == 1
    assert [(d["code"], d["span"]["line"]) for d in outcome.json["diagnostics"]] == [("HAP0853", 3), ("HAP0853", 4)]
    assert run_main("opt", ir, "--color", "always").err.startswith("\x1b[")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--print-ir-before-all"], ["before quantize (pass 1 of 3)", "before cse (pass 2 of 3)", "before fuse (pass"]),
        (["--print-ir-after-all"], ["after quantize (pass 1 of 3)", "after cse (pass 2 of 3)", "after fuse (pass 3"]),
        (["--print-between-passes"], ["after quantize", "after cse", "after fuse"]),
        (["--print-ir-after-change"], ["after quantize", "after fuse"]),
        (["--print-ir-before=fuse"], ["before fuse"]),
        (["--print-ir-before", "fuse", "--print-ir-before=cse"], ["before cse", "before fuse"]),
        (["--print-ir-after=cse"], ["after cse"]),
        (
            ["--print-ir-after", "cse,quantize", "--print-ir-before", "cse"],
            ["after quantize", "before cse", "after cse"],
        ),
        (["--print-ir-after-failure"], []),
    ],
)
def test_ir_around_passes_goes_to_stderr(tmp_path: Path, options: list[str], expected: list[str]) -> None:
    spec = write_project(tmp_path)
    pipeline = 'quantize{calibration="calib.npz"},cse,fuse'
    outcome = run_main("opt", spec, "-p", pipeline, *options)
    assert outcome.out == run_main("opt", spec, "-p", pipeline).out
    found = _banners(outcome)
    assert len(found) == len(expected)
    assert [found for found, start in zip(found, expected, strict=True) if not found.startswith(start)] == []
    assert outcome.err.count("builtin.module") == len(expected)


def test_printed_ir_is_that_of_its_moment(ir: Path) -> None:
    outcome = run_main("opt", ir, "-p", "rename_in_test", "--print-ir-before-all", "--print-ir-after-change")
    before, after = outcome.err.split("// === IR after")
    assert ("@tiny" in before, "@renamed" in before) == (True, False)
    assert ("@tiny" in after, "@renamed" in after) == (False, True)
    generic = run_main("opt", ir, "-p", "cse", "--print-ir-after-all", "--print-op-generic")
    assert '"nn.relu"(%x)' in generic.err


def test_ir_after_a_failure(ir: Path) -> None:
    outcome = run_main("opt", ir, "-p", "cse,corrupt_in_test", "--print-ir-after-failure", "--print-ir-after-all")
    assert _banners(outcome) == ["after cse (pass 1 of 2)", "after failed corrupt_in_test (pass 2 of 2)"]
    assert "tensor<9xf32>" in outcome.err


def test_passes_whose_ir_cannot_be_printed(ir: Path) -> None:
    _refused(run_main("opt", ir, "--print-ir-after=fuze"), "HAP0203", "did you mean `fuse`?")
    outcome = run_main("opt", ir, "-p", "cse", "--print-ir-before=fuse")
    assert outcome.code == 0
    assert "warning[HAP0863]" in outcome.err
    assert "it runs cse" in outcome.err


def test_times_go_to_stderr(ir: Path) -> None:
    outcome = run_main("opt", ir, "-p", "cse,fuse,cse", "--time-passes")
    rows = [line.split(maxsplit=2) for line in outcome.err.splitlines()[2:]]
    labels = ["parse", "verify", "pass 1: cse", "pass 2: fuse", "pass 3: cse", "print", "total"]
    assert [what for _, _, what in rows] == labels
    seconds, shares = [float(row[0]) for row in rows], [float(row[1]) for row in rows]
    assert sum(seconds[:-1]) == pytest.approx(seconds[-1], abs=0.001)
    assert sum(shares[:-1]) == pytest.approx(100, abs=1)
    assert shares[-1] == 100
    assert outcome.out == run_main("opt", ir, "-p", "cse,fuse,cse").out
    assert "pass 1: refuse_in_test" in run_main("opt", ir, "-p", "refuse_in_test", "--time-passes").err


def test_what_is_verified_when(ir: Path) -> None:
    broken, mended = "corrupt_in_test", "corrupt_in_test,mend_in_test"
    for options in ([], ["--verify-each"]):
        _refused(run_main("opt", ir, "-p", mended, *options), "`corrupt_in_test` left invalid IR")
    assert run_main("opt", ir, "-p", mended, "--no-verify-each").code == 0
    _refused(run_main("opt", ir, "-p", broken, "--no-verify-each"), "HAP0591", "the pipeline left invalid IR")
    assert run_main("opt", ir, "-p", broken, "--disable-verify").code == 0
    ir.write_text(BAD_IR)
    _refused(run_main("opt", ir, "--no-verify-each"), "HAP0853")
    assert run_main("opt", ir, "--disable-verify").code == 0


def test_disabled_verification_ends_with_the_run(ir: Path) -> None:
    before = Attribute.__post_init__
    ir.write_text('%m = rtl.memory "m" : !rtl.memory_type<0 of 8>')
    run_main("opt", ir, "--disable-verify")
    assert Attribute.__post_init__ is before
    _refused(run_main("opt", ir), "got 0 of 8")


def test_weights_travel_beside_the_ir(tmp_path: Path) -> None:
    spec, weights, half = write_project(tmp_path), tmp_path / "half.safetensors", tmp_path / "half.mlir"
    quantize = 'quantize{calibration="calib.npz"}'
    whole = run_main("opt", spec, "-p", f"{quantize},fuse")
    assert run_main("opt", spec, "-p", quantize, "-o", half, "--save-weights", weights).code == 0
    rest = run_main("opt", half, "--weights", weights, "-p", "fuse,touch_in_test", "--save-weights", weights)
    assert rest.out == whole.out
    named = set(re.findall(r'nn\.weight "([^"]+)"|per_channel<[^,]*, \d+, "([^"]+)"', rest.out))
    # neither the floats that were replaced nor what a pass put there without naming it
    assert set(WeightStore.load(weights)) == {one or other for one, other in named}
    assert "c1.weight.integer" in WeightStore.load(weights)


def test_chunks_are_modules_of_their_own(ir: Path) -> None:
    ir.write_text(f"// a head\n// -----\n{IR}// -----\n{IR.replace('@tiny', '@other')}// ----- -----\n")
    outcome = run_main("opt", ir, "--split-input-file", "-p", "touch_in_test", "--print-ir-after-all")
    assert outcome.code == 0  # a chunk does not see the weights of another
    parts = outcome.out.split("// -----\n")
    assert ["@tiny" in parts[0], "@other" in parts[1], len(parts)] == [True, True, 2]
    assert _banners(outcome) == [f"after touch_in_test (pass 1 of 1, chunk {n} of 4)" for n in (2, 3)]


def test_errors_of_all_chunks_are_shown_where_they_are(ir: Path, tmp_path: Path) -> None:
    ir.write_text(f"{IR}// -----\nnn.relu 5\n// -----\n{BAD_IR}")
    outcome = run_main("opt", ir, "--split-input-file")
    _refused(outcome, "tiny.mlir:6:9", "6 | nn.relu 5", "tiny.mlir:10:3", "tiny.mlir:11:3")
    _refused(run_main("opt", ir, "--split-input-file", "--save-weights", tmp_path / "w"), "HAP0854")


def test_a_spec_is_split_as_well(tmp_path: Path) -> None:
    spec = tmp_path / "two.hap"
    network = "network n(x: f32[1, 4]) -> f32[1, 4] { return relu(x) }"
    spec.write_text(f"hap 1\n{network}\n// -----\nhap 1\n{network.replace(' n(', ' m(')}\n")
    outcome = run_main("opt", spec, "--split-input-file")
    assert ("@n" in outcome.out, "@m" in outcome.out) == (True, True)
    spec.write_text(f"hap 1\n{network}\n// -----\nhap 1\n{network.replace('relu', 'rely')}\n")
    _refused(run_main("opt", spec, "--split-input-file"), "HAP0201", "two.hap:5:47", "did you mean `relu`?")


def test_warnings_of_a_spec_are_shown(tmp_path: Path) -> None:
    spec = tmp_path / "w.hap"
    spec.write_text("hap 1\nnetwork n(x: f32[1, 4]) -> f32[1, 4] {\n    unused = relu(x)\n    return relu(x)\n}\n")
    outcome = run_main("opt", spec)
    assert outcome.code == 0
    assert "warning[HAP0220]" in outcome.err
    assert "w.hap:3:5" in outcome.err


def test_shrinking(ir: Path) -> None:
    can = run_main("opt", ir, "-p", "shrink_in_test", "--shrink")
    assert (can.code, can.out) == (0, "Success, can shrink\n")
    cannot = run_main("opt", ir, "-p", "cse", "--shrink")
    assert cannot.code == 1
    assert "Failure, can't shrink" in cannot.out


def test_operations_have_the_place_of_their_text(ir: Path) -> None:
    ir.write_text(IR.replace("  nn.return", "\n  \tnn.return"))
    shown = run_main("opt", ir, "--print-debuginfo").out
    assert re.findall(r'loc\("tiny.mlir":(\d+):(\d+)\)', shown) == [("2", "3"), ("4", "4"), ("1", "1"), ("1", "1")]
    ir.write_text(IR.replace("-> tensor<1x4xf32>\n", '-> tensor<1x4xf32> loc("other.hap":7:9)\n', 1))
    assert 'loc("other.hap":7:9)' in run_main("opt", ir, "--print-debuginfo").out


def test_help_has_all_options_in_groups() -> None:
    outcome = run_main("opt", "--help")
    assert outcome.code == 0
    for word in ("watching passes", "--print-ir-after-change", "--crash-reproducer", "examples:", "Exit code"):
        assert word in outcome.out
    assert all(len(line) <= 120 for line in outcome.out.splitlines())
    assert re.match(r"hapir \S+ xdsl \S+", run_main("opt", "--version").out)
