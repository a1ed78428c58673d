"""Handlers of the family norms: by stored and by own means, over groups, layers and channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.assembly import shortest
from hapir.dialects.num import shape_of
from hapir.importers.onnx.model import Array
from hapir.importers.onnx.nodes import Call, Unsupported, axis_in, handles
from hapir.importers.onnx.ops_pools import powers
from hapir.importers.onnx.ops_products import given


def _epsilon(call: Call, default: float = 1e-5) -> float:
    return call.real("epsilon", default)


@handles("BatchNormalization")
def batch_normalization(call: Call) -> list[SSAValue | None]:
    """By stored means and variances, per channel; in training mode by those of the batch."""
    if call.opset < 9 and not call.integer("spatial", 1):
        raise Unsupported("it normalizes each place on its own (`spatial = 0`)", "per channel: spatial = 1")
    if call.integer("training_mode"):
        return _training(call)
    if call.wants(1):
        raise Unsupported("the statistics of training are asked for", "opset 14 with `training_mode`, or one output")
    suffixes = ("gamma", "beta", "mean", "variance")
    parameters = [given(call, i, suffix) for i, suffix in enumerate(suffixes, 1)]
    return [call.add(nn.BatchNormOp(call.tensor(0), *parameters, epsilon=_epsilon(call), layer=call.layer))]


def _training(call: Call) -> list[SSAValue | None]:
    """By the mean and variance of the batch, which move those that are given towards them."""
    x = call.tensor(0)
    axes = [axis for axis in range(len(shape_of(x))) if axis != 1]
    mean = call.add(nn.ReduceOp("mean", x, axes, layer=call.sub("mean")))
    _, _, squares = _centred(call, x, axes)
    variance = call.add(nn.ReduceOp("mean", squares, axes, layer=call.sub("variance")))
    gamma, beta = given(call, 1, "gamma"), given(call, 2, "beta")
    y = nn.BatchNormOp(x, gamma, beta, mean, variance, epsilon=_epsilon(call), layer=call.layer)
    momentum = call.real("momentum", 0.9)
    moved: list[SSAValue | None] = []
    for index, (name, found) in enumerate((("mean", mean), ("variance", variance))):
        if not call.wants(index + 1):
            moved.append(None)
            continue
        kept = _times(call, given(call, index + 3, name), momentum, f"kept_{name}")
        new = _times(call, found, shortest(1 - momentum), f"new_{name}")
        moved.append(call.add(nn.AddOp(kept, new, layer=call.sub(f"running_{name}"))))
    return [call.add(y), *moved]


def _times(call: Call, x: SSAValue, factor: float, name: str) -> SSAValue:
    return call.add(nn.MulOp(x, call.add(nn.FillOp(factor, f32)), layer=call.sub(name)))


def _centred(call: Call, x: SSAValue, axes: Sequence[int]) -> tuple[SSAValue, SSAValue, SSAValue]:
    """The mean of x along axes, which are kept, how far x lies from it, and the squares of that."""
    mean = call.add(nn.ReduceOp("mean", x, axes, keep=True, layer=call.sub("middle")))
    centred = call.add(nn.SubOp(x, mean, layer=call.sub("centred")))
    return mean, centred, call.add(nn.MulOp(centred, centred, layer=call.sub("squares")))


@handles("InstanceNormalization")
def instance_normalization(call: Call) -> SSAValue:
    """Each channel of each item: as many groups as channels."""
    gamma, beta = given(call, 1, "gamma"), given(call, 2, "beta")
    x, groups = call.tensor(0), call.shape(0)[1]
    return call.add(nn.GroupNormOp(x, gamma, beta, groups=groups, epsilon=_epsilon(call), layer=call.layer))


@handles("GroupNormalization")
def group_normalization(call: Call) -> SSAValue:
    """Groups of channels; up to opset 20 scale and bias are per group."""
    x, groups = call.tensor(0), call.integer("num_groups", 1)
    channels = shape_of(x)[1]
    if groups < 1 or channels % groups:
        raise Unsupported(f"{groups} groups do not divide {channels} channels", "a number of groups that divides them")
    parameters: list[SSAValue] = []
    for index, suffix in ((1, "gamma"), (2, "beta")):
        if call.shape(index) == (channels,):
            parameters.append(given(call, index, suffix))
        else:  # opset 18
            parameters.append(call.parameter(suffix, np.repeat(call.constant(index), channels // groups)))
    gamma, beta = parameters
    return call.add(nn.GroupNormOp(x, gamma, beta, groups=groups, epsilon=_epsilon(call), layer=call.layer))


def _from_axis(call: Call, index: int, suffix: str, shape: tuple[int, ...]) -> SSAValue:
    """A parameter of the normalized axes, repeated where it is constant and smaller."""
    if call.shape(index) == shape:
        return given(call, index, suffix)
    if not call.is_constant(index):
        raise Unsupported(f"the {suffix} of shape {call.shape(index)} repeats", f"shape {shape}, or a constant")
    return call.parameter(suffix, _repeated(call.constant(index), shape, suffix))


def _repeated(array: Array, shape: tuple[int, ...], suffix: str) -> Array:
    squeezed = array.reshape(array.shape[max(0, array.ndim - len(shape)) :]) if array.ndim > len(shape) else array
    try:
        return np.ascontiguousarray(np.broadcast_to(squeezed, shape))
    except ValueError:
        raise Unsupported(
            f"the {suffix} has shape {array.shape}", f"the shape of the normalized axes, {shape}"
        ) from None


@handles("LayerNormalization")
def layer_normalization(call: Call) -> list[SSAValue | None]:
    """All axes from one on; the mean and the inverse deviation are further outputs."""
    x = call.tensor(0)
    axis = axis_in(call.integer("axis", -1), len(shape_of(x)))
    shape = shape_of(x)[axis:]
    gamma = _from_axis(call, 1, "gamma", shape)
    beta = _from_axis(call, 2, "beta", shape) if call.has(2) else call.parameter("beta", np.zeros(shape, np.float32))
    y = call.add(nn.LayerNormOp(x, gamma, beta, axis=axis, epsilon=_epsilon(call), layer=call.layer))
    if not (call.wants(1) or call.wants(2)):
        return [y]
    axes = range(axis, len(shape_of(x)))
    if not call.wants(2):
        return [y, call.add(nn.ReduceOp("mean", x, axes, keep=True, layer=call.sub("mean")))]
    mean, _, squares = _centred(call, x, axes)
    variance = call.add(nn.ReduceOp("mean", squares, axes, keep=True, layer=call.sub("variance")))
    raised = call.add(nn.AddOp(variance, call.add(nn.FillOp(_epsilon(call), f32)), layer=call.sub("raised")))
    deviation = call.add(nn.PointwiseOp("sqrt", [raised], layer=call.sub("deviation")))
    return [y, mean, call.add(nn.PointwiseOp("reciprocal", [deviation], layer=call.sub("inverse")))]


@handles("RMSNormalization", "SimplifiedLayerNormalization")
def rms_normalization(call: Call) -> SSAValue:
    """All axes from one on, by the root of the mean square."""
    if call.wants(1):
        raise Unsupported("the inverse deviation is asked for", "the first output alone")
    x = call.tensor(0)
    axis = axis_in(call.integer("axis", -1), len(shape_of(x)))
    gamma = _from_axis(call, 1, "gamma", shape_of(x)[axis:])
    return call.add(nn.RmsNormOp(x, gamma, axis=axis, epsilon=_epsilon(call), layer=call.layer))


@handles("LRN")
def local_response_normalization(call: Call) -> SSAValue:
    """Neighbouring channels."""
    alpha, beta, bias = (call.real(name, default) for name, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    size = call.integer("size", 0)
    return call.add(
        nn.LocalResponseNormOp(call.tensor(0), size=size, alpha=alpha, beta=beta, bias=bias, layer=call.layer)
    )


@handles("LpNormalization")
def lp_normalization(call: Call) -> SSAValue:
    """Along an axis by the sum of magnitudes or the root of the sum of squares; zeros stay zeros."""
    x, p = call.tensor(0), call.integer("p", 2)
    if p not in (1, 2):
        raise Unsupported(f"p is {p}", "p = 1 or p = 2")
    axis = axis_in(call.integer("axis", -1), len(shape_of(x)))
    length = call.add(nn.ReduceOp("sum", powers(call, x, p), [axis], keep=True, layer=call.sub("sum")))
    if p == 2:
        length = call.add(nn.PointwiseOp("sqrt", [length], layer=call.sub("length")))
    least = call.add(nn.FillOp(_LEAST, f32))
    length = call.add(nn.PointwiseOp("maximum", [length, least], layer=call.sub("divisor")))
    return call.add(nn.PointwiseOp("div", [x, length], layer=call.layer))


_LEAST = 1.1754944e-38
"""The smallest normal f32: what a length of 0 is replaced by."""


@handles("MeanVarianceNormalization")
def mean_variance_normalization(call: Call) -> SSAValue:
    """`(x - mean) / (deviation + 1e-9)` along axes, batch and places where none are given (ONNX's own function)."""
    x = call.tensor(0)
    axes = sorted({axis_in(axis, len(shape_of(x))) for axis in call.integers("axes", (0, 2, 3))})
    _, centred, squares = _centred(call, x, axes)
    variance = call.add(nn.ReduceOp("mean", squares, axes, keep=True, layer=call.sub("variance")))
    deviation = call.add(nn.PointwiseOp("sqrt", [variance], layer=call.sub("deviation")))
    least = call.add(nn.FillOp(1e-9, f32))
    divisor = call.add(nn.AddOp(deviation, least, layer=call.sub("divisor")))
    return call.add(nn.PointwiseOp("div", [centred, divisor], layer=call.layer))
