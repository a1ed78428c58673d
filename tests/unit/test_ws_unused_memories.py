"""A memory that the dataflow does not use is a warning at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

import hapir

SPEC = """\
hap 1
import "machines/ws.hap"
network n(x: f32[1, 8, 4, 4]) -> f32[1, 8, 4, 4] {{ return conv2d(x, channels = 8, kernel = 1) }}
machine m extends ws {{
    {memory}
}}
recipe int8 {{ quantize(calibration = "c.npz") }}
schedule s of n with int8 on m {{ }}
"""


@pytest.mark.parametrize(
    ("memory", "found"),
    [
        ("memory dram { latency = 5 cycle }", []),
        ("memory drm { latency = 5 cycle }", [("`drm`", "did you mean `dram`?")]),
        ("memory scratch { size = 4 KiB, holds = psum }", [("`scratch`", "it uses accumulator, activations, ")]),
        ("array pe[8, 8] { memory spare { size = 1 word } }", [("`spare`", "it uses ")]),
        ("memory drm { latency = 5 cycle }  // hapir: allow HAP0613: kept for the board", []),
    ],
)
def test_unused_memories(memory: str, found: list[tuple[str, str]], tmp_path: Path):
    path = tmp_path / "n.hap"
    path.write_text(SPEC.format(memory=memory), encoding="utf-8")
    design = hapir.load(path)
    assert design.warnings == ()
    warnings = [d for d in design.check().warnings if d.code == "HAP0613"]
    assert len(warnings) == len(found)
    for warning, (name, help) in zip(warnings, found, strict=True):
        assert name in warning.message
        assert (warning.help or "").startswith(help)
        assert warning.span is not None
        assert (warning.span.file, warning.span.line) == ("n.hap", 5)


def test_the_library_and_the_examples_use_all_their_memories():
    root = Path(__file__).resolve().parents[2] / "spec_examples"
    for spec in sorted(root.glob("*.hap")):
        assert [d for d in hapir.load(spec).check().warnings if d.code == "HAP0613"] == []
