"""The workloads as hapir specs, and what hapir makes of them: a graph for the other tools, C, and expected results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import hapir
from benchmarks.c.graph import Array, Graph, read_graph
from hapir.driver import Scheduled
from hapir.lowering.kernel.host import NATIVE
from hapir.lowering.network_edits import networks_of
from hapir.reference.interpret import run_network
from hapir.targets.c.emit import CArtefact, emit_c

SEED = 1
CALIBRATION_IMAGES = 4
FLOAT, INT8, BF16 = "fp32", "int8", "bf16"


@dataclass(frozen=True)
class Workload:
    """A network: a library file to import or its own text, the call that instantiates it, and its input."""

    name: str
    network: str
    input_name: str
    shape: tuple[int, ...]
    text: str = ""
    single: bool = False
    """Whether it is one product, so that integers may differ by one step at most."""


def _layer(name: str, shape: tuple[int, ...], body: str, result: str) -> Workload:
    sizes = ", ".join(map(str, shape))
    text = f"network {name}(x: f32[{sizes}]) -> f32[{result}] {{\n    {body}\n    return y\n}}"
    return Workload(name, name, "x", shape, text, single=True)


def _vgg(name: str, channels: int, filters: int, size: int) -> Workload:
    body = f"y = conv2d(x, channels = {filters}, kernel = 3, padding = 1)"
    return _layer(name, (1, channels, size, size), body, f"1, {filters}, {size}, {size}")


def _pointwise(name: str, channels: int, filters: int, size: int) -> Workload:
    body = f"y = conv2d(x, channels = {filters}, kernel = 1)"
    return _layer(name, (1, channels, size, size), body, f"1, {filters}, {size}, {size}")


def _dense(name: str, rows: int, inputs: int, outputs: int) -> Workload:
    return _layer(name, (rows, inputs), f"y = dense(x, units = {outputs})", f"{rows}, {outputs}")


WORKLOADS = {
    w.name: w
    for w in (
        Workload("lenet5", "lenet5", "image", (1, 1, 28, 28), 'import "networks/lenet5.hap"'),
        Workload("resnet20", "resnet20", "image", (1, 3, 32, 32), 'import "networks/resnet20.hap"'),
        Workload(
            "mobilenet_v1_025_96",
            "mobilenet_v1(size = 96, width = 0.25)",
            "image",
            (1, 3, 96, 96),
            'import "networks/mobilenet_v1.hap"',
        ),
        _vgg("vgg_conv1_2", 64, 64, 224),
        _vgg("vgg_conv3_2", 256, 256, 56),
        _vgg("vgg_conv5_1", 512, 512, 14),
        _dense("gemm1024", 1024, 1024, 1024),
        _dense("fc4096_b1", 1, 4096, 4096),
        _dense("fc4096_b16", 16, 4096, 4096),
        _pointwise("pointwise1024", 1024, 1024, 32),
        _dense("gemv4096", 1, 4096, 4096),
        _layer("empty", (1, 16), "y = relu(x)", "1, 16"),
    )
}

RECIPES = {
    FLOAT: "fold_batch_norm()",
    BF16: "fold_batch_norm()",
    INT8: 'fold_batch_norm()\n    quantize(weights = i8, activations = u8, calibration = "calibration.npz")',
}


@dataclass(frozen=True, eq=False)
class Case:
    """A workload in one arithmetic: for hapir and, where they know it, for the other tools."""

    workload: Workload
    arithmetic: str
    artefact: CArtefact
    x: Array
    """The input of hapir's body."""
    expected: Array
    """What hapir's reference makes of it."""
    graph: Graph | None = None
    weights: Array | None = None
    """Of a single layer that has no graph."""

    @property
    def name(self) -> str:
        """The row's name."""
        return f"{self.workload.name}/{self.arithmetic}"


def compile_case(
    workload: Workload,
    arithmetic: str,
    folder: Path,
    recipe: str | None = None,
    weights: Mapping[str, Array] | None = None,
    *,
    graph_too: bool = True,
    algorithm: str | None = None,
) -> Case:
    """Compile a workload under the recipe of an arithmetic, or another `recipe`.

    `weights` replaces float parameters before the recipe; `graph_too` reads the graph for other tools; `algorithm` is
    asked of all products; else the cost model of this host chooses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    count = 1 if workload.shape[0] > 1 else CALIBRATION_IMAGES
    images = rng.standard_normal((count * workload.shape[0], *workload.shape[1:]), dtype=np.float32)
    np.savez(folder / "calibration.npz", allow_pickle=False, **{workload.input_name: images})
    scheduled = _scheduled(workload, recipe or RECIPES[arithmetic], algorithm, folder)
    for key, array in (weights or {}).items():
        scheduled.float_weights.put(key, array)
    name = f"{workload.name}_{arithmetic}"
    x = images[: workload.shape[0]]
    graph = None
    if graph_too:
        # the stage before the last, `fuse`, has plain operators
        graph = read_graph(networks_of(scheduled.compiled.snapshots[-2][1])[0], scheduled.weights)
    hosted = scheduled.on_host(NATIVE)
    parts, store = hosted.cut, hosted.decoded.weights
    given = {workload.input_name: x}
    if parts.prologue is not None:
        given |= run_network(parts.prologue, store, given)
    (key,) = (n.data for n in parts.body.input_names)
    expected = run_network(parts.body, store, {key: given[key]})
    artefact = emit_c(parts.body, store, name)
    return Case(workload, arithmetic, artefact, given[key], next(iter(expected.values())), graph)


def _scheduled(workload: Workload, recipe: str, algorithm: str | None, folder: Path) -> Scheduled:
    asked = f'\n    kernel "*" {{ algorithm = {algorithm} }}' if algorithm else ""
    spec = f"""hap 1
{workload.text}
recipe steps {{
    {recipe}
}}
schedule on_c of {workload.network} with steps {{
    weights = random(seed = {SEED}){asked}
}}
"""
    path = folder / f"{workload.name}.hap"
    path.write_text(spec, encoding="utf-8")
    return hapir.load(path).schedule("on_c")
