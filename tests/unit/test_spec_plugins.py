"""Plug-ins: merged when they work, a warning when they do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

import pytest
from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.universe import Universe

from hapir.diagnostics import Findings, HapirError, Span
from hapir.dialects.dataflow_kinds import WeightStationary
from hapir.dialects.formats import Fixed
from hapir.dialects.machine_units import UnitOp
from hapir.dialects.nn_elementwise_layers import Relu
from hapir.lowering.compress.fold_batch_norm import FoldBatchNormPass
from hapir.multipliers.truncated import Truncated
from hapir.plugins import KINDS, merge
from hapir.registry import HAPIR, universe
from hapir.spec import machines, resolve, syntax
from hapir.spec.options import Measure, measured_in
from hapir.spec.parse import parse
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
        "HAP0230 the plug-in `b` cannot be loaded: b:U is an int, not a Universe",
    ]


def test_clashes_have_an_order():
    first = Plugin("a", "a:U", HapirUniverse(layers={"relu": lambda: Relu, "swish": lambda: Relu}))
    passes: dict[str, Callable[[], type[ModulePass]]] = {"canonicalize": lambda: FoldBatchNormPass}
    second = Plugin("b", "b:U", HapirUniverse(layers={"swish": lambda: Relu}, all_passes=passes))
    found, problems = merged(second, first)
    assert found.layers["relu"] is HAPIR.layers["relu"]
    assert found.layers["swish"]() is Relu
    assert "canonicalize" not in found.all_passes
    assert problems == [
        "HAP0231 the plug-in `a` offers the layer `relu`, which hapir has already",
        "HAP0231 the plug-in `b` offers the pass `canonicalize`, which xDSL has already",
        "HAP0231 the plug-in `b` offers the layer `swish`, which a has already",
    ]


def test_an_entry_that_fails_to_load_is_a_finding():
    def broken() -> type[Any]:
        raise ImportError("no module named x")

    universe, problems = merged(Plugin("a", "a:U", HapirUniverse(layers={"x": broken})))
    assert problems == []  # entries are loaded when they are used
    findings = Findings()
    name = syntax.Name("x", Span("t.hap", 1, 1, 1, 2))
    assert resolve.resolve(universe.layers, name, "layer", "HAP0201", findings) is None
    (found,) = findings.sorted()
    assert (found.code, found.span) == ("HAP0230", name.span)
    assert found.message == "the layer `x` of the plug-in `a` cannot be loaded: ImportError: no module named x"


@dataclass(frozen=True)
class Nameless:
    """A dataclass without the name it is registered under."""


@pytest.mark.parametrize(
    ("field", "entry", "reason"),
    [
        ("all_passes", Relu, "Relu is not a ModulePass class"),
        ("all_passes", FoldBatchNormPass, "FoldBatchNormPass has the name `fold_batch_norm`"),
        ("all_targets", Relu, "Relu is not a Target class"),
        ("all_dialects", Relu, "Relu is not a Dialect"),
        ("layers", 3, "an int is not a dataclass"),
        ("layers", str, "str is not a dataclass"),
        ("units", Nameless, "Nameless has the name `None`"),
        ("formats", Fixed, "Fixed has the name `fixed`"),
        ("multipliers", Truncated(2), "a Truncated is not a dataclass"),
        ("encodings", Relu, "Relu has the name `None`"),
        ("dataflows", WeightStationary, "WeightStationary has the name `weight_stationary`"),
        ("machines", Path("nowhere.hap"), "is not a file that exists"),
        ("networks", "text", "a str is not a file that exists"),
    ],
)
def test_an_entry_that_is_not_of_its_kind(field: str, entry: object, reason: str):
    fields: dict[str, Any] = {field: {"x": lambda: entry}}
    universe, problems = merged(Plugin("a", "a:U", HapirUniverse(**fields)))
    assert problems == []
    with pytest.raises(HapirError) as raised:
        getattr(universe, field)["x"]()
    (found,) = raised.value.diagnostics
    assert found.code == "HAP0230"
    assert f"the {KINDS[field]} `x` of the plug-in `a` cannot be loaded: " in found.message
    assert reason in found.message


@pytest.mark.parametrize("entries", [["x"], {"x": 3}, {3: lambda: Relu}, 7])
def test_a_field_that_is_no_dict_of_getters(entries: Any):
    whole = HapirUniverse(layers={"swish": lambda: Relu})
    whole.formats = entries
    universe, problems = merged(Plugin("a", "a:U", whole))
    assert universe.formats == HAPIR.formats
    assert "swish" in universe.layers
    assert problems == ["HAP0230 the plug-in `a` has no dict of names and getters in `formats`"]


def test_files_of_the_library_are_taken_names():
    file = Path(__file__)
    plugin = Plugin("a", "a:U", HapirUniverse(machines={"ws_8x8": lambda: file, "mine": lambda: file}))
    universe, problems = merged(plugin)
    assert list(universe.machines) == ["mine"]
    assert universe.machines["mine"]() == file
    assert problems == ["HAP0231 the plug-in `a` offers the machine `ws_8x8`, which hapir has already"]


@pytest.mark.parametrize(
    "kind",
    [
        *("all_dialects", "all_passes", "all_targets", "layers", "units", "blocks", "dataflows", "formats"),
        *("multipliers", "encodings", "evaluators"),
    ],
)
def test_every_entry_loads_and_is_documented(kind: str):
    entries: dict[str, Any] = getattr(universe(), kind)
    for name, getter in entries.items():
        entry = getter()
        if kind != "layers":
            assert entry.name == name
        if kind != "all_dialects":
            assert entry.__doc__
            assert not entry.__doc__.startswith(f"{entry.__name__}("), f"{name} has the docstring of a bare dataclass"
        if kind == "layers":
            assert "Example:" in entry.__doc__


@dataclass(frozen=True)
class Battery:
    """A block of a plug-in: what feeds a machine."""

    name: ClassVar[str] = "battery"
    within: ClassVar[tuple[str, ...]] = ("machine",)
    refers: ClassVar[tuple[str, ...]] = ("feeds",)
    charge: Measure = field(metadata=measured_in("energy"))
    feeds: tuple[str, ...] = ()

    def op(self, name: str, parts: Sequence[Operation]) -> Operation:
        return UnitOp(name, {"charge": FloatAttr(float(self.charge.value), 64)})


def machine_with(blocks: dict[str, Callable[[], type[Any]]], text: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The diagnostics of a machine of this text where plug-ins offer these blocks; else the units that it has."""
    extended, _ = merged(Plugin("power", "power:U", HapirUniverse(blocks=blocks)))
    monkeypatch.setattr(machines, "universe", lambda: extended)
    (machine,) = parse(f"hap 1\nmachine m {{ {text} }}", "t.hap").definitions
    assert isinstance(machine, syntax.Machine)
    findings = Findings()
    op = machines.MachineBuilder(machine, findings).build()
    if op is None:
        return [f"{d.code} {d.message}" for d in findings.sorted()]
    return [str(unit) for unit in op.walk() if isinstance(unit, UnitOp)]


def test_a_block_of_a_plugin_is_as_good_as_our_own(monkeypatch: pytest.MonkeyPatch):
    blocks: dict[str, Callable[[], type[Any]]] = {"battery": lambda: Battery}
    good = "memory buffer { size = 1 KiB }; battery cell { charge = 2 nJ, feeds = buffer }"
    assert machine_with(blocks, good, monkeypatch) == ['machine.unit "cell" {charge = 2.000000e+03 : f64}']
    wrong = "array pe[1, 1] { battery inner { charge = 1 J } }; battery cell { charge = 1 V, feeds = [pe, bufer] }"
    assert machine_with(blocks, wrong, monkeypatch) == [
        "HAP0216 there is no block `battery` here",
        "HAP0302 `charge` is an energy, not 1 V (a voltage)",
        "HAP0210 the machine `m` has no memory or array `bufer`",
    ]


def test_a_broken_block_is_reported_where_it_is_named(monkeypatch: pytest.MonkeyPatch):
    def broken() -> type[Any]:
        raise ImportError("no module named cells")

    assert machine_with({"battery": broken}, "memory buffer { size = 1 KiB }", monkeypatch) == []
    assert machine_with({"battery": broken}, "battery cell { }; memry x { }", monkeypatch) == [
        "HAP0230 the block `battery` of the plug-in `power` cannot be loaded: ImportError: no module named cells",
        "HAP0216 there is no block `memry` here",
    ]
