"""alf_deploy: code convolution and expansion equal the training form with its mask fixed; nothing passes C_max."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.num import shape_of
from hapir.factorizations.alf import largest_code
from hapir.lowering.compress.structure.alf_deploy import AlfDeployPass
from hapir.lowering.compress.structure.factored_layers import target_of
from tests.property.factoring import (
    LAYERS,
    after,
    chain_of,
    check_equals_its_single_layers,
    composed,
    cost_in_ir,
    product_layers,
    single_conv,
)
from tests.property.pipelines import Compilation, compilation
from tests.property.strategies import Sample

W = np.random.default_rng(0).standard_normal((16, 8, 3, 3))
Arrays = dict[str, npt.NDArray[np.float64]]


@settings(max_examples=40, deadline=None)
@given(LAYERS, st.integers(1, 5))
def test_fitted_codes_stay_below_the_limit(sample: Sample, codes: int):
    compiled = after(sample, AlfDeployPass(codes=codes))
    check_equals_its_single_layers(sample, compiled)
    for name, op in product_layers(sample.network).items():
        chain = chain_of(compiled.network, name)
        if len(chain) > 1:
            assert shape_of(chain[0].w)[0] <= largest_code(target_of(op, sample.weights).filters)
            assert cost_in_ir(chain)[1] <= cost_in_ir([op])[1]
            assert cost_in_ir(chain)[0] <= cost_in_ir([op])[0]


def blocks(codes: int = 6, seed: int = 1) -> Arrays:
    rng = np.random.default_rng(seed)
    mask = np.array([1.0, 0.5, 5e-5, -0.25, 0.0, 2.0])[:codes]
    return {
        "c.encoder": rng.standard_normal((16, codes)) / 4,
        "c.mask": mask,
        "c.expansion": rng.standard_normal((16, codes)),
    }


def deployed(folder: Path, arrays: Arrays, **options: object) -> Compilation:
    compiled = compilation(single_conv(W))
    compiled.ctx.folder = folder
    np.savez(folder / "blocks.npz", allow_pickle=False, **arrays)
    return compiled.apply(AlfDeployPass(trained="blocks.npz", **options))  # pyright: ignore[reportArgumentType]  # options by name


def training_form(
    arrays: Arrays, zeta: float, *, tanh: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Masked code filters and expansion, nothing deleted."""
    codes = np.einsum("ocrs,om->mcrs", W.astype(np.float32).astype(np.float64), arrays["c.encoder"])
    codes = np.tanh(codes) if tanh else codes
    mask = np.where(np.abs(arrays["c.mask"]) < zeta, 0, arrays["c.mask"])
    return mask[:, None, None, None] * codes, arrays["c.expansion"]


@pytest.mark.parametrize(("zeta", "encoder", "kept"), [(1e-4, "tanh", 4), (0.3, "tanh", 3), (1e-5, "none", 5)])
def test_deployed_equals_the_training_form(tmp_path: Path, zeta: float, encoder: str, kept: int):
    arrays = blocks()
    compiled = deployed(tmp_path, arrays, zeta=zeta, encoder=encoder)
    codes, expansion = training_form(arrays, zeta, tanh=encoder == "tanh")
    np.testing.assert_allclose(composed(compiled, "c"), np.einsum("om,mcrs->ocrs", expansion, codes), atol=1e-4)
    assert shape_of(chain_of(compiled.network, "c")[0].w)[0] == kept


def test_a_rectifier_between_code_and_expansion(tmp_path: Path):
    arrays = blocks()
    compiled = deployed(tmp_path, arrays, inner="relu")
    codes, expansion = training_form(arrays, 1e-4, tanh=True)
    inputs = single_conv(W).inputs(batch=2)
    hidden = compilation(single_conv(codes)).run(inputs)["y"]
    expected = np.einsum("om,nmpq->nopq", expansion, np.maximum(hidden, 0))
    np.testing.assert_allclose(compiled.run(inputs)["y"], expected, atol=1e-3)
    assert any(isinstance(op, nn.ReluOp) for op in compiled.network.body.block.ops)


def test_blocks_that_do_not_fit_are_refused(tmp_path: Path):
    arrays = blocks()
    missing = {name: array for name, array in arrays.items() if name != "c.mask"}
    for wrong, message in (
        (missing, "holds no array `c.mask`"),
        ({**arrays, "c.encoder": np.zeros((15, 6))}, "the layer needs"),
        ({**arrays, "c.expansion": np.full((16, 6), np.nan)}, "not-a-number"),
    ):
        with pytest.raises(HapirError, match="HAP0573") as caught:
            deployed(tmp_path, wrong)
        assert message in caught.value.diagnostics[0].message
    with pytest.raises(HapirError, match="HAP0571"):  # no block for this layer
        deployed(tmp_path, {"other.mask": np.ones(2)})
    with pytest.raises(ValueError, match="trained"):
        AlfDeployPass(inner="relu")


def test_more_codes_than_the_limit_are_vetoed():
    assert largest_code((16, 8, 3, 3)) == 13
    assert len(chain_of(after(single_conv(W), AlfDeployPass(codes=13)).network, "c")) == 2
    with pytest.raises(HapirError, match="HAP0571"):
        compilation(single_conv(W)).apply(AlfDeployPass(codes=14))
