"""The rows of the table, in order, and how each comes about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.c.c_libraries import gemmbitserial_library, xnnpack_library
from benchmarks.c.contests import (
    BF16_LIMIT,
    HAPIR,
    Contest,
    Entry,
    add_peak,
    hapir_entry,
    litert_entry,
    network_contest,
    own_contest,
)
from benchmarks.c.few_bits import BINARY, TERNARY, bits_case, few_levels_case, levels_case, zeros_case
from benchmarks.c.goals import OWN_FLOAT, OWN_INT8, WIDTHS, XNNPACK, XOR
from benchmarks.c.graph import Array
from benchmarks.c.networks import BF16, FLOAT, INT8, WORKLOADS, Case, compile_case
from benchmarks.c.peaks import BF16_DOT, Peak

NETWORKS = (
    "lenet5",
    "resnet20",
    "mobilenet_v1_025_96",
    "vgg_conv1_2",
    "vgg_conv3_2",
    "vgg_conv5_1",
    "gemm1024",
    "fc4096_b1",
    "fc4096_b16",
    "empty",
)
GEMM, GEMV, POINTWISE = "gemm1024", "gemv4096", "pointwise1024"


@dataclass(frozen=True)
class Setting:
    """What rows are built with."""

    folder: Path
    wanted: frozenset[str]
    """The tools that take part."""
    peaks: Mapping[str, Peak]
    gemmbitserial: Path | None = None
    """A checkout of its sources."""
    xnnpack: Path | None = None
    """A folder into which Debian's packages are unpacked."""
    rivals: dict[str, Entry] = field(default_factory=dict[str, Entry])
    """Dense layers that several rows compare with."""

    def rival(self, label: str, make: Callable[[Path], Entry]) -> Entry:
        """An entry that is made once."""
        if label not in self.rivals:
            self.rivals[label] = make(self.folder / "rivals" / label.replace(" ", "_"))
        return self.rivals[label]


@dataclass(frozen=True)
class Row:
    """A row and how to build it."""

    name: str
    build: Callable[[Setting], Contest]


def _network(name: str, arithmetic: str) -> Row:
    def build(setting: Setting) -> Contest:
        folder = setting.folder / f"{name}_{arithmetic}"
        case = compile_case(WORKLOADS[name], arithmetic, folder)
        return network_contest(case, folder, set(setting.wanted), setting.peaks)

    return Row(f"{name}/{arithmetic}", build)


def _own_int8(setting: Setting, workload: str) -> Entry:
    """hapir's own u8 x i8 layer."""
    if len(WORKLOADS[workload].shape) == 2:
        return setting.rival(
            f"{workload} int8", lambda folder: hapir_entry(bits_case(8, 8, WORKLOADS[workload]), folder)[0]
        )
    return _own(setting, workload, INT8)


def _own(setting: Setting, workload: str, arithmetic: str) -> Entry:
    """hapir's own dense layer."""

    def make(folder: Path) -> Entry:
        case = compile_case(WORKLOADS[workload], arithmetic, folder, algorithm="direct")
        return hapir_entry(case, folder)[0]

    return setting.rival(f"{workload} {arithmetic}", make)


def _litert(setting: Setting, workload: str) -> dict[str, Entry]:
    """LiteRT's int8 layer, where LiteRT takes part."""

    def make(folder: Path) -> Entry:
        case = compile_case(WORKLOADS[workload], INT8, folder)
        assert case.graph is not None
        return litert_entry(case.graph, case, folder)

    return {"litert int8": setting.rival(f"{workload} litert", make)} if "litert" in setting.wanted else {}


def _gemmbitserial(setting: Setting, case: Case, contest: Contest) -> None:
    if setting.gemmbitserial is None:
        contest.skipped["gemmbitserial"] = "no checkout is given (--gemmbitserial)"
        return
    assert case.weights is not None
    folder = setting.folder / f"{case.workload.name}_gemmbitserial"
    try:
        path = gemmbitserial_library(setting.gemmbitserial, case.weights, len(case.x), folder)
    except RuntimeError as error:
        contest.skipped["gemmbitserial"] = str(error)
        return
    contest.entries["gemmbitserial"] = Entry("c", path, case.x, case.expected)


def _bf16(workload: str) -> Row:
    """All products in bfloat16, against OpenVINO's and hapir's own f32."""

    def build(setting: Setting) -> Contest:
        folder = setting.folder / f"{workload}_bf16"
        case = compile_case(WORKLOADS[workload], BF16, folder, algorithm="direct, arithmetic = bf16")
        contest = network_contest(case, folder, set(setting.wanted) & {"openvino"}, setting.peaks)
        rival = contest.entries.pop("openvino", None)
        if rival is not None:
            contest.entries["openvino bf16"] = replace(rival, peer="openvino bf16", limit=BF16_LIMIT)
        contest.entries[HAPIR] = replace(contest.entries[HAPIR], limit=BF16_LIMIT)
        contest.entries["hapir fp32"] = setting.rival(f"{workload} hapir fp32", lambda at: _fp32(workload, at))
        add_peak(contest, setting.peaks, BF16_DOT)
        return contest

    return Row(f"{workload}/bf16", build)


def _fp32(workload: str, folder: Path) -> Entry:
    """hapir's f32, whatever kernels the cost model chooses."""
    return hapir_entry(compile_case(WORKLOADS[workload], FLOAT, folder, graph_too=False), folder)[0]


def _few_levels(kind: str, workload: str) -> Row:
    def build(setting: Setting) -> Contest:
        case = few_levels_case(kind, WORKLOADS[workload])
        rivals = {OWN_INT8: _own_int8(setting, workload), **_litert(setting, workload)}
        contest = own_contest(case, setting.folder / workload, rivals, setting.peaks, XOR)
        if kind == BINARY:
            _gemmbitserial(setting, case, contest)
        return contest

    return Row(f"{workload}/{kind}", build)


def _bits(weights: int, activations: int) -> Row:
    def build(setting: Setting) -> Contest:
        case = bits_case(weights, activations, WORKLOADS[GEMM])
        rivals = {OWN_INT8: _own_int8(setting, GEMM)}
        return own_contest(case, setting.folder / GEMM, rivals, setting.peaks)

    return Row(f"{GEMM}/w{weights}a{activations}", build)


def _levels(workload: str, zeros: float) -> Row:
    def build(setting: Setting) -> Contest:
        folder = setting.folder / f"{workload}_ras{100 * zeros:.0f}"
        case = levels_case(zeros, WORKLOADS[workload], folder, "ras")
        rivals = {OWN_FLOAT: _own(setting, workload, FLOAT), OWN_INT8: _own_int8(setting, workload)}
        return own_contest(case, folder, rivals, setting.peaks)

    return Row(f"{workload}/ras{100 * zeros:.0f}", build)


def _zeros(workload: str, zeros: float, arithmetic: str) -> Row:
    def build(setting: Setting) -> Contest:
        folder = setting.folder / f"{workload}_{arithmetic}_zeros{100 * zeros:.0f}"
        case = zeros_case(zeros, WORKLOADS[workload], folder, arithmetic)
        contest = network_contest(case, folder, set(setting.wanted), setting.peaks)
        label = OWN_FLOAT if arithmetic == FLOAT else OWN_INT8
        contest.entries[label] = _own(setting, workload, arithmetic)
        if arithmetic == FLOAT:
            _xnnpack(setting, case, contest)
        return contest

    return Row(f"{workload}/{arithmetic}_zeros{100 * zeros:.0f}", build)


def _xnnpack(setting: Setting, case: Case, contest: Contest) -> None:
    if setting.xnnpack is None:
        contest.skipped[XNNPACK] = "no folder with its packages is given (--xnnpack)"
        return
    assert case.graph is not None
    (node,) = case.graph.nodes
    assert node.weight is not None
    assert node.bias is not None
    # XNNPACK's map is N C H W; the rows of a dense layer are its pixels
    channels = node.weight.shape[1]
    x = np.ascontiguousarray(case.x.T if case.x.ndim == 2 else case.x)
    weight = node.weight.reshape(-1, channels)
    try:
        path = xnnpack_library(setting.xnnpack, weight, node.bias, x.size // channels, setting.folder / "xnnpack")
    except (RuntimeError, ValueError) as error:
        contest.skipped[XNNPACK] = str(error)
        return

    def laid_out(y: Array) -> Array:
        return y.reshape(len(weight), -1).T if case.x.ndim == 2 else y

    contest.entries[XNNPACK] = Entry("c", path, x, case.expected, laid_out)


ROWS = (
    *(_network(name, arithmetic) for name in NETWORKS for arithmetic in (FLOAT, INT8)),
    *(_bf16(workload) for workload in (GEMM, "resnet20")),
    *(_few_levels(kind, workload) for workload in (GEMM, GEMV) for kind in (BINARY, TERNARY)),
    *(_bits(w, a) for w in WIDTHS for a in WIDTHS),
    *(_levels(workload, zeros) for workload in (GEMM, POINTWISE) for zeros in (0.58, 0.89)),
    *(_zeros(workload, 0.9, arithmetic) for workload in (GEMM, POINTWISE) for arithmetic in (FLOAT, INT8)),
)
