"""Samples taken through passes: what the property tests of passes share."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import reject
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.dialects.nn import NetworkOp
from hapir.lowering.compress.fold_batch_norm import FoldBatchNormPass
from hapir.lowering.compress.fuse import FusePass
from hapir.lowering.compress.quantize import QuantizePass
from hapir.lowering.network_edits import networks_of
from hapir.reference.interpret import run_network
from tests.property.strategies import Sample

CALIBRATION = "calibration.npz"


@dataclass
class Compilation:
    """A module on its way through passes, with its weights and the folder of its calibration data."""

    module: ModuleOp
    ctx: HapirContext

    @property
    def network(self) -> NetworkOp:
        """The only network."""
        return networks_of(self.module)[0]

    def apply(self, *passes: ModulePass) -> Compilation:
        """Run passes and verify after each."""
        for step in passes:
            step.apply(self.ctx, self.module)
            self.module.verify()
        return self

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """The network's results by the reference."""
        return run_network(self.network, self.ctx.weights, inputs)


def compilation(sample: Sample, calibration: Mapping[str, npt.NDArray[Any]] | None = None) -> Compilation:
    """A fresh copy of a sample in a module; `calibration` is written where `CALIBRATION` names it."""
    ctx = HapirContext(weights=sample.weights.copy())
    if calibration is not None:
        ctx.folder = Path(tempfile.mkdtemp(prefix="calibration-"))
        np.savez(ctx.folder / CALIBRATION, allow_pickle=False, **calibration)
    return Compilation(sample.module(), ctx)


def quantized(sample: Sample, inputs: Mapping[str, npt.NDArray[Any]], **options: Any) -> Compilation:
    """A sample folded and quantized on the given inputs; one with no integer form is rejected."""
    return quantize(compilation(sample, inputs).apply(FoldBatchNormPass()), **options)


def quantize(compiled: Compilation, **options: Any) -> Compilation:
    """Quantize on the calibration data; a sample with no integer form (a pool with several divisors) is rejected."""
    try:
        return compiled.apply(QuantizePass(calibration=CALIBRATION, **options))
    except HapirError as error:
        if error.diagnostics[0].code == "HAP0508" and "one divisor" in error.diagnostics[0].message:
            reject()
        raise


def fused(sample: Sample, inputs: Mapping[str, npt.NDArray[Any]], **options: Any) -> Compilation:
    """A sample folded, quantized and fused."""
    return quantized(sample, inputs, **options).apply(FusePass())
