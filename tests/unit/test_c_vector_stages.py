"""Stages on 16 lanes at ties and extremes, against the reference, on every SIMD path of this host and on AArch64."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from hapir.dialects.num import Rounding
from hapir.lowering.kernel.buffers import Table
from hapir.lowering.kernel.c_types import DTYPES, CType
from hapir.lowering.kernel.plan_scaling import plan_scaling, plan_steps
from hapir.lowering.kernel.stages import (
    Apply,
    Clamp,
    Dequantize,
    Function,
    Quantize,
    Requantize,
    Rescale,
    ScaleShift,
    Stage,
    Threshold,
    Widen,
)
from hapir.reference import num as reference
from hapir.weights import Array
from tests.vector_chains import HOST_PATHS, Case, has_aarch64, print_cases, run_aarch64, run_host

BOUNDS: dict[str, tuple[int, int]] = {
    "uint8_t": (0, 255),
    "int8_t": (-128, 127),
    "uint16_t": (0, 65535),
    "int16_t": (-32768, 32767),
    "int32_t": (-(1 << 31), (1 << 31) - 1),
}


def sums_within(
    reach: int,
    rng: np.random.Generator,
    pixels: int,
    channels: int,
    odd: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.int32]:
    """Sums up to +-reach: extremes, small ones, random ones, and odd multiples that fall on ties."""
    special = np.array([-reach, -reach + 1, -2, -1, 0, 1, 2, reach - 1, reach])
    x = rng.integers(-reach, reach + 1, (pixels, channels))
    small = np.clip(rng.integers(-300, 301, (pixels, channels)), -reach, reach)
    x = np.where(rng.random(x.shape) < 0.4, small, x)
    x[: len(special)] = special[:, None]
    if odd is not None:
        ties = np.clip(odd[None, :] * rng.integers(-9, 10, (pixels, channels)), -reach, reach)
        x = np.where(rng.random(x.shape) < 0.4, ties, x)
    return x.astype(np.int32)


def requantize_case(
    rounding: Rounding,
    multiplier: Array,
    shift: Array,
    reach: int,
    zero_point: int,
    ctype: CType,
    rng: np.random.Generator,
    channels: int,
) -> Case:
    low, high = BOUNDS[ctype]
    if rng.random() < 0.4 and ctype != "int32_t":
        low, high = low + 3, high - 5
    odd = np.broadcast_to(np.int64(1) << np.clip(shift.astype(np.int64) - 1, 0, 30), (channels,))
    x = sums_within(reach, rng, 48, channels, odd)
    expected = reference.requantize(x, multiplier, shift, zero_point, (low, high), rounding)
    scaled = plan_scaling(multiplier, shift, (-reach, reach), rounding, zero_point)
    if scaled is not None:
        again = reference.requantize(x, scaled.multiplier, scaled.shift, zero_point, (low, high), rounding)
        np.testing.assert_array_equal(again, expected)
        multiplier, shift = scaled.multiplier, scaled.shift
    m = Table("m", "uint32_t", multiplier.astype(np.uint32)) if multiplier.size > 1 else int(multiplier[0])
    s = int(shift[0]) if (shift == shift[0]).all() else Table("s", "uint8_t", shift.astype(np.uint8))
    stage = Requantize(
        m, s, rounding, zero_point, low, high, int(multiplier.max()) < 1 << 31, ctype, scaled and scaled.form
    )
    return Case((stage,), "int32_t", x, expected)


def requantize_cases() -> list[Case]:
    rng = np.random.default_rng(5)
    cases: list[Case] = []
    for rounding, bits, reach_bits in product(Rounding, (1, 4, 8, 16, 31, 32), (7, 12, 20, 27, 31)):
        for spread in (0, 6):
            channels = int(rng.choice([1, 7, 16, 21, 40]))
            per_channel = channels if rng.random() < 0.7 else 1
            multiplier = rng.integers(1 << (bits - 1), 1 << bits, per_channel)
            if rng.random() < 0.2:
                multiplier[0] = 0
            ctype: CType = rng.choice(np.array(["uint8_t", "int8_t", "uint16_t", "int16_t", "int32_t"])).item()
            out_bits = {"uint8_t": 8, "int8_t": 8, "uint16_t": 16, "int16_t": 16, "int32_t": 30}[ctype]
            base = max(0, bits + reach_bits - out_bits + int(rng.integers(-2, 3)))
            shift = np.minimum(base + rng.integers(0, spread + 1, per_channel), 62)
            zero_point = int(rng.choice([0, 0, 3, -7]))
            zero_point = max(BOUNDS[ctype][0], zero_point)
            reach = (1 << reach_bits) - 1
            cases.append(requantize_case(rounding, multiplier, shift, reach, zero_point, ctype, rng, channels))
    return cases


def real_cases() -> list[Case]:
    rng = np.random.default_rng(6)
    cases: list[Case] = []
    for rounding, zero_point, channels in product(Rounding, (0, 5), (16, 19)):
        scales = rng.choice([1.0, 0.5, 0.1, 1 / 3, 2.0**-20, 3.0**-15, 1e10, 0.0], channels).astype(np.float32)
        wide = scales.astype(np.float64)
        x = sums_within((1 << 31) - 1, rng, 40, channels)
        expected = reference.rescale(x, wide, zero_point, (-30000, 30001), rounding)
        stage = Rescale(Table("s", "double", wide), rounding, zero_point, -30000, 30001, "int16_t")
        cases.append(Case((stage,), "int32_t", x, expected))
        expected = reference.rescale(x, scales, zero_point, (-30000, 30001), rounding, single=True)
        stage = Rescale(Table("s", "float", scales), rounding, zero_point, -30000, 30001, "int16_t", single=True)
        cases.append(Case((stage,), "int32_t", x, expected))
    for rounding, scale, ctype in product(Rounding, (1.0, 0.5, 0.1, 0.0173, 3.7), ("uint8_t", "int8_t", "int16_t")):
        channels, zero_point = 23, {"uint8_t": 10, "int8_t": -5, "int16_t": 0}[ctype]
        halves = rng.integers(-600, 600, (60, channels)) / 2 * scale
        x = halves.astype(np.float32)
        x[0], x[1], x[2] = 1e30, -1e30, 1e38
        x[3:20] = np.nextafter(x[3:20], np.float32(1e30))
        x[20:35] = np.nextafter(x[20:35], np.float32(-1e30))
        bounds = BOUNDS[ctype]
        expected = reference.quantize(x, scale, zero_point, bounds, rounding)
        x[4, :5], expected[4, :5] = np.nan, bounds[0]
        steps = plan_steps(scale, zero_point, bounds, rounding)
        for form in dict.fromkeys((None, steps)):
            stage = Quantize(scale, zero_point, rounding, *bounds, ctype, form)
            cases.append(Case((stage,), "float", x, expected))
        expected = reference.quantize(x, scale, zero_point, bounds, rounding, single=True)
        expected[4, :5] = bounds[0]
        stage = Quantize(scale, zero_point, rounding, *bounds, ctype, single=True)
        cases.append(Case((stage,), "float", x, expected))
    for rounding, scale in product(Rounding, (0.1, 0.5)):
        # codes of fewer bits than their type: what is not a number becomes the lowest of them
        x = rng.normal(0, 1, (20, 19)).astype(np.float32)
        expected = reference.quantize(x, scale, 1, (-8, 7), rounding)
        x[4, :9], expected[4, :9] = np.nan, -8
        for form in dict.fromkeys((None, plan_steps(scale, 1, (-8, 7), rounding))):
            cases.append(Case((Quantize(scale, 1, rounding, -8, 7, "int8_t", form),), "float", x, expected))
    per_channel = rng.uniform(0.01, 2, 17)
    x = rng.normal(0, 50, (40, 17)).astype(np.float32)
    expected = reference.quantize(x, per_channel, 0, (-128, 127), Rounding.half_even)
    stage = Quantize(Table("s", "double", per_channel), 0, Rounding.half_even, -128, 127, "int8_t")
    cases.append(Case((stage,), "float", x, expected))
    codes = np.arange(1 << 16, dtype=np.uint16).reshape(-1, 32)
    for scale, single in ((0.1, False), (0.125, True), (float(np.float32(0.1)), True)):
        expected = reference.dequantize(codes, scale, 333)
        cases.append(Case((Dequantize(scale, 333, single),), "uint16_t", codes, expected))
    per_channel = rng.uniform(0.01, 2, 32)
    expected = reference.dequantize(codes, per_channel, 0)
    cases.append(Case((Dequantize(Table("s", "double", per_channel), 0),), "uint16_t", codes, expected))
    return cases


def threshold_cases() -> list[Case]:
    rng = np.random.default_rng(7)
    cases: list[Case] = []
    for count, flips, shared in product((1, 3, 20), ("none", "all", "some"), (False, True)):
        channels = int(rng.choice([5, 16, 33]))
        thresholds = np.sort(rng.integers(-200, 200, (1 if shared else channels, count)), axis=1).astype(np.int16)
        rows = 1 if flips != "some" else channels
        flip = {"none": np.zeros(1), "all": np.ones(1), "some": rng.integers(0, 2, rows)}[flips].astype(np.uint8)
        if len(flip) == 1 and shared is False:
            flip = np.broadcast_to(flip, (channels,))
        x = rng.integers(-250, 250, (50, channels)).astype(np.int32)
        step, low = int(rng.choice([1, 2])), int(rng.choice([0, -1, 4]))
        wide = np.broadcast_to(thresholds, (channels, count))
        expected = low + step * reference.threshold(x, wide, np.broadcast_to(flip, (channels,)))
        table = Table("f", "uint8_t", np.array(flip)) if flips == "some" else int(flip[0])
        levels = Table("t", "int16_t", thresholds.T.reshape(-1))
        stage = Threshold(levels, table, count, shared, low, step, "int8_t")
        cases.append(Case((stage,), "int32_t", x, expected))
    return cases


def chain_cases() -> list[Case]:
    """Several stages, types on the way in, functions of floats and what runs lane by lane."""
    rng = np.random.default_rng(8)
    cases: list[Case] = []
    for ctype, channels in product(("uint8_t", "int8_t", "uint16_t", "int16_t"), (3, 16, 50)):
        low, high = BOUNDS[ctype]
        x = rng.integers(low, high + 1, (20, channels)).astype(DTYPES[ctype])
        stages: tuple[Stage, ...] = (Widen(7, 3, False), Clamp(-1000, 900, "int32_t"))
        cases.append(Case(stages, ctype, x, np.clip((x.astype(np.int32) - 7) * 3, -1000, 900)))
    x = rng.integers(-4000, 4000, (20, 37)).astype(np.int32)
    scaled = plan_scaling(np.array([5]), np.array([6]), (-4000, 4000), Rounding.half_up, 2)
    assert scaled is not None
    form = Requantize(int(scaled.multiplier[0]), int(scaled.shift[0]), Rounding.half_up, 2, 0, 255, True, "uint8_t",
                      scaled.form)  # fmt: skip
    codes = reference.requantize(x, 5, 6, 2, (0, 255), Rounding.half_up)
    chain = (form, Clamp(10, None, "uint8_t"), Widen(2, -3, False), Dequantize(0.5, 1, True))
    cases.append(Case(chain, "int32_t", x, ((np.maximum(codes, 10) - 2) * -3 - 1) * np.float32(0.5)))
    slow = Requantize(5, 6, Rounding.half_up, 2, 0, 255, True, "uint8_t")  # no form: lane by lane
    cases.append(Case((slow, Widen(0, 2, False)), "int32_t", x, codes * 2))
    return cases


EXACT = {
    "requantize": requantize_cases,
    "real": real_cases,
    "threshold": threshold_cases,
    "chains": chain_cases,
}


def check(cases: list[Case], results: list[Array]) -> None:
    for case, found in zip(cases, results, strict=True):
        expected = case.expected.astype(DTYPES[case.target])
        np.testing.assert_array_equal(found, expected, err_msg=str(case.stages))


def some(cases: list[Case], count: int) -> list[Case]:
    """A seeded sample, in order."""
    chosen = np.random.default_rng(12).permutation(len(cases))[:count]
    return [cases[i] for i in sorted(chosen)]


@pytest.mark.parametrize("flags", HOST_PATHS.values(), ids=HOST_PATHS)
def test_the_bits_of_the_reference(flags: tuple[str, ...], tmp_path: Path):
    cases = [case for make in EXACT.values() for case in some(make(), 15)]
    check(cases, run_host(print_cases(cases), cases, flags, tmp_path))


@pytest.mark.skipif(not has_aarch64(), reason="needs gcc for AArch64 and qemu-user")
def test_the_bits_of_the_reference_on_aarch64(tmp_path: Path):
    cases = [case for make in EXACT.values() for case in some(make(), 12)]
    check(cases, run_aarch64(print_cases(cases), cases, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(EXACT))
def test_the_bits_of_the_reference_everywhere(kind: str, tmp_path: Path):
    cases = EXACT[kind]()
    text = print_cases(cases)
    for flags in HOST_PATHS.values():
        check(cases, run_host(text, cases, flags, tmp_path))
    if has_aarch64():
        check(cases, run_aarch64(text, cases, tmp_path))


def test_reciprocals_of_most_scales_are_proven():
    for scale in np.random.default_rng(11).uniform(0.001, 2, 30):
        assert plan_steps(float(scale), 0, (-128, 127), Rounding.half_even) is not None
    for rounding in Rounding:  # ties of floats
        assert plan_steps(0.5, 3, (0, 255), rounding) is not None


def test_most_scalings_have_a_form_on_lanes():
    """What 8-bit layers need: 16-bit multipliers, ratios below a half, sums of up to 24 bits."""
    rng = np.random.default_rng(9)
    for rounding in Rounding:
        multiplier, shift = rng.integers(1 << 15, 1 << 16, 64), rng.integers(18, 30, 64)
        assert plan_scaling(multiplier, shift, (-(1 << 24), 1 << 24), rounding, 0) is not None


def test_floats(tmp_path: Path):
    rng = np.random.default_rng(10)
    x = np.concatenate([rng.normal(0, 3, (30, 21)), rng.uniform(-120, 120, (10, 21)), rng.normal(0, 0.01, (5, 21))])
    x[0, :5] = (0, 0.625, -0.625, 1e-30, -1e-30)
    x = x.astype(np.float32)
    wide = x.astype(np.float64)
    scale, shift = rng.normal(0, 1, (2, 21)).astype(np.float32)
    sigmoid = 1 / (1 + np.exp(-wide))
    erf = np.vectorize(math.erf)
    functions: dict[Function, tuple[Array, tuple[float, ...]]] = {
        "leaky_relu": (np.where(x < 0, x * np.float32(0.1), x), (0.1,)),
        "hard_sigmoid": (np.clip(x * 0.2 + 0.5, 0, 1), (0.2, 0.5)),
        "hard_swish": (x * np.clip(x / 6 + 0.5, 0, 1), ()),
        "tanh": (np.tanh(wide), ()),
        "sigmoid": (sigmoid, ()),
        "silu": (wide * sigmoid, ()),
        "gelu": (wide / 2 * (1 + erf(wide / math.sqrt(2))), ()),
        "sign": (np.where(x >= 0, 1, -1), ()),
    }
    stages = ScaleShift(Table("s", "float", scale), Table("t", "float", shift)), Clamp(-1.5, 2.0, "float")
    cases = [Case(stages, "float", x, np.clip(x * scale + shift, -1.5, 2))]
    cases += [Case((Apply(name, constants),), "float", x, e) for name, (e, constants) in functions.items()]
    text = print_cases(cases)
    found = {path: run_host(text, cases, HOST_PATHS[path], tmp_path) for path in ("native", "avx2", "c")}
    if has_aarch64():
        found["aarch64"] = run_aarch64(text, cases, tmp_path)
    for results in found.values():
        for case, result in zip(cases, results, strict=True):
            exact = not isinstance(case.stages[0], Apply) or case.stages[0].function != "gelu"
            rtol, atol = (2e-6, 2e-7) if exact else (1e-6, 1e-6)
            given, wanted = result.astype(np.float64), case.expected.astype(np.float64)
            np.testing.assert_allclose(given, wanted, rtol=rtol, atol=atol, err_msg=str(case.stages))
