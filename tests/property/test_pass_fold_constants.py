"""fold_constants: coded weights become plain ones, and nothing that is computed changes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp

from hapir.context import HapirContext
from hapir.dialects import num
from hapir.dialects.formats import Bipolar, Integer, Ternary
from hapir.dialects.nn import NetworkOp
from hapir.lowering.compress.coded_weights import code_weights
from hapir.lowering.compress.weight_slots import WeightSlot, slots_of
from hapir.lowering.fold_constants import FoldConstantsPass, has_constant_ops
from hapir.lowering.network_edits import decoded_weight_of, networks_of, real_weight_of
from hapir.quantizers.coded import Codebook, Coded, Floats, Planes, Scaled
from hapir.reference.interpret import run_network
from tests.property.strategies import Sample, networks


def per_filter(w: Floats, largest: int) -> np.ndarray:
    """A positive scale per index of axis 0."""
    peaks = np.abs(w).reshape(len(w), -1).max(axis=1).reshape(-1, *[1] * (w.ndim - 1))
    return np.where(peaks > 0, peaks / largest, 1).astype(np.float32)


def integers(w: Floats, _: WeightSlot) -> Coded:
    scales = per_filter(w, 7)
    return Scaled(np.rint(w / scales).astype(np.int8), Integer(4), scales)


def signs(w: Floats, _: WeightSlot) -> Coded:
    return Scaled(np.where(w < 0, -1, 1).astype(np.int8), Bipolar(1), np.full([1] * w.ndim, 0.5, np.float32))


def thirds(w: Floats, _: WeightSlot) -> Coded:
    scales = per_filter(w, 1)
    return Scaled(np.clip(np.rint(w / scales), -1, 1).astype(np.int8), Ternary(), scales)


def levels(w: Floats, _: WeightSlot) -> Coded:
    return Codebook(np.digitize(w, [-0.1, 0.1]).astype(np.uint8), np.array([-0.25, 0, 0.5], np.float32))


def rows_of_levels(w: Floats, _: WeightSlot) -> Coded:
    table = np.arange(len(w) * 2, dtype=np.float32).reshape(len(w), 2)
    return Codebook((w > 0).astype(np.uint8), table)


def bases(w: Floats, _: WeightSlot) -> Coded:
    return Planes(((w > 0) + 2 * (np.abs(w) > 0.1)).astype(np.uint8), np.array([0.125, 0.3], np.float32))


RULES = {f.__name__: f for f in (integers, signs, thirds, levels, rows_of_levels, bases)}


@settings(max_examples=40, deadline=None)
@given(networks(), st.sampled_from(sorted(RULES)))
def test_folding_changes_no_result(sample: Sample, rule: str):
    module, context = ModuleOp([sample.network.clone()]), HapirContext(weights=sample.weights.copy())
    network = networks_of(module)[0]
    if not weight_slots_of(network):
        return
    exact = [real_weight_of(slot.value, sample.weights) for slot in weight_slots_of(network)]
    code_weights(network, "*", context, RULES[rule], rule)
    module.verify()
    assert has_constant_ops(network)
    for slot, w in zip(weight_slots_of(network), exact, strict=True):
        assert isinstance(slot.value.owner, num.DequantizeOp)
        expected = RULES[rule](w, slot).reals()
        np.testing.assert_array_equal(decoded_weight_of(slot.value, context.weights), expected)
    coded = run_network(network, context.weights, sample.inputs())
    FoldConstantsPass().apply(context, module)
    module.verify()
    assert not has_constant_ops(network)
    for name, found in run_network(network, context.weights, sample.inputs()).items():
        np.testing.assert_array_equal(found, coded[name])


def weight_slots_of(network: NetworkOp) -> list[WeightSlot]:
    """All weights of a network; none where it has no such layer."""
    return [slot for op in network.body.block.ops for slot in slots_of(op)]
