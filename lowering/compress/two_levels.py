"""Activations as two levels: a threshold, and the mean of what lies on either side, from calibration data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from xdsl.ir import Operation, SSAValue

from hapir.dialects.nn import NetworkOp
from hapir.lowering.compress.observe_activations import batches, refuse_not_finite
from hapir.quantizers.coded import Floats
from hapir.reference.interpret import run_network
from hapir.weights import Array, WeightStore


@dataclass(frozen=True)
class Levels:
    """`low` below the threshold, `high` from it on; so `middle + half * sign(x - threshold)`."""

    threshold: float
    low: float
    high: float

    @property
    def middle(self) -> float:
        """Half way between the levels."""
        return (self.high + self.low) / 2

    @property
    def half(self) -> float:
        """Half their distance."""
        return (self.high - self.low) / 2


@dataclass
class _Side:
    """How many values there were, and their sum."""

    count: int = 0
    total: float = 0.0

    def add(self, values: Floats) -> None:
        self.count += values.size
        self.total += float(values.sum())

    def mean(self, default: float) -> float:
        return self.total / self.count if self.count else default


def symmetric_levels(
    network: NetworkOp, weights: WeightStore, data: Mapping[str, Array], values: Collection[SSAValue]
) -> dict[SSAValue, Levels]:
    """`-+ mean |x|` of each value, which have the least squared error with the sign of x.

    A value that is never negative has the level 0 below, so that `low` tells.
    """
    below, magnitude = {v: _Side() for v in values}, {v: _Side() for v in values}

    def see(value: SSAValue, array: Array) -> None:
        reals = array.astype(np.float64)
        below[value].add(reals[reals < 0])
        magnitude[value].add(np.abs(reals))

    _show(network, weights, data, values, see)
    means = {v: magnitude[v].mean(0.0) for v in values}
    return {v: Levels(0.0, -means[v] if below[v].count else 0.0, means[v]) for v in values}


def centred_levels(
    network: NetworkOp, weights: WeightStore, data: Mapping[str, Array], values: Collection[SSAValue]
) -> dict[SSAValue, Levels]:
    """Each value split at its mean, with the means of both sides as levels; equal ones for a constant value."""
    whole = {v: _Side() for v in values}
    _show(network, weights, data, values, lambda value, array: whole[value].add(array.astype(np.float64)))
    # the threshold is compared in f32, as the network does
    thresholds = {v: float(np.float32(whole[v].mean(0.0))) for v in values}
    low, high = {v: _Side() for v in values}, {v: _Side() for v in values}

    def see(value: SSAValue, array: Array) -> None:
        reals = array.astype(np.float64)
        above = reals >= thresholds[value]
        low[value].add(reals[~above])
        high[value].add(reals[above])

    _show(network, weights, data, values, see)
    return {v: Levels(t, low[v].mean(t), high[v].mean(t)) for v, t in thresholds.items()}


def _show(
    network: NetworkOp,
    weights: WeightStore,
    data: Mapping[str, Array],
    values: Collection[SSAValue],
    see: Callable[[SSAValue, Array], None],
) -> None:
    """Run the network on the data and show each of the values to `see`."""

    def after(op: Operation, results: tuple[Array, ...]) -> None:
        for value, array in zip(op.results, results, strict=True):
            if value in values:
                if not np.isfinite(array).all():
                    refuse_not_finite(op)
                see(value, array)

    for batch in batches(data):
        for argument, array in zip(network.body.block.args, batch.values(), strict=True):
            if argument in values:
                see(argument, array)
        run_network(network, weights, batch, observe=after)
