"""Runs the `// RUN:` lines of a file in this process: tools take longer to start than to run.

A line is a chain of commands joined by `|`; a backslash at its end continues it on the next RUN line. Commands are
`hapir ...` and `filecheck ...`, with `not` before one that must fail. `%s` is the file, `%S` its folder, `%t` a path
for temporary files of this line's own. `2>&1` at the end of a command pipes its messages on with its output.
"""

from __future__ import annotations

import io
import shlex
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from filecheck.finput import FInput
from filecheck.matcher import Matcher
from filecheck.options import parse_argv_options
from filecheck.parser import Parser, pattern_for_opts

from hapir.cli.main import main

MARK = "// RUN:"


@dataclass(frozen=True)
class RunLine:
    """A chain of commands and the line of the file where it starts."""

    line: int
    text: str


@dataclass(frozen=True)
class Ended:
    """What a command gave: its exit code, what it pipes on, and its messages that it does not."""

    code: int
    output: str
    messages: str = ""


def run_lines(text: str) -> list[RunLine]:
    """The RUN lines of a file's text. Raises AssertionError for one that goes on and has no next."""
    found: list[RunLine] = []
    open_: RunLine | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith(MARK):
            continue
        words = line.lstrip().removeprefix(MARK).strip()
        current = RunLine(open_.line, f"{open_.text} {words}") if open_ else RunLine(number, words)
        open_ = RunLine(current.line, current.text[:-1].rstrip()) if current.text.endswith("\\") else None
        if open_ is None:
            found.append(current)
    assert open_ is None, f"the RUN line {open_ and open_.line} ends with a backslash and nothing follows"
    return found


def commands(line: str) -> list[list[str]]:
    """The words of each command of a chain, quotes removed. Raises AssertionError for an empty command."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    chain: list[list[str]] = [[]]
    for word in lexer:
        if word == "|":
            chain.append([])
        else:
            chain[-1].append(word)
    assert all(chain), f"a command is missing in `{line}`"
    return chain


def run_file(path: Path, temporary: Path) -> None:
    """Run every RUN line of a file. Raises AssertionError that names the line, the command and what it said."""
    lines = run_lines(path.read_text(encoding="utf-8"))
    assert lines, f"{path.name} has no RUN line"
    for number, line in enumerate(lines):
        names = {"%s": str(path), "%S": str(path.parent), "%t": str(temporary / f"t{number}")}
        where = f"{path.name}:{line.line}"
        output = ""
        for words in commands(line.text):
            for name, value in names.items():
                words = [word.replace(name, value) for word in words]
            fails = words[0] == "not"
            ended = _run(words[1:] if fails else words, output, where)
            said = f"{ended.messages}\nits input was:\n{output}" if "filecheck" in words[:2] else ended.messages
            assert (ended.code != 0) == fails, f"{where}: `{shlex.join(words)}` gave {ended.code}\n{said}"
            output = ended.output


def _run(words: list[str], text: str, where: str) -> Ended:
    match words:
        case ["hapir", *arguments]:
            return run_hapir(arguments, text)
        case ["filecheck", *_]:
            return run_filecheck(words, text)
        case _:
            raise AssertionError(f"{where}: a RUN line runs hapir or filecheck, not `{shlex.join(words)}`")


def run_hapir(arguments: list[str], text: str) -> Ended:
    """One `hapir` command with `text` as its standard input."""
    merged = arguments[-1:] == ["2>&1"]
    out, err = io.StringIO(), io.StringIO()
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8")
    try:
        with redirect_stdout(out), redirect_stderr(out if merged else err):
            code = main(arguments[:-1] if merged else arguments)
    except SystemExit as exit_:  # argparse leaves this way
        code = exit_.code if isinstance(exit_.code, int) else 1
    finally:
        sys.stdin = before
    return Ended(code, out.getvalue(), err.getvalue() or out.getvalue())


def run_filecheck(words: list[str], text: str) -> Ended:
    """Match `text` against the CHECK lines of the file that the words name."""
    options = parse_argv_options(words)
    # the matcher writes where it failed to stdout or stderr, depending on what it is
    with Path(options.match_filename).open(encoding="utf-8") as checks, io.StringIO() as messages:
        with redirect_stderr(messages), redirect_stdout(messages):
            try:
                matcher = Matcher(
                    options, FInput("<output>", text), Parser(options, checks, *pattern_for_opts(options))
                )
                code = matcher.run()
            except SystemExit as exit_:
                code = exit_.code if isinstance(exit_.code, int) else 1
        return Ended(code, "", messages.getvalue())
