"""Names of other tools: the tables are well formed, and newcomers get hapir's word."""

from __future__ import annotations

from pathlib import Path

import pytest

from hapir.diagnostics import HapirError
from hapir.registry import universe
from hapir.spec import foreign, load_spec_text
from hapir.spec.foreign import suggest, suggest_unit, suggest_value
from hapir.spec.units import UNITS
from tests.property.spec_fuzz import limited

NAME_TABLES = (
    foreign.LAYERS,
    foreign.NO_LAYERS,
    foreign.OPTIONS,
    foreign.NO_OPTIONS,
    foreign.PASSES,
    foreign.DATAFLOWS,
    foreign.BLOCKS,
)


@pytest.mark.parametrize("table", NAME_TABLES)
def test_keys_are_found(table: dict[str, object]):
    """A key that is not in small letters without `_` would never be looked up."""
    assert [key for key in table if key != key.lower().replace("_", "")] == []


@pytest.mark.parametrize(
    ("known", "table"),
    [
        (universe().layers, foreign.LAYERS),
        (universe().all_passes, foreign.PASSES),
        (universe().dataflows, foreign.DATAFLOWS),
        (universe().blocks, foreign.BLOCKS),
    ],
)
def test_no_key_hides_a_word_of_hapir(known: dict[str, object], table: dict[str, tuple[str, ...]]):
    for name in known:
        assert suggest(name.replace("_", "").upper(), known, table) == f"write `{name}`"


@pytest.mark.parametrize(
    ("name", "help"),
    [
        ("nn.Linear", "write `linear`"),
        ("torch.nn.Conv2d", "write `conv2d`"),
        ("F.max_pool2d", "here it is called `max_pool`"),
        ("keras.layers.Dense", "write `dense`"),
        ("BatchNorm2d", "here it is called `batch_norm`"),
        ("Gemm", "here it is called `dense`"),
        ("ReLU", "write `relu`"),
        ("GlobalAveragePool", "here it is called `global_avg_pool`"),
        ("Dropout", "only training needs it: leave it out"),
        ("sofmax", "did you mean `softmax`?"),
        ("warp_drive", None),
    ],
)
def test_layers(name: str, help: str | None):
    assert suggest(name, universe().layers, foreign.LAYERS, foreign.NO_LAYERS) == help


def test_a_known_word_is_preferred_to_advice():
    """`axis` of softmax is advised against, unless the layer has an option of that name."""
    assert suggest("dim", ["axis"], foreign.OPTIONS, foreign.NO_OPTIONS) == "here it is called `axis`"
    assert "leave it out" in (suggest("dim", [], foreign.OPTIONS, foreign.NO_OPTIONS) or "")


def test_a_candidate_that_does_not_exist_is_not_offered():
    assert suggest("view", ["relu"], foreign.LAYERS) is None
    assert suggest("view", ["relu", "flatten"], foreign.LAYERS) == "here it is called `flatten`"


@pytest.mark.parametrize(
    ("word", "help"),
    [
        ("MHZ", "write `MHz`"),
        ("mhz", "write `MHz`"),
        ("bits", "write `b`"),
        ("bytes", "write `B`"),
        ("percent", "write `%`"),
        ("B/clk", "write `B/cycle`"),
        ("cycels", "did you mean `cycles`?"),
        ("parsec", None),
    ],
)
def test_units(word: str, help: str | None):
    assert suggest_unit(word, UNITS) == help


def test_unit_words_are_units():
    assert set(foreign.UNIT_WORDS.values()) <= set(UNITS)
    assert set(foreign.UNIT_WORDS) & set(UNITS) == set()


def test_values_are_offered_where_they_are_taken():
    assert suggest_value("bias", "False", lambda w: w == "false") == "write `false`"
    assert suggest_value("weights", "INT8", lambda w: w == "i8") == "write `i8`"
    assert suggest_value("weights", "int8", lambda w: w == "u8") is None
    assert "padding = 1" in (suggest_value("padding", "SAME", lambda _: False) or "")


@pytest.mark.parametrize(
    ("text", "message", "help"),
    [
        ("while x {", "there are no loops here", "repeat i in range"),
        ("const n = 3", "there is no `const`", "let name = value"),
        ("y = x % 3", None, "mod("),
        ("y = relu(x) + ", "expected a value after `+`, found the end of the line", "finish it"),
        ("y += relu(x)", None, "a name of its own"),
        ("repeat i { }", None, "repeat i in range(1, 3)"),
        ("y = relu(x", "this `(` is never closed", "close it with `)`"),
        ("y = relu(x < 3)", None, "no comparisons"),
        ("y = relu(\u201cx\u201d)", None, "double quotes"),
    ],
)
def test_statements_of_other_languages(text: str, message: str | None, help: str):
    spec = f"hap 1\nnetwork n(x: f32[1, 8]) -> f32[1, 8] {{\n    {text}\n    return x\n}}\n"
    with pytest.raises(HapirError) as raised:
        load_spec_text(spec, "t.hap", Path("nowhere"))
    first = raised.value.diagnostics[0]
    assert help in (first.help or "")
    assert message is None or first.message == message


def test_a_word_of_another_language_may_be_a_name():
    """Only where the text does not go on as a spec is such a word more than a name."""
    spec = "hap 1\nnetwork n(x: f32[1, 8]) -> f32[1, 8] {\n    model = relu(x)\n    return relu(model)\n}\n"
    assert "model" in load_spec_text(spec, "t.hap", Path("nowhere")).layers["n"]


def test_help_does_not_count_to_billions():
    size = 1_000_000_000
    spec = (
        f"hap 1\nnetwork n(x: f32[1, {size}, 1, 1]) -> f32[1, 4, 1, 1] {{\n"
        f"    return conv2d(x, channels = {size}, kernel = 1, groups = 7)\n}}\n"
    )
    with pytest.raises(HapirError) as raised, limited(5):
        load_spec_text(spec, "t.hap", Path("nowhere"))
    assert "1, 2, 4, 5, 8, 10, 16, 20 divide" in (raised.value.diagnostics[0].help or "")
