"""The multiplier of the plug-in: each form over all operands, and the error bound that the source states."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hapir_mitchell import Mitchell
from xdsl.dialects.builtin import IntegerType

from hapir.dialects.num import integer_range, signed, unsigned
from hapir.lowering.rtl.multiplier_circuit import circuit_products
from hapir.multipliers.model import product_table
from hapir.targets.c.multiplier_products import c_products

MODELS = [Mitchell(fraction) for fraction in range(1, 8)]


def by_the_book(a: int, w: int) -> int:
    """Mitchell's product of whole numbers, in whole numbers, all fraction bits kept."""
    if a == 0 or w == 0:
        return 0
    x, y = abs(a), abs(w)
    i, j = x.bit_length() - 1, y.bit_length() - 1
    mixed = ((x - (1 << i)) << j) + ((y - (1 << j)) << i)
    magnitude = (1 << i + j) + mixed if mixed < 1 << i + j else 2 * mixed
    return magnitude if (a < 0) == (w < 0) else -magnitude


@pytest.mark.parametrize("activation", [unsigned(8), signed(8)], ids=str)
def test_the_definition(activation: IntegerType):
    table = product_table(Mitchell(), activation, signed(8))
    first = integer_range(activation)[0]
    for a, w in itertools.product(range(first, first + 256), range(-128, 128)):
        assert table[a - first, w + 128] == by_the_book(a, w)


def test_the_error_is_at_most_a_ninth():
    exact = np.outer(np.arange(256), np.arange(-128, 128))
    table = product_table(Mitchell(), unsigned(8), signed(8))
    assert (np.abs(table) <= np.abs(exact)).all()
    assert (9 * np.abs(exact - table) <= np.abs(exact)).all()
    errors = [np.abs(exact - product_table(model, unsigned(8), signed(8))).max() for model in MODELS]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > errors[-1]


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("weight", [signed(8), signed(3)], ids=str)
@pytest.mark.parametrize("activation", [unsigned(8), signed(8), unsigned(2), signed(5)], ids=str)
def test_the_circuit(model: Mitchell, activation: IntegerType, weight: IntegerType):
    found, expected = circuit_products(model, activation, weight), product_table(model, activation, weight)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("activation", [unsigned(8), signed(8)], ids=str)
def test_the_c_text(model: Mitchell, activation: IntegerType):
    found, expected = c_products(model, activation, signed(8)), product_table(model, activation, signed(8))
    np.testing.assert_array_equal(found, expected)


def test_options():
    with pytest.raises(ValueError, match="1 to 7"):
        Mitchell(0)
