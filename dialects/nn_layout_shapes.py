"""Shape arithmetic of the ops of `nn` that move data: joining, cutting, reordering, padding and resizing.

The batch axis stays as it is in all of them: batches of any size run through a network. A broken rule raises
`ShapeError` with the numbers in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from hapir.dialects.nn_shapes import Shape, ShapeError, text


def concat(shapes: Sequence[Shape], axis: int) -> Shape:
    """Shapes equal but for `axis`, whose sizes add up."""
    if not shapes:
        raise ShapeError("concat needs at least one input")
    first = shapes[0]
    if not 0 < axis < len(first):
        raise ShapeError(f"axis {axis} is outside 1..{len(first) - 1}")
    for shape in shapes[1:]:
        if len(shape) != len(first) or any(
            i != axis and a != b for i, (a, b) in enumerate(zip(first, shape, strict=True))
        ):
            raise ShapeError(
                f"concat along axis {axis} needs shapes equal elsewhere, got {text(first)} and {text(shape)}"
            )
    return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])


def flatten(x: Shape) -> Shape:
    """x N ... -> N (product of the rest)."""
    if len(x) < 2:
        raise ShapeError(f"flatten needs at least two dimensions, got shape {text(x)}")
    size = 1
    for d in x[1:]:
        size *= d
    return (x[0], size)


def split(x: Shape, axis: int, sizes: Sequence[int]) -> list[Shape]:
    """x cut along `axis` into pieces of these sizes, which add up to the axis."""
    if not 0 < axis < len(x):
        raise ShapeError(f"axis {axis} is outside 1..{len(x) - 1}")
    if not sizes or min(sizes) < 1 or sum(sizes) != x[axis]:
        raise ShapeError(f"the sizes {list(sizes)} must be at least 1 and add up to the {x[axis]} of axis {axis}")
    return [(*x[:axis], size, *x[axis + 1 :]) for size in sizes]


def reshape(x: Shape, sizes: Sequence[int]) -> Shape:
    """x N ... -> N x `sizes`, the same elements in row-major order."""
    if not x or not sizes or min(sizes) < 1:
        raise ShapeError(f"reshape gives sizes of at least 1 behind the batch axis, got {list(sizes)} for {text(x)}")
    if prod(sizes) != prod(x[1:]):
        raise ShapeError(f"{text(x[1:])} has {prod(x[1:])} elements, {text(tuple(sizes))} has {prod(sizes)}")
    return (x[0], *sizes)


def transpose(x: Shape, axes: Sequence[int]) -> Shape:
    """Axis i of the result is axis `axes[i]` of x; the batch axis stays first."""
    if sorted(axes) != list(range(len(x))) or list(axes[:1]) != [0]:
        raise ShapeError(
            f"the axes of {text(x)} are a permutation of 0..{len(x) - 1} that starts with 0, not {list(axes)}"
        )
    return tuple(x[axis] for axis in axes)


def pad(x: Shape, before: Sequence[int], after: Sequence[int], mode: str) -> Shape:
    """x with so many elements before and after along each axis, none along the batch axis.

    `reflect` mirrors about the first and last element, so it needs a longer axis than it adds.
    """
    if not len(before) == len(after) == len(x):
        raise ShapeError(f"{text(x)} needs one padding per axis, got {list(before)} before and {list(after)} after")
    added = list(zip(x, before, after, strict=True))
    if min((*before, *after), default=0) < 0 or added[:1] != [(x[0], 0, 0)]:
        raise ShapeError(f"padding is not negative and leaves the batch axis, got {list(before)} and {list(after)}")
    if mode == "reflect":
        for axis, (size, first, last) in enumerate(added):
            if max(first, last) >= size:
                raise ShapeError(f"axis {axis} of size {size} cannot reflect {max(first, last)} elements")
    return tuple(first + size + last for size, first, last in added)


def resize(x: Shape, rows: int, columns: int) -> Shape:
    """x N C H W -> N C `rows` `columns`."""
    if len(x) != 4:
        raise ShapeError(f"resize needs a map N x C x H x W, got shape {text(x)}")
    if min(rows, columns) < 1:
        raise ShapeError(f"resize gives at least one row and column, got {rows}x{columns}")
    return (*x[:2], rows, columns)
