"""Slices and what generates them: CSG, BSG, and the rule for the length of a code."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapir.factorizations import bsg, csg, dct
from hapir.factorizations.bsg import Polarity
from hapir.factorizations.slices import crop_patterns, csg_generated, cut, grid_of, join, slice_count

BANKS = st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 3), st.integers(1, 3))
SLICES = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
Shape = tuple[int, ...]


def draw(shape: Shape, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(seed).standard_normal(shape)


@settings(max_examples=40, deadline=None)
@given(BANKS, SLICES)
def test_the_order_of_slices_is_that_of_loops(bank: Shape, slice_shape: Shape):
    w = draw(bank, 0)
    grid = grid_of(bank, slice_shape)
    expected: list[list[float]] = []
    for place in product(*map(range, grid)):
        row: list[float] = []
        for offset in product(*map(range, slice_shape)):
            index = tuple(p * s + o for p, s, o in zip(place, slice_shape, offset, strict=True))
            row.append(float(w[index]) if all(i < b for i, b in zip(index, bank, strict=True)) else 0.0)
        expected.append(row)
    np.testing.assert_array_equal(cut(w, slice_shape), expected)
    np.testing.assert_array_equal(join(cut(w, slice_shape), bank, slice_shape), w)
    inside = cut(np.ones(bank), slice_shape) == 1
    seen = np.zeros(len(inside), int)
    for rows, pattern in crop_patterns(bank, slice_shape):
        assert (inside[rows] == pattern).all()
        seen[rows] += 1
    assert (seen == 1).all()
    assert len(expected) == slice_count(bank, slice_shape)


def test_slices_have_the_rank_of_their_bank():
    with pytest.raises(ValueError, match="no slices of"):
        grid_of((4, 4), (2, 2, 1, 1))
    with pytest.raises(ValueError, match="no slices of"):
        grid_of((4, 4), (2, 0))


# --- CSG --------------------------------------------------------------------------------------------------------------


def generated(generator: csg.SliceGenerator, index: int, bank: Shape, slice_shape: Shape) -> Any:
    return join(csg_generated(generator.codes[index], generator.matrix), bank, slice_shape)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), SLICES, st.integers(1, 30), st.integers(0, 99))
def test_projection_loses_the_dropped_singular_values(a: int, b: int, slice_shape: Shape, code: int, seed: int):
    shapes = [
        (a * slice_shape[0], slice_shape[1], *slice_shape[2:]),
        (slice_shape[0], b * slice_shape[1], *slice_shape[2:]),
    ]
    banks = [draw(shape, seed + n) for n, shape in enumerate(shapes)]
    generator = csg.project(banks, slice_shape, code)
    values = np.linalg.svd(np.vstack([cut(w, slice_shape) for w in banks]), compute_uv=False)
    error = sum(((w - generated(generator, n, w.shape, slice_shape)) ** 2).sum() for n, w in enumerate(banks))
    assert error == pytest.approx((values[code:] ** 2).sum(), abs=1e-18 * 1e6)
    assert generator.matrix.shape == (prod(slice_shape), code)


@settings(max_examples=40, deadline=None)
@given(BANKS, SLICES, st.integers(0, 99), st.integers(1, 12))
def test_cropped_slices(bank: Shape, slice_shape: Shape, seed: int, code: int):
    """Codes of cropped slices are least squares over what is kept: never worse than zero-padded, exact at full rank."""
    w = draw(bank, seed)
    full = csg.largest_rank([bank], slice_shape)
    np.testing.assert_allclose(generated(csg.project([w], slice_shape, full), 0, bank, slice_shape), w, atol=1e-9)
    generator = csg.project([w], slice_shape, code)
    padded = join(cut(w, slice_shape) @ generator.matrix @ generator.matrix.T, bank, slice_shape)
    error, naive = ((w - generated(generator, 0, bank, slice_shape)) ** 2).sum(), ((w - padded) ** 2).sum()
    assert error <= naive + 1e-9
    # stored as f32 they still are: no code is large for the sake of a direction that the crop hardly shows
    stored = csg.SliceGenerator(
        generator.matrix.astype(np.float32).astype(np.float64),
        tuple(codes.astype(np.float32).astype(np.float64) for codes in generator.codes),
    )
    assert ((w - generated(stored, 0, bank, slice_shape)) ** 2).sum() == pytest.approx(error, abs=1e-4)


def test_a_direction_that_a_crop_hardly_shows_is_not_fitted():
    """Of three numbers two are kept, and of the second direction they show 1e-5: no code of 1e5 for its sake."""
    matrix = np.array([[1.0, 0.0], [0.0, 1e-5], [0.0, 1.0]])
    (codes,) = csg.codes_for([np.ones((1, 2))], (1, 3), matrix)
    np.testing.assert_allclose(codes, [[1, 0]], atol=1e-4)


def test_a_given_matrix_gets_least_squares_codes():
    w, matrix = draw((4, 4, 3, 3), 1), draw((36, 5), 2)
    (codes,) = csg.codes_for([w], (2, 2, 3, 3), matrix)
    expected = np.linalg.lstsq(matrix, cut(w, (2, 2, 3, 3)).T, rcond=None)[0].T
    np.testing.assert_allclose(codes, expected)


def test_convolving_with_the_basis_is_the_same():
    """Associativity (UCSD thesis, L1980): basis slices first, then the codes' weights."""
    codes, matrix, x = draw((3, 4), 0), draw((18, 4), 1), draw((18,), 2)
    np.testing.assert_allclose(csg_generated(codes, matrix) @ x, codes @ (matrix.T @ x))


# --- the length of a code ---------------------------------------------------------------------------------------------


def test_the_cosine_transform_is_orthonormal_and_is_the_formula():
    w = draw((2, 3 * 2 * 3 * 1), 0)
    coefficients = dct.transform(w, (3, 2, 3, 1))
    np.testing.assert_allclose(dct.inverse(coefficients, (3, 2, 3, 1)), w, atol=1e-12)
    block = w[0].reshape(3, 2, 3, 1)
    u, v, x, y = 1, 1, 2, 0
    total = sum(
        block[i, j, k, 0]
        * np.cos(np.pi / 3 * (i + 0.5) * u)
        * np.cos(np.pi / 2 * (j + 0.5) * v)
        * np.cos(np.pi / 3 * (k + 0.5) * x)
        for i, j, k in product(range(3), range(2), range(3))
    )
    assert coefficients[0].reshape(3, 2, 3, 1)[u, v, x, y] == pytest.approx(total * np.sqrt(2 / 3) * np.sqrt(2 / 3))
    np.testing.assert_allclose((coefficients**2).sum(axis=1), (w**2).sum(axis=1))


def advise(slices: np.ndarray[Any, np.dtype[np.float64]], shape: Shape, psnr: float = 20.0) -> dct.CodeAdvice:
    """The rule for slices, which lie one below the other in a bank."""
    return dct.advise([slices.reshape(-1, *shape[1:])], shape, psnr)


def test_the_rule_on_noise():
    """UCSD thesis, L1930-1960, pilot on the rule: Gaussian slices need 302 of 2304 coefficients (7.6x); long tails
    pass with next to none, so that the rule is no promise of quality."""
    rng = np.random.default_rng(0)
    shape = (16, 16, 3, 3)
    gaussian = advise(rng.standard_normal((100, 2304)), shape)
    assert gaussian.code == pytest.approx(302, rel=0.02)
    assert 2304 / gaussian.code == pytest.approx(7.6, abs=0.2)
    assert gaussian.psnr_db == pytest.approx(20, abs=0.01)
    assert advise(rng.laplace(size=(100, 2304)), shape).code <= 4
    assert advise(rng.standard_t(2, size=(100, 2304)), shape).code == 1


def test_the_rule_needs_more_for_more_and_knows_constants():
    rows = draw((20, 36), 0)
    counts = [advise(rows, (2, 2, 3, 3), psnr).coefficients for psnr in (10, 20, 30, 60)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] <= 36
    assert advise(np.zeros((3, 4)), (2, 2)).code == 1
    assert advise(np.ones((3, 4)), (2, 2)).code == 1
    # many slices are sampled: copies say what one says
    one = draw((1, 4), 3)
    many = advise(np.repeat(one, 3 * dct.MEASURED + 1, axis=0), (2, 2))
    assert many.coefficients == advise(one, (2, 2)).coefficients
    # smooth slices need one coefficient
    wave = dct.inverse(np.eye(36)[[5]], (2, 2, 3, 3))
    assert advise(wave, (2, 2, 3, 3), 40).coefficients == 1


# --- BSG --------------------------------------------------------------------------------------------------------------

BITS = st.integers(1, 40)


@settings(max_examples=60, deadline=None)
@given(BITS, st.integers(1, 90), st.integers(0, 999))
def test_generated_numbers_are_those_of_the_thesis(code: int, length: int, seed: int):
    """Equation 5.5 as loops; its period, parity and residue, its bound, its sum, and its Fourier form."""
    rng = np.random.default_rng(seed)
    base, codes = bsg.random_base(code, seed), rng.integers(0, 2, (3, code), dtype=np.uint8)
    values = bsg.generated(codes, base, length)
    b, c = 2 * base.astype(int) - 1, 2 * codes.astype(int) - 1
    for i in range(min(length, 4)):
        np.testing.assert_array_equal(values[:, i], c @ np.roll(b, i))
    np.testing.assert_array_equal(values[:, code:], values[:, : max(length - code, 0)])
    assert (np.abs(values) <= code).all()
    assert ((values - code) % 2 == 0).all()
    assert ((values - values[:, :1]) % 4 == 0).all()
    whole = bsg.generated(codes, base, code)
    np.testing.assert_array_equal(whole.sum(axis=1), b.sum() * c.sum(axis=1))
    spectrum = np.fft.fft(c) * np.conj(np.fft.fft(b))
    np.testing.assert_allclose(whole, np.fft.ifft(spectrum).real, atol=1e-9)


@given(BITS, st.integers(0, 99))
def test_the_printed_xor_form_is_the_negative(code: int, seed: int):
    """Erratum of equation 5.6 (UCSD thesis, L1984-2012): `2 popcount(b xor c) - n_c` is `-W`."""
    base, codes = bsg.random_base(code, seed), bsg.random_base(code, seed + 1)[np.newaxis]
    printed = 2 * int((base ^ codes[0]).sum()) - code
    assert bsg.generated(codes, base, 1)[0, 0] == -printed == code - 2 * int((base ^ codes[0]).sum())
    assert bsg.generated(codes, base, 1, "xor")[0, 0] == printed


@given(st.integers(1, 70), st.integers(0, 99))
def test_words_hold_the_bits(code: int, seed: int):
    bits = np.random.default_rng(seed).integers(0, 2, (2, code), dtype=np.uint8)
    words = bsg.pack(bits)
    assert words.dtype == np.uint16
    assert words.shape == (2, bsg.words_for(code))
    np.testing.assert_array_equal(bsg.unpack(words, code), bits)
    assert int(words[0, 0]) & 1 == bits[0, 0]


POLARITIES: tuple[Polarity, ...] = ("xnor", "xor")


@settings(max_examples=30, deadline=None)
@given(BANKS, SLICES, BITS, st.integers(0, 99), st.sampled_from(POLARITIES))
def test_fitting_never_loses(bank: Shape, slice_shape: Shape, code: int, seed: int, polarity: Polarity):
    w, base = draw(bank, seed), bsg.random_base(code, seed)

    def error(rounds: int) -> float:
        found = bsg.fit(w, slice_shape, base, rounds, polarity)
        numbers = bsg.generated(found.codes, base, prod(slice_shape), polarity)
        assert found.scale >= 0
        return float(((w - found.scale * join(numbers, bank, slice_shape)) ** 2).sum())

    errors = [error(rounds) for rounds in (0, 1, 3)]
    assert errors[2] <= errors[1] + 1e-9
    assert errors[1] <= errors[0] + 1e-9
    assert errors[0] <= (w**2).sum() + 1e-9  # the least-squares scale is never worse than zero


def test_what_was_generated_is_found_again():
    base = bsg.random_base(12, 3)
    codes = np.random.default_rng(0).integers(0, 2, (6, 12), dtype=np.uint8)
    w = np.asarray(0.25 * join(bsg.generated(codes, base, 36), (4, 6, 3, 3), (2, 2, 3, 3)), np.float64)
    found = bsg.fit(w, (2, 2, 3, 3), base, 10)
    again = found.scale * join(bsg.generated(found.codes, base, 36), (4, 6, 3, 3), (2, 2, 3, 3))
    assert ((w - again) ** 2).sum() < 0.05 * (w**2).sum()


def test_a_layer_of_zeros_has_scale_zero():
    found = bsg.fit(np.zeros((4, 2, 3, 3)), (2, 2, 3, 3), bsg.random_base(8, 0))
    assert found.scale == 0
    assert found.codes.shape == (2, 8)
