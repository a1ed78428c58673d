"""How reals become integers, as an attribute that every conversion carries."""

from __future__ import annotations

from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import SpacedOpaqueSyntaxAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.utils.str_enum import StrEnum


class Rounding(StrEnum):
    """How a real becomes an integer: ties to even, ties up, ties away from zero, or always down."""

    half_even = "half_even"
    half_up = "half_up"
    half_away = "half_away"
    floor = "floor"


@irdl_attr_definition
class RoundingAttr(EnumAttribute[Rounding], SpacedOpaqueSyntaxAttribute):
    """A rounding mode, printed as a bare word."""

    name = "num.rounding"
