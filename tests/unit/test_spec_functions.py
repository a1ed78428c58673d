"""Functions of elements in the language: every entry of the table, numbers as operands, casts and constants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.nn_functions import FUNCTIONS
from hapir.dialects.nn_pointwise_layers import statement
from hapir.dialects.num import element_type, shape_of, signed
from hapir.reference import run_network
from hapir.reference.nn_pointwise import COMPUTE
from hapir.registry import make_context
from hapir.registry import universe as registered
from hapir.spec import build_module, load_spec_text

REALS = """hap 1

network reals(x: f32[2, 3], y: f32[3]) -> (a: f32[2, 3], b: u1[2, 3]) {
    a1 = exp(log(sqrt(reciprocal(erf(x)))))
    a2 = floor(ceil(round(a1)))
    a3 = sin(cos(tan(asin(acos(atan(a2))))))
    a4 = sinh(cosh(asinh(acosh(atanh(a3)))))
    a5 = elu(selu(celu(thresholded_relu(shrink(softplus(softsign(mish(gelu_tanh(a4)))))), alpha = 0.5)), alpha = 2)
    a6 = abs(neg(signum(a5)))
    a7 = div(floor_mod(fmod(a6, 0.75), y), 3)
    a8 = prelu(minimum(maximum(pow(a7, 2), -1.5), y), 0.25)
    t1 = logical_not(logical_and(is_nan(a8), is_infinite(x)))
    t2 = logical_or(equal(x, y), logical_xor(less(x, y), less_equal(x, 0)))
    return where(greater(x, 0.5), a8, y), logical_or(logical_or(t1, t2), greater_equal(x, y))
}
"""
INTEGERS = """hap 1

network integers(k: i16[4], u: u8[2, 1]) -> (a: i16[4], b: u8[2, 4], c: f32[3, 4]) {
    m = constant(shape = [3, 1], type = i16)
    a = bit_not(bit_and(wrapping_add(k, 3), bit_or(wrapping_sub(k, 1), bit_xor(wrapping_mul(k, -2), k))))
    b = shift_left(shift_right(u, 1), cast(k, type = u8))
    c = cast(wrapping_add(m, k), type = f32)
    return a, b, from_bits(bits(c))
}
"""
REDUCED = """hap 1

network joined(x: f32[2, 3, 4], k: u8[2, 3]) -> (a: f32[2], b: u8[1, 3], c: f32[2, 3, 4], d: i32[2, 1, 4]) {
    m = reduce_mean(x, axes = 2, keep = true)
    a = reduce_max(reduce_product(reduce_min(sub(x, m), axes = 2, keep = true), axes = 2), axes = 1)
    b = reduce_sum(k, axes = 0, keep = true)
    return a, b, log_softmax(softmax(x, axis = 2)), argmax(x, keep = true, last = true)
}
"""
REDUCTIONS = ("reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_product", "log_softmax")


def network(text: str) -> nn.NetworkOp:
    module = build_module(load_spec_text(text, "t.hap", Path()), None, make_context(), None)
    module.verify()
    (op,) = (op for op in module.ops if isinstance(op, nn.NetworkOp))
    return op


def errors(text: str) -> list[str]:
    with pytest.raises(HapirError) as raised:
        network(text)
    return [f"{d.code} {d.message}" for d in raised.value.diagnostics]


def test_every_function_has_a_statement_a_meaning_and_a_place_here():
    used = {op.function.data for t in (REALS, INTEGERS) for op in network(t).walk() if isinstance(op, nn.PointwiseOp)}
    assert used == set(FUNCTIONS) == set(COMPUTE)
    assert all(registered().layers[name]() is statement(name) for name in FUNCTIONS)


def test_numbers_stand_beside_tensors_and_take_their_type():
    found = [
        (op.value.value.data, element_type(op.result)) for op in network(INTEGERS).walk() if isinstance(op, nn.FillOp)
    ]
    assert [value for value, _ in found] == [3, 1, -2, 1]
    assert {element for _, element in found[:3]} == {signed(16)}
    assert shape_of(network(REALS).return_op.values[0]) == (2, 3)


def test_integers_wrap_and_shifts_end():
    weights = {"m.value": np.array([[1], [2], [3]], np.int16)}
    k, u = np.array([1, 7, -3, 32767], np.int16), np.array([[255], [6]], np.uint8)
    results = run_network(network(INTEGERS), weights, {"k": k, "u": u})
    wide = k.astype(np.int64)
    added, less, twice = ((v + (1 << 15)) % (1 << 16) - (1 << 15) for v in (wide + 3, wide - 1, wide * -2))
    assert results["a"].tolist() == (~(added & (less | (twice ^ wide)))).tolist()
    assert results["b"].tolist() == [[254, 128, 0, 0], [6, 128, 0, 0]]
    assert results["c"].tolist() == [[2, 8, -2, -32768], [3, 9, -1, -32767], [4, 10, 0, -32766]]


def test_reductions():
    op = network(REDUCED)
    rng = np.random.default_rng(2)
    x, k = rng.normal(size=(2, 3, 4)).astype(np.float32), np.array([[250, 1, 2], [9, 255, 3]], np.uint8)
    results = run_network(op, {}, {"x": x, "k": k})
    apart = (x - x.mean(axis=2, keepdims=True)).min(axis=2)
    np.testing.assert_allclose(results["a"], apart.max(axis=1), rtol=1e-6)
    assert results["b"].tolist() == [[3, 0, 5]]
    shares = np.exp(x) / np.exp(x).sum(axis=2, keepdims=True)
    expected = shares - np.log(np.exp(shares).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(results["c"], expected, rtol=1e-5)
    ties = np.zeros_like(x)
    assert run_network(op, {}, {"x": ties, "k": k})["d"].tolist() == [[[2] * 4]] * 2
    with pytest.raises(HapirError, match=r"reduce s1\.? mixes|mixes the items"):
        run_network(op, {}, {"x": np.concatenate([x, x]), "k": np.concatenate([k, k])})


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("y = wrapping_add(k, 1.5)", "HAP0304 1.5 cannot stand beside si16"),
        ("y = exp(k)", "HAP0301 `y`: exp takes f32 of one type, got si16"),
        ("y = add(1, 2)", "HAP0304 expected a tensor or a layer, not 1"),
        ("y = relu(2)", "HAP0304 expected a tensor or a layer, not 2"),
        ("y = cast(k, type = fixed(2, 6))", "HAP0304 `type`"),
        ("y = constant(shape = [0])", "HAP0305 `constant`"),
        ("y = where(k, k, k)", "HAP0301 `y`: where chooses by ui1, got si16"),
    ],
)
def test_what_is_refused(statement: str, message: str):
    text = f"hap 1\n\nnetwork n(k: i16[4]) -> i16[4] {{\n    {statement}\n    return k\n}}\n"
    assert any(found.startswith(message) for found in errors(text)), errors(text)


def test_a_network_that_mixes_items_takes_its_own_shapes_only():
    text = "hap 1\n\nnetwork n(x: f32[2, 3], y: f32[3]) -> f32[2, 3] {\n    return add(x, y)\n}\n"
    op = network(text)
    x, y = np.ones((2, 3), np.float32), np.ones(3, np.float32)
    assert run_network(op, {}, {"x": x, "y": y})["output"].tolist() == [[2] * 3] * 2
    with pytest.raises(HapirError, match="HAP0421"):
        run_network(op, {}, {"x": np.ones((4, 3), np.float32), "y": y})
