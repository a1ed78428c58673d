"""Pipeline text as passes and back, named pipelines, and what is said about wrong ones."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from xdsl.passes import ModulePass
from xdsl.transforms import get_all_passes

from hapir.diagnostics import HapirError, render
from hapir.lowering.compress.fold_batch_norm import FoldBatchNormPass
from hapir.lowering.compress.fuse import FusePass
from hapir.lowering.compress.prune import PrunePass
from hapir.lowering.compress.quantize import QuantizePass
from hapir.pipeline import pass_text
from hapir.pipeline_text import read_passes
from hapir.pipelines import NamedPipeline
from hapir.plugins import merge
from hapir.registry import HAPIR, universe
from hapir.universe import HapirUniverse
from tests.projects import run_main
from tests.unit.test_spec_plugins import Plugin


def passes(text: str) -> list[ModulePass]:
    return [step.what for step in read_passes(text, "-p")]


def problems(text: str) -> list[tuple[str, int, int, str]]:
    """Code, line, column and message of what is wrong with a pipeline's text."""
    with pytest.raises(HapirError) as error:
        read_passes(text, "-p")
    found = error.value.diagnostics
    assert all(d.span and d.span.file == "-p" for d in found)
    assert all(text.split("\n")[d.span.line - 1][:20] in render([d]) for d in found if d.span)
    return [(d.code, d.span.line, d.span.column, d.message) for d in found if d.span]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("fuse", [FusePass()]),
        (" fuse ,\n fold_batch_norm { strict=true } ,", [FusePass(), FoldBatchNormPass(strict=True)]),
        ("prune{sparsity=0.5 layers=a,b}", [PrunePass(sparsity=0.5, layers=("a", "b"))]),
        ("prune{sparsity=0}", [PrunePass(sparsity=0.0)]),
        ("prune{sparsity=1e-3}", [PrunePass(sparsity=0.001)]),
        ('quantize{calibration="a \\"b\\\\.npz" samples}', [QuantizePass(calibration='a "b\\.npz')]),
        ("quantize{calibration=x max-shift=3}", [QuantizePass(calibration="x", max_shift=3)]),
    ],
)
def test_text_as_passes(text: str, expected: list[ModulePass]) -> None:
    assert passes(text) == expected


@pytest.mark.parametrize(
    "step",
    [
        FusePass(),
        PrunePass(sparsity=0.25, layers=("a*", 'b"'), shrink=False),
        PrunePass(sparsity=1e-05),
        QuantizePass(calibration='C:\\x "y"\n.npz', percentile=99.0, samples=3),
    ],
)
def test_passes_as_text(step: ModulePass) -> None:
    assert passes(f"{pass_text(step)},fuse") == [step, FusePass()]


def test_places_of_passes_are_those_in_the_text() -> None:
    first, second = read_passes("fuse,\n  prune{sparsity=0.5 }", "-p")
    assert first.at is not None
    assert second.at is not None
    assert (first.at.line, first.at.column, first.at.end_line, first.at.end_column) == (1, 1, 1, 5)
    assert (second.at.line, second.at.column, second.at.end_line, second.at.end_column) == (2, 3, 2, 23)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fuze", [("HAP0203", 1, 1, "there is no pass or pipeline `fuze`")]),
        ("fuse,\n fuze,abc", [("HAP0203", 2, 2, "no pass"), ("HAP0203", 2, 7, "`abc`")]),
        ("fuse{n=2}", [("HAP0204", 1, 6, "the pass `fuse` has no option `n`")]),
        ('round_weights{layers="x" formt=1}', [("HAP0204", 1, 26, "`formt`"), ("HAP0206", 1, 1, "`format`")]),
        ("round_weights", [("HAP0206", 1, 1, "needs the option `format`, a number format")]),
        ("prune", [("HAP0305", 1, 1, "say how much to prune")]),
        ("prune{sparsity=x}", [("HAP0304", 1, 7, '`sparsity` of the pass `prune` takes a number, not "x"')]),
        ("quantize{calibration=x percentile}", [("HAP0304", 1, 24, "a number, not no value")]),
        ("prune{sparsity=0.5 grain=cell}", [("HAP0304", 1, 20, "one of weight, kernel, channel, filter")]),
        ("quantize{calibration=x samples=true}", [("HAP0304", 1, 24, "an integer, not true")]),
        ("prune{sparsity=2}", [("HAP0305", 1, 1, "`sparsity` of prune is 2")]),
        ("fuse{", [("HAP0850", 1, 6, "expected argument name here")]),
        ("fuse,,fuse", [("HAP0850", 1, 6, "expected pass name here")]),
        ("fuse fuse", [("HAP0850", 1, 6, "expected a comma")]),
        ('prune{layers="\\r"}', [("HAP0850", 1, 14, "escape sequence")]),
        ("fuse@", [("HAP0850", 1, 5, "unknown token")]),
        ("fuse\n,{", [("HAP0850", 2, 2, "expected pass name")]),
        ("prune{sparsity=" + "9" * 5000 + "}", [("HAP0850", 1, 1, "the text cannot be read")]),
        ("int8", [("HAP0206", 1, 1, "the pass `quantize` needs the option `calibration`")]),
        ("int8{calibraton=x}", [("HAP0204", 1, 6, "no pass of the pipeline `int8`"), ("HAP0206", 1, 1, "")]),
        ("int8{calibration=x samples=0.5}", [("HAP0304", 1, 20, "`samples` of the pass `quantize`")]),
    ],
)
def test_wrong_text(text: str, expected: list[tuple[str, int, int, str]]) -> None:
    found = sorted(problems(text))
    assert [f[:3] for f in found] == [e[:3] for e in expected]
    assert [e for e, f in zip(expected, found, strict=True) if e[3] not in f[3]] == []


ONE_OF_SEVERAL = {"prune", "filter_prune", "precision"}
"""Passes that need one of several options, whichever."""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # some passes are on their way out
def test_every_pass_of_xdsl_can_be_read() -> None:
    known = {**get_all_passes(), **universe().all_passes}
    for name, getter in known.items():
        cls = getter()
        if cls.required_fields():
            with pytest.raises(HapirError, match="HAP0206"):
                read_passes(name, "-p", known)
        elif name in ONE_OF_SEVERAL:
            with pytest.raises(HapirError, match="HAP0305"):
                read_passes(name, "-p", known)
        elif name != "mlir-opt":  # it looks for its program at once
            (step,) = read_passes(name, "-p", known)
            assert type(step.what) is cls


@pytest.mark.parametrize("name", sorted(HAPIR.pipelines))
def test_named_pipelines_are_passes_in_an_order_with_a_reason(name: str) -> None:
    pipeline = HAPIR.pipelines[name]()
    assert name not in {**get_all_passes(), **HAPIR.all_passes}
    assert pipeline.reason.endswith(".")
    assert pipeline.summary
    options = '{calibration="x.npz"}' if "calibration" in pipeline.summary else ""
    found = passes(name + options)
    assert found
    assert {step.name for step in found} <= set(HAPIR.all_passes)
    assert found[-1] == FusePass() or name in ("rtl", "kernels", "canonical")


def test_options_of_a_pipeline_go_to_the_passes_that_have_them() -> None:
    expected = [FoldBatchNormPass(), QuantizePass(calibration="x", weights="i4"), FusePass()]
    assert passes("int8{calibration=x weights=i4}") == expected
    assert passes("float_c{standalone=convolution}")[1] == FoldBatchNormPass(standalone="convolution")


def extended(monkeypatch: pytest.MonkeyPatch, **pipelines: str) -> None:
    for name, text in pipelines.items():
        made = NamedPipeline(text, "for a test", "None.")
        monkeypatch.setitem(universe().pipelines, name, lambda made=made: made)


def test_pipelines_of_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    extended(monkeypatch, mine="prune{sparsity=0.5},finish", again="mine{sparsity=0.25},fuse")
    assert passes("mine") == [PrunePass(sparsity=0.5), FusePass()]
    assert passes("again") == [PrunePass(sparsity=0.25), FusePass(), FusePass()]
    assert passes("again{sparsity=0.125}")[0] == PrunePass(sparsity=0.125)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("a", "HAP0862", "the pipeline `a` names itself: a -> b -> a"),
        ("bad", "HAP0862", "the pipeline `bad` is broken"),
        ("gone", "HAP0203", "there is no pass or pipeline `none` in the pipeline `gone`"),
        ("wrong", "HAP0204", "the pass `fuse` has no option `n`"),
    ],
)
def test_broken_pipelines(monkeypatch: pytest.MonkeyPatch, text: str, code: str, words: str) -> None:
    extended(monkeypatch, a="fuse,b", b="a", bad="fuse{", gone="none", wrong="fuse{n=2}")
    (found,) = problems(f"fuse,{text}")
    assert (found[0], found[1:3]) == (code, (1, 6))
    assert words in found[3]


def universes(*plugins: Plugin) -> tuple[HapirUniverse, list[str]]:
    found, warnings = merge(HAPIR, plugins)  # pyright: ignore[reportArgumentType]  # what an entry point can do
    return found, [warning.message for warning in warnings]


def test_plugins_cannot_take_over_names() -> None:
    def made() -> NamedPipeline:
        return NamedPipeline("fuse", "mine", "Mine.")

    offered = HapirUniverse(pipelines={"finish": made, "cse": made, "quantize": made, "mine": made})
    found, warnings = universes(Plugin("p", "p:U", offered))
    assert found.pipelines["finish"]().summary != "mine"
    assert found.pipelines["mine"]().summary == "mine"
    assert sorted(warnings) == [
        "the plug-in `p` offers the pipeline `cse`, which xDSL has already",
        "the plug-in `p` offers the pipeline `finish`, which hapir has already",
        "the plug-in `p` offers the pipeline `quantize`, which hapir has already",
    ]
    # the driver runs `finish`: no pass may stand in its way
    _, warnings = universes(Plugin("p", "p:U", HapirUniverse(all_passes={"finish": lambda: FusePass})))
    assert warnings == ["the plug-in `p` offers the pass `finish`, which hapir has already"]


EXAMPLES = Path(__file__).parents[2] / "spec_examples"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-p", "float_c", "-t", "c"], "int digits_run("),
        (["-p", 'rtl{calibration="digits_calib.npz"}', "-t", "verilog"], "module digits"),
    ],
)
def test_pipelines_lead_to_their_targets(options: list[str], words: str) -> None:
    outcome = run_main("opt", EXAMPLES / "digits.hap", *options)
    assert outcome.code == 0
    assert words in outcome.out


@pytest.mark.parametrize(
    ("passes", "words"),
    [
        ("twn,float_c", "int digits_run("),
        ("twn,encode,float_c", "int digits_load("),
        ("k_means{bits=3},float_c", "int digits_run("),
    ],
)
def test_the_c_target_takes_coded_weights(passes: str, words: str) -> None:
    outcome = run_main("opt", EXAMPLES / "digits.hap", "-p", passes, "-t", "c")
    assert outcome.code == 0, outcome.err
    assert words in outcome.out
    assert ("digits_load(" in outcome.out) == ("encode" in passes)
    assert "digits_weights.c ----" not in outcome.out
    assert "digits_file.c ----" not in outcome.out


def test_the_c_is_for_the_weights_that_are_saved(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    outcome = run_main(
        *("opt", EXAMPLES / "digits.hap", "-p", "fold_batch_norm,twn,encode,fuse", "-t", "c"), "--save-weights", file
    )
    assert outcome.code == 0, outcome.err
    data = file.read_bytes()
    assert f"#define DIGITS_FILE_BYTES {len(data)}\n" in outcome.out
    assert f"hapir__crc(file, size) != 0x{zlib.crc32(data):08X}U" in outcome.out


def test_encoded_weights_make_the_same_circuit() -> None:
    integers = 'fold_batch_norm,quantize{calibration="digits_calib.npz" weights=i4}'
    texts = [
        run_main("opt", EXAMPLES / "digits.hap", "-p", f"{integers}{more},finish,lower_to_rtl", "-t", "verilog")
        for more in ("", ",encode")
    ]
    assert [outcome.code for outcome in texts] == [0, 0], texts[1].err
    assert texts[0].out == texts[1].out
    outcome = run_main("opt", EXAMPLES / "digits.hap", "-p", 'fold_batch_norm,twn,rtl{calibration="digits_calib.npz"}')
    assert outcome.code == 0, outcome.err
    assert "hw.module @digits" in outcome.out


def test_named_pipelines_cost_nothing_until_they_are_used() -> None:
    code = "import hapir.registry, sys; sys.exit('hapir.pipelines' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=EXAMPLES.parent).returncode == 0
