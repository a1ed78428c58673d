"""What the ops of a network share: a layer's name, and result types that follow from the operands.

Invariant: an op that was made by its constructor has the result types that `implied_types` states; verification holds
every other op to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.dialects.builtin import Float32Type, IntegerType, StringAttr, TensorType, f32
from xdsl.ir import Attribute, BlockArgument, Operation, OpResult, SSAValue
from xdsl.irdl import IRDLOperation, base, operand_def, opt_prop_def, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from hapir.dialects.nn_shapes import Shape, ShapeError
from hapir.dialects.num import AffineType, BipolarType, element_type, is_float, shape_of


def layer_attr(name: str | None) -> StringAttr | None:
    """The property `layer` for a `.hap` name."""
    return None if name is None else StringAttr(name)


class LayerOp(IRDLOperation):
    """What all network ops share: a `.hap` name, and result types that follow from the operands."""

    layer = opt_prop_def(StringAttr)

    @property
    def keeps_items(self) -> bool:
        """Whether axis 0 counts items that the op treats one by one, so that a batch may hold any number of them."""
        return True

    def result_type(self) -> Attribute:
        """The type of the only result, which operands and properties imply.

        Raises VerifyException where they do not fit. An op with several results states `implied_types` instead.
        """
        raise AssertionError(f"{self.name} does not state its result type")

    def implied_types(self) -> Sequence[Attribute]:
        """The types of all results. Raises VerifyException where operands and properties do not fit."""
        return (self.result_type(),)

    def verify_(self) -> None:
        expected, found = list(self.implied_types()), [result.type for result in self.results]
        if expected != found:
            gives, says = (", ".join(map(str, types)) for types in (expected, found))
            raise VerifyException(f"{self.name} gives {gives}, the op says {says}")

    @property
    def layer_name(self) -> str | None:
        """The layer's name in the spec, if it has one."""
        return None if self.layer is None else self.layer.data


def infer_result(op: LayerOp) -> LayerOp:
    """Set a freshly made op's results to the types it implies; it was made with as many."""
    for result, type_ in zip(op.results, op.implied_types(), strict=True):
        result._type = type_  # pyright: ignore[reportPrivateUsage]  # xDSL has no setter outside a rewriter
    return op


class UnaryOp(LayerOp):
    """One tensor in, one tensor out."""

    x = operand_def(base(TensorType))
    result = result_def(base(TensorType))
    traits = traits_def(Pure())
    assembly_format = "$x (`layer` $layer^)? attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: SSAValue, *, layer: str | None = None):
        super().__init__(operands=[x], result_types=[f32], properties={"layer": layer_attr(layer)})
        infer_result(self)


def stored(value: SSAValue) -> Operation | None:
    """The `nn.weight` behind a layer's parameter, which is read as it is or, if it is coded, as reals."""
    made = value.owner
    if isinstance(made, Operation) and made.name == "num.dequantize":
        made = made.operands[0].owner
    return made if isinstance(made, Operation) and made.name == "nn.weight" else None


def is_parameter(value: SSAValue) -> bool:
    """Whether a value is made of stored parameters alone: no input of the network reaches it."""
    pending = [value]
    while pending:
        made = pending.pop()
        if isinstance(made, OpResult):
            pending += made.op.operands
            continue
        assert isinstance(made, BlockArgument)
        group = made.owner.parent_op()
        if group is None or len(group.operands) != len(made.owner.args):
            return False
        pending.append(group.operands[made.index])  # the region of a group names its operands
    return True


def implied_shape(rule: Callable[[], Shape]) -> Shape:
    """The shape a rule gives; a broken rule fails verification."""
    try:
        return rule()
    except ShapeError as error:
        raise VerifyException(str(error)) from error


def activation_element(op: Operation, value: SSAValue) -> Attribute:
    """The element type of an activation: f32, affine or raw integers, never scaled per channel."""
    element = element_type(value)
    if not isinstance(element, Float32Type | AffineType | IntegerType):
        raise VerifyException(f"{op.name} works on f32, an affine type or integers, got {element}")
    return element_type(value)


def need_zero(op: Operation, element: Attribute) -> None:
    """Raise VerifyException for codes among which there is no zero, where an op may give one."""
    if isinstance(element, AffineType) and isinstance(element.codes, BipolarType):
        raise VerifyException(f"{op.name} may give 0, and {element.codes} has odd numbers only")


def need_float(op: Operation, *values: SSAValue) -> None:
    """Raise VerifyException for a value whose elements are not f32."""
    for value in values:
        if not is_float(value):
            raise VerifyException(f"{op.name} works on f32, got {element_type(value)}")


def repeats_items(inputs: Sequence[SSAValue], result: Sequence[int]) -> bool:
    """Whether operands that repeat to fit each other keep the items along axis 0 apart: activations have all axes and
    parameters repeat along axis 0.
    """
    return bool(result) and all(_fits(v, result) for v in inputs)


def _fits(value: SSAValue, result: Sequence[int]) -> bool:
    shape = shape_of(value)
    if getattr(value.owner, "name", "") in ("nn.weight", "nn.fill"):
        return len(shape) < len(result) or shape[0] == 1
    return len(shape) == len(result) and shape[0] == result[0]
