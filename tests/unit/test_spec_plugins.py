"""Plug-ins: merged when they work, a warning when they do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from xdsl.passes import ModulePass
from xdsl.universe import Universe

from hapir.diagnostics import Findings, Span
from hapir.dialects.nn_elementwise_layers import Relu
from hapir.lowering.compress.fold_batch_norm import FoldBatchNormPass
from hapir.plugins import merge
from hapir.registry import HAPIR, universe
from hapir.spec import resolve, syntax
from hapir.universe import HapirUniverse


@dataclass
class Plugin:
    """What an installed entry point gives: a name and a way to load it."""

    name: str
    value: str
    universe: Any

    def load(self) -> Any:
        if isinstance(self.universe, Exception):
            raise self.universe
        return self.universe


def merged(*plugins: Any) -> tuple[HapirUniverse, list[str]]:
    found, problems = merge(HAPIR, plugins)
    assert all(p.severity == "warning" for p in problems)
    return found, [f"{p.code} {p.message}" for p in problems]


def test_own_entries_without_any_plugin():
    found, problems = merged()
    assert problems == []
    assert found.layers == HAPIR.layers
    assert found.all_passes == HAPIR.all_passes


def test_own_entry_point_is_not_a_clash():
    """As installed: the entry point of hapir itself leads to the universe that is already there."""
    own = EntryPoint("hapir", "hapir.registry:HAPIR", "xdsl.universe")
    assert merged(own)[1] == []


def test_a_working_plugin():
    plugin = Plugin("more", "more:U", HapirUniverse(layers={"swish": lambda: Relu}, dataflows={"rs": lambda: Relu}))
    plain = Plugin("plain", "plain:U", Universe(all_passes={"mine": lambda: FoldBatchNormPass}))
    found, problems = merged(plugin, plain)
    assert problems == []
    assert found.layers["swish"]() is Relu
    assert "conv2d" in found.layers
    assert "rs" in found.dataflows
    assert "mine" in found.all_passes
    assert "swish" not in HAPIR.layers


def test_broken_plugins_cost_only_themselves():
    found, problems = merged(
        Plugin("a", "a:U", ImportError("no module named a")),
        Plugin("b", "b:U", 3),
        Plugin("c", "c:U", HapirUniverse(layers={"swish": lambda: Relu})),
    )
    assert "swish" in found.layers
    assert problems == [
        "HAP0230 the plug-in `a` cannot be loaded: ImportError: no module named a",
        "HAP0230 the plug-in `b` cannot be loaded: b:U is a int, not a Universe",
    ]


def test_clashes_have_an_order():
    first = Plugin("a", "a:U", HapirUniverse(layers={"relu": lambda: Relu, "swish": lambda: Relu}))
    passes: dict[str, Callable[[], type[ModulePass]]] = {"canonicalize": lambda: FoldBatchNormPass}
    second = Plugin("b", "b:U", HapirUniverse(layers={"swish": lambda: Relu}, all_passes=passes))
    found, problems = merged(second, first)
    assert found.layers["relu"] is HAPIR.layers["relu"]
    assert found.layers["swish"] is first.universe.layers["swish"]
    assert "canonicalize" not in found.all_passes
    assert problems == [
        "HAP0231 the plug-in `a` offers the layer `relu`, which hapir has already",
        "HAP0231 the plug-in `b` offers the pass `canonicalize`, which xDSL has already",
        "HAP0231 the plug-in `b` offers the layer `swish`, which a has already",
    ]


def test_an_entry_that_fails_to_load_is_a_finding():
    def broken() -> type[Any]:
        raise ImportError("no module named x")

    findings = Findings()
    name = syntax.Name("x", Span("t.hap", 1, 1, 1, 2))
    assert resolve.resolve({"x": broken}, name, "layer", "HAP0201", findings) is None
    (found,) = findings.sorted()
    assert (found.code, found.span) == ("HAP0230", name.span)


@pytest.mark.parametrize("kind", ["all_dialects", "all_passes", "all_targets", "layers", "units", "dataflows"])
def test_every_entry_loads_and_is_documented(kind: str):
    entries: dict[str, Any] = getattr(universe(), kind)
    for name, getter in entries.items():
        entry = getter()
        if kind in ("all_dialects", "all_passes", "all_targets", "units", "dataflows"):
            assert entry.name == name
        if kind != "all_dialects":
            assert entry.__doc__
            assert not entry.__doc__.startswith(f"{entry.__name__}("), f"{name} has the docstring of a bare dataclass"
        if kind == "layers":
            assert "Example:" in entry.__doc__
