"""Functions of elements in C: every function of the table on every kind of type, with operands that repeat."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, Float32Type, IntegerType, StringAttr, TensorType, f32
from xdsl.ir import Attribute

from hapir.dialects import nn
from hapir.dialects.nn_functions import BOOLEAN, FUNCTIONS
from hapir.dialects.num import integer_range, signed, storage_of, unsigned
from hapir.reference.interpret import run_network
from hapir.reference.values import dtype_of
from hapir.targets.c.build import build_c_together
from hapir.targets.c.emit import emit_c
from hapir.weights import Array, WeightStore

FLAGS = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wno-float-conversion")
INTEGERS = (signed(8), unsigned(8), signed(16), unsigned(16), signed(32), unsigned(32), signed(64), unsigned(64))
SHAPES = (((2, 3, 4, 5), (2, 3, 4, 5)), ((2, 3, 1, 5), (4, 1)), ((3,), (2, 1)), ((), (2, 3, 2)), ((2, 5, 3), ()))
"""Of the first operand and of the second; a third is like the second."""
POSITIVE = ("log", "sqrt", "acosh", "pow")
UNIT = ("asin", "acos", "atanh")


def kinds(function: str) -> list[tuple[Attribute, ...]]:
    """Tuples of operand types that a function takes."""
    definition = FUNCTIONS[function]
    found: list[tuple[Attribute, ...]] = []
    for first, second in product((f32, BOOLEAN, *INTEGERS), repeat=2):
        elements = (first, second, second)[: definition.arity]
        try:
            definition.rule(elements)
        except ValueError:
            continue
        found.append(elements)
    return list(dict.fromkeys(found))


def values(function: str, element: Attribute, shape: tuple[int, ...], rng: np.random.Generator, second: bool) -> Array:
    """Numbers that matter: ends of the range, small ones, zeros; within the domain of the function."""
    if isinstance(element, Float32Type):
        x = rng.normal(0, 2, shape).astype(np.float32)
        if function == "pow":
            return np.asarray(rng.uniform(0.1, 3, shape), np.float32)
        x = (
            np.abs(x) + np.float32(1.001)
            if function in POSITIVE
            else np.tanh(x) * np.float32(0.99)
            if function in UNIT
            else x
        )
        return x if function in UNIT else np.where(rng.random(shape) < 0.2, np.rint(x * 2) / 2, x).astype(np.float32)
    storage = storage_of(element)
    assert storage is not None
    low, high = integer_range(storage)
    if function == "pow":
        low, high = (max(low, -3), min(high, 3)) if second else (max(low, -5), min(high, 5))
    dtype = dtype_of(element)
    wide = rng.integers(low, high, shape, dtype=dtype, endpoint=True)
    small = rng.integers(max(low, -3), min(high, 9), shape, dtype=dtype, endpoint=True)
    ends = rng.choice(np.array([low, high, 0], dtype=dtype), shape)
    pick = rng.integers(0, 3, shape)
    return np.asarray(np.choose(pick, [wide, small, ends if function != "pow" else small])).astype(dtype)


def assert_close(found: Any, expected: Any, where: str, rtol: float = 2e-6) -> None:
    """Within a few units in the last place, or as close as `rtol` says."""
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol / 10, err_msg=where)


def of_types(name: str, elements: tuple[Attribute, ...], shapes: tuple[tuple[int, ...], ...]) -> nn.NetworkOp:
    """A network that applies every function of these types to inputs of its own."""
    functions = [f for f in FUNCTIONS if elements in kinds(f)]
    types = [TensorType(e, s) for e, s in zip(elements, shapes, strict=True)]
    inputs = [(f"{f}_{i}", t) for f in functions for i, t in enumerate(types)]
    network = nn.NetworkOp(name, inputs, [(f, f32) for f in functions])
    arguments = list(network.body.block.args)
    ops = [
        nn.PointwiseOp(
            f, arguments[k * len(types) : (k + 1) * len(types)], [0.75] * len(FUNCTIONS[f].parameters), layer=f
        )
        for k, f in enumerate(functions)
    ]
    network.body.block.add_ops([*ops, nn.ReturnOp([op.result for op in ops])])
    network.set_result_types()
    network.verify()
    return network


def test_every_function_on_every_type():
    rng = np.random.default_rng(5)
    networks: list[tuple[nn.NetworkOp, dict[str, Array]]] = []
    for turn, elements in enumerate(dict.fromkeys(e for f in FUNCTIONS for e in kinds(f))):
        a, b = SHAPES[turn % len(SHAPES)]
        shapes = (a, b, b)[: len(elements)]
        network = of_types(f"n{turn}", elements, shapes)
        given = {
            f"{f}_{i}": values(f, e, s, rng, i > 0)
            for f in (name.data for name in network.result_names)
            for i, (e, s) in enumerate(zip(elements, shapes, strict=True))
        }
        networks.append((network, given))
    modules = build_c_together([emit_c(n, WeightStore()) for n, _ in networks], flags=FLAGS, cache=False)
    for (network, given), module in zip(networks, modules, strict=True):
        found = module.run(given)
        for function, expected in run_network(network, {}, given).items():
            assert found[function].dtype == expected.dtype
            where = f"{function} {network.function_type.inputs.data[0]}"
            if expected.dtype.kind == "f":
                assert_close(found[function], expected, where)
            else:
                np.testing.assert_array_equal(found[function], expected, err_msg=where)


CASTS = (f32, BOOLEAN, *INTEGERS, signed(4), unsigned(3), signed(12))


def test_every_cast():
    rng = np.random.default_rng(6)
    network = nn.NetworkOp("casts", [(f"x{i}", TensorType(of, (40,))) for i, of in enumerate(CASTS)], [])
    ops = [nn.CastOp(x, to) for x in network.body.block.args for to in CASTS]
    network.body.block.add_ops([*ops, nn.ReturnOp([op.result for op in ops])])
    network.result_names = ArrayAttr([StringAttr(f"y{i}") for i in range(len(ops))])
    network.set_result_types()
    network.verify()
    given: dict[str, Array] = {}
    for i, of in enumerate(CASTS):
        wide = (rng.normal(0, 1, 40) * 10.0 ** rng.integers(-1, 21, 40)).astype(np.float32)
        given[f"x{i}"] = values("cast", of, (40,), rng, False) if isinstance(of, IntegerType) else wide
    (module,) = build_c_together([emit_c(network, WeightStore())], flags=FLAGS, cache=False)
    found = module.run(given)
    for (name, expected), op in zip(run_network(network, {}, given).items(), ops, strict=True):
        np.testing.assert_array_equal(found[name], expected, err_msg=str(op))
