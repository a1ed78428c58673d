"""Kernels from the spec to the C: chosen for a host, asked for by the schedule, measured, and saved with the module."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from hapir.cli.main import main
from hapir.diagnostics import HapirError
from hapir.driver import load
from hapir.lowering.kernel.choose import KERNEL, products_of
from hapir.report.kernels import kernel_report

EXAMPLES = Path(__file__).parents[2] / "spec_examples"
SPEC = """hap 1
import "machines/epyc_zen5.hap"
import "machines/ws_8x8.hap"
network n(image: f32[1, 16, 12, 12]) -> f32[1, 10] {
    c1 = conv2d(image, channels = 32, kernel = 3, padding = 1)
    r1 = relu(c1)
    c2 = conv2d(r1, channels = 16, kernel = 5)
    f1 = dense(flatten(c2), units = 10)
    return f1
}
schedule plain of n { weights = random(seed = 1) }
schedule zen of n on epyc_zen5 {
    weights = random(seed = 1)
    kernel c1 { algorithm = winograd, tile = 2 }
    kernel c2 { pixels = 4, blocks = 1 }
}
schedule array of n on ws_8x8 { weights = random(seed = 1) }
"""
SMALL = """hap 1
network n(image: f32[1, 16, 12, 12]) -> f32[1, 20] {
    f1 = dense(flatten(global_avg_pool(image)), units = 20)
    return f1
}
schedule plain of n { weights = random(seed = 1) }
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The spec in a folder of its own, with images beside it and a cache that nobody shares."""
    path = tmp_path / "n.hap"
    path.write_text(SPEC)
    images = np.random.default_rng(0).standard_normal((2, 16, 12, 12)).astype(np.float32)
    np.savez(tmp_path / "images.npz", image=images)
    monkeypatch.setenv("HAPIR_CACHE", str(tmp_path / "cache"))
    return path


def kernels(spec: Path, schedule: str, host: str | None = None) -> dict[str, str]:
    """The algorithm of each layer."""
    scheduled = load(spec).schedule(schedule)
    chosen = scheduled.kernels if host is None else scheduled.on_host(host)
    return {name: str(op.attributes[KERNEL]) for name, op in products_of(chosen.network)}


def test_the_schedule_asks_and_its_machine_is_the_host(spec: Path):
    scheduled = load(spec).schedule("zen").kernels
    assert scheduled.host is not None
    assert scheduled.host.name == "epyc_zen5"
    assert kernels(spec, "zen")["c1"] == "#kernel.choice<winograd, {tile = 2 : i64}>"
    assert kernels(spec, "plain")["c1"] == "#kernel.choice<winograd, {tile = 4 : i64}>"


@pytest.mark.parametrize(
    ("schedule", "host", "name", "path"),
    [
        ("plain", None, "generic", "avx512"),
        ("array", None, "generic", "avx512"),
        ("zen", "cortex_a53", "cortex_a53", "neon"),
        ("plain", "epyc_zen5", "epyc_zen5", "avx512"),
        ("plain", "generic", "generic", "avx512"),
    ],
)
def test_hosts_are_found_by_name(spec: Path, schedule: str, host: str | None, name: str, path: str):
    scheduled = load(spec).schedule(schedule)
    found = (scheduled.kernels if host is None else scheduled.on_host(host)).host
    assert found is not None
    assert (found.name, found.path) == (name, path)


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("epyc_zen6", "did you mean `epyc_zen5`?"),
        ("ws_8x8", "the machine `ws_8x8` has no host"),
        ("", "for example native, generic, epyc_zen5, cortex_a15"),
    ],
)
def test_hosts_that_are_none(spec: Path, host: str, says: str):
    with pytest.raises(HapirError) as raised:
        load(spec).schedule("plain").on_host(host)
    (found,) = raised.value.diagnostics
    assert found.code == "HAP0728"
    assert says in f"{found.message} {found.help}"


def test_a_host_beside_the_machine_leaves_the_machine_alone(spec: Path):
    scheduled = load(spec).schedule("array").on_host("epyc_zen5")
    assert scheduled.machine is not None
    assert scheduled.machine.sym_name.data == "ws_8x8"
    assert load(spec).schedule("plain").on_host("epyc_zen5").machine is None


@pytest.mark.parametrize("schedule", ["plain", "zen"])
def test_every_choice_computes_the_same(spec: Path, schedule: str):
    scheduled, images = load(spec).schedule(schedule), spec.parent / "images.npz"
    found, expected = (scheduled.run(on, images).outputs["output"] for on in ("c", "reference"))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_the_report_tells_why(spec: Path):
    report = kernel_report(load(spec).schedule("zen"))
    rows = {row.layer: row for row in report.rows}
    assert (rows["c1"].kernel, rows["c2"].kernel, rows["c2"].block) == ("winograd(tile = 2)", "direct", "4 x 16")
    assert all(row.cycles and row.bound for row in report.rows)
    refused = {a.kernel: a.why_not for a in rows["c2"].alternatives}
    assert refused["winograd(tile = 4)"] == "windows are 3x3 or of 3 neighbours in a row, not 5x5"
    assert "floats" in (refused["ras"] or "")
    others = {a.kernel: a.cycles or 0 for a in rows["c1"].alternatives}
    assert 0 < others["winograd(tile = 4)"] < (rows["c1"].cycles or 0)
    text = report.to_text()
    assert text.startswith("kernels for epyc_zen5 (avx512): ")
    assert "winograd(tile = 2)" in text


def test_compile_saves_what_prints_the_same_c(spec: Path, capsys: pytest.CaptureFixture[str]):
    out = spec.parent / "out"
    assert main(["compile", str(spec), "-o", str(out), "--schedule", "zen", "--target", "c", "--kernels"]) == 0
    shown = capsys.readouterr().out
    assert "kernels for epyc_zen5 (avx512)" in shown
    assert json.loads((out / "report/kernels.json").read_text())["host"] == "epyc_zen5"
    passes = json.loads((out / "manifest.json").read_text())["passes"]
    assert passes[-2:] == ["choose_kernels", "tile_kernels"]
    weights = str(out / "weights.safetensors")
    assert main(["opt", str(out / "ir/body.mlir"), "--weights", weights, "-t", "c"]) == 0
    again = capsys.readouterr().out

    def code(text: str) -> str:
        return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).strip()

    assert code((out / "c/n.c").read_text()) in code(again)


def test_a_host_by_name_is_part_of_the_passes(spec: Path):
    out = spec.parent / "out"
    assert main(["compile", str(spec), "-o", str(out), "--schedule", "plain", "--host", "cortex_a53"]) == 0
    passes = json.loads((out / "manifest.json").read_text())["passes"]
    assert passes[-2:] == ['choose_kernels{host="cortex_a53"}', 'tile_kernels{host="cortex_a53"}']


@pytest.mark.parametrize("arithmetic", ["bits", "codes", "bytes"])
def test_arithmetic_of_few_bits_can_be_asked_for(tmp_path: Path, arithmetic: str):
    for name in ("digits_binary.hap", "digits_binary.safetensors", "digits_calib.npz", "digits_test.npz"):
        shutil.copy(EXAMPLES / name, tmp_path)
    path = tmp_path / "digits_binary.hap"
    head, _, _ = path.read_text().rpartition("{ }")
    path.write_text(f"{head}{{ kernel f2 {{ arithmetic = {arithmetic} }} }}\n")
    scheduled = load(path).schedule()
    rows = {row.layer: row for row in kernel_report(scheduled).rows}
    assert rows["f2"].kernel == f"direct {arithmetic}"
    result = scheduled.run("c", tmp_path / "digits_test.npz", limit=40)
    assert [difference.mismatches for difference in result.differences] == [0]


def test_bf16_is_taken_where_it_is_asked_for(tmp_path: Path):
    path = tmp_path / "n.hap"
    asked = "kernel c1 { algorithm = direct, arithmetic = bf16 }"
    path.write_text(SPEC.replace("kernel c1 { algorithm = winograd, tile = 2 }", asked))
    images = np.random.default_rng(0).standard_normal((2, 16, 12, 12)).astype(np.float32)
    np.savez(tmp_path / "images.npz", image=images)
    assert set(kernels(path, "plain").values()).isdisjoint({'#kernel.choice<direct, "bf16">'})
    scheduled = load(path).schedule("zen")
    assert kernels(path, "zen")["c1"] == '#kernel.choice<direct, "bf16">'
    rows = {row.layer: row for row in kernel_report(scheduled).rows}
    assert [rows[name].kernel for name in ("c1", "c2")] == ["direct bf16", "direct"]
    result = scheduled.run("c", tmp_path / "images.npz")
    (difference,) = result.differences
    assert 1e-5 < difference.max_rel_error < 0.02


@pytest.mark.parametrize(
    ("layer", "quantized", "why"),
    [
        ("16, kernel = 3, groups = 16", False, "each of its filters reads one channel"),
        ("16, kernel = 3, groups = 16", True, "its formats have one arithmetic"),
        ("8, kernel = 3", True, "there is no arithmetic `bf16` for its formats, only `bits` or"),
    ],
)
def test_bf16_is_refused_with_a_reason(tmp_path: Path, layer: str, quantized: bool, why: str):
    path = tmp_path / "n.hap"
    path.write_text(f"""hap 1
network n(image: f32[1, 16, 6, 6]) -> f32[1, {layer.split(",")[0]}, 4, 4] {{
    c1 = conv2d(image, channels = {layer})
    return c1
}}
recipe r {{ {'quantize(weights = i8, activations = u8, calibration = "images.npz")' if quantized else ""} }}
schedule s of n with r {{
    weights = random(seed = 1)
    kernel c1 {{ arithmetic = bf16 }}
}}
""")
    np.savez(tmp_path / "images.npz", image=np.random.default_rng(0).standard_normal((2, 16, 6, 6)).astype(np.float32))
    with pytest.raises(HapirError) as caught:
        kernels(path, "s")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "HAP0730"
    assert f"cannot be computed by `direct bf16`: {why}" in diagnostic.message


def test_autotune_measures_and_says_so(spec: Path, capsys: pytest.CaptureFixture[str]):
    spec.write_text(SMALL)
    out, images = spec.parent / "out", str(spec.parent / "images.npz")
    command = [str(spec), "--schedule", "plain", "--autotune"]
    assert main(["compile", *command, "-o", str(out), "--format", "json", "--target", "c"]) == 0
    tuning = json.loads(capsys.readouterr().out)["tuning"]
    assert [layer["layer"] for layer in tuning["layers"]] == ["f1"]
    for layer in tuning["layers"]:
        assert all(candidate["microseconds"] > 0 for candidate in layer["candidates"])
        assert layer["gain"] >= 1
    assert list((out / "ir").glob("*_autotune.mlir"))
    assert main(["run", *command, "--on", "c", "--input", images]) == 0
    shown = capsys.readouterr()
    assert "largest error" in shown.out
    assert "predicted cycles" in shown.err
