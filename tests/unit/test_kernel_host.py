"""Hosts as kernels see them: from a machine, from the computer, and what neither says."""

from __future__ import annotations

from pathlib import Path

import pytest
from xdsl.dialects.builtin import ModuleOp

from hapir.dialects.machine import MachineOp
from hapir.lowering.kernel.host import DEFAULT, NATIVE, TYPICAL, Host, detect, host_of, path_of
from hapir.registry import make_context
from hapir.spec import build_module, load_spec_text

NETWORK = "network n(x: f32[1, 4]) -> f32[1, 2] { return dense(x, units = 2) }\n"


def machine_of(module: ModuleOp) -> MachineOp:
    """The module's machine."""
    return next(op for op in module.body.block.ops if isinstance(op, MachineOp))


def host(text: str, name: str) -> Host | None:
    """The host of a machine of a spec."""
    spec = load_spec_text(f"hap 1\n{text}\n{NETWORK}schedule s of n on {name} {{ }}", "x.hap", Path())
    return host_of(machine_of(build_module(spec, "s", make_context(), weights=False)))


def library(name: str) -> Host | None:
    """The host of a machine of the library."""
    return host(f'import "machines/{name}.hap"', name)


def test_a_machine_says_its_levels_and_clock():
    zen = library("epyc_zen5")
    assert zen is not None
    assert (zen.path, zen.lanes, zen.registers, zen.clock_hz) == ("avx512", 16, 32, 4_320_000_000)
    assert [(x.name, x.size_bytes) for x in zen.levels] == [
        ("l1", 48 << 10),
        ("l2", 1 << 20),
        ("l3", 32 << 20),
        ("dram", None),
    ]
    assert zen.levels[1].bytes_per_cycle == pytest.approx(269e9 / 4.32e9, rel=0.01)
    assert zen.levels[3].bytes_per_cycle == pytest.approx(42e9 / 4.32e9, rel=0.02)
    assert zen.seconds(4.32e9) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("generic_avx512_vnni", "avx512"),
        ("generic_avx2", "avx2"),
        ("cortex_a53", "neon"),
        ("cortex_a15", "c"),  # 32-bit ARM has no path of its own
        ("cortex_m4", "c"),
    ],
)
def test_what_a_machine_leaves_out_is_typical(name: str, path: str):
    found = library(name)
    assert found is not None
    assert found.path == path
    assert found.ports == TYPICAL[found.path].ports
    assert found.levels[-1].size_bytes is None
    assert all(level.bytes_per_cycle > 0 for level in found.levels)


def test_instruction_caches_hold_no_data():
    found = library("cortex_a53")
    assert found is not None
    assert [level.size_bytes for level in found.levels] == [32 << 10, 512 << 10, None]


def test_a_machine_without_a_host_gives_none():
    assert host("machine m { memory dram { bandwidth = 8 B/cycle } }", "m") is None


def test_data_that_leaves_room_for_a_stream_is_in_a_cache():
    assert [DEFAULT.level_of(size).name for size in (24 << 10, 25 << 10, 512 << 10, 16 << 20, 17 << 20)] == [
        "l1",
        "l2",
        "l2",
        "l3",
        "dram",
    ]


def test_fingerprints_tell_hosts_apart():
    assert len({h.fingerprint for h in (*TYPICAL.values(), DEFAULT)}) == 5


def test_paths_follow_the_extensions():
    assert path_of("x86_64", ["avx512f", "avx512bw"]) == "c"
    assert path_of("x86_64", ["avx512f", "avx512bw", "avx512vl", "avx2", "fma"]) == "avx512"
    assert path_of("x86_64", ["avx2"]) == "c"
    assert path_of("riscv64", []) == "c"


def computer(root: Path, cpuinfo: str, caches: dict[str, tuple[str, str, str]]) -> Path:
    """A root folder that reports a core and its caches."""
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text(cpuinfo)
    for index, (kind, level, size) in caches.items():
        folder = root / "sys/devices/system/cpu/cpu0/cache" / index
        folder.mkdir(parents=True)
        for name, value in (("type", kind), ("level", level), ("size", size)):
            (folder / name).write_text(f"{value}\n")
    return root


def test_the_computer_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    caches = {
        "index0": ("Data", "1", "64K"),
        "index1": ("Instruction", "1", "16K"),
        "index2": ("Unified", "2", "2M"),
    }
    found = detect(computer(tmp_path, "flags\t\t: fpu sse4_2 fma avx2 f16c\n", caches))
    assert (found.name, found.path, found.extensions) == (NATIVE, "avx2", frozenset({"fma", "avx2", "f16c"}))
    assert [level.size_bytes for level in found.levels] == [64 << 10, 2 << 20, 8 << 20, None]


def test_arm_names_its_extensions_in_another_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    found = detect(computer(tmp_path, "Features\t: fp asimd asimddp bf16 sve\n", {}))
    assert (found.path, found.extensions) == ("neon", frozenset({"neon", "dotprod", "bf16"}))


def test_a_computer_that_reports_nothing_is_a_plain_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    found = detect(tmp_path)
    assert (found.path, found.extensions, found.levels) == ("c", frozenset(), TYPICAL["c"].levels)
