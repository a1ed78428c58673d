"""Floats between integers: codes become reals, go through a batch norm and an activation, and become codes again.

An island is `dequantize`, any number of batch norms, any number of activations that never fall (sign, ReLU, clip), at
least one of the two, and `quantize`, each reading the one before. Up to the activations it is a line per channel; from
there on a staircase, whose steps are bounds on what the line gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from xdsl.ir import Operation, SSAValue

from hapir.diagnostics import fail
from hapir.dialects import nn, num
from hapir.dialects.num import AffineType, BipolarType, PerChannelType, code_range, element_type, step_of
from hapir.lowering.constants import is_constant
from hapir.lowering.network_edits import real_weight_of
from hapir.quantizers.thresholds import Bound, Line, TwoRootsError, rounding_bounds
from hapir.weights import WeightStore

Activation = nn.SignOp | nn.ReluOp | nn.ClipOp


@dataclass(frozen=True)
class Island:
    """The ops of an island, in order."""

    dequantize: num.DequantizeOp
    norms: tuple[nn.BatchNormOp, ...]
    activations: tuple[Activation, ...]
    quantize: num.QuantizeOp

    @property
    def codes(self) -> SSAValue:
        """The integers that go in, whatever their type made of them."""
        q = self.dequantize.q
        return q.owner.x if isinstance(q.owner, num.ViewOp) else q

    @property
    def named(self) -> Operation:
        """The op that gives the island its name: its last activation or norm."""
        return (*self.norms, *self.activations)[-1]


def island_before(op: num.QuantizeOp) -> Island | None:
    """The island that ends in a quantization; None where its operand does not come from integers in this way."""
    activations: list[Activation] = []
    norms: list[nn.BatchNormOp] = []
    owner = op.x.owner
    while isinstance(owner, Activation):
        activations.insert(0, owner)
        owner = owner.x.owner
    while isinstance(owner, nn.BatchNormOp):
        norms.insert(0, owner)
        owner = owner.x.owner
    if not isinstance(owner, num.DequantizeOp) or is_constant(owner.result) or not (norms or activations):
        return None
    before, after = element_type(owner.q), element_type(op.result)
    if not (isinstance(before, AffineType | PerChannelType) and isinstance(after, AffineType)):
        return None
    if isinstance(after.codes, BipolarType) and not any(isinstance(a, nn.SignOp) for a in activations):
        return None  # only signs are odd numbers already
    return Island(owner, tuple(norms), tuple(activations), op)


def lines_of(island: Island, weights: WeightStore) -> list[Line]:
    """What the integers of each channel are before the activations; one line where all channels share it.

    Raises HapirError: HAP0404 for a variance that is not positive, HAP0543 where two batch norms cannot be compared
    exactly, or where the scales are along another axis than that of the channels.
    """
    lines = [Line(scale, -scale * zero_point) for scale, zero_point in _scales(island, weights)]
    for norm in island.norms:
        gamma, beta, mean, variance = (
            real_weight_of(v, weights).tolist() for v in (norm.gamma, norm.beta, norm.mean, norm.variance)
        )
        epsilon = norm.epsilon.value.data
        lines = lines * len(gamma) if len(lines) == 1 else lines
        for k, line in enumerate(lines):
            if variance[k] + epsilon <= 0:
                what = f"variance + epsilon of channel {k} is {variance[k] + epsilon:g}, not positive"
                fail("HAP0404", what, at=norm, help="raise epsilon, or train it again")
            try:
                lines[k] = line.normalized(gamma[k], beta[k], mean[k], Fraction(variance[k]) + Fraction(epsilon))
            except TwoRootsError as error:
                fail("HAP0543", f"{error}, in channel {k}", at=norm, help="merge the batch norms before quantize")
    return lines


def _scales(island: Island, weights: WeightStore) -> list[tuple[Fraction, int]]:
    element = element_type(island.dequantize.q)
    if isinstance(element, AffineType):
        return [(Fraction(element.scale.data), element.zero_point.data)]
    assert isinstance(element, PerChannelType)
    if element.axis.data != 1:
        what = f"thresholds belong to channels, and these scales lie along axis {element.axis.data}"
        fail("HAP0543", what, at=island.dequantize)
    return [(Fraction(scale), 0) for scale in weights[element.scales.data].astype(float).tolist()]


def bounds_of(island: Island) -> tuple[int, list[Bound]]:
    """The lowest code that comes out, and what the line must pass for each of the codes above it, in order.

    Raises HapirError (HAP0543) where one code alone can come out.
    """
    op, element = island.quantize, element_type(island.quantize.result)
    assert isinstance(element, AffineType)
    (first, last), step = code_range(element), step_of(element)
    codes = range(first + step, last + 1, step)
    low, bounds = first, list[Bound]()
    steps = rounding_bounds(codes, Fraction(element.scale.data), element.zero_point.data, op.rounding.data)
    for code, bound in zip(codes, steps, strict=True):
        place = _through(bound, island.activations)
        if place is True:
            low = code
        elif place is not False:
            bounds.append(place)
    if not bounds:
        fail("HAP0543", f"the code {low} alone can come out of this activation", at=island.named, help="leave it out")
    return low, bounds


def _through(bound: Bound, activations: Sequence[Activation]) -> Bound | bool:
    """What must be passed before some activations so that they pass a bound; True for anything, False for nothing."""
    for activation in reversed(activations):
        low, high = _values_of(activation)
        if bound.value < low or (bound.value == low and bound.closed):
            return True
        if high is not None and (bound.value > high or (bound.value == high and not bound.closed)):
            return False
        if isinstance(activation, nn.SignOp):
            bound = Bound(Fraction(0))
    return bound


def _values_of(activation: Activation) -> tuple[Fraction, Fraction | None]:
    """The least and the greatest value of an activation, which between them gives what it gets, or is a sign."""
    match activation:
        case nn.SignOp():
            return Fraction(-1), Fraction(1)
        case nn.ReluOp():
            return Fraction(0), None
        case nn.ClipOp():
            return Fraction(activation.low.value.data), Fraction(activation.high.value.data)
