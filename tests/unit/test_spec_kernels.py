"""`kernel` blocks of a schedule: what becomes of them, how they are laid out, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hapir.diagnostics import HapirError
from hapir.dialects.dataflow import ScheduleOp
from hapir.dialects.kernel import ALGORITHMS, ChoiceAttr, RequestOp
from hapir.dialects.kernel_kinds import KINDS, Direct, Dsc, KernelKind, Winograd, choice_of, kind_of
from hapir.pipeline import ir_text
from hapir.registry import make_context
from hapir.spec import build_module, load_spec_text
from hapir.spec.format import format_text

SPEC = """hap 1

network n(image: f32[1, 1, 8, 8]) -> f32[1, 10] {
    c1 = conv2d(image, channels = 16, kernel = 3, padding = 1)
    r1 = relu(c1)
    c[2] = conv2d(r1, channels = 16, kernel = 3, padding = 1)
    f1 = dense(flatten(c[2]), units = 10)
    return f1
}
machine m { host cpu { isa = generic } }
schedule s of n ON {
    BLOCK
}
"""


def schedule_of(block: str, on: str = "") -> ScheduleOp | None:
    """The schedule of the module, with a block in its body."""
    spec = load_spec_text(SPEC.replace("BLOCK", block).replace("ON", on), "x.hap", Path())
    module = build_module(spec, "s", make_context(), weights=False)
    return next((op for op in module.body.block.ops if isinstance(op, ScheduleOp)), None)


def requests(block: str, on: str = "") -> list[str]:
    """What the schedule asks for, as IR."""
    schedule = schedule_of(block, on)
    found = [] if schedule is None else [op for op in schedule.body.block.ops if isinstance(op, RequestOp)]
    return [ir_text(op).strip().removeprefix("kernel.request ") for op in found]


@pytest.mark.parametrize("on", ["", "on m"])
@pytest.mark.parametrize(
    ("block", "wanted"),
    [
        ("kernel c1 { }", ['"c1" <direct>']),
        ("kernel c1 { algorithm = winograd, tile = 4 }", ['"c1" <winograd, {tile = 4 : i64}>']),
        ('kernel "c*" { arithmetic = bf16 }', ['"c*" <direct, "bf16">']),
        ("kernel c[2] { algorithm = sparse }", ['"c2" <sparse>']),
        ("let t = 4; kernel c1 { algorithm = winograd, tile = t - 2 }", ['"c1" <winograd, {tile = 2 : i64}>']),
        (
            "kernel f1 { pixels = 7, blocks = 4, order = rows }",
            ['"f1" <direct, {pixels = 7 : i64, blocks = 4 : i64, order = "rows"}>'],
        ),
        (
            'kernel f1 { algorithm = ras }; kernel "*" { algorithm = dsc, tau = 4 }',
            ['"f1" <ras>', '"*" <dsc, {tau = 4 : i64}>'],
        ),
    ],
)
def test_blocks_become_requests(block: str, wanted: list[str], on: str):
    assert requests(block, on) == wanted


def test_a_schedule_without_a_machine_has_an_op_where_it_asks_for_kernels():
    assert schedule_of("") is None
    schedule = schedule_of("kernel c1 { }")
    assert schedule is not None
    assert schedule.machine is None
    assert 'dataflow.schedule @s network @n dataflow "weight_stationary"' in ir_text(schedule)


@pytest.mark.parametrize(
    ("block", "code", "says"),
    [
        ("kernel c9 { }", "HAP0208", "has no layer `c9`"),
        ('kernel "x*" { }', "HAP0208", "has no layer `x*`"),
        ("kernel c1 { algorithm = winogard }", "HAP0304", "did you mean `winograd`?"),
        ("kernel c1 { algorithm = fft }", "HAP0304", "one of direct, winograd, sparse, ras, dsc"),
        ("kernel c1 { algorithm = 4 }", "HAP0304", "one of direct, winograd, sparse, ras, dsc"),
        ("kernel c1 { algorithm = ras, algorithm = dsc }", "HAP0221", "given twice"),
        ("kernel c1 { pixels = 4, pixels = 5 }", "HAP0221", "given twice"),
        ("kernel c1 { algorithm = winograd, tile = 3 }", "HAP0304", "`tile` takes one of 2, 4"),
        ("kernel c1 { tile = 4 }", "HAP0204", "write `algorithm = winograd`"),
        ("kernel c1 { algorithm = winograd, tau = 10 }", "HAP0204", "write `algorithm = dsc`"),
        ("kernel c1 { algorithm = dsc, tau = 11 }", "HAP0305", "must be in 0..10, not 11"),
        ("kernel c1 { algoritm = direct }", "HAP0204", "did you mean `algorithm`?"),
        ("kernel c1 { speed = 4 }", "HAP0204", "here may stand algorithm, arithmetic"),
        ("kernel c1 { blocks = 65 }", "HAP0305", "`blocks` must be in 1..64"),
        ("kernel c1 { pixels = 4 KiB }", "HAP0302", "without a unit"),
        ("kernel c1 { at pe { } }", "HAP0216", "a kernel is made of settings"),
        ("kernle c1 { }", "HAP0216", "did you mean `kernel`?"),
        ("kernel c1 { }; kernel c1 { }", "HAP0221", "the layer `c1` has two kernels; remove one of them"),
        ('kernel "c*" { }; kernel "*2" { }', "HAP0221", "the layer `c2` has two kernels"),
    ],
)
def test_what_is_wrong_is_said(block: str, code: str, says: str):
    with pytest.raises(HapirError) as raised:
        requests(block)
    (found,) = raised.value.diagnostics
    assert found.code == code
    assert found.span is not None
    assert says in f"{found.message}; {found.help}"


def test_blocks_are_laid_out():
    blocks = 'kernel  c1{algorithm=winograd,tile=4}; kernel "c*"{pixels=2;}'
    text = format_text(SPEC.replace("BLOCK", blocks).replace("ON ", ""), "x.hap")
    assert '    kernel c1   { algorithm = winograd, tile = 4 }\n    kernel "c*" { pixels = 2 }\n' in text


@pytest.mark.parametrize(
    "kind",
    [*(kind() for kind in KINDS.values()), Direct("bf16", 7, 4, "rows"), Winograd(2), Dsc(4, 2)],
    ids=str,
)
def test_kinds_and_choices_are_one(kind: KernelKind):
    assert kind_of(choice_of(kind)) == kind


def test_kinds_are_those_of_the_dialect():
    assert tuple(KINDS) == ALGORITHMS


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (choice_of(Direct(pixels=4)).options, "has no option `pixels`"),
        (choice_of(Dsc(5)).options, "has no option `tau`"),
    ],
)
def test_a_choice_with_options_of_another_algorithm_is_refused(choice: object, says: str):
    with pytest.raises(ValueError, match=says):
        kind_of(ChoiceAttr.of("winograd", options=choice.data))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]  # a dictionary attribute
