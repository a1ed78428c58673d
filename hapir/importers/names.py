"""Names of other tools as names of `.hap`: legal, short, unique, and as the user wrote them where that is legal.

A name is a path. `/` and `:` part it as `.` does; a part that repeats the one before it is dropped, and so is the name
of the operator where its module holds nothing else; numbers are indices, written as `.hap` writes them:

    /layer1/layer1.0/conv1/Conv   layer1_0.conv1        (`layer1[0].conv1`)
    /layers.3/self_attn/MatMul    layers3.self_attn.matmul
    model/re_lu_2/Relu:0          model.re_lu_2
    123  (a Conv)                 conv123

The same names always give the same names; no name depends on those after it but for what they share with all.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from hapir.spec.frames import indexed

RESERVED = frozenset(("let", "block", "repeat", "weights", "return", "true", "false", "none"))
"""Words that cannot stand for a tensor everywhere, or for a constant."""
LONGEST = 60
"""Characters of a name."""
_LEGAL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")


def layer_names(nodes: Sequence[tuple[str, str]]) -> list[str]:
    """What layers should be called, in order: of the name that each has (or ""), and its operator.

    What all have in common in front is left out. `Unique.give` makes legal names of them, each once.
    """
    paths = [_path(name) for name, _ in nodes]
    inside = Counter(tuple(path[:-1]) for path in paths)
    containers = {module[:depth] for module in inside for depth in range(len(module))}
    short = [_without_operator(path, op, inside, containers) for path, (_, op) in zip(paths, nodes, strict=True)]
    shared = _shared(short)
    return [".".join(path[shared:]) for path in short]


def tidy(name: str, operator: str = "value") -> str:
    """One name made legal, without a look at others."""
    return _legal(".".join(_path(name)), operator)


def is_legal(name: str) -> bool:
    """Whether a name can be written for a tensor anywhere, and each part of it inside a block."""
    return _LEGAL.fullmatch(name) is not None and name not in RESERVED and len(name) <= LONGEST


class Unique:
    """Hands out legal names, each once."""

    def __init__(self, taken: Iterable[str] = ()):
        self._taken = set(taken)
        self._next: dict[str, int] = {}

    def give(self, name: str, operator: str = "value") -> str:
        """A free name: this one where it is legal and free, else one like it, with a number where need be."""
        wanted = name if is_legal(name) else _legal(name, operator)
        found, n = wanted, self._next.get(wanted, 1)
        while found in self._taken:
            n += 1
            end = f"_{n}"
            found = f"{wanted[: LONGEST - len(end)].rstrip('.')}{end}"
        self._next[wanted] = n
        self._taken.add(found)
        return found


def snake(operator: str) -> str:
    """An operator's name in lower case: `MatMul` is `matmul`, `BatchNormalization` is `batch_norm`."""
    text = _ascii(operator)
    if (short := _SHORT.get(text)) is not None:
        return short
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", text).lower() or "value"


_SHORT = {
    "BatchNormalization": "batch_norm",
    "LayerNormalization": "layer_norm",
    "InstanceNormalization": "instance_norm",
    "MatMul": "matmul",
    "MaxPool": "max_pool",
    "AveragePool": "avg_pool",
    "GlobalAveragePool": "global_avg_pool",
    "ConvTranspose": "conv_transpose",
}


def _path(name: str) -> list[str]:
    """The parts of a name; what PyTorch repeats of the path (`layer1/layer1.0`) is there once."""
    parts: list[str] = []
    for part in re.split(r"[/\\]", re.sub(r":\d+$", "", name)):
        if not part:
            continue
        if parts and (part == parts[-1] or part.startswith(f"{parts[-1]}.")):
            parts[-1] = part
        else:
            parts.append(part)
    return [word for part in parts for word in re.split(r"[.:]+", part) if word]


def _without_operator(
    path: Sequence[str], operator: str, inside: Counter[tuple[str, ...]], containers: Collection[tuple[str, ...]]
) -> list[str]:
    """A path without the operator at its end, where its module holds nothing else; else that in lower case."""
    if not path or re.sub(r"_\d+$", "", path[-1]) != operator:
        return list(path)
    module = path[:-1]
    number = path[-1][len(operator) :]
    if module and inside[tuple(module)] == 1 and tuple(module) not in containers:
        return list(module)
    return [*module, snake(operator) + number.removeprefix("_")]


def _shared(paths: Collection[Sequence[str]]) -> int:
    """How many parts all paths begin with, so that each keeps at least one that is no number."""
    most = min((len(path) for path in paths), default=1) - 1
    if len(paths) < 2:
        return 0
    first = next(iter(paths))
    shared = 0
    while shared < most and all(path[shared] == first[shared] for path in paths):
        shared += 1
    while shared and any(path[shared].isdigit() for path in paths):
        shared -= 1
    return shared


def _legal(name: str, operator: str) -> str:
    """A legal name like this one, which may be taken."""
    words: list[str] = []
    for written in name.split("."):
        word = re.sub(r"[^A-Za-z0-9_]+", "_", _ascii(written)).strip("_" if not _LEGAL.fullmatch(written) else "")
        if not word:
            continue
        if word.isdigit():
            plain = len(word) < 10 and str(int(word)) == word
            if words and plain:
                words[-1] = indexed(words[-1], [int(word)])
            else:
                words.append(f"{_letter(snake(operator))}{word}")
        else:
            words.append(word if not word[0].isdigit() else f"{_letter(snake(operator))}_{word}")
    text = ".".join(words) or _letter(snake(operator))
    if text in RESERVED:
        text = f"{text}_"
    return _cut(text)


def _letter(word: str) -> str:
    """A legal word like this one."""
    word = re.sub(r"[^A-Za-z0-9_]+", "_", word)
    return word if _LEGAL.fullmatch(word) else f"v{word}"


def _cut(text: str) -> str:
    """A name that is not too long: the end of the path, or a beginning and a mark of the rest."""
    if len(text) <= LONGEST:
        return text
    words = text.split(".")
    while len(words) > 1 and len(".".join(words)) > LONGEST - 9:
        words = words[1:]
    mark = hashlib.sha256(text.encode()).hexdigest()[:8]
    kept = ".".join(words)[: LONGEST - 9].rstrip(".")
    return f"{kept}_{mark}"


def _ascii(text: str) -> str:
    """A text in ASCII: letters without their accents; what has no such letter is left out."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
