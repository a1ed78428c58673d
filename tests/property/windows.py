"""Random windows of convolutions and pools."""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import strategies as st

from hapir.dialects.nn_shapes import Window

WINDOW_FEATURES = frozenset(("stride", "padding", "dilation"))
"""What a window may have beside its kernel."""


@st.composite
def windows(
    draw: st.DrawFn, height: int, width: int, allow: Collection[str] = WINDOW_FEATURES, *, pooling: bool = False
) -> Window:
    """A window that fits an H x W map; for pooling without dilation and with padding smaller than the kernel."""

    def axis(size: int) -> tuple[int, int, int, int, int]:
        dilation = 1 if pooling or "dilation" not in allow else draw(st.sampled_from((1, 1, 1, 2, 3)))
        kernel = draw(st.integers(1, 5))
        limit = (kernel - 1 if pooling else min(2, (kernel - 1) * dilation)) if "padding" in allow else 0
        before, after = (draw(st.integers(0, min(2, limit))) for _ in range(2))
        while (kernel - 1) * dilation + 1 > size + before + after:
            kernel, dilation = (kernel, dilation - 1) if dilation > 1 else (kernel - 1, 1)
        if pooling:
            before, after = min(before, kernel - 1), min(after, kernel - 1)
        stride = draw(st.integers(1, 3)) if "stride" in allow else 1
        return kernel, stride, before, after, dilation

    (r, sr, top, bottom, dr), (s, ss, left, right, ds) = axis(height), axis(width)
    return Window((r, s), (sr, ss), (top, left, bottom, right), (dr, ds))


def row_of(window: Window) -> Window:
    """The columns of a window: what slides along a sequence."""
    (_, s), (_, stride), (_, dilation) = window.kernel, window.stride, window.dilation
    _, left, _, right = window.padding
    return Window((1, s), (1, stride), (0, left, 0, right), (1, dilation))
