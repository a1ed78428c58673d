"""Make norms that exporters wrote in pieces the layers that they are.

Law: bounded. The pieces and the layers round differently; scales and shifts that become one are computed in double.

A layer norm is `(x - m) / sqrt(mean((x - m)^2) + epsilon)`, m the mean of x along its last axes, and then a product and
a sum with constants of these axes. A batch norm is a product with constants along the channels and then a sum or
difference with such constants; sums and differences before it move its mean.

```
%m = nn.mul %x, %scale : ...                            // %scale = nn.weight "scale" : tensor<4x1x1xf32>
%y = nn.add %m, %shift layer "bn" : ...
```
becomes
```
%y = nn.batch_norm %x, %gamma, %beta, %mean, %variance epsilon 1.0e-05 layer "bn" : ...
```
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from hapir.dialects import nn
from hapir.dialects.assembly import integers
from hapir.dialects.num import is_float, shape_of
from hapir.lowering.canonical.arithmetic import affine, either, function_of, is_function, operand
from hapir.lowering.canonical.channel_constants import along, over
from hapir.lowering.canonical.rewriting import Rewriter, Rules, rewrite_networks
from hapir.lowering.network_edits import key_stem

EPSILON = 1e-5
"""The default of batch norms; in f32, `1 - 1e-5` and it are 1."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RecognizeNormsPass(ModulePass):
    """Make norms that exporters wrote in pieces the layers that they are. Bounded.

    Comes after `simplify_arithmetic`, and after `join_biases`, which takes the sums that are biases.

    Example: `recognize_norms()`
    """

    name = "recognize_norms"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_networks(ctx, op, RULES)


# --- layer norms ------------------------------------------------------------------------------------------------------


def _mean(value: SSAValue) -> tuple[SSAValue, int] | None:
    """What is averaged, and the first of its last axes along which that is done; None of anything else."""
    op = value.owner
    if not isinstance(op, nn.ReduceOp) or op.function.data != "mean" or op.keep is None:
        return None
    axes, rank = integers(op.axes), len(shape_of(op.x))
    whole = bool(axes) and list(axes) == list(range(axes[0], rank)) and axes[0] > 0
    return (op.x, axes[0]) if whole else None


def _is_square_of(value: SSAValue, x: SSAValue) -> bool:
    return is_function(value, "mul") and operand(value) is x and operand(value, 1) is x


def layer_norm(op: nn.PointwiseOp, rewriter: Rewriter) -> bool:
    """`(x - m) / sqrt(variance + epsilon)`, without scale and shift yet."""
    if function_of(op) != "div" or not is_function(op.operands[0], "sub") or not is_function(op.operands[1], "sqrt"):
        return False
    apart, spread = op.operands[0], affine(operand(op.operands[1]), rewriter)
    mean = _mean(operand(apart, 1))
    if mean is None or spread is None or spread.scale != 1.0 or spread.offset < 0:
        return False
    variance, (x, axis) = _mean(spread.base), mean
    if variance is None or variance[1] != axis or x is not operand(apart) or not _is_square_of(variance[0], apart):
        return False
    shape = shape_of(x)[axis:]
    gamma, beta = (_parameter(op, name, np.full(shape, v), rewriter) for name, v in (("gamma", 1.0), ("beta", 0.0)))
    return rewriter.replace(op, nn.LayerNormOp(x, gamma, beta, axis=axis, epsilon=spread.offset))


def _parameter(op: Operation, name: str, array: npt.NDArray[np.generic], rewriter: Rewriter) -> SSAValue:
    return rewriter.parameter(op, f"{key_stem(op)}.{name}", array.astype(np.float32))


def scaled_layer_norm(op: nn.MulOp | nn.AddOp, rewriter: Rewriter) -> bool:
    """A layer norm whose only user multiplies by a constant of its axes, or adds one."""
    for made, constant in either(op):
        norm = made.owner
        if not isinstance(norm, nn.LayerNormOp) or not made.has_one_use() or made.type != op.result.type:
            continue
        axis = norm.axis.value.data
        numbers = over(constant, shape_of(made), axis, rewriter)
        gamma, beta = rewriter.array(norm.gamma), rewriter.array(norm.beta)
        if numbers is None or gamma is None or beta is None:
            continue
        wide, low = gamma.astype(np.float64), beta.astype(np.float64)
        wide, low = (wide * numbers, low * numbers) if isinstance(op, nn.MulOp) else (wide, low + numbers)
        parameters = (_parameter(norm, name, array, rewriter) for name, array in (("gamma", wide), ("beta", low)))
        return rewriter.replace(op, nn.LayerNormOp(norm.x, *parameters, axis=axis, epsilon=norm.epsilon.value.data))
    return False


# --- batch norms ------------------------------------------------------------------------------------------------------


def _channels(op: nn.BinaryOp, rewriter: Rewriter) -> Iterator[tuple[SSAValue, Doubles]]:
    """The operand that has the shape of the result, and the numbers along its channels of the other: not all equal."""
    pairs = [(op.lhs, op.rhs)] if isinstance(op, nn.SubOp) else list(either(op))
    for x, constant in pairs:
        shape = shape_of(x)
        if len(shape) >= 2 and x.type == op.result.type and is_float(x) and rewriter.array(x) is None:
            numbers = along(constant, shape, 1, rewriter)
            if numbers is not None and rewriter.number(constant) is None:
                yield x, numbers.astype(np.float64)


def _norm(
    at: nn.LayerOp, x: SSAValue, arrays: dict[str, Doubles], epsilon: float, rewriter: Rewriter
) -> nn.BatchNormOp:
    names = ("gamma", "beta", "mean", "variance")
    gamma, beta, mean, variance = (_parameter(at, name, arrays[name], rewriter) for name in names)
    return nn.BatchNormOp(x, gamma, beta, mean, variance, epsilon=epsilon)


def scale_and_shift(op: nn.AddOp | nn.SubOp, rewriter: Rewriter) -> bool:
    """`x * scale + shift`, both along the channels."""
    for made, shift in _channels(op, rewriter):
        if not isinstance(made.owner, nn.MulOp) or not made.has_one_use():
            continue
        for x, scale in _channels(made.owner, rewriter):
            beta, mean = shift if isinstance(op, nn.AddOp) else -shift, np.zeros(len(scale))
            arrays = {"gamma": scale, "beta": beta, "mean": mean, "variance": np.full(len(scale), 1 - EPSILON)}
            return rewriter.replace(op, _norm(op, x, arrays, EPSILON, rewriter))
    return False


def shifted_batch_norm(op: nn.BatchNormOp, rewriter: Rewriter) -> bool:
    """A batch norm of what constants along the channels were just added to or taken from: its mean moves."""
    before = op.x.owner
    if not isinstance(before, nn.AddOp | nn.SubOp) or not op.x.has_one_use():
        return False
    for x, shift in _channels(before, rewriter):
        names = ("gamma", "beta", "mean", "variance")
        arrays = {name: rewriter.array(v) for name, v in zip(names, op.operands[1:], strict=True)}
        known = {name: array.astype(np.float64) for name, array in arrays.items() if array is not None}
        if len(known) == len(names):
            known["mean"] = known["mean"] - shift if isinstance(before, nn.AddOp) else known["mean"] + shift
            return rewriter.replace(op, _norm(op, x, known, op.epsilon.value.data, rewriter))
    return False


RULES: Rules = {
    nn.PointwiseOp: (layer_norm,),
    nn.MulOp: (scaled_layer_norm,),
    nn.AddOp: (scaled_layer_norm, scale_and_shift),
    nn.SubOp: (scale_and_shift,),
    nn.BatchNormOp: (shifted_batch_norm,),
}
