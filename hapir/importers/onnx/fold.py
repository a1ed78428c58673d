"""What can be computed while a model is imported: nodes whose inputs are all constant, above all shape arithmetic.

The meanings are numpy's, written out here: onnx's own evaluator differs from release to release. A result may be larger
than the inputs of a node only up to `GROWN` elements, which is decided before anything is allocated. A node that is not
in the table, or that numpy refuses, stays a node, and the converter says what is wrong with it. Quantization is not
folded: integer weights stay integer weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil, prod
from typing import Any, cast

import numpy as np

from hapir.importers.onnx.elements import ELEMENTS
from hapir.importers.onnx.limits import MAXIMUM_RANK
from hapir.importers.onnx.model import Array, GraphNode

GROWN = 1 << 20
"""Elements that a result may have where its inputs have fewer."""
TOTAL = 1 << 30
"""Elements that are read and made for all results together; what comes after stays a node."""

Inputs = Sequence[Array | None]
Rule = Callable[[GraphNode, list[Array]], Array | Sequence[Array]]


class Folder:
    """Computes nodes, and keeps count of the elements that it moved."""

    def __init__(self) -> None:
        self._moved = 0

    def results(self, node: GraphNode, inputs: Inputs) -> list[Array] | None:
        """The outputs of a node of ONNX's own, or None where it stays. An input that is left out is None."""
        rule = RULES.get(node.op)
        if rule is None or node.domain or not inputs or inputs[0] is None or self._moved > TOTAL:
            return None
        self._moved += sum(array.size for array in inputs if array is not None)
        given = list(inputs)
        while given and given[-1] is None:
            given.pop()
        try:
            with np.errstate(all="ignore"):
                found = rule(node, cast("list[Array]", given))
        except (ValueError, TypeError, IndexError, KeyError, ArithmeticError, AttributeError):
            return None  # what numpy says of inputs that do not fit, or of one that is left out
        arrays = [found] if isinstance(found, np.ndarray) else list(found)
        self._moved += sum(array.size for array in arrays)
        fits = len(arrays) == len(node.outputs) and all(array.ndim <= MAXIMUM_RANK for array in arrays)
        return arrays if fits else None


def shape_result(node: GraphNode, shape: Sequence[int]) -> Array:
    """What `Shape` or `Size` say of a shape."""
    if node.op == "Size":
        return np.array(prod(shape), np.int64)
    start, end = node.attributes.get("start", 0), node.attributes.get("end", len(shape))
    return np.array(shape[cast(int, start) : cast(int, end)], np.int64)


# --- rules ------------------------------------------------------------------------------------------------------------


def _check(shape: Sequence[int], inputs: Sequence[Array]) -> tuple[int, ...]:
    """A shape that a result may have. Raises ValueError where it is too large."""
    if any(size < 0 for size in shape) or prod(shape) > max(GROWN, *(array.size for array in inputs)):
        raise ValueError("too large to be folded")
    return tuple(shape)


def _elementwise(function: Callable[..., Any], result: type[Any] | None = None) -> Rule:
    """Element by element, broadcast; the result has the type of the last input, or `result`."""

    def rule(node: GraphNode, inputs: list[Array]) -> Array:
        _check(np.broadcast_shapes(*(array.shape for array in inputs)), inputs)
        return np.asarray(function(*inputs)).astype(result or inputs[-1].dtype, copy=False)

    return rule


def _many(function: Callable[..., Any]) -> Rule:
    """The same for any number of inputs, two at a time."""

    def rule(node: GraphNode, inputs: list[Array]) -> Array:
        _check(np.broadcast_shapes(*(array.shape for array in inputs)), inputs)
        found = inputs[0]
        for array in inputs[1:]:
            found = np.asarray(function(found, array))
        return found

    return rule


def _divided(a: Array, b: Array) -> Array:
    """A quotient; of integers, towards zero. Raises ZeroDivisionError where numpy would make a number up."""
    if a.dtype.kind == "f":
        return a / b
    _check_divisor(b)
    quotient = np.floor_divide(a, b)
    return quotient + ((np.remainder(a, b) != 0) & ((a < 0) ^ (b < 0))).astype(quotient.dtype)


def _check_divisor(b: Array) -> None:
    if not b.all():
        raise ZeroDivisionError


def _mod(node: GraphNode, inputs: list[Array]) -> Array:
    a, b = inputs
    _check(np.broadcast_shapes(a.shape, b.shape), inputs)
    if a.dtype.kind != "f":
        _check_divisor(b)
    return np.asarray(np.fmod(a, b) if node.attributes.get("fmod", 0) else np.mod(a, b))


def _pow(node: GraphNode, inputs: list[Array]) -> Array:
    _check(np.broadcast_shapes(inputs[0].shape, inputs[1].shape), inputs)
    return np.power(inputs[0], inputs[1]).astype(inputs[0].dtype)


def _cast(node: GraphNode, inputs: list[Array]) -> Array:
    element = ELEMENTS[cast(int, node.attributes["to"])]
    x = inputs[0]
    if element.narrow or (x.dtype.kind == "f" and element.dtype.kind in "iu" and not np.isfinite(x).all()):
        raise ValueError("no value of the type")
    return x.astype(element.dtype)


def _reshape(node: GraphNode, inputs: list[Array]) -> Array:
    x, shape = inputs
    zero = bool(node.attributes.get("allowzero", 0))
    sizes = [x.shape[i] if size == 0 and not zero else int(size) for i, size in enumerate(shape)]
    return x.reshape(sizes)


def _flatten(node: GraphNode, inputs: list[Array]) -> Array:
    x = inputs[0]
    axis = cast(int, node.attributes.get("axis", 1))
    return x.reshape(prod(x.shape[:axis]), prod(x.shape[axis:]))


def _transpose(node: GraphNode, inputs: list[Array]) -> Array:
    return inputs[0].transpose(cast("list[int] | None", node.attributes.get("perm")))


def _axes(node: GraphNode, inputs: list[Array]) -> tuple[int, ...] | None:
    """The axes of a node: an attribute, or since opset 13 or 18 an input."""
    if "axes" in node.attributes:
        return tuple(cast("list[int]", node.attributes["axes"]))
    return tuple(int(axis) for axis in inputs[1]) if len(inputs) > 1 else None


def _unsqueeze(node: GraphNode, inputs: list[Array]) -> Array:
    axes = _axes(node, inputs) or ()
    if len(axes) > MAXIMUM_RANK:
        raise ValueError("too many axes")
    return np.expand_dims(inputs[0], axes)


def _squeeze(node: GraphNode, inputs: list[Array]) -> Array:
    return np.squeeze(inputs[0], _axes(node, inputs))


def _concat(node: GraphNode, inputs: list[Array]) -> Array:
    _check([sum(array.size for array in inputs)], [*inputs, *inputs])
    return np.concatenate(inputs, cast(int, node.attributes["axis"]))


def _gather(node: GraphNode, inputs: list[Array]) -> Array:
    x, indices = inputs
    axis = cast(int, node.attributes.get("axis", 0))
    size = x.shape[axis]
    _check([indices.size, x.size // max(size, 1)], inputs)
    if indices.size and not -size <= int(indices.min()) <= int(indices.max()) < size:
        raise IndexError
    return np.asarray(np.take(x, indices, axis))


def _slice(node: GraphNode, inputs: list[Array]) -> Array:
    x = inputs[0]
    if len(inputs) == 1:  # attributes, up to opset 9
        starts, ends = (cast("list[int]", node.attributes[name]) for name in ("starts", "ends"))
        axes = cast("list[int]", node.attributes.get("axes", list(range(len(starts)))))
        steps = [1] * len(starts)
    else:
        starts, ends = (array.tolist() for array in inputs[1:3])
        axes = inputs[3].tolist() if len(inputs) > 3 else list(range(len(starts)))
        steps = inputs[4].tolist() if len(inputs) > 4 else [1] * len(starts)
    parts = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = x.shape[axis]
        if step < 0:  # backwards, ONNX takes a place before the beginning for the beginning
            parts[axis] = slice(max(start, -size), None if end < -size else end, step)
        else:
            parts[axis] = slice(start, end, step)
    return x[tuple(parts)]


def _split(node: GraphNode, inputs: list[Array]) -> Sequence[Array]:
    x = inputs[0]
    axis = cast(int, node.attributes.get("axis", 0))
    sizes = cast("list[int] | None", node.attributes.get("split"))
    if len(inputs) > 1:
        sizes = inputs[1].tolist()
    if sizes is None:
        part = ceil(x.shape[axis] / len(node.outputs))
        places = [part * i for i in range(1, len(node.outputs))]
    else:
        if sum(sizes) != x.shape[axis] or min(sizes) < 0:
            raise ValueError("sizes do not fit")
        places = list(np.cumsum(sizes[:-1]))
    return np.split(x, places, axis)


def _expand(node: GraphNode, inputs: list[Array]) -> Array:
    x, target = inputs
    if target.size > MAXIMUM_RANK:
        raise ValueError("too many axes")
    shape = _check(np.broadcast_shapes(x.shape, tuple(int(size) for size in target)), inputs)
    return np.broadcast_to(x, shape).copy()


def _tile(node: GraphNode, inputs: list[Array]) -> Array:
    x, repeats = inputs
    _check([size * int(times) for size, times in zip(x.shape, repeats, strict=True)], inputs)
    return np.tile(x, [int(times) for times in repeats])


def _range(node: GraphNode, inputs: list[Array]) -> Array:
    start, limit, delta = (array.item() for array in inputs)
    _check([max(0, ceil((limit - start) / delta))], inputs)
    return cast(Array, np.arange(start, limit, delta)).astype(inputs[0].dtype)


def _constant_of_shape(node: GraphNode, inputs: list[Array]) -> Array:
    if inputs[0].size > MAXIMUM_RANK:
        raise ValueError("too many axes")
    shape = _check([int(size) for size in inputs[0]], inputs)
    value = cast(Array, node.attributes.get("value", np.zeros(1, np.float32)))
    return np.full(shape, value.item(), value.dtype)


def _reduce(function: Callable[..., Any]) -> Rule:
    def rule(node: GraphNode, inputs: list[Array]) -> Array:
        x = inputs[0]
        axes = _axes(node, inputs)
        if not axes and node.attributes.get("noop_with_empty_axes", 0):
            return x
        kept = bool(node.attributes.get("keepdims", 1))
        return np.asarray(function(x, axis=axes or None, keepdims=kept)).astype(x.dtype)

    return rule


RULES: Mapping[str, Rule] = {
    "Abs": _elementwise(np.abs),
    "Add": _elementwise(np.add),
    "And": _elementwise(np.logical_and),
    "Cast": _cast,
    "Ceil": _elementwise(np.ceil),
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Cos": _elementwise(np.cos),
    "Div": _elementwise(_divided),
    "Equal": _elementwise(np.equal, np.bool_),
    "Exp": _elementwise(np.exp),
    "Expand": _expand,
    "Flatten": _flatten,
    "Floor": _elementwise(np.floor),
    "Gather": _gather,
    "Greater": _elementwise(np.greater, np.bool_),
    "GreaterOrEqual": _elementwise(np.greater_equal, np.bool_),
    "Less": _elementwise(np.less, np.bool_),
    "LessOrEqual": _elementwise(np.less_equal, np.bool_),
    "Log": _elementwise(np.log),
    "Max": _many(np.maximum),
    "Min": _many(np.minimum),
    "Mod": _mod,
    "Mul": _elementwise(np.multiply),
    "Neg": _elementwise(np.negative),
    "Not": _elementwise(np.logical_not),
    "Or": _elementwise(np.logical_or),
    "Pow": _pow,
    "Range": _range,
    "Reciprocal": _elementwise(np.reciprocal),
    "ReduceMax": _reduce(np.max),
    "ReduceMean": _reduce(np.mean),
    "ReduceMin": _reduce(np.min),
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "Reshape": _reshape,
    "Sin": _elementwise(np.sin),
    "Slice": _slice,
    "Split": _split,
    "Sqrt": _elementwise(np.sqrt),
    "Squeeze": _squeeze,
    "Sub": _elementwise(np.subtract),
    "Sum": _many(np.add),
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _elementwise(np.where),
    "Xor": _elementwise(np.logical_xor),
}
