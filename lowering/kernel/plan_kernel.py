"""The kernel that a layer's `#kernel.choice` names; without one, outer products."""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerAttr

from hapir.dialects import nn
from hapir.dialects.kernel import ChoiceAttr
from hapir.lowering.kernel.geometry import Origin
from hapir.lowering.kernel.plan_bits import plan_bits
from hapir.lowering.kernel.plan_dsc import plan_dsc
from hapir.lowering.kernel.plan_products import plan_products
from hapir.lowering.kernel.plan_sparse import SPARSE_PLANS
from hapir.lowering.kernel.plan_winograd import plan_winograd
from hapir.lowering.kernel.program_draft import Draft, Value
from hapir.lowering.kernel.steps import Step
from hapir.weights import WeightStore

DEFAULT_TILE = 4
"""Of a choice that names minimal filtering alone."""


def plan_kernel(
    op: nn.ProductOp, x: Value, draft: Draft, weights: WeightStore, origin: Origin
) -> tuple[Step, tuple[int, int] | None]:
    """The step of a layer and the range of its integer sums.

    Raises HapirError as the plans of the algorithms do.
    """
    choice = op.attributes.get("kernel")
    algorithm = choice.algorithm.data if isinstance(choice, ChoiceAttr) else "direct"
    if isinstance(choice, ChoiceAttr) and algorithm == "winograd":
        return plan_winograd(op, x, draft, weights, origin, asked(choice, "tile") or DEFAULT_TILE)
    if isinstance(choice, ChoiceAttr) and algorithm == "dsc":
        return plan_dsc(op, x, draft, weights, origin, asked(choice, "tau"), asked(choice, "tile"))
    if algorithm == "direct":
        planned = plan_bits(op, x, draft, weights, origin)
        return planned or plan_products(op, x, draft, weights, origin)
    return SPARSE_PLANS[algorithm](op, x, draft, weights, origin)


def asked(choice: ChoiceAttr, name: str) -> int | None:
    """An integer option of a choice, where it has it."""
    value = choice.options.data.get(name)
    return value.value.data if isinstance(value, IntegerAttr) else None
