"""What the ops of `dataflow` compute: a layer means what its body means; schedules and maps compute nothing."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Operation

from hapir.dialects.dataflow import LayerOp
from hapir.reference.values import Array, Meaning, Setting


def _layer_op(op: Operation, operands: Sequence[Array], setting: Setting) -> tuple[Array, ...]:
    assert isinstance(op, LayerOp)
    return setting.run_block(op.body.block, operands)


MEANINGS: dict[type[Operation], Meaning] = {LayerOp: _layer_op}
"""The op classes of `dataflow` that compute."""
