"""The C of recurrent layers, in all their forms, computes what the reference does."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ArrayAttr, StringAttr, TensorType, f32
from xdsl.ir import Attribute, SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_cell import CELL_FUNCTIONS
from hapir.dialects.num import signed
from hapir.reference.interpret import run_network
from hapir.targets.c.build import build_c_together
from hapir.targets.c.emit import emit_c
from hapir.weights import Array, WeightStore

FLAGS = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic")
TOLERANCE = 1e-5
"""Of the largest result: f32 sums in another order."""
KINDS: tuple[type[nn.RecurrentOp], ...] = (nn.LstmOp, nn.GruOp, nn.RnnOp)
BOUNDED = ("sigmoid", "tanh", "scaled_tanh", "hard_sigmoid", "softsign")

Job = tuple[nn.NetworkOp, WeightStore, dict[str, Array]]


@st.composite
def recurrent_networks(draw: st.DrawFn) -> Job:
    """One recurrent layer; what it reads is a parameter or an input of the network."""
    kind = draw(st.sampled_from(KINDS))
    n, t, c, h = (draw(st.integers(1, 5)) for _ in range(4))
    h = draw(st.sampled_from((h, h, 17)))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    network, weights, inputs = nn.NetworkOp("n", [], []), WeightStore(), dict[str, Array]()
    block = network.body.block
    types: list[tuple[str, Attribute]] = []
    parameters: list[nn.WeightOp] = []

    def value(name: str, *shape: int, run_time: bool | None = None, scale: float = 0.5) -> SSAValue:
        array = np.asarray(scale * rng.standard_normal(shape), np.float32)
        if draw(st.booleans()) if run_time is None else run_time:
            types.append((name, TensorType(f32, shape)))
            inputs[name] = array
            return block.insert_arg(types[-1][1], len(block.args))
        weights.put(name, array)
        parameters.append(nn.WeightOp(name, TensorType(f32, shape)))
        return parameters[-1].result

    rows = kind.GATES * h
    x = value("x", n, t, c, run_time=True, scale=1)
    run_time = draw(st.booleans())
    w_input, w_hidden = value("wi", rows, c, run_time=run_time), value("wh", rows, h, run_time=run_time, scale=0.25)
    biases = [value("bi", rows), value("bh", rows)] if draw(st.booleans()) else []
    rows_of = [draw(st.sampled_from((1, n))) for _ in range(kind.STATES)] if draw(st.booleans()) else []
    initial = [value(f"s{i}", count, h) for i, count in enumerate(rows_of)]
    peephole = value("p", 3 * h) if kind is nn.LstmOp and draw(st.booleans()) else None
    lengths = None
    if draw(st.booleans()):
        types.append(("lengths", TensorType(signed(32), (n,))))
        inputs["lengths"] = np.array([draw(st.integers(-1, t + 1)) for _ in range(n)], np.int32)
        lengths = block.insert_arg(types[-1][1], len(block.args))
    op = kind(
        x,
        w_input,
        w_hidden,
        biases,
        initial=initial,
        peephole=peephole,
        lengths=lengths,
        reverse=draw(st.booleans()),
        activations=[
            draw(st.sampled_from(BOUNDED if index < len(kind.ACTIVATIONS) - 1 else sorted(CELL_FUNCTIONS)))
            for index in range(len(kind.ACTIVATIONS))
        ]
        if draw(st.booleans())
        else (),
        clip=draw(st.sampled_from((None, None, 0.5))),
        reset_before=kind is nn.GruOp and draw(st.booleans()),
        layer="l",
    )
    block.add_ops([*parameters, op, nn.ReturnOp(op.results)])
    network.input_names = ArrayAttr([StringAttr(name) for name, _ in types])
    network.result_names = ArrayAttr([StringAttr(f"y{i}") for i in range(len(op.results))])
    network.set_result_types()
    network.verify()
    return network, weights, inputs


@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(st.lists(recurrent_networks(), min_size=8, max_size=8))
def test_recurrent_layers(jobs: list[Job]) -> None:
    artefacts = [emit_c(network, weights, f"net{i}") for i, (network, weights, _) in enumerate(jobs)]
    modules = build_c_together(artefacts, flags=FLAGS, cache=False)
    for (network, weights, inputs), module in zip(jobs, modules, strict=True):
        expected, found = run_network(network, weights, inputs), module.run(inputs)
        for name, array in expected.items():
            assert array.shape == found[name].shape
            limit = TOLERANCE * max(1.0, float(np.abs(array).max()))
            assert np.abs(found[name].astype(np.float64) - array).max() <= limit, str(network)
