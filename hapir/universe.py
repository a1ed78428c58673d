"""The type of `hapir.registry.HAPIR`, and of what plug-ins offer: lazy getters by kind and name."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

from xdsl.ir import Dialect
from xdsl.passes import ModulePass
from xdsl.universe import Universe
from xdsl.utils.target import Target

if TYPE_CHECKING:
    from hapir.dialects.formats import NumberFormat
    from hapir.dialects.nn_layers import LayerDefinition
    from hapir.encodings.encoding import Encoding
    from hapir.multipliers.model import Multiplier
    from hapir.pipelines import NamedPipeline
    from hapir.search.evaluator import Evaluator


class HapirUniverse(Universe):
    """An xDSL universe that also lists what only hapir has."""

    layers: dict[str, Callable[[], type[LayerDefinition]]]
    """Layer statements of a network by name."""
    units: dict[str, Callable[[], type[Any]]]
    """Functional units of a machine: dataclasses, one per `unit name { ... }`."""
    blocks: dict[str, Callable[[], type[Any]]]
    """What may stand in a machine, and the machine itself: dataclasses of settings, one per `kind name { ... }`."""
    dataflows: dict[str, Callable[[], type[Any]]]
    """Dataflows of a schedule: dataclasses, one per `dataflow = name(...)`."""
    machines: dict[str, Callable[[], Traversable]]
    """Machine files of plug-ins: `import "machines/<name>.hap"` finds them; hapir's own lie in `targets/machines`."""
    networks: dict[str, Callable[[], Traversable]]
    """Network files of plug-ins: `import "networks/<name>.hap"` finds them; hapir's own lie in `targets/networks`."""
    formats: dict[str, Callable[[], type[NumberFormat]]]
    """Number formats by name: `fixed(2, 6)`; the fields are the options."""
    multipliers: dict[str, Callable[[], type[Multiplier]]]
    """Models of multipliers: `multiplier = truncated(bits = 2)` of a `mac`, and of `use_multiplier`."""
    encodings: dict[str, Callable[[], type[Encoding]]]
    """Encodings of weights by name: `rle(gap_bits = 5)`; the fields are the options."""
    evaluators: dict[str, Callable[[], type[Evaluator]]]
    """What says how good a network is: `evaluator = agreement` of `keep_accuracy` and of searches."""
    pipelines: dict[str, Callable[[], NamedPipeline]]
    """Named pipelines that `hapir opt -p` expands."""

    def __init__(
        self,
        *,
        all_dialects: dict[str, Callable[[], Dialect]] | None = None,
        all_passes: dict[str, Callable[[], type[ModulePass]]] | None = None,
        all_targets: dict[str, Callable[[], type[Target]]] | None = None,
        layers: dict[str, Callable[[], type[LayerDefinition]]] | None = None,
        units: dict[str, Callable[[], type[Any]]] | None = None,
        blocks: dict[str, Callable[[], type[Any]]] | None = None,
        dataflows: dict[str, Callable[[], type[Any]]] | None = None,
        machines: dict[str, Callable[[], Traversable]] | None = None,
        networks: dict[str, Callable[[], Traversable]] | None = None,
        formats: dict[str, Callable[[], type[NumberFormat]]] | None = None,
        multipliers: dict[str, Callable[[], type[Multiplier]]] | None = None,
        encodings: dict[str, Callable[[], type[Encoding]]] | None = None,
        evaluators: dict[str, Callable[[], type[Evaluator]]] | None = None,
        pipelines: dict[str, Callable[[], NamedPipeline]] | None = None,
    ):
        super().__init__(all_dialects=all_dialects, all_passes=all_passes, all_targets=all_targets)
        self.layers = layers or {}
        self.units = units or {}
        self.blocks = blocks or {}
        self.dataflows = dataflows or {}
        self.machines = machines or {}
        self.networks = networks or {}
        self.formats = formats or {}
        self.multipliers = multipliers or {}
        self.encodings = encodings or {}
        self.evaluators = evaluators or {}
        self.pipelines = pipelines or {}
