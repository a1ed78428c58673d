"""Convolutions and pools of ONNX as networks: what onnxruntime computes, in all forms, on the reference and in C."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from hapir.diagnostics import HapirError
from tests.unit.onnx_nodes import Node, check_c, check_reference
from tests.unit.test_reference_onnx import Array

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**16)
PADDINGS = st.sampled_from(("NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"))


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@st.composite
def spanned(draw: st.DrawFn, rank: int, *, pooling: bool = False) -> tuple[list[int], list[int], dict[str, Any]]:
    """Sizes, a kernel that fits them, and the attributes of a window."""
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    rule = draw(PADDINGS)
    # onnxruntime derives no padding of dilated windows
    dilations = [1 if rule.startswith("SAME") else draw(st.sampled_from((1, 1, 2, 3))) for _ in range(rank)]
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    sizes = [draw(st.integers(extent, extent + 5)) for extent in extents]
    attributes: dict[str, Any] = {
        "strides": [draw(st.integers(1, 3)) for _ in range(rank)],
        "dilations": dilations,
    }
    if rule == "NOTSET":
        limits = [min(2, k - 1) if pooling else 2 for k in kernel]
        attributes["pads"] = [draw(st.integers(0, limit)) for limit in (*limits, *limits)]
    else:
        attributes["auto_pad"] = rule
    return sizes, kernel, attributes


@st.composite
def convolutions(draw: st.DrawFn) -> Node:
    """Of signals and maps, the weights constant or given."""
    sizes, kernel, attributes = draw(spanned(draw(st.integers(1, 2))))
    n, c, k, groups = (draw(st.integers(1, 3)) for _ in range(4))
    seed = draw(SEEDS)
    inputs = {"x": normal(seed, n, c * groups, *sizes), "w": normal(seed + 1, k * groups, c, *kernel)}
    if draw(st.booleans()):
        inputs["b"] = normal(seed + 2, k * groups)
    if draw(st.booleans()):
        attributes["kernel_shape"] = kernel
    constant = draw(st.sampled_from(((), ("w",), ("w", "b"))))
    return Node("Conv", inputs, {**attributes, "group": groups}, constant)


@EXAMPLES
@given(convolutions())
def test_convolutions(node: Node):
    check_reference(node)


@st.composite
def transposed(draw: st.DrawFn) -> Node:
    """Of signals and maps, with places added at the end, or with the shape of the result given."""
    rank = draw(st.integers(1, 2))
    _, kernel, attributes = draw(spanned(rank))
    sizes = [draw(st.integers(1, 5)) for _ in range(rank)]
    strides, dilations = attributes["strides"], attributes["dilations"]
    n, c, k, groups = (draw(st.integers(1, 3)) for _ in range(4))
    extents = [(a - 1) * d + 1 for a, d in zip(kernel, dilations, strict=True)]
    match draw(st.integers(0, 2)):
        case 0:
            limits = [max(s, d) - 1 for s, d in zip(strides, dilations, strict=True)]
            attributes["output_padding"] = [draw(st.integers(0, limit)) for limit in limits]
        case 1:
            full = [s * (size - 1) + e for s, size, e in zip(strides, sizes, extents, strict=True)]
            attributes.pop("pads", None)
            attributes["output_shape"] = [draw(st.integers(max(1, size - 3), size)) for size in full]
        case _:
            # onnxruntime leaves out what a stride adds to a smaller kernel, ONNX's shape inference counts it
            same = attributes.get("auto_pad", "").startswith("SAME")
            assume(not same or all(e >= s for e, s in zip(extents, strides, strict=True)))
    pads = attributes.get("pads", [0] * 2 * rank)
    for axis in range(rank):
        left = strides[axis] * (sizes[axis] - 1) + extents[axis] - pads[axis] - pads[axis + rank]
        assume(left >= 1)
    seed = draw(SEEDS)
    inputs = {"x": normal(seed, n, c * groups, *sizes), "w": normal(seed + 1, c * groups, k, *kernel)}
    if draw(st.booleans()):
        inputs["b"] = normal(seed + 2, k * groups)
    constant = draw(st.sampled_from(((), ("w",), ("w", "b"))))
    return Node("ConvTranspose", inputs, {**attributes, "group": groups}, constant)


@EXAMPLES
@given(transposed())
def test_transposed_convolutions(node: Node):
    check_reference(node)


@st.composite
def pools(draw: st.DrawFn) -> Node:
    """Of signals, maps and volumes."""
    rank = draw(st.integers(1, 3))
    sizes, kernel, attributes = draw(spanned(rank, pooling=True))
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 3)), *sizes)
    kind = draw(st.sampled_from(("MaxPool", "AveragePool", "LpPool")))
    outputs, seed = 1, draw(SEEDS)
    x: Array = normal(seed, *shape)
    if attributes.get("auto_pad", "").startswith("SAME"):
        # onnxruntime has no answer where windows leave gaps
        assume(all(k >= s for k, s in zip(kernel, attributes["strides"], strict=True)))
    else:
        attributes["ceil_mode"] = draw(st.integers(0, 1))
    if kind == "AveragePool":
        attributes["count_include_pad"] = draw(st.integers(0, 1))
    if kind == "LpPool":
        attributes["p"] = draw(st.integers(1, 3))
    if kind == "MaxPool" and draw(st.booleans()):
        x = np.random.default_rng(seed).integers(-128, 128, shape).astype(draw(st.sampled_from((np.int8, np.uint8))))
    if kind == "MaxPool" and rank < 3 and draw(st.booleans()):
        outputs, attributes["storage_order"] = 2, draw(st.integers(0, 1))
    return Node(kind, {"x": x}, {**attributes, "kernel_shape": kernel}, outputs=outputs)


@EXAMPLES
@given(pools())
def test_pools(node: Node):
    check_reference(node)


FEW = settings(max_examples=3, deadline=None, derandomize=True, phases=(Phase.generate,))
"""Each example builds several programs."""


@FEW
@given(st.lists(st.one_of(convolutions(), transposed(), pools()), min_size=12, max_size=12))
def test_in_c(nodes: list[Node]):
    check_c(nodes)


@pytest.mark.slow
@settings(FEW, max_examples=20)
@given(st.lists(st.one_of(convolutions(), transposed(), pools()), min_size=24, max_size=24))
def test_in_c_sweep(nodes: list[Node]):
    check_c(nodes)


@pytest.mark.parametrize("kind", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
@pytest.mark.parametrize("sizes", [(7,), (3, 4), (2, 3, 4)])
def test_global_pools(kind: str, sizes: tuple[int, ...]):
    check_reference(Node(kind, {"x": normal(0, 2, 3, *sizes)}, {"p": 3} if kind == "GlobalLpPool" else {}))


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (Node("Conv", {"x": normal(0, 1, 2, 3, 3, 3), "w": normal(1, 2, 2, 1, 1, 1)}), "windows slide along 3 axes"),
        (
            Node("Conv", {"x": normal(0, 1, 2, 5), "w": normal(1, 2, 2, 3)}, {"kernel_shape": [2]}),
            "the weights are [3]",
        ),
        (Node("MaxPool", {"x": normal(0, 1, 2, 5, 5, 5)}, {"kernel_shape": [2, 2, 2]}, outputs=2), "in volumes"),
    ],
)
def test_what_cannot_be_imported(node: Node, reason: str):
    with pytest.raises(HapirError) as raised:
        node.imported()
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.code == "HAP0990"
    assert reason in diagnostic.message
    assert diagnostic.help
