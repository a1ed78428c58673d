"""The networks that hapir ships: each is imported by name, checked, and runs on random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from tests.projects import run_main

FOLDER = Path(__file__).resolve().parents[2] / "targets" / "networks"
FILES = sorted(path.stem for path in FOLDER.glob("*.hap"))
NETWORKS = [name for name in FILES if not name.endswith("_blocks")]
ASKED_FOR = [
    "lenet5",
    "lenet_300_100",
    "alexnet",
    "vgg16",
    "vgg16_cifar",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet50",
    "resnet56",
    "resnet110",
    "resnet152",
    "mobilenet_v1",
    "mobilenet_v2",
    "densenet40",
    "densenet121",
    "squeezenet_1_0",
    "squeezenet_1_1",
    "googlenet",
    "tiny_yolo_v2",
    "lstm_timit",
]
SMALL = {
    # the parameters, the shape of an input and that of the result: small enough for the reference, deep as ever
    "alexnet": ("size = 67, classes = 3", (3, 67, 67), (3,)),
    "densenet40": ("size = 8, layers = 2", (3, 8, 8), (10,)),
    "googlenet": ("size = 32, classes = 3", (3, 32, 32), (3,)),
    "lstm_timit": ("steps = 5, units = 8, classes = 4", (5, 123), (5, 4)),
    "mobilenet_v2": ("size = 32, width = 0.35, classes = 3", (3, 32, 32), (3,)),
    "resnet20": ("size = 8", (3, 8, 8), (10,)),
    "resnet50": ("size = 32, classes = 3", (3, 32, 32), (3,)),
    "squeezenet_1_1": ("size = 32, classes = 3", (3, 32, 32), (3,)),
    "tiny_yolo_v2": ("size = 32, classes = 1, anchors = 2", (3, 32, 32), (12, 1, 1)),
    "vgg16_cifar": ("classes = 3", (3, 32, 32), (3,)),
}


def write(folder: Path, network: str, parameters: str = "", recipe: str = "", shape: tuple[int, ...] = ()) -> Path:
    """A spec that runs a network of the library on random weights, and two inputs for it."""
    instance = f"{network}({parameters})" if parameters else network
    use = f"recipe r {{ {recipe} }}\nschedule s of {instance} with r" if recipe else f"schedule s of {instance}"
    spec = folder / "user.hap"
    text = f'hap 1\nimport "networks/{network}.hap"\n{use} {{ weights = random(seed = 1) }}\n'
    spec.write_text(text, encoding="utf-8")
    if shape:
        draw = np.random.default_rng(0).standard_normal((2, *shape), np.float32)
        name = "features" if network == "lstm_timit" else "image"
        np.savez(folder / "data.npz", **cast("dict[str, Any]", {name: draw}))
    return spec


def test_all_are_there():
    assert set(ASKED_FOR) <= set(NETWORKS)
    listed = {entry["name"] for entry in run_main("list", "networks", "--format", "json").json["networks"]}
    assert listed >= set(FILES)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_library_network_is_good(network: str, tmp_path: Path):
    spec = tmp_path / "user.hap"
    spec.write_text(f'hap 1\nimport "networks/{network}.hap"\n', encoding="utf-8")
    found = run_main("check", spec, "--format", "json")
    assert found.code == 0, found.err
    assert found.json["diagnostics"] == []
    (only,) = found.json["networks"]
    assert only["name"] == network


def test_all_can_be_imported_together(tmp_path: Path):
    """Names of networks and blocks do not clash, however often a file of blocks is imported."""
    spec = tmp_path / "user.hap"
    imports = "".join(f'import "networks/{name}.hap"\n' for name in FILES)
    spec.write_text(f"hap 1\n{imports}schedule s of lenet5 {{}}\n", encoding="utf-8")
    found = run_main("check", spec, "--format", "json")
    assert found.code == 0, found.err
    assert [n["name"] for n in found.json["networks"]] == sorted(NETWORKS, key=FILES.index)


@pytest.mark.parametrize("network", sorted(SMALL))
def test_a_library_network_runs_on_random_weights(network: str, tmp_path: Path):
    parameters, shape, result = SMALL[network]
    spec = write(tmp_path, network, parameters, shape=shape)
    outcome = run_main("run", spec, "--input", tmp_path / "data.npz", "--output", tmp_path / "out.npz")
    assert outcome.code == 0, outcome.err
    with np.load(tmp_path / "out.npz") as archive:
        found = archive["output"] if "output" in archive else archive[archive.files[0]]
    assert found.shape == (2, *result)
    assert np.isfinite(found).all()
    spread = found.std()
    assert 1e-3 < spread < 1e6, "random weights keep activations alive"
    assert not np.array_equal(found[0], found[1])


QUANTIZED = 'fold_batch_norm(); quantize(calibration = "data.npz")'


@pytest.mark.parametrize("recipe", ["", QUANTIZED], ids=["float", "quantized"])
def test_lenet5_on_reference_and_c(recipe: str, tmp_path: Path):
    spec = write(tmp_path, "lenet5", recipe=recipe, shape=(1, 28, 28))
    reports = {
        on: run_main("run", spec, "--on", on, "--input", tmp_path / "data.npz", "--format", "json")
        for on in ("reference", "c")
    }
    assert [r.code for r in reports.values()] == [0, 0], [r.err for r in reports.values()]
    for report in reports.values():
        if recipe:
            assert report.json["mismatches_vs_reference"] == 0
        else:
            assert report.json["max_rel_error"] < 1e-5


def test_a_library_network_becomes_integers(tmp_path: Path):
    """Batch norm, residual sums and global pooling, on the integers that the C target computes with."""
    spec = write(tmp_path, "resnet20_projected", "size = 8, blocks = 1", QUANTIZED, shape=(3, 8, 8))
    outcome = run_main("run", spec, "--on", "c", "--input", tmp_path / "data.npz", "--format", "json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["mismatches_vs_reference"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["", QUANTIZED], ids=["float", "quantized"])
@pytest.mark.parametrize("network", sorted(SMALL))
def test_small_ones_on_c(network: str, recipe: str, tmp_path: Path):
    parameters, shape, _ = SMALL[network]
    spec = write(tmp_path, network, parameters, recipe, shape)
    outcome = run_main("run", spec, "--on", "c", "--input", tmp_path / "data.npz", "--format", "json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["mismatches_vs_reference"] == 0 if recipe else outcome.json["max_rel_error"] < 1e-5


def test_compiling_twice_gives_the_same_files(tmp_path: Path):
    spec = write(tmp_path, "lenet_300_100", "size = 4")
    for name in ("one", "two"):
        assert run_main("compile", spec, "--target", "c", "-o", tmp_path / name).code == 0
    first = {p.relative_to(tmp_path / "one"): p.read_bytes() for p in (tmp_path / "one").rglob("*") if p.is_file()}
    again = {p.relative_to(tmp_path / "two"): p.read_bytes() for p in (tmp_path / "two").rglob("*") if p.is_file()}
    assert first == again
    assert len(first) > 2
