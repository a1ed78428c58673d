"""How ONNX says where windows lie: kernel, strides, dilations, and padding given, derived or rounded up.

Plain numbers per axis; the rules are those of the operators' pages (Conv, ConvTranspose, MaxPool, AveragePool).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hapir.dialects.nn_shapes import Window
from hapir.importers.onnx.nodes import Call, Unsupported


@dataclass(frozen=True)
class Span:
    """A window along one axis. `surplus` is what the last window reaches past the padded axis (`ceil_mode`)."""

    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    surplus: int = 0

    @property
    def extent(self) -> int:
        """Places from the first tap to the last."""
        return (self.kernel - 1) * self.dilation + 1


def spans(call: Call, kernel: Sequence[int]) -> list[Span]:
    """Kernel, strides and dilations per axis, without padding."""
    rank = len(kernel)
    strides, dilations = (_per_axis(call, name, rank, [1] * rank) for name in ("strides", "dilations"))
    return [Span(k, s, d) for k, s, d in zip(kernel, strides, dilations, strict=True)]


def windows(call: Call, sizes: Sequence[int], kernel: Sequence[int]) -> list[Span]:
    """The windows of a convolution or pool over axes of these sizes."""
    found = spans(call, kernel)
    match call.word("auto_pad", "NOTSET"):
        case "NOTSET" | "":
            pads = _pads(call, len(found))
            padded = [replace(s, before=b, after=a) for s, (b, a) in zip(found, pads, strict=True)]
            return (
                [_rounded_up(s, n) for s, n in zip(padded, sizes, strict=True)] if call.integer("ceil_mode") else padded
            )
        case "VALID":
            return (
                [_rounded_up(s, n) for s, n in zip(found, sizes, strict=True)] if call.integer("ceil_mode") else found
            )
        case "SAME_UPPER" | "SAME_LOWER" as rule:
            return [_same(s, n, rule == "SAME_LOWER") for s, n in zip(found, sizes, strict=True)]
        case other:
            raise Unsupported(f"auto_pad is `{other}`", "NOTSET, VALID, SAME_UPPER or SAME_LOWER")


def _same(span: Span, size: int, lower: bool) -> Span:
    """As many windows as strides fit; what cannot be halved goes to the end, or to the front where `lower`."""
    count = -(-size // span.stride)
    total = max((count - 1) * span.stride + span.extent - size, 0)
    before = total - total // 2 if lower else total // 2
    return replace(span, before=before, after=total - before)


def _rounded_up(span: Span, size: int) -> Span:
    """One more window where the last one does not end with the axis, unless it would start behind all elements."""
    beyond = size + span.before + span.after - span.extent
    count = -(-beyond // span.stride) + 1
    if (count - 1) * span.stride >= size + span.before:
        count -= 1
    return replace(span, surplus=max(0, (count - 1) * span.stride - beyond))


def transposed_windows(call: Call, sizes: Sequence[int], kernel: Sequence[int]) -> tuple[list[Span], list[int]]:
    """The windows of a transposed convolution, and how many places it adds at the end of each axis."""
    found, rank = spans(call, kernel), len(kernel)
    extra = _per_axis(call, "output_padding", rank, [0] * rank)
    wanted = call.integers("output_shape")[-rank:]
    rule = call.word("auto_pad", "NOTSET")
    if rule in ("NOTSET", "", "VALID") and not wanted:
        pads = _pads(call, rank) if rule != "VALID" else [(0, 0)] * rank
        return [replace(s, before=b, after=a) for s, (b, a) in zip(found, pads, strict=True)], extra
    wanted = wanted or [size * span.stride for size, span in zip(sizes, found, strict=True)]
    for axis, (span, size) in enumerate(zip(found, sizes, strict=True)):
        total = span.stride * (size - 1) + extra[axis] + span.extent - wanted[axis]
        extra[axis] += max(0, -total)
        total = max(0, total)
        before = total // 2 if rule == "SAME_UPPER" else total - total // 2
        found[axis] = replace(span, before=before, after=total - before)
    return found, extra


def window_of(found: Sequence[Span], *, surplus: bool = True) -> Window:
    """One or two axes as a window; one axis is a row. What windows reach beyond counts as padding with `surplus`."""
    lines = [Span(1), *found] if len(found) == 1 else list(found)
    before = [s.before for s in lines]
    after = [s.after + (s.surplus if surplus else 0) for s in lines]
    kernel, stride, dilation = ([getattr(s, name) for s in lines] for name in ("kernel", "stride", "dilation"))
    return Window(
        (kernel[0], kernel[1]),
        (stride[0], stride[1]),
        (before[0], before[1], after[0], after[1]),
        (dilation[0], dilation[1]),
    )


def _pads(call: Call, rank: int) -> list[tuple[int, int]]:
    """What is added before and after each axis."""
    pads = _per_axis(call, "pads", 2 * rank, [0] * 2 * rank)
    if min(pads, default=0) < 0:
        raise Unsupported(f"the padding {pads} cuts the input", "padding of 0 or more")
    return list(zip(pads[:rank], pads[rank:], strict=True))


def _per_axis(call: Call, name: str, count: int, default: list[int]) -> list[int]:
    values = call.integers(name, default)
    if len(values) != count:
        raise Unsupported(f"`{name}` has {len(values)} numbers, {count} are needed")
    return values
