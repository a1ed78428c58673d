"""recognize_activations keeps the function but for rounding, and knows every style in which activations are written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.dialects import nn
from hapir.lowering.canonical.arithmetic import function_of
from hapir.lowering.canonical.recognize_activations import RecognizeActivationsPass
from hapir.lowering.canonical.simplify_arithmetic import SimplifyArithmeticPass
from tests.property.formulas import PIECES, STYLES, Formula, Term, sample
from tests.property.pipelines import Compilation, compilation
from tests.property.strategies import Sample

ALL: list[Formula] = [*PIECES, *(formula for formulas in STYLES.values() for formula in formulas)]
WRITTEN = st.sampled_from((None, (), (1,), (1, 1, 1, 1), (3, 1, 1), (1, 3, 4, 5)))
"""How numbers are written."""


def layers(compiled: Compilation) -> list[str]:
    """The ops of a network, functions by their names."""
    ops = [op for op in compiled.network.body.block.ops if isinstance(op, nn.LayerOp)]
    return [op.name if not isinstance(op, nn.PointwiseOp) else function_of(op) or "" for op in ops]


def assert_same_function(drawn: Sample, compiled: Compilation) -> None:
    inputs = drawn.inputs(batch=2)
    before, after = compilation(drawn).run(inputs)["y"], compiled.run(inputs)["y"]
    scale = 1 + float(np.abs(before).max())
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-3 * scale)


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("numbers", [None, (), (3, 1, 1)], ids=str)
@pytest.mark.parametrize("kind", sorted(STYLES))
def test_every_style_is_recognized(kind: str, numbers: tuple[int, ...] | None, swap: bool) -> None:
    for index, formula in enumerate(STYLES[kind]):
        drawn = sample(formula, numbers, swap=swap)
        compiled = compilation(drawn).apply(SimplifyArithmeticPass(), RecognizeActivationsPass())
        assert layers(compiled) == [kind], f"style {index}"
        assert_same_function(drawn, compiled)


def chain(formulas: list[Formula], joined: list[bool]) -> Formula:
    """One formula after the other; the sum with what was before where it is joined."""

    def build(x: Term) -> Term:
        for formula, join in zip(formulas, joined, strict=True):
            y = formula(x)
            x = (x + y).tanh() if join else y.tanh()
        return x

    return build


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ALL), st.booleans()), min_size=1, max_size=5), WRITTEN, st.booleans())
def test_the_function_stays(drawn: list[tuple[Formula, bool]], numbers: tuple[int, ...] | None, swap: bool) -> None:
    written = sample(chain([f for f, _ in drawn], [join for _, join in drawn]), numbers, swap=swap)
    compiled = compilation(written).apply(SimplifyArithmeticPass(), RecognizeActivationsPass())
    assert_same_function(written, compiled)
    count = layers(compiled)
    assert layers(compiled.apply(SimplifyArithmeticPass(), RecognizeActivationsPass())) == count


ALMOST: list[Formula] = [
    lambda x: x * (x + 3).clip(0, 5) / 6,
    lambda x: x * (x + 2).clip(0, 6) / 6,
    lambda x: x * (x.tanh() + 3).clip(0, 6) / 6,
    lambda x: x * ((x / 1.5).of("erf") + 1) * 0.5,
    lambda x: x.tanh() * ((x / 1.41421356).of("erf") + 1) * 0.5,
    lambda x: x * (x * 1.702).sigmoid(),
    lambda x: x / ((-x).of("exp") + 2),
    lambda x: x / (x.tanh().of("abs") + 1),
    lambda x: x.max(x * 1.5),
    lambda x: x.of("greater", 1).of("where", x, x * 0.25),
    lambda x: x.max(3).min(2),
]


@pytest.mark.parametrize("formula", ALMOST)
def test_what_is_almost_one_is_none(formula: Formula) -> None:
    drawn = sample(formula)
    compiled = compilation(drawn).apply(SimplifyArithmeticPass(), RecognizeActivationsPass())
    assert len(layers(compiled)) > 1
    assert_same_function(drawn, compiled)
