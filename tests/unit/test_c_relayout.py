"""Maps in the other order of their axes: squares in registers, tails, frames, on every path that this host has."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Attribute

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import signed
from hapir.reference.interpret import run_network
from hapir.targets.c.build import build_c_together
from hapir.targets.c.emit import emit_c
from hapir.weights import WeightStore

SHAPES = [(1, 16, 1, 16), (2, 17, 5, 13), (1, 5, 9, 9), (1, 64, 3, 67), (3, 33, 8, 10), (1, 20, 1, 70), (1, 4, 30, 7)]
PATHS = (("-march=native",), ("-march=x86-64-v3",), ("-DHAPIR_PLAIN_C",))


@pytest.mark.parametrize("flags", PATHS, ids=lambda flags: flags[0])
@pytest.mark.parametrize("element", [signed(8), signed(16), f32], ids=str)
def test_maps_go_in_and_out_in_the_order_of_the_network(element: Attribute, flags: tuple[str, ...]):
    jobs: list[tuple[nn.NetworkOp, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]] = []
    rng = np.random.default_rng(5)
    for shape in SHAPES:
        of = TensorType(element, shape)
        network = nn.NetworkOp("n", [("x", of)], [("y", of)])
        block = network.body.block
        pool = nn.MaxPoolOp(block.args[0], window=Window((3, 3), padding=(1, 1, 1, 1)), layer="p")
        block.add_ops([pool, nn.ReturnOp([pool.result])])
        network.verify()
        dtype = {"si8": np.int8, "si16": np.int16, "f32": np.float32}[str(element)]
        jobs.append((network, rng.integers(-100, 100, shape).astype(dtype)))
    artefacts = [emit_c(network, WeightStore(), f"net{i}") for i, (network, _) in enumerate(jobs)]
    modules = build_c_together(artefacts, flags=("-std=c11", "-O1", *flags), cache=False)
    for (network, x), module in zip(jobs, modules, strict=True):
        np.testing.assert_array_equal(module.run({"x": x})["y"], run_network(network, WeightStore(), {"x": x})["y"])
