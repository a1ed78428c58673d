"""Tables, comparisons and counts."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.lowering.constants import is_constant
from hapir.report.results import Difference
from hapir.report.summary import CheckReport, summarize
from hapir.report.table import table, table_rows


def test_a_table_is_aligned() -> None:
    assert table(("name", "n", "x"), [("a", 1, 0.5), ("long name", 12345, 2.0)]).splitlines() == [
        "name            n    x",
        "---------  ------  ---",
        "a               1  0.5",
        "long name  12 345    2",
    ]
    with pytest.raises(ValueError, match="zip"):
        table(("a", "b"), [("only one",)])


def test_a_table_that_is_too_wide_goes_on_in_further_lines() -> None:
    rows = [("a", "one two three four five", 7), ("b", "six", 12345)]
    assert table_rows(("x", "words", "n"), rows, 24) == [
        "x  words               n",
        "-  -------------  ------",
        "a  one two three       7\n   four five",
        "b  six            12 345",
    ]
    assert "\n".join(table_rows(("x", "words", "n"), rows, 100)) == table(("x", "words", "n"), rows)


def test_differences_count_integers_and_measure_floats() -> None:
    found = Difference.of("y", np.array([1, 2, 250], np.uint8), np.array([1, 3, 0], np.uint8))
    assert (found.integer, found.mismatches, found.max_abs_error) == (True, 2, 250)
    found = Difference.of("y", np.array([1.0, np.nan, 4.5]), np.array([1.0, np.nan, 4.0]))
    assert (found.integer, found.mismatches) == (False, 1)
    assert found.max_abs_error == 0.5


def test_relative_errors_are_of_the_largest_value() -> None:
    found = Difference.of("y", np.array([10.0, 0.1]), np.array([10.0, 0.0]))
    assert found.max_rel_error == pytest.approx(0.01)
    assert Difference.of("y", np.array([1.0]), np.array([0.0])).max_rel_error == float("inf")
    assert Difference.of("y", np.zeros(0), np.zeros(0)).max_abs_error == 0


def test_a_shared_parameter_counts_once() -> None:
    network = nn.NetworkOp("n", [("x", TensorType(f32, (1, 2, 5, 5)))], [("y", TensorType(f32, (1, 2, 1, 1)))])
    weight = nn.WeightOp("w", TensorType(f32, (2, 1, 3, 3)))
    window = Window((3, 3))
    first = nn.Conv2dOp(network.body.block.args[0], weight.result, window=window, groups=2, layer="a")
    second = nn.Conv2dOp(first.result, weight.result, window=window, groups=2, layer="b")
    network.body.block.add_ops([weight, first, second, nn.ReturnOp([second.result])])
    network.verify()
    summary = summarize(network)
    assert [layer.parameters for layer in summary.layers] == [18, 0]
    assert summary.parameters == 18
    # each of the 2 channels: 9 products per output, on 3x3 and then 1x1 maps
    assert [layer.macs for layer in summary.layers] == [2 * 9 * 9, 2 * 9]


def test_accesses_lie_between_the_two_ends() -> None:
    image = TensorType(f32, (1, 2, 5, 5))
    network = nn.NetworkOp("n", [("x", image)], [("y", TensorType(f32, (1, 3, 3, 3))), ("x", image)])
    (x,) = network.body.block.args
    weight = nn.WeightOp("w", TensorType(f32, (3, 2, 3, 3)))
    conv = nn.Conv2dOp(x, weight.result, window=Window((3, 3)), layer="a")
    both = nn.AddOp(x, x, layer="b")
    network.body.block.add_ops([weight, conv, both, nn.ReturnOp([conv.result, both.result])])
    network.verify()
    summary = summarize(network)
    # what an operand says twice is read once; parameters are no activations
    assert [(layer.reads, layer.writes) for layer in summary.layers] == [(50, 27), (50, 50)]
    assert summary.most_accesses == 4 * 9 * 54
    assert summary.least_accesses == 54 + 50 + (27 + 50)
    (shown,) = cast("list[dict[str, object]]", CheckReport("n.hap", (summary,), (), (), ()).to_json()["networks"])
    assert (shown["least_accesses"], shown["most_accesses"]) == (181, 1944)


def test_a_deep_network_is_counted() -> None:
    """Whether a value is constant is asked of each layer of networks with hundreds of them."""
    row = TensorType(f32, (1, 4))
    network = nn.NetworkOp("n", [("x", row)], [("y", row)])
    value: SSAValue = network.body.block.args[0]
    for _ in range(3000):
        op = nn.ReluOp(value)
        network.body.block.add_op(op)
        value = op.result
    network.body.block.add_op(nn.ReturnOp([value]))
    assert not is_constant(value)
    assert summarize(network).least_accesses == 8
