"""Profiles of networks in C: what they make of times and peaks, and that both are measured on every kind of product."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hapir.lowering.kernel.contraction import F32, I16, U8_I8, Contraction, integer
from hapir.lowering.kernel.plan_program import plan_program
from hapir.report.profile import profile_of
from hapir.targets.c.build import build_c, find_compiler
from hapir.targets.c.emit import emit_c, print_program
from hapir.targets.c.peaks import Peaks, peaks_source
from hapir.targets.c.profile import Times, measure, with_hooks
from tests.property.integer_networks import integer_networks
from tests.property.test_c_machines import drawn
from tests.property.test_c_reference import grouped
from tests.unit.test_c_emit import tiny

WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic")


@dataclass(frozen=True)
class Fixed:
    """Limits that nobody measured: so many multiply-accumulates, and 1e8 bytes, a second."""

    macs: Mapping[str, float]

    def bandwidth(self, size_bytes: int) -> float:
        return 1e8


def test_shares_and_rooflines():
    artefact = emit_c(*tiny())
    count = len(artefact.layers)
    macs = 36 * 36
    times = Times(tuple(2e-4 * (1 + i) for i in range(count)), 2e-4 * count * (count + 1) / 2)
    profile = profile_of(artefact, times, Fixed({"f32": 1e9}))
    assert sum(row.share for row in profile.rows) == pytest.approx(1)
    assert profile.layers_seconds == pytest.approx(profile.seconds)
    (product,) = (row for row in profile.rows if "convolution" in row.kernels)
    joined = [row for row in artefact.layers if "+".join(row.work.layers) == product.layers]
    assert product.gops == pytest.approx(2e-9 * macs / product.seconds)
    memory = [(row.work.constant_bytes + row.work.value_bytes) / 1e8 for row in joined]
    needed = sum(max(row.macs / 1e9, m) for row, m in zip(joined, memory, strict=True))
    assert product.roofline * product.seconds == pytest.approx(needed)
    assert product.bound == "memory"
    assert profile.peaks == {"f32": pytest.approx(2.0)}


def test_times_are_measured_of_each_step():
    sample = drawn(integer_networks(max_layers=4), 10, 2)[7]
    artefact = emit_c(sample.network, sample.weights, "net")
    times = measure(artefact, sample.inputs(3), flags=(*WARNINGS, "-O1"), cache=False)
    assert len(times.steps) == len(artefact.layers)
    assert times.whole > 0
    assert sum(times.steps) > 0
    # the hooks change no result
    found = build_c(with_hooks(artefact), flags=("-O1",), cache=False).run(sample.inputs(2))
    for name, array in build_c(artefact, flags=("-O1",), cache=False).run(sample.inputs(2)).items():
        np.testing.assert_array_equal(found[name], array)


def contractions() -> list[Contraction]:
    """Those of random networks, and the common ones."""
    found = {x.name: x for x in (F32, U8_I8, I16, integer("int16_t", "int16_t"))}
    for sample in drawn(integer_networks(max_layers=4), 40, 3):
        program = plan_program(grouped(sample.network, sample.weights), sample.weights)
        for row in print_program(program).layers:
            if row.work.contraction is not None:
                found.setdefault(row.work.contraction.name, row.work.contraction)
    return list(found.values())


def test_every_peak_compiles_without_warnings_on_every_path(tmp_path: Path):
    (tmp_path / "peaks.c").write_text(peaks_source(contractions()))
    for flags in (["-DHAPIR_PLAIN_C"], ["-march=native"]):
        command = [*find_compiler().command, *WARNINGS, "-O1", *flags, "-c", "peaks.c"]
        subprocess.run(command, cwd=tmp_path, check=True)


def test_peaks_are_rates():
    peaks = Peaks([F32, U8_I8], cache=False)
    assert set(peaks.macs) == {"f32", "u8_i8"}
    assert all(1e6 < rate < 1e15 for rate in peaks.macs.values())
    assert 1e6 < peaks.bandwidth(10_000) < 1e14
    assert peaks.bandwidth(10_000) == peaks.bandwidth(16_384)  # measured once
