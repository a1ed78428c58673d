"""The op of the dialect `nn` that builds the rows of a matrix product from a map, and only those that are wanted.

Invariant: elements move, none is computed; the element type stays.
"""

from __future__ import annotations

from math import prod

from xdsl.dialects.builtin import IntegerType, TensorType, f32
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import base, irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from hapir.diagnostics import fail
from hapir.dialects import nn_shapes
from hapir.dialects.nn_op import LayerOp, activation_element, implied_shape, infer_result, layer_attr
from hapir.dialects.nn_shapes import Window, spread
from hapir.dialects.nn_window import WindowAttr
from hapir.dialects.num import element_type, shape_of

TAP_HELP = "a tap is (c * R + r) * S + s"


@irdl_op_definition
class GatherTapsOp(LayerOp):
    """Rows of im2col as channels: x N C H W and T taps give N T P Q; x may also be a sequence N C L or a vector N C.

    Tap `(c * R + r) * S + s` of a window R x S gives
    `y[n,t,p,q] = x[n, c, p*stride + r*dilation, q*stride + s*dilation]`.
    A convolution whose filters ignore the same taps is a 1x1 convolution of what is gathered: the matrix K x T, T
    of the C R S rows (Heidelberg thesis, section 6.4, L1336: column pruning). The window has no padding: `nn.pad`
    adds it.

    Example:
    `%y = nn.gather_taps %x, %taps window <3x3> layer "c1.taps" : (tensor<1x4x8x8xf32>, tensor<7xsi32>)
        -> tensor<1x7x6x6xf32>`
    """

    name = "nn.gather_taps"
    x = operand_def(base(TensorType))
    taps = operand_def(base(TensorType))
    window = prop_def(WindowAttr)
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = (
        "$x `,` $taps `window` $window (`layer` $layer^)? attr-dict `:` functional-type(operands, results)"
    )

    def __init__(self, x: SSAValue, taps: SSAValue, *, window: Window, layer: str | None = None):
        super().__init__(
            operands=[x, taps],
            result_types=[f32],
            properties={"window": WindowAttr.of(window), "layer": layer_attr(layer)},
        )
        infer_result(self)

    def check_taps(self, lowest: int, highest: int) -> None:
        """Raise HapirError (HAP0567) where stored taps are none of the window's."""
        known = spread(shape_of(self.x))[1] * prod(self.window.window.kernel)
        if lowest < 0 or highest >= known:
            fail("HAP0567", f"taps from {lowest} to {highest}, this window has {known}", at=self, help=TAP_HELP)

    def result_type(self) -> Attribute:
        element, index, window = activation_element(self, self.x), element_type(self.taps), self.window.window
        if not isinstance(index, IntegerType) or len(shape_of(self.taps)) != 1 or not shape_of(self.taps)[0]:
            raise VerifyException(f"taps are a list of integers, at least one, got {self.taps.type}")
        if any(window.padding):
            raise VerifyException("the window of nn.gather_taps has no padding: put an nn.pad before it")
        shape = implied_shape(lambda: nn_shapes.gathered(shape_of(self.x), shape_of(self.taps)[0], window))
        return TensorType(element, shape)
