"""Evaluators as values of the spec, and what a bound on them may say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hapir
from hapir.diagnostics import Diagnostic, HapirError
from hapir.lowering.compress.keep_accuracy import KeepAccuracyPass
from hapir.spec import load_spec_text
from hapir.spec.check import recipe_passes

SPEC = """\
hap 1
network n(image: f32[1, 4]) -> f32[1, {units}] {{
    weights from "w.npz"
    f1 = dense(image, units = {units})
    return f1
}}
recipe r {{
    round_weights(format = fixed(2, 1))
    keep_accuracy(data = "d.npz", {options})
}}
schedule s of n with r {{ }}
"""


def step(options: str) -> KeepAccuracyPass:
    """The second step of the recipe."""
    loaded = load_spec_text(SPEC.format(options=options, units=3), "t.hap", Path("nowhere"))
    _, last = recipe_passes(loaded, "r")
    assert isinstance(last.pass_, KeepAccuracyPass)
    return last.pass_


def problem(options: str) -> Diagnostic:
    """The only error of a spec."""
    with pytest.raises(HapirError) as raised:
        step(options)
    (found,) = (d for d in raised.value.diagnostics if d.severity == "error")
    return found


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("within = 1 point", KeepAccuracyPass("d.npz", within=0.01)),
        ("within = 1 point, evaluator = accuracy", KeepAccuracyPass("d.npz", within=0.01)),
        ("within = 1 %, evaluator = accuracy(top = 5)", KeepAccuracyPass("d.npz", 0.01, None, "accuracy(top = 5)")),
        ("at_least = 99 %, evaluator = agreement", KeepAccuracyPass("d.npz", None, 0.99, "agreement")),
        ("at_least = 25 dB, evaluator = sqnr", KeepAccuracyPass("d.npz", None, 25.0, "sqnr")),
    ],
)
def test_bounds_and_evaluators(options: str, expected: KeepAccuracyPass) -> None:
    assert step(options) == expected


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ("samples = 3", "HAP0305", "`within` (what may be lost) or `at_least` (what must be kept)"),
        ("within = 5", "HAP0305", "`within` of keep_accuracy is 5, it must be 0 to 1"),
        ("within = 1 point, evaluator = acuracy", "HAP0580", "acuracy"),
        ("within = 1 point, evaluator = accuracy(top = 0)", "HAP0305", "`top` of accuracy is 0"),
    ],
)
def test_what_a_bound_may_not_say(options: str, code: str, says: str) -> None:
    found = problem(options)
    assert found.code == code
    assert says in found.message


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Weights that rounding changes, and images with labels that the float network gets right."""
    rng = np.random.default_rng(5)
    w = rng.standard_normal((3, 4)).astype(np.float32)
    np.savez(tmp_path / "w.npz", allow_pickle=False, **{"f1.weight": w, "f1.bias": np.zeros(3, np.float32)})
    image = rng.standard_normal((64, 4)).astype(np.float32)
    np.savez(tmp_path / "d.npz", image=image, label=(image @ w.T).argmax(axis=1))
    return tmp_path


def outcome(project: Path, options: str, units: int = 3) -> str | None:
    """The message of the recipe's error; None where it keeps its bound."""
    (project / "t.hap").write_text(SPEC.format(options=options, units=units), encoding="utf-8")
    try:
        assert hapir.load(project / "t.hap").schedule().compiled
    except HapirError as error:
        (found,) = error.diagnostics
        return f"{found.code}: {found.message}"
    return None


def test_each_evaluator_is_asked(project: Path) -> None:
    assert outcome(project, "within = 50 %") is None
    refused = outcome(project, "within = 0 %")
    assert refused is not None
    assert refused.startswith("HAP0514: accuracy fell from 1.000 to 0.")
    # the labels are the float network's own classes
    assert outcome(project, "within = 0 %, evaluator = agreement") == refused.replace("accuracy", "agreement")
    assert outcome(project, "within = 0 %, evaluator = accuracy(top = 3)") is None
    assert outcome(project, "at_least = 5 dB, evaluator = sqnr") is None
    found = outcome(project, "at_least = 60 dB, evaluator = sqnr")
    assert found is not None
    assert found.endswith("at least 60.00 dB was asked for")


def test_a_score_just_below_the_bound_is_refused(project: Path) -> None:
    found = outcome(project, "at_least = 60 dB, evaluator = sqnr")
    assert found is not None
    ratio = float(found.split(" to ")[1].split(" dB")[0])  # rounded to 0.01
    assert outcome(project, f"at_least = {ratio - 0.01:.2f} dB, evaluator = sqnr") is None
    assert outcome(project, f"at_least = {ratio + 0.01:.2f} dB, evaluator = sqnr") is not None


def test_without_labels_accuracy_is_refused_and_agreement_is_not(project: Path) -> None:
    with np.load(project / "d.npz") as data:
        image = data["image"]
    np.savez(project / "d.npz", image=image)
    assert "HAP0405" in (outcome(project, "within = 0 %") or "")
    assert outcome(project, "within = 50 %, evaluator = agreement") is None


def test_an_unbounded_score_has_no_within(project: Path) -> None:
    found = outcome(project, "within = 3 dB, evaluator = sqnr")
    assert found == "HAP0582: `within` counts from the float network's `sqnr`, which has no end"


def test_a_label_that_is_no_class_is_the_data_s_fault(project: Path) -> None:
    with np.load(project / "d.npz") as data:
        image = data["image"]
    np.savez(project / "d.npz", image=image, label=np.full(64, 3))
    assert outcome(project, "within = 0 %") == "HAP0581: `accuracy` cannot judge this network: classes are 0 to 2, " + (
        "not 3 to 3"
    )
