"""Quantized operators imported from ONNX against onnxruntime: the same codes, all of them, on reference and C."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from onnx import helper

from hapir.diagnostics import HapirError
from hapir.dialects.nn import NetworkOp, WeightOp
from hapir.dialects.num import PerChannelType, element_type, is_float, signed, unsigned
from hapir.lowering.cut_integer_body import cut
from hapir.reference import run_network
from hapir.targets.c.build import build_c
from hapir.targets.c.emit import emit_c
from hapir.weights import Array, WeightStore
from tests.property.quantized_models import (
    KINDS,
    Model,
    conversions,
    convolutions,
    draw_codes,
    example,
    model,
    products,
    quantized_network,
)
from tests.property.test_c_reference import QUICK
from tests.property.test_c_reference import check as check_jobs

EXACT = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def check(sample: Model) -> None:
    expected, found = sample.runtime(), sample.reference()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@EXACT
@given(convolutions())
def test_qlinear_conv(sample: Model):
    check(sample)


@EXACT
@given(convolutions("ConvInteger"))
def test_conv_integer(sample: Model):
    check(sample)


@EXACT
@given(products())
def test_qlinear_matmul(sample: Model):
    check(sample)


@pytest.mark.parametrize("shapes", [((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)), ((3,), (2, 3, 4)), ((2, 4, 3), (3,))])
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("columns", [True, False])
def test_qlinear_matmul_of_vectors(shapes: tuple[tuple[int, ...], tuple[int, ...]], constant: bool, columns: bool):
    """A vector has no axis of rows, or of columns, in the result."""
    rng = np.random.default_rng(0)
    a, b = (draw_codes(rng, "uint8", shape) for shape in shapes)
    several = columns and constant and shapes[1] == (3, 4)
    scales, zeros = (rng.uniform(0.01, 0.1, 4), np.full(4, 7)) if several else (0.03, 7)
    constants: dict[str, Any] = {
        "as": np.float32(0.03),
        "az": np.uint8(100),
        "bs": np.asarray(scales, np.float32),
        "bz": np.asarray(zeros, np.uint8),
        "ys": np.float32(0.7),
        "yz": np.uint8(120),
    }
    inputs = {"a": a}
    (constants if constant else inputs)["b"] = b
    node: Any = helper.make_node("QLinearMatMul", ["a", "as", "az", "b", "bs", "bz", "ys", "yz"], ["y"])
    check(model([node], inputs, {"y": ("uint8", np.matmul(a, b).shape)}, constants))


def qgemm(shape: tuple[int, ...]) -> Model:
    """A product of 4 rows and 4 columns, and a bias of this shape."""
    rng = np.random.default_rng(0)
    constants: dict[str, Any] = {
        "as": np.float32(0.03),
        "az": np.uint8(100),
        "b": draw_codes(rng, "int8", (3, 4)),
        "bs": np.float32(0.05),
        "bz": np.int8(0),
        "c": rng.integers(-900, 900, shape).astype(np.int32),
        "ys": np.float32(0.7),
        "yz": np.uint8(120),
    }
    names = ["a", "as", "az", "b", "bs", "bz", "c", "ys", "yz"]
    node: Any = helper.make_node("QGemm", names, ["y"], domain="com.microsoft", alpha=1.0)
    return model([node], {"a": draw_codes(rng, "uint8", (4, 3))}, {"y": ("uint8", (4, 4))}, constants)


@pytest.mark.parametrize("shape", [(1,), (4,), (1, 4), (1, 1)])
def test_the_bias_of_a_qgemm(shape: tuple[int, ...]):
    """One number is the bias of all features."""
    check(qgemm(shape))


def test_a_bias_of_rows_is_no_bias_of_columns():
    with pytest.raises(HapirError, match="differs from row to row"):
        qgemm((4, 1)).network()


@EXACT
@given(products("MatMulInteger"))
def test_matmul_integer(sample: Model):
    check(sample)


@settings(EXACT, max_examples=60)
@given(conversions())
def test_conversions(sample: Model):
    check(sample)


STYLES = [(style, channel, kinds) for style in ("QDQ", "QOperator") for channel in (False, True) for kinds in KINDS]


@pytest.mark.parametrize(("style", "per_channel", "kinds"), STYLES)
def test_a_network_by_the_quantizer_of_onnxruntime(style: str, per_channel: bool, kinds: tuple[str, str]):
    """Residual, depthwise and clipped layers: the reals of onnxruntime, optimized or not, to the last bit."""
    sample = quantized_network(style, per_channel, kinds)
    network, weights = sample.network()
    kinds_of_ops = [op.name for op in network.body.block.ops]
    assert kinds_of_ops.count("num.rescale") == 5  # three convolutions, a pool, a dense layer
    assert kinds_of_ops.count("num.view") == 0
    found = run_network(network, weights, sample.inputs)["y"]
    for optimized in (False, True):
        np.testing.assert_array_equal(found, sample.runtime(optimized=optimized)["y"])


def test_c_gives_the_same_codes():
    """Operators, compiled together; whole networks are in `test_import_quantized`."""
    samples = [example(drawn, seed) for drawn in (convolutions(), products(), conversions()) for seed in range(2)]
    samples += [example(convolutions("ConvInteger"), 1), example(products("MatMulInteger"), 2)]
    jobs: list[tuple[NetworkOp, WeightStore, dict[str, Array]]] = []
    for sample in samples:
        network, weights = sample.network()
        parts = cut(network)
        arrays = dict(sample.inputs)
        if parts.prologue is not None:
            arrays |= run_network(parts.prologue, weights, arrays)
        body = {name.data: arrays[name.data] for name in parts.body.input_names}
        jobs.append((parts.body, weights, body))
    check_jobs(jobs, QUICK)


@pytest.mark.parametrize("low", [-3.0, 0.25, -8.0])
def test_a_layer_that_is_quantized_while_it_runs(low: float):
    """The codes, scale and zero point of onnxruntime, for ranges around, above and below 0; then a dense layer."""
    rng = np.random.default_rng(5)
    w = rng.integers(-128, 128, (6, 4)).astype(np.int8)
    node: Any = helper.make_node  # of types that onnx leaves open
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("MatMulInteger", ["q", "w", "z"], ["sums"]),
        node("Cast", ["sums"], ["real"], to=1),
        node("Mul", ["s", "ws"], ["scale"]),
        node("Mul", ["real", "scale"], ["y"]),
    ]
    outputs = {"q": ("uint8", (3, 6)), "s": ("float32", ()), "z": ("uint8", ()), "y": ("float32", (3, 4))}
    x = rng.uniform(low, low + 5, (3, 6)).astype(np.float32)
    check(model(nodes, {"x": x}, outputs, {"w": w, "ws": np.float32(0.02)}))


def grids(*names: str, dtype: str = "uint8") -> dict[str, Any]:
    """Scales and zero points, the same for the same names."""
    rng = np.random.default_rng(len(names))
    limits = np.iinfo(dtype)
    middle = (int(limits.max) + int(limits.min)) // 2
    made: dict[str, Any] = {}
    for name in names:
        zero = np.asarray(middle + rng.integers(-20, 20), dtype)
        made |= {f"{name}s": np.float32(rng.uniform(0.01, 0.05)), f"{name}z": zero}
    return made


def close(sample: Model, share: float, *, optimized: bool = True) -> None:
    """The codes of onnxruntime, but for a share of them that lie one step beside."""
    found, expected = sample.reference()["y"].astype(int), sample.runtime(optimized=optimized)["y"].astype(int)
    assert len(np.unique(expected)) > 3
    steps = np.abs(found - expected)
    assert steps.max() <= 1
    assert np.mean(steps > 0) <= share


MICROSOFT = "com.microsoft"


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul", "QLinearConcat", "QLinearGlobalAveragePool",
                                "QLinearLeakyRelu", "QLinearSigmoid", "QLinearAveragePool"])  # fmt: skip
def test_operators_of_onnxruntime(op: str, dtype: str):
    """Exact but for sums and products of two operands, which onnxruntime scales by ratios of their scales."""
    rng = np.random.default_rng(2)
    a, b = draw_codes(rng, dtype, (2, 4, 6, 6)), draw_codes(rng, dtype, (2, 4, 6, 6))
    node: Any = helper.make_node
    grid = grids("a", "b", "y", dtype=dtype)
    if op == "QLinearSigmoid":
        grid["ys"] = np.float32(0.0061)
    one, two, result = ["a", "as", "az"], ["b", "bs", "bz"], ["ys", "yz"]
    shape = (2, 4, 6, 6)
    match op:
        case "QLinearConcat":
            inputs, shape, attributes = [*result, *one, *two], (2, 8, 6, 6), {"axis": 1}
        case "QLinearAdd" | "QLinearMul":
            inputs, attributes = [*one, *two, *result], {}
        case "QLinearGlobalAveragePool":
            inputs, shape, attributes = [*one, *result], (2, 4, 1, 1), {"channels_last": 0}
        case "QLinearAveragePool":
            inputs, shape, attributes = [*one, *result], (2, 4, 3, 3), {"kernel_shape": [2, 2], "strides": [2, 2]}
        case _:
            inputs, attributes = [*one, *result], {"alpha": 0.1} if op == "QLinearLeakyRelu" else {}
    given = {"a": a} | ({"b": b} if "b" in inputs else {})
    sample = model([node(op, inputs, ["y"], domain=MICROSOFT, **attributes)], given, {"y": (dtype, shape)}, grid)
    close(sample, 0.005 if op in ("QLinearAdd", "QLinearMul") else 0.0)


def test_weights_that_are_quantized_in_the_graph():
    """As PyTorch exports: real weights and bias, a QuantizeLinear of each weight, ReLU in front of the last one."""
    rng = np.random.default_rng(4)
    node: Any = helper.make_node
    constants = grids("x", "y") | {
        "w": rng.normal(size=(5, 3, 3, 3)).astype(np.float32) / 10, "b": rng.normal(size=5).astype(np.float32),
        "ws": rng.uniform(0.001, 0.003, 5).astype(np.float32), "wz": np.zeros(5, np.int8),
        "v": rng.normal(size=(7, 80)).astype(np.float32) / 10, "vs": np.float32(0.002), "vz": np.int8(0),
        "zs": np.float32(0.03), "zz": np.uint8(120),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        node("DequantizeLinear", ["q", "xs", "xz"], ["d"]),
        node("QuantizeLinear", ["w", "ws", "wz"], ["wq"], axis=0),
        node("DequantizeLinear", ["wq", "ws", "wz"], ["wd"], axis=0),
        node("Conv", ["d", "wd", "b"], ["c"]),
        node("Relu", ["c"], ["r"]),
        node("QuantizeLinear", ["r", "ys", "yz"], ["rq"]),
        node("DequantizeLinear", ["rq", "ys", "yz"], ["rd"]),
        node("Flatten", ["rd"], ["f"]),
        node("QuantizeLinear", ["f", "ys", "yz"], ["fq"]),
        node("DequantizeLinear", ["fq", "ys", "yz"], ["fd"]),
        node("QuantizeLinear", ["v", "vs", "vz"], ["vq"]),
        node("DequantizeLinear", ["vq", "vs", "vz"], ["vd"]),
        node("Transpose", ["vd"], ["vt"], perm=[1, 0]),
        node("MatMul", ["fd", "vt"], ["m"]),
        node("QuantizeLinear", ["m", "zs", "zz"], ["y"]),
    ]
    x = rng.normal(size=(8, 3, 6, 6)).astype(np.float32)
    sample = model(nodes, {"x": x}, {"y": ("uint8", (8, 7))}, constants)
    network, _ = sample.network()
    names = [op.name for op in network.body.block.ops]
    assert names.count("num.rescale") == 2
    assert "num.dequantize" not in names
    close(sample, 0.02, optimized=False)


def test_sums_that_may_leave_int32_stay_reals():
    """Codes of 16 bits: a filter whose sums cannot be proven to fit multiplies the reals behind them."""
    rng = np.random.default_rng(6)
    node: Any = helper.make_node
    constants = grids("x", "y", dtype="uint16") | {
        "w": draw_codes(rng, "int8", (4, 2000)), "ws": np.float32(1e-6), "wz": np.int8(0),
    }  # fmt: skip
    nodes = [
        node("DequantizeLinear", ["x", "xs", "xz"], ["d"]),
        node("DequantizeLinear", ["w", "ws", "wz"], ["wd"]),
        node("Gemm", ["d", "wd"], ["g"], transB=1),
        node("QuantizeLinear", ["g", "ys", "yz"], ["y"]),
    ]
    sample = model(nodes, {"x": draw_codes(rng, "uint16", (3, 2000))}, {"y": ("uint16", (3, 4))}, constants)
    network, _ = sample.network()
    assert "num.rescale" not in [op.name for op in network.body.block.ops]
    close(sample, 0.5)


@pytest.mark.parametrize("dtype", ["int4", "uint4"])
def test_weights_of_4_bits(dtype: str):
    """A matrix of reals times codes of 4 bits with a scale per column; then in blocks, which become plain reals."""
    rng = np.random.default_rng(8)
    node: Any = helper.make_node
    kind = getattr(ml_dtypes, dtype)
    low, high = (-8, 8) if dtype == "int4" else (0, 16)
    codes = rng.integers(low, high, (12, 5))
    x = rng.normal(size=(3, 12)).astype(np.float32)
    columns, blocks = rng.uniform(0.1, 1, 5).astype(np.float32), rng.uniform(0.1, 1, (3, 5)).astype(np.float32)
    constants = {"w": codes.astype(kind), "cs": columns, "bs": blocks}
    nodes = [
        node("DequantizeLinear", ["w", "cs"], ["c"], axis=1),
        node("DequantizeLinear", ["w", "bs"], ["b"], axis=0, block_size=4),
        node("MatMul", ["x", "c"], ["y"]),
        node("MatMul", ["x", "b"], ["z"]),
    ]
    sample = model(nodes, {"x": x}, {"y": ("float32", (3, 5)), "z": ("float32", (3, 5))}, constants)
    network, weights = sample.network()
    elements = [element_type(op.result) for op in network.walk() if isinstance(op, WeightOp)]
    stored = [e for e in elements if isinstance(e, PerChannelType)]
    assert [e.codes for e in stored] == [(signed if dtype == "int4" else unsigned)(4)]
    found = run_network(network, weights, sample.inputs)
    np.testing.assert_allclose(found["y"], x @ (codes * columns).astype(np.float32), rtol=1e-5, atol=1e-5)
    spread = np.repeat(blocks, 4, axis=0)
    np.testing.assert_allclose(found["z"], x @ (codes * spread).astype(np.float32), rtol=1e-5, atol=1e-5)


def test_floats_between_integers():
    """A SiLU on reals between two convolutions; a resize and a concatenation of one grid work on codes."""
    rng = np.random.default_rng(9)
    node: Any = helper.make_node
    constants = grids("x", "c", "y") | {
        "v": draw_codes(rng, "int8", (4, 3, 3, 3)), "vs": rng.uniform(1e-3, 2e-3, 4).astype(np.float32),
        "w": draw_codes(rng, "int8", (5, 8, 1, 1)), "ws": np.float32(2e-3), "z": np.int8(0), "zs": np.zeros(4, np.int8),
        "ss": np.float32(0.02), "sz": np.uint8(14), "scales": np.array([1, 1, 2, 2], np.float32),
    }  # fmt: skip

    def pair(name: str, grid: str) -> list[Any]:
        scale = [f"{grid}s", f"{grid}z"]
        return [
            node("QuantizeLinear", [name, *scale], [f"{name}q"]),
            node("DequantizeLinear", [f"{name}q", *scale], [f"{name}d"]),
        ]

    nodes = [
        *pair("x", "x"),
        node("DequantizeLinear", ["v", "vs", "zs"], ["vd"], axis=0),
        node("Conv", ["xd", "vd"], ["c"]),
        *pair("c", "c"),
        node("Sigmoid", ["cd"], ["g"]),
        node("Mul", ["cd", "g"], ["s"]),
        *pair("s", "s"),
        node("Resize", ["sd", "", "scales"], ["r"], mode="nearest"),
        *pair("r", "s"),
        node("Concat", ["rd", "rd"], ["j"], axis=1),
        *pair("j", "s"),
        node("DequantizeLinear", ["w", "ws", "z"], ["wd"]),
        node("Conv", ["jd", "wd"], ["k"]),
        node("QuantizeLinear", ["k", "ys", "yz"], ["y"]),
    ]
    x = rng.normal(size=(2, 3, 6, 6)).astype(np.float32)
    sample = model(nodes, {"x": x}, {"y": ("uint8", (2, 5, 8, 8))}, constants)
    close(sample, 0.02)
    network, weights = sample.network()
    whole = cut(network)
    floats = {op.name for op in whole.body.body.block.ops if any(map(is_float, op.results))}
    assert floats == {"num.dequantize", "nn.sigmoid", "nn.mul", "nn.weight"}
    assert whole.prologue is not None
    inputs = run_network(whole.prologue, weights, sample.inputs)
    (expected,) = run_network(whole.body, weights, inputs).values()
    (found,) = build_c(emit_c(whole.body, weights), flags=QUICK, cache=False).run(dict(inputs)).values()
    steps = np.abs(found.astype(int) - expected.astype(int))
    assert steps.max() <= 1  # expf may differ in its last bit from numpy's, on a tie
    assert np.mean(steps > 0) < 0.01
