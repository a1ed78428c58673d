"""The quantizer of the plug-in: its law, and its options."""

from __future__ import annotations

import numpy as np
import pytest
from hapir_stochastic import StochasticPass, stochastic
from xdsl.dialects.builtin import ModuleOp, TensorType, f32

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.dialects.nn import DenseOp, NetworkOp, ReturnOp, WeightOp
from hapir.weights import WeightStore

RANDOM = np.random.default_rng


def network(w: np.ndarray) -> tuple[ModuleOp, HapirContext]:
    """A dense layer `f1` with these weights."""
    k, c = w.shape
    op = NetworkOp("n", [("x", TensorType(f32, [1, c]))], [("y", TensorType(f32, [1, k]))])
    weight = WeightOp("f1.weight", TensorType(f32, w.shape))
    layer = DenseOp(op.body.block.args[0], weight.result, layer="f1")
    op.body.block.add_ops([weight, layer, ReturnOp([layer.result])])
    return ModuleOp([op]), HapirContext(weights=WeightStore({"f1.weight": w}))


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_less_than_a_step_away_and_right_on_average(bits: int):
    w = RANDOM(0).normal(size=(5, 7)).astype(np.float32).astype(np.float64)
    w[0] = 0
    step = np.where(np.abs(w).max(axis=1) > 0, np.abs(w).max(axis=1) / (2 ** (bits - 1) - 1), 1)[:, None]
    draws = np.stack([stochastic(w, bits, RANDOM(seed)).reals() for seed in range(2000)]).astype(np.float64)
    assert (np.abs(draws - w) < step * (1 + 1e-6)).all()
    assert (draws[:, 0] == 0).all()
    # a draw deviates by at most half a step, so the mean of 2000 by at most step / 89; seven of those are ample
    assert (np.abs(draws.mean(axis=0) - w) < step * 7 / 89).all()


def coded(w: np.ndarray, *, bits: int = 8, seed: int = 0) -> np.ndarray:
    """The codes that the pass stores."""
    module, context = network(w)
    StochasticPass(bits=bits, seed=seed).apply(context, module)
    module.verify()
    assert "sqnr_db" in str(module)
    return context.weights["f1.weight.stochastic"]


def test_options():
    w = RANDOM(0).normal(size=(10, 40)).astype(np.float32)
    assert (coded(w) == coded(w)).all()
    assert (coded(w) != coded(w, seed=1)).any()
    assert np.abs(coded(w)).max() == 127
    assert np.abs(coded(w, bits=3)).max() == 3
    with pytest.raises(ValueError, match="2 to 8"):
        StochasticPass(bits=1)
    module, context = network(w)
    with pytest.raises(HapirError, match="HAP0208"):
        StochasticPass(layers="c*").apply(context, module)
