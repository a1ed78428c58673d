"""csg: the least squared error for its codes, exact at the slices' rank, exact counts, the compact form in the IR."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import FloatAttr

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.enc_slices import CsgGenerateOp
from hapir.dialects.num import shape_of
from hapir.factorizations.csg import largest_rank
from hapir.factorizations.slices import cut, slice_count
from hapir.lowering.compress.structure.csg import CsgPass
from hapir.lowering.fold_constants import FoldConstantsPass
from hapir.lowering.network_edits import decoded_weight_of, weight_of, weight_op_of
from tests.property.factoring import after, product_layers, single_conv
from tests.property.pipelines import Compilation, compilation
from tests.property.strategies import Sample, networks

SAMPLES = networks(max_layers=4, names=None, allow=("conv2d", "groups", "padding", "bias", "relu"))
SLICES = st.sampled_from(((2, 2, 3, 3), (3, 2, 1, 1), (2, 3, 2, 2), (8, 8, 3, 3)))
W = np.random.default_rng(0).standard_normal((8, 8, 3, 3))


def step(slice_shape: tuple[int, ...], code: int) -> CsgPass:
    return CsgPass(slice=slice_shape, code=code, keep_first=False, veto="none")


def generators(compiled: Compilation) -> dict[str, CsgGenerateOp]:
    """The op that makes each layer's weights."""
    return {
        name: op.w.owner
        for name, op in product_layers(compiled.network).items()
        if isinstance(op.w.owner, CsgGenerateOp)
    }


@settings(max_examples=40, deadline=None)
@given(SAMPLES, SLICES, st.integers(1, 6))
def test_weights_are_generated_from_what_is_stored(sample: Sample, slice_shape: tuple[int, ...], code: int):
    compiled = after(sample, step(slice_shape, code))
    original = product_layers(sample.network)
    assert generators(compiled).keys() == original.keys()
    matrices = {op.matrix for op in generators(compiled).values()}
    assert len(matrices) == 1, "all layers share one matrix"
    for name, op in generators(compiled).items():
        assert shape_of(op.codes) == (slice_count(shape_of(op.result), slice_shape), code)
        assert shape_of(op.matrix) == (prod(slice_shape), code)
        found = decoded_weight_of(op.result, compiled.ctx.weights)
        exact = weight_of(original[name].w, sample.weights).astype(np.float64)
        said = weight_op_of(op.codes).attributes["max_error"]
        assert isinstance(said, FloatAttr)
        assert said.value.data == pytest.approx(np.abs(exact - found).max(), abs=1e-6)
    inputs = sample.inputs(batch=2)
    coded = compiled.run(inputs)["y"]
    np.testing.assert_array_equal(compiled.apply(FoldConstantsPass()).run(inputs)["y"], coded)
    assert not generators(compiled)


@settings(max_examples=25, deadline=None)
@given(SAMPLES, SLICES)
def test_codes_of_full_rank_are_exact(sample: Sample, slice_shape: tuple[int, ...]):
    banks = [shape_of(op.w) for op in product_layers(sample.network).values()]
    if not banks:
        return
    compiled = after(sample, step(slice_shape, largest_rank(banks, slice_shape)))
    for name, op in product_layers(compiled.network).items():
        exact = weight_of(product_layers(sample.network)[name].w, sample.weights).astype(np.float64)
        np.testing.assert_allclose(decoded_weight_of(op.w, compiled.ctx.weights), exact, atol=1e-5)


def error(compiled: Compilation) -> float:
    found = decoded_weight_of(product_layers(compiled.network)["c"].w, compiled.ctx.weights)
    return float(((W.astype(np.float32) - found) ** 2).sum())


@pytest.mark.parametrize("code", [1, 5, 20, 36])
def test_the_error_is_the_dropped_singular_values(code: int):
    values = np.linalg.svd(cut(W, (2, 2, 3, 3)), compute_uv=False)
    found = error(after(single_conv(W), step((2, 2, 3, 3), code)))
    assert found == pytest.approx((values[code:] ** 2).sum(), rel=1e-4, abs=1e-8)


def test_the_rule_for_the_code_length():
    """More decibels need longer codes."""

    def length(psnr: float) -> int:
        layer = CsgPass(slice=(2, 2, 3, 3), psnr=psnr, keep_first=False, veto="none")
        return shape_of(generators(after(single_conv(W), layer))["c"].codes)[1]

    lengths = [length(psnr) for psnr in (10, 20, 40)]
    assert lengths == sorted(set(lengths))


def test_another_networks_matrix(tmp_path: Path):
    matrix = np.random.default_rng(1).standard_normal((36, 36)).astype(np.float32)
    np.savez(tmp_path / "a.npz", allow_pickle=False, matrix=matrix, short=matrix[:5])
    compiled = compilation(single_conv(W))
    compiled.ctx.folder = tmp_path
    given_matrix = CsgPass(slice=(2, 2, 3, 3), matrix="a.npz", keep_first=False, veto="none")
    assert error(compiled.apply(given_matrix)) < 1e-4  # 36 independent columns span all slices
    stored = weight_of(generators(compiled)["c"].matrix, compiled.ctx.weights)
    np.testing.assert_array_equal(stored, matrix)
    for arrays in ({"other": matrix}, {"matrix": matrix[:5]}, {"matrix": np.full((36, 2), np.nan, np.float32)}):
        np.savez(tmp_path / "a.npz", allow_pickle=False, **arrays)
        compiled = compilation(single_conv(W))
        compiled.ctx.folder = tmp_path
        with pytest.raises(HapirError, match="HAP0575"):
            compiled.apply(given_matrix)
    with pytest.raises(ValueError, match="`code` or `matrix`"):
        CsgPass(code=3, matrix="a.npz")


def test_which_layers_stay():
    with pytest.raises(HapirError, match="HAP0572"):  # the first one, and the only one
        compilation(single_conv(W)).apply(CsgPass(slice=(2, 2, 3, 3), code=4))
    with pytest.raises(HapirError, match="HAP0572"):  # two axes
        compilation(single_conv(W)).apply(CsgPass(slice=(2, 2), code=4, keep_first=False))
    with pytest.raises(HapirError, match="HAP0571"):  # 36 numbers for 36 weights
        compilation(single_conv(W)).apply(CsgPass(slice=(2, 2, 3, 3), code=36, keep_first=False))
    with pytest.raises(HapirError, match="HAP0404"):
        compilation(single_conv(np.full((8, 8, 3, 3), np.nan))).apply(
            CsgPass(slice=(2, 2, 3, 3), code=4, keep_first=False)
        )
    zeros = after(single_conv(np.zeros((4, 4, 3, 3))), step((2, 2, 3, 3), 3))
    assert not decoded_weight_of(product_layers(zeros.network)["c"].w, zeros.ctx.weights).any()
    assert isinstance(product_layers(zeros.network)["c"], nn.Conv2dOp)
