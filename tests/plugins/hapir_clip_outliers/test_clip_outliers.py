"""The pass of the plug-in: its law, and its options."""

from __future__ import annotations

import numpy as np
import pytest
from hapir_clip_outliers import ClipOutliersPass
from xdsl.dialects.builtin import ModuleOp, TensorType, f32

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.dialects.nn import DenseOp, NetworkOp, ReturnOp, WeightOp
from hapir.weights import WeightStore


def network(w: np.ndarray) -> tuple[ModuleOp, HapirContext]:
    """A dense layer `f1` with these weights."""
    k, c = w.shape
    op = NetworkOp("n", [("x", TensorType(f32, [1, c]))], [("y", TensorType(f32, [1, k]))])
    weight = WeightOp("f1.weight", TensorType(f32, w.shape))
    layer = DenseOp(op.body.block.args[0], weight.result, layer="f1")
    op.body.block.add_ops([weight, layer, ReturnOp([layer.result])])
    return ModuleOp([op]), HapirContext(weights=WeightStore({"f1.weight": w}))


@pytest.mark.parametrize("deviations", [0.5, 1.0, 3.0])
def test_only_outliers_change_and_they_become_the_bound(deviations: float):
    w = np.random.default_rng(0).normal(size=(10, 40)).astype(np.float32)
    module, context = network(w)
    ClipOutliersPass(deviations).apply(context, module)
    module.verify()
    found = context.weights["f1.weight.clipped"]
    wide = w.astype(np.float64)
    low, high = wide.mean() - deviations * wide.std(), wide.mean() + deviations * wide.std()
    inside = (wide >= low) & (wide <= high)
    assert 0 < inside.sum() < w.size
    np.testing.assert_array_equal(found[inside], w[inside])
    np.testing.assert_array_equal(found[wide > high], np.float32(high))
    np.testing.assert_array_equal(found[wide < low], np.float32(low))
    assert "f1.weight.clipped" in str(module)


def test_options():
    with pytest.raises(ValueError, match="above 0"):
        ClipOutliersPass(0.0)
    module, context = network(np.ones((2, 2), np.float32))
    with pytest.raises(HapirError, match="HAP0208"):
        ClipOutliersPass(layers="c*").apply(context, module)
