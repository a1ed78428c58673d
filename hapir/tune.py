"""Kernels by measurement: the top candidates of the cost model for each layer, run on this computer, the fastest kept.

Each layer is cut out as a network of its own, with its stages and its own weights; all its candidates are compiled
together and run in turn on random inputs. A measurement is kept under a hash of the C text that was measured, the
compiler and the processor, so equal layers are measured once, work that was interrupted goes on where it stopped, and
other kernels, weights or formats are measured anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Operation, SSAValue

from hapir.cache import kept_file
from hapir.dialects import nn
from hapir.dialects.dataflow import LayerOp
from hapir.dialects.kernel import ChoiceAttr, TilesAttr
from hapir.dialects.nn import NetworkOp
from hapir.dialects.num import element_type, shape_of
from hapir.files import write_atomically
from hapir.lowering.kernel.choose import (
    KERNEL,
    TILES,
    Decision,
    Hosted,
    Request,
    best_tiles_of,
    fitting_offers,
    offers_for,
    tiled,
    work_of,
)
from hapir.lowering.kernel.host import Host, detect
from hapir.lowering.kernel.offers import Offer, Work
from hapir.lowering.kernel.plan_stages import range_of
from hapir.report.table import table
from hapir.targets.c.build import FAST_FLAGS, find_compiler
from hapir.targets.c.emit import CArtefact, emit_c
from hapir.targets.c.measure import step_times
from hapir.weights import Array, WeightStore

CANDIDATES, BLOCKS = 5, 3
"""The most candidates of a layer, and of these register blocks of one kernel."""
HOPELESS = 3.0
"""Candidates that should take so many times the cycles of the best are not tried."""
NOISE = 0.02
"""What another candidate must be faster by."""


@dataclass(frozen=True)
class Candidate:
    """A kernel that was measured: predicted cycles, and microseconds on this computer."""

    kernel: str
    block: str
    cycles: int
    microseconds: float


@dataclass(frozen=True)
class TunedLayer:
    """A layer and its candidates: the one that was taken, then the others by time; `expected` is the model's."""

    layer: str
    candidates: tuple[Candidate, ...]
    expected: Candidate

    @property
    def gain(self) -> float:
        """The time of the model's choice over that of the fastest."""
        return self.expected.microseconds / self.candidates[0].microseconds


@dataclass(frozen=True)
class TuneReport:
    """What was measured, layer by layer; layers with a single candidate are left out."""

    host: str
    layers: tuple[TunedLayer, ...]

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict."""
        return {
            "host": self.host,
            "layers": [
                {"layer": t.layer, "gain": round(t.gain, 3), "candidates": [vars(c) for c in t.candidates]}
                for t in self.layers
            ],
        }

    def to_text(self) -> str:
        """A line per candidate, the fastest of a layer first; a star is the model's choice."""
        rows = [
            (t.layer if i == 0 else "", c.kernel, c.block, c.cycles, round(c.microseconds, 2),
             "*" if c == t.expected else "")
            for t in self.layers
            for i, c in enumerate(t.candidates)
        ]  # fmt: skip
        if not rows:
            return "nothing to tune: each layer has one kernel"
        return table(("layer", "kernel", "block", "predicted cycles", "us", "model"), rows)


def tune(
    found: list[tuple[str, Hosted, Hosted]],
    weights: WeightStore,
    host: Host,
    requests: Mapping[str, Request],
    *,
    cache: bool,
    done: Callable[[], None],
) -> TuneReport:
    """Set the attributes of layers to the fastest of their candidates.

    `found` are the layers by name, as they stand in the module and with their weights decoded; `weights` holds those.
    `done` is called after each. Raises HapirError as the C target and its compiler do.
    """
    bench, tuned = _Bench(cache), list[TunedLayer]()
    for name, op, decoded in found:
        work = work_of(name, decoded, weights)
        request = requests.get(name)
        offers = offers_for(work, host, None if request is None else request.kind)
        variants = list(_variants(decoded, offers, work, host, request))
        if len(variants) > 1 and not work.modelled and not work.depthwise and not work.encoded:
            times = bench.measure(decoded, [variant.attributes for variant in variants], weights)
            order = sorted(range(len(variants)), key=lambda i: times[i])
            if times[order[0]] > (1 - NOISE) * times[0]:  # as fast as the model's choice, which needs no luck
                order = [0, *(i for i in order if i != 0)]
            candidates = [_candidate(variants[i], times[i], host) for i in range(len(variants))]
            tuned.append(TunedLayer(name, tuple(candidates[i] for i in order), candidates[0]))
            op.attributes.pop(TILES, None)
            op.attributes.update(variants[order[0]].attributes)
        done()
    return TuneReport(host.name, tuple(tuned))


@dataclass(frozen=True)
class _Variant:
    """A candidate before it is measured."""

    offer: Offer
    choice: ChoiceAttr
    tiles: TilesAttr | None

    @property
    def attributes(self) -> dict[str, ChoiceAttr | TilesAttr]:
        """What an op gets."""
        return {KERNEL: self.choice, **({} if self.tiles is None else {TILES: self.tiles})}


def _variants(
    op: Hosted, offers: tuple[Offer, ...], work: Work, host: Host, request: Request | None
) -> Iterator[_Variant]:
    """The candidates of a layer, those that should be fastest first."""
    possible = sorted(fitting_offers(offers, request), key=_cycles)
    count = 0
    for offer in possible:
        if _cycles(offer) > HOPELESS * _cycles(possible[0]):
            break
        choice = Decision(work.layer, work, offers, offer, request).choice
        for tiles in best_tiles_of(op, work, host, choice, BLOCKS, request) or [None]:
            if count < CANDIDATES:
                yield _Variant(offer if tiles is None else tiled(offer, work, tiles, host), choice, tiles)
            count += 1


def _cycles(offer: Offer) -> float:
    assert offer.cost is not None
    return offer.cost.cycles


def _candidate(variant: _Variant, nanoseconds: float, host: Host) -> Candidate:
    block = ""
    if variant.tiles is not None:
        pixels, blocks = variant.tiles.by_path[host.path]
        block = f"{pixels} x {16 * blocks}, {variant.tiles.order.data}"
    return Candidate(variant.offer.title, block, round(_cycles(variant.offer)), nanoseconds / 1000)


# --- measuring ------------------------------------------------------------------------------------------------------


class _Bench:
    """Measures variants of single layers; what was measured before, in this run or an earlier one, is not run again."""

    def __init__(self, cache: bool):
        compiler = find_compiler()
        self._cache = cache
        self._here = (*compiler.command, compiler.version, *FAST_FLAGS, _processor())
        self._known: dict[str, float] = {}

    def measure(
        self, op: Hosted, variants: list[dict[str, ChoiceAttr | TilesAttr]], weights: WeightStore
    ) -> list[float]:
        """Nanoseconds of a layer as each variant."""
        artefacts = [emit_c(alone(op, attributes), weights, f"tuned{i}") for i, attributes in enumerate(variants)]
        texts = [_text(artefact) for artefact in artefacts]
        missing = [i for i, text in enumerate(texts) if self._recall(text) is None]
        if missing:
            steps = step_times([artefacts[i] for i in missing], _inputs(op))
            for i, times in zip(missing, steps, strict=True):
                own = [t for t, row in zip(times, artefacts[i].layers, strict=True) if row.layer == ALONE]
                self._keep(texts[i], sum(own or times))
        return [self._known[text] for text in texts]

    def _recall(self, text: str) -> float | None:
        if text not in self._known and self._cache:
            kept = self._file(text).read_text(encoding="utf-8")
            if kept:
                self._known[text] = float(json.loads(kept)["nanoseconds"])
        return self._known.get(text)

    def _keep(self, text: str, nanoseconds: float) -> None:
        self._known[text] = nanoseconds
        if self._cache:
            write_atomically(self._file(text), json.dumps({"nanoseconds": nanoseconds}).encode())

    def _file(self, text: str) -> Path:
        return kept_file("tune", (*self._here, text), ".json")


def _processor() -> str:
    """What tells this computer's measurements from another's."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.is_file() else ""
    model = re.search(r"^model name\s*:(.*)$", text, re.M)
    return f"{model[1].strip() if model else ''} {detect().fingerprint}"


def _text(artefact: CArtefact) -> str:
    """The C of a variant without what its places and its number in the object add."""
    text = artefact.files[f"{artefact.name}.c"].replace(artefact.name, "tuned")
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


ALONE = "layer"
"""The name of a layer that is cut out."""


def alone(op: Hosted, attributes: Mapping[str, ChoiceAttr | TilesAttr]) -> NetworkOp:
    """A layer as a network: its op, or all that runs with it, with other attributes; its activations are the inputs."""
    parent = op.parent_op()
    group: Operation = parent if isinstance(parent, LayerOp) else op
    parameters = [v for v in group.operands if isinstance(v.owner, nn.WeightOp)]
    activations = [v for v in dict.fromkeys(group.operands) if v not in parameters]
    network = NetworkOp(
        "tuned",
        [(f"x{i}", v.type) for i, v in enumerate(activations)],
        [(f"y{i}", v.type) for i, v in enumerate(group.results)],
    )
    mapping: dict[SSAValue, SSAValue] = dict(zip(activations, network.body.block.args, strict=True))
    for value in dict.fromkeys(parameters):
        assert isinstance(value.owner, Operation)
        network.body.block.add_op(value.owner.clone(mapping))
    index = list(group.walk()).index(op)
    copy = group.clone(mapping)
    own = list(copy.walk())[index]
    own.attributes.pop(TILES, None)
    own.attributes.update(attributes)
    for named in {copy, own}:  # equal layers are equal text
        named.properties["layer"] = StringAttr(ALONE)
    network.body.block.add_ops([copy, nn.ReturnOp(copy.results)])
    return network


def _inputs(op: Hosted) -> dict[str, Array]:
    """Random activations of a layer's types."""
    network = alone(op, {})
    rng = np.random.default_rng(0)
    found: dict[str, Array] = {}
    for name, value in zip(network.input_names, network.body.block.args, strict=True):
        bounds = range_of(element_type(value))
        shape = shape_of(value)
        found[name.data] = (
            rng.standard_normal(shape).astype(np.float32)
            if bounds is None
            else rng.integers(max(bounds[0], -(1 << 15)), min(bounds[1], 1 << 15), shape, endpoint=True)
        )
    return found
