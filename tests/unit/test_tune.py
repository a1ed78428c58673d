"""Tuning: the fastest candidate is taken, measurements are kept, requests hold, and what was measured is not lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import hapir.tune
from hapir.driver import Scheduled, load
from hapir.lowering.kernel.choose import KERNEL, TILES, products_of
from hapir.targets.c.build import find_compiler
from hapir.targets.c.emit import CArtefact
from hapir.weights import Array

SPEC = """hap 1
network n(image: f32[1, 16, 8, 8]) -> f32[1, 40] {
    c1 = conv2d(image, channels = 16, kernel = 3, padding = 1)
    r1 = relu(c1)
    c2 = conv2d(r1, channels = 16, kernel = 3, padding = 1)
    r2 = relu(c2)
    f1 = dense(flatten(r2), units = 40)
    return f1
}
schedule s of n {
    weights = random(seed = 1)
    MORE
}
"""


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """How many variants each call measured; by default the first variant of a layer is the slowest."""
    calls: list[int] = []

    def times(artefacts: Sequence[CArtefact], inputs: dict[str, Array]) -> list[list[float]]:
        calls.append(len(artefacts))
        assert inputs
        return [[1000.0 / (i + 1)] * len(artefact.layers) for i, artefact in enumerate(artefacts)]

    monkeypatch.setattr(hapir.tune, "step_times", times)
    monkeypatch.setenv("HAPIR_CACHE", str(tmp_path / "cache"))
    return calls


def scheduled(folder: Path, more: str = "") -> Scheduled:
    """The schedule of the spec, with more in its body."""
    path = folder / "n.hap"
    path.write_text(SPEC.replace("MORE", more))
    return load(path).schedule()


def attributes(found: Scheduled) -> dict[str, tuple[str, str]]:
    """Choice and tiles of each layer, as text."""
    return {
        name: (str(op.attributes[KERNEL]), str(op.attributes.get(TILES))) for name, op in products_of(found.network)
    }


def test_the_fastest_lands_in_the_ir(measured: list[int], tmp_path: Path):
    tuned = scheduled(tmp_path).autotuned()
    assert tuned.tuning is not None
    assert [layer.layer for layer in tuned.tuning.layers] == ["c1", "c2", "f1"]
    for layer in tuned.tuning.layers:
        assert layer.gain == pytest.approx(len(layer.candidates))
        times = [candidate.microseconds for candidate in layer.candidates]
        assert times == sorted(times)
        choice, _ = attributes(tuned)[layer.layer]
        assert layer.candidates[0].kernel.partition("(")[0] in choice
    assert [name for name, _ in tuned.compiled.snapshots][-1] == "autotune"
    assert attributes(tuned) != attributes(tuned.design.schedule().kernels)
    assert measured


def test_what_was_measured_once_is_kept(measured: list[int], tmp_path: Path):
    first = scheduled(tmp_path).autotuned()
    count = len(measured)
    again = scheduled(tmp_path).autotuned()
    assert len(measured) == count
    assert attributes(again) == attributes(first)
    assert again.tuning == first.tuning
    scheduled(tmp_path).autotuned(cache=False)
    assert len(measured) == 2 * count


@pytest.mark.parametrize("what", ["flags", "compiler", "processor"])
def test_what_was_measured_elsewhere_is_measured_anew(
    what: str, measured: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    scheduled(tmp_path).autotuned()
    count = len(measured)
    match what:
        case "flags":
            monkeypatch.setattr(hapir.tune, "FAST_FLAGS", ("-O1",))
        case "compiler":
            newer = replace(find_compiler(), version="another")
            monkeypatch.setattr(hapir.tune, "find_compiler", lambda: newer)
        case _:
            monkeypatch.setattr(hapir.tune, "_processor", lambda: "another")
    scheduled(tmp_path).autotuned()
    assert len(measured) == 2 * count


def test_equal_layers_are_measured_once(measured: list[int], tmp_path: Path):
    path = tmp_path / "n.hap"
    twins = "c3 = conv2d(r2, channels = 16, kernel = 3, padding = 1)\n    r3 = relu(c3)\n    f1"
    path.write_text(SPEC.replace("MORE", "").replace("f1", twins, 1).replace("flatten(r2)", "flatten(r3)"))
    tuned = load(path).schedule().autotuned()
    assert tuned.tuning is not None
    assert [layer.layer for layer in tuned.tuning.layers] == ["c1", "c2", "c3", "f1"]
    assert len(measured) == 2


def test_an_interrupted_run_goes_on_where_it_stopped(measured: list[int], tmp_path: Path):
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scheduled(tmp_path).autotuned(done=stop)
    before = sum(measured)
    scheduled(tmp_path).autotuned()
    whole = sum(measured)
    scheduled(tmp_path).autotuned(cache=False)
    assert before > 0
    assert sum(measured) - whole == whole  # nothing was measured twice


def test_a_request_holds(measured: list[int], tmp_path: Path):
    tuned = scheduled(tmp_path, "kernel c1 { algorithm = winograd }; kernel c2 { pixels = 4 }").autotuned()
    choices = attributes(tuned)
    assert "winograd" in choices["c1"][0]
    assert "direct" in choices["c2"][0]
    assert "avx512 : 4 by" in choices["c2"][1]
    assert tuned.tuning is not None
    assert {c.kernel for t in tuned.tuning.layers if t.layer == "c1" for c in t.candidates} == {
        "winograd(tile = 2)",
        "winograd(tile = 4)",
    }


def test_noise_does_not_change_the_model_s_choice(measured: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def times(artefacts: Sequence[CArtefact], inputs: dict[str, Array]) -> list[list[float]]:
        return [[1000.0 - i] * len(artefact.layers) for i, artefact in enumerate(artefacts)]

    monkeypatch.setattr(hapir.tune, "step_times", times)
    tuned = scheduled(tmp_path).autotuned("native")
    assert attributes(tuned) == attributes(scheduled(tmp_path).on_host("native"))
    assert not measured


def test_the_table_names_the_model_s_choice(measured: list[int], tmp_path: Path):
    tuned = scheduled(tmp_path).autotuned()
    assert tuned.tuning is not None
    lines = tuned.tuning.to_text().splitlines()
    assert lines[0].split() == ["layer", "kernel", "block", "predicted", "cycles", "us", "model"]
    assert sum(line.endswith("*") for line in lines) == 3
    assert tuned.tuning.to_json()["host"] == "native"
    assert measured


def test_without_convolutions_there_is_nothing_to_tune(measured: list[int], tmp_path: Path):
    path = tmp_path / "r.hap"
    path.write_text("hap 1\nnetwork n(x: f32[1, 4]) -> f32[1, 4] { return relu(x) }\n")
    tuned = load(path).schedule().autotuned()
    assert tuned.tuning is not None
    assert tuned.tuning.to_text() == "nothing to tune: each layer has one kernel"
    assert not measured
