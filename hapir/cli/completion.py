"""`hapir completion`: a script that completes command lines of hapir in a shell."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hapir.cli.command import Command
from hapir.cli.console import Console

if TYPE_CHECKING:
    from hapir.catalogue.entry import Entry

SHELLS = ("bash", "zsh")
_NAMED = ("help", "explain")
"""Commands whose argument is any name that hapir knows."""
_SCRIPT = """\
# Completes command lines of hapir. Put this into a file that your shell reads when it starts:
#     eval "$(hapir completion {shell})"
{head}_hapir() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} command=${{COMP_WORDS[1]}} words=
    if [[ $COMP_CWORD -eq 1 ]]; then
        COMPREPLY=($(compgen -W "{commands}" -- "$word"))
        return
    fi
    case "$command ${{COMP_WORDS[COMP_CWORD-1]}}" in
{choices}
    *)
        case $command in
{options}
        esac ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    # whatever is no option may be a file
    [[ $word == -* || -n $COMPREPLY ]] || COMPREPLY=($(compgen -f -- "$word"))
}}
complete -o filenames -F _hapir hapir
"""


def script(shell: str) -> str:
    """The script for a shell: commands, their options, the choices of options, and names where any name may stand."""
    from hapir.catalogue import KINDS, entries, everything

    commands = entries("commands")
    names = {"list": list(KINDS), **{name: [*KINDS, *(e.name for e in everything())] for name in _NAMED}}
    return _SCRIPT.format(
        shell=shell,
        head="autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else "",
        commands=" ".join(entry.name for entry in commands),
        choices="\n".join(_choices(entry) for entry in commands),
        options="\n".join(_words(f"        {e.name}", [*_options(e), *names.get(e.name, ())]) for e in commands),
    )


def _options(command: Entry) -> list[str]:
    """The options of a command; every command has the last ones."""
    own = [option.name for option in command.options if option.name.startswith("-")]
    return [*own, "--format", "--color", "--help"]


def _choices(command: Entry) -> str:
    """What may follow those options of a command that take one of several words."""
    given = {o.name: o.takes.removeprefix("one of ").split(", ") for o in command.options if "one of " in o.takes}
    given |= {"--format": ["text", "json"], "--color": ["auto", "always", "never"]}
    lines = [_words(f'    "{command.name} {name}"', words) for name, words in given.items() if name.startswith("-")]
    return "\n".join(lines)


def _words(pattern: str, words: list[str]) -> str:
    return f'{pattern}) words="{" ".join(dict.fromkeys(words))}" ;;'


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell that will read the script")


def _execute(args: argparse.Namespace, console: Console) -> int:
    text = script(args.shell)
    console.result(text.rstrip("\n"), {"shell": args.shell, "script": text})
    return 0


COMMAND = Command(
    "completion",
    "print a script that completes command lines in bash or zsh",
    "hapir completion bash",
    _add_arguments,
    _execute,
)
