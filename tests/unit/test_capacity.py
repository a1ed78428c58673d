"""What does not fit is said by `hapir check` as a warning, before any recipe runs, and agrees with the plan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hapir
from hapir.diagnostics import Diagnostic, HapirError
from hapir.weights import WeightStore
from tests.projects import run_main

NETWORK = """\
hap 1
network n(x: f32[1, {channels}, {side}, {side}]) -> f32[1, {filters}, {out}, {out}] {{
    c1 = conv2d(x, channels = 4, kernel = 3, padding = 1, bias = false)
    p1 = max_pool(relu(c1), kernel = {pool})
    return relu(conv2d(p1, channels = {filters}, kernel = 1, bias = false))
}}
machine m {{
    clock = 100 MHz
    memory dram {{ bandwidth = 8 B/cycle }}
    memory activations {{ size = {size} B, holds = [input, output], double_buffered = true }}
    memory weights {{ size = {weights} B, holds = weight }}
    array pe[4, 4] {{
        unit mac {{ multiply = u8 * i8, accumulate = i32 }}
        memory weight_reg {{ size = 1 word, holds = weight, double_buffered = true }}
        memory accumulator {{ size = {sums} word, holds = psum }}
    }}
}}
recipe int8 {{ quantize(calibration = "calib.npz") }}
schedule s of n with int8 on m {{ }}
"""
FITS = {"channels": 3, "side": 8, "filters": 4, "pool": 2, "size": 512, "weights": 512, "sums": 16}


def write(folder: Path, **changed: int) -> Path:
    numbers = {**FITS, **changed}
    numbers["out"] = numbers["side"] // numbers["pool"]
    return write_text(folder, NETWORK.format(**numbers))


def write_text(folder: Path, text: str) -> Path:
    path = folder / "n.hap"
    path.write_text(text, encoding="utf-8")
    return path


def warnings(path: Path) -> tuple[Diagnostic, ...]:
    return hapir.load(path).check().warnings


def test_what_fits_gives_no_warning(tmp_path: Path):
    assert warnings(write(tmp_path)) == ()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        # 4 banks of 8-byte words: 8 words of 8x8 pixels in each bank, twice
        (
            {"size": 448},
            "the input of layer `c1` needs 8 words in each of 4 banks, a half of `activations` has 7: 32 B",
        ),
        (
            {"side": 4, "pool": 1, "filters": 20},
            "the output of layer `output.conv2d` needs 10 words in each of 4 banks",
        ),
        ({"channels": 1, "side": 9, "pool": 3}, "the input of layer `c1` needs 11 words in each of 4 banks"),
        ({"sums": 3}, "one pooling window of layer `c1` has 4 pixels, `accumulator` holds 3"),
        ({"weights": 63}, "`weights` holds 504 bit, two weight tiles need 512"),
    ],
)
def test_what_does_not_fit_and_by_how_much(changed: dict[str, int], message: str, tmp_path: Path):
    (found,) = warnings(write(tmp_path, **changed))
    assert (found.code, found.severity) == ("HAP0604", "warning")
    assert found.message.startswith(message)
    assert found.span is not None


def test_both_places_are_shown_and_a_comment_silences(tmp_path: Path):
    path = write(tmp_path, size=448)
    outcome = run_main("check", path)
    assert outcome.code == 0
    assert "c1 = conv2d(x" in outcome.err
    assert "memory activations { size = 448 B" in outcome.err
    assert "help: give `activations` at least 1 KiB" in outcome.err
    (data,) = run_main("check", path, "--format", "json").json["diagnostics"]
    assert data["code"] == "HAP0604"
    text = path.read_text(encoding="utf-8")
    silenced = text.replace("padding = 1, bias = false)\n", "padding = 1, bias = false) // hapir: allow HAP0604\n", 1)
    assert silenced != text
    assert warnings(write_text(tmp_path, silenced)) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("schedule s of n with int8 on m", "schedule s of n on m"),
        ("schedule s of n with int8 on m", "schedule s of n with int8"),
        ("relu(conv2d(p1,", "relu(conv2d(add(p1, p1),"),
        ("f32[1, 3, 8, 8]) -> f32[1,", "f32[2, 3, 8, 8]) -> f32[2,"),
        ("clock = 100 MHz", ""),
    ],
)
def test_what_another_check_refuses_is_passed_over(old: str, new: str, tmp_path: Path):
    text = write(tmp_path, size=448).read_text(encoding="utf-8")
    assert old in text
    assert warnings(write_text(tmp_path, text)) != ()
    assert warnings(write_text(tmp_path, text.replace(old, new))) == ()


@pytest.mark.parametrize("size", [256, 384, 448, 512, 768])
@pytest.mark.parametrize("channels", [1, 3, 4, 8])
def test_the_plan_refuses_what_was_warned_of(size: int, channels: int, tmp_path: Path):
    path = write(tmp_path, size=size, channels=channels)
    text = path.read_text(encoding="utf-8").replace("    c1 =", '    weights from "w.safetensors"\n    c1 =', 1)
    path.write_text(text.replace("clock", "technology = cmos45\n    clock"), encoding="utf-8")
    rng = np.random.default_rng(3)
    shapes = {"c1.weight": (4, channels, 3, 3), "output.conv2d.weight": (4, 4, 1, 1)}
    WeightStore({k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}).save(tmp_path / "w.safetensors")
    np.savez(tmp_path / "calib.npz", x=rng.normal(size=(4, channels, 8, 8)).astype(np.float32))
    design = hapir.load(path)
    found = design.check().warnings
    try:
        design.schedule("s").estimate()
    except HapirError as error:
        (refused,) = error.diagnostics
        assert refused.code == "HAP0604"
        assert refused.message in [d.message for d in found]
    else:
        assert found == ()
