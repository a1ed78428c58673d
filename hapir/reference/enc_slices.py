"""What the generators of weights compute."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

import numpy as np
from xdsl.ir import Operation

from hapir.dialects.enc_slices import BsgGenerateOp, CsgGenerateOp
from hapir.dialects.num import shape_of
from hapir.factorizations.bsg import Polarity, generated, unpack
from hapir.factorizations.slices import csg_generated, join
from hapir.reference.values import Array, Meaning, Setting, single


def _csg(op: CsgGenerateOp, operands: Sequence[Array], _: Setting) -> Array:
    codes, matrix = (operand.astype(np.float64) for operand in operands)
    return join(csg_generated(codes, matrix).astype(np.float32), shape_of(op.result), op.slice_shape)


def _bsg(op: BsgGenerateOp, operands: Sequence[Array], _: Setting) -> Array:
    codes, base = (unpack(operand, op.length.value.data) for operand in operands)
    numbers = generated(codes, base, prod(op.slice_shape), cast(Polarity, op.polarity.data))
    return join((op.scale.value.data * numbers).astype(np.float32), shape_of(op.result), op.slice_shape)


MEANINGS: dict[type[Operation], Meaning] = dict((single(CsgGenerateOp, _csg), single(BsgGenerateOp, _bsg)))
"""The op classes that generate weights."""
