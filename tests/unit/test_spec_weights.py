"""`weights` in a schedule: the file or the seed that its network's parameters come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.random_weights import RandomWeights
from hapir.registry import make_context
from hapir.spec import build_module, diagnose, load_spec
from hapir.weights import WeightStore

NETWORK = "network n(x: f32[1, 4], k = 2) -> f32[1, k] { f = dense(x, units = k)\nreturn f }\n"
OWN = NETWORK.replace("{ f", '{ weights from "own.safetensors"\nf')


def write(folder: Path, text: str, name: str = "n.hap") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"hap 1\n{text}", encoding="utf-8")
    return path


def save(path: Path, value: float, units: int = 2) -> None:
    ones = np.ones((units, 4), np.float32)
    WeightStore({"f.weight": value * ones, "f.bias": value * ones[:, 0]}).save(path)


def built(path: Path, schedule: str | None = None) -> HapirContext:
    context = make_context()
    spec = load_spec(path)
    diagnose(spec)
    build_module(spec, schedule, context)
    return context


def refused(path: Path) -> list[tuple[str, str]]:
    """What is wrong, however it is looked at."""
    with pytest.raises(HapirError) as checked:
        diagnose(load_spec(path))
    with pytest.raises(HapirError) as used:
        build_module(load_spec(path), None, make_context())
    assert checked.value.diagnostics == used.value.diagnostics
    return [(d.code, d.message) for d in checked.value.diagnostics]


def test_a_file_for_a_network_without_weights(tmp_path: Path):
    save(tmp_path / "w.safetensors", 3)
    context = built(write(tmp_path, NETWORK + 'schedule s of n { weights = "w.safetensors" }'))
    assert sorted(context.weights) == ["f.bias", "f.weight"]
    assert (context.weights["f.weight"] == 3).all()


def test_a_file_instead_of_the_networks_own(tmp_path: Path):
    save(tmp_path / "own.safetensors", 1)
    save(tmp_path / "w.safetensors", 2)
    text = OWN + 'let file = "w.safetensors"\nschedule other of n { weights = file }\nschedule own of n { }'
    path = write(tmp_path, text)
    assert (built(path, "own").weights["f.bias"] == 1).all()
    assert (built(path, "other").weights["f.bias"] == 2).all()


def test_the_networks_own_file_is_checked_where_it_is_read(tmp_path: Path):
    replaced = OWN + "schedule s of n { weights = random() }\n"
    built(write(tmp_path, replaced))
    both = write(tmp_path, replaced + "schedule own of n { }")
    with pytest.raises(HapirError, match=r"the file `own\.safetensors` does not exist"):
        diagnose(load_spec(both))
    with pytest.raises(HapirError, match=r"the file `own\.safetensors` does not exist"):
        diagnose(load_spec(write(tmp_path, OWN)))


def test_random_ones(tmp_path: Path):
    path = write(tmp_path, NETWORK + "schedule s of n { weights = random(seed = 2 + 3) }")
    weights = built(path).weights
    assert np.array_equal(weights["f.weight"], RandomWeights(5).array("f.weight", (2, 4)))
    assert not weights["f.bias"].any()
    assert built(path).weights.digest() == weights.digest()


def test_a_path_starts_at_the_file_that_names_it(tmp_path: Path):
    (tmp_path / "nets").mkdir()
    save(tmp_path / "w.safetensors", 1)
    save(tmp_path / "nets/w.safetensors", 2)
    schedule = 'schedule s of n { weights = "w.safetensors" }\n'
    write(tmp_path, NETWORK, "nets/n.hap")
    assert (built(write(tmp_path, f'import "nets/n.hap"\n{schedule}')).weights["f.bias"] == 1).all()
    write(tmp_path, NETWORK + schedule, "nets/n.hap")
    assert (built(write(tmp_path, 'import "nets/n.hap"')).weights["f.bias"] == 2).all()


def test_a_library_network_with_the_users_weights(tmp_path: Path):
    text = 'import "networks/lenet_300_100.hap"\nschedule s of lenet_300_100(size = 4) { weights = "w.npz" }'
    random, shapes = RandomWeights(1), {"fc1": (300, 16), "fc2": (100, 300), "fc3": (10, 100)}
    arrays = {f"{k}.weight": random.array(f"{k}.weight", s) for k, s in shapes.items()}
    biases = {f"{k}.bias": np.full(s[0], 0.5, np.float32) for k, s in shapes.items()}
    np.savez(tmp_path / "w.npz", **cast("dict[str, Any]", {**arrays, **biases}))
    assert built(write(tmp_path, text)).weights.digest() == WeightStore({**arrays, **biases}).digest()


def test_the_network_of_the_schedule_is_the_one_that_must_fit(tmp_path: Path):
    save(tmp_path / "w.safetensors", 1, units=3)
    given = 'schedule s of n(k = 3) { weights = "w.safetensors" }'
    assert built(write(tmp_path, NETWORK + given)).weights["f.weight"].shape == (3, 4)
    wrong = "`f.{}` has shape {} in `w.safetensors`, the network needs {}"
    assert refused(write(tmp_path, NETWORK + given.replace("(k = 3)", ""))) == [
        ("HAP0403", wrong.format("weight", "3x4", "2x4")),
        ("HAP0403", wrong.format("bias", "3", "2")),
    ]
    # as well where the network itself names the file, which fits its defaults
    save(tmp_path / "own.safetensors", 1)
    assert [code for code, _ in refused(write(tmp_path, OWN + "schedule s of n(k = 3) { }"))] == ["HAP0403"] * 2


def test_files_that_cannot_be_had(tmp_path: Path):
    text = NETWORK.replace("{", "{{").replace("}", "}}") + "schedule s of n {{ weights = {} }}"
    (tmp_path / "in").mkdir()
    save(tmp_path / "w.safetensors", 1)
    assert refused(write(tmp_path, text.format('"../w.safetensors"'), "in/n.hap")) == [
        ("HAP0214", '"../w.safetensors" lies outside the project folder')
    ]
    assert refused(write(tmp_path, text.format('"none.npz"'))) == [("HAP0401", "the file `none.npz` does not exist")]


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        ("random", "HAP0304", "`weights` takes the name of a file or `random(seed = 1)`, not `random`"),
        ("[1, 2]", "HAP0304", "`weights` takes the name of a file or `random(seed = 1)`, not a list of 2"),
        (
            "randm(seed = 1)",
            "HAP0304",
            "`weights` takes the name of a file or `random(seed = 1)`, not a call of `randm`",
        ),
        ("random(1)", "HAP0205", "the options of `random` are written with their names"),
        ("random(sed = 1)", "HAP0204", "`random` has no option `sed`"),
        ("random(seed = -1)", "HAP0305", "`random`: seed must be at least 0, got -1"),
        ("random(seed = 1.5)", "HAP0304", "`seed` takes an integer, not 1.5"),
    ],
)
def test_what_is_no_source(tmp_path: Path, value: str, code: str, message: str):
    path = write(tmp_path, NETWORK + f"schedule s of n {{ weights = {value} }}")
    with pytest.raises(HapirError) as raised:
        load_spec(path)
    assert [(d.code, d.message) for d in raised.value.diagnostics] == [(code, message)]


def test_given_twice(tmp_path: Path):
    path = write(tmp_path, NETWORK + 'schedule s of n { weights = random()\nweights = "w.npz" }')
    with pytest.raises(HapirError) as raised:
        load_spec(path)
    assert [(d.code, d.message) for d in raised.value.diagnostics] == [("HAP0221", "`weights` is given twice")]
