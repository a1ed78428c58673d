"""Quantized networks in the language: the IR that each statement becomes, its parameters, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.dialects.nn import NetworkOp
from hapir.dialects.num import AffineType, element_type
from hapir.reference import run_network
from hapir.registry import make_context
from hapir.spec import build_module, load_spec, load_spec_text
from hapir.weights import Array, WeightStore

LAYERS = """    q = quantize(image, type = u8, scale = 0.5, zero_point = 10)
    c = conv2d(q, channels = 2, kernel = 3, weights = i8)
    r = rescale(c, type = i8, scale = 0.1, zero_point = -3, low = -3)
    p = max_pool(r, kernel = 2)
    d = dense(flatten(p), units = 3, weights = i4, weight_scale = 0.25, bias = false)
    m = requantize(d, type = u4, scale = 0.75, granularity = tensor, rounding = half_away)
"""
NETWORK = f"""network n(image: f32[1, 1, 4, 4]) -> f32[1, 3] {{
    weights from "n.npz"
{LAYERS}    return dequantize(m)
}}
"""
CODES: dict[str, Array] = {
    "c.weight": np.arange(-9, 9, dtype=np.int8).reshape(2, 1, 3, 3),
    "c.weight.scale": np.array([0.1, 0.2], np.float32),
    "c.bias": np.array([100, -7], np.int32),
    "r.ratio": np.array([0.37, 0.021], np.float32),
    "d.weight": np.array([[-8, 7], [3, -1], [0, 2]], np.int8),
    "m.multiplier": np.array([3], np.uint16),
    "m.shift": np.array([5], np.uint8),
}


def built(folder: Path, text: str, arrays: dict[str, Array]) -> tuple[NetworkOp, HapirContext]:
    np.savez(folder / "n.npz", **arrays)  # pyright: ignore[reportArgumentType]  # numpy's stub mistakes the arrays for its option
    path = folder / "n.hap"
    path.write_text(f"hap 1\n{text}", encoding="utf-8")
    context = make_context()
    module = build_module(load_spec(path), None, context)
    module.verify()
    (network,) = (op for op in module.ops if isinstance(op, NetworkOp))
    return network, context


def codes(text: str) -> list[tuple[str, str]]:
    with pytest.raises(HapirError) as caught:
        build_module(load_spec_text(f"hap 1\n{text}", "n.hap", Path()), None, make_context(), weights=False)
    return [(d.code, d.message) for d in caught.value.diagnostics]


def test_statements_map_on_ops(tmp_path: Path):
    network, _ = built(tmp_path, NETWORK, CODES)
    text = "\n".join(str(op) for op in network.body.block.ops)
    for expected in (
        'num.quantize %image half_even single layer "q" : ',
        "-> tensor<1x1x4x4x!num.affine<ui8, 0.5 : 10>>",
        'nn.weight "c.weight" : tensor<2x1x3x3x!num.per_channel<si8, 0, "c.weight.scale">>',
        'nn.weight "c.bias" : tensor<2xsi32>',
        "num.rescale %c, %r_ratio half_even single bounds -3, 127",
        'nn.weight "d.weight" : tensor<3x2x!num.affine<si4, 0.25 : 0>>',
        'num.requantize %d, %m_multiplier, %m_shift half_away bounds 0, 15 layer "m"',
    ):
        assert expected in text


def test_the_reference_runs_them(tmp_path: Path):
    network, context = built(tmp_path, NETWORK, CODES)
    x = np.random.default_rng(0).normal(size=(5, 1, 4, 4)).astype(np.float32) * 8
    found = run_network(network, context.weights, {"image": x})["output"]
    q = np.clip(np.rint(x / np.float32(0.5)) + 10, 0, 255).astype(np.int64) - 10
    w = CODES["c.weight"].astype(np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(q[:, 0], (3, 3), axis=(1, 2))
    sums = np.einsum("npqrs,krs->nkpq", windows, w[:, 0]) + CODES["c.bias"][:, None, None]
    r = np.clip(np.rint(sums.astype(np.float32) * CODES["r.ratio"][:, None, None]) - 3, -3, 127).astype(np.int64)
    d = (r.max(axis=(2, 3)) + 3) @ CODES["d.weight"].T.astype(np.int64)
    m = np.clip(np.trunc(d * 3 / 32 + np.copysign(0.5, d)), 0, 15)
    assert len(np.unique(m)) > 3
    np.testing.assert_array_equal(found, (m * 0.75).astype(np.float32))


def test_scales_are_the_f32_that_their_shortest_decimals_name(tmp_path: Path):
    scales = np.random.default_rng(1).uniform(1e-6, 10, 50).astype(np.float32)
    for scale in scales:
        text = f"network n(x: f32[1, 4]) -> u8[1, 4] {{\n    return quantize(x, type = u8, scale = {scale!s})\n}}\n"
        spec = load_spec_text(f"hap 1\n{text}", "n.hap", Path())
        (network,) = build_module(spec, None, make_context(), weights=False).ops
        assert isinstance(network, NetworkOp)
        (value,) = network.return_op.values
        element = element_type(value)
        assert isinstance(element, AffineType)
        assert np.float32(element.scale.data) == scale == element.scale.data


def test_coded_weights_of_a_layer_on_floats_are_read_as_reals(tmp_path: Path):
    text = """network n(x: f32[1, 2]) -> f32[1, 3] {
    weights from "n.npz"
    return dense(x, units = 3, weights = ternary)
}
"""
    arrays: dict[str, Array] = {
        "output.dense.weight": np.array([[1, -1], [0, 1], [-1, -1]], np.int8),
        "output.dense.weight.scale": np.array([0.5, 2, 4], np.float32),
        "output.dense.bias": np.array([1, 2, 3], np.float32),
    }
    network, context = built(tmp_path, text, arrays)
    found = run_network(network, context.weights, {"x": np.array([[3, 5]], np.float32)})["output"]
    np.testing.assert_array_equal(found, np.array([[0, 12, -29]], np.float32))


def test_bytes_in_and_out(tmp_path: Path):
    text = """network n(x: u8[1, 4]) -> (y: i32[1, 4], z: u8[1, 4]) {
    q = view(x, scale = 0.25, zero_point = 3)
    return widen(q, by = 2), view(q)
}
"""
    network, _ = built(tmp_path, text, {})
    x = np.array([[0, 3, 4, 255]], np.uint8)
    found = run_network(network, WeightStore(), {"x": x})
    np.testing.assert_array_equal(found["y"], [[-6, 0, 2, 504]])
    np.testing.assert_array_equal(found["z"], x)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("quantize(x, type = u8, scale = 0)", "a scale is a positive number that f32 holds, got 0.0"),
        ("quantize(x, type = u8, scale = 1e-60)", "a scale is a positive number that f32 holds, got 1e-60"),
        ("quantize(x, type = i4, scale = 1, zero_point = 8)", "the zero point 8 lies outside of -8..7"),
        ("quantize(x, type = fixed(2, 2), scale = 1)", "codes are integers, bipolar or ternary numbers"),
        (
            "rescale(widen(quantize(x, type = u8, scale = 1)), type = i4, scale = 1, high = 8)",
            "the bounds -8..8 do not",
        ),
        ("dequantize(x)", "dequantizes a quantized type, got f32"),
        ("view(x, scale = 1)", "view reads integers, got f32: quantize them"),
        ("view(x, zero_point = 1)", "a zero point needs a scale"),
        ("dense(x, units = 3, weight_scale = 1)", "weight_scale belongs to coded weights"),
        ("dense(quantize(x, type = u8, scale = 1), units = 3)", "cannot multiply"),
    ],
)
def test_what_is_refused(statement: str, message: str):
    found = codes(f"network n(x: f32[1, 4]) -> f32[1, 3] {{\n    return {statement}\n}}\n")
    assert len(found) == 1
    assert message in found[0][1]


@pytest.mark.parametrize(
    ("key", "array", "code"),
    [
        ("c.weight", np.ones((2, 1, 3, 3), np.float32), "HAP0406"),
        ("c.weight.scale", np.ones(3, np.float32), "HAP0403"),
        ("c.weight.scale", None, "HAP0402"),
        ("r.ratio", np.array([1, np.nan], np.float32), "HAP0404"),
    ],
)
def test_wrong_parameters(tmp_path: Path, key: str, array: Array | None, code: str):
    arrays = {k: v for k, v in {**CODES, key: array}.items() if v is not None}
    with pytest.raises(HapirError) as caught:
        built(tmp_path, NETWORK, arrays)
    assert [d.code for d in caught.value.diagnostics] == [code]
