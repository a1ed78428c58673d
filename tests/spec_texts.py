"""Specs as texts in tests: what they come to, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from xdsl.dialects.builtin import ModuleOp

from hapir.diagnostics import Diagnostic, HapirError
from hapir.registry import make_context
from hapir.spec import build_module, load_spec_text
from hapir.spec.check import Spec

NOWHERE = Path("nowhere")


def spec_of(text: str) -> Spec:
    """The spec of a text without its version line."""
    return load_spec_text(f"hap 1\n{text}", "t.hap", NOWHERE)


def module_of(text: str, schedule: str | None = None, network: str | None = None) -> ModuleOp:
    """The module of a schedule or network, without weights."""
    return build_module(spec_of(text), schedule, make_context(), network, weights=False)


def errors(text: str) -> list[tuple[str, str]]:
    """Codes and messages of what is wrong with a text."""
    return [(d.code, d.message) for d in diagnostics(text)]


def diagnostics(text: str) -> tuple[Diagnostic, ...]:
    """What is wrong with a text."""
    with pytest.raises(HapirError) as raised:
        spec_of(text)
    return raised.value.diagnostics


BASIC = """
block basic(x, channels, stride = 1) {
    c1 = conv2d(x, channels = channels, kernel = 3, stride = stride, padding = 1)
    r1 = relu(c1)
    return relu(conv2d(r1, channels = channels, kernel = 1))
}
"""
"""A block of two convolutions."""
