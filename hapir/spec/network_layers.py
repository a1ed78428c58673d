"""One layer of a network: the registered class behind a call, the tensors it takes, the ops that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.utils.exceptions import VerifyException

from hapir.diagnostics import Findings, Label, Span, location_of
from hapir.dialects import nn, num
from hapir.dialects.nn_shapes import Shape, ShapeError, text
from hapir.dialects.num import shape_of
from hapir.registry import universe
from hapir.spec import syntax
from hapir.spec.network_help import arguments, shapes_that_fit, unknown_layer
from hapir.spec.options import origins
from hapir.spec.resolve import resolve
from hapir.spec.tensor_types import check_size, type_text

if TYPE_CHECKING:
    from hapir.dialects.nn_layers import LayerDefinition


def layer_definition(
    kind: syntax.Name, blocks: Collection[str], tensors: Callable[[], Iterable[str]], findings: Findings
) -> type[LayerDefinition] | None:
    """The registered layer of a name; None after an error, whose help knows the blocks and tensors at hand.

    `tensors` lists their names; it is asked after an error only, for there may be thousands.
    """
    layers = universe().layers
    if kind.text in layers:
        return resolve(layers, kind, "layer", "HAP0201", findings)
    help = unknown_layer(kind.text, [*layers, *blocks], [*tensors()])
    findings.error("HAP0201", f"there is no layer `{kind.text}`", at=kind.span, help=help)
    return None


def takes(definition: type[LayerDefinition], call: syntax.Call, findings: Findings) -> bool:
    """Whether a call gives as many tensors as its layer takes; a wrong number is an error."""
    wanted, given = definition.inputs, len(call.arguments)
    if (wanted is None and given) or given == wanted:
        return True
    if wanted is not None and 0 < given - wanted <= definition.parameters:
        surplus = call.arguments[wanted:]
        if all(isinstance(a, syntax.Name | syntax.Call | syntax.Tensor | syntax.Member) for a in surplus):
            return True
    count = "at least one tensor" if wanted is None else "one tensor" if wanted == 1 else f"{wanted} tensors"
    at = call.arguments[wanted].span if wanted is not None and given > wanted else call.span
    help = arguments(call.function.text, call, wanted, definition)
    findings.error("HAP0205", f"`{call.function.text}` takes {count}, {given} given", at=at, help=help)
    return False


def layer_ops(
    definition: LayerDefinition,
    tensors: Sequence[SSAValue],
    layer: str,
    call: syntax.Call,
    made_at: Sequence[Span],
    findings: Findings,
) -> tuple[list[Operation], Operation] | None:
    """What gives the layer's parameters, and its op, at the place of the call.

    None where the shapes do not fit, which is an error. A layer that is a constant and no more has one weight, which is
    its op too. `made_at` tells where each tensor is made. Tensors after those that the layer takes stand for its first
    parameters.
    """
    weights: list[Operation] = []
    own = tensors[: definition.inputs]
    given = list(tensors[len(own) :])

    def parameter(suffix: str, shape: Shape, element: Attribute = f32, /, *, reals: bool = False) -> SSAValue:
        check_size(shape)
        if given:
            return _in_place_of(suffix, TensorType(element, shape), given.pop(0))
        weight = nn.WeightOp(f"{layer}.{suffix}", TensorType(element, shape))
        weight.result.name_hint = hint(weight.key.data)
        weights.append(weight)
        if not reals:
            return weight.result
        weights.append(num.DequantizeOp(weight.result))
        return weights[-1].results[0]

    try:
        op = definition.build(own, parameter, layer)
        if given:
            raise ShapeError(f"there is no parameter for the last {len(given)} of the tensors")
        op.verify()
        for result in op.results:
            check_size(shape_of(result))
    except (ShapeError, VerifyException, ValueError) as error:
        labels = [Label(at, f"this is {type_text(v.type)}") for at, v in zip(made_at, tensors, strict=True)]
        labels += origins(option.value for option in call.options)
        message = str(error).removeprefix("Operation does not verify: ").removeprefix("nn.").removeprefix("num.")
        help = shapes_that_fit(call, [shape_of(value) for value in own], definition)
        findings.error("HAP0301", f"`{layer}`: {message}", at=call.span, labels=labels, help=help)
        return None
    for made in (*weights, op):
        made.location = location_of(call.span)
    return weights, op


def _in_place_of(suffix: str, wanted: TensorType[Attribute], tensor: SSAValue) -> SSAValue:
    """A tensor that stands for a parameter. Raises ShapeError where it has another shape or type."""
    if shape_of(tensor) != wanted.get_shape():
        shapes = f"{text(shape_of(tensor))}, needs {text(wanted.get_shape())}"
        raise ShapeError(f"the tensor in the place of {suffix} has shape {shapes}")
    if tensor.type != wanted:
        raise ShapeError(f"the tensor in the place of {suffix} is {type_text(tensor.type)}, needs {type_text(wanted)}")
    return tensor


def hint(name: str) -> str:
    """The SSA name that a tensor's name gives."""
    return name.replace(".", "_")
