"""Shape arithmetic of the `nn` dialect: plain functions over tuples, no IR.

Dimensions are the field's: N batch, K output channels, C input channels, H/W input, P/Q output, R/S kernel, G groups.
A broken rule raises `ShapeError` with the numbers in it; verifiers and the spec checker turn it into their message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Shape = tuple[int, ...]


class ShapeError(ValueError):
    """Shapes or window parameters that do not fit together."""


@dataclass(frozen=True)
class Window:
    """A sliding window in two dimensions, all pairs (vertical, horizontal); padding is top, left, bottom, right."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def check(self) -> None:
        """Raise ShapeError where a parameter is out of range."""
        if min(self.kernel) < 1 or min(self.stride) < 1 or min(self.dilation) < 1:
            raise ShapeError(
                f"kernel, stride and dilation must be at least 1, got kernel {self.kernel}, stride {self.stride}, "
                f"dilation {self.dilation}"
            )
        if min(self.padding) < 0:
            raise ShapeError(f"padding must not be negative, got {self.padding}")

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns that the dilated kernel spans."""
        (r, s), (dr, ds) = self.kernel, self.dilation
        return (r - 1) * dr + 1, (s - 1) * ds + 1

    def output(self, height: int, width: int) -> tuple[int, int]:
        """(P, Q) for an H x W map. Raises ShapeError where the window does not fit."""
        self.check()
        top, left, bottom, right = self.padding
        padded = (height + top + bottom, width + left + right)
        if padded[0] < self.extent[0] or padded[1] < self.extent[1]:
            raise ShapeError(
                f"the window spans {self.extent[0]}x{self.extent[1]} but the padded map is only {padded[0]}x{padded[1]}"
            )
        p, q = ((padded[i] - self.extent[i]) // self.stride[i] + 1 for i in (0, 1))
        return p, q


def _map(x: Shape, what: str) -> tuple[int, int, int, int]:
    if len(x) != 4:
        raise ShapeError(f"{what} needs a map N x C x H x W, got shape {text(x)}")
    n, c, h, w = x
    return n, c, h, w


def text(shape: Sequence[int]) -> str:
    """A shape as `1x3x8x8`."""
    return "x".join(str(d) for d in shape) or "scalar"


def conv2d(x: Shape, w: Shape, bias: Shape | None, window: Window, groups: int) -> Shape:
    """x N C H W, w K C/G R S, bias K -> N K P Q."""
    n, c, h, width = _map(x, "conv2d")
    if len(w) != 4:
        raise ShapeError(f"conv2d weights need shape K x C/G x R x S, got {text(w)}")
    k, c_group, r, s = w
    if groups < 1 or c % groups or k % groups:
        raise ShapeError(f"{groups} groups must divide both {c} input and {k} output channels")
    if c_group * groups != c:
        raise ShapeError(f"the input has {c} channels, the weights expect {c_group * groups}")
    if (r, s) != window.kernel:
        raise ShapeError(f"the weights are {r}x{s}, the window says {window.kernel[0]}x{window.kernel[1]}")
    if bias is not None and bias != (k,):
        raise ShapeError(f"the bias has shape {text(bias)}, needs {k}")
    return (n, k, *window.output(h, width))


def dense(x: Shape, w: Shape, bias: Shape | None) -> Shape:
    """x N C, w K C, bias K -> N K."""
    if len(x) != 2:
        raise ShapeError(f"dense needs a matrix N x C, got shape {text(x)}: flatten it first")
    if len(w) != 2 or w[1] != x[1]:
        raise ShapeError(f"the input has {x[1]} features, the weights {text(w)} expect {w[-1] if w else 0}")
    if bias is not None and bias != (w[0],):
        raise ShapeError(f"the bias has shape {text(bias)}, needs {w[0]}")
    return (x[0], w[0])


def pool(x: Shape, window: Window) -> Shape:
    """x N C H W -> N C P Q. Padding must be smaller than the kernel, so that no window is empty."""
    n, c, h, w = _map(x, "pooling")
    window.check()
    if window.dilation != (1, 1):
        raise ShapeError("pooling windows are not dilated")
    top, left, bottom, right = window.padding
    if max(top, bottom) >= window.kernel[0] or max(left, right) >= window.kernel[1]:
        raise ShapeError(
            f"padding {window.padding} must be smaller than the kernel {window.kernel}: a window would be empty"
        )
    return (n, c, *window.output(h, w))


def global_pool(x: Shape) -> Shape:
    """x N C H W -> N C 1 1."""
    n, c, _, _ = _map(x, "global pooling")
    return (n, c, 1, 1)


def same(a: Shape, b: Shape, what: str) -> Shape:
    """Both shapes, which must be equal."""
    if a != b:
        raise ShapeError(f"{what} needs equal shapes, got {text(a)} and {text(b)}")
    return a


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


def per_channel(x: Shape, parameters: Sequence[Shape], what: str) -> Shape:
    """x N C ..., each parameter of shape C."""
    if len(x) < 2:
        raise ShapeError(f"{what} needs a channel dimension, got shape {text(x)}")
    for p in parameters:
        if p != (x[1],):
            raise ShapeError(f"{what} over {x[1]} channels got a parameter of shape {text(p)}")
    return x


def argmax(x: Shape) -> Shape:
    """x N C -> N: the index of the largest value along axis 1; the lowest index wins a tie."""
    if len(x) != 2:
        raise ShapeError(f"argmax needs a matrix N x C, got shape {text(x)}")
    return (x[0],)


def softmax(x: Shape) -> Shape:
    """x N C -> N C, along axis 1."""
    if len(x) != 2:
        raise ShapeError(f"softmax needs a matrix N x C, got shape {text(x)}")
    return x
