"""Completion: what is proposed where, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hapir.lsp.completion import Item, Place, complete
from hapir.lsp.project import Project
from hapir.lsp.signatures import signature
from tests.lsp_client import cursor

SPEC = """\
hap 1
import "machines/ws_8x8.hap"

let width = 16

block twice(x, channels, stride = 1) {
    c1 = conv2d(x, channels = channels, kernel = 3, stride = stride, padding = 1)
    return relu(c1)
}

network net(image: f32[1, 3, 8, 8], classes = 10) -> f32[1, classes] {
    c1 = twice(image, channels = width)
    repeat i in range(1, 2) {
        d = conv2d(c1, channels = 4, kernel = 1)
    }
    p1 = global_avg_pool(c1)
    NETWORK
    return dense(flatten(p1), units = classes)
}

machine m(rows = 4) {
    technology = cmos45
    clock = 200 MHz
    memory dram   { bandwidth = 8 B/cycle, latency = 20 cycle }
    memory buffer { size = 16 KiB }
    MACHINE
    array pe[rows, 4] {
        unit mac { multiply = u8 * i8 }
        ARRAY
    }
}

recipe small(sparsity = 50 %) {
    RECIPE
    fold_batch_norm()
}

schedule s of net with small on m {
    SCHEDULE
}
TOP
"""
HOLES = ("NETWORK", "MACHINE", "ARRAY", "RECIPE", "SCHEDULE", "TOP")


def place(tmp_path: Path, **written: str) -> Place:
    """The cursor `|` in the text put into a hole of the spec; the spec was read before the text was written."""
    before = text = SPEC
    for hole in HOLES:
        text = text.replace(hole, written.get(hole, ""))
        before = before.replace(hole, "")
    text, line, column = cursor(text)
    project, path = Project(), tmp_path / "net.hap"
    project.put(path, before)
    project.view(path)
    project.put(path, text)
    return project.place(path, line, column)


def items(tmp_path: Path, **written: str) -> list[Item]:
    """The proposals at the cursor."""
    return complete(place(tmp_path, **written))


def labels(tmp_path: Path, **written: str) -> list[str]:
    """Their labels."""
    return [item.label for item in items(tmp_path, **written)]


@pytest.mark.parametrize(
    ("hole", "written", "wanted", "unwanted"),
    [
        ("NETWORK", "|", {"return", "let", "repeat", "block"}, {"conv2d", "machine"}),
        ("NETWORK", "x = |", {"twice", "conv2d", "relu"}, {"image", "fold_batch_norm", "cmos45"}),
        ("NETWORK", "x = conv2d(|", {"image", "c1", "width", "channels", "kernel", "twice"}, {"rows", "dataflow"}),
        ("NETWORK", "x = conv2d(c1, channels = 4, |", {"kernel", "stride"}, {"channels"}),
        ("NETWORK", "x = conv2d(c1, channels = wi|", {"width", "classes", "min", "size"}, {"image", "kernel"}),
        ("NETWORK", "x = conv2d(c1, bias = |", {"true", "false"}, {"kernel"}),
        ("NETWORK", "x = twice(c1, |", {"channels", "stride", "c1"}, {"kernel"}),
        ("NETWORK", "return |", {"c1", "conv2d"}, {"rows"}),
        ("MACHINE", "|", {"memory", "array", "unit", "network_on_chip"}, {"clock", "cache", "conv2d"}),
        ("MACHINE", "unit |", {"mac", "requantize"}, {"memory"}),
        ("MACHINE", "memory x { |", {"size", "holds", "bandwidth"}, {"technology", "unit"}),
        ("MACHINE", "memory x { size = 1 KiB, holds = |", {"input", "weight", "psum"}, {"size"}),
        ("MACHINE", "memory x { holds = [input, |", {"input", "weight"}, {"size"}),
        ("MACHINE", "memory x { double_buffered = |", {"true", "false", "rows"}, set[str]()),
        ("MACHINE", "memory x { size = 16 |", {"KiB", "B", "word"}, {"MHz", "%", "KiB/s"}),
        ("MACHINE", "memory x { latency = 5 n|", {"ns", "cycle"}, {"KiB"}),
        ("MACHINE", "memory x { size = |", {"64 KiB", "16 word", "rows"}, {"200 MHz"}),
        ("MACHINE", "network_on_chip n { topology = |", {"bus"}, {"dram"}),
        ("MACHINE", "network_on_chip n { source = |", {"dram", "buffer", "pe"}, {"bus"}),
        ("MACHINE", "technology = |", {"cmos45"}, {"clock"}),
        ("ARRAY", "unit mac { |", {"multiply", "accumulate"}, {"size"}),
        ("ARRAY", "unit mac { multiplier = |", {"exact", "truncated"}, {"u8"}),
        ("ARRAY", "unit mac { accumulate = |", {"i32"}, {"exact"}),
        ("RECIPE", "|", {"prune", "quantize", "small"}, {"conv2d"}),
        ("RECIPE", "prune(|", {"layers", "sparsity", "grain"}, {"kernel"}),
        ("RECIPE", "prune(sparsity = |", {"50 %", "sparsity", "width"}, {"classes"}),
        ("RECIPE", "prune(grain = |", {"weight", "filter"}, {"layers"}),
        ("RECIPE", "prune(layers = |", {"c1.c1", "c*", "d1"}, {"width_of_nothing"}),
        ("RECIPE", 'prune(layers = "|', {"c1.c1", "c*", "d2"}, {"sparsity"}),
        ("RECIPE", 'prune(layers = ["c1.c1", "|', {"d1"}, {"sparsity"}),
        ("SCHEDULE", "|", {"dataflow", "map", "kernel"}, {"at"}),
        ("SCHEDULE", "kernel |", {"c1.c1", "d1"}, {"dram"}),
        ("SCHEDULE", "kernel d1 { |", {"algorithm", "arithmetic", "pixels"}, {"at", "tile"}),
        ("SCHEDULE", "kernel d1 { algorithm = |", {"direct", "winograd", "sparse"}, {"tile"}),
        ("SCHEDULE", "kernel d1 { algorithm = winograd, |", {"tile"}, {"algorithm", "pixels"}),
        ("SCHEDULE", "kernel d1 { algorithm = winograd, tile = |", {"2", "4"}, {"8"}),
        ("SCHEDULE", "kernel d1 { order = |", {"filters", "rows"}, {"algorithm"}),
        ("SCHEDULE", "kernel d1 { algorithm = fft, |", set[str](), {"algorithm", "pixels"}),
        ("SCHEDULE", "dataflow = |", {"weight_stationary"}, {"exact"}),
        ("SCHEDULE", "map |", {"c1.c1", "d1"}, {"dram"}),
        ("SCHEDULE", "map d1 { |", {"at"}, {"map"}),
        ("SCHEDULE", "map d1 { at |", {"dram", "buffer", "pe"}, {"d1"}),
        ("SCHEDULE", "map d1 { at pe { |", {"rows", "columns", "for", "bypass"}, {"at"}),
        ("SCHEDULE", "map d1 { at pe { rows = [|", {"K", "C"}, {"input"}),
        ("SCHEDULE", "map d1 { at dram { bypass = [|", {"input", "output"}, {"K"}),
        ("TOP", "|", {"network", "machine", "recipe", "schedule", "block", "let", "import"}, {"conv2d"}),
        ("TOP", 'import "|', {"machines/ws_8x8.hap", "networks/lenet5.hap"}, {"network"}),
        ("TOP", "schedule t of |", {"net"}, {"m", "small"}),
        ("TOP", "schedule t of net |", {"with", "on"}, {"of"}),
        ("TOP", "schedule t of net with |", {"small", "none"}, {"m"}),
        ("TOP", "schedule t of net with small on |", {"m", "ws_8x8"}, {"net"}),
        ("TOP", "schedule t of net with small(|", {"sparsity"}, {"rows"}),
        ("TOP", "schedule t of net with small on m(|", {"rows"}, {"sparsity"}),
        ("TOP", "machine big extends |", {"m", "ws_8x8"}, {"net"}),
        ("TOP", "let y = |", {"width", "max"}, {"image"}),
        ("TOP", "// hapir: allow |", {"HAP0220", "HAP0250"}, {"HAP0101"}),
        ("TOP", "// any other text |", set[str](), {"network"}),
    ],
)  # fmt: skip
def test_proposals(tmp_path: Path, hole: str, written: str, wanted: set[str], unwanted: set[str]):
    found = labels(tmp_path, **{hole: written})
    assert len(found) == len(set(found))
    assert wanted - set(found) == set()
    assert unwanted & set(found) == set()


def test_files_of_the_folder_are_proposed(tmp_path: Path):
    (tmp_path / "parts").mkdir()
    for name in ("other.hap", "parts/deep.hap", "w.safetensors", "d.npz", "notes.txt"):
        (tmp_path / name).touch()
    assert labels(tmp_path, TOP='import "|')[:2] == ["other.hap", "parts/deep.hap"]
    assert labels(tmp_path, NETWORK='weights from "|') == ["w.safetensors"]
    assert labels(tmp_path, RECIPE='quantize(calibration = "|') == ["d.npz"]


def test_items_say_what_they_are(tmp_path: Path):
    found = {item.label: item for item in items(tmp_path, NETWORK="x = conv2d(|")}
    assert found["channels"].detail == "required"
    assert found["channels"].insert == "channels = "
    assert found["stride"].detail == "default 1"
    assert found["twice"].detail == "block twice(x, channels, stride = 1)"
    assert "Two-dimensional convolution" in found["conv2d"].documentation


@pytest.mark.parametrize(
    ("hole", "written", "label", "active"),
    [
        ("NETWORK", "x = twice(c1, |", "twice(x, channels, stride = 1)", "channels"),
        ("NETWORK", "x = twice(c1, stride = |", "twice(x, channels, stride = 1)", "stride = 1"),
        ("NETWORK", "x = add(relu(c1), max_pool(p1, kernel = |", "max_pool(x, kernel, ", "kernel"),
        ("NETWORK", "x = conv2d(c1, channels = min(1, |", "min(a, b, ...)", None),
        ("RECIPE", "prune(sparsity = |", "prune(sparsity = none, ", "sparsity = none"),
        ("RECIPE", "log2(bits = |", "log2(bits = 4, ", "bits = 4"),
        ("RECIPE", "log2(bits = log2(|", "log2(a)", None),
        ("TOP", "schedule t of net on m(|", "m(rows = 4)", "rows = 4"),
    ],
)
def test_signatures(tmp_path: Path, hole: str, written: str, label: str, active: str | None):
    found = signature(place(tmp_path, **{hole: written}))
    assert found is not None
    assert found.label.startswith(label)
    assert (None if found.active is None else found.parameters[found.active][0]) == active
