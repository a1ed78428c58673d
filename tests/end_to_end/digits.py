"""The digits specs for tests: where they lie, their data, and the parameters that a schedule computes with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import hapir
from hapir.dialects import nn

SPECS = Path(__file__).resolve().parents[2] / "spec_examples"
DIGITS, PRUNED, TALL = (SPECS / f"{name}.hap" for name in ("digits", "digits_pruned", "digits_16x4"))
TEST_DATA = SPECS / "digits_test.npz"

Array = npt.NDArray[Any]


def arrays_of(path: Path) -> dict[str, Array]:
    """All arrays of an `.npz` file."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def layer_weights(scheduled: hapir.Scheduled) -> dict[str, Array]:
    """The weight tensor of each convolution and dense layer as it is computed with, by layer name."""
    found: dict[str, Array] = {}
    for op in scheduled.module.walk():
        if isinstance(op, nn.Conv2dOp | nn.DenseOp) and op.layer is not None:
            weight = op.w.owner
            assert isinstance(weight, nn.WeightOp)
            found[op.layer.data] = scheduled.weights[weight.key.data]
    return found
