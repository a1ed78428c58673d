"""Handlers of the family norms: by stored and by own means, over groups, layers and channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.num import shape_of
from hapir.importers.onnx.model import Array
from hapir.importers.onnx.nodes import Call, Unsupported, axis_in, handles
from hapir.importers.onnx.ops_elementwise import shortest
from hapir.importers.onnx.ops_products import given


def _number(call: Call, value: float) -> SSAValue:
    return call.add(nn.FillOp(shortest(value), f32))


def _epsilon(call: Call, default: float = 1e-5) -> float:
    return shortest(call.real("epsilon", default))


@handles("BatchNormalization")
def batch_normalization(call: Call) -> list[SSAValue]:
    """By stored means and variances, per channel; in training mode by those of the batch, which join the stored."""
    if call.opset < 9 and not call.integer("spatial", 1):
        raise Unsupported("it normalizes each place on its own (`spatial = 0`)", "per channel: spatial = 1")
    suffixes = ("gamma", "beta", "mean", "variance")
    if call.opset < 14 and call.wants(1):
        raise Unsupported("it is in training mode", "the first output alone, or opset 14")
    if not call.integer("training_mode"):
        parameters = [given(call, i, suffix) for i, suffix in enumerate(suffixes, 1)]
        return [call.add(nn.BatchNormOp(call.tensor(0), *parameters, epsilon=_epsilon(call), layer=call.layer))]
    x = call.tensor(0)
    moments = _moments(call, x, [0, *range(2, len(shape_of(x)))], keep=False)
    factors = [given(call, i, suffix) for i, suffix in ((1, "gamma"), (2, "beta"))]
    y = call.add(nn.BatchNormOp(x, *factors, *moments, epsilon=_epsilon(call), layer=call.layer))
    kept = call.real("momentum", 0.9)
    stored = ((3, "mean"), (4, "variance"))
    running = [_running(call, i, suffix, new, kept) for (i, suffix), new in zip(stored, moments, strict=True)]
    return [y, *running]


def _running(call: Call, index: int, suffix: str, new: SSAValue, kept: float) -> SSAValue:
    """A stored number and one of the batch joined."""
    old = call.add(nn.MulOp(given(call, index, suffix), _number(call, kept), layer=call.sub(f"{suffix}_old")))
    share = call.add(nn.MulOp(new, _number(call, 1 - kept), layer=call.sub(f"{suffix}_new")))
    return call.add(nn.AddOp(old, share, layer=call.sub(f"{suffix}_running")))


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
    mean, variance = _moments(call, x, range(axis, len(shape_of(x))), keep=True)
    above = call.add(nn.AddOp(variance, _number(call, _epsilon(call)), layer=call.sub("above")))
    root = call.add(nn.PointwiseOp("sqrt", [above], layer=call.sub("root")))
    return [y, mean, call.add(nn.PointwiseOp("reciprocal", [root], layer=call.sub("inverse")))]


def _moments(call: Call, x: SSAValue, axes: Sequence[int], *, keep: bool) -> tuple[SSAValue, SSAValue]:
    """The mean along axes and the mean square of what lies beside it."""
    mean = call.add(nn.ReduceOp("mean", x, axes, keep=True, layer=call.sub("mean")))
    beside = call.add(nn.SubOp(x, mean, layer=call.sub("beside")))
    square = call.add(nn.MulOp(beside, beside, layer=call.sub("square")))
    variance = call.add(nn.ReduceOp("mean", square, axes, keep=keep, layer=call.sub("variance")))
    return mean if keep else call.add(nn.ReduceOp("mean", x, axes, layer=call.sub("means"))), variance


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
    alpha, beta, bias = (
        shortest(call.real(name, default)) for name, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
    )
    size = call.integer("size", 0)
    return call.add(
        nn.LocalResponseNormOp(call.tensor(0), size=size, alpha=alpha, beta=beta, bias=bias, layer=call.layer)
    )
