"""Running cases on a device: what passes, what is unsupported and why, what fails and how."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from hapir.backend import REFERENCE, Bound, C, bind
from hapir.diagnostics import HapirError
from hapir.targets.c.build import CModule, build_c_together
from hapir.targets.c.emit import CArtefact
from tests.conformance.cases import Array, Case

DEVICES = (REFERENCE, C)
PASS, UNSUPPORTED, FAIL = "pass", "unsupported", "fail"
NOT_RUN = "not run"
MOST_PARAMETERS = 10_000_000
"""Of a network that is compiled."""
TOGETHER = 40
"""Networks of one call of the C compiler."""
FLAGS = ("-std=c11", "-O0", "-ffp-contract=off")
UNSUPPORTED_CODES = ("HAP09", "HAP07", "HAP0482", "HAP0510")
"""Beginnings of the codes of what hapir says it cannot do."""
CANNOT_IMPORT = re.compile(r"^cannot import (\S+) `[^`]*`: ")
MOST_WORDS = 160
"""Characters of a reason."""


@dataclass(frozen=True)
class Outcome:
    """What a case gave. `reason` is empty for a pass; `detail` says more, in figures that may differ elsewhere.

    `constants` are the inputs that were bound, `error` is what was raised.
    """

    status: str
    reason: str = ""
    detail: str = ""
    constants: tuple[str, ...] = ()
    error: Exception | None = field(default=None, compare=False, repr=False)

    @property
    def text(self) -> str:
        """As the table has it."""
        return f"{self.status}: {self.reason}" if self.reason else self.status


@dataclass(frozen=True)
class _Ready:
    """A case whose network is known."""

    case: Case
    bound: Bound
    inputs: dict[str, Array]

    @property
    def constants(self) -> tuple[str, ...]:
        return tuple(self.bound.constants)


def run_cases(found: Sequence[Case], device: str) -> Iterator[tuple[Case, Outcome]]:
    """Each case with its outcome, in order."""
    if device == REFERENCE:
        for case in found:
            yield case, _on_reference(case)
        return
    for start in range(0, len(found), TOGETHER):
        yield from _on_c(found[start : start + TOGETHER])


def _on_reference(case: Case) -> Outcome:
    ready = _ready(case)
    if isinstance(ready, Outcome):
        return ready
    return _compared(ready, lambda: ready.bound.run_reference(ready.inputs))


def _on_c(found: Sequence[Case]) -> Iterator[tuple[Case, Outcome]]:
    prepared = {case: _with_c(case, f"case_{i}") for i, case in enumerate(found)}
    emitted = [(ready, artefact) for ready, artefact in prepared.values() if artefact is not None]
    modules = dict(zip((a.name for _, a in emitted), _built([a for _, a in emitted]), strict=True))
    for case, (ready, artefact) in prepared.items():
        if isinstance(ready, Outcome) or artefact is None:
            assert isinstance(ready, Outcome)
            yield case, ready
            continue
        module = modules[artefact.name]
        if isinstance(module, HapirError):
            yield case, _failed(module, ready.constants)
        else:
            yield case, _compared(ready, lambda r=ready, m=module: r.bound.run_c(m, r.inputs))


def _with_c(case: Case, name: str) -> tuple[_Ready | Outcome, CArtefact | None]:
    ready = _ready(case)
    if isinstance(ready, Outcome):
        return ready, None
    count = sum(array.size for array in ready.bound.weights.values())
    if count > MOST_PARAMETERS:
        return Outcome(NOT_RUN, f"{count / 1e6:.0f} million parameters take minutes to compile as C text"), None
    try:
        return ready, ready.bound.artefact(name)
    except Exception as error:  # whatever hapir does wrong here is the outcome
        return _failed(error, ready.constants), None


def _built(artefacts: Sequence[CArtefact]) -> list[CModule | HapirError]:
    """The networks compiled together; where that fails, half by half, so that one bad network costs only itself."""
    if not artefacts:
        return []
    try:
        return list(build_c_together(artefacts, flags=FLAGS))
    except HapirError as error:
        if len(artefacts) == 1:
            return [error]
        half = len(artefacts) // 2
        return [*_built(artefacts[:half]), *_built(artefacts[half:])]


def _ready(case: Case) -> _Ready | Outcome:
    if case.inputs is None:
        return Outcome(UNSUPPORTED, "a sequence or an optional value, which is no tensor")
    model = case.model()
    constants = {t.name for t in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in constants]
    inputs = dict(zip(names, case.arrays("inputs"), strict=False))
    try:
        return _Ready(case, bind(model, inputs), inputs)
    except Exception as error:  # whatever hapir does wrong here is the outcome
        return _failed(error, ())


def _compared(ready: _Ready, run: Callable[[], Sequence[Array]]) -> Outcome:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = run()
    except Exception as error:  # whatever hapir does wrong here is the outcome
        return _failed(error, ready.constants)
    expected = ready.case.arrays("outputs")
    if len(found) != len(expected):
        return Outcome(FAIL, "another number of outputs", f"{len(found)}, not {len(expected)}", ready.constants)
    for i, (array, wanted) in enumerate(zip(found, expected, strict=True)):
        wrong = difference(array, wanted, ready.case.rtol, ready.case.atol)
        if wrong is not None:
            return Outcome(FAIL, wrong[0], f"output {i}: {wrong[1]}", ready.constants)
    return Outcome(PASS, constants=ready.constants)


def difference(array: Array, wanted: Array, rtol: float, atol: float) -> tuple[str, str] | None:
    """What is wrong with an output, in a word and with figures, by the rules of onnx's own runner."""
    if array.shape != wanted.shape:
        return "another shape", f"{array.shape}, not {wanted.shape}"
    if array.dtype != wanted.dtype:
        return "another type", f"{array.dtype}, not {wanted.dtype}"
    try:
        np.testing.assert_allclose(array, wanted, rtol=rtol, atol=atol)
    except AssertionError as error:
        return "other values", " ".join(str(error).split())
    return None


def _failed(error: Exception, constants: tuple[str, ...]) -> Outcome:
    if isinstance(error, HapirError):
        first = error.diagnostics[0]
        status = UNSUPPORTED if first.code.startswith(UNSUPPORTED_CODES) else FAIL
        said = (
            CANNOT_IMPORT.sub(r"\1: ", first.message) if first.code == "HAP0990" else f"{first.code}: {first.message}"
        )
        return Outcome(status, _short(said), str(error), constants, error)
    return Outcome(FAIL, type(error).__name__, str(error), constants, error)


def _short(text: str) -> str:
    line = text.splitlines()[0]
    return line if len(line) <= MOST_WORDS else f"{line[:MOST_WORDS]}..."
