"""Reductions, softmax and argmax in C: every set of axes of maps, sequences and vectors, on reals and integers."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, StringAttr, TensorType, f32
from xdsl.ir import Attribute, SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_functions import BOOLEAN
from hapir.dialects.nn_reductions import REDUCTIONS
from hapir.dialects.num import element_type, shape_of, signed, unsigned
from hapir.reference.interpret import run_network
from hapir.reference.values import dtype_of
from hapir.targets.c.build import build_c_together
from hapir.targets.c.emit import emit_c
from hapir.weights import Array, WeightStore
from tests.property.test_c_pointwise import assert_close

FLAGS = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wno-float-conversion")
SHAPES = ((2, 3, 4, 5), (2, 5, 7), (3, 40), (6,), (2, 1, 3, 2, 2))
ELEMENTS = (f32, signed(8), unsigned(8), unsigned(16), signed(32), signed(64), unsigned(64), BOOLEAN)


def ops_on(x: SSAValue, element: Attribute, rank: int) -> list[nn.LayerOp]:
    """Every reduction of a tensor, along every set of axes."""
    found: list[nn.LayerOp] = []
    sets = list(chain.from_iterable(combinations(range(rank), n) for n in range(1, rank + 1)))
    for function in REDUCTIONS:
        if function != "mean" or element == f32:
            found += [nn.ReduceOp(function, x, axes, keep=i % 2 == 0) for i, axes in enumerate(sets)]
    for axis in range(rank):
        found += [nn.ArgmaxOp(x, axis=axis, keep=keep, last=last) for keep, last in ((True, False), (False, True))]
        found += [op(x, axis=axis) for op in (nn.SoftmaxOp, nn.LogSoftmaxOp) if element == f32]
    return found


def networks() -> list[nn.NetworkOp]:
    made: list[nn.NetworkOp] = []
    for shape in SHAPES:
        for element in ELEMENTS:
            network = nn.NetworkOp(f"n{len(made)}", [("x", TensorType(element, shape))], [])
            ops = ops_on(network.body.block.args[0], element, len(shape))
            network.body.block.add_ops([*ops, nn.ReturnOp([op.results[0] for op in ops])])
            network.result_names = ArrayAttr([StringAttr(f"y{i}") for i in range(len(ops))])
            network.set_result_types()
            network.verify()
            made.append(network)
    return made


def data(network: nn.NetworkOp, rng: np.random.Generator) -> Array:
    (argument,) = network.body.block.args
    element, shape = element_type(argument), shape_of(argument)
    dtype = dtype_of(element)
    if dtype.kind == "f":
        return rng.normal(size=shape).astype(np.float32)
    return rng.integers(0 if dtype.kind == "u" else -5, 2 if element == BOOLEAN else 6, shape).astype(dtype)


def test_every_reduction_along_every_set_of_axes():
    rng = np.random.default_rng(3)
    made = networks()
    modules = build_c_together([emit_c(n, WeightStore()) for n in made], flags=FLAGS, cache=False)
    for network, module in zip(made, modules, strict=True):
        x = data(network, rng)
        found = module.run({"x": x})
        ops = [op for op in network.body.block.ops if isinstance(op, nn.LayerOp)]
        for (name, expected), op in zip(run_network(network, {}, {"x": x}).items(), ops, strict=True):
            if expected.dtype.kind == "f":
                assert_close(found[name], expected, str(op), 2e-5)
            else:
                np.testing.assert_array_equal(found[name], expected, err_msg=str(op))
