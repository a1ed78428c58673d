"""What the property tests of factorizations share: a sample after a pass, and the layers that chains stand for."""

from __future__ import annotations

import numpy as np
from hypothesis import reject
from xdsl.dialects.builtin import FloatAttr, TensorType, f32
from xdsl.passes import ModulePass

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import shape_of
from hapir.factorizations.stages import Floats, Stage, StageShape, compose
from hapir.lowering.compress.structure.factored_layers import target_of
from hapir.lowering.network_edits import weight_of, weight_op_of
from hapir.report.summary import macs
from tests.property.network_builder import NetworkBuilder
from tests.property.pipelines import Compilation, compilation
from tests.property.strategies import Sample, networks

LAYERS = networks(
    max_layers=4,
    names=None,
    allow=("conv2d", "groups", "stride", "padding", "dilation", "bias", "relu", "add", "flatten", "dense"),
)
"""Networks of the layers that are factored, and of some that are not."""

NOTHING_TO_DO = ("HAP0208", "HAP0571", "HAP0572", "HAP0574")


def after(sample: Sample, *passes: ModulePass) -> Compilation:
    """A sample after passes; one that they have nothing to do for is rejected."""
    try:
        return compilation(sample).apply(*passes)
    except HapirError as error:
        if error.diagnostics[0].code in NOTHING_TO_DO:
            reject()
        raise


def single_conv(w: Floats, size: int = 6) -> Sample:
    """A network of one convolution `c` without a bias, over a square map."""
    _, c, r, s = w.shape
    build = NetworkBuilder([], 0)
    image = nn.WeightOp("image", TensorType(f32, (1, c, size, size))).result
    weight = build.weight("c.weight", w)
    y = build.append(nn.Conv2dOp(image, weight, window=Window((r, s)), layer="c"))
    return Sample(build.finish("sample", image, [("y", y)]), build.weights, (1, c, size, size))


def product_layers(network: nn.NetworkOp) -> dict[str, nn.ProductOp]:
    """Convolutions and dense layers by name."""
    return {op.layer_name or "": op for op in network.body.block.ops if isinstance(op, nn.ProductOp)}


def chain_of(network: nn.NetworkOp, name: str) -> list[nn.ProductOp]:
    """The stages that stand for a layer, in order."""
    chain = [product_layers(network)[name]]
    while isinstance(before := chain[0].x.owner, nn.ProductOp) and (before.layer_name or "").startswith(f"{name}."):
        chain.insert(0, before)
    return chain


def composed(compiled: Compilation, name: str) -> Floats:
    """The filters of the one layer that a chain equals, of the rank of its op's weights."""
    stages: list[Stage] = []
    for op in chain_of(compiled.network, name):
        filters = target_of(op, compiled.ctx.weights)
        stages.append(Stage(StageShape("", filters.filters, op.filter_groups), filters.w))
    return compose(stages)


def check_equals_its_single_layers(sample: Sample, compiled: Compilation) -> None:
    """The chains give what the sample gives with the composed filters, and their parameters tell the error."""
    rebuilt = compilation(sample)
    changed = 0
    for name, op in product_layers(rebuilt.network).items():
        if len(chain := chain_of(compiled.network, name)) > 1:
            exact = weight_of(op.w, sample.weights)
            filters = composed(compiled, name).reshape(exact.shape).astype(np.float32)
            rebuilt.ctx.weights.put(weight_op_of(op.w).key.data, filters)
            said = weight_op_of(chain[0].w).attributes["max_error"]
            assert isinstance(said, FloatAttr)
            largest = np.abs(exact.astype(np.float64) - filters).max()
            np.testing.assert_allclose(said.value.data, largest, rtol=1e-5, atol=1e-6)
            changed += 1
    assert changed, "the pass changed nothing and did not say so"
    inputs = sample.inputs(batch=2)
    expected, found = rebuilt.run(inputs)["y"], compiled.run(inputs)["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * (1 + float(np.abs(expected).max())))


def cost_in_ir(ops: list[nn.ProductOp]) -> tuple[int, int]:
    """Weights and multiply-accumulates of ops, as the report counts them."""
    return sum(int(np.prod(shape_of(op.w))) for op in ops), sum(map(macs, ops))
