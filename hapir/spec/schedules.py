"""A `schedule` block as a `dataflow.schedule`: the dataflow, maps that pin loops of layers to a machine's parts, and
kernels that compute layers on a host.

Beside them a schedule may say which parameters its network has: `weights = "file"` or `weights = random(seed = 1)`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from hapir.diagnostics import Findings, Label, Span, did_you_mean, location_of, some
from hapir.dialects.dataflow import DIMENSIONS, TENSORS, LevelOp, MapOp, ScheduleOp
from hapir.dialects.machine import ArrayOp, MachineOp
from hapir.dialects.machine_memory import MemoryOp
from hapir.random_weights import RandomWeights
from hapir.registered import spell
from hapir.registry import universe
from hapir.selectors import selected
from hapir.spec import syntax
from hapir.spec.foreign import BLOCKS, suggest
from hapir.spec.frames import indexed
from hapir.spec.kernel_requests import KernelRequests
from hapir.spec.options import read_options
from hapir.spec.resolve import resolve
from hapir.spec.twice import given_twice
from hapir.spec.values import show, word

DEFAULT_DATAFLOW = "weight_stationary"
WEIGHTS, RANDOM, KERNEL = "weights", "random", "kernel"


def given_weights(schedule: syntax.Schedule, findings: Findings) -> syntax.Text | RandomWeights | None:
    """The parameters that a schedule gives its network: a file's, random ones, or none; errors go to the findings."""
    for item in schedule.items:
        if isinstance(item, syntax.Assign) and item.name.text == WEIGHTS:
            return _weights(item.value, findings)
    return None


def _weights(value: syntax.Value, findings: Findings) -> syntax.Text | RandomWeights | None:
    match value:
        case syntax.Text():
            return value
        case syntax.Call() if value.function.text == RANDOM:
            what = f"`{RANDOM}`"
            if value.arguments:
                message = f"the options of {what} are written with their names"
                findings.error("HAP0205", message, at=value.arguments[0].span, help=f"write `{RANDOM}(seed = 1)`")
                return None
            return read_options(RandomWeights, value.options, at=value.span, what=what, findings=findings)
        case _:
            message = f"`{WEIGHTS}` takes the name of a file or `{RANDOM}(seed = 1)`, not {show(value)}"
            misspelt = did_you_mean(value.function.text, [RANDOM]) if isinstance(value, syntax.Call) else None
            if isinstance(value, syntax.Name) and did_you_mean(value.text, [RANDOM]):
                misspelt = f"write `{WEIGHTS} = {RANDOM}(seed = 1)`"
            help = misspelt or f'write `{WEIGHTS} = "net.safetensors"`'
            findings.error("HAP0304", message, at=value.span, help=help)
            return None


class ScheduleBuilder:
    """Builds one schedule against its machine and the names of its network's layers; errors go to the findings."""

    def __init__(
        self, schedule: syntax.Schedule, layers: Collection[str] | None, machine: MachineOp | None, findings: Findings
    ):
        self._schedule = schedule
        self._layers = layers
        self._machine = machine
        self._findings = findings
        self._seen: dict[str, Span] = {}
        self._mapped: dict[str, syntax.Name] = {}

    def build(self) -> ScheduleOp | None:
        """The schedule's op; None where it has no machine and asks for no kernel."""
        dataflow, maps, kernels = DEFAULT_DATAFLOW, dict[str, MapOp](), list[syntax.Block]()
        for item in self._schedule.items:
            if isinstance(item, syntax.Assign) and item.name.text == "dataflow":
                self._once("dataflow", item.name)
                dataflow = self._dataflow(item.value) or dataflow
            elif isinstance(item, syntax.Assign) and item.name.text == WEIGHTS:
                self._once(WEIGHTS, item.name)
                _weights(item.value, self._findings)
            elif isinstance(item, syntax.Block) and item.kind.text == "map":
                item = self._without_indices(item)
                self._once(f"map {item.name.text}", item.name)
                self._add_maps(item, maps)
            elif isinstance(item, syntax.Block) and item.kind.text == KERNEL:
                kernels.append(self._without_indices(item))
            else:
                self._unknown(item, ("dataflow", "map", KERNEL, WEIGHTS), "a schedule")
        name, network = self._schedule.name, self._schedule.network.text
        requests = KernelRequests(network, self._layers, self._findings).read(kernels)
        if self._schedule.machine is None and not requests:
            return None
        machine = None if self._schedule.machine is None else self._schedule.machine.text
        op = ScheduleOp(name.text, network, machine, dataflow, [*maps.values(), *requests])
        op.location = location_of(name.span)
        return op

    def _without_indices(self, block: syntax.Block) -> syntax.Block:
        """The block `map c1` for `map c[1]`, and a `kernel` alike."""
        numbers = [
            i.value
            for i in block.dimensions
            if isinstance(i, syntax.Number) and isinstance(i.value, int) and i.value >= 0
        ]
        if len(numbers) < len(block.dimensions):
            message = f"the indices of `{block.name.text}` are integers of at least 0"
            self._findings.error(
                "HAP0304", message, at=block.name.span, help=f"write `{block.kind.text} {block.name.text}[1]`"
            )
        text = indexed(block.name.text, numbers) if numbers else block.name.text
        return replace(block, name=replace(block.name, text=text), dimensions=())

    def _once(self, what: str, name: syntax.Name) -> None:
        if what in self._seen:
            given_twice(what, name.span, self._seen[what], self._findings)
        self._seen.setdefault(what, name.span)

    def _unknown(self, item: syntax.Item, known: Sequence[str], what: str) -> None:
        name = item.name if isinstance(item, syntax.Assign) else item.kind if isinstance(item, syntax.Block) else None
        message = f"{what} has no `{name.text}`" if name else f"{what} is made of settings and blocks"
        help = (suggest(name.text, known, BLOCKS) if name else None) or f"here may stand {', '.join(known)}"
        self._findings.error("HAP0216", message, at=name.span if name else item.span, help=help)

    def _dataflow(self, value: syntax.Value) -> str | None:
        name = value if isinstance(value, syntax.Name) else value.function if isinstance(value, syntax.Call) else None
        if name is None:
            self._findings.error(
                "HAP0304",
                f"`dataflow` takes the name of one, not {show(value)}",
                at=value.span,
                help="for example `dataflow = weight_stationary`",
            )
            return None
        definition = resolve(universe().dataflows, name, "dataflow", "HAP0217", self._findings)
        options = value.options if isinstance(value, syntax.Call) else ()
        if isinstance(value, syntax.Call) and value.arguments:
            message = f"the options of dataflow `{name.text}` are written with their names"
            self._findings.error("HAP0205", message, at=value.arguments[0].span, help="write `name = value`")
        if definition is None:
            return None
        what = f"dataflow `{name.text}`"
        chosen = read_options(definition, options, at=name.span, what=what, findings=self._findings)
        return None if chosen is None else spell(chosen)

    def _add_maps(self, block: syntax.Block, maps: dict[str, MapOp]) -> None:
        """The maps of a `map` block: one per layer that its name, a glob, matches.

        A layer that is named outright keeps that map; two globs that match one layer are an error.
        """
        pattern = block.name
        matching = [pattern.text]
        if self._layers is not None:
            matching = selected(self._layers, [pattern.text])
        if not matching:
            network, layers = self._schedule.network, self._layers or ()
            self._findings.error(
                "HAP0208",
                f"the network `{network.text}` has no layer `{pattern.text}`",
                at=pattern.span,
                help=did_you_mean(pattern.text, layers) or f"its layers are {some(layers)}",
            )
            matching = [pattern.text]
        for layer in matching:
            first = self._mapped.get(layer)
            if first is not None and layer not in (first.text, pattern.text):
                labels = [Label(first.span, "first given here")]
                message = f"the layer `{layer}` is mapped twice"
                self._findings.error("HAP0221", message, at=pattern.span, labels=labels, help="name it in a map alone")
            if first is None or layer == pattern.text:
                self._mapped[layer] = pattern
                maps[layer] = self._map(block, layer)

    def _map(self, block: syntax.Block, layer: str) -> MapOp:
        levels: list[LevelOp] = []
        places: dict[str, Span] = {}
        for item in block.items:
            if not isinstance(item, syntax.Block) or item.kind.text != "at":
                self._unknown(item, ("at",), "a map")
                continue
            if item.name.text in places:
                first, what = places[item.name.text], f"at {item.name.text}"
                given_twice(what, item.name.span, first, self._findings, help="put all its settings into one")
            places[item.name.text] = item.name.span
            levels.append(self._level(item))
        op = MapOp(layer, levels)
        op.location = location_of(block.name.span)
        return op

    def _level(self, block: syntax.Block) -> LevelOp:
        place = block.name
        known = self._parts()
        is_array = known.get(place.text) is ArrayOp
        if known and place.text not in known:
            assert self._schedule.machine is not None
            self._findings.error(
                "HAP0210",
                f"the machine `{self._schedule.machine.text}` has no memory or array `{place.text}`",
                at=place.span,
                help=did_you_mean(place.text, known) or f"it has {', '.join(known)}",
            )
            is_array = False
        loops, lists = list[tuple[str, int]](), dict[str, list[str]]()
        for item in block.items:
            setting = item.name.text if isinstance(item, syntax.Assign) else None
            if not isinstance(item, syntax.Assign) or setting not in ("for", "rows", "columns", "bypass"):
                self._unknown(item, ("for", "rows", "columns", "bypass"), "a level")
            elif setting == "for":
                loops = self._loops(item.value)
            elif setting != "bypass" and known and place.text in known and not is_array:
                self._findings.error(
                    "HAP0216",
                    f"`{place.text}` is a memory: only an array has `{setting}`",
                    at=item.name.span,
                    help="a memory takes `for` and `bypass`",
                )
            else:
                lists[item.name.text] = self._names(item.value, TENSORS if setting == "bypass" else DIMENSIONS)
        op = LevelOp(
            place.text,
            loops=loops,
            rows=lists.get("rows", ()),
            columns=lists.get("columns", ()),
            bypass=lists.get("bypass", ()),
        )
        op.location = location_of(place.span)
        return op

    def _parts(self) -> dict[str, type]:
        """The names of the machine's memories and arrays, those inside arrays too."""
        if self._machine is None:
            return {}
        return {op.sym_name.data: type(op) for op in self._machine.body.walk() if isinstance(op, MemoryOp | ArrayOp)}

    def _loops(self, value: syntax.Value) -> list[tuple[str, int]]:
        loops: list[tuple[str, int]] = []
        if not isinstance(value, syntax.Sequence):
            self._findings.error(
                "HAP0304",
                f"`for` takes a list like [K: 2, C: 1], not {show(value)}",
                at=value.span,
                help="write `for = [K: 2, C: 1]`",
            )
            return loops
        for pair in value.elements:
            if not isinstance(pair, syntax.Pair):
                self._findings.error(
                    "HAP0304",
                    "a loop is a dimension and its factor, like K: 2",
                    at=pair.span,
                    help="write `for = [K: 2, C: 1]`",
                )
            elif not self._is_one_of(pair.key, DIMENSIONS):
                continue
            elif not isinstance(pair.value, syntax.Number) or not isinstance(pair.value.value, int):
                message = f"the factor of {pair.key.text} is an integer, not {show(pair.value)}"
                self._findings.error("HAP0304", message, at=pair.value.span, help=f"for example `{pair.key.text}: 2`")
            elif not 1 <= pair.value.value < 1 << 31:
                message = f"the factor of {pair.key.text} must be in 1..2147483647"
                self._findings.error("HAP0305", message, at=pair.value.span, help="1 leaves the loop out")
            else:
                loops.append((pair.key.text, pair.value.value))
        return loops

    def _names(self, value: syntax.Value, known: Sequence[str]) -> list[str]:
        elements = value.elements if isinstance(value, syntax.Sequence) else (value,)
        names: list[str] = []
        for element in elements:
            name = word(element)
            if name is None:
                self._findings.error(
                    "HAP0304",
                    f"expected one of {', '.join(known)}",
                    at=element.span,
                    help=f"for example `[{known[0]}]`",
                )
            elif self._is_one_of(syntax.Name(name, element.span), known):
                names.append(name)
        return names

    def _is_one_of(self, name: syntax.Name, known: Sequence[str]) -> bool:
        if name.text in known:
            return True
        kind = "dimension" if known is DIMENSIONS else "tensor"
        self._findings.error(
            "HAP0211", f"`{name.text}` is not a {kind}", at=name.span, help=f"one of {', '.join(known)}"
        )
        return False
