"""Rows of the table: one workload in one arithmetic, and what each tool needs to run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.c.c_libraries import Library, emx_library, hapir_library
from benchmarks.c.drive import PeerError, Settings, Times, Workers, take_turns
from benchmarks.c.graph import Array, Graph
from benchmarks.c.networks import Case
from benchmarks.c.peaks import BF16_CHAINS, Peak
from benchmarks.c.to_ncnn import to_ncnn
from benchmarks.c.to_onnx import to_onnx

HAPIR = "hapir"
C = "c"
"""The loader of all compiled C."""
EMX = "emx-onnx-cgen"
RUNTIMES = ("onnxruntime", "openvino", "litert", "ncnn", "deepsparse")
FLOAT_LIMIT = 1e-4
"""How far floats may lie apart, of the largest result: sums in other orders, and Winograd's."""
BF16_LIMIT = 2e-2
"""The same of bfloat16, over the layers of a network: each rounds by 2^-8."""
STEPS_OF_NETWORKS = 2
"""How many steps u8 results of many layers may lie apart: tools round half a step differently after each layer."""


@dataclass(frozen=True)
class Entry:
    """What one tool runs: its loader, model and input, and what hapir's reference expects (nothing of a peak);
    `laid_out` brings its result into hapir's layout and codes."""

    peer: str
    model: Path
    x: Array
    expected: Array | None
    laid_out: Callable[[Array], Array] = lambda y: y
    own_operations: int = 0
    """Where the tool does something else than the row."""
    limit: float = FLOAT_LIMIT
    """How far its floats may lie from what is expected, of the largest result."""

    def operations(self, contest: Contest) -> int:
        """Operations of one call."""
        return self.own_operations or contest.operations


@dataclass
class Contest:
    """One row: entries by their label; `operations` are two per multiply-accumulate."""

    name: str
    operations: int
    entries: dict[str, Entry]
    steps: int = 0
    """How far integers of other tools may lie from hapir's."""
    skipped: dict[str, str] = field(default_factory=dict[str, str])
    library: Library | None = None
    weight_bytes: int = 0
    """Constants of hapir's C."""


def disagreement(contest: Contest, label: str, found: Array) -> str | None:
    """What is wrong with a tool's result, or None."""
    entry = contest.entries[label]
    expected = entry.expected
    if expected is None:
        return None
    if found.size != expected.size:
        return f"its result has {found.size} numbers, not {expected.size}"
    y = entry.laid_out(found).reshape(expected.shape).astype(np.float64)
    apart = float(np.abs(y - expected).max(initial=0))
    if expected.dtype.kind == "f":
        limit = entry.limit * float(np.abs(expected).max(initial=0))
    else:
        limit = 0 if entry.peer == C and label != EMX else contest.steps
    if not apart <= limit:
        return f"its results lie {apart:.4g} from hapir's reference, {limit:.4g} are allowed"
    return None


def hapir_entry(case: Case, folder: Path) -> tuple[Entry, Library]:
    """hapir's own C of a case, compiled in a folder."""
    library = hapir_library(case.artefact, folder)
    return Entry(C, library.path, np.ascontiguousarray(case.x), case.expected), library


def network_contest(case: Case, folder: Path, wanted: set[str], peaks: Mapping[str, Peak]) -> Contest:
    """All tools on the same weights and input."""
    graph = case.graph
    assert graph is not None
    entry, library = hapir_entry(case, folder / "hapir")
    steps = 1 if case.workload.single else STEPS_OF_NETWORKS
    contest = Contest(
        case.name, 2 * graph.macs, {HAPIR: entry}, steps, library=library, weight_bytes=case.artefact.weight_bytes
    )
    onnx = folder / "model.onnx"
    if wanted & {"onnxruntime", "openvino", "deepsparse", EMX}:
        onnx.write_bytes(to_onnx(graph).SerializeToString())
    for peer in ("onnxruntime", "openvino", "deepsparse"):
        if peer in wanted:
            contest.entries[peer] = Entry(peer, onnx, np.ascontiguousarray(case.x), case.expected)
    if "litert" in wanted:
        contest.entries["litert"] = litert_entry(graph, case, folder)
    if "ncnn" in wanted:
        _ncnn(contest, graph, case, folder)
    if "openblas" in wanted and len(graph.nodes) == 1 and graph.nodes[0].kind == "dense" and not graph.integers:
        path = folder / "parameters.npz"
        np.savez(path, allow_pickle=False, w=graph.nodes[0].weight, b=graph.nodes[0].bias)
        contest.entries["openblas"] = Entry("openblas", path, np.ascontiguousarray(case.x), case.expected)
    if EMX in wanted and not case.workload.single:
        try:
            made = emx_library(onnx, graph, folder / "emx")
            contest.entries[EMX] = Entry(C, made.path, np.ascontiguousarray(case.x), case.expected)
        except RuntimeError as error:
            contest.skipped[EMX] = str(error)
    add_peak(contest, peaks, "peak u8 x i8 dot" if graph.integers else "peak f32 FMA")
    return contest


def own_contest(
    case: Case, folder: Path, rivals: Mapping[str, Entry], peaks: Mapping[str, Peak], *names: str
) -> Contest:
    """A case that hapir alone has against other layers of the same shape, and peaks by name."""
    entry, library = hapir_entry(case, folder / case.arithmetic)
    # these layers have as many outputs as inputs
    operations = 2 * case.x.size * case.workload.shape[1]
    contest = Contest(
        case.name, operations, {HAPIR: entry, **rivals}, 1, library=library, weight_bytes=case.artefact.weight_bytes
    )
    for name in names:
        add_peak(contest, peaks, name)
    return contest


def add_peak(contest: Contest, peaks: Mapping[str, Peak], name: str) -> None:
    """Measure a peak in the rounds of a contest."""
    if name in peaks and contest.operations:
        numbers = np.random.default_rng(0).random(16 * (2 + BF16_CHAINS), np.float32)
        contest.entries[name] = Entry(C, peaks[name].path, numbers, None, own_operations=peaks[name].operations)


def litert_entry(graph: Graph, case: Case, folder: Path) -> Entry:
    # imports LiteRT's schema, which a run without LiteRT does without
    from benchmarks.c.to_tflite import SHIFT, channels_last, to_tflite

    path = folder / "model.tflite"
    path.write_bytes(to_tflite(graph))
    x, shape = case.x, graph.result.shape
    x = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
    if graph.integers:
        x = (x.astype(np.int16) - SHIFT).astype(np.int8)

    def laid_out(y: Array) -> Array:
        y = y.reshape(channels_last(shape))
        y = y.transpose(0, 3, 1, 2) if y.ndim == 4 else y
        return y.astype(np.int16) + SHIFT if graph.integers else y

    return Entry("litert", path, np.ascontiguousarray(x), case.expected, laid_out)


def _ncnn(contest: Contest, graph: Graph, case: Case, folder: Path) -> None:
    if graph.integers:
        contest.skipped["ncnn"] = "its int8 has no zero points, so it computes another network"
        return
    param, weights = to_ncnn(graph)
    (folder / "model.param").write_text(param, encoding="utf-8")
    (folder / "model.bin").write_bytes(weights)
    x = case.x[0] if case.x.shape[0] == 1 else case.x
    contest.entries["ncnn"] = Entry("ncnn", folder / "model.param", np.ascontiguousarray(x), case.expected)


def race(contest: Contest, workers: Workers, settings: Settings, folder: Path) -> Times:
    """Load, compare, then take turns."""
    times = Times(errors=dict(contest.skipped))
    calls: dict[str, int] = {}
    for label, entry in contest.entries.items():
        given, taken = folder / "input.npy", folder / "output.npy"
        np.save(given, entry.x)
        try:
            worker = workers.of(label, entry.peer)
            answer = worker.ask(
                load=str(entry.model), input=str(given), output=str(taken), seconds=settings.burst_seconds
            )
        except PeerError as error:
            times.errors[label] = str(error)
            continue
        wrong = disagreement(contest, label, np.load(taken))
        if wrong is not None:
            times.errors[label] = wrong
        else:
            calls[label] = answer["calls"]
    take_turns(workers, calls, settings.rounds, times)
    return times
