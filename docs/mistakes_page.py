"""The page of the commonest mistakes, made of the specs in `docs/mistakes` and of what hapir answers to them.

Each mistake is two files. `NN_name.hap` begins with comments: the title, a few words about it, then lines
`// key: value` - `part` (the heading it stands under), `expects` (the text that the message points at; `end of line`
where it points behind it; left out where the message has no place) and `command` (what gives the message, with FILE
for the spec; `hapir check FILE` where it is left out). What follows is the spec. `NN_name.expected` is the answer, word
for word; `tests/golden/test_mistakes.py` holds hapir to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "mistakes"
INTRODUCTION = """\
# Common mistakes

What newcomers write, and what hapir answers. Every message names the fault, points at it, and shows a way out;
`hapir explain CODE` tells more about its code. All answers on this page are checked by tests.
"""
_KEY = re.compile(r"(part|expects|command): (.*)")


@dataclass(frozen=True)
class Mistake:
    """One mistake: what is said about it, the spec that makes it, and the answer."""

    name: str
    title: str
    text: str
    part: str
    expects: str | None
    command: str
    spec: str
    answer: str


def mistakes(folder: Path = FOLDER) -> list[Mistake]:
    """All mistakes of a folder, in the order of their numbers. An answer that is not written yet is empty."""
    return [_read(path) for path in sorted(folder.glob("*.hap"))]


def page(folder: Path = FOLDER) -> str:
    """The page in Markdown."""
    lines = [INTRODUCTION]
    part = ""
    for mistake in mistakes(folder):
        if mistake.part != part:
            part = mistake.part
            lines.append(f"## {part}\n")
        lines.append(f"### {mistake.title}\n\n{mistake.text}\n")
        lines.append(f"```hap\n{mistake.spec}```\n")
        if mistake.command != "hapir check FILE":
            lines.append(f"`{mistake.command.replace('FILE', f'{mistake.name}.hap')}` answers:\n")
        lines.append(f"```text\n{mistake.answer}```\n")
    return "\n".join(lines)


def _read(path: Path) -> Mistake:
    lines = path.read_text(encoding="utf-8").split("\n")
    head: list[str] = []
    while lines and lines[0].startswith("// "):
        head.append(lines.pop(0).removeprefix("// "))
    keys = dict(match.groups() for match in map(_KEY.fullmatch, head) if match)
    title, *text = (line for line in head if not _KEY.fullmatch(line))
    answer = path.with_suffix(".expected")
    return Mistake(
        path.stem,
        title,
        " ".join(text),
        keys["part"],
        keys.get("expects"),
        keys.get("command", "hapir check FILE"),
        "\n".join(lines),
        answer.read_text(encoding="utf-8") if answer.is_file() else "",
    )
