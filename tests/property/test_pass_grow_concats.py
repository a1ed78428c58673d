"""grow_concats keeps the function bit for bit, and leaves no concatenation that begins like an earlier one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp, TensorType, f32
from xdsl.ir import SSAValue

from hapir.context import HapirContext
from hapir.dialects import nn
from hapir.lowering.canonical.grow_concats import GrowConcatsPass
from hapir.reference.interpret import run_network

DRAWS = st.lists(
    st.tuples(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(0, 1)), min_size=1, max_size=7
)


def network(draws: list[tuple[list[int], int]]) -> nn.NetworkOp:
    """Concatenations of inputs and of each other, each with the number drawn of values so far."""
    inputs = [(f"x{i}", TensorType(f32, (1, 2, 3))) for i in range(3)]
    made = nn.NetworkOp("n", inputs, [("y", f32)])
    values: dict[int, list[SSAValue]] = {0: list(made.body.block.args), 1: list(made.body.block.args)}
    for picks, which in draws:
        axis = which + 1
        op = nn.ConcatOp([values[which][pick % len(values[which])] for pick in picks], axis=axis)
        made.body.block.add_op(op)
        values[which].append(op.result)
    last = [op.result for op in made.body.block.ops if isinstance(op, nn.ConcatOp)]
    made.body.block.add_op(nn.ReturnOp(last))
    made.result_names = type(made.input_names)([type(made.input_names.data[0])(f"y{i}") for i in range(len(last))])
    made.set_result_types()
    made.verify()
    return made


@settings(max_examples=80, deadline=None, derandomize=True)
@given(DRAWS)
def test_the_same_function(draws: list[tuple[list[int], int]]):
    op = network(draws)
    rng = np.random.default_rng(len(draws))
    given = {f"x{i}": rng.normal(size=(1, 2, 3)).astype(np.float32) for i in range(3)}
    expected = run_network(op, {}, given)
    module = ModuleOp([op])
    GrowConcatsPass().apply(HapirContext(), module)
    module.verify()
    found = run_network(op, {}, given)
    assert all(np.array_equal(found[name], array) for name, array in expected.items())
    seen: list[tuple[int, list[SSAValue]]] = []
    for concat in (c for c in op.body.block.ops if isinstance(c, nn.ConcatOp)):
        own = list(concat.inputs)
        begun = [v for axis, v in seen if axis == concat.axis.value.data and 1 < len(v) < len(own)]
        assert all(own[: len(v)] != v for v in begun)
        seen.append((concat.axis.value.data, own))
