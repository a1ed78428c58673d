"""Walks the registry: an entry without a docstring, an example, a test or a meaning fails here.

This is how "one new file + one registry line + tests" enforces itself.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from xdsl.dialects import get_all_dialects
from xdsl.ir import Operation
from xdsl.parser import Parser
from xdsl.targets import get_all_targets
from xdsl.transforms import get_all_passes
from xdsl.utils.exceptions import ParseError

from hapir.reference.interpret import MEANINGS
from hapir.registry import HAPIR, make_context

TESTS = Path(__file__).parents[1]
PASSES = sorted(HAPIR.all_passes)
OPS = [(dialect, op) for dialect in sorted(HAPIR.all_dialects) for op in HAPIR.all_dialects[dialect]().operations]
STATEMENTS = [
    (kind, name)
    for kind in ("layers", "units", "blocks", "dataflows", "formats", "multipliers", "encodings", "evaluators")
    for name in sorted(getattr(HAPIR, kind))
]
NO_MEANING = {"machine", "rtl"}
"""Dialects that describe hardware: their ops are simulated, not interpreted."""


def docstring(thing: Any) -> str:
    """An object's own docstring; one that a dataclass generates or a base class lends does not count."""
    text = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
    assert text, f"{thing} has no docstring"
    assert not text.startswith(f"{getattr(thing, '__name__', '')}("), f"{thing} has a generated docstring"
    return text


def syntax_problem(text: str) -> str | None:
    """What keeps a piece of IR from parsing, other than that its operands come from nowhere."""
    try:
        Parser(make_context(), text).parse_module()
    except ParseError as error:
        return None if "values used but not defined" in str(error) else str(error)
    return None


def test_names_do_not_clash_with_those_of_xdsl() -> None:
    assert not set(HAPIR.all_dialects) & set(get_all_dialects())
    assert not set(HAPIR.all_passes) & set(get_all_passes())
    assert not set(HAPIR.all_targets) & set(get_all_targets())


@pytest.mark.parametrize("name", sorted(HAPIR.all_dialects))
def test_dialects_are_what_they_are_registered_as(name: str) -> None:
    dialect = HAPIR.all_dialects[name]()
    assert dialect.name == name
    for member in (*dialect.operations, *dialect.attributes):
        assert member.name.split(".")[0] == name
        docstring(member)
    module = inspect.getmodule(next(iter(dialect.operations)))
    assert "Rationale" in docstring(module), f"the docstring of dialect {name} gives no rationale"


@pytest.mark.parametrize(("dialect", "op"), OPS, ids=[op.name for _, op in OPS])
def test_ops_have_an_example_and_a_test(dialect: str, op: type[Operation]) -> None:
    text = docstring(op)
    assert "Example" in text, f"{op.name} shows no example"
    example = text.split("Example", 1)[1]
    code = re.search(r"```\n(.*?)```", example, re.DOTALL) or re.search(r"`([^`]*)`", example)
    assert code is not None
    assert op.name in code[1], f"the example of {op.name} does not show it"
    problem = syntax_problem(re.sub(r"\s+", " ", code[1]))
    assert problem is None, f"the example of {op.name} does not parse: {problem}"
    folder = TESTS / "filecheck" / "dialects" / dialect
    texts = [path.read_text() for path in sorted(folder.glob("*.mlir"))]
    assert any(re.search(rf"{re.escape(op.name)}\b", t) for t in texts), f"no filecheck file shows {op.name}"


@pytest.mark.parametrize("dialect", sorted(HAPIR.all_dialects))
def test_dialects_have_ops_and_invalid_files(dialect: str) -> None:
    folder = TESTS / "filecheck" / "dialects" / dialect
    assert {"ops.mlir", "invalid.mlir"} <= {path.name for path in folder.glob("*.mlir")}


@pytest.mark.parametrize(
    "op", [op for d, op in OPS if d not in NO_MEANING], ids=[op.name for d, op in OPS if d not in NO_MEANING]
)
def test_ops_that_compute_have_a_meaning(op: type[Operation]) -> None:
    computes = bool(op.get_irdl_definition().results)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]  # xDSL adds it to IRDL ops only
    assert computes == (op in MEANINGS), f"the reference interpreter {'lacks' if computes else 'has'} {op.name}"


@pytest.mark.parametrize("name", PASSES)
def test_passes_state_their_law_and_have_a_test(name: str) -> None:
    pass_class = HAPIR.all_passes[name]()
    assert pass_class.name == name
    docstring(pass_class)
    module = inspect.getmodule(pass_class)
    assert module is not None
    assert Path(inspect.getfile(pass_class)).stem == name, "a pass lives in the file of its name"
    law = docstring(module).lower()
    assert any(word in law for word in ("exact", "bounded", "lossy")), f"{name} does not state its law"
    assert list((TESTS / "filecheck" / "passes").glob(f"{name}.*")), f"no filecheck file for the pass {name}"
    assert list((TESTS / "property").glob(f"test_pass_{name}.py")) or is_checked_elsewhere(name)


SYNONYMS = {
    **dict.fromkeys(("per", "per_channel"), "granularity"),
    **dict.fromkeys(("metric", "score", "measure"), "criterion"),
    **dict.fromkeys(("rounds", "iters", "steps", "max_iterations"), "iterations"),
    **dict.fromkeys(("act_bits", "output_bits"), "activation_bits"),
    **dict.fromkeys(("images", "limit", "n_samples"), "samples"),
    **dict.fromkeys(("random_state", "rng"), "seed"),
    **dict.fromkeys(("layer", "names", "targets"), "layers"),
    **dict.fromkeys(("eta", "delta"), "threshold"),
    **dict.fromkeys(("calib", "calibration_data"), "calibration"),
}
"""Words that no option has, as another pass says the same by the word behind them."""


@pytest.mark.parametrize("name", PASSES)
def test_options_of_all_passes_share_one_vocabulary(name: str) -> None:
    for option in fields(HAPIR.all_passes[name]()):
        assert option.name not in SYNONYMS, f"{name} says `{option.name}` where others say {SYNONYMS[option.name]}"
        words = set(re.findall(r'"(\w+)"', str(option.type)))
        assert words != {"layer", "filter"}, f"{name} says layer | filter where others say tensor | channel"
        assert option.type != "int | None" or not option.name.endswith("activations"), (
            "a number of bits: activation_bits"
        )


def is_checked_elsewhere(pass_name: str) -> bool:
    """Whether some other test file runs the pass."""
    class_name = HAPIR.all_passes[pass_name]().__name__
    return any(class_name in path.read_text() for path in sorted(TESTS.rglob("test_*.py")) if path != Path(__file__))


@pytest.mark.parametrize("name", sorted(HAPIR.all_targets))
def test_targets_are_documented_and_tested(name: str) -> None:
    target = HAPIR.all_targets[name]()
    assert target.name == name
    docstring(target)
    module = target.__module__
    tests = [path for path in sorted(TESTS.rglob("test_*.py")) if path != Path(__file__)]
    package = module.rsplit(".", 1)[0]
    assert any(package in path.read_text() for path in tests), f"no test imports {package}"


@pytest.mark.parametrize(("kind", "name"), STATEMENTS, ids=[f"{kind}-{name}" for kind, name in STATEMENTS])
def test_statements_have_an_example_and_are_used(kind: str, name: str) -> None:
    entry = getattr(HAPIR, kind)[name]()
    assert is_dataclass(entry)
    text = docstring(entry)
    assert re.search(rf"\b{name}\b", text.split("Example", 1)[-1]), f"the docstring of {name} shows no example"
    assert "Example" in text, f"the docstring of {name} shows no example"
    used = {
        "layers": rf"\b{name}\(",
        "units": rf"\bunit {name}\b",
        "blocks": rf"\b{name} \w",
        "dataflows": rf"\b{name}\b",
        "formats": r"= [iu]\d+\b" if name == "integer" else rf"\b{name}\b",
        "multipliers": rf"\b{name}\b",
        "encodings": rf"encoding = {name}\b",
        "evaluators": rf"evaluator = {name}\b",
    }[kind]
    root = TESTS.parent
    specs = [*root.glob("spec_examples/*.hap"), *root.glob("targets/*/*.hap"), *TESTS.rglob("*.hap")]
    tests = list(TESTS.rglob("test_spec_*.py"))
    assert any(re.search(used, path.read_text()) for path in sorted([*specs, *tests])), f"no spec or test uses {name}"
