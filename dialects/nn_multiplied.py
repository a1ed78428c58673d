"""Layers whose products a model of a multiplier may take the place of.

Without the property `multiplier` products are exact. With it, the op gives
`bias + sum(multiply(q, w) - zero_point * w)` over the integers as they are stored, and padding holds the zero point:
what hardware computes that multiplies raw bytes and folds the zero point into the bias.
"""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerType, StringAttr
from xdsl.irdl import ParsePropInAttrDict, opt_prop_def
from xdsl.utils.exceptions import VerifyException

from hapir.dialects.nn_op import LayerOp
from hapir.dialects.num import element_type, storage_of

WIDEST_OPERAND = 8
"""Bits of an operand that a multiplier model takes."""


class MultipliedOp(LayerOp):
    """Sums of products of the first two operands, activations and weights.

    Printed with `{multiplier = "truncated(bits = 2)"}` where products are not exact.
    """

    multiplier = opt_prop_def(StringAttr)
    irdl_options = (ParsePropInAttrDict(),)

    @property
    def multiplier_text(self) -> str:
        """The multiplier model as specs write it; `exact` where the op names none."""
        return "exact" if self.multiplier is None else self.multiplier.data

    def verify_(self) -> None:
        super().verify_()
        if self.multiplier is not None:
            operand_formats(self)


def operand_formats(op: MultipliedOp) -> tuple[IntegerType, IntegerType]:
    """The storage types of activations and weights. Raises VerifyException where a model cannot multiply them."""
    x, w = (storage_of(element_type(value)) for value in op.operands[:2])
    if x is None or w is None:
        raise VerifyException(f"{op.name}: a multiplier model multiplies integers, these operands are floats")
    widest = max(x.width.data, w.width.data)
    if widest > WIDEST_OPERAND:
        raise VerifyException(
            f"{op.name}: a multiplier model takes operands of up to {WIDEST_OPERAND} bits, not {widest}"
        )
    return x, w
