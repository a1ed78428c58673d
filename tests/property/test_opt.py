"""`hapir opt`: any pipeline, text and crash ends in a result, in diagnostics with a place, or in a reproducer."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.context import hapir_context
from hapir.diagnostics import HapirError
from hapir.lowering.compress.prune import PrunePass
from hapir.lowering.compress.quantize import QuantizePass
from hapir.pipeline import ir_text, pass_text
from hapir.pipeline_text import read_passes
from hapir.registry import universe
from tests.projects import Outcome, run_main
from tests.property.strategies import Sample, networks

FILECHECK = Path(__file__).parents[1] / "filecheck"
CODED = re.compile(r"^error\[HAP\d{4}\]: \S", re.MULTILINE)
CALIBRATION = "calib data.npz"


@dataclass(frozen=True)
class FingerprintPass(ModulePass):
    """Crashes with a digest of all that a pass can see."""

    name = "fingerprint_in_test"
    word: str = ""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        context = hapir_context(ctx)
        assert context.original is not None
        state = hashlib.sha256()
        parts = (ir_text(op), context.weights.digest(), ir_text(context.original), self.word)
        for part in parts:
            state.update(part.encode())
        raise ArithmeticError(state.hexdigest())


@contextmanager
def files(sample: Sample) -> Generator[Path]:
    """A folder with `net.mlir`, its weights and calibration data, and the crashing pass in the registry."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        (folder / "net.mlir").write_text(ir_text(sample.module()))
        sample.weights.save(folder / "net.safetensors")
        np.savez(folder / CALIBRATION, allow_pickle=False, **sample.inputs(batch=2))
        patch.setitem(universe().all_passes, FingerprintPass.name, lambda: FingerprintPass)
        patch.chdir(folder)
        yield folder


def run(*options: str) -> Outcome:
    return run_main("opt", "net.mlir", "--weights", "net.safetensors", *options)


DATA = f'calibration="{CALIBRATION}"'
PASSES = st.sampled_from(
    (
        *(
            "infer_nn_shapes",
            "fold_batch_norm",
            "fold_batch_norm{standalone=convolution}",
            "fold_batch_norm{strict=true}",
        ),
        *("prune{sparsity=0.5}", "prune{sparsity=0.5 grain=filter}", "prune{sparsity=0.3 layers=c*,dense*}"),
        *(f"quantize{{{DATA}}}", f"quantize{{{DATA} weights=i2 activations=i4 granularity=tensor}}"),
        *(f'keep_accuracy{{within=1 data="{CALIBRATION}"}}', "fuse", "lower_to_rtl", "cse", "dce", "canonicalize"),
        *("float_c", "finish", f"int8{{{DATA}}}", f"rtl{{{DATA}}}", "quantize{calibration=none}", "lower-affine"),
    )
)
PIPELINES = st.lists(PASSES, max_size=4)


@settings(max_examples=60, deadline=None)
@given(networks(max_layers=4), PIPELINES, st.sampled_from(("mlir", "c")))
def test_any_pipeline_gives_a_result_or_diagnostics(sample: Sample, pipeline: Sequence[str], target: str) -> None:
    with files(sample) as folder:
        outcome = run("-p", ",".join(pipeline), "-t", target, "--save-weights", "after.safetensors")
        assert outcome.code in (0, 1), outcome.err
        event(f"exit {outcome.code}")
        if outcome.code == 1:
            assert outcome.out == ""
            assert CODED.search(outcome.err)
            assert not (folder / "after.safetensors").exists()
        elif target == "mlir":
            (folder / "after.mlir").write_text(outcome.out)
            again = run_main("opt", "after.mlir", "--weights", "after.safetensors")
            assert (again.code, again.out) == (0, outcome.out)


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\f\v"), max_size=12)
"""Strings that an option can hold: xDSL has no text for the others."""


@settings(max_examples=30, deadline=None)
@given(networks(max_layers=4), PIPELINES, PIPELINES, WORDS)
def test_a_reproducer_repeats_the_crash(sample: Sample, before: Sequence[str], after: Sequence[str], word: str) -> None:
    """What the pass sees is the same to the last bit, in another folder, and once more from there."""
    with files(sample), tempfile.TemporaryDirectory() as elsewhere:
        crash = pass_text(FingerprintPass(word))
        pipeline = ",".join((*before, crash, *after))
        first = run("-p", pipeline, "--crash-reproducer", "crash.mlir")
        if first.code == 1:
            event("refused")
            return  # a pass before refuses the network
        moved, again = Path(elsewhere) / "moved.mlir", Path(elsewhere) / "again.mlir"
        moved.write_bytes(Path("crash.mlir").read_bytes())
        for beside in Path().glob("crash.*.*"):
            (moved.parent / beside.name).write_bytes(beside.read_bytes())
        reported = [first, run_main("opt", moved, "--crash-reproducer", again), run_main("opt", again)]
        assert [outcome.code for outcome in reported] == [70, 70, 70], reported[1].err
        digests = [re.findall(r"crashed: ArithmeticError: (\w{64})", outcome.err) for outcome in reported]
        assert digests == [digests[0]] * 3
        assert len(digests[0]) == 1


@given(st.lists(WORDS, min_size=1, max_size=3), WORDS, st.floats(0, 0.99), st.booleans())
def test_passes_are_read_as_they_are_written(layers: list[str], path: str, sparsity: float, shrink: bool) -> None:
    steps = [PrunePass(sparsity, tuple(layers), shrink=shrink), QuantizePass(path, percentile=99 + sparsity)]
    read = read_passes(",".join(map(pass_text, steps)), "-p")
    # one layer in a tuple is written like one alone
    expected = [PrunePass(sparsity, layers[0], shrink=shrink) if len(layers) == 1 else steps[0], steps[1]]
    assert [step.what for step in read] == expected


FRAGMENTS = st.sampled_from(
    ("fuse", "prune", "int8", "{", "}", "=", ",", " ", "\n", '"', "\\", "sparsity", "0.5", "1e9", "-", "[", "mlir-opt")
)


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAGMENTS | st.text(max_size=3), max_size=9).map("".join))
def test_any_pipeline_text_gives_passes_or_diagnostics(text: str) -> None:
    try:
        read_passes(text, "-p")
    except HapirError as error:
        lines = text.split("\n")
        for diagnostic in error.diagnostics:
            at = diagnostic.span
            assert at is not None
            assert 1 <= at.line <= len(lines)
            assert 1 <= at.column <= len(lines[at.line - 1]) + 1


SOURCES = [
    (FILECHECK / "dialects" / name / "ops.mlir").read_text() for name in ("nn", "num", "machine", "dataflow", "rtl")
]
TOKENS = [re.findall(r"\s+|[\w.%@!#-]+|.", text) for text in SOURCES]


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """IR of some dialect with a few tokens gone, doubled, or in the place of others."""
    tokens = list(draw(st.sampled_from(TOKENS)))
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, len(tokens) - 1))
        other = tokens[draw(st.integers(0, len(tokens) - 1))]
        kind = draw(st.sampled_from(("drop", "double", "replace", "text", "cut")))
        if kind == "cut":
            del tokens[index + 1 :]
        else:
            new = {"drop": [], "double": [tokens[index]] * 2, "replace": [other], "text": [draw(st.text(max_size=3))]}
            tokens[index : index + 1] = new[kind]
        if not tokens:
            break
    return "".join(tokens)


@settings(max_examples=150, deadline=None)
@given(damaged())
def test_any_text_is_ir_or_gives_diagnostics_inside_of_it(text: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "x.mlir"
        path.write_bytes(text.encode(errors="replace"))
        outcome = run_main("opt", path, "--format", "json", "-o", Path(name) / "out.mlir")
        assert outcome.code in (0, 1), outcome.err
        if outcome.code == 0:
            return
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
        for diagnostic in outcome.json["diagnostics"]:
            at = diagnostic["span"]
            if at is not None and at["file"] == str(path):  # the text may hold places of its own
                line: int = at["line"]
                assert 1 <= line <= len(lines)
                assert 1 <= at["column"] <= len(lines[line - 1]) + 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(("good", "bad", "bad and expected", "good and expected")), min_size=1, max_size=6))
def test_expectations_hold_just_where_each_has_its_error(kinds: list[str]) -> None:
    lines = ['%x = "test.op"() : () -> tensor<1x4xf32>']
    for index, kind in enumerate(kinds):
        size = 5 if "bad" in kind else 4
        wish = f" // expected-error {{{{the op says tensor<1x{size}xf32>}}}}" if "expected" in kind else ""
        lines.append(f'%y{index} = "nn.relu"(%x) : (tensor<1x4xf32>) -> tensor<1x{size}xf32>{wish}')
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "x.mlir"
        path.write_text("\n".join(lines))
        outcome = run_main("opt", path, "--verify-diagnostics")
    missing, unexpected = kinds.count("good and expected"), kinds.count("bad")
    assert outcome.code == (1 if missing or unexpected else 0)
    assert outcome.err.count("error[HAP0856]") == missing
    assert outcome.err.count("error[HAP0857]") == unexpected
