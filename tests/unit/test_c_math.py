"""Functions of floats in the generated C: how far they are from the exact values, on every path that this host runs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from xdsl.dialects.builtin import TensorType, f32

from hapir.dialects import nn
from hapir.dialects.nn_elementwise import FloatActivationOp
from hapir.targets.c.emit import emit_c
from hapir.weights import WeightStore
from tests.c_machines import FEW, MACHINES, Machine, run_on, skip_unless_here

Doubles = npt.NDArray[np.float64]
LENGTH = 4096


def _sigmoid(x: Doubles) -> Doubles:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def _gelu(x: Doubles) -> Doubles:
    tails = [math.erfc(v) for v in (-x / math.sqrt(2)).ravel().tolist()]
    return x / 2 * np.array(tails).reshape(x.shape)


EXACT: dict[type[FloatActivationOp], tuple[float, float, Callable[[Doubles], Doubles]]] = {
    nn.SigmoidOp: (3, -1e4, _sigmoid),
    nn.TanhOp: (3, -1e4, np.tanh),
    nn.SiluOp: (4, -86, lambda x: x * _sigmoid(x)),
    nn.GeluOp: (16, -14, _gelu),
}
"""The largest error in units in the last place, from which x on, and the function in double."""


def floats(step: int) -> npt.NDArray[np.float32]:
    """Every `step`-th float of up to 1e4 in magnitude, in rows."""
    x = np.arange(0, 1 << 32, step, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = x[np.abs(x) < 1e4]
    return x[: x.size // LENGTH * LENGTH].reshape(-1, LENGTH)


def check_machine(machine: Machine, step: int) -> None:
    """Every function on a machine."""
    skip_unless_here(machine)
    networks: list[nn.NetworkOp] = []
    for kind in EXACT:
        type_ = TensorType(f32, (1, LENGTH))
        network = nn.NetworkOp("f", [("x", type_)], [("y", type_)])
        op = kind(network.body.block.args[0])
        network.body.block.add_ops([op, nn.ReturnOp([op.results[0]])])
        networks.append(network)
    artefacts = [emit_c(network, WeightStore({}), f"f{i}") for i, network in enumerate(networks)]
    x = floats(step)
    special = np.zeros((1, LENGTH), np.float32)
    special[0, :4] = np.inf, -np.inf, np.nan, 1e-40
    given = np.concatenate((special, x))
    results = run_on(machine, [(artefact, {"x": given}) for artefact in artefacts], "-O2")
    for (ulps, lowest, exact), result in zip(EXACT.values(), results, strict=True):
        found, y, wanted = result["y"][0], result["y"][1:].astype(np.float64), exact(x.astype(np.float64))
        unit = np.spacing(np.maximum(np.abs(wanted), np.finfo(np.float32).smallest_normal).astype(np.float32))
        far = np.where(x >= lowest, np.abs(y - wanted) / unit, 0)
        assert far.max() <= ulps, f"{far.max()} at {x.flat[far.argmax()]}"
        assert np.abs(np.where(x < lowest, y - wanted, 0)).max() < 1e-30
        assert np.isnan(found[2])
        with np.errstate(invalid="ignore"):
            limits = exact(special[0, :2].astype(np.float64))
        np.testing.assert_array_equal(np.isnan(found[:2]), np.isnan(limits))
        np.testing.assert_array_equal(found[:2][~np.isnan(limits)], limits[~np.isnan(limits)])


@pytest.mark.parametrize("machine", FEW, ids=str)
def test_functions_are_as_near_as_stated(machine: Machine):
    check_machine(machine, 199_999)


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES, ids=str)
def test_functions_are_as_near_as_stated_densely(machine: Machine):
    check_machine(machine, 4999)
