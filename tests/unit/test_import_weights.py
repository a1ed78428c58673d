"""Weights of other tools into a network that is written: matched by name, checked, converted, saved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hapir.cli.main import main
from hapir.diagnostics import Diagnostic, HapirError
from hapir.importers.weight_names import Rule, rules_from
from hapir.importers.weights_map import ImportedWeights, import_weights
from hapir.lowering.network_edits import networks_of
from hapir.reference import run_network
from hapir.registry import make_context
from hapir.spec import build_module, load_spec
from hapir.weights import WeightStore

Array = npt.NDArray[Any]


def save_file(arrays: Mapping[str, Array], path: Path) -> None:
    WeightStore(arrays).save(path)


def load_file(path: Path) -> dict[str, Array]:
    return dict(WeightStore.load(path))


NET = """hap 1

network net(image: f32[1, 2, 4, 4]) -> f32[1, 3] {
    weights from "net.safetensors"
    layer1_0.conv1 = conv2d(image, channels = 4, kernel = 3, padding = 1, bias = false)
    layer1_0.bn1 = batch_norm(layer1_0.conv1)
    dw = conv2d(layer1_0.bn1, channels = 4, kernel = 2, stride = 2, groups = 4)
    fc = dense(flatten(dw), units = 3)
    return fc
}
"""
RNG = np.random.default_rng(0)


def random(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


TORCH: dict[str, Array] = {
    "layer1.0.conv1.weight": random(4, 2, 3, 3),
    "layer1.0.bn1.weight": random(4),
    "layer1.0.bn1.bias": random(4),
    "layer1.0.bn1.running_mean": random(4),
    "layer1.0.bn1.running_var": abs(random(4)),
    "layer1.0.bn1.num_batches_tracked": np.array(7),
    "dw.weight": random(4, 1, 2, 2),
    "dw.bias": random(4),
    "fc.weight": random(3, 16),
    "fc.bias": random(3),
}
"""What a PyTorch module of these layers saves."""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.hap"
    path.write_text(NET)
    return path


def stored(net: Path, arrays: dict[str, Array], **options: Any) -> dict[str, Array]:
    """What is written for arrays in a file."""
    source = net.parent / "given.safetensors"
    save_file(arrays, source)
    import_weights(source, net, **options)
    return load_file(net.parent / "net.safetensors")


def refused(net: Path, arrays: dict[str, Array], **options: Any) -> tuple[Diagnostic, ...]:
    """The diagnostics for arrays that do not fit; nothing may be written."""
    source = net.parent / "given.safetensors"
    save_file(arrays, source)
    before = sorted(path.name for path in net.parent.iterdir())
    with pytest.raises(HapirError) as raised:
        import_weights(source, net, **options)
    assert sorted(path.name for path in net.parent.iterdir()) == before
    return raised.value.diagnostics


def test_names_of_pytorch_fit_as_they_are(net: Path):
    found = stored(net, TORCH)
    assert sorted(found) == [
        *("dw.bias", "dw.weight", "fc.bias", "fc.weight", "layer1_0.bn1.beta", "layer1_0.bn1.gamma"),
        *("layer1_0.bn1.mean", "layer1_0.bn1.variance", "layer1_0.conv1.weight"),
    ]
    np.testing.assert_array_equal(found["layer1_0.bn1.variance"], TORCH["layer1.0.bn1.running_var"])


def keras_form(arrays: dict[str, Array]) -> dict[str, Array]:
    """The same network as Keras stores it: channels last."""
    dense = arrays["fc.weight"].reshape(3, 4, 2, 2).transpose(2, 3, 1, 0).reshape(16, 3)
    return {
        "layer1.0.conv1/kernel:0": arrays["layer1.0.conv1.weight"].transpose(2, 3, 1, 0),
        "layer1.0.bn1/gamma:0": arrays["layer1.0.bn1.weight"],
        "layer1.0.bn1/beta:0": arrays["layer1.0.bn1.bias"],
        "layer1.0.bn1/moving_mean:0": arrays["layer1.0.bn1.running_mean"],
        "layer1.0.bn1/moving_variance:0": arrays["layer1.0.bn1.running_var"],
        "dw/dw/depthwise_kernel:0": arrays["dw.weight"].reshape(4, 1, 2, 2).transpose(2, 3, 0, 1),
        "dw/dw/bias:0": arrays["dw.bias"],
        "fc/kernel:0": dense,
        "fc/bias:0": arrays["fc.bias"],
    }


def test_keras_stores_other_orders_of_the_same_numbers(net: Path):
    expected = stored(net, TORCH)
    (net.parent / "net.safetensors").unlink()
    found = stored(net, {name: np.ascontiguousarray(a) for name, a in keras_form(TORCH).items()}, layout="keras")
    assert sorted(found) == sorted(expected)
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array)


def test_a_shape_that_fits_another_layout_says_so(net: Path):
    arrays = {
        **TORCH,
        "layer1.0.conv1.weight": np.ascontiguousarray(TORCH["layer1.0.conv1.weight"].transpose(2, 3, 1, 0)),
    }
    (found,) = refused(net, arrays)
    assert (found.code, found.help) == ("HAP0976", "it fits as Keras lays it out: --layout keras")
    assert found.span is not None
    assert found.span.line == 5


def test_rules_rename(net: Path):
    arrays = {name.replace("layer1.0.", "stem.a1.").replace("dw", "x"): a for name, a in TORCH.items()}
    found = stored(net, arrays, rules=["stem.a*.* = layer*_0.*", "x=dw"])
    np.testing.assert_array_equal(found["dw.weight"], TORCH["dw.weight"])
    path = net.parent / "names.toml"
    path.write_text('"stem.a*" = "layer*_0"\nx = "dw"\n')
    again = stored(net, arrays, maps=[path], replace=True)
    assert {key: array.tobytes() for key, array in again.items()} == {k: a.tobytes() for k, a in found.items()}


def test_a_missing_array_is_named_and_what_it_may_be(net: Path):
    arrays = {name.replace("fc", "head"): array for name, array in TORCH.items()}
    found = refused(net, arrays)
    assert [d.code for d in found] == ["HAP0973", "HAP0973"]
    assert found[0].help == "by shape and order it would be `head.weight`: --map 'head = fc'"
    np.testing.assert_array_equal(stored(net, arrays, rules=["head = fc"])["fc.weight"], TORCH["fc.weight"])


def test_nothing_is_taken_over_by_shape_alone(net: Path):
    arrays = {f"array{number}": array for number, (_, array) in enumerate(sorted(TORCH.items()))}
    found = refused(net, arrays)
    assert {d.code for d in found} == {"HAP0973"}
    told = {d.message.split("`")[1]: d.help or "" for d in found}
    assert "array7" not in told["fc.weight"] or "--map" in told["fc.weight"]
    assert "by shape and order" in told["layer1_0.conv1.weight"]
    assert "by shape and order" not in told["layer1_0.bn1.gamma"], "five arrays have this shape"


def test_every_kind_of_trouble_is_told_at_once(net: Path):
    arrays = {
        **{name: array for name, array in TORCH.items() if name != "dw.bias"},
        "fc.weight": random(3, 15),
        "fc.bias": np.arange(3),
        "layer1.0.bn1.gamma": random(4),
        "layer1.0.bn1.running_var": np.array([1, np.nan, 1, np.inf], np.float32),
    }
    found = refused(net, arrays, rules=["nothing.* = something.*"])
    assert sorted(d.code for d in found) == ["HAP0404", "HAP0972", "HAP0973", "HAP0974", "HAP0976", "HAP0977"]
    assert all(d.help for d in found)


def test_halves_and_doubles_are_rounded_and_told(net: Path):
    arrays = {
        **TORCH,
        "fc.weight": TORCH["fc.weight"].astype(np.float64) + 1e-12,
        "fc.bias": random(3).astype(np.float16),
    }
    source = net.parent / "given.npz"
    save: Any = np.savez  # whose keyword arguments are arrays
    save(source, **arrays)
    done = import_weights(source, net)
    assert isinstance(done, ImportedWeights)
    assert [d.code for d in done.mapped.warnings] == ["HAP0977"]
    found = load_file(net.parent / "net.safetensors")
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(found["fc.bias"], arrays["fc.bias"].astype(np.float32))
    too_large = {**TORCH, "fc.bias": np.array([1e300, 0, 0])}
    assert [d.code for d in refused(net, too_large, replace=True)] == ["HAP0977"]


def test_arrays_that_fit_nothing_are_a_warning(net: Path):
    source = net.parent / "given.safetensors"
    save_file({**TORCH, "extra.weight": random(2)}, source)
    done = import_weights(source, net)
    assert [d.code for d in done.mapped.warnings] == ["HAP0975"]
    assert done.mapped.unused == ("extra.weight",)
    assert done.to_json()["unused"] == ["extra.weight"]
    assert "9 parameters of net, 5 under other names" in done.to_text()


def test_files_are_replaced_only_when_asked_and_never_the_source(net: Path):
    stored(net, TORCH)
    assert [d.code for d in refused(net, TORCH)] == ["HAP0979"]
    source = net.parent / "given.safetensors"
    assert [d.code for d in refused(net, TORCH, output=source, replace=True)] == ["HAP0979"]
    assert [d.code for d in refused(net, TORCH, output=net.parent / "x.npz")] == ["HAP0979"]
    stored(net, TORCH, replace=True)


def test_what_is_written_runs(net: Path):
    stored(net, TORCH)
    ctx = make_context()
    module = build_module(load_spec(net), None, ctx)
    result = run_network(networks_of(module)[0], ctx.weights, {"image": random(1, 2, 4, 4)})
    assert np.isfinite(result["output"]).all()


def test_one_bias_of_a_keras_lstm_is_both(tmp_path: Path):
    net = tmp_path / "net.hap"
    net.write_text(
        "hap 1\n\nnetwork net(x: f32[1, 3, 2]) -> f32[1, 3, 4] {\n    l = lstm(x, units = 4)\n    return l\n}\n"
    )
    arrays = {"l/lstm_cell/kernel": random(2, 16), "l/lstm_cell/recurrent_kernel": random(4, 16)}
    arrays["l/lstm_cell/bias"] = random(16)
    found = stored(net, arrays, layout="keras")
    np.testing.assert_array_equal(found["l.weight_input"], arrays["l/lstm_cell/kernel"].T)
    np.testing.assert_array_equal(found["l.bias_input"], arrays["l/lstm_cell/bias"])
    assert not found["l.bias_hidden"].any()


def test_the_command_takes_rules_and_files_of_rules(net: Path, capsys: pytest.CaptureFixture[str]):
    arrays = {name.replace("layer1.0.", "stem.a1.").replace("dw", "x"): a for name, a in TORCH.items()}
    source, names = net.parent / "given.safetensors", net.parent / "names.toml"
    save_file(arrays, source)
    names.write_text('x = "dw"\n')
    given = ["import", str(source), "--into", str(net), "--map", "stem.a* = layer*_0", "--map", str(names)]
    assert main(given) == 0
    assert capsys.readouterr().out.startswith(f"wrote {net.parent}/net.safetensors: 9 parameters of net, 7 under other")
    assert main([*given, "-o", str(net.parent / "other.safetensors"), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sources"]["dw.bias"] == "x.bias"
    assert main(given) == 1
    assert "HAP0979" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "name", "expected"),
    [
        ("a", "b", "a", "b"),
        ("a", "b", "a.weight", "b.weight"),
        ("a", "b", "ab.weight", None),
        ("layer1.*.conv", "l1.*.c", "layer1.0.conv.weight", "l1.0.c.weight"),
        ("layer1.*.conv", "l1.*.c", "layer1.0.1.conv.weight", None),
        ("net.**", "**", "net.a.b.weight", "a.b.weight"),
        ("*.*", "*_*", "a.b.weight", "a_b.weight"),
        ("a.b", "a(b", "a.b", "a(b"),
    ],
)
def test_rules_speak_of_names_and_of_their_beginnings(old: str, new: str, name: str, expected: str | None):
    assert Rule(old, new).apply(name) == expected


def test_arrays_come_in_the_order_of_their_file(tmp_path: Path):
    names = [f"{number * 37 % 50}" for number in range(50)]
    told = {n: {"dtype": "F32", "shape": [1], "data_offsets": [4 * i, 4 * i + 4]} for i, n in enumerate(names)}
    text = json.dumps(told).encode()
    (tmp_path / "a.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(4 * len(names)))
    assert [*load_file(tmp_path / "a.safetensors")] == names


def test_rules_that_are_none(tmp_path: Path):
    for text in ("a", "a =", "= b", "a.* = b", "a = b.*"):
        with pytest.raises(HapirError) as raised:
            rules_from([text], [])
        assert raised.value.diagnostics[0].code == "HAP0972"
    for content in (b"a = 1", b"a = ", b"\xff"):
        path = tmp_path / "map.toml"
        path.write_bytes(content)
        with pytest.raises(HapirError) as raised:
            rules_from([], [path])
        assert raised.value.diagnostics[0].code == "HAP0978"
    with pytest.raises(HapirError) as raised:
        rules_from([], [tmp_path / "none.toml"])
    assert raised.value.diagnostics[0].code == "HAP0978"
    path = tmp_path / "map.toml"
    path.write_text('layer1.conv = "c1"\n[stage]\n"a.*" = "b.*"\n')
    assert rules_from([], [path]) == (Rule("layer1.conv", "c1"), Rule("stage.a.*", "b.*"))
