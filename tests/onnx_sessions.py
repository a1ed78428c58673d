"""Runs ONNX models on onnxruntime, as a second oracle."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

checker: Any = import_module("onnx.checker")
ort: Any = import_module("onnxruntime")  # it brings no types


def run_model(model: Any, inputs: Mapping[str, Array], *, optimized: bool = True) -> dict[str, Array]:
    """The outputs of a model by name; `model` is a message, or the path of a file. `optimized` lets it fuse nodes."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if not optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, str) else model.SerializeToString()
    session = ort.InferenceSession(source, options, ["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, map(np.asarray, session.run(None, dict(inputs))), strict=True))


def check(model: Any) -> None:
    """Raise where a model is not what ONNX says, types and shapes included."""
    checker.check_model(model, full_check=True)
