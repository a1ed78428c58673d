"""The Python API: small, lazy, typed; designs, schedules and their stages; places of failing passes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, UnknownLoc
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

import hapir
from hapir.diagnostics import Diagnostic, HapirError, Span, fail
from hapir.lowering.network_edits import used_keys
from hapir.pipeline import Step, run_steps
from hapir.registry import make_context
from tests.projects import write_project

PLACE = Span("net.hap", 3, 5, 3, 20)


@pytest.fixture
def design(tmp_path: Path) -> hapir.Design:
    return hapir.load(write_project(tmp_path))


def test_the_public_api_is_small_and_whole() -> None:
    assert len(hapir.__all__) <= 10
    for name in hapir.__all__:
        assert getattr(hapir, name).__doc__
        assert name in dir(hapir)
    with pytest.raises(AttributeError, match="no attribute `laod`"):
        _ = hapir.laod  # pyright: ignore[reportAttributeAccessIssue]  # the point of the test


@pytest.mark.parametrize(
    "code",
    [
        "import hapir",
        "import contextlib, hapir.cli.main as m\nwith contextlib.suppress(SystemExit): m.main(['--help'])",
    ],
)
def test_imports_are_lazy(code: str) -> None:
    heavy = "{'numpy', 'xdsl', 'lark', 'networkx', 'safetensors'}"
    probe = f"{code}\nimport sys\nassert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", probe], check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[2])


def test_a_design_names_what_it_defines(design: hapir.Design) -> None:
    found = (design.networks, design.machines, design.recipes, design.schedules)
    assert found == (("tiny",), ("m",), ("small",), ("on_m",))
    assert design.warnings == ()


def test_stages_are_named_timed_and_repeatable(design: hapir.Design) -> None:
    scheduled = design.schedule()
    assert [s.name for s in scheduled.stages] == ["quantize", "fuse"]
    assert all(s.seconds > 0 for s in scheduled.stages)
    assert scheduled.stages[0].pipeline == 'quantize{calibration="calib.npz"}'
    names = [name for name, _ in scheduled.compiled.snapshots]
    assert names == ["built", "quantize", "fuse"]
    assert scheduled.stages is scheduled.stages


def test_the_float_module_stays_as_it_was(design: hapir.Design) -> None:
    scheduled = design.schedule()
    before = str(scheduled.float_module)
    _ = scheduled.module
    assert str(scheduled.float_module) == before
    assert scheduled.is_integer
    assert not design.schedule(recipe="none").is_integer


def test_weights_are_those_that_the_module_names(design: hapir.Design) -> None:
    scheduled = design.schedule()
    assert set(scheduled.weights) == used_keys(scheduled.module)
    assert "c1.weight" in design.schedule(recipe="none").weights


def test_every_op_keeps_a_place(design: hapir.Design) -> None:
    for op in design.schedule().module.walk():
        assert not isinstance(op.location, UnknownLoc), op.name


@dataclass(frozen=True)
class RefusePass(ModulePass):
    """Fails as xDSL's passes do, or as hapir's."""

    name = "refuse"
    place: bool | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.place is None:
            raise PassFailedException("not with me\nbuiltin.module { a whole module }")
        fail("HAP0502", "not with me", at=Span("net.hap", 1, 1, 1, 2) if self.place else None)


def _refused(step: ModulePass, at: Span | None = PLACE) -> Diagnostic:
    with pytest.raises(HapirError) as error:
        run_steps(ModuleOp([]), make_context(), [Step(step, at)])
    (found,) = error.value.diagnostics
    return found


def test_a_failing_pass_points_at_the_step() -> None:
    found = _refused(RefusePass())
    assert (found.code, found.span) == ("HAP0590", PLACE)
    assert "`refuse`" in found.message
    assert "whole module" not in found.message
    assert _refused(RefusePass(False)).span == PLACE
    own = _refused(RefusePass(True))
    assert own.span == Span("net.hap", 1, 1, 1, 2)
    assert [label.span for label in own.labels] == [PLACE]
    assert _refused(RefusePass(False), None).span is None


def test_a_bug_in_a_pass_passes_through() -> None:
    class BrokenPass(ModulePass):
        name = "broken"

        def apply(self, ctx: Context, op: ModuleOp) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_steps(ModuleOp([]), make_context(), [Step(BrokenPass(), PLACE)])


def test_an_estimate_is_a_report(design: hapir.Design) -> None:
    report = design.schedule().estimate()
    assert isinstance(report, hapir.EstimateReport)
    assert report.to_text()
    with pytest.raises(HapirError, match="HAP0791"):
        design.schedule(recipe="none").estimate()


def test_a_schedule_without_a_machine_is_shown_itself(tmp_path: Path) -> None:
    network = "network n(x: f32[1, 3]) -> f32[1, 3] { return relu(x) }"
    (tmp_path / "part.hap").write_text(f"hap 1\n{network}\n")
    (tmp_path / "main.hap").write_text('hap 1\nimport "part.hap"\nschedule alone of n { }\n')
    with pytest.raises(HapirError) as error:
        hapir.load(tmp_path / "main.hap").schedule().estimate()
    (found,) = error.value.diagnostics
    assert (found.code, found.span) == ("HAP0791", Span("main.hap", 3, 10, 3, 15))
