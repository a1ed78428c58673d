"""Names of stored arrays as keys of a network's parameters.

An array fits a parameter by its name: the same one; the same but for the way that other tools write it
(`layer1.0.conv1/kernel:0` is `layer1_0.conv1.weight`, `bn1.running_var` is `bn1.variance`); or by rules, pairs of
patterns. A rule `layer1.*.conv = l1.*.c` speaks of whole names or of their beginnings up to a dot: the rest of a name
stays. `*` is any text without dots, `**` any text, and what they stand for goes to the new name, in order.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from hapir.diagnostics import fail
from hapir.importers.names import tidy

_TORCH_RECURRENT = {
    "weight_ih_l0": "weight_input",
    "weight_hh_l0": "weight_hidden",
    "bias_ih_l0": "bias_input",
    "bias_hh_l0": "bias_hidden",
}
_KERAS_RECURRENT = {"kernel": "weight_input", "recurrent_kernel": "weight_hidden", "bias": "bias_input"}
_AFFINE = {"weight": "gamma", "scale": "gamma", "bias": "beta"}
PARAMETERS: Mapping[str, Mapping[str, str]] = {
    "nn.batch_norm": {
        **_AFFINE,
        "running_mean": "mean",
        "running_var": "variance",
        "moving_mean": "mean",
        "moving_variance": "variance",
    },
    "nn.layer_norm": _AFFINE,
    "nn.group_norm": _AFFINE,
    "nn.rms_norm": _AFFINE,
    "nn.lstm": _TORCH_RECURRENT | _KERAS_RECURRENT,
    "nn.gru": _TORCH_RECURRENT,
    "nn.rnn": _TORCH_RECURRENT | _KERAS_RECURRENT,
}
"""What other tools call the parameters of an op; those of all others are in `WEIGHTS`."""
WEIGHTS: Mapping[str, str] = {"kernel": "weight", "depthwise_kernel": "weight", "W": "weight", "b": "bias", "B": "bias"}
IGNORED = ("num_batches_tracked", "seed_generator_state")
"""Names of arrays that are no parameters of inference."""


@dataclass(frozen=True)
class Rule:
    """A pattern of array names, and what those are called in the network."""

    old: str
    new: str

    def __post_init__(self) -> None:
        if not self.old or not self.new:
            raise ValueError("a rule is written `pattern = pattern`")
        if len(_STARS.findall(self.old)) != len(_STARS.findall(self.new)):
            raise ValueError(f"`{self.old}` and `{self.new}` must have as many `*` each")

    def apply(self, name: str) -> str | None:
        """The new name; None where the rule does not speak of this one."""
        parts = [re.escape(part) for part in _STARS.split(self.old)]
        stars = [r"(.*)" if star == "**" else r"([^.]*)" for star in _STARS.findall(self.old)]
        pattern = "".join(p + s for p, s in zip(parts, [*stars, ""], strict=True))
        found = re.fullmatch(rf"{pattern}(|\..*)", name)
        if found is None:
            return None
        *given, rest = found.groups()
        texts = iter(given)
        return _STARS.sub(lambda _: next(texts), self.new) + rest


_STARS = re.compile(r"\*\*?")


def rules_from(texts: Iterable[str], files: Iterable[Path]) -> tuple[Rule, ...]:
    """Rules as they are written, `old = new` each, and those of TOML files, which are tables of `"old" = "new"`.

    Raises HapirError: HAP0972 for a rule that is none, HAP0978 for a file that cannot be read.
    """
    pairs: list[tuple[str, str]] = []
    for text in texts:
        old, equals, new = text.partition("=")
        if not equals:
            fail("HAP0972", f"`{text}` is no rule", help="write it `layer1.*.conv = l1.*.c`")
        pairs.append((old.strip(), new.strip()))
    for path in files:
        pairs += _read(path)
    rules: list[Rule] = []
    for old, new in pairs:
        try:
            rules.append(Rule(old, new))
        except ValueError as error:
            fail("HAP0972", f"`{old} = {new}` is no rule: {error}", help="write it `layer1.*.conv = l1.*.c`")
    return tuple(rules)


def _read(path: Path) -> list[tuple[str, str]]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        fail("HAP0978", f"the map `{path.name}` cannot be read: {(error.strerror or str(error)).lower()}",
             help="name a TOML file of rules")  # fmt: skip
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        fail("HAP0978", f"the map `{path.name}` is no TOML: {error}", help='it holds lines like `"conv1.*" = "c1.*"`')
    return list(_pairs(path, "", table))


def _pairs(path: Path, before: str, table: Mapping[str, object]) -> Iterable[tuple[str, str]]:
    """The rules of a table; `layer1.conv = "c1"` without quotes is a table in a table."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _pairs(path, f"{before}{key}.", cast("Mapping[str, object]", value))
        elif isinstance(value, str):
            yield f"{before}{key}", value
        else:
            fail("HAP0978", f"`{before}{key}` in `{path.name}` is not a name", help='write `"conv1.*" = "c1.*"`')


def renamed(name: str, rules: Sequence[Rule]) -> str:
    """A name after the first rule that speaks of it."""
    return next((new for rule in rules if (new := rule.apply(name)) is not None), name)


def keys_of(name: str, kinds: Mapping[str, str]) -> list[str]:
    """The keys that a name may stand for, the best first; `kinds` are the ops of the layers by name."""
    plain = re.sub(r":\d+$", "", name).replace("/", ".")
    layer, _, suffix = plain.rpartition(".")
    found = [name, plain]
    plainer = _of_keras(layer)
    for called in dict.fromkeys((layer, plainer, *(tidy(name) for name in (layer, plainer) if name))):
        kind = kinds.get(called)
        if kind is not None:
            known = {**WEIGHTS, **PARAMETERS.get(kind, {})}
            found += [f"{called}.{suffix}", f"{called}.{known.get(suffix, suffix)}"]
    whole = tidy(plain)
    if kinds.get(whole) == "nn.weight":
        found.append(f"{whole}.value")
    return list(dict.fromkeys(found))


def _of_keras(layer: str) -> str:
    """What Keras says twice said once: `conv1.conv1` is `conv1`, `lstm.lstm_cell` is `lstm`."""
    parts = re.sub(r"\.(lstm|gru|simple_rnn)_cell(_\d+)?$", "", layer).split(".")
    return ".".join(part for i, part in enumerate(parts) if not i or part != parts[i - 1])
