"""Products of matrices and norms of ONNX as networks: what onnxruntime computes, on the reference and in C."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from tests.unit.onnx_nodes import Node, check_c, check_reference
from tests.unit.test_reference_onnx import Array

EXAMPLES = settings(max_examples=50, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**16)
SMALL = st.integers(1, 5)


def normal(seed: int, *shape: int) -> Array:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape), np.float32)


@st.composite
def gemms(draw: st.DrawFn) -> Node:
    """With factors, turned operands, and an offset that repeats."""
    m, k, n, seed = draw(SMALL), draw(SMALL), draw(SMALL), draw(SEEDS)
    turned = draw(st.booleans()), draw(st.booleans())
    inputs = {
        "a": normal(seed, *((k, m) if turned[0] else (m, k))),
        "b": normal(seed + 1, *((n, k) if turned[1] else (k, n))),
    }
    offsets = ((), (1,), (n,), (1, n), (m, 1), (m, n))
    if draw(st.booleans()):
        inputs["c"] = normal(seed + 2, *draw(st.sampled_from(offsets)))
    attributes: dict[str, Any] = {"transA": int(turned[0]), "transB": int(turned[1])}
    attributes |= {name: draw(st.sampled_from((1.0, 0.5, -0.3))) for name in ("alpha", "beta")}
    return Node("Gemm", inputs, attributes, draw(st.sampled_from(((), ("b",), ("b", "c")))))


@EXAMPLES
@given(gemms())
def test_gemm(node: Node):
    check_reference(node)


@st.composite
def matmuls(draw: st.DrawFn) -> Node:
    """Of any ranks, axes that repeat, reals and integers."""
    m, k, n, seed = draw(SMALL), draw(SMALL), draw(SMALL), draw(SEEDS)
    axes = [draw(st.integers(1, 3)) for _ in range(draw(st.integers(0, 3)))]

    def leading() -> tuple[int, ...]:
        kept = axes[draw(st.integers(0, len(axes))) :]
        return tuple(draw(st.sampled_from((size, 1))) for size in kept)

    left = (k,) if draw(st.integers(0, 4)) == 0 else (*leading(), m, k)
    right = (k,) if draw(st.integers(0, 4)) == 0 else (*leading(), k, n)
    a, b = normal(seed, *left), normal(seed + 1, *right)
    dtype = draw(st.sampled_from((np.float32, np.float32, np.int32, np.int64, np.uint32)))
    if dtype is not np.float32:
        rng, low = np.random.default_rng(seed), 0 if dtype is np.uint32 else -(2**20)
        a, b = (rng.integers(low, 2**20, shape).astype(dtype) for shape in (left, right))
    return Node("MatMul", {"a": a, "b": b}, {}, draw(st.sampled_from(((), ("b",), ("a",)))))


@EXAMPLES
@given(matmuls())
def test_matmul(node: Node):
    check_reference(node)


def kinds(node: Node) -> list[str]:
    network, _ = node.imported()
    return [op.name for op in network.body.block.ops if isinstance(op, nn.LayerOp)]


def test_constant_matrices_make_dense_layers():
    a, b, c = normal(0, 2, 3), normal(1, 3, 4), normal(2, 4)
    assert kinds(Node("Gemm", {"a": a, "b": b, "c": c}, {"alpha": 0.5, "beta": 2.0}, ("b", "c"))) == ["nn.dense"]
    assert kinds(Node("MatMul", {"a": a, "b": b}, {}, ("b",))) == ["nn.dense"]
    assert kinds(Node("MatMul", {"a": normal(0, 2, 5, 3), "b": b}, {}, ("b",))) == ["nn.linear"]
    assert kinds(Node("MatMul", {"a": a, "b": b})) == ["nn.matmul"]
    assert kinds(Node("Gemm", {"a": a, "b": b, "c": c}, {}, ("b",))) == ["nn.matmul", "nn.add"]


@st.composite
def norms(draw: st.DrawFn) -> Node:
    """All norms, over signals, maps and volumes."""
    kind = draw(st.sampled_from(tuple(NORMS)))
    shape = tuple(draw(st.integers(1, 4)) for _ in range(draw(st.integers(3, 5))))
    seed, groups = draw(SEEDS), draw(st.integers(1, 2))
    shape = (shape[0], groups * shape[1], *shape[2:])
    x, attributes = normal(seed, *shape), {"epsilon": draw(st.sampled_from((1e-5, 0.01, 0.5)))}
    names, opset = NORMS[kind], 21
    match kind:
        case "LayerNormalization" | "RMSNormalization":
            attributes["axis"] = draw(st.integers(-len(shape), len(shape) - 1))
            factors = shape[attributes["axis"] :]
            opset = 23 if kind == "RMSNormalization" else opset
        case "GroupNormalization":
            attributes["num_groups"], opset = groups, draw(st.sampled_from((18, 21)))
            factors = (groups,) if opset == 18 else shape[1:2]
        case _:
            factors = shape[1:2]
    inputs = {"x": x} | {name: normal(seed + i, *factors) for i, name in enumerate(names, 1)}
    if "variance" in inputs:
        inputs["variance"] = np.abs(inputs["variance"])
    constant = names if opset == 18 else draw(st.sampled_from(((), names)))
    return Node(kind, inputs, attributes, constant, opset=opset)


NORMS = {
    "BatchNormalization": ("gamma", "beta", "mean", "variance"),
    "InstanceNormalization": ("gamma", "beta"),
    "GroupNormalization": ("gamma", "beta"),
    "LayerNormalization": ("gamma", "beta"),
    "RMSNormalization": ("gamma",),
}


@EXAMPLES
@given(norms())
def test_norms(node: Node):
    check_reference(node, 1e-4)


@settings(max_examples=3, deadline=None, derandomize=True, phases=(Phase.generate,))
@given(st.lists(st.one_of(gemms(), matmuls(), norms()), min_size=12, max_size=12))
def test_in_c(nodes: list[Node]):
    check_c(nodes, 1e-4)


def zeros_in(x: Array) -> Array:
    x[0] = 0
    return x


STATISTICS = [
    Node("LayerNormalization", {"x": normal(0, 2, 3, 4), "g": normal(1, 3, 4)}, {"axis": 1}, outputs=3),
    Node("LayerNormalization", {"x": normal(0, 2, 3, 4), "g": normal(1, 4)}, {"epsilon": 0.1}, outputs=2),
    Node("LpNormalization", {"x": zeros_in(normal(0, 3, 4))}, {"p": 1}),
    Node("LpNormalization", {"x": zeros_in(normal(0, 3, 4, 2))}, {"p": 2, "axis": 1}),
    Node("LpNormalization", {"x": normal(0, 3, 4)}, {"axis": 0}),
    Node("MeanVarianceNormalization", {"x": normal(0, 3, 4, 2, 5)}),
    Node("MeanVarianceNormalization", {"x": normal(0, 3, 4, 5)}, {"axes": [0, -1]}),
]


@pytest.mark.parametrize("node", STATISTICS)
def test_statistics(node: Node):
    check_reference(node, 1e-4)


def test_statistics_in_c():
    check_c(STATISTICS, 1e-4)


def test_training_mode_normalizes_by_the_batch():
    """onnxruntime has no such kernel for inference: the formulas of the operator's page."""
    x, (gamma, beta, mean) = normal(0, 4, 3, 5), (normal(i, 3) for i in (1, 2, 3))
    variance = np.abs(normal(4, 3))
    inputs = {"x": x, "gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
    node = Node("BatchNormalization", inputs, {"training_mode": 1, "momentum": 0.75, "epsilon": 0.01}, outputs=3)
    own, spread = x.mean(axis=(0, 2)), x.var(axis=(0, 2))
    by_channel = (1, 3, 1)
    normalized = (x - own.reshape(by_channel)) / np.sqrt(spread + 0.01).reshape(by_channel)
    expected = (normalized * gamma.reshape(by_channel) + beta.reshape(by_channel),
                0.75 * mean + 0.25 * own, 0.75 * variance + 0.25 * spread)  # fmt: skip
    for found, wanted in zip(node.found(), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_normalization(size: int):
    attributes = {"size": size, "alpha": 0.02, "beta": 0.6, "bias": 1.5}
    check_reference(Node("LRN", {"x": normal(0, 2, 5, 3, 4)}, attributes))


def test_a_layer_norm_without_shift_and_with_one_factor():
    x = normal(0, 2, 3, 4)
    check_reference(Node("LayerNormalization", {"x": x, "gamma": normal(1, 4)}, {"axis": 2}))
    check_reference(Node("LayerNormalization", {"x": x, "gamma": normal(1, 1)}, {"axis": 2}, ("gamma",)))


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (Node("GroupNormalization", {"x": normal(0, 1, 3, 2), "a": normal(0, 3), "b": normal(0, 3)},
              {"num_groups": 2}), "2 groups do not divide 3 channels"),
        (Node("GroupNormalization", {"x": normal(0, 1, 4, 2), "a": normal(0, 2), "b": normal(0, 2)},
              {"num_groups": 2}, opset=18), "must be constant"),
        (Node("LayerNormalization", {"x": normal(0, 1, 4), "a": normal(0, 1)}), "the gamma of shape (1,) repeats"),
        (Node("BatchNormalization", {"x": normal(0, 1, 2, 3), **{n: normal(0, 2) for n in "abcd"}},
              {"spatial": 0}, opset=7), "spatial"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported(node: Node, reason: str):
    with pytest.raises(HapirError) as raised:
        node.imported()
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.code == "HAP0990"
    assert reason in diagnostic.message
    assert diagnostic.help
