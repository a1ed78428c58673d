"""Hover: what is said about a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from hapir.lsp.hover import hover
from hapir.lsp.project import Project
from tests.lsp_client import cursor

SPEC = """\
hap 1
import "machines/ws_8x8.hap"

// How wide everything is.
let width = 4 * 2

// Two convolutions.
block pair(x, channels) {
    a = conv2d(x, channels = channels, kernel = 3, padding = 1)
    b = conv2d(a, channels = channels, kernel = 1)
    return b
}

network net(image: f32[1, 2, 6, 6], classes = 5 + 5) -> f32[1, classes] {
    p1 = pair(image, channels = width)
    p2 = pair(p1, channels = width * 2)
    g = global_avg_pool(p2)
    y[1] = relu(p2.b)
    return dense(flatten(concat(g, global_max_pool(y1))), units = classes)
}

machine m extends ws_8x8 { clock = 200 MHz }
recipe r { prune(layers = "p1.a", sparsity = 50 %) }
schedule s of net with r on m { dataflow = weight_stationary }
"""


def said(tmp_path: Path, marked: str) -> str | None:
    """What is said at the cursor `|`; the mark is put into the spec before the word that follows it there."""
    assert SPEC.count(marked.replace("|", "")) >= 1
    text, line, column = cursor(SPEC.replace(marked.replace("|", ""), marked, 1))
    project = Project()
    project.put(tmp_path / "x.hap", text)
    found = hover(*project.readable_view(tmp_path / "x.hap"), line, column)
    return None if found is None else found.text


@pytest.mark.parametrize(
    ("marked", "parts"),
    [
        ("channels = |width)", ["let width = 4 * 2", "= `8`", "How wide everything is."]),
        ("wi|dth = 4", ["let width = 4 * 2", "= `8`"]),
        ("width |* 2", ["`16`"]),
        ("5 |+ 5", ["`10`"]),
        ("|pair(image", ["block pair(x, channels)", "Two convolutions."]),
        ("|p1 = pair", ["p1 = pair(image, channels = width)", "2 layers, 224 parameters, 7,488 MACs"]),
        (
            "|a = conv2d",
            [
                "`p1.a`: `f32[1, 2, 6, 6]` -> `f32[1, 8, 6, 6]`; 152 parameters, 5,184 MACs; 1,152 bytes of results",
                "`p2.a`: `f32[1, 8, 6, 6]` -> `f32[1, 16, 6, 6]`",
            ],
        ),
        ("|conv2d(x", ["`p1.a`: ", "**conv2d** (layer)", "Two-dimensional convolution", "| `channels` |"]),
        ("|channels = channels", ["**channels** of the layer `conv2d`: an integer", "required"]),
        ("pair(p1, |channels", ["channels", "parameter of its definition"]),
        ("relu(p2.|b)", ["b = conv2d(a, channels = channels, kernel = 1)"]),
        ("(|y1)", ["y[...] = relu(p2.b)", "`f32[1, 16, 6, 6]`"]),
        ("of |net", ["network net(image: f32[1, 2, 6, 6], classes = 5 + 5)", "10 layers", "parameters"]),
        ("machines/|ws_8x8", ["machines/ws_8x8.hap", "machine ws_8x8", "64 multiply-accumulate units"]),
        ("200 |MHz", ["**MHz**", "frequency"]),
        ("50 |%", ["**%**", "ratio"]),
        ("|sparsity", ["**sparsity** of the pass `prune`", "at least 0"]),
        ("|prune", ["**prune** (pass, lossy)"]),
        ("|clock", ["**clock** of the block `machine`"]),
        ("|weight_stationary", ["**weight_stationary** (dataflow)"]),
        ('p1.|a"', ["a = conv2d(x, channels = channels"]),
        ("im|age, channels", ["image: f32[1, 2, 6, 6]", "input"]),
    ],
)
def test_hover(tmp_path: Path, marked: str, parts: list[str]):
    text = said(tmp_path, marked)
    assert text is not None
    assert [part for part in parts if part not in text] == []


@pytest.mark.parametrize("marked", ["// |How", "|\n// How", "|return b"])
def test_nothing_is_said_where_there_is_nothing(tmp_path: Path, marked: str):
    assert said(tmp_path, marked) is None


def test_a_broken_statement_elsewhere_does_not_matter(tmp_path: Path):
    text, line, column = cursor(SPEC.replace("g = global", "g = = global").replace("p1 = pair", "|p1 = pair"))
    project = Project()
    project.put(tmp_path / "x.hap", text)
    found = hover(*project.readable_view(tmp_path / "x.hap"), line, column)
    assert found is not None
    assert "2 layers, 224 parameters" in found.text
