"""THE list: every dialect, pass, target, layer, unit, dataflow and machine that hapir knows, as lazy getters.

Adding one = one new file + one line here + tests. Plug-ins contribute through the `xdsl.universe` entry point with a
`HapirUniverse` of their own. Conventions that the spec language relies on:

- a pass, layer, unit or dataflow is a dataclass; its fields are the options of the spec, its docstring the help;
- a pass option named `layers` is a glob (or several) over layer names, and one that matches no layer is an error;
- `__post_init__` may raise ValueError for options out of range; it is reported at the statement.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

from xdsl.ir import Dialect
from xdsl.passes import ModulePass
from xdsl.universe import Universe
from xdsl.utils.target import Target

if TYPE_CHECKING:
    from hapir.context import HapirContext
    from hapir.dialects.nn_layers import LayerDefinition


class HapirUniverse(Universe):
    """An xDSL universe that also lists what only hapir has."""

    layers: dict[str, Callable[[], type[LayerDefinition]]]
    """Layer statements of a network by name."""
    units: dict[str, Callable[[], type[Any]]]
    """Functional units of a machine: dataclasses, one per `unit name { ... }`."""
    dataflows: dict[str, Callable[[], type[Any]]]
    """Dataflows of a schedule: dataclasses, one per `dataflow = name(...)`."""
    machines: dict[str, Callable[[], Traversable]]
    """Machine files of plug-ins: `import "machines/<name>.hap"` finds them; hapir's own lie in `targets/machines`."""

    def __init__(
        self,
        *,
        all_dialects: dict[str, Callable[[], Dialect]] | None = None,
        all_passes: dict[str, Callable[[], type[ModulePass]]] | None = None,
        all_targets: dict[str, Callable[[], type[Target]]] | None = None,
        layers: dict[str, Callable[[], type[LayerDefinition]]] | None = None,
        units: dict[str, Callable[[], type[Any]]] | None = None,
        dataflows: dict[str, Callable[[], type[Any]]] | None = None,
        machines: dict[str, Callable[[], Traversable]] | None = None,
    ):
        super().__init__(all_dialects=all_dialects, all_passes=all_passes, all_targets=all_targets)
        self.layers = layers or {}
        self.units = units or {}
        self.dataflows = dataflows or {}
        self.machines = machines or {}


def lazy(module: str, name: str) -> Callable[[], Any]:
    """A getter that imports `name` from `hapir.<module>` when it is called."""
    return lambda: getattr(import_module(f"hapir.{module}"), name)


HAPIR = HapirUniverse(
    all_dialects={
        "nn": lazy("dialects.nn", "Nn"),
        "num": lazy("dialects.num", "Num"),
        "machine": lazy("dialects.machine", "Machine"),
        "dataflow": lazy("dialects.dataflow", "Dataflow"),
        "rtl": lazy("dialects.rtl", "Rtl"),
    },
    all_passes={
        "infer_nn_shapes": lazy("lowering.infer_nn_shapes", "InferNnShapesPass"),
        "fold_batch_norm": lazy("lowering.compress.fold_batch_norm", "FoldBatchNormPass"),
        "prune": lazy("lowering.compress.prune", "PrunePass"),
        "quantize": lazy("lowering.compress.quantize", "QuantizePass"),
        "keep_accuracy": lazy("lowering.compress.keep_accuracy", "KeepAccuracyPass"),
        "fuse": lazy("lowering.compress.fuse", "FusePass"),
        "lower_to_rtl": lazy("lowering.rtl.lower_to_rtl", "LowerToRtlPass"),
    },
    all_targets={
        "c": lazy("targets.c.target", "CTarget"),
        "verilog": lazy("targets.verilog.printer", "VerilogTarget"),
    },
    layers={
        "conv2d": lazy("dialects.nn_layers", "Conv2d"),
        "dense": lazy("dialects.nn_layers", "Dense"),
        "max_pool": lazy("dialects.nn_layers", "MaxPool"),
        "avg_pool": lazy("dialects.nn_layers", "AvgPool"),
        "global_avg_pool": lazy("dialects.nn_layers", "GlobalAvgPool"),
        "global_max_pool": lazy("dialects.nn_layers", "GlobalMaxPool"),
        "relu": lazy("dialects.nn_layers", "Relu"),
        "clip": lazy("dialects.nn_layers", "Clip"),
        "add": lazy("dialects.nn_layers", "Add"),
        "concat": lazy("dialects.nn_layers", "Concat"),
        "flatten": lazy("dialects.nn_layers", "Flatten"),
        "batch_norm": lazy("dialects.nn_layers", "BatchNorm"),
        "softmax": lazy("dialects.nn_layers", "Softmax"),
        "argmax": lazy("dialects.nn_layers", "Argmax"),
    },
    units={
        "mac": lazy("dialects.machine", "MacUnit"),
        "requantize": lazy("dialects.machine", "RequantizeUnit"),
    },
    dataflows={
        "weight_stationary": lazy("dialects.dataflow_kinds", "WeightStationary"),
    },
)


@cache
def universe() -> HapirUniverse:
    """hapir's own entries and those of all installed plug-ins that work; `plugins.discover` tells which do not."""
    from hapir.plugins import discover

    return discover()[0]


def make_context() -> HapirContext:
    """A fresh context with an empty weight store that knows all dialects, xDSL's own too; none is imported yet."""
    from xdsl.dialects import get_all_dialects

    from hapir.context import HapirContext

    ctx = HapirContext()
    for name, getter in {**get_all_dialects(), **universe().all_dialects}.items():
        ctx.register_dialect(name, getter)
    return ctx
