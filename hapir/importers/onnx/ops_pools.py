"""Handlers of the family pools: over windows, and over all places.

Volumes N C D H W are pooled as maps: along H and W first, then along D; maxima and means of boxes are those of their
rows and columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import element_type, shape_of
from hapir.importers.onnx.nodes import Call, Unsupported, handles
from hapir.importers.onnx.windows import Span, window_of, windows

Pool = Callable[[SSAValue, Window, str], nn.LayerOp]
"""A pool of x over a window, under a layer's name."""


def _spans(call: Call) -> list[Span]:
    """The windows of a pool."""
    sizes = call.shape(0)[2:]
    kernel = call.integers("kernel_shape")
    if len(kernel) != len(sizes) or len(kernel) not in (1, 2, 3):
        raise Unsupported(f"windows of {len(kernel)} axes slide along {len(sizes)}", "one, two or three axes")
    return windows(call, sizes, kernel)


def _pooled(call: Call, x: SSAValue, found: Sequence[Span], pool: Pool, layer: str) -> SSAValue:
    """A pool over one, two or three axes."""
    if len(found) < 3:
        return call.add(pool(x, window_of(found), layer))
    _, c, depth, *_ = shape_of(x)
    flat = reshaped(call, x, (c * depth, *shape_of(x)[3:]), f"{layer}_slices")
    planes = call.add(pool(flat, window_of(found[1:]), f"{layer}_planes"))
    rows, columns = shape_of(planes)[2:]
    lines = reshaped(call, planes, (c, depth, rows * columns), f"{layer}_lines")
    deep = call.add(pool(lines, window_of([found[0], Span(1)]), f"{layer}_depth"))
    return reshaped(call, deep, (c, shape_of(deep)[2], rows, columns), layer)


def reshaped(call: Call, x: SSAValue, sizes: Sequence[int], layer: str) -> SSAValue:
    """Other axes behind the batch; nothing where they are the same."""
    return x if shape_of(x)[1:] == tuple(sizes) else call.add(nn.ReshapeOp(x, sizes, layer=layer))


@handles("MaxPool")
def max_pool(call: Call) -> list[SSAValue | None]:
    """Maxima, and where they lie."""
    found, x = _spans(call), call.tensor(0)
    largest = _pooled(call, x, found, lambda v, window, layer: nn.MaxPoolOp(v, window=window, layer=layer), call.layer)
    if not call.wants(1):
        return [largest]
    if len(found) == 3:
        raise Unsupported("the places of maxima in volumes are asked for", "signals N x C x L and maps N x C x H x W")
    by_columns = bool(call.integer("storage_order"))
    places = nn.MaxPoolIndicesOp(x, window=window_of(found), columns_first=by_columns, layer=call.sub("indices"))
    return [largest, call.add(places)]


@handles("AveragePool")
def average_pool(call: Call) -> SSAValue:
    """Means; padding counts as zeros where `count_include_pad` says so, what `ceil_mode` adds never counts."""
    found, x = _spans(call), call.tensor(0)
    counts = bool(call.integer("count_include_pad"))
    if counts and any(s.surplus or max(s.before, s.after) >= s.extent for s in found):
        before, after = ([0, 0, *(getattr(s, side) for s in found)] for side in ("before", "after"))
        if any((*before, *after)):
            x = call.add(nn.PadOp(x, before, after, layer=call.sub("padded")))
        found, counts = [replace(s, before=0, after=0) for s in found], False

    def pool(v: SSAValue, window: Window, layer: str) -> nn.LayerOp:
        return nn.AvgPoolOp(v, window=window, count_include_pad=counts, layer=layer)

    return _pooled(call, x, found, pool, call.layer)


@handles("LpPool")
def lp_pool(call: Call) -> SSAValue:
    """`(sum |x|^p)^(1/p)` over windows: powers, their mean times the size of a window, and the root."""
    found, x, p = _spans(call), call.tensor(0), call.integer("p", 2)

    def pool(v: SSAValue, window: Window, layer: str) -> nn.LayerOp:
        return nn.AvgPoolOp(v, window=window, count_include_pad=True, layer=layer)

    mean = _pooled(call, powers(call, x, p), found, pool, call.sub("mean"))
    size = call.add(nn.FillOp(float(prod(s.kernel for s in found)), element_type(mean)))
    total = call.add(nn.MulOp(mean, size, layer=call.layer if p == 1 else call.sub("sum")))
    return root(call, total, p)


def powers(call: Call, x: SSAValue, p: int) -> SSAValue:
    """`|x|^p`."""
    if p < 1:
        raise Unsupported(f"p is {p}", "p of at least 1")
    if p == 2:
        return call.add(nn.MulOp(x, x, layer=call.sub("squares")))
    size = call.add(nn.PointwiseOp("abs", [x], layer=call.sub("magnitudes")))
    if p == 1:
        return size
    exponent = call.add(nn.FillOp(float(p), element_type(x)))
    return call.add(nn.PointwiseOp("pow", [size, exponent], layer=call.sub("powers")))


def root(call: Call, x: SSAValue, p: int) -> SSAValue:
    """`x^(1/p)`, of numbers that are not negative."""
    if p == 1:
        return x
    if p == 2:
        return call.add(nn.PointwiseOp("sqrt", [x], layer=call.layer))
    return call.add(nn.PointwiseOp("pow", [x, call.add(nn.FillOp(1 / p, element_type(x)))], layer=call.layer))


def _everywhere(call: Call, pool: Callable[[SSAValue, str], nn.LayerOp]) -> SSAValue:
    """A pool over all places of signals, maps and volumes."""
    x = call.tensor(0)
    n, c, *places = shape_of(x)
    if len(places) in (1, 2):
        return call.add(pool(x, call.layer))
    if not places:
        raise Unsupported(f"{n}x{c} has no places to pool", "N x C x L, N x C x H x W and more axes")
    flat = reshaped(call, x, (c, prod(places)), call.sub("places"))
    return reshaped(call, call.add(pool(flat, call.sub("line"))), (c, *(1 for _ in places)), call.layer)


@handles("GlobalAveragePool")
def global_average_pool(call: Call) -> SSAValue:
    """Means over all places."""
    return _everywhere(call, lambda x, layer: nn.GlobalAvgPoolOp(x, layer=layer))


@handles("GlobalMaxPool")
def global_max_pool(call: Call) -> SSAValue:
    """Maxima over all places."""
    return _everywhere(call, lambda x, layer: nn.GlobalMaxPoolOp(x, layer=layer))


@handles("GlobalLpPool")
def global_lp_pool(call: Call) -> SSAValue:
    """`(sum |x|^p)^(1/p)` over all places."""
    x, p = call.tensor(0), call.integer("p", 2)
    _, c, *places = shape_of(x)
    flat = reshaped(call, powers(call, x, p), (c, prod(places)), call.sub("places"))
    mean = call.add(nn.GlobalAvgPoolOp(flat, layer=call.sub("mean")))
    size = call.add(nn.FillOp(float(prod(places)), element_type(mean)))
    total = call.add(nn.MulOp(mean, size, layer=call.sub("sum")))
    return root(call, reshaped(call, total, (c, *(1 for _ in places)), call.sub("total")), p)
