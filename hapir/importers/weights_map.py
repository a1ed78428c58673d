"""Weights of another tool into a network that is written: matched by name, checked, converted, saved.

`hapir import W.safetensors --into net.hap` calls `import_weights`. Arrays are matched by names alone
(`weight_names.py`); where names do not fit, what shapes and order suggest is said in the message and never done.
Nothing is written unless every parameter has its array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xdsl.ir import Operation

from hapir.diagnostics import Diagnostic, Findings, Span, did_you_mean, fail, files_from, some
from hapir.dialects import nn, num
from hapir.dialects.nn_shapes import text
from hapir.dialects.num import dtype_of, element_type, shape_of
from hapir.files import write_atomically
from hapir.importers.weight_layouts import Array, Layout, as_laid_out, as_type
from hapir.importers.weight_names import IGNORED, Rule, keys_of, renamed, rules_from
from hapir.spec import syntax
from hapir.spec.build import own_weights, stored_parameters
from hapir.spec.check import Spec, load_spec
from hapir.spec.networks import NetworkBuilder
from hapir.spec.program import named
from hapir.spec.weight_help import not_finite, wrong_dtype, wrong_shape
from hapir.weights import WeightStore, load_arrays

_SHOWN = 8
"""Names that one message lists."""


@dataclass(frozen=True)
class Wanted:
    """A parameter of a network: its op, what reads it, and the statement that has it."""

    weight: nn.WeightOp
    user: Operation
    at: Span | None

    @property
    def key(self) -> str:
        """The key under which it is stored."""
        return self.weight.key.data

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that it needs."""
        return shape_of(self.weight.result)


@dataclass(frozen=True)
class MappedWeights:
    """Arrays under the keys of a network, and the name that each had. `unused` are names of arrays that fit nothing."""

    weights: WeightStore
    sources: Mapping[str, str]
    unused: tuple[str, ...]
    warnings: tuple[Diagnostic, ...]


@dataclass(frozen=True)
class ImportedWeights:
    """A file of weights that was written: for which network, where, and from what."""

    network: str
    file: str
    mapped: MappedWeights

    def to_text(self) -> str:
        """A line or two for a terminal."""
        renamed_ = sum(new != old for new, old in self.mapped.sources.items())
        line = f"wrote {self.file}: {len(self.mapped.sources)} parameters of {self.network}"
        return f"{line}, {renamed_} under other names" if renamed_ else line

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict: the name that each parameter's array had."""
        unused = list(self.mapped.unused)
        return {"network": self.network, "file": self.file, "sources": dict(self.mapped.sources), "unused": unused}


def import_weights(
    source: Path,
    into: Path,
    output: Path | None = None,
    *,
    network: str | None = None,
    rules: Sequence[str] = (),
    maps: Sequence[Path] = (),
    layout: Layout = "torch",
    replace: bool = False,
    allow_outside: bool = False,
) -> ImportedWeights:
    """Write the weights of a spec's network from a file of arrays, `.safetensors` or `.npz`.

    `output` is by default the file that the network names, or one called like the spec. `rules` are `old = new`, `maps`
    TOML files of them. Raises HapirError, with everything that is wrong: HAP0401 and HAP0404 for the file and its
    numbers, HAP0972 to HAP0979 (see `hapir explain`), and what is wrong in the spec.
    """
    arrays = load_arrays(source)
    known = rules_from(rules, maps)
    spec = load_spec(into, allow_outside=allow_outside)
    definition = _network(spec, network)
    target = output or _own_file(spec, definition, into)
    _check_target(target, source, replace)
    with files_from(spec.folder):
        findings = Findings()
        builder = NetworkBuilder(definition, findings, program=spec.program)
        op = builder.build()
        findings.raise_errors()
        mapped = map_weights(arrays, wanted_by(op, builder.layers), known, layout, source.name)
    write_atomically(target, mapped.weights.to_bytes())
    return ImportedWeights(definition.name.text, target.as_posix(), mapped)


def _network(spec: Spec, name: str | None) -> syntax.Network:
    if name is not None:
        return named(spec.networks, name, "network")
    own = [n for n in spec.networks.values() if n.name.span.file == spec.path.name] or [*spec.networks.values()]
    if len(own) != 1:
        known = f"choose one of {', '.join(n.name.text for n in own)} with --network" if own else None
        fail("HAP0222", f"the spec has {len(own) or 'no'} networks", help=known or "add `network name(...) { ... }`")
    return own[0]


def _own_file(spec: Spec, network: syntax.Network, into: Path) -> Path:
    findings = Findings()
    named_ = own_weights(network, findings)
    findings.raise_errors()
    return into.with_suffix(".safetensors") if named_ is None else spec.folder / named_.value


def _check_target(target: Path, source: Path, replace: bool) -> None:
    if target.suffix != ".safetensors":
        fail("HAP0979", f"`{target.name}` is no name of a file of weights",
             help=f"they end in .safetensors: `-o {target.stem}.safetensors`")  # fmt: skip
    if target.exists() and target.samefile(source):
        fail("HAP0979", f"`{target.name}` is the file that the weights come from", help="name another with -o")
    if target.exists() and not replace:
        fail("HAP0979", f"`{target}` exists", help="name another file with -o, or replace it with --force")


def wanted_by(network: nn.NetworkOp, layers: Mapping[str, Span]) -> list[Wanted]:
    """The parameters of a network, in order; `layers` are the places of its statements."""
    found: list[Wanted] = []
    for op in network.body.block.ops:
        if isinstance(op, nn.WeightOp):
            user = next((use.operation for use in op.result.uses), op)
            if isinstance(user, num.DequantizeOp) and "layer" not in user.properties:
                user = next((use.operation for use in user.result.uses), op)
            for weight in stored_parameters(op):
                stem = weight.key.data.rpartition(".")[0]
                layer = stem if stem in layers else stem.rpartition(".")[0]
                constant = weight.key.data.endswith(".value")
                found.append(Wanted(weight, op if constant else user, layers.get(layer)))
    return found


def map_weights(
    arrays: Mapping[str, Array],
    wanted: Sequence[Wanted],
    rules: Sequence[Rule] = (),
    layout: Layout = "torch",
    file: str = "the file",
) -> MappedWeights:
    """The arrays under the keys of the parameters.

    Raises HapirError with all that is missing (HAP0973), given twice (HAP0974), or of another shape (HAP0976) or type
    (HAP0977), and rules that speak of nothing (HAP0972).
    """
    return _Matching(arrays, wanted, rules, layout, file).run()


class _Matching:
    """One look at arrays and parameters; what is wrong is collected."""

    def __init__(
        self, arrays: Mapping[str, Array], wanted: Sequence[Wanted], rules: Sequence[Rule], layout: Layout, file: str
    ):
        self._arrays = arrays
        self._wanted = {w.key: w for w in wanted}
        self._rules = rules
        self._layout: Layout = layout
        self._file = file
        self._findings = Findings()
        self._sources: dict[str, str] = {}
        self._rounded: list[str] = []

    def run(self) -> MappedWeights:
        """Match names, then convert."""
        unused = self._match()
        self._report_idle_rules()
        store = WeightStore()
        missing: list[Wanted] = []
        for key, wanted in self._wanted.items():
            if key in self._sources:
                array = self._converted(wanted, self._sources[key])
                if array is not None:
                    store.put(key, array)
            elif self._is_second_bias(wanted):
                store.put(key, np.zeros(wanted.shape, np.float32))
            else:
                missing.append(wanted)
        self._report_missing(missing, unused)
        self._findings.raise_errors()
        left = tuple(name for name in unused if name.rpartition(".")[2] not in IGNORED)
        self._warn(left)
        return MappedWeights(store, dict(self._sources), left, self._findings.sorted())

    def _match(self) -> list[str]:
        """Give each parameter its array; the names of arrays that fit none."""
        kinds = {key.rpartition(".")[0]: wanted.user.name for key, wanted in self._wanted.items()}
        unused: list[str] = []
        for name in self._arrays:
            keys = keys_of(renamed(name, self._rules), kinds)
            key = next((k for k in keys if k in self._wanted), None)
            if key is None:
                unused.append(name)
            elif key in self._sources:
                both = f"`{self._sources[key]}` and `{name}`"
                self._findings.error("HAP0974", f"{both} are both `{key}`", at=self._wanted[key].at,
                                     help="take one out of the file, or map it to another parameter")  # fmt: skip
            else:
                self._sources[key] = name
        return unused

    def _report_idle_rules(self) -> None:
        names = [*self._arrays]
        for rule in self._rules:
            if not any(rule.apply(name) is not None for name in names):
                near = did_you_mean(rule.old, names)
                self._findings.error("HAP0972", f"the rule `{rule.old} = {rule.new}` speaks of no array", at=None,
                                     help=near or f"{self._file} has {some(names, _SHOWN) or 'no array'}")  # fmt: skip

    def _converted(self, wanted: Wanted, name: str) -> Array | None:
        """The array as the parameter needs it; None after an error."""
        array, findings = self._arrays[name], self._findings
        said = f"`{wanted.key}`" if name == wanted.key else f"`{wanted.key}`, which is `{name}` in {self._file},"
        found = as_laid_out(array, wanted.key.rpartition(".")[2], wanted.user, self._layout)
        if found.shape != wanted.shape:
            message = f"{said} has shape {text(array.shape)}, the network needs {text(wanted.shape)}"
            findings.error("HAP0976", message, at=wanted.at, help=self._other_layout(wanted, array))
            return None
        dtype = dtype_of(element_type(wanted.weight.result))
        typed = as_type(found, dtype)
        if typed is None:
            message = f"{said} is {array.dtype}, the network needs {dtype}"
            findings.error("HAP0977", message, at=wanted.at, help=wrong_dtype(array.dtype, dtype))
            return None
        if typed.dtype.kind == "f" and not np.isfinite(typed).all():
            bad = np.count_nonzero(~np.isfinite(typed))
            message = f"{said} holds {bad} values that are NaN or infinite"
            findings.error("HAP0404", message, at=wanted.at, help=not_finite(typed))
            return None
        if typed.dtype != array.dtype:
            self._rounded.append(f"`{name}` ({array.dtype})")
        return np.ascontiguousarray(typed)

    def _other_layout(self, wanted: Wanted, array: Array) -> str:
        """The way out of a shape that does not fit: the layout that it fits in."""
        other: Layout = "keras" if self._layout == "torch" else "torch"
        suffix = wanted.key.rpartition(".")[2]
        if as_laid_out(array, suffix, wanted.user, other).shape == wanted.shape:
            return f"it fits as {'Keras' if other == 'keras' else 'PyTorch'} lays it out: --layout {other}"
        return wrong_shape(wanted.weight, array.shape)

    def _is_second_bias(self, wanted: Wanted) -> bool:
        """Whether a parameter is the second bias of an LSTM of Keras, which has one: then it is 0."""
        layer, _, suffix = wanted.key.rpartition(".")
        lstm = self._layout == "keras" and isinstance(wanted.user, nn.LstmOp)
        return lstm and suffix == "bias_hidden" and f"{layer}.bias_input" in self._sources

    def _report_missing(self, missing: Sequence[Wanted], unused: Sequence[str]) -> None:
        suggested = _suggested(missing, {name: self._arrays[name] for name in unused}, self._layout)
        for wanted in missing:
            help = did_you_mean(wanted.key, unused)
            if (name := suggested.get(wanted.key)) is not None:
                help = f"by shape and order it would be `{name}`: {_rule(name, wanted.key)}"
            elif help is not None:
                help += f" then give {_rule(help.split('`')[1], wanted.key)}"
            elif wanted.key.endswith(".bias"):
                help = "write `bias = false` where a layer has none"
            else:
                help = f"the arrays that fit nothing are {some(unused, _SHOWN)}" if unused else "all arrays are used"
            self._findings.error("HAP0973", f"{self._file} has no array for `{wanted.key}`", at=wanted.at, help=help)

    def _warn(self, unused: Sequence[str]) -> None:
        if unused:
            self._findings.warning("HAP0975", f"{len(unused)} arrays of {self._file} fit no parameter", at=None,
                                   help=f"they are {some(unused, _SHOWN)}")  # fmt: skip
        if self._rounded:
            self._findings.warning("HAP0977", f"{len(self._rounded)} arrays were converted to the network's types",
                                   at=None, help=f"they are {some(self._rounded, _SHOWN)}")  # fmt: skip


def _rule(name: str, key: str) -> str:
    """The rule that would map an array to a parameter, as an option; endings that are alike are left out."""
    layer, _, suffix = key.rpartition(".")
    if name.rpartition(".")[2] == suffix and "." in name:
        return f"--map '{name.rpartition('.')[0]} = {layer}'"
    return f"--map '{name} = {key}'"


def _suggested(missing: Sequence[Wanted], unused: Mapping[str, Array], layout: Layout) -> dict[str, str]:
    """What arrays the missing parameters would be by their shapes.

    All of them where the shapes are the same in the same order; else those whose shape only one array has and only one
    parameter needs.
    """

    def shape(name: str, wanted: Wanted) -> tuple[int, ...]:
        return as_laid_out(unused[name], wanted.key.rpartition(".")[2], wanted.user, layout).shape

    names = [name for name in unused if name.rpartition(".")[2] not in IGNORED]
    if len(names) == len(missing) and all(shape(n, w) == w.shape for n, w in zip(names, missing, strict=True)):
        return {wanted.key: name for name, wanted in zip(names, missing, strict=True)}
    found: dict[str, str] = {}
    for wanted in missing:
        fitting = [name for name in names if shape(name, wanted) == wanted.shape]
        if len(fitting) == 1 and sum(other.shape == wanted.shape for other in missing) == 1:
            found[wanted.key] = fitting[0]
    return found
