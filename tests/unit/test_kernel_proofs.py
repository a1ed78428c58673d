"""Proofs that integers fit: exact at their bounds, and true of all that a layer can be given."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import FloatData, IntegerType, TensorType

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import AffineType, integer_range, signed, unsigned
from hapir.lowering.kernel.c_types import CType
from hapir.lowering.kernel.pack_weights import INT32_MAX, folded_bias, sum_range
from hapir.lowering.kernel.plan_products import geometry_of, integer_contraction
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.kernel.plan_winograd import refusal
from hapir.lowering.kernel.steps import Convolution
from hapir.weights import WeightStore


@st.composite
def sums(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, tuple[int, int], int]:
    """A few rows of at most four taps, biases, what inputs can be, and a zero point anywhere."""
    taps = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(st.integers(-9, 9), min_size=taps, max_size=taps), min_size=1, max_size=3))
    bias = draw(st.lists(st.integers(-50, 50), min_size=len(rows), max_size=len(rows)))
    low = draw(st.integers(-20, 20))
    return np.array(rows), np.array(bias), (low, low + draw(st.integers(0, 20))), draw(st.integers(-25, 45))


@given(sums())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_range_of_a_sum_is_what_it_can_reach(drawn: tuple[np.ndarray, np.ndarray, tuple[int, int], int]):
    rows, bias, values, zero_point = drawn
    raw = min(values[0], zero_point), max(values[1], zero_point)
    found = sum_range(rows, bias, values, zero_point, raw)
    # a tap meets the ends of what inputs can be, or padding, which is the zero point
    given_ = np.array(list(product((*values, zero_point), repeat=rows.shape[1])))
    reached = (given_ - zero_point) @ rows.T + bias
    assert (found.low, found.high) == (reached.min(), reached.max())
    subsets = (np.array(s) for n in range(rows.shape[1] + 1) for s in combinations(range(rows.shape[1]), n))
    parts = [given_[:, s.astype(int)] @ rows[:, s.astype(int)].T for s in subsets]
    assert max(int(np.abs(part).max(initial=0)) for part in parts) <= found.partial
    folded = folded_bias(rows, bias, zero_point)
    np.testing.assert_array_equal(given_ @ rows.T + folded, reached)


@pytest.mark.parametrize(
    ("x", "weight", "name", "lift"),
    [
        ("uint8_t", -128, "u8_i8", 0),
        ("int8_t", 127, "u8_i8", 128),
        ("int8_t", -128, "u8_i8", 128),
        ("uint8_t", 128, "uint8_int16", 0),
        ("int8_t", -129, "int8_int16", 0),
        ("int16_t", 32767, "i16", 0),
        ("int16_t", -32768, "i16", 0),
        ("int16_t", 32768, "int16_int32", 0),
        ("int16_t", -32769, "int16_int32", 0),
        ("uint16_t", -128, "uint16_int8", 0),
        ("uint16_t", 128, "uint16_int16", 0),
    ],
)
def test_products_are_as_narrow_as_the_weights_allow(x: CType, weight: int, name: str, lift: int):
    contraction, added = integer_contraction(x, np.array([[0, weight]], np.int64))
    assert (contraction.name, added) == (name, lift)


def dense(storage: IntegerType, zero_point: int, weights: list[int], bias: int) -> str | None:
    """The code with which a dense layer of one filter is refused; None where it has a kernel."""
    store = WeightStore({"w": np.array([weights], np.int8), "b": np.array([bias], np.int32)})
    x_type = TensorType(AffineType(storage, FloatData(1.0), zero_point), (1, len(weights)))
    network = nn.NetworkOp("n", [("x", x_type)], [("y", TensorType(signed(32), (1, 1)))])
    w = nn.WeightOp("w", TensorType(AffineType(signed(8), FloatData(1.0), 0), (1, len(weights))))
    b = nn.WeightOp("b", TensorType(signed(32), (1,)))
    layer = nn.DenseOp(network.body.block.args[0], w.result, b.result, layer="f")
    network.body.block.add_ops([w, b, layer, nn.ReturnOp([layer.result])])
    network.verify()
    try:
        (step,) = (s for s in plan_program(network, store).steps if isinstance(s, Convolution))
    except HapirError as error:
        return error.diagnostics[0].code
    assert step.bias is not None
    assert step.bias.values.dtype == np.int32
    return None


@pytest.mark.parametrize(
    ("storage", "zero_point", "largest"),
    [
        (unsigned(8), 0, 255),
        (unsigned(8), 255, 255),
        (signed(8), 0, 255),  # lifted
        (signed(8), -128, 255),
        (signed(16), 0, 1 << 15),
        (unsigned(16), 7, (1 << 16) - 1),
    ],
    ids=str,
)
@pytest.mark.parametrize("sign", [1, -1])
def test_sums_are_refused_from_the_first_that_may_not_fit(
    storage: IntegerType, zero_point: int, largest: int, sign: int
):
    weights = [100, -27]
    lift = 128 if storage == signed(8) else 0
    # what is left for the bias with zero point and lift in it, beside products of any order
    room = INT32_MAX - sum(map(abs, weights)) * largest
    bias = sign * room + (zero_point + lift) * sum(weights)
    reached = [(v - zero_point) * w for w in weights for v in integer_range(storage)]
    ends = bias + min(reached[0], reached[1]) + min(reached[2], reached[3]), bias + max(reached[:2]) + max(reached[2:])
    assert -INT32_MAX - 1 <= ends[0] <= ends[1] <= INT32_MAX
    assert dense(storage, zero_point, weights, bias) is None
    assert dense(storage, zero_point, weights, bias + sign) == "HAP0710"


def winograd(kernel: np.ndarray, bounds: tuple[int, int], size: int) -> str | None:
    """Why a layer of such weights has no tiles of a size."""
    channels = kernel.shape[1]
    x = nn.WeightOp("x", TensorType(AffineType(unsigned(8), FloatData(1.0), 0), (1, channels, 6, 6)))
    w = nn.WeightOp("w", TensorType(AffineType(signed(8), FloatData(1.0), 0), kernel.shape))
    op = nn.Conv2dOp(x.result, w.result, window=Window((3, 3)), layer="c")
    return refusal(geometry_of(op), "uint8_t", kernel, bounds, size)


@pytest.mark.parametrize(("size", "shift"), [(2, 2), (4, 6)])
def test_minimal_filtering_leaves_room_for_what_scales_its_sums(size: int, shift: int):
    total = 1 << 31 - shift - 7  # times 128
    kernel = np.zeros((2, total // 500 + 1, 3, 3), np.int64)
    kernel[0, :-1, 1, 1] = 500
    kernel[0, -1, 1, 1] = total % 500 - 1
    assert winograd(kernel, (0, 128), size) is None
    kernel[0, -1, 0, 0] = 1
    assert (
        winograd(kernel, (0, 128), size)
        == f"a sum can reach {total * 128}, which 32 bits do not hold {1 << shift} times"
    )
    kernel[0] *= -1
    assert winograd(kernel, (0, 128), size) is not None
    assert winograd(kernel, (0, 127), size) is None
    assert winograd(kernel, (-127, 0), size) is None


def test_minimal_filtering_takes_what_16_bits_hold():
    kernel = np.zeros((1, 1, 3, 3), np.int64)
    kernel[0, 0, :, 1] = (10922, 10922, 10923)
    assert winograd(kernel, (0, 1), 2) is None
    kernel[0, 0, 0, 0] = 1
    assert winograd(kernel, (0, 1), 2) == "transformed inputs reach 4 and weights 32768, more than 16 bits hold"
    small = np.ones((1, 1, 3, 3), np.int64)
    assert winograd(small, (-8192, 8191), 2) is None
    assert winograd(small, (0, 8192), 2) is not None
    assert winograd(small, (-8193, 0), 2) is not None
