"""The rows of the table, in order, and how each comes about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.c.c_libraries import gemmbitserial_library
from benchmarks.c.contests import Contest, Entry, hapir_entry, litert_entry, network_contest, own_contest
from benchmarks.c.few_bits import BINARY, TERNARY, bits_case, few_levels_case, levels_case, zeros_case
from benchmarks.c.goals import OWN_FLOAT, OWN_INT8, WIDTHS, XOR
from benchmarks.c.networks import FLOAT, INT8, WORKLOADS, Case, compile_case
from benchmarks.c.peaks import Peak

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
GEMM, GEMV = "gemm1024", "gemv4096"


@dataclass(frozen=True)
class Setting:
    """What rows are built with."""

    folder: Path
    wanted: frozenset[str]
    """The tools that take part."""
    peaks: Mapping[str, Peak]
    gemmbitserial: Path | None = None
    """A checkout of its sources."""
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
    return setting.rival(
        f"{workload} int8", lambda folder: hapir_entry(bits_case(8, 8, WORKLOADS[workload]), folder)[0]
    )


def _own_float(setting: Setting, workload: str) -> Entry:
    def make(folder: Path) -> Entry:
        return hapir_entry(compile_case(WORKLOADS[workload], FLOAT, folder), folder)[0]

    return setting.rival(f"{workload} fp32", make)


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
    contest.entries["gemmbitserial"] = Entry("gemmbitserial", path, case.x, case.expected)


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


def _levels(zeros: float) -> Row:
    def build(setting: Setting) -> Contest:
        folder = setting.folder / f"ras{100 * zeros:.0f}"
        case = levels_case(zeros, WORKLOADS[GEMM], folder)
        rivals = {OWN_FLOAT: _own_float(setting, GEMM), OWN_INT8: _own_int8(setting, GEMM)}
        return own_contest(case, folder, rivals, setting.peaks)

    return Row(f"{GEMM}/ras{100 * zeros:.0f}", build)


def _zeros(zeros: float, arithmetic: str) -> Row:
    def build(setting: Setting) -> Contest:
        folder = setting.folder / f"{arithmetic}_zeros{100 * zeros:.0f}"
        case: Case = zeros_case(zeros, WORKLOADS[GEMM], folder, arithmetic)
        contest = network_contest(case, folder, set(setting.wanted), setting.peaks)
        dense = (OWN_FLOAT, _own_float) if arithmetic == FLOAT else (OWN_INT8, _own_int8)
        contest.entries[dense[0]] = dense[1](setting, GEMM)
        return contest

    return Row(f"{GEMM}/{arithmetic}_zeros{100 * zeros:.0f}", build)


ROWS = (
    *(_network(name, arithmetic) for name in NETWORKS for arithmetic in (FLOAT, INT8)),
    *(_few_levels(kind, workload) for workload in (GEMM, GEMV) for kind in (BINARY, TERNARY)),
    *(_bits(w, a) for w in WIDTHS for a in WIDTHS),
    _levels(0.58),
    _levels(0.89),
    _zeros(0.9, FLOAT),
    _zeros(0.9, INT8),
)
