"""`hapir opt --verify-diagnostics`: expectations in comments against what comes, on IR and on specs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hapir.diagnostics import Diagnostic, Label, Span
from hapir.opt.expectations import expectations_of, unmet
from hapir.opt.source import Chunk
from tests.projects import Outcome, run_main
from tests.unit.opt_passes import IR, registered

FLAG = "--verify-diagnostics"


@pytest.fixture(autouse=True)
def _passes() -> Iterator[None]:
    with registered():
        yield


def check(folder: Path, text: str, *options: str, name: str = "x.mlir") -> Outcome:
    path = folder / name
    path.write_text(text)
    outcome = run_main("opt", path, FLAG, *options)
    assert "Traceback" not in outcome.err
    return outcome


def read(text: str) -> list[tuple[str, int | None, str]]:
    found, problems = expectations_of(Chunk(text, 1, text.count("\n") + 1), "x")
    assert problems == []
    return [(wish.severity, wish.line, wish.text) for wish in found]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("// expected-error {{t}}", 1),
        ("code  // expected-error {{t}}  ", 1),
        ("//expected-error@+1{{t}}", 2),
        ("/// expected-error @+2 {{t}}", 3),
        ("\n\n// expected-error@-2 {{t}}", 1),
        ("\n// expected-error@above {{t}}", 1),
        ("// expected-error@below {{t}}", 2),
        ("// expected-error@unknown {{t}}", None),
    ],
)
def test_where_an_expectation_points(text: str, line: int | None) -> None:
    assert read(text) == [("error", line, "t")]


def test_above_and_below_skip_other_expectations() -> None:
    text = (
        "// expected-error@below {{a}}\n// expected-note@below {{b}}\ncode\n"
        "// expected-warning@above {{c}}\n// expected-error@above {{d}}\n"
    )
    assert [line for _, line, _ in read(text)] == [3, 3, 3, 3]


def test_texts_reach_to_the_last_braces() -> None:
    assert read("// expected-note {{a {{b}} c}}") == [("note", 1, "a {{b}} c")]
    assert read("// not an expected-error {{a}}") == []
    assert read("// expected-errors are fine") == []


@pytest.mark.parametrize(
    "text",
    [
        "// expected-error@next {{t}}",
        "// expected-error@1 {{t}}",
        "// expected-error {t}",
        "// expected-remark {{t}}",
        "// expected-error {{t}} more",
        "// expected-error",
        "// expected-error-re {{a{{(}}}}",
    ],
)
def test_wrong_expectations_are_diagnostics(text: str) -> None:
    found, (problem,) = expectations_of(Chunk(f"\n  {text}", 1, 2), "x")
    assert found == []
    assert problem.code == "HAP0858"
    assert problem.span == Span("x", 2, 3, 2, len(text) + 3)


def diagnostic(message: str, line: int | None, *labels: str) -> Diagnostic:
    at = None if line is None else Span("x", line, 1, line, 2)
    return Diagnostic("HAP0101", message, at, tuple(Label(Span("x", 9, 1, 9, 2), text) for text in labels))


def differ(text: str, *came: Diagnostic) -> list[str]:
    wishes, problems = expectations_of(Chunk(text, 1, 9), "x")
    assert problems == []
    return [problem.code for problem in unmet(wishes, came, "x")]


def test_each_expectation_takes_one_diagnostic() -> None:
    foo, bar = "// expected-error@1 {{foo}}", "// expected-error@+1 {{foobar}}"
    one = foo.replace("@1", "@+2")
    assert differ(f"{one}\n{bar}\n", diagnostic("foobar", 3), diagnostic("foo", 3)) == []
    assert differ(f"{bar.replace('+1', '+2')}\n{foo.replace('@1', '@+1')}\n", diagnostic("foobar", 3)) == ["HAP0856"]
    assert differ(one, diagnostic("foo", 3), diagnostic("foo", 3)) == ["HAP0857"]
    assert differ(one, diagnostic("foo", 4)) == ["HAP0856", "HAP0857"]
    assert differ("// expected-warning@+2 {{foo}}", diagnostic("foo", 3)) == ["HAP0856", "HAP0857"]
    assert differ("// expected-error@unknown {{foo}}", diagnostic("foo", None)) == []
    assert differ("// expected-error {{HAP0101: foo}}", diagnostic("foo", 1)) == []


def test_labels_are_notes_that_need_not_be_expected() -> None:
    error = "// expected-error {{e}}"
    assert differ(error, diagnostic("e", 1, "from here")) == []
    assert differ(f"{error}\n// expected-note@+7 {{{{from}}}}", diagnostic("e", 1, "from here")) == []
    assert differ(f"{error}\n// expected-note@+7 {{{{to}}}}", diagnostic("e", 1, "from here")) == ["HAP0856"]


def test_regular_expressions_stand_in_braces() -> None:
    wish = "// expected-error-re {{a.b {{[0-9]+}}}}"
    assert differ(wish, diagnostic("a.b 17", 1)) == []
    assert differ(wish, diagnostic("axb 17", 1)) == ["HAP0856", "HAP0857"]
    assert differ(wish, diagnostic("a.b x", 1)) == ["HAP0856", "HAP0857"]


def test_errors_of_parser_verifier_and_passes(tmp_path: Path) -> None:
    text = """\
// expected-error@+1 {{there is no operation `nn.relo`}}
nn.relo
// -----
nn.return // expected-error {{expects parent op 'nn.network'}}
// -----
nn.network @n (%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) inputs ["x"] results ["y"] {
  %y = nn.relu %x : tensor<1x4xf32> -> tensor<1x4xf32>
  // expected-error@above {{HAP0502: no relu for me}}
  // expected-note@unknown {{in this step}}
  nn.return %y : tensor<1x4xf32>
}
"""
    outcome = check(tmp_path, text, "--split-input-file", "-p", "refuse_op_in_test{placed=true}")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    last = text.split("// -----\n")[2]
    assert check(tmp_path, last, "-p", "cse").code == 1
    pipeline = ("-p", "refuse_in_test")
    assert check(tmp_path, f"// expected-error@unknown {{{{not with me}}}}\n{IR}", *pipeline).code == 0


def test_the_result_of_good_chunks_is_printed(tmp_path: Path) -> None:
    outcome = check(tmp_path, f"{IR}// -----\nnn.relo // expected-error {{{{nn.relo}}}}\n", "--split-input-file")
    assert outcome.code == 0
    alone = tmp_path / "alone.mlir"
    alone.write_text(IR, encoding="utf-8")
    assert outcome.out == run_main("opt", alone).out
    assert "@tiny" in outcome.out
    assert "// -----" not in outcome.out


def test_all_invalid_operations_are_expected(tmp_path: Path) -> None:
    text = "nn.return // expected-error {{nn.return}}\n\nnn.return // expected-error {{nn.return}}\n"
    assert check(tmp_path, text).code == 0
    outcome = check(tmp_path, text.replace("// expected-error {{nn.return}}\n\n", "\n\n"))
    assert outcome.code == 1
    assert outcome.err.count("error[") == 1
    assert "error[HAP0857]: this error was not expected: HAP0853" in outcome.err
    assert "x.mlir:1:1" in outcome.err


def test_what_is_unmatched_is_said_precisely(tmp_path: Path) -> None:
    outcome = check(tmp_path, "// expected-error@+1 {{no such words}}\nnn.relo\n")
    assert outcome.code == 1
    assert "error[HAP0856]: no error on line 2 says `no such words`" in outcome.err
    assert "x.mlir:1:1" in outcome.err
    assert "it says `HAP0852: there is no operation `nn.relo``" in outcome.err
    assert "error[HAP0857]: this error was not expected: HAP0852: there is no operation `nn.relo`" in outcome.err
    assert "x.mlir:2:1" in outcome.err
    assert "it came on line 2" in check(tmp_path, "// expected-error {{nn.relo}}\nnn.relo\n").err
    good = check(tmp_path, f"// expected-error@+1 {{{{words}}}}\n{IR}")
    assert (good.code, good.out) == (1, "")
    assert "HAP0858" in check(tmp_path, f"// expected-error@next {{{{words}}}}\n{IR}").err


def test_expectations_of_another_chunk_do_not_count(tmp_path: Path) -> None:
    text = f"nn.relo\n// -----\n// expected-error@-2 {{{{nn.relo}}}}\n{IR}"
    outcome = check(tmp_path, text, "--split-input-file")
    assert outcome.code == 1
    assert ("HAP0856" in outcome.err, "HAP0857" in outcome.err) == (True, True)


def test_specs_have_expectations_too(tmp_path: Path) -> None:
    text = """\
hap 1
network n(x: f32[1, 4]) -> f32[1, 4] {
    unused = relu(x)                // expected-warning {{HAP0220}}
    return relu(x)
}
// -----
hap 1
network n(x: f32[1, 4], z: f32[1, 5]) -> f32[1, 4] {
    // expected-note@above {{f32[1, 5]}}
    // expected-error@+1 {{there is no layer `rely`}}
    y = rely(x)
    return add(x, z)                // expected-error {{HAP0301}}
}
"""
    assert check(tmp_path, text, "--split-input-file", name="x.hap").err == ""
    outcome = check(tmp_path, text.replace("HAP0220", "HAP0221"), "--split-input-file", name="x.hap")
    assert outcome.code == 1
    assert "no warning on line 3 says `HAP0221`" in outcome.err


def test_a_crash_is_no_diagnostic(tmp_path: Path) -> None:
    text = f"// expected-error@unknown {{{{unexpected}}}}\n{IR}"
    outcome = check(tmp_path, text, "-p", "crash_in_test", "--crash-reproducer", str(tmp_path / "r.mlir"))
    assert outcome.code == 70
