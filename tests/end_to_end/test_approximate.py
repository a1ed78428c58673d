"""`digits_approximate.hap`: truncated multipliers agree on all witnesses, narrow formats keep the accuracy."""

from __future__ import annotations

from pathlib import Path

import pytest

import hapir
from hapir.diagnostics import HapirError
from tests.projects import run_main

EXAMPLES = Path(__file__).resolve().parents[2] / "spec_examples"
SPEC, DATA = EXAMPLES / "digits_approximate.hap", EXAMPLES / "digits_test.npz"


@pytest.mark.parametrize(("on", "limit"), [("reference", None), ("c", None), ("rtl", 3)])
def test_the_witnesses_agree(on: str, limit: int | None):
    scheduled = hapir.load(SPEC).schedule("on_array")
    result = scheduled.run(on=on, inputs=DATA, limit=limit)  # pyright: ignore[reportArgumentType]  # a Witness
    assert result.mismatches_vs_reference == 0
    if limit is None:
        assert result.accuracy is not None
        assert result.accuracy > 0.98
    else:
        report = scheduled.estimate()
        assert report.basis == "emitted"
        assert result.details["cycles"] == report.total_cycles


def test_the_multiplier_matters():
    """The model changes the integers: else the test above would compare exact products with themselves."""
    design = hapir.load(SPEC)
    (modelled,) = design.schedule("on_array").run(inputs=DATA, limit=20).body.values()
    (exact,) = design.schedule("on_tiny").run(inputs=DATA, limit=20).body.values()
    assert (modelled != exact).any()


def test_narrow_formats_keep_the_accuracy():
    scheduled = hapir.load(SPEC).schedule("narrow")
    result = scheduled.run(inputs=DATA)
    assert result.accuracy is not None
    assert result.accuracy > 0.98
    assert '{format = "fixed(integer = 2, fraction = 6)", max_error' in str(scheduled.module)


def test_the_model_costs_less_and_says_from_where():
    modelled = hapir.load(SPEC).schedule("on_array").estimate()
    exact = hapir.load(SPEC).schedule("on_tiny").estimate()
    assert modelled.total_cycles == exact.total_cycles
    assert modelled.area_um2["multipliers"] == exact.area_um2["multipliers"] * (1 - 3 / 64)
    (constant,) = (c for c in modelled.constants if c.name == "multiplication in a PE")
    assert constant.standing == "assumed"
    assert "truncated(bits = 2): the share of partial-product bits" in constant.source


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    use_multiplier(multiplier = truncated(bits = 2))\n", ""),
        ("multiplier = truncated(bits = 2) }", "multiplier = truncated(bits = 3) }"),
    ],
)
def test_a_machine_that_multiplies_otherwise_is_refused(tmp_path: Path, old: str, new: str):
    for file in EXAMPLES.glob("digits*"):
        if file.suffix != ".py":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    spec = tmp_path / SPEC.name
    text = spec.read_text(encoding="utf-8")
    assert old in text
    spec.write_text(text.replace(old, new), encoding="utf-8")
    scheduled = hapir.load(spec).schedule("on_array")
    with pytest.raises(HapirError) as raised:
        scheduled.estimate()
    (found,) = raised.value.diagnostics
    assert found.code == "HAP0603"
    assert [label.message for label in found.labels] == ["this array"]
    assert found.help is not None
    assert "use_multiplier(multiplier = truncated(bits = " in found.help
    assert run_main("compile", spec, "--schedule", "on_array", "--target", "verilog", "-o", tmp_path / "out").code == 1
