"""Sums of products by a model of a multiplier: every product from the model's table, sums exact.

The table has a row per activation and a column per weight, so a layer costs one look-up per multiply-accumulate.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.dialects.nn_products import ProductOp, operand_formats
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import element_type, integer_range, zero_point_of
from hapir.multipliers.model import Int, Multiplier, product_table
from hapir.reference.values import Array, to_si32
from hapir.registered import MULTIPLIER, value_at

BLOCK = 1 << 19
"""The most sums that one step keeps: outputs x pixels."""


def layer_products(op: ProductOp) -> Int:
    """The product table of a layer with a multiplier. Raises HapirError (HAP0233, HAP0305) where there is none."""
    model: Multiplier = value_at(op.multiplier_text, MULTIPLIER, op)
    try:
        return product_table(model, *operand_formats(op))
    except ValueError as error:
        fail("HAP0305", f"the multiplier `{op.multiplier_text}` cannot serve this layer: {error}", at=op)


def modelled_product(op: ProductOp, x: Array, w: Array, bias: Array | None) -> npt.NDArray[np.int32]:
    """Products by a model: `bias + sum(multiply(q, w) - z * w)`. Raises OverflowError past si32."""
    activation, weight = operand_formats(op)
    table = layer_products(op)
    zero_point = zero_point_of(element_type(op.x))
    # the products less the exact share of the zero point, so that sums are complete as they come
    low, high = integer_range(weight)
    shifted = table - zero_point * np.arange(low, high + 1)[None, :]
    rows = x.astype(np.int64) - integer_range(activation)[0]
    columns = w.astype(np.int64) - low
    if isinstance(op, nn.ConvolutionOp):
        pad = zero_point - integer_range(activation)[0]
        as_maps = (rows, columns) if rows.ndim == 4 else (rows[:, :, None], columns[:, :, None])
        sums = _convolve(*as_maps, shifted, op.window.window, op.filter_groups, pad)
        sums = sums if bias is None else sums + bias.astype(np.int64)[:, None, None]
        return to_si32(sums if rows.ndim == 4 else sums[:, :, 0])
    sums = _summed(rows.T, columns, shifted).T
    return to_si32(sums if bias is None else sums + bias.astype(np.int64))


def _convolve(x: Int, w: Int, table: Int, window: Window, groups: int, pad: int) -> Int:
    """x N C H W and w K C/G R S, both as places in the table, to N K P Q."""
    (n, c, height, width), (k, *_) = x.shape, w.shape
    p, q = window.output(height, width)
    top, left, bottom, right = window.padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=pad)
    sums = np.empty((n, k, p, q), np.int64)
    for group in range(groups):
        channels = slice(group * c // groups, (group + 1) * c // groups)
        filters = slice(group * k // groups, (group + 1) * k // groups)
        taps = np.stack([tap[:, channels] for tap in _taps(padded, window, p, q)], axis=2)
        # N C RS P Q -> C RS, N P Q
        matrix = taps.transpose(1, 2, 0, 3, 4).reshape(-1, n * p * q)
        block = _summed(matrix, w[filters].reshape(k // groups, -1), table)
        sums[:, filters] = block.reshape(-1, n, p, q).transpose(1, 0, 2, 3)
    return sums


def _taps(padded: Int, window: Window, p: int, q: int) -> Iterator[Int]:
    """For each position of the kernel, the values under it: N C P Q."""
    (stride_h, stride_w), (dilation_h, dilation_w) = window.stride, window.dilation
    for r in range(window.kernel[0]):
        for s in range(window.kernel[1]):
            h, w = r * dilation_h, s * dilation_w
            yield padded[:, :, h : h + (p - 1) * stride_h + 1 : stride_h, w : w + (q - 1) * stride_w + 1 : stride_w]


def _summed(matrix: Int, w: Int, table: Int) -> Int:
    """Products of a matrix L x M with weights K x L, summed over L: K x M.

    For each place in L the columns of its K weights are picked from the table; a pixel then adds one row of K products.
    """
    k, length = w.shape
    largest_sum = length * int(np.abs(table).max(initial=0))
    products = table.astype(np.int32 if largest_sum < 1 << 31 else np.int64)
    sums = np.zeros((matrix.shape[1], k), products.dtype)
    step = max(1, BLOCK // k)
    for first in range(0, len(sums), step):
        part = sums[first : first + step]
        for i in range(length):
            part += np.ascontiguousarray(products[:, w[:, i]])[matrix[i, first : first + step]]
    return sums.T.astype(np.int64)
