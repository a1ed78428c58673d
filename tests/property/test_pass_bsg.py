"""bsg: weights are a scale times the generator's numbers, never worse than zeros, and counted to the bit."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import FloatAttr

from hapir.diagnostics import HapirError
from hapir.dialects.enc_slices import BsgGenerateOp
from hapir.dialects.num import shape_of
from hapir.factorizations.bsg import words_for
from hapir.factorizations.slices import cut, slice_count
from hapir.lowering.compress.structure.bsg import BsgPass
from hapir.lowering.fold_constants import FoldConstantsPass
from hapir.lowering.network_edits import decoded_weight_of, weight_of, weight_op_of
from tests.property.factoring import after, product_layers, single_conv
from tests.property.pipelines import Compilation, compilation
from tests.property.strategies import Sample, networks

SAMPLES = networks(max_layers=4, names=None, allow=("conv2d", "groups", "padding", "bias", "relu"))
SLICES = st.sampled_from(((2, 2, 3, 3), (3, 2, 1, 1), (2, 3, 2, 2)))
W = np.random.default_rng(0).standard_normal((8, 8, 3, 3))


def generators(compiled: Compilation) -> dict[str, BsgGenerateOp]:
    """The op that makes each layer's weights."""
    return {
        name: op.w.owner
        for name, op in product_layers(compiled.network).items()
        if isinstance(op.w.owner, BsgGenerateOp)
    }


@settings(max_examples=40, deadline=None)
@given(SAMPLES, SLICES, st.integers(1, 40), st.sampled_from(("xnor", "xor")))
def test_weights_are_scaled_whole_numbers(sample: Sample, slice_shape: tuple[int, ...], code: int, polarity: str):
    step = BsgPass(
        code, slice=slice_shape, keep_first=False, veto="none", polarity="xor" if polarity == "xor" else "xnor"
    )
    compiled = after(sample, step)
    assert len({op.vector for op in generators(compiled).values()}) == 1, "all layers share one vector"
    for name, op in generators(compiled).items():
        assert shape_of(op.codes) == (slice_count(shape_of(op.result), slice_shape), words_for(code))
        found = decoded_weight_of(op.result, compiled.ctx.weights)
        exact = weight_of(product_layers(sample.network)[name].w, sample.weights).astype(np.float64)
        assert ((exact - found) ** 2).sum() <= (exact**2).sum() * (1 + 1e-6)
        said, scale = weight_op_of(op.codes).attributes["max_error"], op.scale.value.data
        assert isinstance(said, FloatAttr)
        assert said.value.data == pytest.approx(np.abs(exact - found).max(), abs=1e-6)
        if scale:
            numbers = np.rint(found / scale)
            np.testing.assert_allclose(numbers * scale, found, rtol=1e-6)
            assert (np.abs(numbers) <= code).all()
            assert ((numbers - code) % 2 == 0).all()
    inputs = sample.inputs(batch=2)
    coded = compiled.run(inputs)["y"]
    np.testing.assert_array_equal(compiled.apply(FoldConstantsPass()).run(inputs)["y"], coded)


def error(**options: object) -> float:
    step = BsgPass(slice=(2, 2, 3, 3), keep_first=False, veto="none", **options)  # pyright: ignore[reportArgumentType]  # options by name
    compiled = after(single_conv(W), step)
    found = decoded_weight_of(product_layers(compiled.network)["c"].w, compiled.ctx.weights)
    return float(((W - found) ** 2).sum())


def test_longer_codes_and_more_rounds_lose_less():
    by_length = [error(code=code) for code in (8, 36, 128, 512)]
    assert by_length == sorted(by_length, reverse=True)
    assert by_length[-1] < 0.05 * (W**2).sum()
    by_iterations = [error(code=36, iterations=n) for n in (0, 1, 4)]
    assert by_iterations[0] > by_iterations[1] >= by_iterations[2]
    assert error(code=36, seed=1) != error(code=36, seed=2)
    assert error(code=36, seed=1) == error(code=36, seed=1)


def test_weights_repeat_with_the_length_of_the_code():
    compiled = after(single_conv(W), BsgPass(12, slice=(2, 2, 3, 3), keep_first=False, veto="none"))
    found = decoded_weight_of(product_layers(compiled.network)["c"].w, compiled.ctx.weights)
    slices = cut(found, (2, 2, 3, 3)).reshape(-1, prod((2, 2, 3, 3)) // 12, 12)
    assert (slices == slices[:, :1]).all()


def test_which_layers_stay():
    with pytest.raises(HapirError, match="HAP0572"):  # the first one, and the only one
        compilation(single_conv(W)).apply(BsgPass(16, slice=(2, 2, 3, 3)))
    with pytest.raises(HapirError, match="HAP0571"):  # as many bits as the weights have
        compilation(single_conv(W)).apply(BsgPass(36 * 32, slice=(2, 2, 3, 3), keep_first=False))
    with pytest.raises(HapirError, match="HAP0571"):  # 17 bits take two words
        compilation(single_conv(W)).apply(BsgPass(17, slice=(1, 1, 1, 1), keep_first=False))
    with pytest.raises(HapirError, match="HAP0404"):
        compilation(single_conv(np.full((8, 8, 3, 3), np.nan))).apply(BsgPass(16, slice=(2, 2, 3, 3), keep_first=False))
    zeros = after(single_conv(np.zeros((4, 4, 3, 3))), BsgPass(16, slice=(2, 2, 3, 3), keep_first=False))
    assert not decoded_weight_of(product_layers(zeros.network)["c"].w, zeros.ctx.weights).any()
