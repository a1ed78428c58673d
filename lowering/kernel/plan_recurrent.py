"""Recurrent layers: one step per layer, its weights transposed, in a table where they are constant.

Law: close in f32. Sums run from the bias over the inputs; the reference sums in BLAS's order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from xdsl.ir import Operation, SSAValue

from hapir.dialects import nn
from hapir.dialects.nn_shapes import text
from hapir.dialects.num import shape_of
from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.plan_float_layers import float_buffer, moved_table
from hapir.lowering.kernel.plan_layout import Planner, in_network_order
from hapir.lowering.kernel.program_draft import Value
from hapir.lowering.kernel.program_recurrent import Part, Recurrent
from hapir.lowering.kernel.steps import Axis, Move

STATES: tuple[Part, ...] = ("initial_h", "initial_c")


def _parts(op: nn.RecurrentOp) -> list[tuple[Part, SSAValue]]:
    """What a layer reads beside its sequence."""
    names: tuple[Part, ...] = ("weight_input", "weight_hidden", "bias_input", "bias_hidden")
    parts: list[tuple[Part, SSAValue]] = [
        *zip(names, (op.w_input, op.w_hidden, *op.biases), strict=False),
        *zip(STATES, op.initial, strict=False),
    ]
    if op.peephole is not None:
        parts.append(("peephole", op.peephole))
    if op.lengths is not None:
        parts.append(("lengths", op.lengths))
    return parts


def _transposed(planner: Planner, v: SSAValue, at: Operation) -> int:
    """The buffer of a computed matrix in the other order."""
    rows, columns = shape_of(v)
    target = float_buffer(planner, v)
    origin = planner.origin(at, f"transpose {text(shape_of(v))}")
    axes = (Axis(columns, 1, rows), Axis(rows, columns, 1))
    planner.draft.add(Move(origin, target, (), planner.plain(v, at).buffer, axes, 0, 0))
    return target


def _recurrent(planner: Planner, op: nn.RecurrentOp) -> None:
    """Sequences N T C in the network's order; the last state stays in buffers of its own."""
    x, (n, t, c) = planner.plain(op.x, op), shape_of(op.x)
    outputs, state, *_ = op.results
    _, units = shape_of(state)
    origin = planner.origin(op, f"{op.name.split('.')[-1]} {text(shape_of(op.x))} -> {text(shape_of(outputs))}")
    sources, given, tables = [x.buffer], list[Part](), list[tuple[Part, Table]]()
    for part, v in _parts(op):
        if isinstance(v.owner, nn.WeightOp) and part.startswith(("weight", "bias")):
            tables.append((part, moved_table(f"{origin.layer}.{part}", planner, v, op, np.transpose)))
        else:
            given.append(part)
            computed = part.startswith("weight")
            sources.append(_transposed(planner, v, op) if computed else planner.plain(v, op).buffer)
    target, hidden = float_buffer(planner, outputs), float_buffer(planner, state)
    cell = float_buffer(planner, op.cell) if isinstance(op, nn.LstmOp) else None
    planner.draft.add(
        Recurrent(
            origin,
            target,
            (),
            kind="lstm" if isinstance(op, nn.LstmOp) else "gru" if isinstance(op, nn.GruOp) else "rnn",
            sources=tuple(sources),
            given=tuple(given),
            tables=tuple(tables),
            batch=n,
            length=t,
            inputs=c,
            units=units,
            gate_count=op.GATES,
            reverse=bool(op.reverse.value.data),
            shared=tuple(part for part, v in _parts(op) if part in STATES and shape_of(v)[0] < n),
            activations=op.cell_activations,
            clip=None if op.clip is None else op.clip.value.data,
            reset_before=op.reset_before is not None,
            gates=planner.draft.buffer("float", 2 * op.GATES * units),
            hidden=hidden,
            cell=cell,
        )
    )
    in_network_order(planner, outputs, Value(target, (n, t, units)), op)
    planner.values[state] = Value(hidden, (n, units))
    if isinstance(op, nn.LstmOp) and cell is not None:
        planner.values[op.cell] = Value(cell, (n, units))


RECURRENT_PLANS: dict[type[Operation], Callable[[Planner, Any], None]] = dict.fromkeys(
    (nn.LstmOp, nn.GruOp, nn.RnnOp), _recurrent
)
"""How each op of this file is planned."""
