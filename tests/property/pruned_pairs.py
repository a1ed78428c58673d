"""Samples of small integers: their sums are exact in f32, so networks that mean the same give the same bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import reject
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.reference.interpret import run_network
from hapir.report.summary import macs
from hapir.weights import Array, WeightStore
from tests.property.pipelines import Compilation, compilation
from tests.property.strategies import FEATURES, Sample, networks
from tests.property.wider_layers import FLOAT_ONLY

EXACT = FEATURES - set(FLOAT_ONLY) - {"avg_pool", "global_avg_pool", "batch_norm", "softmax", "argmax", "clip"}
"""Layers that give integers for integers."""

INTEGRAL = networks(max_layers=5, max_channels=6, max_size=7, allow=EXACT)
LIMIT = 1 << 24


def integral(sample: Sample, seed: int = 0, *, zeros: bool = True) -> Sample:
    """The same network with weights of -2 to 2, all of them or all but 0."""
    draw, store = np.random.default_rng(seed), WeightStore()
    for key in sorted(sample.weights.keys()):
        if sample.weights[key].dtype.kind == "i":  # the numbers of taps
            store.put(key, sample.weights[key])
            continue
        drawn = draw.integers(-2, 3, sample.weights[key].shape).astype(np.float32)
        store.put(key, drawn if zeros else np.where(drawn == 0, np.float32(1), drawn))
    return replace(sample, weights=store)


def integral_inputs(sample: Sample, batch: int = 2) -> dict[str, Array]:
    """Inputs of -2 to 2."""
    shape = (batch, *sample.input_shape[1:])
    return {"image": np.random.default_rng(1).integers(-2, 3, shape).astype(np.float32)}


def exactly(compiled: Compilation, inputs: dict[str, Array]) -> Array:
    """The result of a network; a draw whose sums leave what f32 counts exactly is rejected."""
    largest = 0.0

    def observe(_: Operation, results: tuple[Array, ...]) -> None:
        nonlocal largest
        largest = max(largest, *(float(np.abs(r).max(initial=0)) for r in results))

    result = run_network(compiled.network, compiled.ctx.weights, inputs, observe=observe)["y"]
    if largest >= LIMIT:
        reject()
    return result


def pruned(sample: Sample, step: ModulePass, *codes: str) -> Compilation:
    """A sample after a pass; one that the pass refuses with these codes is rejected."""
    try:
        return compilation(sample).apply(step)
    except HapirError as error:
        if error.diagnostics[0].code in codes:
            reject()
        raise


def layers(compiled: Compilation) -> list[nn.ProductOp]:
    """The convolutions and dense layers."""
    return [op for op in compiled.network.body.block.ops if isinstance(op, nn.ProductOp)]


def cost(compiled: Compilation) -> int:
    """All multiply-accumulates."""
    return sum(macs(op) for op in compiled.network.walk())
