"""Plug-in packages end to end: installed, found through the entry point, and used from a `.hap` file.

And broken ones: each gives a diagnostic and the right exit code, and everything else works.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.plugin_site import NAMES, ROOT, Site, install, make_project
from tests.projects import run_main

ACCURATE = 0.97
"""What the digits network must keep of its 99.4 % with any of the plug-ins."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """All working packages."""
    installed = install(tmp_path_factory.mktemp("plugins"))
    yield installed
    installed.close()


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Site]:
    """A place for broken packages, with the project beside it."""
    packages = tmp_path / "site"
    packages.mkdir()
    made = Site(packages, make_project(tmp_path / "project"))
    yield made
    made.close()


def run(site: Site, name: str, *arguments: str) -> dict[str, object]:
    """`hapir run` of a package's example on the digits; the JSON of its result."""
    outcome = site.hapir("run", f"{name}.hap", "--input", "digits_test.npz", "--format", "json", *arguments)
    assert outcome.code == 0, outcome.err
    return outcome.json


def test_the_packages_are_those_of_the_guide():
    assert NAMES == [
        "hapir_clip_outliers",
        "hapir_edge",
        "hapir_mitchell",
        "hapir_output_stationary",
        "hapir_posit",
        "hapir_stochastic",
        "hapir_zero_blocks",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_example_checks_without_a_warning(site: Site, name: str):
    outcome = site.hapir("check", f"{name}.hap")
    assert outcome.code == 0, outcome.err
    assert "HAP023" not in outcome.err


@pytest.mark.parametrize("name", NAMES)
def test_without_the_package_its_words_are_unknown(bare: Site, name: str):
    """In this process no plug-in is installed."""
    outcome = run_main("check", bare.project / f"{name}.hap")
    assert outcome.code == 1
    assert any(code in outcome.err for code in ("HAP0203", "HAP0212", "HAP0217", "HAP0232", "HAP0233", "HAP0550"))


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs" / "pages" / "extending").glob("*.md")), ids=lambda page: page.stem
)
def test_the_commands_of_the_guide_work(site: Site, page: Path):
    blocks = re.findall(r"^<!-- run -->\n```sh\n(.*?)^```\n", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    commands = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert len(commands) >= 2
    for program, *arguments in commands:
        assert program == "hapir"
        outcome = site.hapir(*arguments)
        assert outcome.code == 0, outcome.err


def test_a_pass(site: Site):
    result = run(site, "hapir_clip_outliers", "--schedule", "on_tiny_calm", "--on", "c")
    assert result["mismatches_vs_reference"] == 0
    assert float(str(result["accuracy"])) > ACCURATE
    outcome = site.hapir("opt", "digits.hap", "-p", 'fold_batch_norm,clip_outliers{deviations=2.0 layers="f1"}')
    assert outcome.code == 0, outcome.err
    assert '"f1.weight.clipped"' in outcome.out
    assert "c1.weight.folded.clipped" not in outcome.out
    assert "clip_outliers" in site.hapir("list", "passes").out
    wrong = site.hapir("opt", "digits.hap", "-p", "clip_outliers{deviations=0.0}")
    assert wrong.code == 1
    assert "must be above 0" in wrong.err


@pytest.mark.parametrize(("on", "limit"), [("reference", "540"), ("c", "540"), ("rtl", "3")])
def test_a_weight_quantizer(site: Site, on: str, limit: str):
    result = run(site, "hapir_stochastic", "--schedule", "on_tiny_chance", "--on", on, "--limit", limit)
    assert result["mismatches_vs_reference"] == 0
    assert on == "rtl" or float(str(result["accuracy"])) > ACCURATE  # few images run there
    pipeline = 'fold_batch_norm,stochastic{bits=4},quantize{calibration="digits_calib.npz"}'
    outcome = site.hapir("opt", "digits.hap", "-p", pipeline)
    assert outcome.code == 0, outcome.err
    assert '!num.per_channel<si4, 0, "c1.weight.folded.stochastic' in outcome.out


def test_an_encoding(site: Site):
    """Exact, and the same whether the C decodes it or, as here, gets what was decoded."""
    result = run(site, "hapir_zero_blocks", "--schedule", "without_kernels", "--on", "c")
    assert result["mismatches_vs_reference"] == 0
    report = site.hapir(
        *("report", "hapir_zero_blocks.hap", "--schedule", "without_kernels"),
        *("--input", "digits_test.npz", "--format", "json"),
    )
    assert report.code == 0, report.err
    (layer,) = (layer for layer in report.json["layers"] if layer["name"] == "c2")
    kernels, kept = 16 * 32, 16 * 32 - 16 * 32 // 3
    packed, scales = -(-kernels // 8) + -(-kept * 9 * 4 // 8), 4 * 32
    assert layer["compressed"]["weight_bytes"] == packed + scales
    assert site.hapir("compile", "hapir_zero_blocks.hap", "--schedule", "without_kernels", "-o", "encoded").code == 0
    wrong = site.hapir("opt", "digits.hap", "-p", 'encode{encoding="zero_blocks(0)"}')
    assert wrong.code == 1
    assert "must be at least 1" in wrong.err


def test_a_number_format(site: Site):
    result = run(site, "hapir_posit", "--schedule", "in_posits")
    assert float(str(result["accuracy"])) > ACCURATE
    outcome = site.hapir("opt", "digits.hap", "-p", 'fold_batch_norm,round_weights{format="posit(8,1)" layers="f1"}')
    assert outcome.code == 0, outcome.err
    assert 'format = "posit(width = 8, es = 1)"' in outcome.out
    wrong = site.hapir("opt", "digits.hap", "-p", 'round_weights{format="posits(8,1)"}')
    assert wrong.code == 1
    assert "HAP0232" in wrong.err
    assert "did you mean `posit`?" in wrong.err


def test_a_number_format_that_is_written_wrongly(site: Site):
    text = (site.project / "hapir_posit.hap").read_text(encoding="utf-8")
    wrong = text.replace("posit(8, 1)", "posit(8, 4)").replace("posit(width = 6, es = 0)", "posit(width = 6, ex = 0)")
    (site.project / "wrong.hap").write_text(wrong, encoding="utf-8")
    outcome = site.hapir("check", "wrong.hap")
    assert outcome.code == 1
    assert "number format `posit`: `es` of posit is 4, it must be 0 to 3" in outcome.err
    assert "number format `posit` has no option `ex`" in outcome.err


@pytest.mark.parametrize(("on", "limit"), [("reference", "540"), ("c", "540"), ("rtl", "3")])
def test_an_approximate_multiplier(site: Site, on: str, limit: str):
    result = run(site, "hapir_mitchell", "--schedule", "on_logarithms", "--on", on, "--limit", limit)
    assert result["mismatches_vs_reference"] == 0
    if on != "rtl":
        assert ACCURATE < float(str(result["accuracy"])) < 1
    else:
        assert (
            result["cycles"]
            == site.hapir("estimate", "hapir_mitchell.hap", "--schedule", "on_logarithms", "--format", "json").json[
                "total_cycles"
            ]
        )


def test_a_machine_and_a_recipe_must_name_one_multiplier(site: Site):
    text = (site.project / "hapir_mitchell.hap").read_text(encoding="utf-8")
    (site.project / "differs.hap").write_text(text.replace("mitchell(fraction = 5)", "mitchell", 1), encoding="utf-8")
    outcome = site.hapir("compile", "differs.hap", "--schedule", "on_logarithms", "-o", "out")
    assert outcome.code == 1
    assert "HAP0603" in outcome.err
    assert "multiplies by `mitchell(fraction = 5)`, the array by `mitchell`" in outcome.err


def test_a_machine_and_a_network(site: Site):
    result = run(site, "hapir_edge", "--schedule", "on_edge", "--on", "rtl", "--limit", "2")
    assert result["mismatches_vs_reference"] == 0
    listed = site.hapir("list", "machines").out
    assert "edge_16x8" in listed
    checked = site.hapir("check", "hapir_edge.hap", "--format", "json").json
    (network,) = (n for n in checked["networks"] if n["name"] == "keyword_spotter")
    assert network["macs"] == 16 * 15 * 20 * 8 + 32 * 16 * 9 * 20 * 8 + 1280 * 10


def test_a_dataflow_is_estimated_and_not_emitted(site: Site):
    spec, schedule = "hapir_output_stationary.hap", ("--schedule", "streaming")
    report = site.hapir("estimate", spec, *schedule, "--format", "json")
    assert report.code == 0, report.err
    assert report.json["basis"] == "model"
    assert [layer["name"] for layer in report.json["layers"]] == ["c1", "c2", "c3", "f1"]
    for command in (
        ("compile", spec, "--target", "verilog", "-o", "no"),
        ("run", spec, "--on", "rtl", "--input", "digits_test.npz"),
    ):
        refused = site.hapir(*command, *schedule)
        assert refused.code == 1
        assert "HAP0606" in refused.err
    compiled = site.hapir("compile", spec, *schedule, "-o", "streaming", "--format", "json")
    assert compiled.code == 0, compiled.err
    assert compiled.json["targets"] == ["c"]
    options = (site.project / spec).read_text(encoding="utf-8").replace("overlapped = true", "overlaped = true")
    (site.project / "option.hap").write_text(options, encoding="utf-8")
    assert "did you mean `overlapped`?" in site.hapir("check", "option.hap").err


EMPTY = "from hapir.universe import HapirUniverse\nUNIVERSE = HapirUniverse()\n"
BROKEN = {
    "raises": ("raise OSError('no licence')\n", "raises:UNIVERSE", "OSError: no licence"),
    "missing": (EMPTY, "missing:UNIVERS", "AttributeError"),
    "nowhere": (EMPTY, "nowhere_at_all:UNIVERSE", "ModuleNotFoundError"),
    "no_universe": ("UNIVERSE = {}\n", "no_universe:UNIVERSE", "no_universe:UNIVERSE is a dict, not a Universe"),
}
"""Packages that cannot be loaded: text, entry point, and what is said of them."""


def test_the_catalogue_shows_entries_of_plugins(site: Site):
    kinds = {
        "passes": "clip_outliers",
        "formats": "posit",
        "encodings": "zero_blocks",
        "multipliers": "mitchell",
        "machines": "edge_16x8",
        "networks": "keyword_spotter",
        "dataflows": "output_stationary",
    }
    program = "import json, sys; from hapir.catalogue import entries\n" + (
        "print(json.dumps({kind: [e.to_json() for e in entries(kind)] for kind in sys.argv[1:]}))"
    )
    listed = site.python("-c", program, *kinds).json
    for kind, name in kinds.items():
        (entry,) = (e for e in listed[kind] if e["name"] == name)
        assert entry["summary"]
        assert entry["example"]
    shown = site.hapir("help", "mitchell")
    assert shown.code == 0, shown.err
    assert "bits of a logarithm behind the point" in shown.out
    assert "1 to 7" in shown.out


def test_packages_that_cannot_be_loaded(bare: Site):
    for name, (text, value, _) in BROKEN.items():
        bare.write_package(name, text, value)
    outcome = bare.hapir("check", "digits.hap")
    assert outcome.code == 0
    assert "digits.hap: good" in outcome.out
    assert outcome.err.count("HAP0230") == len(BROKEN)
    for name, (_, _, words) in BROKEN.items():
        assert f"the plug-in `{name}` cannot be loaded: {words}" in outcome.err
    assert bare.hapir("run", "digits.hap", "--input", "digits_test.npz", "--limit", "1").code == 0


CLASHES = """
from pathlib import Path
from hapir.dialects.formats import Fixed
from hapir.lowering.compress.prune import PrunePass
from hapir.multipliers.exact import Exact
from hapir.universe import HapirUniverse
UNIVERSE = HapirUniverse(
    all_passes={"prune": lambda: PrunePass, "canonicalize": lambda: PrunePass},
    formats={"fixed": lambda: Fixed, "mine": lambda: Fixed},
    multipliers={"exact": lambda: Exact},
    machines={"ws_8x8": lambda: Path(__file__)},
)
"""


def test_names_that_clash(bare: Site):
    bare.write_package("aa", CLASHES, "aa:UNIVERSE")
    bare.write_package("bb", CLASHES, "bb:UNIVERSE")
    outcome = bare.hapir("check", "digits_pruned.hap")
    assert outcome.code == 0
    for who, kind, name, owner in (
        ("aa", "pass", "prune", "hapir"),
        ("aa", "pass", "canonicalize", "xDSL"),
        ("aa", "number format", "fixed", "hapir"),
        ("aa", "multiplier", "exact", "hapir"),
        ("aa", "machine", "ws_8x8", "hapir"),
        ("bb", "number format", "mine", "aa"),
    ):
        assert f"the plug-in `{who}` offers the {kind} `{name}`, which {owner} has already" in outcome.err
    assert "HAP0231" in outcome.err


LAZY = """
from pathlib import Path
from hapir.lowering.compress.prune import PrunePass
from hapir.universe import HapirUniverse

def fails():
    raise ImportError("no module named torch")

UNIVERSE = HapirUniverse(
    all_passes={"late": fails, "other_name": lambda: PrunePass},
    formats={"odd": lambda: 3},
    multipliers={"worse": fails},
    dataflows={"flow": fails},
    machines={"ghost": lambda: Path("nowhere.hap")},
    networks={"gone": fails},
)
"""
USES = """\
hap 1
import "digits.hap"
import "machines/ghost.hap"
import "networks/gone.hap"
recipe r {
    late()
    other_name(sparsity = 50 %)
    round_weights(format = odd(2))
    use_multiplier(multiplier = worse)
}
schedule s of digits with r on tiny_ws { dataflow = flow }
"""


def test_entries_that_fail_when_they_are_used(bare: Site):
    bare.write_package("lazy", LAZY, "lazy:UNIVERSE")
    assert bare.hapir("run", "digits.hap", "--input", "digits_test.npz", "--limit", "1").code == 0
    assert bare.hapir("help", "conv2d").code == 0
    for kind, words in (
        ("passes", "the pass `late` of the plug-in `lazy` cannot be loaded: ImportError"),
        ("machines", "the machine `ghost` of the plug-in `lazy` cannot be loaded"),
    ):
        listed = bare.hapir("list", kind)
        assert listed.code == 0, listed.err
        assert words in listed.out
    (bare.project / "imports.hap").write_text(USES, encoding="utf-8")
    outcome = bare.hapir("check", "imports.hap")
    assert outcome.code == 1
    for words in ("the machine `ghost`", "PosixPath is not a file that exists", "the network `gone`"):
        assert words in outcome.err
    without_imports = "\n".join(
        line for line in USES.splitlines() if "machines/" not in line and "networks/" not in line
    )
    (bare.project / "uses.hap").write_text(without_imports, encoding="utf-8")
    outcome = bare.hapir("check", "uses.hap")
    assert outcome.code == 1
    assert outcome.err.count("HAP0230") == 5
    for words in (
        "the pass `late` of the plug-in `lazy` cannot be loaded: ImportError: no module named torch",
        "the pass `other_name` of the plug-in `lazy` cannot be loaded: PrunePass has the name `prune`",
        "the number format `odd` of the plug-in `lazy` cannot be loaded: an int is not a dataclass",
        "the multiplier `worse` of the plug-in `lazy` cannot be loaded",
        "the dataflow `flow` of the plug-in `lazy` cannot be loaded",
        "uses.hap:6:28",
    ):
        assert words in outcome.err


WRONG_CIRCUIT = """
from dataclasses import dataclass
from typing import ClassVar
from hapir.multipliers.model import Cost, Multiplier
from hapir.universe import HapirUniverse

@dataclass(frozen=True)
class Wrong(Multiplier):
    "One more than the product, and a circuit that says otherwise."
    name: ClassVar[str] = "wrong"
    fault: str = "none"
    def multiply(self, activation, weight):
        return activation * weight + (0 if self.fault != "zero" else 1)
    def cost(self, activation_bits, weight_bits):
        return Cost(1.0, 1.0, "no source", assumed=True)
    def circuit(self, m, activation, weight, *, activation_signed):
        if self.fault == "none":
            return None
        product = m.mul(activation, weight, lhs_signed=activation_signed, rhs_signed=True)
        return product.bits(1, product.width - 1)

UNIVERSE = HapirUniverse(multipliers={"wrong": lambda: Wrong})
"""


def test_a_multiplier_that_is_not_what_it_says(bare: Site):
    bare.write_package("wrong_multiplier", WRONG_CIRCUIT, "wrong_multiplier:UNIVERSE")
    text = (bare.project / "digits_approximate.hap").read_text(encoding="utf-8")
    for fault, code, words in (
        ("none", "HAP0603", "it has no circuit"),
        ("half", "HAP0603", "its circuit gives"),
        ("zero", "HAP0519", "a product with 0 that is not 0"),
    ):
        spec = text.replace("truncated(bits = 2)", f'wrong(fault = "{fault}")')
        (bare.project / "wrong.hap").write_text(spec, encoding="utf-8")
        outcome = bare.hapir("compile", "wrong.hap", "--schedule", "on_array", "--target", "verilog", "-o", "out")
        assert outcome.code == 1
        assert code in outcome.err
        assert words in outcome.err
        assert not (bare.project / "out").exists()
    (bare.project / "wrong.hap").write_text(text.replace("truncated(bits = 2)", "wrong"), encoding="utf-8")
    estimate = bare.hapir("estimate", "wrong.hap", "--schedule", "on_array", "--format", "json")
    assert estimate.json["basis"] == "model"
    on_c = bare.hapir(
        "run", "wrong.hap", "--schedule", "on_array", "--on", "c", "--input", "digits_test.npz", "--limit", "1"
    )
    assert on_c.code == 1
    assert "HAP0711" in on_c.err


FAILS = """
from dataclasses import dataclass
from typing import ClassVar
from xdsl.passes import ModulePass
from hapir.dialects.formats import NumberFormat
from hapir.multipliers.model import Cost, Multiplier
from hapir.universe import HapirUniverse

@dataclass(frozen=True)
class FailPass(ModulePass):
    "Fails."
    name = "fail_at_work"
    def apply(self, ctx, op):
        raise RuntimeError("pass\\nat work")

@dataclass(frozen=True)
class FailFormat(NumberFormat):
    "Fails."
    name: ClassVar[str] = "fail_format"
    bits = 4
    def decode(self, codes):
        return codes.no_such_thing

@dataclass(frozen=True)
class FailMultiplier(Multiplier):
    "Fails."
    name: ClassVar[str] = "fail_multiplier"
    def multiply(self, activation, weight):
        return 1 // 0
    def cost(self, activation_bits, weight_bits):
        return Cost(1.0, 1.0, "no source", assumed=True)

@dataclass(frozen=True)
class FailDataflow:
    "Fails."
    name: ClassVar[str] = "fail_dataflow"
    def estimate(self, body, weights, machine, schedule):
        return [][0]

@dataclass(frozen=True)
class BareDataflow:
    "States no estimate."
    name: ClassVar[str] = "bare_dataflow"

UNIVERSE = HapirUniverse(
    all_passes={"fail_at_work": lambda: FailPass},
    formats={"fail_format": lambda: FailFormat},
    multipliers={"fail_multiplier": lambda: FailMultiplier},
    dataflows={"fail_dataflow": lambda: FailDataflow, "bare_dataflow": lambda: BareDataflow},
)
"""


@pytest.mark.parametrize(
    ("step", "dataflow", "code", "words"),
    [
        (
            "fail_at_work()",
            "weight_stationary",
            "HAP0234",
            "the pass `fail_at_work` of a plug-in failed: RuntimeError: pass",
        ),
        (
            "round_weights(format = fail_format)",
            "weight_stationary",
            "HAP0234",
            "`fail_format` of a plug-in failed: Attri",
        ),
        ("use_multiplier(multiplier = fail_multiplier)", "weight_stationary", "HAP0234", "failed: ZeroDivisionError"),
        ("", "fail_dataflow", "HAP0234", "the dataflow `fail_dataflow` of a plug-in failed: IndexError: list index"),
        ("", "bare_dataflow", "HAP0606", "the estimate has no dataflow `bare_dataflow`"),
    ],
)
def test_plugins_that_fail_while_they_work(bare: Site, step: str, dataflow: str, code: str, words: str):
    bare.write_package("fails", FAILS, "fails:UNIVERSE")
    before, after = ("", step) if step.startswith("use") else (step, "")
    spec = f"""hap 1
import "digits.hap"
recipe r {{
    fold_batch_norm()
    {before}
    quantize(calibration = "digits_calib.npz")
    {after}
}}
schedule s of digits with r on tiny_ws {{ dataflow = {dataflow} }}
"""
    (bare.project / "fails.hap").write_text(spec, encoding="utf-8")
    outcome = bare.hapir("estimate", "fails.hap", "--schedule", "s")
    assert outcome.code == 1
    assert f"error[{code}]" in outcome.err
    assert words in outcome.err
    assert "--> " in outcome.err
