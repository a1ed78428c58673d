"""`hapir opt`: clean errors, IR around passes on stderr, weights beside the IR, reproducers, atomic output."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType, f32
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from hapir.context import hapir_context
from hapir.dialects.nn import NetworkOp
from hapir.registry import HAPIR
from tests.projects import Outcome, run_main, write_project

IR = """\
nn.network @tiny (%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) inputs ["x"] results ["y"] {
  %y = nn.relu %x : tensor<1x4xf32> -> tensor<1x4xf32>
  nn.return %y : tensor<1x4xf32>
}
"""


@dataclass(frozen=True)
class CrashPass(ModulePass):
    """Fails as a bug does."""

    name = "crash_in_test"
    word: str = "none"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise RuntimeError("unexpected")


@dataclass(frozen=True)
class RefusePass(ModulePass):
    """Fails as xDSL's passes do."""

    name = "refuse_in_test"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise PassFailedException("not with me")


@dataclass(frozen=True)
class CorruptPass(ModulePass):
    """Leaves IR that does not verify."""

    name = "corrupt_in_test"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for network in op.body.block.ops:
            if isinstance(network, NetworkOp):
                relu = network.body.block.first_op
                assert relu is not None
                relu.results[0]._type = TensorType(f32, [9])  # pyright: ignore[reportPrivateUsage]  # on purpose wrong


@dataclass(frozen=True)
class TouchPass(ModulePass):
    """Adds a weight to the store and leaves the IR as it is."""

    name = "touch_in_test"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        import numpy as np

        hapir_context(ctx).weights.put("touched", np.ones(1))


@pytest.fixture(autouse=True)
def _passes(monkeypatch: pytest.MonkeyPatch) -> None:
    from hapir.registry import universe

    for made in (CrashPass, RefusePass, CorruptPass, TouchPass):
        monkeypatch.setitem(universe().all_passes, made.name, lambda made=made: made)
        assert made.name not in HAPIR.all_passes


@pytest.fixture
def ir(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.mlir"
    path.write_text(IR)
    return path


def _refused(outcome: Outcome, *words: str) -> None:
    assert outcome.code == 1
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err


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


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        ("fuze", ["there is no pass `fuze`", "did you mean `fuse`?"]),
        ("fuse{n=2}", ["in the pipeline", '"n"']),
        ("fuse{", ["pass pipeline", "fuse{"]),
        ("prune", ["prune requires argument"]),
        ('quantize{calibration="none.npz"}', ["HAP0401", "none.npz"]),
        ("refuse_in_test", ["error: not with me"]),
        ("corrupt_in_test", ["`corrupt_in_test` left invalid IR"]),
    ],
)
def test_pipeline_errors_are_clean(tmp_path: Path, ir: Path, pipeline: str, words: list[str]) -> None:
    output = tmp_path / "out.mlir"
    source = write_project(tmp_path) if "quantize" in pipeline else ir
    _refused(run_main("opt", source, "-p", pipeline, "-o", output), *words)
    assert not output.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nn.relu", ["error:", "tiny.mlir"]),
        ("nonsense.op", ["nonsense.op"]),
        (IR.replace("-> tensor<1x4xf32>\n", "-> tensor<1x5xf32>\n", 1), ["error:", "1x5"]),
    ],
)
def test_input_errors_are_clean(ir: Path, text: str, words: list[str]) -> None:
    ir.write_text(text)
    _refused(run_main("opt", ir), *words)


def test_unreadable_inputs_are_clean(tmp_path: Path) -> None:
    _refused(run_main("opt", tmp_path / "no.mlir"), "cannot read")
    (tmp_path / "a.xyz").write_text("")
    _refused(run_main("opt", tmp_path / "a.xyz"), "xyz")
    (tmp_path / "bytes.mlir").write_bytes(b"\xff\xfe\x00")
    _refused(run_main("opt", tmp_path / "bytes.mlir"), "UTF-8")


def test_a_target_that_cannot_print_says_so(ir: Path) -> None:
    _refused(run_main("opt", ir, "-t", "riscv-asm"), "the target `riscv-asm` cannot print this module")


def test_ir_around_passes_goes_to_stderr(tmp_path: Path) -> None:
    spec = write_project(tmp_path)
    pipeline = 'quantize{calibration="calib.npz"},infer_nn_shapes,fuse'
    plain = run_main("opt", spec, "-p", pipeline)
    titles = {
        "--print-ir-after-all": ["after quantize", "after infer_nn_shapes", "after fuse"],
        "--print-ir-after-change": ["after quantize", "after fuse"],
        "--print-ir-before=fuse": ["before fuse"],
        "--print-ir-after=infer_nn_shapes": ["after infer_nn_shapes"],
    }
    for option, expected in titles.items():
        outcome = run_main("opt", spec, "-p", pipeline, option)
        assert outcome.out == plain.out
        assert [line[6:] for line in outcome.err.splitlines() if line.startswith("// IR ")] == expected
    assert "no pass `fuze`" in run_main("opt", spec, "--print-ir-after=fuze").err


def test_times_go_to_stderr(ir: Path) -> None:
    outcome = run_main("opt", ir, "-p", "cse,fuse", "--time-passes")
    assert [line.split()[-1] for line in outcome.err.splitlines()] == ["cse", "fuse"]
    assert "cse" not in outcome.out


def test_weights_travel_beside_the_ir(tmp_path: Path) -> None:
    spec, weights, half = write_project(tmp_path), tmp_path / "half.safetensors", tmp_path / "half.mlir"
    quantize = 'quantize{calibration="calib.npz"}'
    whole = run_main("opt", spec, "-p", f"{quantize},fuse")
    assert run_main("opt", spec, "-p", quantize, "-o", half, "--save-weights", weights).code == 0
    rest = run_main("opt", half, "--weights", weights, "-p", "fuse,touch_in_test", "--save-weights", weights)
    assert rest.out == whole.out
    from hapir.weights import WeightStore

    assert {"c1.weight", "touched"} <= set(WeightStore.load(weights))


def test_a_crash_leaves_a_reproducer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, place = write_project(tmp_path), tmp_path / "crash.mlir"
    pipeline = 'quantize{calibration="calib.npz"},crash_in_test{word="a b"},fuse'
    outcome = run_main("opt", spec, "-p", pipeline, "--crash-reproducer", place)
    assert outcome.code == 70
    assert str(place) in outcome.err
    assert "internal error: RuntimeError: unexpected" in outcome.err
    command = place.read_text().splitlines()[0].removeprefix("// hapir ")
    assert "quantize{" not in command  # it starts where the crash was
    monkeypatch.chdir(tmp_path)
    again = run_main(*shlex.split(command), "--crash-reproducer", tmp_path / "again.mlir")
    assert again.code == 70
    assert "unexpected" in again.err


def test_split_input(ir: Path) -> None:
    ir.write_text(f"{IR}// -----\n{IR.replace('@tiny', '@other')}")
    outcome = run_main("opt", ir, "--split-input-file")
    assert outcome.code == 0
    parts = outcome.out.split("// -----\n")
    assert ["@tiny" in parts[0], "@other" in parts[1], len(parts)] == [True, True, 2]
    ir.write_text(f"{IR}// -----\nnn.relu 5\n")
    outcome = run_main("opt", ir, "--split-input-file", "--parsing-diagnostics")
    assert outcome.code == 0
    assert "tiny.mlir:6" in outcome.out
