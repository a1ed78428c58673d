"""simplify_arithmetic keeps the function but for rounding, and what it writes it writes in one way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr, TensorType, f32

from hapir.context import HapirContext
from hapir.dialects import nn
from hapir.dialects.num import signed
from hapir.lowering.canonical.simplify_arithmetic import SimplifyArithmeticPass
from tests.property.formulas import PIECES, Formula, one_over, sample
from tests.property.pipelines import Compilation, compilation
from tests.property.test_pass_recognize_activations import WRITTEN, assert_same_function, chain, layers

PAIRS: list[tuple[Formula, list[str]]] = [
    (lambda x: x / 4, ["nn.mul"]),
    (lambda x: x - 1.5, ["nn.add"]),
    (lambda x: x**2, ["nn.mul"]),
    (lambda x: x.of("abs") ** 0.5, ["abs", "sqrt"]),
    (lambda x: x**-1, ["reciprocal"]),
    (lambda x: (x + 2) - 3, ["nn.add"]),
    (lambda x: (x * 2) / 8, ["nn.mul"]),
    (lambda x: one_over(x), ["reciprocal"]),
    (lambda x: x * one_over(x + 9), ["nn.add", "div"]),
    (lambda x: (x * 1 + 0).relu(), ["nn.relu"]),
    (lambda x: (x**1).relu(), ["nn.relu"]),
    (lambda x: (x + 1) + (x + 1) * 2, ["nn.add", "nn.add", "nn.mul", "nn.add"]),
    (lambda x: x / 1e-40, ["div"]),
]


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize(("formula", "expected"), PAIRS)
def test_one_way(formula: Formula, expected: list[str], swap: bool) -> None:
    for numbers in (None, (), (1, 1), (1, 3, 1, 1)):
        compiled = compilation(sample(formula, numbers, swap=swap)).apply(SimplifyArithmeticPass())
        assert layers(compiled) == expected
        assert numbers_last(compiled)


def numbers_last(compiled: Compilation) -> bool:
    """Whether numbers stand on the right of sums and products, and no parameter is left."""
    ops = list(compiled.network.body.block.ops)
    commuting = [op for op in ops if isinstance(op, nn.AddOp | nn.MulOp)]
    return not any(isinstance(op.lhs.owner, nn.FillOp) for op in commuting) and not any(
        isinstance(op, nn.WeightOp) for op in ops
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PIECES), st.booleans()), min_size=1, max_size=6), WRITTEN, st.booleans())
def test_the_function_stays(drawn: list[tuple[Formula, bool]], numbers: tuple[int, ...] | None, swap: bool) -> None:
    written = sample(chain([f for f, _ in drawn], [join for _, join in drawn]), numbers, swap=swap)
    assert_same_function(written, compilation(written).apply(SimplifyArithmeticPass()))


def test_arrays_stay_arrays() -> None:
    """Constants of several numbers, and those that make a result larger."""
    drawn = sample(lambda x: x * 2 + 1, (2, 3, 4, 5))
    for key in list(drawn.weights):
        drawn.weights.put(key, np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5))
    compiled = compilation(drawn).apply(SimplifyArithmeticPass())
    assert layers(compiled) == ["nn.mul", "nn.add"]
    assert sum(isinstance(op, nn.WeightOp) for op in compiled.network.body.block.ops) == 2


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0, -1.0])
def test_powers_of_integers_stay(exponent: float) -> None:
    """They have f32 exponents too, but no product or root that is exact for them."""
    network = nn.NetworkOp("net", [("x", TensorType(signed(32), [2, 3]))], [])
    x = network.body.block.args[0]
    number = nn.FillOp(exponent, f32)
    power = nn.PointwiseOp("pow", [x, number.result], layer="power")
    network.body.block.add_ops([number, power, nn.ReturnOp([power.result])])
    network.result_names = ArrayAttr([StringAttr("y")])
    network.set_result_types()
    compiled = Compilation(ModuleOp([network]), HapirContext()).apply(SimplifyArithmeticPass())
    assert layers(compiled) == ["pow"]
