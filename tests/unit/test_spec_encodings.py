"""Encodings as values of the spec: every one in a recipe, its options, and what is wrong at its place."""

from __future__ import annotations

import pytest

from hapir.lowering.compress.encode import EncodePass
from hapir.registered import ENCODING, spell, value_of
from hapir.registry import HAPIR
from hapir.spec.check import recipe_passes
from tests.spec_texts import diagnostics, spec_of

SPEC = """
network n(image: f32[1, 4]) -> f32[1, 2] {{ return dense(image, units = 2) }}
recipe r {{ encode({}) }}
schedule s of n with r {{ }}
"""
WRITTEN = {
    "encoding = dense": "dense",
    "encoding = dense(4)": "dense(width = 4)",
    "encoding = bit_planes(word = 64)": "bit_planes(word = 64)",
    "encoding = codebook": "codebook",
    "encoding = trits": "trits",
    "encoding = bitmap(levels = 0)": "bitmap(levels = 0)",
    "encoding = crs(relative, 4)": "crs(columns = relative, index_bits = 4)",
    "encoding = ras(index_bits = 8)": "ras(index_bits = 8)",
    "encoding = rle(gap_bits = auto)": "rle",
    "encoding = huffman(source = gaps, codebook = model)": "huffman(source = gaps, codebook = model)",
    "encoding = smallest": "smallest",
}


@pytest.mark.parametrize(("written", "text"), WRITTEN.items())
def test_an_encoding_in_a_recipe(written: str, text: str):
    (step,) = recipe_passes(spec_of(SPEC.format(written)), "r")
    assert step.pass_ == EncodePass(text)
    assert spell(value_of(text, ENCODING)) == text


def test_all_are_written():
    assert {text.partition("(")[0] for text in WRITTEN.values()} == set(HAPIR.encodings)


@pytest.mark.parametrize(
    ("written", "code", "words"),
    [
        ("encoding = bitmp", "HAP0550", "there is no encoding `bitmp`"),
        ("encoding = rle(gap_bits = 0)", "HAP0305", "`gap_bits` of rle is 0, it must be 1 to 24"),
        ("encoding = rle(gap = 3)", "HAP0204", "has no option `gap`"),
        ("encoding = ras(index_bits = 9)", "HAP0304", "index_bits"),
        ("encoding = 3", "HAP0304", "takes an encoding like"),
    ],
)
def test_what_is_wrong(written: str, code: str, words: str):
    found = [d for d in diagnostics(SPEC.format(written)) if d.severity == "error"]
    assert [d.code for d in found] == [code]
    assert words in found[0].message
