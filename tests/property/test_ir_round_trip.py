"""Text IR reads back: parsing what was printed gives the same IR and the same text, in both syntaxes."""

from __future__ import annotations

from io import StringIO

import pytest
from hypothesis import given, settings
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser
from xdsl.printer import Printer

from hapir.registry import make_context
from tests.property.ir_strategies import DrawnModule, modules
from tests.property.strategies import Sample, networks

EXAMPLES = settings(max_examples=60, deadline=None)


def text_of(module: ModuleOp, *, generic: bool, locations: bool = False) -> str:
    stream = StringIO()
    Printer(stream, print_generic_format=generic, print_debuginfo=locations).print_op(module)
    return stream.getvalue()


def assert_reads_back(module: ModuleOp, *, generic: bool) -> None:
    module.verify()
    text = text_of(module, generic=generic)
    parsed = Parser(make_context(), text).parse_module()
    parsed.verify()
    assert parsed.is_structurally_equivalent(module)
    assert text_of(parsed, generic=generic) == text


@pytest.mark.parametrize("generic", [False, True])
@EXAMPLES
@given(networks())
def test_float_networks(generic: bool, sample: Sample) -> None:
    assert_reads_back(sample.module(), generic=generic)


@pytest.mark.parametrize("generic", [False, True])
@EXAMPLES
@given(modules())
def test_quantized_networks_machines_and_schedules(generic: bool, drawn: DrawnModule) -> None:
    assert_reads_back(drawn.module, generic=generic)


@EXAMPLES
@given(networks(max_layers=3))
def test_locations(sample: Sample) -> None:
    text = text_of(sample.module(), generic=True, locations=True)
    parsed = Parser(make_context(), text).parse_module()
    assert [op.location for op in parsed.walk()] == [op.location for op in sample.module().walk()]
