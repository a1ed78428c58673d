"""`digits_kernels.hap`: each layer has the kernel that its schedule asks for, and all give the reference's bits."""

from __future__ import annotations

from pathlib import Path

import pytest

import hapir
from hapir.report.kernels import kernel_report
from tests.end_to_end.digits import DIGITS, SPECS, TEST_DATA

SPEC = SPECS / "digits_kernels.hap"


@pytest.mark.parametrize(
    ("schedule", "kernels", "accuracy"),
    [
        ("filtered", {"c2": "winograd(tile = 2)", "c3": "direct"}, 0.9944),
        ("zeros", {"c2": "sparse", "c3": "dsc(tau = 6, tile = 2)"}, 0.9944),
        ("levels", {"c2": "ras", "c3": "ras"}, 0.9907),
    ],
)
def test_every_kernel_gives_the_bits_of_the_reference(schedule: str, kernels: dict[str, str], accuracy: float):
    scheduled = hapir.load(SPEC).schedule(schedule)
    rows = {row.layer: row for row in kernel_report(scheduled).rows}
    assert {name: rows[name].kernel for name in kernels} == kernels
    assert rows["c1"].kernel == "direct"
    result = scheduled.run("c", TEST_DATA)
    assert result.mismatches_vs_reference == 0
    assert result.accuracy == pytest.approx(accuracy, abs=1e-4)


def test_the_kernels_of_a_schedule_do_not_change_its_results():
    asked, chosen = hapir.load(SPEC).schedule("filtered"), hapir.load(DIGITS).schedule()
    (logits,), (others,) = (scheduled.run("c", TEST_DATA).body.values() for scheduled in (asked, chosen))
    assert (logits == others).all()
    blocks = {row.layer: row.block for row in kernel_report(asked).rows}
    assert blocks["c3"] == "4 x 32"


def test_bytes_may_be_asked_for_where_the_formats_imply_them(tmp_path: Path):
    spec = with_kernel(tmp_path, "int8", "c2 { arithmetic = bytes }")
    scheduled = hapir.load(spec).schedule("s")
    assert {row.layer: row.kernel for row in kernel_report(scheduled).rows}["c2"] == "direct bytes"
    assert scheduled.run("c", TEST_DATA, limit=20).mismatches_vs_reference == 0


@pytest.mark.parametrize("name", ["bits", "bytes", "planes"])
def test_floats_have_no_arithmetic_of_integers(tmp_path: Path, name: str):
    spec = with_kernel(tmp_path, "folded", f"c2 {{ arithmetic = {name} }}")
    assert refusal_of(spec) == f"there is no arithmetic `{name}` for its formats, only `bf16`"


def test_integers_have_no_arithmetic_of_floats(tmp_path: Path):
    spec = with_kernel(tmp_path, "int8", "c2 { arithmetic = bf16 }")
    assert refusal_of(spec) == "there is no arithmetic `bf16` for its formats, only `bits` or `codes` or `bytes`"


def test_a_register_block_that_does_not_fit_points_at_its_request(tmp_path: Path):
    spec = with_kernel(tmp_path, "int8", "f1 { pixels = 8 }")
    with pytest.raises(hapir.HapirError) as caught:
        kernel_report(hapir.load(spec).schedule("s"))
    (found,) = caught.value.diagnostics
    assert found.code == "HAP0731"
    assert [label.message for label in found.labels] == ["asked for here"]


def refusal_of(spec: Path) -> str:
    """Why the kernel that is asked for is not possible."""
    with pytest.raises(hapir.HapirError) as caught:
        kernel_report(hapir.load(spec).schedule("s"))
    (found,) = caught.value.diagnostics
    assert found.code == "HAP0730"
    return found.message.partition(": ")[2]


def with_kernel(folder: Path, recipe: str, block: str) -> Path:
    """A spec of the digits whose schedule `s` asks for a kernel."""
    for file in SPECS.glob("digits*.*"):
        if file.suffix in (".hap", ".npz", ".safetensors"):
            (folder / file.name).write_bytes(file.read_bytes())
    text = 'hap 1\nimport "digits.hap"\nrecipe folded { fold_batch_norm() }\n'
    (folder / "asked.hap").write_text(f"{text}schedule s of digits with {recipe} {{ kernel {block} }}\n")
    return folder / "asked.hap"
