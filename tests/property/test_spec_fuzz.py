"""Damaged and random specs end in IR or in diagnostics: no other exception, no hang, no place outside a file.

A failure names its seed; `spec_fuzz.make(seed)` is the text.
"""

from __future__ import annotations

import time

import pytest

from hapir.diagnostics import Diagnostic, Span
from tests.property import spec_fuzz
from tests.property.spec_fuzz import Hang, Sample, Wrong, check_diagnostics, corpus, examine, light, limited, make

SAMPLE = 400
ALL = 20_000


def failures(seeds: range, most: int = 5) -> list[str]:
    """What goes wrong with the texts of some seeds, up to so many."""
    found: list[str] = []
    for seed in seeds:
        sample = make(seed)
        try:
            examine(sample)
        except (Wrong, Hang) as error:
            found.append(f"seed {seed} ({sample.how}): {type(error).__name__} {error}")
            if len(found) == most:
                break
    return found


def test_a_sample_is_answered():
    assert failures(range(SAMPLE)) == []


@pytest.mark.slow
def test_many_are_answered():
    assert failures(range(SAMPLE, SAMPLE + ALL)) == []


def test_all_specs_are_answered_as_they_are():
    """Good specs are good, broken ones have diagnostics; what is damaged are these, and the library's networks."""
    good = 0
    for path in light():
        good += examine(Sample(path.read_text(encoding="utf-8"), "unchanged", path.parent))
    assert len(corpus()) > len(light()) > 100
    assert good > 10


def test_a_seed_gives_one_text():
    assert [make(seed) for seed in range(20)] == [make(seed) for seed in range(20)]
    assert len({make(seed).text for seed in range(100)}) > 90
    assert {make(seed).how for seed in range(SAMPLE)} == {maker.__name__ for maker in spec_fuzz.MAKERS}


def test_the_examination_sees_what_is_wrong(monkeypatch: pytest.MonkeyPatch):
    text = Sample("hap 1\n", "by hand", corpus()[0].parent)
    with pytest.raises(Wrong, match="outside"):
        check_diagnostics([Diagnostic("HAP0101", "too far down", Span("t.hap", 3, 1, 3, 2))], text)
    with pytest.raises(Wrong, match="outside"):
        check_diagnostics([Diagnostic("HAP0101", "too far right", Span("t.hap", 1, 9, 1, 10))], text)
    with pytest.raises(Wrong, match="outside"):
        check_diagnostics([Diagnostic("HAP0101", "empty", Span("t.hap", 1, 2, 1, 2))], text)

    def crash(*_arguments: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(spec_fuzz, "load_spec_text", crash)
    with pytest.raises(Wrong, match="KeyError"):
        examine(text)


def test_a_hang_is_stopped():
    def spin() -> None:
        with limited(0.05):
            while time.process_time() < float("inf"):
                pass

    with pytest.raises(Hang):
        spin()
