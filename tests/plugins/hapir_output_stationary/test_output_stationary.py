"""The dataflow of the plug-in: its closed form against a walk through the array, cycle by cycle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hapir_output_stationary import Array, OutputStationary, array_cycles, array_of, tiles

from hapir.diagnostics import HapirError
from hapir.dialects.machine import MachineOp
from hapir.dialects.nn_shapes import Window
from hapir.driver import Scheduled, load
from hapir.lowering.cut_integer_body import cut
from hapir.lowering.schedule.conv_work import ConvWork, network_work
from tests.projects import write_project


@pytest.fixture(scope="module")
def scheduled(tmp_path_factory: pytest.TempPathFactory) -> Scheduled:
    """A small quantized network on a machine."""
    return load(write_project(tmp_path_factory.mktemp("project"))).schedule()


@pytest.fixture(scope="module")
def work(scheduled: Scheduled) -> ConvWork:
    """One of its layers, to be varied."""
    return network_work(scheduled.cut.body, "the test")[0]


def walked(work: ConvWork, rows: int, columns: int, overlapped: bool) -> tuple[int, int, int]:
    """Cycles of the array, cycles of the drain, and products, by walking every tile, PE and cycle."""
    (p, q), length = work.conv_size, work.channels * work.taps
    cycles, drained, products = 0, 0, 0
    for first_pixel in range(0, p * q, rows):
        pixels = min(rows, p * q - first_pixel)
        for first_channel in range(0, work.filters, columns):
            channels = min(columns, work.filters - first_channel)
            # the PE in row i and column j meets its first operands i + j cycles late
            starts = np.add.outer(np.arange(pixels), np.arange(channels))
            cycle = 0
            while True:
                busy = (starts <= cycle) & (cycle < starts + length)
                if not busy.any():
                    break
                products += int(busy.sum())
                cycle += 1
            cycles += cycle
            drained = pixels if overlapped else drained + pixels
    return cycles, drained, products


@pytest.mark.parametrize("overlapped", [False, True])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (4, 4), (3, 5), (16, 2), (8, 8)])
@pytest.mark.parametrize("filters", [1, 4, 7])
def test_the_formula_is_the_walk(work: ConvWork, rows: int, columns: int, filters: int, overlapped: bool):
    for size, kernel, stride in ((6, 3, 1), (5, 1, 2), (7, 5, 1)):
        layer = replace(
            work, filters=filters, height=size, width=size + 1, window=Window((kernel, kernel), (stride, 1))
        )
        cycles, drained, products = walked(layer, rows, columns, overlapped)
        assert array_cycles(layer, rows, columns, overlapped) == (cycles, drained)
        assert products == layer.macs


def test_tiles_cover_every_output_once(work: ConvWork):
    for rows, columns in ((1, 1), (3, 5), (100, 100)):
        p, q = work.conv_size
        outputs = sum(t.count * t.pixels * t.channels for t in tiles(work, rows, columns))
        assert outputs == p * q * work.filters


def test_the_report(scheduled: Scheduled):
    machine, schedule = scheduled.machine, scheduled.schedule_op
    assert machine is not None
    assert schedule is not None
    body = cut(scheduled.network).body
    reports = [
        OutputStationary(overlapped).estimate(body, scheduled.weights, machine, schedule)
        for overlapped in (False, True)
    ]
    slow, fast = (report.total_cycles for report in reports)
    assert fast <= slow
    for report in reports:
        assert report.basis == "model"
        for layer in report.layers:
            words = sum(a.reads + a.writes for a in layer.accesses)
            assert layer.total_cycles >= max(layer.ideal_cycles, words)
            assert 0 < layer.utilization <= 1
        assert "(model)" in report.to_text()


def test_a_machine_without_an_array(scheduled: Scheduled):
    machine = scheduled.machine
    assert machine is not None
    assert array_of(machine) == Array(4, 4, "dram", 64, 8.0, 32)
    with pytest.raises(HapirError, match="HAP0601"):
        array_of(MachineOp("empty", "cmos45", 1, []))
