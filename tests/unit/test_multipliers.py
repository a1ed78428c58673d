"""Multiplier models: each form of each model over all operands, the contract, and what breaks it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import IntegerType

from hapir.dialects.num import integer_range, signed, unsigned
from hapir.lowering.rtl.builder import Module, Signal
from hapir.lowering.rtl.multiplier_circuit import CircuitError, check_circuit, circuit_products
from hapir.multipliers.exact import Exact
from hapir.multipliers.model import Cost, Int, Multiplier, modelled_bound, product_range, product_table
from hapir.multipliers.truncated import Truncated
from hapir.registered import MULTIPLIER, spell, value_of
from hapir.registry import HAPIR
from hapir.targets.c.multiplier_products import c_products

MODELS: list[Multiplier] = [Exact(), *(Truncated(bits) for bits in range(1, 8))]
WIDTHS = [(a, w) for a in (unsigned(8), signed(8), unsigned(5), signed(3)) for w in (signed(8), signed(4), signed(2))]


def suited(models: Iterable[Multiplier]) -> list[tuple[Multiplier, IntegerType, IntegerType]]:
    """Each model with each pair of formats that it takes."""
    return [
        (model, a, w)
        for model, (a, w) in itertools.product(models, WIDTHS)
        if not isinstance(model, Truncated) or model.bits < a.width.data
    ]


@pytest.mark.parametrize(("model", "a", "w"), suited(MODELS), ids=str)
def test_the_circuit_means_what_numpy_says(model: Multiplier, a: IntegerType, w: IntegerType):
    np.testing.assert_array_equal(circuit_products(model, a, w), product_table(model, a, w))


@pytest.mark.parametrize("a", [unsigned(8), signed(8)], ids=str)
@pytest.mark.parametrize("model", MODELS, ids=spell)
def test_the_c_text_means_what_numpy_says(model: Multiplier, a: IntegerType):
    np.testing.assert_array_equal(c_products(model, a, signed(8)), product_table(model, a, signed(8)))


def test_a_model_without_c_text():
    with pytest.raises(ValueError, match="no C text"):
        c_products(Odd("none"), unsigned(8), signed(8))


@pytest.mark.parametrize("bits", range(1, 8))
@pytest.mark.parametrize("a_format", [unsigned(8), signed(8)], ids=str)
def test_truncated_drops_the_low_columns_of_the_partial_products(bits: int, a_format: IntegerType):
    """The definition, bit by bit in Python's integers: column by column, what lies below `bits` is left out."""
    table = product_table(Truncated(bits), a_format, signed(8))
    low, high = integer_range(a_format)
    draw = np.random.default_rng(bits)
    for a, w in [(low, -128), (high, 127), (high, -128), *draw.integers(low, high + 1, (300, 2)).tolist()]:
        w = max(-128, min(127, w))
        rows = [(w << i) >> bits << bits for i in range(8) if a >> i & 1]
        if a < 0:
            rows[-1] = -rows[-1]  # the sign bit weighs -2^7, and no column of its row is dropped
        assert table[a - low, w + 128] == sum(rows)
    exact = product_table(Exact(), a_format, signed(8))
    error = table - exact
    assert error.max() == 0
    assert error.min() == -((bits - 1) * 2**bits + 1)


def test_tables_hold_every_product_in_order():
    table = product_table(Exact(), unsigned(3), signed(2))
    np.testing.assert_array_equal(table, np.outer(np.arange(8), np.arange(-2, 2)))
    assert not table.flags.writeable
    lows, highs = product_range(table, signed(2), np.array([[-2, 1], [0, -1]], np.int8))
    assert lows.tolist() == [[-14, 0], [0, -7]]
    assert highs.tolist() == [[0, 7], [0, 0]]


def test_the_bound_covers_every_order_of_summation():
    draw = np.random.default_rng(0)
    table = product_table(Truncated(3), unsigned(4), signed(4))
    for zero_point in (0, 7, 15):
        w = draw.integers(-8, 8, (3, 5))
        bound = modelled_bound(table, signed(4), zero_point, w)
        for _ in range(200):
            q = draw.integers(0, 16, 5)
            terms = table[q[None, :], w + 8] - zero_point * w
            assert (np.abs(terms).sum(axis=1) <= bound).all()


@dataclass(frozen=True)
class Odd(Multiplier):
    """A model that breaks one rule of the contract."""

    name = "odd"
    fault: str

    def multiply(self, activation: Int, weight: Int) -> Int:
        product = activation * weight
        faulty: dict[str, Any] = {
            "zero": product + 1,
            "wide": product << 12,
            "real": product / 2,
            "shape": product[0],
        }
        return faulty.get(self.fault, product)

    def cost(self, activation_bits: int, weight_bits: int) -> Cost:
        return Cost(1.0, 1.0, "", assumed=True)

    def circuit(self, m: Module, activation: Signal, weight: Signal, *, activation_signed: bool) -> Signal | None:
        product = m.mul(activation, weight, lhs_signed=activation_signed, rhs_signed=True)
        match self.fault:
            case "circuit":
                return product + m.mux(activation.eq(3), m.const(1, product.width), 0)
            case "clocked":
                return m.delay(product, 1, "late")
            case "huge":
                return product.sext(70)
            case "widths":
                return activation.zext(9) + weight
            case "none":
                return None
            case _:
                return product


@pytest.mark.parametrize(
    ("fault", "words"),
    [("zero", "product with 0"), ("wide", "beyond"), ("real", "not integers"), ("shape", "not integers")],
)
def test_a_model_that_breaks_the_contract_is_refused(fault: str, words: str):
    with pytest.raises(ValueError, match=words):
        product_table(Odd(fault), unsigned(8), signed(8))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("circuit", "its circuit gives -23 for 3 \\* -8, its meaning is -24"),
        ("clocked", "not combinational"),
        ("huge", "70 bits"),
        ("none", "no circuit"),
        ("widths", "cannot be built: widths differ"),
    ],
)
def test_a_circuit_that_differs_is_found(fault: str, words: str):
    with pytest.raises(CircuitError, match=words):
        check_circuit(Odd(fault), unsigned(4), signed(4))


def test_formats_that_a_model_cannot_take():
    with pytest.raises(ValueError, match="up to 8 bits"):
        product_table(Exact(), unsigned(9), signed(8))
    with pytest.raises(ValueError, match="no column"):
        product_table(Truncated(2), unsigned(2), signed(8))
    with pytest.raises(ValueError, match="1 to 7"):
        Truncated(8)


def test_the_operations_of_circuits():
    """Each op that a circuit may use, against Python's integers, over all pairs of two small vectors."""

    @dataclass(frozen=True)
    class Uses(Odd):
        """The operation named `fault` as a product."""

        def circuit(self, m: Module, activation: Signal, weight: Signal, *, activation_signed: bool) -> Signal:
            a, w = activation, weight
            results = {
                "-": lambda: a - w,
                "&": lambda: a & w,
                "|": lambda: a | w,
                "^": lambda: a ^ w,
                "<u": lambda: a.ult(w).zext(4),
                ">=u": lambda: a.uge(w).zext(4),
                "<s": lambda: a.slt(w).zext(4),
                "<<": lambda: a.shl(w.bits(0, 3)),
                ">>>": lambda: a.sra(w.bits(0, 2)),
                "rep": lambda: a.bit(3).repeat(4),
                "rom": lambda: m.rom("table", a, list(range(0, 48, 3)), 6).bits(2, 4),
            }
            return results[self.fault]()

    def as_signed(x: int) -> int:
        return x - 16 * (x >> 3)

    oracles: dict[str, Callable[[int, int], int]] = {
        "-": lambda a, w: a - w,
        "&": lambda a, w: a & w,
        "|": lambda a, w: a | w,
        "^": lambda a, w: a ^ w,
        "<u": lambda a, w: int(a < w),
        ">=u": lambda a, w: int(a >= w),
        "<s": lambda a, w: int(as_signed(a) < as_signed(w)),
        "<<": lambda a, w: a << (w & 7),
        ">>>": lambda a, w: as_signed(a) >> (w & 3),
        "rep": lambda a, w: 15 * (a >> 3),
        "rom": lambda a, w: 3 * a >> 2,
    }
    for name, oracle in oracles.items():
        found = circuit_products(Uses(name), signed(4), signed(4))
        for a, w in itertools.product(range(-8, 8), repeat=2):
            assert found[a + 8, w + 8] == as_signed(oracle(a & 15, w & 15) & 15), (name, a, w)


def test_costs():
    assert Exact().cost(8, 8) == Cost(1.0, 1.0, "", assumed=False)
    shares = [Truncated(bits).cost(8, 8).energy for bits in range(1, 8)]
    assert shares == sorted(shares, reverse=True)
    assert shares[1] == 1 - 3 / 64
    assert Truncated(3).cost(8, 8).assumed


def test_all_registered_models_are_covered_here():
    assert {model.name for model in MODELS} == set(HAPIR.multipliers)
    for model in MODELS:
        assert value_of(spell(model), MULTIPLIER) == model
