"""Each tool speaks up where it should."""

from __future__ import annotations

import pytest

from hapir.diagnostics import HapirError
from hapir.targets.verilog import lint as lint_module
from hapir.targets.verilog.lint import available, lint

GOOD = "module m (\n  input wire [3:0] x,\n  output wire [3:0] y\n);\n  assign y = ~x;\nendmodule\n"


def test_good_text_gives_nothing() -> None:
    assert lint({"m.v": GOOD}) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("~x", "~z", ("pyslang", "verilator")),
        ("~x", "x[2:0]", ("pyslang", "verilator")),
        ("output wire [3:0] y", "output wire signed [3:0] y", ("pyslang",)),
        ("~x", "{2'd0, x[1:0]}", ("verilator",)),
        ("module m", "module n", ("verilator",)),
        ("endmodule", "", ("pyslang", "verilator")),
    ],
)
def test_faults_are_found(old: str, new: str, said: tuple[str, ...]) -> None:
    problems = lint({"m.v": GOOD.replace(old, new, 1)})
    assert {problem.split(":")[0] for problem in problems} == set(said)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(name: str) -> None:
        return None

    monkeypatch.setattr(lint_module.importlib.util, "find_spec", nowhere)
    with pytest.raises(HapirError, match=r"HAP0841.*pyslang"):
        lint({"m.v": GOOD}, using=["pyslang"])
    assert "yosys" not in available()
