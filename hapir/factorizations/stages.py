"""Chains of convolutions that stand for one: what they compute, and what they cost.

A chain equals one convolution when each axis of the window slides in exactly one of its stages: all others are 1 wide
there, with stride 1 and no padding. Stages but the last have no bias, so padding stays zero all the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Shape4 = tuple[int, int, int, int]


@dataclass(frozen=True)
class StageShape:
    """A convolution of a chain, without its numbers.

    `filters` is K x C/G x R x S in `groups` groups; `rows` and `columns` tell along which axes it slides as the layer
    that the chain stands for does (its stride, padding and dilation). `role` names the stage within the layer.
    """

    role: str
    filters: Shape4
    groups: int = 1
    rows: bool = False
    columns: bool = False


@dataclass(frozen=True)
class Stage:
    """A convolution of a chain: its filters, of the shape's sizes."""

    shape: StageShape
    filters: Floats

    def __post_init__(self) -> None:
        assert self.filters.shape == self.shape.filters, (self.filters.shape, self.shape)


@dataclass(frozen=True)
class Maps:
    """Rows and columns of a layer's input (H, W) and output (P, Q)."""

    input: tuple[int, int] = (1, 1)
    output: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Cost:
    """Weights (no biases), and multiply-accumulates per image."""

    parameters: int
    macs: int


def cost_of(chain: Sequence[StageShape], maps: Maps) -> Cost:
    """What a chain costs. A stage that slides has P rows (Q columns) of results from then on, before that H (W)."""
    parameters = macs = 0
    rows, columns = maps.input
    for stage in chain:
        rows = maps.output[0] if stage.rows else rows
        columns = maps.output[1] if stage.columns else columns
        weights = prod(stage.filters)
        parameters += weights
        macs += weights * rows * columns
    return Cost(parameters, macs)


def compose(chain: Sequence[Stage]) -> Floats:
    """The filters K x C x R x S of the one convolution that a chain equals, its input in one group."""
    first, *rest = chain
    whole = dense(first.filters, first.shape.groups)
    for stage in rest:
        whole = _after(whole, stage.filters, stage.shape.groups)
    return whole


def dense(filters: Floats, groups: int) -> Floats:
    """Grouped filters K x C/G x R x S as K x C x R x S, zero where a group does not look."""
    k, c, r, s = filters.shape
    if groups == 1:
        return filters
    whole = np.zeros((groups, k // groups, groups, c, r, s))
    index = np.arange(groups)
    whole[index, :, index] = filters.reshape(groups, k // groups, c, r, s)
    return whole.reshape(k, groups * c, r, s)


def _after(inner: Floats, outer: Floats, groups: int) -> Floats:
    """The filters of `inner` (M x C x R x S, one group) followed by `outer` (K x M/G x R' x S')."""
    m, c, r, s = inner.shape
    k, m_group, r_outer, s_outer = outer.shape
    left = outer.reshape(groups, k // groups, m_group, r_outer * s_outer).transpose(0, 3, 1, 2)
    right = inner.reshape(groups, 1, m // groups, c * r * s)
    products = np.matmul(left, right).reshape(groups, r_outer, s_outer, k // groups, c, r, s)
    whole = np.zeros((groups, k // groups, c, r + r_outer - 1, s + s_outer - 1))
    for y in range(r_outer):
        for x in range(s_outer):
            whole[..., y : y + r, x : x + s] += products[:, y, x]
    return whole.reshape(k, *whole.shape[2:])
