"""Where in the language a cursor stands, told from the text before it alone: it is seldom whole while it is written."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SCAN = re.compile(r'//[^\n]*|"(?:[^"\\\n]|\\.)*"?|[(\[{]|[)\]}]|[,;\n]')
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_PREFIX = re.compile(r"[A-Za-z_][\w.]*$")


@dataclass(frozen=True)
class Frame:
    """A bracket that is open: the bracket, and the statement up to it."""

    opening: str
    head: str

    @property
    def words(self) -> list[str]:
        """The words of the statement, quotes taken off."""
        return re.findall(r"[A-Za-z_][\w.]*", self.head)

    @property
    def called(self) -> str:
        """The name right before the bracket."""
        match = re.search(r"([A-Za-z_][\w.]*)\s*$", self.head)
        return match[1] if match else ""


@dataclass(frozen=True)
class Context:
    """The brackets that are open at a cursor, the outermost first, and the statement that is being written.

    `statement` goes from the last separator to the cursor, `prefix` is the beginning of a word at its end, `inside` all
    that the innermost bracket holds before the cursor. Inside a string, `string` is its text so far, and inside a
    comment, `comment`.
    """

    frames: tuple[Frame, ...]
    statement: str
    inside: str = ""
    string: str | None = None
    comment: str | None = None

    @property
    def prefix(self) -> str:
        """The word that is being written."""
        match = _PREFIX.search(self.statement)
        return match[0] if match else ""

    @property
    def before(self) -> str:
        """The statement without the word that is being written."""
        return self.statement[: len(self.statement) - len(self.prefix)]

    @property
    def bodies(self) -> tuple[Frame, ...]:
        """The braces that are open."""
        return tuple(frame for frame in self.frames if frame.opening == "{")

    @property
    def definition(self) -> str:
        """The word that begins the definition around the cursor: `network`, `machine`, ..., or nothing."""
        words = self.frames[0].words if self.frames else []
        return words[0] if words else ""


def context_at(text: str, offset: int) -> Context:
    """The context of a cursor."""
    frames: list[Frame] = []
    starts, opened = [0], [0]
    """Where the statement that is being written begins, and what the bracket holds, per level of brackets."""
    for match in _SCAN.finditer(text, 0, offset):
        token = match.group()
        ends_here = match.end() == offset
        if token.startswith("//"):
            if ends_here:
                return Context(tuple(frames), text[starts[-1] : match.start()], comment=token)
            starts[-1] = match.end() if not text[starts[-1] : match.start()].strip() else starts[-1]
        elif token.startswith('"'):
            closed = len(token) > 1 and token.endswith('"') and not token.endswith('\\"')
            if ends_here and not closed:
                return Context(tuple(frames), text[starts[-1] : match.start()].lstrip(), string=token[1:])
        elif token in _CLOSING:
            frames.append(Frame(token, text[starts[-1] : match.start()].strip()))
            starts.append(match.end())
            opened.append(match.end())
        elif token in (")", "]", "}"):
            # a bracket of another kind closes what was forgotten
            while frames and _CLOSING[frames[-1].opening] != token:
                del frames[-1], starts[-1], opened[-1]
            if frames:
                del frames[-1], starts[-1], opened[-1]
        else:
            starts[-1] = match.end()
    return Context(tuple(frames), text[starts[-1] : offset].lstrip(), text[opened[-1] : offset])
