"""What a network returns: the values behind its `return` against the results that it declares, and the op's ending."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from xdsl.dialects.builtin import ArrayAttr, FunctionType, StringAttr, TensorType
from xdsl.ir import Attribute, SSAValue

from hapir.diagnostics import Findings, Label, Span, location_of
from hapir.dialects import nn
from hapir.dialects.num import element_type, shape_of
from hapir.spec import syntax
from hapir.spec.evaluate import Scope
from hapir.spec.tensor_types import plain_element, tensor_type, type_text
from hapir.spec.twice import defined_twice

UNNAMED_RESULT = "output"
Returned: TypeAlias = tuple[SSAValue | None, Span]
"""A value that is returned (None after an error in it), and its place."""


def result_names(results: Sequence[syntax.Parameter]) -> list[str]:
    """The names of declared results; one alone may have none."""
    return [result.name.text if result.name else UNNAMED_RESULT for result in results]


def returned_values(
    statement: syntax.Return, rest: Sequence[syntax.Statement], findings: Findings
) -> list[syntax.Value]:
    """The values of `return x, y`: the parser takes those after a separator for statements of their own."""
    values = [statement.value]
    for extra in rest:
        match extra:
            case (
                syntax.Assign()
                | syntax.Return()
                | syntax.Weights()
                | syntax.Let()
                | syntax.Repeat()
                | syntax.LayerBlock()
            ):
                help = "move it above the `return`"
                findings.error("HAP0218", "nothing may follow the results", at=extra.span, help=help)
            case _:
                values.append(extra)
    return values


def check_results(
    statement: syntax.Return,
    returned: Sequence[Returned],
    declared: Sequence[syntax.Parameter],
    scope: Scope,
    findings: Findings,
) -> None:
    """Compare what is returned with the results that the network declares, number and types."""
    if len(returned) != len(declared):
        findings.error(
            "HAP0218",
            f"the network declares {len(declared)} results and returns {len(returned)}",
            at=statement.span,
            labels=[Label(declared[0].span, "declared here")],
            help="several results are written `-> (a: f32[1, 4], b: f32[1, 8])`, and `return x, y`",
        )
        return
    for (value, span), parameter in zip(returned, declared, strict=True):
        assert parameter.type is not None
        expected = tensor_type(parameter.type, scope, findings)
        if value is not None and expected is not None and not _is_declared(value, expected):
            findings.error(
                "HAP0303",
                f"this result is {type_text(value.type)}, the network declares {type_text(expected)}",
                at=span,
                labels=[Label(parameter.type.span, "declared here")],
                help=f"return what is declared, or declare `-> {type_text(value.type)}`",
            )


def _is_declared(value: SSAValue, expected: TensorType[Attribute]) -> bool:
    """Whether a result has its declared type; that of codes is the type of the integers that hold them."""
    element = plain_element(element_type(value))
    return (element, shape_of(value)) == (expected.get_element_type(), expected.get_shape())


def check_result_names(declared: Sequence[syntax.Parameter], findings: Findings) -> None:
    """Report results of the same name."""
    places: dict[str, Span] = {}
    for parameter, name in zip(declared, result_names(declared), strict=True):
        if parameter.name is not None and name in places:
            defined_twice(f"the result `{name}`", parameter.name.span, places[name], findings)
        places.setdefault(name, parameter.span)


def finish(op: nn.NetworkOp, network: syntax.Network, returned: Sequence[Returned]) -> None:
    """End an op whose statements are all right: its return, its type, and the names of its inputs and results."""
    result = nn.ReturnOp([value for value, _ in returned if value is not None])
    result.location = location_of(returned[0][1])
    block = op.body.block
    block.add_op(result)
    op.function_type = FunctionType.from_lists([a.type for a in block.args], [v.type for v in result.values])
    inputs = [p.name.text for p in network.inputs if p.name]
    op.properties["input_names"] = ArrayAttr([StringAttr(name) for name in inputs])
    op.properties["result_names"] = ArrayAttr([StringAttr(name) for name in result_names(network.results)])
