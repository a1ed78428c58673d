"""Networks drawn at random as text: the IR says what the text says, and shapes follow an independent rule."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import FileLineColLoc

from hapir.dialects import nn
from hapir.dialects.num import shape_of
from hapir.registry import make_context
from hapir.spec import build_module, load_spec_text


@dataclass(frozen=True)
class Layer:
    """A statement, and the shape that brute force gives its result."""

    text: str
    shape: tuple[int, ...]


def positions(size: int, kernel: int, stride: int, before: int, after: int) -> int:
    """How many windows fit, counted one by one."""
    padded = size + before + after
    return sum(1 for first in range(0, padded, stride) if first + kernel <= padded)


@st.composite
def layers(draw: st.DrawFn, shape: tuple[int, ...]) -> Layer:
    """One layer after a map of this shape."""
    n, c, h, w = shape
    kind = draw(st.sampled_from(["conv2d", "max_pool", "avg_pool", "relu", "batch_norm", "add", "concat", "clip"]))
    if kind in ("relu", "batch_norm"):
        return Layer(f"{kind}(PREVIOUS)", shape)
    if kind == "clip":
        return Layer("clip(PREVIOUS, low = -1, high = 2.5)", shape)
    if kind == "add":
        return Layer("add(PREVIOUS, relu(PREVIOUS))", shape)
    if kind == "concat":
        axis = draw(st.sampled_from([1, 2, 3]))
        joined = tuple(size * (3 if i == axis else 1) for i, size in enumerate(shape))
        return Layer(f"concat(PREVIOUS, PREVIOUS, PREVIOUS, axis = {axis})", joined)
    kernel = [draw(st.integers(1, min(4, size))) for size in (h, w)]
    stride = [draw(st.integers(1, 3)) for _ in (h, w)]
    top, left = (draw(st.integers(0, k - 1)) for k in kernel)
    bottom, right = (draw(st.integers(0, k - 1)) for k in kernel)
    p = positions(h, kernel[0], stride[0], top, bottom)
    q = positions(w, kernel[1], stride[1], left, right)
    window = f"kernel = {kernel}, stride = {stride}, padding = [{top}, {left}, {bottom}, {right}]"
    if kind != "conv2d":
        return Layer(f"{kind}(PREVIOUS, {window})", (n, c, p, q))
    groups = draw(st.sampled_from([g for g in (1, 2, c) if c % g == 0]))
    channels = groups * draw(st.integers(1, 3))
    return Layer(f"conv2d(PREVIOUS, channels = {channels}, {window}, groups = {groups})", (n, channels, p, q))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_network_of_a_text(data: st.DataObject):
    shape = (data.draw(st.integers(1, 2)), *(data.draw(st.integers(1, 6)) for _ in range(3)))
    lines = [f"network n(x: f32{list(shape)}) -> RESULT {{"]
    previous, shapes = "x", dict[str, tuple[int, ...]]()
    for index in range(data.draw(st.integers(1, 5))):
        layer = data.draw(layers(shape))
        name = f"l{index}"
        lines.append(f"    {name} = {layer.text.replace('PREVIOUS', previous)}")
        previous, shape = name, layer.shape
        shapes[name] = shape
    features = (shape[0], int(np.prod(shape[1:])))
    lines += [f"    return flatten({previous})", "}"]
    text = "hap 1\n" + "\n".join(lines).replace("RESULT", f"f32{list(features)}")
    module = build_module(load_spec_text(text, "t.hap", Path("nowhere")), None, make_context())
    module.verify()
    built = {op.layer_name: op for op in module.walk() if isinstance(op, nn.LayerOp)}
    for index, (name, expected) in enumerate(shapes.items()):
        op = built[name]
        assert shape_of(op.results[0]) == expected
        assert isinstance(op.location, FileLineColLoc)
        assert op.location.line.data == index + 3
    weights = [op for op in module.walk() if isinstance(op, nn.WeightOp)]
    assert len({op.key.data for op in weights}) == len(weights)
    assert all(op.key.data.rpartition(".")[0] in built for op in weights)
