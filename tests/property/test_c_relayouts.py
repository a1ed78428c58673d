"""Maps that change their layout: a convolution between N C H W and N C H W copies every element, on every path.

Sizes lie on, before and behind the squares of 16 and the strips of 64 that move at once.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from xdsl.dialects.builtin import FloatData, IntegerType, Signedness, StringAttr, TensorType, f32
from xdsl.ir import Attribute

from hapir.dialects import nn, num
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import AffineType, PerChannelType, Rounding, signed, unsigned
from hapir.reference.interpret import run_network
from hapir.targets.c.emit import emit_c
from hapir.weights import Array, WeightStore
from tests.c_machines import FOREIGN, GCC, Job, Machine, run_on, skip_unless_here

ALL_PATHS = (GCC[0], GCC[1], FOREIGN[0])
"""A machine for each path that has registers of its own."""

SHAPES = ((3, 4, 4), (16, 9, 8), (17, 3, 17), (40, 5, 16))
"""Channels, rows, columns."""


def identity(name: str, channels: int, height: int, width: int, integers: bool) -> tuple[nn.NetworkOp, WeightStore]:
    """A 3x3 convolution that gives its input: the map is copied into a frame and back."""
    shape = (2, channels, height, width)
    kernel = np.zeros((channels, channels, 3, 3), np.int8 if integers else np.float32)
    kernel[np.arange(channels), np.arange(channels), 1, 1] = 1
    store = WeightStore()
    store.put("w", kernel)
    element: Attribute = AffineType(unsigned(8), FloatData(1.0), 0) if integers else f32
    weight: Attribute = PerChannelType(signed(8), 0, StringAttr("scale")) if integers else f32
    map_type = TensorType(element, shape)
    network = nn.NetworkOp(name, [("x", map_type)], [("y", map_type)])
    w = nn.WeightOp("w", TensorType(weight, kernel.shape))
    window = Window((3, 3), padding=(1, 1, 1, 1))
    conv = nn.Conv2dOp(network.body.block.args[0], w.result, None, window=window, groups=1, layer="y")
    ops = [w, conv]
    if integers:
        for key, array in (("scale", np.ones(channels)), ("m", np.full(1, 1 << 14, np.uint16))):
            store.put(key, array)
        store.put("s", np.full(1, 14, np.uint8))
        m = nn.WeightOp("m", TensorType(IntegerType(16, Signedness.UNSIGNED), (1,)))
        s = nn.WeightOp("s", TensorType(unsigned(8), (1,)))
        last = num.RequantizeOp(
            conv.result, m.result, s.result, map_type, rounding=Rounding.half_up, low=0, high=255, layer="y"
        )
        ops += [m, s, last]
    network.body.block.add_ops([*ops, nn.ReturnOp(ops[-1].results)])
    network.verify()
    return network, store


@pytest.mark.parametrize("machine", ALL_PATHS, ids=str)
def test_every_element_arrives(machine: Machine):
    skip_unless_here(machine)
    networks = [
        identity(f"net{i}", *shape, integers) for i, (shape, integers) in enumerate(product(SHAPES, (False, True)))
    ]
    rng = np.random.default_rng(0)
    jobs: list[Job] = []
    for network, store in networks:
        artefact = emit_c(network, store)
        (port,) = artefact.inputs
        x: Array = rng.integers(0, 256, port.shape).astype(np.uint8)
        jobs.append((artefact, {"x": x if port.ctype == "uint8_t" else x.astype(np.float32)}))
    for (network, store), (_, given), found in zip(networks, jobs, run_on(machine, jobs), strict=True):
        np.testing.assert_array_equal(found["y"], given["x"])
        np.testing.assert_array_equal(found["y"], run_network(network, store, given)["y"])
