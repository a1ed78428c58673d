"""`hapir run` and `Scheduled.run`: data checked, witnesses compared, results reported and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hapir
from hapir.dialects.nn import NetworkOp
from hapir.reference.interpret import run_network
from tests.projects import IMAGES, run_main, write_project


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("project"))


def _data(spec: Path) -> dict[str, Any]:
    with np.load(spec.parent / "test.npz") as archive:
        return {key: archive[key] for key in archive.files}


def test_the_cut_computes_what_the_whole_network_computes(spec: Path) -> None:
    scheduled, data = hapir.load(spec).schedule(), _data(spec)
    result = scheduled.run("reference", data)
    whole = run_network(scheduled.network, scheduled.weights, {"image": data["image"]})
    np.testing.assert_array_equal(result.outputs["output"], whole["output"])
    assert result.accuracy == np.mean(whole["output"].argmax(axis=1) == data["label"])
    assert result.mismatches_vs_reference == 0
    assert result.body["f1"].dtype == np.uint8


def test_no_recipe_keeps_the_floats(spec: Path) -> None:
    design, data = hapir.load(spec), _data(spec)
    scheduled = design.schedule(recipe="none")
    assert not scheduled.is_integer
    result = scheduled.run("reference", data)
    (network,) = (op for op in scheduled.float_module.body.block.ops if isinstance(op, NetworkOp))
    np.testing.assert_allclose(
        result.outputs["output"],
        run_network(network, scheduled.weights, {"image": data["image"]})["output"],
        rtol=1e-5,
        atol=1e-6,
    )
    assert result.mismatches_vs_reference is None
    assert result.max_abs_error == 0


@pytest.mark.parametrize("recipe", [None, "none"])
def test_c_agrees(spec: Path, recipe: str | None) -> None:
    argv = ("run", spec, "--on", "c", "--input", spec.parent / "test.npz", "--format", "json")
    outcome = run_main(*argv, *(("--recipe", recipe) if recipe else ()))
    assert outcome.code == 0
    found = outcome.json
    assert found["images"] == IMAGES
    assert found["arena_bytes"] > 0
    if recipe is None:
        assert found["mismatches_vs_reference"] == 0
    else:
        assert found["mismatches_vs_reference"] is None
        assert found["max_abs_error"] < 1e-5


def test_limit_and_output(spec: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for output in outputs:
        outcome = run_main(
            "run", spec, "--input", spec.parent / "test.npz", "--limit", 7, "--output", output, "--format", "json"
        )
        assert outcome.json["images"] == 7
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    with np.load(outputs[0]) as archive:
        assert archive["output"].shape == (7, 3)


def test_text_output_is_for_people(spec: Path) -> None:
    outcome = run_main("run", spec, "--input", spec.parent / "test.npz")
    assert outcome.code == 0
    assert f"{IMAGES} images" in outcome.out
    assert "accuracy" in outcome.out
    assert "0 of 60 integers differ" in outcome.out


IMAGE = np.zeros((4, 2, 6, 6), np.float32)


@pytest.mark.parametrize(
    ("arrays", "code", "words"),
    [
        ({}, "HAP0480", "no array `image`"),
        ({"imag": IMAGE}, "HAP0480", "did you mean `image`?"),
        ({"image": IMAGE, "extra": IMAGE}, "HAP0480", "`extra`"),
        ({"image": IMAGE[0]}, "HAP0481", "images x 2 x 6 x 6"),
        ({"image": IMAGE[:, :1]}, "HAP0481", "4x1x6x6"),
        ({"image": IMAGE[:0]}, "HAP0481", "0 images"),
        ({"image": IMAGE, "label": np.zeros(3, np.int64)}, "HAP0481", "labels are whole numbers"),
        ({"image": IMAGE, "label": np.zeros(4)}, "HAP0481", "labels are whole numbers"),
        ({"image": IMAGE, "label": np.array([0, 1, 2, 3])}, "HAP0482", "labels count from 0 to 2"),
        ({"image": IMAGE, "label": np.array([0, 1, 2, -1])}, "HAP0482", "holds -1..2"),
        ({"image": np.full_like(IMAGE, np.nan)}, "HAP0482", "not finite"),
        ({"image": np.full(IMAGE.shape, 1e300)}, "HAP0482", "f32 cannot hold"),
        ({"image": np.full(IMAGE.shape, (1 << 24) + 1)}, "HAP0482", "f32 cannot hold"),
        ({"image": np.full(IMAGE.shape, "a")}, "HAP0482", "not one of real numbers"),
    ],
)
def test_data_that_does_not_fit_is_a_diagnostic(
    spec: Path, tmp_path: Path, arrays: dict[str, Any], code: str, words: str
) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    outcome = run_main("run", spec, "--input", tmp_path / "bad.npz")
    assert outcome.code == 1
    assert f"error[{code}]" in outcome.err
    assert words in outcome.err


def test_doubles_and_bytes_are_converted(spec: Path) -> None:
    scheduled = hapir.load(spec).schedule()
    images = np.arange(72, dtype=np.uint8).reshape(1, 2, 6, 6)
    results = [scheduled.run(inputs={"image": images.astype(t)}).outputs["output"] for t in ("u1", "f4", "f8")]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_a_missing_or_broken_file_is_a_diagnostic(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"PK nonsense")
    for name in ("absent.npz", "broken.npz"):
        outcome = run_main("run", spec, "--input", tmp_path / name)
        assert outcome.code == 1
        assert "HAP0401" in outcome.err


def test_choices_are_checked(spec: Path) -> None:
    data = spec.parent / "test.npz"
    for option, word in (("--schedule", "on_n"), ("--recipe", "smal")):
        outcome = run_main("run", spec, "--input", data, option, word)
        assert outcome.code == 1
        assert "HAP0209" in outcome.err


def test_several_schedules_need_a_name(tmp_path: Path) -> None:
    spec = write_project(tmp_path)
    spec.write_text(f"{spec.read_text()}schedule other of tiny with small on m {{ }}\n")
    outcome = run_main("run", spec, "--input", tmp_path / "test.npz")
    assert outcome.code == 1
    assert "on_m, other" in outcome.err
    assert run_main("run", spec, "--input", tmp_path / "test.npz", "--schedule", "other").code == 0


def test_a_network_alone_is_enough(tmp_path: Path) -> None:
    spec = write_project(tmp_path)
    spec.write_text(spec.read_text().partition("machine m")[0])
    outcome = run_main("run", spec, "--on", "c", "--input", tmp_path / "test.npz", "--format", "json")
    assert outcome.code == 0
    assert outcome.json["schedule"] == "tiny"
    outcome = run_main("estimate", spec)
    assert outcome.code == 1
    assert "HAP0791" in outcome.err


def test_hardware_refuses_a_float_network(spec: Path) -> None:
    outcome = run_main("run", spec, "--on", "rtl", "--input", spec.parent / "test.npz", "--recipe", "none")
    assert outcome.code == 1
    assert "HAP0791" in outcome.err


def test_a_failing_pass_points_at_its_step(tmp_path: Path) -> None:
    spec = write_project(tmp_path)
    (tmp_path / "calib.npz").unlink()
    outcome = run_main("run", spec, "--input", tmp_path / "test.npz", "--format", "json")
    assert outcome.code == 1
    (found,) = outcome.json["diagnostics"]
    assert found["code"] == "HAP0401"
    number: int = found["span"]["line"]
    assert "quantize(" in spec.read_text().splitlines()[number - 1]


@pytest.mark.parametrize("place", ["folder", "nowhere/r.npz", ""])
def test_a_result_that_cannot_be_written_is_known_before_the_work(spec: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    output = tmp_path / place if place else ""
    outcome = run_main("run", spec, "--input", tmp_path / "no_such.npz", "--output", output)
    assert outcome.code == 1
    assert "error[HAP0884]" in outcome.err


@pytest.mark.parametrize("data", ["../secret.npz", "/dev/null", "link.npz"])
def test_data_of_a_recipe_stays_in_the_folder(tmp_path: Path, data: str) -> None:
    spec = write_project(tmp_path)
    (tmp_path / "link.npz").symlink_to(tmp_path.parent / "secret.npz")
    spec.write_text(spec.read_text().replace("calib.npz", data))
    outcome = run_main("run", spec, "--input", tmp_path / "test.npz")
    assert outcome.code == 1
    assert "error[HAP0214]" in outcome.err
    assert f'quantize(calibration = "{data}")' in outcome.err  # the step that names it
    allowed = run_main("run", spec, "--input", tmp_path / "test.npz", "--allow-outside")
    assert "error[HAP0401]" in allowed.err


def test_the_data_of_another_recipe_starts_at_its_own_file(tmp_path: Path) -> None:
    spec = write_project(tmp_path)
    (tmp_path / "more").mkdir()
    (tmp_path / "calib.npz").rename(tmp_path / "more" / "other.npz")
    (tmp_path / "more" / "r.hap").write_text('hap 1\nrecipe other { quantize(calibration = "other.npz") }\n')
    spec.write_text(spec.read_text().replace("hap 1\n", 'hap 1\nimport "more/r.hap"\n'))
    outcome = run_main("run", spec, "--input", tmp_path / "test.npz", "--recipe", "other")
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("on", ["reference", "c"])
@pytest.mark.filterwarnings("error")
def test_floats_that_overflow_are_a_diagnostic(spec: Path, tmp_path: Path, on: str) -> None:
    np.savez(tmp_path / "huge.npz", image=np.full(IMAGE.shape, 3e38))
    outcome = run_main("run", spec, "--on", on, "--recipe", "none", "--input", tmp_path / "huge.npz")
    assert outcome.code == 1
    assert "error[HAP0422]: `output` of `tiny` is not finite on this input" in outcome.err
