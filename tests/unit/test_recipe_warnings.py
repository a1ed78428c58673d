"""Warnings of passes: found at the step, shown by every command that compiles, silenced by comments."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import hapir
from tests.projects import run_main

SPEC = """hap 1
network n(x: f32[1, 1, 4, 4]) -> f32[1, 2] {{
    c1 = conv2d(x, channels = 4, kernel = 3)
    return dense(flatten(relu(c1)), units = 2)
}}
recipe r {{
    {step}
}}
schedule s of n with r {{ weights = random() }}
"""
FEW = 'keep_accuracy(data = "d.npz", within = 4 points)'


def project(folder: Path, step: str, images: int = 100) -> Path:
    """A spec with a recipe of one step, and labelled images."""
    path = folder / "n.hap"
    path.write_text(SPEC.format(step=step), encoding="utf-8")
    x = np.random.default_rng(5).uniform(-1, 1, (images, 1, 4, 4)).astype(np.float32)
    np.savez(folder / "d.npz", allow_pickle=False, x=x, label=np.arange(images) % 2)
    return path


@pytest.mark.parametrize(
    "step",
    [
        FEW,
        FEW.replace("keep_accuracy(", "keep_accuracy(evaluator = agreement, "),
        'rao(data = "d.npz", within = 4 points, eps = 0.5, cluster = false)',
        'mixed_precision(data = "d.npz", within = 4 points, evaluator = accuracy)',
        'filter_prune(data = "d.npz", within = 4 points, layers = "c1")',
    ],
)
def test_a_bound_of_few_images_is_a_warning_at_the_step(tmp_path: Path, step: str):
    (found,) = hapir.load(project(tmp_path, step)).schedule("s").warnings
    assert (found.code, found.severity) == ("HAP0585", "warning")
    assert "worth 4 of 100 samples" in found.message
    assert found.help == "use 125 samples or more, or `evaluator = sqnr`"
    assert found.span is not None
    assert (found.span.line, found.span.column) == (7, 5)


@pytest.mark.parametrize(
    ("step", "images"),
    [
        (FEW, 125),
        (FEW.replace("4 points", "5 points"), 100),
        (FEW.replace("4 points", "0 %"), 100),  # nothing may be lost: no number of images would help
        (FEW.replace("within = 4 points", "at_least = 10 %"), 100),
        ('keep_accuracy(data = "d.npz", at_least = 10 dB, evaluator = sqnr)', 100),
    ],
)
def test_enough_images_are_no_warning(tmp_path: Path, step: str, images: int):
    assert hapir.load(project(tmp_path, step, images)).schedule("s").warnings == ()


NORMED = SPEC.replace("relu(c1)", "{between}(batch_norm(c1))")


@pytest.mark.parametrize(
    "coded", ["twn()", "bwn()", "k_means()", "quantize_weights()", "fixed_point()", 'twn(layers = "c1")']
)
def test_a_norm_that_codes_leave_behind_is_a_warning(tmp_path: Path, coded: str):
    def codes(steps: str, between: str = "relu") -> list[str]:
        path = tmp_path / "n.hap"
        path.write_text(NORMED.format(step=steps, between=between), encoding="utf-8")
        return [found.code for found in hapir.load(path).schedule("s").warnings]

    assert codes(f"{coded}; fold_batch_norm()") == ["HAP0535"]
    assert codes(f"fold_batch_norm(); {coded}") == []
    assert codes(coded, "sign") == []


def test_codes_of_other_layers_leave_a_norm_alone(tmp_path: Path):
    path = tmp_path / "n.hap"
    path.write_text(NORMED.format(step='twn(layers = "output*")', between="relu"), encoding="utf-8")
    assert hapir.load(path).schedule("s").warnings == ()


def test_of_two_formats_for_a_layer_the_last_counts_option_by_option(tmp_path: Path):
    steps = 'precision(layers = "c1", weights = i3, activations = u4); precision(layers = "*", weights = i5)'
    scheduled = hapir.load(project(tmp_path, steps)).schedule("s")
    (found,) = (op.attributes for op in scheduled.module.walk() if op.name == "nn.conv2d")
    assert (str(found["weight_format"]), str(found["activation_format"])) == ('"i5"', '"u4"')


def test_a_comment_silences_it(tmp_path: Path):
    path = project(tmp_path, f"{FEW}  // hapir: allow HAP0585")
    assert hapir.load(path).schedule("s").warnings == ()


def test_every_command_that_compiles_shows_it(tmp_path: Path):
    path, data = project(tmp_path, FEW), tmp_path / "d.npz"
    for arguments in (
        ("run", path, "--on", "reference", "--input", data),
        ("compile", path, "-o", tmp_path / "out"),
        ("report", path, "--input", data),
        ("report", path, "--all", "--input", data),
    ):
        text = run_main(*arguments)
        assert text.code == 0, text.err
        assert text.err.count("warning[HAP0585]") == 1
        assert FEW in text.err
        whole = run_main(*arguments, "--format", "json")
        assert [d["code"] for d in json.loads(whole.out)["diagnostics"]] == ["HAP0585"]
    many = run_main("compile", path, "-o", tmp_path / "many", "--jobs", 1, "--format", "json")
    assert (many.code, many.json["good"]) == (0, 1)
    assert [d["code"] for d in many.json["specs"][0]["diagnostics"]] == ["HAP0585"]
    pipeline = run_main("opt", path, "-p", f'keep_accuracy{{data="{data}" within=0.04}}', "--allow-outside")
    assert pipeline.code == 0, pipeline.err
    assert "warning[HAP0585]" in pipeline.err
    assert "-p:1:1" in pipeline.err
