"""What the text form of the dialects cannot show: Python constructors, accessors and plain functions."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from xdsl.dialects.builtin import ArrayAttr, FloatData, IntAttr, TensorType, f32
from xdsl.utils.exceptions import VerifyException

from hapir.dialects import nn
from hapir.dialects.assembly import float_text
from hapir.dialects.machine_units import MacUnit, RequantizeUnit, UnitOp
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import SI8, UI8, AffineType, Rounding, integer_range, on_grid, shape_of, signed, unsigned


def test_a_window_has_all_its_sizes() -> None:
    pair, four = ArrayAttr([IntAttr(1)] * 2), ArrayAttr([IntAttr(0)] * 4)
    assert nn.WindowAttr(pair, pair, four, pair).window == Window((1, 1))
    with pytest.raises(VerifyException, match="2 kernel, 2 stride, 4 padding and 2 dilation"):
        nn.WindowAttr(pair, pair, pair, pair)


def test_a_window_reads_back_as_the_plain_one() -> None:
    window = Window((3, 5), (2, 1), (0, 1, 2, 3), (1, 2))
    assert nn.WindowAttr.of(window).window == window
    assert window.extent == (3, 9)
    assert window.output(10, 20) == (5, 16)


def test_results_of_recurrent_ops_are_the_outputs_then_the_states() -> None:
    x, w_input, w_hidden = (nn.WeightOp(key, TensorType(f32, shape)).result for key, shape in
                            (("x", (1, 5, 3)), ("wi", (8, 3)), ("wh", (8, 2))))  # fmt: skip
    lstm = nn.LstmOp(x, w_input, w_hidden)
    assert (lstm.outputs, lstm.hidden, lstm.cell) == tuple(lstm.results)
    assert [shape_of(result) for result in lstm.results] == [(1, 5, 2), (1, 2), (1, 2)]
    w_input, w_hidden = (nn.WeightOp(key, TensorType(f32, shape)).result for key, shape in
                         (("wi", (6, 3)), ("wh", (6, 2))))  # fmt: skip
    gru = nn.GruOp(x, w_input, w_hidden)
    assert (gru.outputs, gru.hidden) == tuple(gru.results)
    assert [shape_of(result) for result in gru.results] == [(1, 5, 2), (1, 2)]


def test_a_network_follows_what_it_returns() -> None:
    network = nn.NetworkOp("n", [("x", TensorType(f32, [1, 2, 2, 2]))], [("y", TensorType(f32, [1, 2, 2, 2]))])
    block = network.body.block
    flat = nn.FlattenOp(block.args[0], layer="f")
    block.add_ops([flat, nn.ReturnOp([flat.result])])
    with pytest.raises(VerifyException, match="declares"):
        network.verify()
    network.set_result_types()
    network.verify()
    assert list(network.function_type.outputs) == [TensorType(f32, [1, 8])]
    assert flat.layer_name == "f"


@pytest.mark.parametrize("unit", [MacUnit(), MacUnit((SI8, SI8), signed(24), "truncated"), MacUnit((UI8, SI8))])
def test_mac_options_read_back(unit: MacUnit) -> None:
    op = UnitOp.of(unit)
    op.verify_()
    assert op.mac() == unit


@pytest.mark.parametrize("rounding", list(Rounding))
def test_requantize_options_read_back(rounding: Rounding) -> None:
    op = UnitOp.of(RequantizeUnit(unsigned(12), rounding))
    op.verify_()
    assert op.requantize() == RequantizeUnit(unsigned(12), rounding)


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0, 10), (1.0, 12), (0.25, 10), (0.75, 12), (-5.0, 0), (-100.0, 0), (1e9, 255)]
)
def test_reals_fall_on_the_grid(value: float, expected: int) -> None:
    # scale 0.5, zero point 10: ties go to the even multiple of the scale; the range clamps
    assert on_grid(AffineType(UI8, FloatData(0.5), 10), value) == expected


def test_ranges() -> None:
    assert integer_range(signed(4)) == (-8, 7)
    assert integer_range(unsigned(4)) == (0, 15)


@example(5e-324)
@example(1e22)
@example(-0.0)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_float_text_reads_back_and_always_has_a_point(value: float) -> None:
    text = float_text(value)
    assert float(text) == value
    assert math.copysign(1, float(text)) == math.copysign(1, value)
    assert "." in text
