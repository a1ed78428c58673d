"""Run the float network on calibration data and record what every activation does.

Reads the calibration file (`.npz` or `.safetensors`, arrays named like the network's inputs, axis 0 the samples). The
reference interpreter runs it in batches, once for the extremes and, where the method needs it, once for histograms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np
from xdsl.ir import Operation, SSAValue

from hapir.diagnostics import fail
from hapir.dialects.nn import NetworkOp, WeightOp
from hapir.dialects.num import is_float, shape_of
from hapir.lowering.compress.calibration import Observed
from hapir.lowering.constants import is_constant_op
from hapir.reference.interpret import run_network
from hapir.weights import Array, WeightStore, load_arrays

BATCH = 64
"""Samples per run of the interpreter: bounds the memory that large calibration sets need."""


def labelled_data(network: NetworkOp, path: Path, samples: int | None) -> tuple[dict[str, Array], Array]:
    """The network's inputs and the `label` array (integers, one per sample) of a data file.

    Raises HapirError (HAP0401, HAP0405) where the file or an array is missing or does not fit.
    """
    arrays = load_arrays(path)
    inputs = _inputs(network, arrays, path.name, samples)
    if "label" not in arrays:
        what = f"`{path.name}` holds no array `label`"
        fail("HAP0405", what, at=network, help="store the expected class of each sample")
    count = len(next(iter(inputs.values())))
    label, images = arrays["label"], len(np.atleast_1d(arrays[next(iter(inputs))]))
    if label.size != images or label.dtype.kind not in "iu":
        what = (
            f"`label` of `{path.name}` must hold {images} integers, one per sample, has {label.size} of {label.dtype}"
        )
        fail("HAP0405", what, at=network, help="store the index of each sample's class, counted from 0")
    return inputs, label.reshape(-1)[:count]


def calibration_data(network: NetworkOp, path: Path, samples: int | None) -> dict[str, Array]:
    """The network's inputs from a data file, at most the first `samples`. Raises HapirError (HAP0401, HAP0405)."""
    return _inputs(network, load_arrays(path), path.name, samples)


def _inputs(network: NetworkOp, arrays: Mapping[str, Array], file: str, samples: int | None) -> dict[str, Array]:
    inputs: dict[str, Array] = {}
    for name, argument in zip((n.data for n in network.input_names), network.body.block.args, strict=True):
        if name not in arrays:
            found = ", ".join(sorted(arrays)) or "nothing"
            what = f"`{file}` holds no array `{name}` for the network's input"
            fail("HAP0405", what, at=network, help=f"it has {found}")
        array, shape = np.atleast_1d(arrays[name])[:samples], shape_of(argument)
        if array.dtype.kind not in "fiub":
            what = f"`{name}` of `{file}` has type {array.dtype}, not one of real numbers"
            fail("HAP0405", what, at=network, help="store whole or real numbers")
        if array.shape[1:] != shape[1:]:
            needs = ", ".join(("samples", *map(str, shape[1:])))
            what = f"`{name}` of `{file}` has shape {array.shape}, the network needs ({needs})"
            fail("HAP0405", what, at=network, help="axis 0 counts samples; reshape the array")
        if len(array) == 0:
            fail("HAP0405", f"`{name}` of `{file}` holds no samples", at=network, help="store at least one")
        with np.errstate(over="ignore"):
            inputs[name] = array.astype(np.float32) if is_float(argument) else array
        if not np.isfinite(inputs[name]).all():
            what = f"`{name}` of `{file}` holds values that are not finite in f32"
            fail("HAP0405", what, at=network, help="remove infinities and not-a-number, or scale the values")
    if len({len(array) for array in inputs.values()}) > 1:
        what = f"the inputs in `{file}` have different numbers of samples"
        fail("HAP0405", what, at=network, help="store the same number of samples for each input")
    return inputs


def batches(inputs: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """The same inputs, `BATCH` samples at a time."""
    count = len(next(iter(inputs.values()), np.empty(0)))
    for start in range(0, count, BATCH):
        yield {name: array[start : start + BATCH] for name, array in inputs.items()}


def observe_activations(
    network: NetworkOp, weights: WeightStore, inputs: Mapping[str, Array], *, histograms: bool
) -> dict[SSAValue, Observed]:
    """What each float activation, inputs included, does on the data.

    Raises HapirError (HAP0405) where an activation is not finite.
    """
    seen: dict[SSAValue, Observed] = {}

    def see(value: SSAValue, array: Array) -> None:
        if array.dtype.kind == "f":
            seen.setdefault(value, Observed()).see(array)

    def count(value: SSAValue, array: Array) -> None:
        if value in seen:
            seen[value].count(array)

    _run(network, weights, inputs, see)
    for value, observed in seen.items():
        if not observed.finite:
            owner = value.owner
            refuse_not_finite(owner if isinstance(owner, Operation) else network)
    if histograms:
        _run(network, weights, inputs, count)
    return seen


def refuse_not_finite(at: Operation) -> NoReturn:
    """Raise HapirError (HAP0405) at an op that gives infinities or not-a-number on data that are finite."""
    help = "its sums leave f32: check the weights of the layers up to it, and how large the data are"
    fail("HAP0405", "this activation is not finite on the calibration data", at=at, help=help)


def _run(
    network: NetworkOp, weights: WeightStore, inputs: Mapping[str, Array], record: Callable[[SSAValue, Array], None]
) -> None:
    """Interpret the network batch by batch and show each activation to `record`."""

    def after(op: Operation, results: tuple[Array, ...]) -> None:
        if not isinstance(op, WeightOp) and not is_constant_op(op):
            for value, array in zip(op.results, results, strict=True):
                record(value, array)

    for batch in batches(inputs):
        for argument, array in zip(network.body.block.args, batch.values(), strict=True):
            record(argument, array)
        run_network(network, weights, batch, observe=after)
