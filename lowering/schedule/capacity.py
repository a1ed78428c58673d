"""What of a network cannot fit a weight-stationary machine, known before any recipe runs.

On this machine an activation is a byte, whatever it was as a float, and what lies in the activation memory between
layers is what convolutions and dense layers read: so the network as it is written tells the sizes. A recipe can only
make them smaller, by removing channels; hence warnings and no errors. The plan of the quantized network (`plan.py`)
decides. Networks that the machine could not run anyway are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xdsl.ir import Operation, SSAValue

from hapir.diagnostics import Diagnostic, HapirError
from hapir.dialects.dataflow import ScheduleOp
from hapir.dialects.machine import MachineOp
from hapir.dialects.nn import (
    ArgmaxOp,
    BatchNormOp,
    ClipOp,
    Conv2dOp,
    DenseOp,
    FlattenOp,
    MaxPoolOp,
    NetworkOp,
    ReluOp,
    ReturnOp,
    SoftmaxOp,
    WeightOp,
)
from hapir.dialects.num import shape_of
from hapir.lowering.schedule.conv_work import map_shape
from hapir.lowering.schedule.weight_stationary import map_problem, taps_at_once, window_problem
from hapir.lowering.schedule.ws_machine import WsMachine, ws_machine

ON_THE_WAY_OUT = (BatchNormOp, ReluOp, ClipOp, MaxPoolOp)
"""What happens to the result of a product before it is stored."""
_RUN = (Conv2dOp, DenseOp, *ON_THE_WAY_OUT, FlattenOp, SoftmaxOp, ArgmaxOp, ReturnOp, WeightOp)


def capacity_warnings(network: NetworkOp, machine: MachineOp, schedule: ScheduleOp) -> list[Diagnostic]:
    """Warnings HAP0604 for the memories of a machine that a float network, or the machine's own tiles, do not fit.

    Nothing where the machine or the network is of another kind; planning says then what is wrong.
    """
    if schedule.dataflow.data != "weight_stationary":
        return []
    try:
        described = ws_machine(machine)
    except HapirError as error:
        found = [d for d in error.diagnostics if d.code == "HAP0604"]
    else:
        found = list(_problems(network, described)) if is_chain(network) else []
    return [replace(d, severity="warning") for d in found]


def is_chain(network: NetworkOp) -> bool:
    """Whether each layer reads what the one before gave, one image at a time, and all are of the known kinds."""
    block = network.body.block
    if len(block.args) != 1 or shape_of(block.args[0])[:1] != (1,):
        return False
    current: SSAValue = block.args[0]
    for op in block.ops:
        if not isinstance(op, _RUN) or (isinstance(op, Conv2dOp) and op.groups.value.data != 1):
            return False
        if isinstance(op, WeightOp):
            continue
        if op.operands[:1] != (current,):
            return False
        current = op.results[0] if op.results else current
    return True


def _problems(network: NetworkOp, machine: WsMachine) -> Iterator[Diagnostic]:
    products = [op for op in network.body.block.ops if isinstance(op, Conv2dOp | DenseOp)]
    for index, op in enumerate(products):
        layer = op.layer_name or op.name
        channels, height, width = map_shape(op.x)
        kernel = op.window.window.kernel if isinstance(op, Conv2dOp) else (height, width)
        packed = index == 0 and taps_at_once(channels, kernel[0] * kernel[1], machine.rows) > 1
        stored, pixels = _stored(op)
        found = [
            map_problem(
                f"the input of layer `{layer}`",
                machine.rows if packed else channels,
                -(-height * width // machine.word_bytes),
                machine,
                op,
            ),
            window_problem(layer, pixels, machine, op),
        ]
        if op is products[-1]:
            filters, height, width = map_shape(stored)
            words = -(-height * width // machine.word_bytes)
            found.append(map_problem(f"the output of layer `{layer}`", filters, words, machine, op))
        yield from (problem for problem in found if problem is not None)


def _stored(product: Conv2dOp | DenseOp) -> tuple[SSAValue, int]:
    """What is stored of a product: the last value on its way out, and the pixels of one pooling window."""
    value: SSAValue = product.results[0]
    pixels = 1
    while (op := _next(value)) is not None:
        if isinstance(op, MaxPoolOp):
            kernel = op.window.window.kernel
            pixels *= kernel[0] * kernel[1]
        value = op.results[0]
    return value, pixels


def _next(value: SSAValue) -> Operation | None:
    users = [use.operation for use in value.uses]
    return users[0] if len(users) == 1 and isinstance(users[0], ON_THE_WAY_OUT) else None
