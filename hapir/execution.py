"""Run a schedule on a witness and compare it with the reference where the integer body ends.

The host runs prologue and epilogue with the reference interpreter, the witness runs the body. The reference runs the
body as well, on the same inputs, so each value at the end of the body has its expected value.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hapir.data import Array, Dataset, accuracy
from hapir.diagnostics import fail
from hapir.dialects.nn import NetworkOp
from hapir.reference.interpret import check_finite, run_network
from hapir.report.results import Difference, RunResult
from hapir.witnesses import BodyRunner, body_runner

if TYPE_CHECKING:
    from hapir.driver import Scheduled, Witness
    from hapir.report.profile import Profile


def execute(
    scheduled: Scheduled, on: Witness, data: Dataset, *, cache: bool = True, profile: bool = False
) -> RunResult:
    """Run a checked data set; `cache` lets the witness reuse what an earlier run built, `profile` measures its layers.

    Raises HapirError (HAP042x, HAP0485, HAP07xx, HAP08xx).
    """
    if profile and on != "c":
        fail("HAP0805", f"`{on}` has no profile: time per layer is that of the C", help="run it with `--on c`")
    scheduled = scheduled.kernels if on == "c" else scheduled
    cut = scheduled.cut
    seconds: dict[str, float] = {}
    runner = None
    if on != "reference":
        started = time.perf_counter()
        runner = body_runner(on, scheduled, cache)
        seconds["build"] = time.perf_counter() - started
    expected: dict[str, Array] = {}
    found: dict[str, Array] = {}
    profiles: list[Profile] = []

    def run_part(part: NetworkOp, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        started = time.perf_counter()
        values = _reference(part, scheduled, inputs)
        where = {cut.prologue: "prologue", cut.body: "reference", cut.epilogue: "epilogue"}[part]
        seconds[where] = time.perf_counter() - started
        if part is not cut.body:
            return values
        expected.update(values)
        found.update(_on_witness(runner, inputs, seconds) if runner else values)
        if profile and runner and runner.profile:
            profiles.append(runner.profile(inputs))
        return found

    outputs = cut.run(data.inputs, run_part)
    return RunResult(
        on,
        scheduled.shown_name,
        scheduled.recipe,
        data.images,
        outputs,
        found,
        tuple(Difference.of(name, found[name], expected[name]) for name in expected),
        accuracy(outputs, data.labels),
        seconds,
        runner.details() if runner else {},
        profiles[0] if profiles else None,
    )


def _on_witness(runner: BodyRunner, inputs: Mapping[str, Array], seconds: dict[str, float]) -> Mapping[str, Array]:
    started = time.perf_counter()
    found = runner.run(inputs)
    seconds["body"] = time.perf_counter() - started
    return found


def _reference(part: NetworkOp, scheduled: Scheduled, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
    """One part by the reference; integers that overflow on this input are the spec's or the data's fault."""
    try:
        values = run_network(part, scheduled.decoded.weights, inputs)
    except OverflowError as error:
        fail(
            "HAP0485",
            f"the integers of `{part.sym_name.data}` overflow on this input: {error}",
            at=part,
            help="calibrate on data like this, or use narrower weights or activations",
        )
    check_finite(part, values)
    return values
