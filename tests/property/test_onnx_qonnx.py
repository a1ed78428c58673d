"""QONNX's operators against the numbers that their pages define, on weights and on what flows through a network.

The expected values are written from the operators' definitions: scale, shift, clamp, round, and back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import helper
from xdsl.dialects.builtin import FloatData, IntAttr, ModuleOp

from hapir.context import HapirContext
from hapir.dialects import nn, num
from hapir.dialects.num import AffineType, BipolarType, PerChannelType, element_type, signed, unsigned
from hapir.lowering.canonical.integer_products import IntegerProductsPass
from hapir.lowering.compress.threshold import ThresholdPass
from hapir.lowering.cut_integer_body import cut
from hapir.reference import run_network
from tests.property.quantized_models import Model, model
from tests.property.test_c_reference import QUICK
from tests.property.test_c_reference import check as check_jobs

Reals = npt.NDArray[Any]
node: Any = helper.make_node  # of types that onnx leaves open
DOMAIN = "qonnx.custom_op.general"
MODES = ("ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")


def rounded(x: Reals, mode: str) -> Reals:
    """Whole numbers: to even, up, down, or by magnitude away from 0 or towards it."""
    size, sign = np.abs(x), np.sign(x)
    match mode:
        case "ROUND":
            return np.rint(x)
        case "CEIL":
            return np.ceil(x)
        case "FLOOR":
            return np.floor(x)
        case "UP":
            return sign * np.ceil(size)
        case "DOWN":
            return sign * np.floor(size)
        case "HALF_UP":
            return sign * np.floor(size + np.float32(0.5))
        case _:
            return sign * np.ceil(size - np.float32(0.5))


def quant(
    x: Reals, scale: Any, zero: Any, bits: int, *, signed: bool = True, narrow: bool = False, mode: str = "ROUND"
) -> Reals:
    """A QONNX Quant."""
    steps = x / scale + zero
    if bits == 1 and signed:
        whole = np.where(steps >= 0, np.float32(1), np.float32(-1))
    else:
        low = -(2 ** (bits - 1)) + narrow if signed else 0
        high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
        whole = rounded(np.clip(steps, np.float32(low), np.float32(high)), mode)
    return ((whole - zero) * scale).astype(np.float32)


def quant_model(
    x: Reals, scale: Any, zero: Any, bits: int, *, signed: bool = True, narrow: bool = False, mode: str = "ROUND",
    op: str = "Quant", domain: str = DOMAIN, constant: bool = False,
) -> Model:  # fmt: skip
    """A model of one Quant; of a constant, which is then added to the input."""
    attributes = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": mode}
    one = node(op, ["v" if constant else "x", "s", "z", "b"], ["y"], domain=domain, **attributes)
    constants: dict[str, Any] = {"s": np.float32(scale), "z": np.float32(zero), "b": np.float32(bits)}
    if not constant:
        return model([one], {"x": x}, {"y": ("float32", x.shape)}, constants, domains={domain: 1})
    total = node("Add", ["x", "y"], ["t"])
    outputs = {"t": ("float32", x.shape)}
    return model([one, total], {"x": np.zeros_like(x)}, outputs, {**constants, "v": x}, domains={domain: 1})


def values(scale: float) -> Reals:
    """Numbers on ties of a grid, beside them, and far beyond it."""
    ties = np.arange(-40, 41, dtype=np.float32) / 2 * np.float32(scale)
    beside = [np.nextafter(ties, np.float32(side)) for side in (-1e9, 1e9)]
    return np.concatenate([ties, *beside, np.array([1e6, -1e6, 0.0], np.float32)]).reshape(1, -1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("constant", [False, True], ids=["activation", "weight"])
def test_quant(mode: str, constant: bool):
    for scale, zero, bits, is_signed, narrow in (
        (0.25, 0, 4, True, False), (0.1, 0, 4, True, True), (0.1, 0, 3, False, False), (0.5, 0, 3, False, True),
        (0.3, 0, 8, True, True), (0.1, 3, 4, False, False), (0.25, 1, 5, True, False), (1.0, 0, 1, False, False),
    ):  # fmt: skip
        x = values(scale)
        made = quant_model(x, scale, zero, bits, signed=is_signed, narrow=narrow, mode=mode, constant=constant)
        (found,) = made.reference().values()
        expected = quant(x, np.float32(scale), np.float32(zero), bits, signed=is_signed, narrow=narrow, mode=mode)
        np.testing.assert_array_equal(found, expected)
        assert len(np.unique(expected)) > 1


@pytest.mark.parametrize("constant", [False, True], ids=["activation", "weight"])
def test_scales_of_channels(constant: bool):
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    scale = np.array([0.1, 0.5, 0.03], np.float32).reshape(1, 3, 1)
    (found,) = quant_model(x, scale, 0, 4, constant=constant).reference().values()
    np.testing.assert_array_equal(found, quant(x, scale, np.float32(0), 4))


@pytest.mark.parametrize("domain", [DOMAIN, "onnx.brevitas"])
def test_signs(domain: str):
    x = np.array([[-2, -0.1, -0.0, 0, 0.1, 3]], np.float32)
    for op, inputs in (("Quant", ["x", "s", "z", "b"]), ("BipolarQuant", ["x", "s"])):
        attributes = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"} if op == "Quant" else {}
        one = node(op, inputs, ["y"], domain=domain, **attributes)
        constants = {"s": np.float32(0.7), "z": np.float32(0), "b": np.float32(1)}
        made = model([one], {"x": x}, {"y": ("float32", x.shape)}, constants, domains={domain: 1})
        (found,) = made.reference().values()
        np.testing.assert_array_equal(found, np.where(x >= 0, np.float32(0.7), -np.float32(0.7)))


def truncated(x: Reals, scale: float, zero: float, bits: tuple[int, int], mode: str) -> Reals:
    """A QONNX Trunc of version 1."""
    whole = np.rint(x / np.float32(scale) + np.float32(zero)) / np.float32(2.0 ** (bits[0] - bits[1]))
    return (rounded(whole, mode) - np.float32(zero)) * np.float32(scale)


@pytest.mark.parametrize("mode", MODES)
def test_trunc(mode: str):
    x = values(0.1)
    one = node("Trunc", ["x", "s", "z", "i", "o"], ["y"], domain=DOMAIN, rounding_mode=mode)
    for scale, zero, bits in ((0.1, 0, (8, 6)), (0.25, 2, (10, 9))):
        constants = {"s": np.float32(scale), "z": np.float32(zero), "i": np.float32(bits[0]), "o": np.float32(bits[1])}
        made = model([one], {"x": x}, {"y": ("float32", x.shape)}, constants, domains={DOMAIN: 1})
        (found,) = made.reference().values()
        np.testing.assert_array_equal(found, truncated(x, scale, zero, bits, mode))


def test_trunc_of_version_2():
    x = values(0.1)
    inputs = ["x", "s", "z", "i", "os", "o"]
    one = node("Trunc", inputs, ["y"], domain=DOMAIN, rounding_mode="FLOOR", signed=1, narrow=0)
    constants = {
        "s": np.float32(0.1),
        "z": np.float32(0),
        "i": np.float32(8),
        "os": np.float32(0.4),
        "o": np.float32(4),
    }
    made = model([one], {"x": x}, {"y": ("float32", x.shape)}, constants, domains={DOMAIN: 2})
    (found,) = made.reference().values()
    whole = np.clip(np.rint(x / np.float32(0.1)) / np.float32(4), -8, 7)
    np.testing.assert_array_equal(found, np.floor(whole) * np.float32(0.4))


def test_types_of_a_small_network():
    """Weights are codes of their width, activations have the type of theirs; the numbers stay reals."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, 3, 6, 6)).astype(np.float32)
    constants: dict[str, Any] = {
        "w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "ws": rng.uniform(0.05, 0.1, (4, 1, 1, 1)).astype(np.float32),
        "z": np.float32(0), "four": np.float32(4), "three": np.float32(3), "xs": np.float32(0.2), "as": np.float32(0.3),
        "v": rng.normal(size=(64, 5)).astype(np.float32), "vs": np.float32(0.5), "shape": np.array([2, 64], np.int64),
    }  # fmt: skip
    nodes = [
        node("Quant", ["x", "xs", "z", "four"], ["q"], domain=DOMAIN, signed=1, narrow=0, rounding_mode="ROUND"),
        node("Quant", ["w", "ws", "z", "four"], ["wq"], domain=DOMAIN, signed=1, narrow=1, rounding_mode="ROUND"),
        node("Conv", ["q", "wq"], ["c"]),
        node("Relu", ["c"], ["r"]),
        node("Quant", ["r", "as", "z", "three"], ["a"], domain=DOMAIN, signed=0, narrow=0, rounding_mode="FLOOR"),
        node("Reshape", ["a", "shape"], ["f"]),
        node("BipolarQuant", ["v", "vs"], ["vq"], domain=DOMAIN),
        node("MatMul", ["f", "vq"], ["y"]),
    ]
    made = model(nodes, {"x": x}, {"y": ("float32", (2, 5))}, constants, domains={DOMAIN: 1})
    network, weights = made.network()
    elements = [element_type(op.result) for op in network.walk() if isinstance(op, nn.WeightOp | num.QuantizeOp)]
    assert AffineType(signed(4), FloatData(float(np.float32(0.2))), IntAttr(0)) in elements
    assert AffineType(unsigned(3), FloatData(float(np.float32(0.3))), IntAttr(0)) in elements
    assert AffineType(BipolarType(1), FloatData(0.5), IntAttr(0)) in elements
    assert any(isinstance(e, PerChannelType) and e.codes == signed(4) for e in elements)
    found = run_network(network, weights, made.inputs)["y"]
    q = quant(x, np.float32(0.2), np.float32(0), 4)
    wq = quant(constants["w"], constants["ws"], np.float32(0), 4, narrow=True)
    windows = np.lib.stride_tricks.sliding_window_view(q, (3, 3), axis=(2, 3))
    c = np.einsum("ncpqrs,kcrs->nkpq", windows.astype(np.float64), wq)
    a = quant(np.maximum(c, 0).astype(np.float32), np.float32(0.3), np.float32(0), 3, signed=False, mode="FLOOR")
    y = a.reshape(2, 64).astype(np.float64) @ np.where(constants["v"] >= 0, 0.5, -0.5)
    assert len(np.unique(y)) > 8
    # a sum on a tie may fall to either side: a step of an activation times a weight
    assert np.abs(found - y).max() < 1e-4


def trained_network(rng: np.random.Generator) -> Model:
    """Convolutions and dense layers of codes with batch norms and activations of few bits between them."""
    quant, signs = {"domain": DOMAIN, "narrow": 0, "rounding_mode": "ROUND"}, {"domain": DOMAIN}

    def reals(*shape: int) -> Reals:
        return rng.normal(size=shape).astype(np.float32)

    numbers = {"z": 0, "b2": 2, "b3": 3, "b4": 4, "xs": 0.25, "as": 0.3, "es": 0.5, "ws": 0.11, "vs": 0.07, "us": 1}
    constants: dict[str, Any] = {name: np.float32(value) for name, value in numbers.items()}
    constants |= {"w": reals(6, 3, 3, 3), "v": reals(8, 6, 3, 3), "u": reals(5, 32), "ub": reals(5)}
    for name, channels in (("n", 6), ("m", 8)):
        constants |= {f"{name}{i}": reals(channels) for i in range(3)}
        constants[f"{name}3"] = rng.uniform(0.5, 2, channels).astype(np.float32)
    nodes = [
        node("Quant", ["x", "xs", "z", "b4"], ["q"], signed=1, **quant),
        node("Quant", ["w", "ws", "z", "b3"], ["wq"], signed=1, **quant),
        node("Conv", ["q", "wq"], ["c1"], pads=[1] * 4),
        node("BatchNormalization", ["c1", *(f"n{i}" for i in range(4))], ["n"]),
        node("Relu", ["n"], ["r"]),
        node("Quant", ["r", "as", "z", "b2"], ["a"], signed=0, **quant),
        node("Quant", ["v", "vs", "z", "b4"], ["vq"], signed=1, **quant),
        node("Conv", ["a", "vq"], ["c2"], strides=[3, 3]),
        node("BatchNormalization", ["c2", *(f"m{i}" for i in range(4))], ["m"]),
        node("BipolarQuant", ["m", "us"], ["e"], **signs),
        node("Flatten", ["e"], ["f"]),
        node("BipolarQuant", ["u", "us"], ["uq"], **signs),
        node("Gemm", ["f", "uq", "ub"], ["y"], transB=1),
    ]
    x = rng.normal(size=(16, 3, 8, 8)).astype(np.float32)
    return model(nodes, {"x": x}, {"y": ("float32", (16, 5))}, constants, domains={DOMAIN: 1})


def test_a_trained_network_runs_on_integers():
    """Products of codes, then thresholds: the reals of QONNX, and no float between input and last sum."""
    made = trained_network(np.random.default_rng(11))
    network, weights = made.network()
    context, module = HapirContext(weights=weights), network.parent_op()
    assert isinstance(module, ModuleOp)
    expected = run_network(network, weights, made.inputs)["y"]
    IntegerProductsPass().apply(context, module)
    module.verify()
    products = [op for op in network.walk() if isinstance(op, nn.ProductOp)]
    assert all(element_type(op.result) == num.SI32 for op in products)
    np.testing.assert_allclose(run_network(network, weights, made.inputs)["y"], expected, rtol=1e-5, atol=1e-5)
    ThresholdPass().apply(context, module)
    module.verify()
    parts = cut(network)
    assert not any(num.is_float(result) for op in parts.body.body.block.ops for result in op.results)
    found = run_network(network, weights, made.inputs)["y"]
    # a sum on a tie of f32 may fall to either side, which is a step of an activation somewhere
    assert np.mean(np.abs(found - expected) > 1e-4) < 0.02
    assert parts.prologue is not None
    inputs = run_network(parts.prologue, weights, made.inputs)
    check_jobs([(parts.body, weights, dict(inputs))], QUICK)
