"""Operators that move data: joining, cutting, padding, reshaping, reordering and repeating.

Shapes, slices and paddings are constant. An operator that changes nothing leaves no layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.num import shape_of
from hapir.importers.onnx.nodes import Call, Unsupported, axis_in, handles, scalar

EMPTY = "tensors of at least one element"


def constant_integers(call: Call, index: int, name: str) -> list[int]:
    """A list that an input gives, or in older versions the attribute of this name."""
    if call.has(index):
        found = call.constant(index)
        if found.dtype.kind not in "iu":
            raise Unsupported(f"input {index} holds {found.dtype}", "integers")
        return [int(v) for v in found.reshape(-1)]
    return call.integers(name)


# --- joining and cutting ----------------------------------------------------------------------------------------------


@handles("Concat")
def concat(call: Call) -> SSAValue:
    """Tensors joined along an axis."""
    values = call.tensors()
    if not values:
        raise Unsupported("there is nothing to join")
    axis = axis_in(call.integer("axis"), len(shape_of(values[0])))
    return call.add(nn.ConcatOp(values, axis=axis, layer=call.layer))


@handles("Split")
def split(call: Call) -> Sequence[SSAValue]:
    """Pieces of given sizes, else equal ones, of which the last may be smaller."""
    shape = call.shape(0)
    axis = axis_in(call.integer("axis"), len(shape))
    pieces = constant_integers(call, 1, "split")
    if not pieces:
        count = len(call.node.outputs)
        if call.integer("num_outputs", count) != count or not count:
            raise Unsupported(f"{count} outputs are not those that `num_outputs` says")
        size = -(-shape[axis] // count)
        pieces = [min(size, shape[axis] - i * size) for i in range(count)]
    if min(pieces) < 1:
        raise Unsupported(f"the pieces {pieces} are not all filled", EMPTY)
    return call.add_all(nn.SplitOp(call.tensor(0), pieces, axis=axis, layer=call.layer))


@handles("Slice")
def slice_(call: Call) -> SSAValue:
    """Starts and ends count from the end below 0, and stop at the ends."""
    shape = call.shape(0)
    starts, ends = constant_integers(call, 1, "starts"), constant_integers(call, 2, "ends")
    axes = constant_integers(call, 3, "axes") or list(range(len(starts)))
    steps = constant_integers(call, 4, "steps") or [1] * len(starts)
    cuts = [(0, size, 1) for size in shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = axis_in(axis, len(shape))
        if step == 0:
            raise Unsupported("a step is 0")
        taken = range(*slice(start, end, step).indices(shape[axis]))
        cuts[axis] = taken.start, len(taken), step
    return cut(call, call.tensor(0), cuts, call.layer)


def cut(call: Call, x: SSAValue, cuts: Sequence[tuple[int, int, int]], layer: str) -> SSAValue:
    """x from a start, so many elements, in steps along each axis; x itself where that is all."""
    if all(found == (0, size, 1) for found, size in zip(cuts, shape_of(x), strict=True)):
        return x
    if any(size == 0 for _, size, _ in cuts):
        raise Unsupported("the slice is empty", EMPTY)
    # the step to no further element may be anything
    starts, sizes, steps = zip(*((start, size, step if size > 1 else 1) for start, size, step in cuts), strict=True)
    return call.add(nn.SliceOp(x, starts, sizes, steps, layer=layer))


@handles("CenterCropPad")
def center_crop_pad(call: Call) -> SSAValue:
    """Cut or padded with zeros about the centre to a given shape."""
    shape = call.shape(0)
    axes = [axis_in(a, len(shape)) for a in call.integers("axes", range(len(shape)))]
    wanted = dict(zip(axes, constant_integers(call, 1, ""), strict=True))
    cuts, before, after = list[tuple[int, int, int]](), list[int](), list[int]()
    for axis, size in enumerate(shape):
        new = wanted.get(axis, size)
        cuts.append(((size - new) // 2 if new < size else 0, min(size, new), 1))
        before.append(max(0, new - size) // 2)
        after.append(max(0, new - size) - before[-1])
    return padded(call, cuts, before, after, nn.PadMode.constant, 0.0)


# --- padding ----------------------------------------------------------------------------------------------------------


@handles("Pad")
def pad(call: Call) -> SSAValue:
    """Negative paddings cut."""
    shape, mode = call.shape(0), call.word("mode", "constant")
    if mode not in nn.PadMode.__members__:
        raise Unsupported(f"the mode is `{mode}`", "constant, edge, reflect or wrap")
    pads = constant_integers(call, 1, "pads")
    axes = [axis_in(a, len(shape)) for a in constant_integers(call, 3, "")] if call.has(3) else range(len(shape))
    if len(pads) != 2 * len(axes):
        raise Unsupported(f"{len(pads)} paddings are not those of {len(axes)} axes")
    value = float(scalar(call.constant(2))) if call.has(2) else call.real("value")
    before, after = [0] * len(shape), [0] * len(shape)
    for axis, first, last in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        before[axis], after[axis] = first, last
    cuts = [
        (max(0, -first), max(0, size - max(0, -first) - max(0, -last)), 1)
        for size, first, last in zip(shape, before, after, strict=True)
    ]
    before, after = [max(0, p) for p in before], [max(0, p) for p in after]
    return padded(call, cuts, before, after, nn.PadMode[mode], value)


def padded(
    call: Call,
    cuts: Sequence[tuple[int, int, int]],
    before: Sequence[int],
    after: Sequence[int],
    mode: nn.PadMode,
    value: float,
) -> SSAValue:
    """What is cut out of the first input, with elements around it."""
    x = call.tensor(0)
    if not any((*before, *after)):
        return cut(call, x, cuts, call.layer)
    x = cut(call, x, cuts, call.sub("crop"))
    return call.add(nn.PadOp(x, before, after, mode=mode, value=value, layer=call.layer))


# --- shapes -----------------------------------------------------------------------------------------------------------


def reshaped(call: Call, x: SSAValue, shape: Sequence[int], layer: str) -> SSAValue:
    """x of another shape; x itself where it has that. What keeps axis 0 is written so, for batches of any size."""
    old = shape_of(x)
    if tuple(shape) == old:
        return x
    keeps = bool(old) and bool(shape) and shape[0] == old[0]
    return call.add(nn.ReshapeOp(x, shape[1:] if keeps else shape, axis=int(keeps), layer=layer))


@handles("Reshape")
def reshape(call: Call) -> SSAValue:
    """0 keeps a size, -1 is what is left."""
    old, wanted = call.shape(0), constant_integers(call, 1, "shape")
    if not call.integer("allowzero"):
        if any(size == 0 and axis >= len(old) for axis, size in enumerate(wanted)):
            raise Unsupported(f"the shape {wanted} keeps an axis that {list(old)} has not")
        wanted = [size or old[axis] for axis, size in enumerate(wanted)]
    if wanted.count(-1) > 1 or min(wanted, default=0) < -1:
        raise Unsupported(f"the shape {wanted} leaves more than one size open")
    known = prod(size for size in wanted if size != -1)
    if -1 in wanted and (known == 0 or prod(old) % known):
        raise Unsupported(f"{list(old)} does not divide into {wanted}")
    return reshaped(call, call.tensor(0), [prod(old) // known if s == -1 else s for s in wanted], call.layer)


@handles("Flatten")
def flatten(call: Call) -> SSAValue:
    """Two axes: those before `axis`, and the others."""
    shape, axis = call.shape(0), call.integer("axis", 1)
    axis = len(shape) if axis == len(shape) else axis_in(axis, len(shape))
    if axis == 1 and len(shape) > 2:
        return call.add(nn.FlattenOp(call.tensor(0), layer=call.layer))
    return reshaped(call, call.tensor(0), [prod(shape[:axis]), prod(shape[axis:])], call.layer)


@handles("Squeeze")
def squeeze(call: Call) -> SSAValue:
    """Axes of size 1 leave: those that are named, else all."""
    shape = call.shape(0)
    named = call.has(1) or call.attribute("axes") is not None
    gone = {axis_in(a, len(shape)) for a in constant_integers(call, 1, "axes")}
    if not named:
        gone = {axis for axis, size in enumerate(shape) if size == 1}
    if any(shape[axis] != 1 for axis in gone):
        raise Unsupported(f"the axes {sorted(gone)} of {list(shape)} are not all of size 1")
    return reshaped(call, call.tensor(0), [s for a, s in enumerate(shape) if a not in gone], call.layer)


@handles("Unsqueeze")
def unsqueeze(call: Call) -> SSAValue:
    """Axes of size 1 at the given places of the result."""
    shape, axes = call.shape(0), constant_integers(call, 1, "axes")
    rank = len(shape) + len(axes)
    new = {axis_in(a, rank) for a in axes}
    if len(new) < len(axes):
        raise Unsupported(f"the axes {axes} name one twice")
    sizes = iter(shape)
    return reshaped(call, call.tensor(0), [1 if a in new else next(sizes) for a in range(rank)], call.layer)


@handles("Transpose")
def transpose(call: Call) -> SSAValue:
    """Without an order the axes come the other way round."""
    shape = call.shape(0)
    axes = [axis_in(a, len(shape)) for a in call.integers("perm", range(len(shape))[::-1])]
    return transposed(call, call.tensor(0), axes, call.layer)


def transposed(call: Call, x: SSAValue, axes: Sequence[int], layer: str) -> SSAValue:
    """The axes of x in another order; x itself where it is the same."""
    if list(axes) == list(range(len(axes))):
        return x
    return call.add(nn.TransposeOp(x, axes, layer=layer))


@handles("DepthToSpace")
def depth_to_space(call: Call) -> SSAValue:
    """Channels become blocks of pixels: in the mode DCR they are ordered by place in the block, then channel; in CRD
    by channel first.
    """
    n, c, h, w = _map(call)
    b, mode = call.integer("blocksize"), call.word("mode", "DCR")
    if b < 1 or c % (b * b) or mode not in ("DCR", "CRD"):
        raise Unsupported(f"{c} channels do not become blocks of {b} x {b} in the mode `{mode}`")
    inner, axes = (
        ((b, b, c // b // b), (0, 3, 4, 1, 5, 2)) if mode == "DCR" else ((c // b // b, b, b), (0, 1, 4, 2, 5, 3))
    )
    cut = reshaped(call, call.tensor(0), (n, *inner, h, w), call.sub("cut"))
    turned = transposed(call, cut, axes, call.sub("turned"))
    return reshaped(call, turned, (n, c // b // b, h * b, w * b), call.layer)


@handles("SpaceToDepth")
def space_to_depth(call: Call) -> SSAValue:
    """Blocks of pixels become channels, in the orders of `depth_to_space`."""
    n, c, h, w = _map(call)
    b, mode = call.integer("blocksize"), call.word("mode", "DCR")
    if b < 1 or h % b or w % b or mode not in ("DCR", "CRD"):
        raise Unsupported(f"a map of {h} x {w} does not become channels by blocks of {b} x {b} in the mode `{mode}`")
    cut = reshaped(call, call.tensor(0), (n, c, h // b, b, w // b, b), call.sub("cut"))
    axes = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    turned = transposed(call, cut, axes, call.sub("turned"))
    return reshaped(call, turned, (n, c * b * b, h // b, w // b), call.layer)


def _map(call: Call) -> tuple[int, int, int, int]:
    shape = call.shape(0)
    if len(shape) != 4:
        raise Unsupported(f"a map has four axes, got {list(shape)}")
    n, c, h, w = shape
    return n, c, h, w


# --- repeating --------------------------------------------------------------------------------------------------------


@handles("Expand")
def expand(call: Call) -> SSAValue:
    """Axes of size 1 repeat, and new ones stand before the first."""
    old, wanted = call.shape(0), tuple(constant_integers(call, 1, "shape"))
    if 0 in wanted:
        raise Unsupported("the result is empty", EMPTY)
    try:
        shape = np.broadcast_shapes(old, wanted)
    except ValueError:
        raise Unsupported(f"{list(old)} does not repeat to {list(wanted)}") from None
    x = reshaped(call, call.tensor(0), (*[1] * (len(shape) - len(old)), *old), call.sub("axes"))
    return tiled(call, x, [new // size for new, size in zip(shape, shape_of(x), strict=True)])


@handles("Tile")
def tile(call: Call) -> SSAValue:
    """So often along each axis."""
    repeats = constant_integers(call, 1, "repeats")
    if 0 in repeats:
        raise Unsupported("the result is empty", EMPTY)
    return tiled(call, call.tensor(0), repeats)


def tiled(call: Call, x: SSAValue, repeats: Sequence[int]) -> SSAValue:
    """x so often along each axis; x itself where that is once."""
    if all(times == 1 for times in repeats):
        return x
    return call.add(nn.TileOp(x, repeats, layer=call.layer))
