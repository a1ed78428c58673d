"""Each example that `hapir help` shows is run: wrapped into a spec where it is a part of one, else as it stands.

Examples of passes, targets, dataflows and commands are written for the digits of `spec_examples`. Ops are parsed in
`test_registry_meta.py`; codes are examples of what is wrong, tested with their diagnostics.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import hapir
from hapir.catalogue import KINDS, Entry, entries
from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.dialects.nn import NetworkOp, WeightOp
from hapir.dialects.num import element_type, is_float, shape_of
from hapir.random_weights import RandomWeights
from hapir.reference.interpret import run_network
from hapir.registry import make_context
from hapir.spec import load_spec_text
from hapir.spec.build import build_module
from hapir.spec.evaluate import SIZE
from hapir.spec.parse import parse
from tests.projects import run_main

ROOT = Path(__file__).resolve().parents[2]
TESTED_ELSEWHERE = {"ops", "codes", "dialects"}
SHAPES = ("1, 16, 8, 8", "1, 256", "1, 16, 8")
"""Inputs for the example of a layer: a map, a vector, a sequence."""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the examples are written for."""
    folder = tmp_path_factory.mktemp("examples") / "digits"
    shutil.copytree(ROOT / "spec_examples", folder)
    return folder


@pytest.fixture
def in_digits(digits: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the digits as the current one."""
    monkeypatch.chdir(digits)
    return digits


def examples(kind: str) -> list[Entry]:
    """The entries of a kind, each with its example."""
    return entries(kind)


def of(kind: str) -> pytest.MarkDecorator:
    """Runs a test with each entry of a kind."""
    return pytest.mark.parametrize("entry", examples(kind), ids=lambda entry: entry.name)


def example(entry: Entry) -> str:
    """The example of an entry."""
    assert entry.example, f"the {entry.kind} {entry.name} shows no example"
    return entry.example


def command_line(text: str) -> None:
    """Run an example that is a command line."""
    program, *arguments = shlex.split(text)
    assert program == "hapir"
    outcome = run_main(*arguments)
    assert outcome.code == 0, outcome.err
    assert outcome.out


def check(text: str, folder: Path) -> None:
    """Run `hapir check` on a spec."""
    spec = folder / "example.hap"
    spec.write_text(text, encoding="utf-8")
    outcome = run_main("check", spec)
    assert outcome.code == 0, outcome.err


def stages(steps: str, digits: Path) -> list[str]:
    """The passes that ran for steps of a recipe: on the float network, or where they want integers, on those."""
    before = ("", 'fold_batch_norm(); quantize(calibration = "digits_calib.npz")\n')
    errors: list[HapirError] = []
    for prefix in before:
        schedule = "schedule example of digits with steps on tiny_ws { dataflow = weight_stationary }"
        check(f'hap 1\nimport "digits.hap"\nrecipe steps {{\n{prefix}{steps}\n}}\n{schedule}\n', digits)
        try:
            compiled = hapir.load(digits / "example.hap").schedule("example").compiled
        except HapirError as error:
            errors.append(error)
        else:
            return [stage.name for stage in compiled.stages]
    raise errors[0]


def test_the_examples_of_every_kind_are_run() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert {kind for kind in KINDS if f'@of("{kind}")' not in source} == TESTED_ELSEWHERE


@of("commands")
def test_commands(entry: Entry, in_digits: Path) -> None:
    if entry.name == "import":  # of a model of its own
        command_line("hapir export digits.hap -o model.onnx")
    command_line(example(entry))


@of("targets")
def test_targets(entry: Entry, in_digits: Path) -> None:
    assert f"-t {entry.name} " in f"{example(entry)} "
    command_line(example(entry))


@of("passes")
def test_passes(entry: Entry, in_digits: Path) -> None:
    text = example(entry)
    assert entry.name in text
    if text.startswith("hapir "):
        command_line(text)
    else:
        assert entry.name in stages(text, in_digits)


@of("dataflows")
def test_dataflows(entry: Entry, in_digits: Path) -> None:
    assert entry.name in example(entry)
    check(f'hap 1\nimport "digits.hap"\nschedule s of digits with int8 on tiny_ws {{ {entry.example} }}\n', in_digits)


@of("kernels")
def test_kernels(entry: Entry, in_digits: Path) -> None:
    """An example names layers of the digits; that they can have the kernel depends on the recipe."""
    text = example(entry)
    assert f"algorithm = {entry.name}" in text
    check(f'hap 1\nimport "digits.hap"\nschedule s of digits with int8 {{ {text} }}\n', in_digits)


@of("pipelines")
def test_pipelines(entry: Entry, in_digits: Path) -> None:
    command_line(example(entry))


@of("formats")
def test_formats(entry: Entry, in_digits: Path) -> None:
    """A format is shown as the type of an input, or as an option of a pass."""
    text = example(entry)
    if ": " in text:
        check(f"hap 1\nnetwork n({text}) -> {text.partition(': ')[2]} {{ return x }}\n", in_digits)
    else:
        assert text.partition("(")[0] in stages(text, in_digits)


@of("encodings")
def test_encodings(entry: Entry, in_digits: Path) -> None:
    text = example(entry)
    assert f"encoding = {entry.name}" in text
    assert "encode" in stages(text, in_digits)


@of("units")
def test_units(entry: Entry, tmp_path: Path) -> None:
    text = example(entry)
    assert text.startswith(f"unit {entry.name} ")
    check(in_machine(text, "array pe[4, 4]"), tmp_path)


@of("multipliers")
def test_multipliers(entry: Entry, tmp_path: Path) -> None:
    text = example(entry)
    assert f"multiplier = {entry.name}" in text
    check(in_machine(text, "array pe[4, 4]"), tmp_path)


@of("evaluators")
def test_evaluators(entry: Entry, in_digits: Path) -> None:
    text = example(entry)
    assert entry.name in text
    assert "keep_accuracy" in stages(text, in_digits)


@of("blocks")
def test_blocks(entry: Entry, tmp_path: Path) -> None:
    """A block stands in a machine, with others or alone, in an array or in a host; one place takes the example."""
    text = example(entry)
    assert re.search(rf"\b{entry.name} ", text)
    others = "memory buffer { size = 64 KiB }\narray pe[4, 4] { }"
    places = (in_machine(f"{others}\n{text}"), in_machine(text), in_machine(text, "array pe[4, 4]"))
    in_host = in_machine(f"isa = x86_64\n{text}", "host cpu")
    tries = [f"hap 1\n{text}\n"] if entry.name == "machine" else [*places, in_host]
    found = [problems(spec, "HAP") for spec in tries]
    assert [] in found, found


def in_machine(text: str, around: str = "") -> str:
    """A spec whose machine holds a text, inside another block where one is named."""
    held = f"{around} {{\n{text}\n}}" if around else text
    return f"hap 1\nmachine m {{\ntechnology = cmos45\nclock = 200 MHz\n{held}\n}}\n"


@of("machines")
def test_machines(entry: Entry, tmp_path: Path) -> None:
    check(f"hap 1\n{example(entry)}\n", tmp_path)


@of("networks")
def test_networks(entry: Entry, tmp_path: Path) -> None:
    check(f"hap 1\n{example(entry)}\n", tmp_path)


@of("technologies")
def test_technologies(entry: Entry, tmp_path: Path) -> None:
    check(f"hap 1\nmachine m {{\n{example(entry)}\nclock = 200 MHz\n}}\n", tmp_path)


@of("templates")
def test_templates(entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command_line(example(entry))


@of("topics")
def test_topics(entry: Entry, tmp_path: Path) -> None:
    check(example(entry), tmp_path)


@of("functions")
def test_functions(entry: Entry, tmp_path: Path) -> None:
    if entry.name == SIZE:  # the one that needs a tensor, and so a network
        body = f"{example(entry)}\n    return dense(x, units = n)"
        check(f"hap 1\nnetwork m(x: f32[1, 4]) -> f32[1, 4] {{\n{body}\n}}\n", tmp_path)
        return
    clock = "clock = (max(1, n) - max(1, n) + 1) * 1 MHz"  # an error in the constant would be one here
    check(f"hap 1\n{example(entry)}\nmachine m {{\ntechnology = cmos45\n{clock}\n}}\n", tmp_path)


@of("quantities")
def test_quantities(entry: Entry) -> None:
    file = parse(f"hap 1\nmachine m {{ x = {example(entry)} }}\n", "example.hap")
    assert file.definitions[0].name.text == "m"


@of("layers")
def test_layers(entry: Entry) -> None:
    """The example builds for a map, a vector or a sequence as inputs, and the reference computes it."""
    text = example(entry)
    assert f"{entry.name}(" in text
    # what gives pieces only has no tensor of its own name
    made = [
        network for piece in ("", "[1]") for shape in SHAPES if (network := network_of(text, shape, piece)) is not None
    ]
    assert made, f"`{text}` takes no inputs of shape {' or '.join(SHAPES)}"
    network, ctx = made[0]
    draw = np.random.default_rng(0)
    for op in network.walk():
        if isinstance(op, WeightOp):
            shape, element = shape_of(op.result), element_type(op.result)
            array = draw.uniform(0.5, 1.5, shape).astype(np.float32)
            real = is_float(op.result)
            ctx.weights.put(op.key.data, array if real else RandomWeights().array(op.key.data, shape, element))
    inputs = {
        name.data: draw.normal(size=shape_of(value)).astype(np.float32)
        for name, value in zip(network.input_names, network.body.block.args, strict=True)
    }
    results = run_network(network, ctx.weights, inputs)
    for value, array in zip(network.return_op.values, results.values(), strict=True):
        assert array.shape == shape_of(value)
        assert not is_float(value) or np.isfinite(array).all()


def network_of(statement: str, shape: str, piece: str) -> tuple[NetworkOp, HapirContext] | None:
    """A network of one statement; its inputs are the names that it does not define. None where they do not fit."""
    named = re.match(r"(\w+) = ", statement)
    body = statement if statement.startswith("return ") else f"{statement}\nreturn {named and named[1]}{piece}"
    unknown = "f32[7, 5, 3]"

    def text(inputs: dict[str, None], result: str) -> str:
        declared = ", ".join(f"{name}: f32[{shape}]" for name in inputs or {"unused": None})
        return f"hap 1\nnetwork n({declared}) -> {result} {{\n{body}\n}}\n"

    free = dict.fromkeys(re.findall(r"`(\w+)`", " ".join(problems(text({}, unknown), "HAP0202"))))
    wrong = problems(text(free, unknown), "HAP0303")
    if not wrong:
        return None
    (result,) = set(re.findall(r"\w+\[[\d, ]*\]", wrong[0])) - {unknown}
    ctx = make_context()
    spec = load_spec_text(text(free, result), "example.hap", Path("nowhere"))
    module = build_module(spec, None, ctx, "n", weights=False)
    (network,) = (op for op in module.ops if isinstance(op, NetworkOp))
    return network, ctx


def problems(text: str, code: str) -> list[str]:
    """The messages that a spec gives, of codes that begin like this."""
    try:
        load_spec_text(text, "example.hap", Path("nowhere"))
    except HapirError as error:
        return [d.message for d in error.diagnostics if d.code.startswith(code)]
    return []
