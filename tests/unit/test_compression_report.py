"""`hapir report`: every count against one made by hand, and no compression without its accuracy."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hapir
from hapir.diagnostics import HapirError
from hapir.report import measure
from hapir.report.compression import PACK, CompressionReport, Footprint
from hapir.report.table import cell_text
from tests.projects import run_main

SPEC = """\
hap 1
network n(image: f32[1, 1, 4, 4]) -> f32[1, 3] {
    weights from "w.npz"
    c1 = conv2d(image, channels = 2, kernel = 3, padding = 1, bias = false)
    n1 = batch_norm(c1)
    r1 = relu(n1)
    f1 = dense(flatten(r1), units = 3)
    return f1
}
recipe half { prune(layers = "f1", sparsity = 50 %) }
recipe fold { fold_batch_norm() }
recipe int4 {
    fold_batch_norm()
    quantize(weights = i4, activations = u8, calibration = "d.npz")
}
recipe in_bits { int4(), encode(encoding = dense) }
schedule pruned of n with half { }
schedule folded of n with fold { }
schedule narrow of n with int4 { }
schedule packed of n with in_bits { }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A spec of a convolution with a norm and a dense layer, and 40 images that the float network classifies right."""
    rng = np.random.default_rng(11)
    arrays = {
        "c1.weight": rng.standard_normal((2, 1, 3, 3)),
        **{f"n1.{name}": rng.uniform(0.5, 1.5, 2) for name in ("gamma", "beta", "mean", "variance")},
        "f1.weight": rng.standard_normal((3, 32)),
        "f1.bias": np.array([0.5, 0.0, -0.5]),
    }
    np.savez(tmp_path / "w.npz", allow_pickle=False, **{key: a.astype(np.float32) for key, a in arrays.items()})
    (tmp_path / "n.hap").write_text(SPEC, encoding="utf-8")
    image = rng.uniform(0, 1, (40, 1, 4, 4)).astype(np.float32)
    np.savez(tmp_path / "d.npz", image=image)
    scores = hapir.load(tmp_path / "n.hap").schedule("pruned", recipe="none").run(inputs={"image": image}).outputs
    label = next(iter(scores.values())).argmax(axis=1)
    label[:4] = (label[:4] + 1) % 3
    np.savez(tmp_path / "d.npz", image=image, label=label)
    return tmp_path


def report(project: Path, schedule: str, recipe: str | None = None) -> CompressionReport:
    """The report of a schedule on the project's images."""
    return hapir.load(project / "n.hap").schedule(schedule, recipe=recipe).report(project / "d.npz")


def sides(found: CompressionReport, layer: str) -> tuple[Footprint | None, Footprint | None]:
    """A layer before and after."""
    (row,) = (row for row in found.layers if row.name == layer)
    return row.original, row.compressed


def test_a_float_network_is_itself(project: Path) -> None:
    found = report(project, "pruned", "none")
    conv, dense = 18, 96 + 3
    expected = Footprint(18 + 8 + 99, 18 + 8 + 98, 18 + 96, 4 * 114, 4 * 125, 4 * 125, 18 * 16 + 96)
    assert found.original == found.compressed == expected
    assert sides(found, "c1")[0] == Footprint(conv, conv, conv, 4 * conv, 4 * conv, 4 * conv, 18 * 16)
    assert sides(found, "f1")[0] == Footprint(dense, dense - 1, 96, 4 * 96, 4 * dense, 4 * dense, 96)
    assert found.compressed.bits_per_weight == 32
    assert (found.accuracy_original, found.accuracy, found.agreement) == (0.9, 0.9, 1.0)
    assert found.images == 40
    assert found.total.sqnr_db == math.inf
    assert {row.sqnr_db for row in found.layers} == {math.inf}


def test_pruned_weights_are_no_macs(project: Path) -> None:
    found = report(project, "pruned")
    before, after = sides(found, "f1")
    assert before is not None
    assert after == Footprint(99, 48 + 2, 96, 4 * 96, 4 * 99, 4 * 99, 48)
    assert sides(found, "c1") == (sides(report(project, "pruned", "none"), "c1")[0],) * 2
    ratios = {row.name: row.sqnr_db for row in found.layers}
    assert ratios["c1"] == math.inf
    assert ratios["f1"] == found.total.sqnr_db
    assert ratios["f1"] is not None
    assert 0 < ratios["f1"] < 40


def test_folded_norms_leave_and_layers_stay_comparable(project: Path) -> None:
    found = report(project, "folded")
    assert sides(found, "n1") == (Footprint(8, 8, 0, 0, 32, 32, 0), None)
    assert sides(found, "c1")[1] == Footprint(20, 20, 18, 4 * 18, 4 * 20, 4 * 20, 18 * 16)
    (ratio,) = (row.sqnr_db for row in found.layers if row.name == "c1")
    # c1 with the norm in it is compared with c1 and the norm behind it
    assert ratio is not None
    assert ratio > 100


def test_integers_count_with_their_tables(project: Path) -> None:
    found = report(project, "narrow")
    _, after = sides(found, "c1")
    assert after is not None
    # 18 codes and 2 scales of f32; 2 biases of i32; a factor of u16 and a shift of u8 per channel
    assert (after.weight_bytes, after.disk_bytes, after.ram_bytes) == (18 + 8, 26 + 8 + 6, 18 + 8 + 6)
    assert (after.parameters, after.weights) == (20, 18)
    # 18 codes of 4 bits fit 9 bytes; f1 has 96, and dense(width = 4) is what encode makes of them
    assert (after.packable_bytes, found.compressed.packable_bytes) == (9, 9 + 48)
    assert f"57 of the bytes on disk are padding: {PACK}" in found.to_text()
    packed = report(project, "packed")
    assert (packed.compressed.packable_bytes, PACK in packed.to_text()) == (0, False)
    assert packed.compressed.disk_bytes == found.compressed.disk_bytes - 57
    scheduled = hapir.load(project / "n.hap").schedule("narrow")
    assert found.compressed.disk_bytes == sum(array.nbytes for array in scheduled.weights.values())
    assert found.compressed.ram_bytes < found.compressed.disk_bytes
    assert found.activation_bytes is not None
    assert found.total.sqnr_db is not None
    assert 10 < found.total.sqnr_db < 60
    assert all(row.sqnr_db is not None and row.sqnr_db < 80 for row in found.layers if row.compressed)


def test_batches_of_layers_add_up(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ratios are of all images, however many are compared at a time."""
    whole = report(project, "pruned")
    monkeypatch.setattr(measure, "BATCH_BYTES", 1)
    for one, other in zip(whole.layers, report(project, "pruned").layers, strict=True):
        assert one.sqnr_db == (None if other.sqnr_db is None else pytest.approx(other.sqnr_db))


@pytest.mark.parametrize("schedule", ["pruned", "narrow", "packed"])
def test_the_file_is_as_large_as_compile_makes_it(project: Path, schedule: str) -> None:
    found = report(project, schedule)
    hapir.load(project / "n.hap").schedule(schedule).compile(project / "out", ["c"])
    written = (project / "out" / "weights.safetensors").stat().st_size
    assert found.file_bytes[1] == written > found.compressed.disk_bytes
    original = hapir.load(project / "n.hap").schedule(schedule, recipe="none").weights.to_bytes()
    assert found.file_bytes[0] == len(original)
    assert found.to_json()["file_bytes"] == {"original": len(original), "compressed": written}
    assert f"{cell_text(len(original))} -> {cell_text(written)} bytes with names and shapes" in found.to_text()


def test_large_numbers_are_written_as_everywhere(project: Path) -> None:
    (found,) = hapir.load(project / "n.hap").report(project / "d.npz", ["pruned"]).reports
    assert found.total.compressed is not None
    large = replace(found.total, compressed=replace(found.total.compressed, disk_bytes=16238, macs=442854))
    text = replace(found, total=large).to_text()
    assert "500 -> 16 238 bytes on disk" in text
    assert "442 854" in text.splitlines()[-1]


def test_all_are_the_schedules_of_the_file_itself(project: Path) -> None:
    (project / "own.hap").write_text('hap 1\nimport "n.hap"\nschedule own of n with half { }\n', encoding="utf-8")
    (project / "bare.hap").write_text('hap 1\nimport "n.hap"\n', encoding="utf-8")

    def shown(*arguments: str) -> list[str]:
        outcome = run_main("report", *(project / arguments[0], *arguments[1:]), "--input", project / "d.npz", "--all")
        assert outcome.code == 0, outcome.err
        return [line.split()[0] for line in outcome.out.split("\n\n")[0].splitlines()[2:]]

    assert shown("own.hap") == ["own"]
    assert shown("own.hap", "--schedule", "*") == ["pruned", "folded", "narrow", "packed", "own"]
    assert shown("bare.hap") == ["pruned", "folded", "narrow", "packed"]
    reports = hapir.load(project / "own.hap").report(project / "d.npz").reports
    assert [found.schedule for found in reports] == ["own"]


def test_no_labels_no_report(project: Path) -> None:
    with np.load(project / "d.npz") as data:
        np.savez(project / "bare.npz", image=data["image"])
    outcome = run_main("report", project / "n.hap", "--schedule", "pruned", "--input", project / "bare.npz")
    assert outcome.code == 1
    assert "HAP0584" in outcome.err
    assert not outcome.out


def test_a_result_without_classes_is_refused(project: Path) -> None:
    text = (
        SPEC.replace("-> f32[1, 3]", "-> f32[1, 2, 4, 4]")
        .replace('layers = "f1"', 'layers = "c1"')
        .replace("return f1", "return r1")
    )
    (project / "n.hap").write_text(text.replace("    f1 = dense(flatten(r1), units = 3)\n", ""), encoding="utf-8")
    with pytest.raises(HapirError) as raised:
        report(project, "folded")
    assert [d.code for d in raised.value.diagnostics] == ["HAP0584"]


def test_the_command_shows_layers_or_schedules(project: Path) -> None:
    arguments = ("report", project / "n.hap", "--input", project / "d.npz")
    one = run_main(*arguments, "--schedule", "pruned", "--limit", "20")
    assert one.code == 0, one.err
    assert "pruned with recipe half, 20 images" in one.out
    assert "accuracy 80.00 -> " in one.out
    assert [line.split()[0] for line in one.out.split("\n\n")[1].splitlines()[2:]] == ["c1", "n1", "f1", "total"]
    table = run_main(*arguments, "--all")
    assert [line.split()[0] for line in table.out.splitlines()[2:6]] == ["pruned", "folded", "narrow", "packed"]
    assert table.out.splitlines()[6:] == ["", "not packed: narrow: " + PACK]
    some = run_main(*arguments, "--all", "--schedule", "*o*")
    assert [line.split()[0] for line in some.out.splitlines()[2:4]] == ["folded", "narrow"]
    none = run_main(*arguments, "--all", "--schedule", "prunned")
    assert none.code == 1
    assert "did you mean `pruned`?" in none.err


def test_json_holds_what_the_dataclass_holds(project: Path) -> None:
    arguments = ("report", project / "n.hap", "--schedule", "pruned", "--input", project / "d.npz", "--format", "json")
    data = json.loads(run_main(*arguments).out)
    direct = report(project, "pruned")
    assert data == json.loads(json.dumps(direct.to_json()))
    # in a table of schedules layers are counted and not compared
    (row,) = json.loads(run_main(*arguments, "--all").out)["schedules"]
    assert {layer.pop("sqnr_db") for layer in row["layers"]} == {None}
    assert row["activation_bytes"] is None
    assert row["layers"] == [{k: v for k, v in layer.items() if k != "sqnr_db"} for layer in data["layers"]]
    unmeasured = {"layers": 0, "activation_bytes": 0, "memory": 0}
    assert {**row, **unmeasured} == {**data, **unmeasured}
    assert data["accuracy"] == {"original": 0.9, "compressed": direct.accuracy}
    assert data["layers"][0]["sqnr_db"] == "inf"
    assert data["total"]["compressed"]["bits_per_weight"] == 32
