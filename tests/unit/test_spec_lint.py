"""Warnings about specs that are good but odd, and the comments that silence them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hapir.spec import load_spec, load_spec_text

NETWORK = """\
network n(x: f32[1, 4]) -> f32[1, 2] {
    f1 = dense(x, units = 8)
    f2 = dense(relu(f1), units = 2)
    return f2
}
"""


def warnings(text: str) -> list[tuple[str, int, str]]:
    """Code, line and message of the warnings about a spec."""
    spec = load_spec_text(f"hap 1\n{text}", "t.hap", Path("nowhere"))
    return [(w.code, w.span.line if w.span else 0, w.message) for w in spec.warnings]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("let n = 3\n", 2, "the constant `n` is never used"),
        ("machine m {\nlet n = 3\ntechnology = cmos45\nclock = 1 MHz\n}\n", 3, "the constant `n` is never used"),
        ("machine m(n = 3) {\ntechnology = cmos45\nclock = 1 MHz\n}\n", 2, "the parameter `n` is never used"),
        (
            "block b(x, n = 3) { return relu(x) }\nnetwork m(x: f32[1, 4]) -> f32[1, 4] { return b(x) }\n",
            2,
            "the parameter `n` is never used",
        ),
        ("block b(x) { return relu(x) }\n" + NETWORK, 2, "the block `b` is never used"),
    ],
)
def test_unused_names(text: str, line: int, message: str):
    assert warnings(text) == [("HAP0250", line, message)]


@pytest.mark.parametrize(
    "text",
    [
        "let n = 3\nlet m = n\nmachine a { technology = cmos45\nclock = m * 1 MHz }\n",
        "network m(x: f32[1, n], n = 4, k = n) -> f32[1, k] { return relu(x) }\n",
        "block b(x, n = 3) { repeat i in range(1, n) { y[i] = relu(x) }\nreturn y[n] }\n",
        "block b(x) { return relu(x) }\n",  # a file of blocks is for others
    ],
)
def test_names_that_are_used(text: str):
    assert [w for w in warnings(text) if w[0] == "HAP0250"] == []


def test_unused_imports(tmp_path: Path):
    (tmp_path / "parts.hap").write_text(f"hap 1\n{NETWORK}", encoding="utf-8")
    (tmp_path / "all.hap").write_text('hap 1\nimport "parts.hap"\nimport "machines/ws_8x8.hap"\n', encoding="utf-8")
    main = tmp_path / "main.hap"
    main.write_text(
        'hap 1\nimport "all.hap"\nimport "machines/eyeriss.hap"\n'
        "schedule s of n on ws_8x8 { dataflow = weight_stationary }\n",
        encoding="utf-8",
    )
    found = load_spec(main).warnings
    assert [(w.code, w.span.line if w.span else 0) for w in found if w.code == "HAP0252"] == [("HAP0252", 3)]


SCHEDULE = "schedule s of n with r on ws_8x8 { dataflow = weight_stationary }\n"
MACHINE = 'import "machines/ws_8x8.hap"\n'


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ('prune(layers = "f1", sparsity = 50 %)', "`f2`"),
        ('fold_batch_norm()\nprune(layers = ["f2"], sparsity = 50 %)', "`f1`"),
        ('prune(layers = "f*", sparsity = 50 %)', None),
        ('prune(layers = "f1", sparsity = 50 %)\nprune(layers = "f2", sparsity = 30 %)', None),
        ("prune(sparsity = 50 %)", None),
        ("fold_batch_norm()", None),
    ],
)
def test_layers_that_no_step_selects(steps: str, left: str | None):
    found = [w for w in warnings(f"{MACHINE}{NETWORK}recipe r {{\n{steps}\n}}\n{SCHEDULE}") if w[0] == "HAP0253"]
    line = 11 + steps.count("\n")
    assert found == ([("HAP0253", line, f"no step of the recipe `r` selects {left}")] if left else [])


def test_a_recipe_with_the_name_of_a_pass():
    assert warnings("recipe prune { fold_batch_norm() }\n") == [
        ("HAP0254", 2, "the recipe `prune` has the name of a pass")
    ]


@pytest.mark.parametrize(
    "text",
    [
        "let n = 3  // hapir: allow HAP0250\n",
        "// hapir: allow HAP0250\n\n// of what follows\nlet n = 3\n",
        "let n = 3  // hapir: allow HAP0220, HAP0250\n",
    ],
)
def test_a_comment_silences_its_line_or_the_next_statement(text: str):
    assert "HAP0250" not in {code for code, _, _ in warnings(text)}


def test_a_comment_above_the_version_silences_the_file():
    spec = load_spec_text("// hapir: allow HAP0250\nhap 1\nlet n = 3\nlet m = 3\n", "t.hap", Path("nowhere"))
    assert spec.warnings == ()


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("// hapir: allow HAP0220", "nothing here gives HAP0220"),
        ("// hapir: allow HAP9999", "`HAP9999` is not a code"),
        ("// hapir: allow", "this comment names no code"),
    ],
)
def test_comments_that_silence_nothing(comment: str, message: str):
    assert warnings(f"let n = 3  {comment}\n") == [
        ("HAP0250", 2, "the constant `n` is never used"),
        ("HAP0251", 2, message),
    ]


def test_only_warnings_can_be_silenced_and_only_on_their_line():
    assert [code for code, _, _ in warnings("let n = 3\nlet m = 4  // hapir: allow HAP0250\n")] == ["HAP0250"]
    assert [code for code, _, _ in warnings('let n = "// hapir: allow HAP0250"\n')] == ["HAP0250"]
