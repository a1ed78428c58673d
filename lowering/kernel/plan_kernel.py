"""The kernel that a layer's `#kernel.choice` names; without one, outer products."""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerAttr

from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.dialects.kernel import ChoiceAttr
from hapir.lowering.kernel.plan_products import plan_products
from hapir.lowering.kernel.plan_winograd import plan_winograd
from hapir.lowering.kernel.program import Convolution, Depthwise, KernelStep, Origin
from hapir.lowering.kernel.program_draft import Draft, Value
from hapir.weights import WeightStore

DEFAULT_TILE = 4
"""Of a choice that names minimal filtering alone."""


def plan_kernel(
    op: nn.ProductOp, x: Value, draft: Draft, weights: WeightStore, origin: Origin
) -> tuple[Convolution | Depthwise | KernelStep, tuple[int, int] | None]:
    """The step of a layer and the range of its integer sums.

    Raises HapirError as the plans of the algorithms do, and HAP0719 for an algorithm that the C target does not have.
    """
    choice = op.attributes.get("kernel")
    if not isinstance(choice, ChoiceAttr):
        return plan_products(op, x, draft, weights, origin)
    match choice.algorithm.data:
        case "winograd":
            return plan_winograd(op, x, draft, weights, origin, option(choice, "tile", DEFAULT_TILE))
        case "direct":
            return plan_products(op, x, draft, weights, origin)
        case other:
            fail("HAP0719", f"the C target has no kernel `{other}` for this layer", at=op)


def option(choice: ChoiceAttr, name: str, default: int) -> int:
    """An integer option of a choice."""
    value = choice.options.data.get(name)
    return value.value.data if isinstance(value, IntegerAttr) else default
