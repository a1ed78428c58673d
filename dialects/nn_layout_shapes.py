"""Shape arithmetic of the ops of `nn` that move data: joining, cutting, reordering, padding and resizing.

Any axis takes part, axis 0 included. A broken rule raises `ShapeError` with the numbers in it.
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
    _check_axis(axis, first)
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
    _check_axis(axis, x)
    if not sizes or min(sizes) < 1 or sum(sizes) != x[axis]:
        raise ShapeError(f"the sizes {list(sizes)} must be at least 1 and add up to the {x[axis]} of axis {axis}")
    return [(*x[:axis], size, *x[axis + 1 :]) for size in sizes]


def reshape(x: Shape, sizes: Sequence[int], axis: int) -> Shape:
    """The axes of x from `axis` on become `sizes`, the same elements in row-major order."""
    if not 0 <= axis <= len(x):
        raise ShapeError(f"reshape of {text(x)} starts at an axis of 0..{len(x)}, not {axis}")
    if min(sizes, default=1) < 1:
        raise ShapeError(f"reshape gives sizes of at least 1, got {list(sizes)} for {text(x)}")
    if prod(sizes) != prod(x[axis:]):
        raise ShapeError(f"{text(x[axis:])} has {prod(x[axis:])} elements, {text(tuple(sizes))} has {prod(sizes)}")
    return (*x[:axis], *sizes)


def transpose(x: Shape, axes: Sequence[int]) -> Shape:
    """Axis i of the result is axis `axes[i]` of x."""
    if sorted(axes) != list(range(len(x))):
        raise ShapeError(f"the axes of {text(x)} are a permutation of 0..{len(x) - 1}, not {list(axes)}")
    return tuple(x[axis] for axis in axes)


def pad(x: Shape, before: Sequence[int], after: Sequence[int], mode: str) -> Shape:
    """x with so many elements before and after along each axis.

    `reflect` mirrors about the first and last element, so it needs a longer axis than it adds.
    """
    if not len(before) == len(after) == len(x):
        raise ShapeError(f"{text(x)} needs one padding per axis, got {list(before)} before and {list(after)} after")
    if min((*before, *after), default=0) < 0:
        raise ShapeError(f"padding is not negative, got {list(before)} and {list(after)}")
    added = list(zip(x, before, after, strict=True))
    if mode == "reflect":
        for axis, (size, first, last) in enumerate(added):
            if max(first, last) >= size:
                raise ShapeError(f"axis {axis} of size {size} cannot reflect {max(first, last)} elements")
    return tuple(first + size + last for size, first, last in added)


def cut(x: Shape, starts: Sequence[int], sizes: Sequence[int], steps: Sequence[int]) -> Shape:
    """Along each axis so many elements of x from a start on, in steps that may be negative."""
    if not len(starts) == len(sizes) == len(steps) == len(x):
        raise ShapeError(
            f"{text(x)} needs one start, size and step per axis, got {list(starts)}, {list(sizes)} and {list(steps)}"
        )
    for axis, (whole, start, size, step) in enumerate(zip(x, starts, sizes, steps, strict=True)):
        if size < 1 or step == 0:
            raise ShapeError(f"a slice has a size of at least 1 and a step that is not 0, got {size} and {step}")
        last = start + (size - 1) * step
        if not (0 <= start < whole and 0 <= last < whole):
            raise ShapeError(f"a slice from {start} to {last} leaves axis {axis} of size {whole}")
    return tuple(sizes)


def tile(x: Shape, repeats: Sequence[int]) -> Shape:
    """x so many times along each axis."""
    if len(repeats) != len(x) or min(repeats, default=1) < 1:
        raise ShapeError(f"{text(x)} needs one number of repeats per axis, each at least 1, got {list(repeats)}")
    return tuple(size * times for size, times in zip(x, repeats, strict=True))


def gather(x: Shape, indices: Shape, axis: int) -> Shape:
    """x with the axes of the indices in the place of `axis`."""
    _check_axis(axis, x)
    return (*x[:axis], *indices, *x[axis + 1 :])


def resample(x: Shape, axes: Sequence[int], sizes: Sequence[int]) -> Shape:
    """x with these sizes along these axes."""
    if len(sizes) != len(axes) or not axes or len(set(axes)) < len(axes):
        raise ShapeError(f"resample needs one size for each of its axes, got {list(sizes)} for {list(axes)}")
    for axis in axes:
        _check_axis(axis, x)
    if min(sizes) < 1:
        raise ShapeError(f"resample gives sizes of at least 1, got {list(sizes)}")
    new = dict(zip(axes, sizes, strict=True))
    return tuple(new.get(axis, size) for axis, size in enumerate(x))


def resize(x: Shape, rows: int, columns: int) -> Shape:
    """x N C H W -> N C `rows` `columns`."""
    if len(x) != 4:
        raise ShapeError(f"resize needs a map N x C x H x W, got shape {text(x)}")
    if min(rows, columns) < 1:
        raise ShapeError(f"resize gives at least one row and column, got {rows}x{columns}")
    return (*x[:2], rows, columns)


def _check_axis(axis: int, x: Shape) -> None:
    if not x:
        raise ShapeError("a scalar has no axis")
    if not 0 <= axis < len(x):
        raise ShapeError(f"axis {axis} is outside 0..{len(x) - 1}")
