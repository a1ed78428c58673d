"""The window of convolutions and pools as an attribute of the IR.

Invariant: what it holds is a `Window` that passes its own check, and defaults are not printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.dialects.builtin import ArrayAttr, IntAttr
from xdsl.ir import Attribute, ParametrizedAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from hapir.dialects.nn_shapes import ShapeError, Window


@irdl_attr_definition
class WindowAttr(ParametrizedAttribute):
    """A sliding window: `<3x3, stride 2x2, pad 1 1 1 1, dilation 1x1>`; parts at their default are not printed."""

    name = "nn.window"
    kernel: ArrayAttr[IntAttr]
    stride: ArrayAttr[IntAttr]
    padding: ArrayAttr[IntAttr]
    dilation: ArrayAttr[IntAttr]

    @staticmethod
    def of(window: Window) -> WindowAttr:
        """The attribute for a plain `Window`."""
        return WindowAttr(
            *(
                ArrayAttr([IntAttr(v) for v in part])
                for part in (window.kernel, window.stride, window.padding, window.dilation)
            )
        )

    @property
    def window(self) -> Window:
        """The plain `Window`."""
        kernel, stride, padding, dilation = (
            tuple(v.data for v in part) for part in (self.kernel, self.stride, self.padding, self.dilation)
        )
        return Window(
            cast(tuple[int, int], kernel),
            cast(tuple[int, int], stride),
            cast(tuple[int, int, int, int], padding),
            cast(tuple[int, int], dilation),
        )

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        def pair() -> tuple[int, int]:
            dims = parser.parse_dimension_list()
            if len(dims) != 2:
                parser.raise_error("expected two sizes, like 3x3")
            return dims[0], dims[1]

        with parser.in_angle_brackets():
            window = Window(pair())
            stride, padding, dilation = window.stride, window.padding, window.dilation
            while parser.parse_optional_punctuation(","):
                if parser.parse_optional_keyword("stride"):
                    stride = pair()
                elif parser.parse_optional_keyword("pad"):
                    top, left, bottom, right = (parser.parse_integer() for _ in range(4))
                    padding = (top, left, bottom, right)
                else:
                    parser.parse_keyword("dilation")
                    dilation = pair()
        return WindowAttr.of(Window(window.kernel, stride, padding, dilation)).parameters

    def print_parameters(self, printer: Printer) -> None:
        window = self.window
        parts = ["{}x{}".format(*window.kernel)]
        if window.stride != (1, 1):
            parts.append("stride {}x{}".format(*window.stride))
        if window.padding != (0, 0, 0, 0):
            parts.append("pad {} {} {} {}".format(*window.padding))
        if window.dilation != (1, 1):
            parts.append("dilation {}x{}".format(*window.dilation))
        with printer.in_angle_brackets():
            printer.print_string(", ".join(parts))

    def verify(self) -> None:
        sizes = [len(p) for p in (self.kernel, self.stride, self.padding, self.dilation)]
        if sizes != [2, 2, 4, 2]:
            raise VerifyException("a window has 2 kernel, 2 stride, 4 padding and 2 dilation sizes")
        try:
            self.window.check()
        except ShapeError as error:
            raise VerifyException(str(error)) from error
