"""The bench in pure Verilog counts as the simulation does, and really compares."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from hapir.targets.verilog.bench import Bench, make_bench, run_bench
from hapir.targets.verilog.lint import lint
from tests.unit.verilog_toy import adder_design, layer_cycles

Bytes = npt.NDArray[np.uint8]
LATENCY, OFFSET, COUNT = 3, 402, 37
DESIGN = adder_design(32)


def _image() -> Bytes:
    return np.random.default_rng(4).integers(0, 255, 1024, dtype=np.uint8)


def _expected() -> Bytes:
    """Bytes 402..438: within words 100..109, which hold words 0..9 plus 1."""
    words = _image().view(np.uint32)[:10] + np.uint32(1)
    return words.view(np.uint8)[2 : 2 + COUNT]


def _bench(expected: Bytes, max_cycles: int = 5000, image: Bytes | None = None) -> Bench:
    return make_bench("adder", 32, 10, LATENCY, _image() if image is None else image, OFFSET, expected, max_cycles)


def test_a_right_circuit_passes_with_its_cycles() -> None:
    result = run_bench(DESIGN.files, _bench(_expected()))
    assert result.passed
    assert result.layer_cycles == (layer_cycles(5, LATENCY),) * 2
    assert f"total: {2 * layer_cycles(5, LATENCY)} cycles" in result.text


@pytest.mark.parametrize("index", [0, 17, COUNT - 1])
def test_one_wrong_expected_byte_fails(index: int) -> None:
    expected = _expected()
    expected[index] ^= 0x10
    result = run_bench(DESIGN.files, _bench(expected))
    assert not result.passed
    assert f"output byte {index} is {expected[index] ^ 0x10}, expected {expected[index]}" in result.text
    assert f"FAIL: 1 of {COUNT} output bytes differ" in result.text


def test_a_circuit_that_is_never_done_fails() -> None:
    result = run_bench(DESIGN.files, _bench(_expected(), max_cycles=20))
    assert not result.passed
    assert "FAIL: not done after 20 cycles" in result.text


def test_an_address_beyond_the_memory_fails() -> None:
    bench = make_bench("adder", 32, 10, LATENCY, _image()[:400], 0, _image()[:4], 5000)
    result = run_bench(DESIGN.files, bench)
    assert not result.passed
    assert "FAIL: word 100 is beyond the memory" in result.text


@pytest.mark.parametrize(
    ("bits", "address_bits", "latency", "size"), [(8, 7, 1, 128), (512, 9, 40, 1000), (64, 32, 2, 80)]
)
def test_benches_are_clean(bits: int, address_bits: int, latency: int, size: int) -> None:
    design = adder_design(bits, address_bits)
    bench = make_bench("adder", bits, address_bits, latency, np.zeros(size, np.uint8), 3, np.zeros(5, np.uint8), 99)
    text = {name: text for name, text in bench.files.items() if name.endswith(".v")}
    assert lint({**design.files, **text}, bench.name) == []
