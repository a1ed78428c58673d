"""Make activations that exporters wrote in pieces the ops that they are.

Law: bounded. A formula and its op round differently, and constants in a formula may have few digits: a function is
recognized where its constants are those of the definition within 2e-4. Bounds (`maximum`, `minimum`, `clip`, `relu`) in
a row become one op, which is exact.

| op | pieces, in any order of factors and terms |
|---|---|
| relu, clip | maximum and minimum with numbers, and clips of each other |
| hard_sigmoid | `clip(a x + b, l, h)` scaled and shifted to 0 .. 1 |
| hard_swish | `x hard_sigmoid(x)` of slope 1/6 and offset 1/2, and its factors: `x clip(x + 3, 0, 6) / 6` |
| sigmoid, silu | `1 / (1 + exp(-x))`; `x sigmoid(x)`, `x / (1 + exp(-x))` |
| gelu, gelu_tanh | `x / 2 (1 + erf(x / sqrt 2))`; `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))` |
| softplus, softsign, mish | `log(1 + exp(x))`; `x / (1 + |x|)`; `x tanh(softplus(x))` |
| leaky_relu | `maximum(x, a x)`, `where(x > 0, x, a x)`, `relu(x) - a relu(-x)`, `prelu` with one slope |

```
%a = nn.add %x, %three : ...
%c = nn.clip %a from 0.0 to 6.0 : ...
%p = nn.mul %x, %c : ...
%y = nn.mul %p, %sixth layer "act" : ...
```
becomes
```
%y = nn.hard_swish %x layer "act" : ...
```
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from hapir.dialects import nn
from hapir.dialects.assembly import shortest
from hapir.dialects.num import is_float, shape_of
from hapir.lowering.canonical.arithmetic import (
    affine,
    close,
    either,
    function_of,
    is_function,
    operand,
    polynomial,
    product,
    same,
    with_number,
)
from hapir.lowering.canonical.rewriting import Rewriter, Rules, rewrite_networks


@dataclass(frozen=True)
class RecognizeActivationsPass(ModulePass):
    """Make activations that exporters wrote in pieces the ops that they are. Bounded.

    Comes after `simplify_arithmetic`, and before passes that quantize: those know activations, not their pieces.

    Example: `recognize_activations()`
    """

    name = "recognize_activations"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_networks(ctx, op, RULES)


# --- bounds -----------------------------------------------------------------------------------------------------------


def _bounds(op: Operation, rewriter: Rewriter) -> tuple[SSAValue, float, float] | None:
    """What an op keeps between which bounds; None where it is no bound of f32."""
    if not is_float(op.results[0]):
        return None
    match op:
        case nn.ReluOp():
            return op.x, 0.0, math.inf
        case nn.ClipOp():
            return op.x, op.low.value.data, op.high.value.data
        case _:
            name = function_of(op)
            found = with_number(op, rewriter) if name in ("maximum", "minimum") else None
            if found is None:
                return None
            x, number = found
            return (x, number, math.inf) if name == "maximum" else (x, -math.inf, number)


def one_bound(op: nn.LayerOp, rewriter: Rewriter) -> bool:
    """Bounds of bounds are one op; a relu where that is what they are."""
    outer = _bounds(op, rewriter)
    if outer is None:
        return False
    x, low, high = outer
    inner = _bounds(x.owner, rewriter) if isinstance(x.owner, Operation) and x.has_one_use() else None
    if inner is not None:
        if inner[1] > inner[2] or low > high or inner[1] > high or inner[2] < low:
            return False
        x, low, high = inner[0], max(low, inner[1]), min(high, inner[2])
    if low == 0 and high == math.inf:
        known = isinstance(op, nn.ReluOp) and inner is None
        return not known and rewriter.replace(op, nn.ReluOp(x))
    if math.isfinite(low) and math.isfinite(high) and low <= high:
        known = isinstance(op, nn.ClipOp) and inner is None
        return not known and rewriter.replace(op, nn.ClipOp(x, low=shortest(low), high=shortest(high)))
    if inner is None:
        return False
    name, number = ("maximum", low) if high == math.inf else ("minimum", high)
    return rewriter.replace(op, nn.PointwiseOp(name, [x, rewriter.fill(op, number)]))


# --- sigmoids ---------------------------------------------------------------------------------------------------------


def hard_sigmoid(op: nn.LayerOp, rewriter: Rewriter) -> bool:
    """A clipped line, scaled and shifted to 0 .. 1."""
    outer = affine(op.results[0], rewriter, until="clip")
    if outer is None or not outer.base.has_one_use():
        clip = op if isinstance(op, nn.ClipOp) else None
        scale, offset = 1.0, 0.0
    else:
        clip, scale, offset = outer.base.owner, outer.scale, outer.offset
    if not isinstance(clip, nn.ClipOp) or not is_float(clip.x):
        return False
    low, high = (scale * bound.value.data + offset for bound in (clip.low, clip.high))
    if abs(low) > 1e-4 or not close(high, 1.0):
        return False
    line = affine(clip.x, rewriter)
    if line is None or line.base is clip.x or shape_of(line.base) != shape_of(op.results[0]):
        return False
    slope, start = scale * line.scale, scale * line.offset + offset
    return rewriter.replace(op, nn.HardSigmoidOp(line.base, slope=shortest(slope), offset=shortest(start)))


def _exponential(value: SSAValue, rewriter: Rewriter) -> SSAValue | None:
    """x of `1 + exp(x)`."""
    found = affine(value, rewriter, until="exp")
    return operand(found.base) if found is not None and (found.scale, found.offset) == (1.0, 1.0) else None


def sigmoid(op: nn.PointwiseOp, rewriter: Rewriter) -> bool:
    """`1 / (1 + exp(-x))`, and `x / (1 + exp(-x))`."""
    name = function_of(op)
    if name not in ("reciprocal", "div"):
        return False
    exponent = _exponential(op.operands[-1], rewriter)
    found = None if exponent is None else affine(exponent, rewriter)
    if exponent is None or found is None or (found.scale, found.offset) != (-1.0, 0.0):
        return False
    if name == "reciprocal":
        return rewriter.replace(op, nn.SigmoidOp(found.base))
    return op.operands[0] is found.base and rewriter.replace(op, nn.SiluOp(found.base))


def softplus(op: nn.PointwiseOp, rewriter: Rewriter) -> bool:
    """`log(1 + exp(x))`."""
    x = _exponential(op.operands[0], rewriter) if function_of(op) == "log" else None
    return x is not None and rewriter.replace(op, nn.PointwiseOp("softplus", [x]))


def softsign(op: nn.PointwiseOp, rewriter: Rewriter) -> bool:
    """`x / (1 + |x|)`."""
    if function_of(op) != "div":
        return False
    x, below = op.operands
    found = affine(below, rewriter, until="abs")
    fits = found is not None and (found.scale, found.offset) == (1.0, 1.0) and operand(found.base) is x
    return fits and rewriter.replace(op, nn.PointwiseOp("softsign", [x]))


# --- products with x --------------------------------------------------------------------------------------------------


def _is_hard_swish(x: SSAValue, gate: SSAValue, number: float, rewriter: Rewriter) -> bool:
    if isinstance(gate.owner, nn.HardSigmoidOp):
        fits = close(gate.owner.slope.value.data, 1 / 6) and close(gate.owner.offset.value.data, 0.5)
        return fits and gate.owner.x is x and close(number, 1.0)
    found = affine(gate, rewriter, until="clip")
    if found is None or not isinstance(found.base.owner, nn.ClipOp):
        return False
    clip, scale, offset = found.base.owner, number * found.scale, number * found.offset
    low, high = (scale * bound.value.data + offset for bound in (clip.low, clip.high))
    line = polynomial(clip.x, x, rewriter)
    if abs(low) > 1e-4 or not close(high, 1.0) or line is None or line.keys() - {0, 1}:
        return False
    return close(scale * line.get(1, 0.0), 1 / 6) and close(scale * line.get(0, 0.0) + offset, 0.5)


def _is_gelu(x: SSAValue, gate: SSAValue, number: float, rewriter: Rewriter) -> bool:
    found = affine(gate, rewriter, until="erf")
    if found is None or not close(number * found.scale, 0.5) or not close(number * found.offset, 0.5):
        return False
    return same(polynomial(operand(found.base), x, rewriter), {1: math.sqrt(0.5)})


def _is_gelu_tanh(x: SSAValue, gate: SSAValue, number: float, rewriter: Rewriter) -> bool:
    found = affine(gate, rewriter, until="tanh")
    if found is None or not close(number * found.scale, 0.5) or not close(number * found.offset, 0.5):
        return False
    root = math.sqrt(2 / math.pi)
    return same(polynomial(operand(found.base), x, rewriter), {1: root, 3: 0.044715 * root})


def _is_silu(x: SSAValue, gate: SSAValue, number: float, _: Rewriter) -> bool:
    return is_function(gate, "sigmoid") and operand(gate) is x and close(number, 1.0)


def _is_mish(x: SSAValue, gate: SSAValue, number: float, _: Rewriter) -> bool:
    inner = operand(gate) if is_function(gate, "tanh") else gate
    return is_function(inner, "softplus") and operand(inner) is x and inner is not gate and close(number, 1.0)


Gate = Callable[[SSAValue, SSAValue, float, Rewriter], bool]
GATES: tuple[tuple[Gate, Callable[[SSAValue], nn.LayerOp]], ...] = (
    (_is_hard_swish, lambda x: nn.HardSwishOp(x)),
    (_is_gelu, lambda x: nn.GeluOp(x)),
    (_is_gelu_tanh, lambda x: nn.PointwiseOp("gelu_tanh", [x])),
    (_is_silu, lambda x: nn.SiluOp(x)),
    (_is_mish, lambda x: nn.PointwiseOp("mish", [x])),
)
"""Activations that are x times a gate of x, and a number."""


def gated(op: nn.LayerOp, rewriter: Rewriter) -> bool:
    """Products of x, a gate and a number."""
    found = product(op.results[0], rewriter)
    if len(found.factors) != 2:
        return False
    for x, gate in (found.factors, found.factors[::-1]):
        if shape_of(x) != shape_of(op.results[0]):
            continue
        for fits, make in GATES:
            if fits(x, gate, found.number, rewriter):
                return rewriter.replace(op, make(x))
    return False


# --- leaky relus ------------------------------------------------------------------------------------------------------


def leaky_relu(op: nn.LayerOp, rewriter: Rewriter) -> bool:
    """x where it is not negative, else a part of it."""
    found = _leaky(op, rewriter)
    if found is None or shape_of(found[0]) != shape_of(op.results[0]):
        return False
    return rewriter.replace(op, nn.LeakyReluOp(found[0], slope=shortest(found[1])))


def _leaky(op: nn.LayerOp, rewriter: Rewriter) -> tuple[SSAValue, float] | None:
    """x and its slope below 0."""
    match function_of(op):
        case "prelu":
            slope = rewriter.number(op.operands[1])
            return None if slope is None else (op.operands[0], slope)
        case "maximum":
            for x, part in either(op):
                slope = _slope(part, x, rewriter)
                if slope is not None and 0 < slope < 1:
                    return x, slope
        case "where":
            test, x, part = op.operands
            positive = any(is_function(test, name) for name in ("greater", "greater_equal"))
            negative = any(is_function(test, name) for name in ("less", "less_equal"))
            if negative:
                x, part = part, x
            slope = _slope(part, x, rewriter)
            tested = (positive or negative) and operand(test) is x and rewriter.number(operand(test, 1)) == 0
            return (x, slope) if tested and slope is not None else None
        case "add" | "sub":
            sign = -1 if isinstance(op, nn.AddOp) else 1
            for positive, other in either(op) if isinstance(op, nn.AddOp) else (op.operands,):
                part = affine(other, rewriter, until="relu")
                if not is_function(positive, "relu") or part is None or other is positive:
                    continue
                x, slope = operand(positive), sign * part.scale
                if part.offset == 0 and slope > 0 and _slope(operand(part.base), x, rewriter) == -1:
                    return x, slope
        case _:
            pass
    return None


def _slope(value: SSAValue, x: SSAValue, rewriter: Rewriter) -> float | None:
    """a where a value is `a x`."""
    found = polynomial(value, x, rewriter)
    return found[1] if found is not None and found.keys() == {1} else None


RULES: Rules = {
    nn.ReluOp: (one_bound,),
    nn.ClipOp: (one_bound, hard_sigmoid),
    nn.AddOp: (hard_sigmoid, leaky_relu),
    nn.SubOp: (leaky_relu,),
    nn.MulOp: (gated, hard_sigmoid),
    nn.PointwiseOp: (one_bound, gated, hard_sigmoid, sigmoid, softplus, softsign, leaky_relu),
}
