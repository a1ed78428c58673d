"""Which operations do not verify: all that are at fault themselves, with their own words and place."""

from __future__ import annotations

from xdsl.dialects import test
from xdsl.dialects.builtin import ModuleOp, TensorType, UnknownLoc, f32
from xdsl.ir import Operation

from hapir.diagnostics import Span
from hapir.dialects.nn import ReluOp
from hapir.opt.located_parser import parse_ir
from hapir.registry import make_context
from hapir.verification import cut_short, invalid_ops

IR = """\
nn.network @n (%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) inputs ["x"] results ["y"] {
  %a = nn.relu %x : tensor<1x4xf32> -> tensor<1x4xf32>
  %b = nn.relu %a : tensor<1x4xf32> -> tensor<1x4xf32>
  nn.return %a : tensor<1x4xf32>
}
"""


def parsed() -> tuple[ModuleOp, list[Operation]]:
    module = parse_ir(make_context(), IR, "x.mlir")
    return module, [op for op in module.walk() if isinstance(op, ReluOp)]


def spoil(op: Operation, size: int = 9) -> None:
    op.results[0]._type = TensorType(f32, [size])  # pyright: ignore[reportPrivateUsage]  # on purpose wrong


def test_a_valid_module_has_none() -> None:
    assert invalid_ops(parsed()[0]) == ()


def test_each_operation_at_fault_is_found_and_those_around_it_are_not() -> None:
    module, relus = parsed()
    spoil(relus[1])
    assert [found.op for found in invalid_ops(module)] == [relus[1]]
    spoil(relus[0], 8)
    # the network is wrong as well now, but only because of what is in it
    assert [found.op for found in invalid_ops(module)] == relus
    (first, _) = (found.diagnostic("HAP0853", "before ", "a way out") for found in invalid_ops(module))
    assert first.message == "before nn.relu gives tensor<1x4xf32>, the op says tensor<8xf32>"
    assert first.span == Span("x.mlir", 2, 3, 2, 4)
    assert first.help == "a way out"


def test_an_operation_without_a_place_is_shown() -> None:
    module, relus = parsed()
    spoil(relus[1])
    relus[1].location = UnknownLoc()
    (found,) = invalid_ops(module)
    shown = found.diagnostic("HAP0853", help="a way out")
    assert shown.span is None
    assert shown.help == ("the operation is `%b = nn.relu %a : tensor<1x4xf32> -> tensor<9xf32>`; a way out")


def test_a_verifier_that_fails_is_one_that_refuses() -> None:
    """What is left of an erased operation is no VerifyException to xDSL."""
    inner = test.TestOp(result_types=[f32])
    user = test.TestOp(operands=[inner.results[0]])
    module = ModuleOp([inner, user])
    inner.results[0].replace_all_uses_with(inner.results[0])
    inner.detach()
    inner.erase(safe_erase=False)
    (found,) = invalid_ops(module)
    assert found.op is user
    assert found.message.startswith("its verifier fails: ValueError: ")


def test_long_texts_are_cut() -> None:
    assert cut_short("a\n  b") == "a b"
    assert cut_short("x" * 200) == "x" * 160 + "..."
