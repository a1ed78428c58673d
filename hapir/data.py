"""Input data of a network: arrays of an `.npz` file, checked against what the network declares.

A data file holds one array per network input, of the input's name; axis 0 is the batch and may hold any multiple of
the declared batch. An array `label` (one whole number per image) is the expected class where no input has that name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import Float32Type, TensorType
from xdsl.ir import Attribute, SSAValue

from hapir.diagnostics import did_you_mean, fail
from hapir.dialects.nn import NetworkOp
from hapir.dialects.nn_shapes import text
from hapir.dialects.num import element_type, integer_range, shape_of, storage_of
from hapir.reference.values import dtype_of
from hapir.weights import load_arrays

Array = npt.NDArray[Any]
LABEL = "label"
_EQUAL = "give every input the same number of images along axis 0"


@dataclass(frozen=True)
class Dataset:
    """Arrays by input name, all with `images` entries along axis 0; `labels` are expected classes, if known."""

    inputs: Mapping[str, Array]
    images: int
    labels: Array | None = None


def load_dataset(path: Path, network: NetworkOp, limit: int | None = None) -> Dataset:
    """The data in a `.npz` (or `.safetensors`) file for a network, the first `limit` images.

    Raises HapirError (HAP0401 unreadable, HAP0480 names, HAP0481 shapes, HAP0482 values).
    """
    return check_dataset(load_arrays(path), network, limit, path.name)


def check_dataset(
    arrays: Mapping[str, Array], network: NetworkOp, limit: int | None = None, source: str = "the input"
) -> Dataset:
    """Arrays as a data set for a network, converted to the types it computes with.

    Raises HapirError (HAP0480 a missing or unknown name, HAP0481 a wrong shape or batch, HAP0482 values the input's
    type cannot hold).
    """
    arguments = {n.data: a for n, a in zip(network.input_names, network.body.block.args, strict=True)}
    known = {*arguments, LABEL}
    for name in sorted(arrays):
        if name not in known:
            hint = did_you_mean(name, known) or f"the inputs are {', '.join(arguments)}"
            fail("HAP0480", f"{source} holds `{name}`, which is no input of `{network.sym_name.data}`", help=hint)
    inputs: dict[str, Array] = {}
    for name, argument in arguments.items():
        if name not in arrays:
            held = ", ".join(sorted(arrays)) or "nothing"
            fail("HAP0480", f"{source} has no array `{name}`", at=network, help=f"it holds {held}")
        inputs[name] = _checked(arrays[name], name, argument, network, source)
    labels = None if LABEL in arguments or LABEL not in arrays else _labels(arrays[LABEL], inputs, network, source)
    images = _images(inputs, network, source)
    if limit is not None and limit < images:
        batch = _batch(network)
        if limit % batch:
            help = f"take {max(batch, limit // batch * batch)}"
            fail("HAP0481", f"a limit of {limit} images is no multiple of the network's batch of {batch}", help=help)
        inputs = {name: array[:limit] for name, array in inputs.items()}
        labels = None if labels is None else labels[:limit]
        images = limit
    return Dataset(inputs, images, labels)


def _batch(network: NetworkOp) -> int:
    return next(iter(shape_of(network.body.block.args[0])), 1)


def _checked(array: Array, name: str, argument: SSAValue, network: NetworkOp, source: str) -> Array:
    """One array in the shape and type that its input declares."""
    declared = shape_of(argument)
    if array.shape != declared and (not declared or array.ndim != len(declared) or array.shape[1:] != declared[1:]):
        wanted = " x ".join(["images", *map(str, declared[1:])])
        fail(
            "HAP0481",
            f"`{name}` of {source} has shape {text(array.shape)}, the network takes {wanted}",
            at=network,
            help="axis 0 counts images; reshape the array",
        )
    return _converted(array, name, element_type(argument), source)


def _converted(array: Array, name: str, element: Attribute, source: str) -> Array:
    """The values in the element type's numpy type; a conversion that would change one is an error."""
    if array.dtype.kind not in "fiub":
        help = "store whole or real numbers"
        fail("HAP0482", f"`{name}` of {source} has type {array.dtype}, not one of real numbers", help=help)
    if isinstance(element, Float32Type):
        if not np.isfinite(array).all():
            fail("HAP0482", f"`{name}` of {source} holds values that are not finite", help="remove NaN and infinities")
        with np.errstate(over="ignore"):
            converted = array.astype(np.float32)
        # rounding a double is what every user of f32 expects; an overflow or a large integer that moves is not
        changed = ~np.isfinite(converted) if array.dtype.kind == "f" else converted.astype(np.float64) != array
        if changed.any():
            help = "scale the values, or store them as float32"
            fail("HAP0482", f"`{name}` of {source} holds values that f32 cannot hold", help=help)
        return converted
    storage = storage_of(element)
    assert storage is not None
    low, high = integer_range(storage)
    if array.dtype.kind == "f" or (array.size and (int(array.min()) < low or int(array.max()) > high)):
        fail(
            "HAP0482",
            f"`{name}` of {source} ({array.dtype}) does not fit {storage}, whole numbers from {low} to {high}",
            help="store whole numbers in that range",
        )
    return array.astype(dtype_of(element))


def _images(inputs: Mapping[str, Array], network: NetworkOp, source: str) -> int:
    """How many images all inputs hold, at least one batch; one batch where each has the shape that it declares."""
    if all(a.shape == shape_of(v) for a, v in zip(inputs.values(), network.body.block.args, strict=True)):
        return _batch(network)
    counts = {name: len(array) if array.ndim else 1 for name, array in inputs.items()}
    if len(set(counts.values())) != 1:
        shown = ", ".join(f"{name}: {count}" for name, count in counts.items())
        fail("HAP0481", f"the inputs of {source} hold different numbers of images ({shown})", help=_EQUAL)
    images, batch = next(iter(counts.values())), _batch(network)
    if images == 0 or images % batch:
        help = f"give it a multiple of {batch} images, at least {batch}"
        fail("HAP0481", f"{source} holds {images} images, the network takes batches of {batch}", at=network, help=help)
    return images


def _labels(labels: Array, inputs: Mapping[str, Array], network: NetworkOp, source: str) -> Array:
    """The labels, which must be whole numbers, one per image, each a class where the first result is one per class."""
    images = len(next(iter(inputs.values())))
    shape: tuple[int, ...] = labels.shape
    if labels.dtype.kind not in "iu" or shape != (images,):
        fail(
            "HAP0481",
            f"`{LABEL}` of {source} is {labels.dtype} of shape {text(shape)}",
            help=f"labels are whole numbers, one for each of the {images} images",
        )
    result = tuple(t.get_shape()) if isinstance(t := network.function_type.outputs.data[0], TensorType) else ()
    if len(result) == 2 and images and (int(labels.min()) < 0 or int(labels.max()) >= result[1]):
        held = f"{int(labels.min())}..{int(labels.max())}"
        fail(
            "HAP0482",
            f"`{LABEL}` of {source} holds {held}, the network has {result[1]} classes",
            at=network,
            help=f"labels count from 0 to {result[1] - 1}",
        )
    return labels


def accuracy(outputs: Mapping[str, Array], labels: Array | None) -> float | None:
    """The share of images whose class (index of the largest value, or the value itself) is the label, 0 to 1.

    None without labels, or where the first result is neither N x C nor N whole numbers.
    """
    result = next(iter(outputs.values()))
    if labels is None or result.ndim not in (1, 2) or (result.ndim == 1 and result.dtype.kind not in "iu"):
        return None
    classes = result.argmax(axis=1) if result.ndim == 2 else result
    return int(np.count_nonzero(classes == labels)) / labels.size
