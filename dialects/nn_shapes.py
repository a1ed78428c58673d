"""Shape arithmetic of the `nn` dialect: plain functions over tuples, no IR. `nn_layout_shapes` has what moves data.

Dimensions are the field's: N batch, K output channels, C input channels, H/W input, P/Q output, R/S kernel, G groups;
L is the length of a sequence of which a window takes S at once, T a number of time steps.
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


def as_map(x: Shape) -> Shape:
    """A sequence N C L as the map N C 1 L; any other shape as it is."""
    return (*x[:2], 1, x[2]) if len(x) == 3 else x


def spread(x: Shape) -> Shape:
    """A sequence N C L or a vector N C as a map with one row, and one column; any other shape as it is."""
    return (*x, 1, 1) if len(x) == 2 else as_map(x)


def _line(window: Window, what: str) -> None:
    """Raise ShapeError for a window over a sequence that has rows."""
    (r, _), (stride, _), (dilation, _) = window.kernel, window.stride, window.dilation
    top, _, bottom, _ = window.padding
    if (r, stride, dilation, top, bottom) != (1, 1, 1, 0, 0):
        raise ShapeError(f"{what} slides along one axis: its window has one row, stride 1 and no padding there")


def conv2d(x: Shape, w: Shape, bias: Shape | None, window: Window, groups: int) -> Shape:
    """x N C H W, w K C/G R S, bias K -> N K P Q."""
    n, c, h, width = _map(x, "conv2d")
    if len(w) != 4:
        raise ShapeError(f"conv2d weights need shape K x C/G x R x S, got {text(w)}")
    k, c_group, r, s = w
    _check_channels(c, k, c_group * groups, groups)
    if (r, s) != window.kernel:
        raise ShapeError(f"the weights are {r}x{s}, the window says {window.kernel[0]}x{window.kernel[1]}")
    _check_bias(bias, k)
    return (n, k, *window.output(h, width))


def conv1d(x: Shape, w: Shape, bias: Shape | None, window: Window, groups: int) -> Shape:
    """x N C L, w K C/G S, bias K -> N K Q; the window is 1 x S."""
    if len(x) != 3:
        raise ShapeError(f"conv1d needs a sequence N x C x L, got shape {text(x)}")
    if len(w) != 3:
        raise ShapeError(f"conv1d weights need shape K x C/G x S, got {text(w)}")
    _line(window, "conv1d")
    n, k, _, q = conv2d(as_map(x), as_map(w), bias, window, groups)
    return (n, k, q)


def transposed_conv2d(
    x: Shape, w: Shape, bias: Shape | None, window: Window, extra: tuple[int, int], groups: int
) -> Shape:
    """x N C H W, w C K/G R S, bias K -> N K P Q, P = (H - 1) * stride + extent - padding + extra rows at the bottom."""
    n, c, h, width = _map(x, "transposed_conv2d")
    if len(w) != 4:
        raise ShapeError(f"transposed_conv2d weights need shape C x K/G x R x S, got {text(w)}")
    _check_channels(c, w[1] * groups, w[0], groups)
    if w[2:] != window.kernel:
        raise ShapeError(f"the weights are {w[2]}x{w[3]}, the window says {window.kernel[0]}x{window.kernel[1]}")
    _check_bias(bias, w[1] * groups)
    window.check()
    steps = [max(pair) for pair in zip(window.stride, window.dilation, strict=True)]
    if not all(0 <= e < s for e, s in zip(extra, steps, strict=True)):
        limit = "stride" if window.dilation == (1, 1) else "stride or the dilation"
        raise ShapeError(f"the extra rows and columns {extra} must be below the {limit} {tuple(steps)}")
    top, left, bottom, right = window.padding
    cut = (top + bottom, left + right)
    p, q = ((size - 1) * window.stride[i] + window.extent[i] - cut[i] + extra[i] for i, size in enumerate((h, width)))
    if min(p, q) < 1:
        raise ShapeError(f"the padding {window.padding} cuts the whole map away: {p}x{q} would be left")
    return (n, w[1] * groups, p, q)


def transposed_conv1d(
    x: Shape, w: Shape, bias: Shape | None, window: Window, extra: tuple[int, int], groups: int
) -> Shape:
    """x N C L, w C K/G S, bias K -> N K Q; the window is 1 x S."""
    if len(x) != 3:
        raise ShapeError(f"transposed_conv1d needs a sequence N x C x L, got shape {text(x)}")
    if len(w) != 3:
        raise ShapeError(f"transposed_conv1d weights need shape C x K/G x S, got {text(w)}")
    _line(window, "transposed_conv1d")
    n, k, _, q = transposed_conv2d(as_map(x), as_map(w), bias, window, extra, groups)
    return (n, k, q)


def _check_channels(c: int, k: int, expected: int, groups: int) -> None:
    if groups < 1 or c % groups or k % groups:
        raise ShapeError(f"{groups} groups must divide both {c} input and {k} output channels")
    if c != expected:
        raise ShapeError(f"the input has {c} channels, the weights expect {expected}")


def _check_bias(bias: Shape | None, k: int) -> None:
    if bias is not None and bias != (k,):
        raise ShapeError(f"the bias has shape {text(bias)}, needs {k}")


def dense(x: Shape, w: Shape, bias: Shape | None) -> Shape:
    """x N C, w K C, bias K -> N K."""
    if len(x) != 2:
        raise ShapeError(f"dense needs a matrix N x C, got shape {text(x)}: flatten it first")
    return _rows(x, w, bias)


def linear(x: Shape, w: Shape, bias: Shape | None) -> Shape:
    """x N ... C, w K C, bias K -> N ... K; there is at least one axis between batch and features."""
    if len(x) < 3:
        raise ShapeError(f"linear needs steps N x T x C or more axes, got shape {text(x)}: dense takes a matrix N x C")
    return _rows(x, w, bias)


def _rows(x: Shape, w: Shape, bias: Shape | None) -> Shape:
    if len(w) != 2 or w[1] != x[-1]:
        raise ShapeError(f"the input has {x[-1]} features, the weights {text(w)} expect {w[-1] if w else 0}")
    _check_bias(bias, w[0])
    return (*x[:-1], w[0])


def matmul(a: Shape, b: Shape) -> Shape:
    """a ... M K, b ... K P -> ... M P: one product of matrices per index of the axes before the last two.

    Those axes are equal from the last one on, but where one is 1 or missing and repeats. A vector K is a row on the
    left and a column on the right, and its axis of size 1 is left out of the result.
    """
    if not a or not b:
        raise ShapeError(f"matmul needs two shapes ... x M x K and ... x K x P, got {text(a)} and {text(b)}")
    left, right = (1, *a) if len(a) == 1 else a, (*b, 1) if len(b) == 1 else b
    if left[-1] != right[-2]:
        raise ShapeError(f"the left matrices have {left[-1]} columns, the right ones {right[-2]} rows")
    axes: list[int] = []
    for i in range(max(len(left), len(right)) - 2, 0, -1):
        sizes = {shape[-2 - i] for shape in (left, right) if len(shape) >= 2 + i}
        if len(sizes - {1}) > 1:
            raise ShapeError(f"matmul needs equal axes before the last two, got {text(a)} and {text(b)}")
        axes.append(max(sizes))
    return (*axes, *left[-2:-1][len(a) == 1 :], *right[-1:][len(b) == 1 :])


def recurrent(x: Shape, w_input: Shape, w_hidden: Shape, biases: Sequence[Shape], gates: int) -> tuple[int, int, int]:
    """x N T C, weights gates*H x C and gates*H x H, no bias or two of gates*H -> (N, T, H)."""
    if len(x) != 3:
        raise ShapeError(f"a recurrent layer needs a sequence N x T x C, got shape {text(x)}")
    n, t, c = x
    if len(w_hidden) != 2 or w_hidden[0] != gates * w_hidden[1]:
        raise ShapeError(f"the hidden weights need shape {gates}H x H, got {text(w_hidden)}")
    h = w_hidden[1]
    if w_input != (gates * h, c):
        raise ShapeError(f"the input weights need shape {text((gates * h, c))}, got {text(w_input)}")
    if len(biases) not in (0, 2) or any(bias != (gates * h,) for bias in biases):
        given = " and ".join(map(text, biases))
        raise ShapeError(f"a recurrent layer takes no bias or two of shape {gates * h}, got {given}")
    return n, t, h


def recurrent_start(
    outputs: tuple[int, int, int],
    initial: Sequence[Shape],
    states: int,
    peephole: Shape | None,
    lengths: Shape | None,
) -> None:
    """Check what a recurrent layer of outputs N T H may have beside its weights.

    None or all of its states N H (or 1 H), peepholes 3H, lengths N.
    """
    n, _, h = outputs
    if len(initial) not in (0, states) or any(shape not in ((n, h), (1, h)) for shape in initial):
        count = "one initial state" if states == 1 else f"{states} initial states"
        given = " and ".join(map(text, initial))
        raise ShapeError(f"this layer takes none or {count} of shape {text((n, h))}, got {given}")
    if peephole not in (None, (3 * h,)):
        raise ShapeError(f"the peepholes need shape {3 * h}, got {text(peephole)}")
    if lengths not in (None, (n,)):
        raise ShapeError(f"the lengths need shape {n}, got {text(lengths)}")


def gathered(x: Shape, taps: int, window: Window) -> Shape:
    """x N C H W, N C L or N C -> N taps and the places of the window; a sequence and a vector have one row."""
    if not 2 <= len(x) <= 4:
        raise ShapeError(f"taps are gathered from a map, a sequence or a vector, got shape {text(x)}")
    n, _, h, w = spread(x)
    return (n, taps, *window.output(h, w)) if len(x) == 4 else (n, taps, window.output(h, w)[1])[: len(x)]


def pool(x: Shape, window: Window) -> Shape:
    """x N C H W -> N C P Q, or N C L -> N C Q with a window of one row.

    Each window holds an element of the map: none lies in the padding alone.
    """
    n, c, h, w = _map(as_map(x), "pooling")
    window.check()
    if len(x) == 3:
        _line(window, "pooling of a sequence")
    p, q = window.output(h, w)
    if any(_an_empty_one(window, axis, size, count) for axis, (size, count) in enumerate(((h, p), (w, q)))):
        raise ShapeError(
            f"padding {window.padding} must be smaller than the kernel {window.kernel}: a window would be empty"
        )
    return (n, c, q) if len(x) == 3 else (n, c, p, q)


def _an_empty_one(window: Window, axis: int, size: int, count: int) -> bool:
    """Whether one of `count` windows along an axis of `size` elements has all its taps in the padding."""
    stride, before, step = window.stride[axis], window.padding[axis], window.dilation[axis]
    if (count - 1) * stride - before >= size:
        return True
    for start in range(-before, 0, stride)[:count]:
        taps = -(start // step)  # that lie before the map
        if taps >= window.kernel[axis] or start + taps * step >= size:
            return True
    return False


def global_pool(x: Shape) -> Shape:
    """x N C H W -> N C 1 1, or N C L -> N C 1."""
    n, c, _, _ = _map(as_map(x), "global pooling")
    return (n, c, 1, 1)[: len(x)]


def same(a: Shape, b: Shape, what: str) -> Shape:
    """Both shapes, which must be equal."""
    if a != b:
        raise ShapeError(f"{what} needs equal shapes, got {text(a)} and {text(b)}")
    return a


def broadcast_all(shapes: Sequence[Shape], what: str) -> Shape:
    """Shapes that repeat to fit each other, as numpy broadcasts them: axes are equal or of size 1, counted from the
    last; leading ones may be missing.
    """
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    sizes = [{size for size in axis if size != 1} for axis in zip(*padded, strict=True)]
    if any(len(different) > 1 for different in sizes):
        shown = " and ".join(map(text, shapes))
        raise ShapeError(f"{what} needs equal shapes, or axes of size 1 that repeat, got {shown}")
    return tuple(next(iter(different), 1) for different in sizes)


def per_channel(x: Shape, parameters: Sequence[Shape], what: str) -> Shape:
    """x N C ..., each parameter of shape C."""
    if len(x) < 2:
        raise ShapeError(f"{what} needs a channel dimension, got shape {text(x)}")
    for p in parameters:
        if p != (x[1],):
            raise ShapeError(f"{what} over {x[1]} channels got a parameter of shape {text(p)}")
    return x


def grouped(x: Shape, parameters: Sequence[Shape], groups: int, what: str) -> Shape:
    """x N C ..., whose channels fall into groups, each parameter of shape C."""
    per_channel(x, parameters, what)
    if groups < 1 or x[1] % groups:
        raise ShapeError(f"{groups} groups must divide {x[1]} channels")
    return x


def from_axis(x: Shape, parameters: Sequence[Shape], axis: int, what: str) -> Shape:
    """x, and parameters of the shape of its axes from `axis` on."""
    if not 0 <= axis < len(x):
        raise ShapeError(f"{what} of shape {text(x)} starts at an axis of 0..{len(x) - 1}, not {axis}")
    for p in parameters:
        if p != x[axis:]:
            raise ShapeError(f"{what} over {text(x[axis:])} got a parameter of shape {text(p)}")
    return x
