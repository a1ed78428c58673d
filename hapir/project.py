"""`hapir new`: a project folder from a template, with data and weights, that compiles and runs at once."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from hapir.diagnostics import HapirError, did_you_mean, fail
from hapir.files import replaced_folder

PLACEHOLDER = "my_project"
"""What the texts of a template call the project."""
_COMMON = "common"
SPEC = f"{PLACEHOLDER}.hap"
"""The spec of a template, itself a right one."""
_SCRIPTS = ((_COMMON, "make_data"), (None, "make_weights"))
"""What makes the files that are no text; None stands for the template's own folder."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")


@dataclass(frozen=True)
class NewProject:
    """A project that was made: its name, its template, its folder as it was asked for, and its files."""

    name: str
    template: str
    folder: str
    files: tuple[str, ...]
    commands: tuple[str, ...]
    """What to try next, from inside the folder."""

    def to_text(self) -> str:
        """A few lines for a terminal."""
        lines = [f"made {self.folder} ({self.template}): {', '.join(self.files)}", "", "next:"]
        return "\n".join(
            [*lines, f"    cd {shlex.quote(self.folder)}", *(f"    {command}" for command in self.commands)]
        )

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict with the dataclass's fields."""
        return asdict(self)


def templates() -> list[str]:
    """The names of the templates."""
    root = files("hapir.templates")
    return sorted(folder.name for folder in root.iterdir() if (folder / SPEC).is_file())


def create_project(name: str, template: str, parent: Path) -> NewProject:
    """Make the folder `parent / name`, all or nothing.

    Raises HapirError: HAP0890 for a name that cannot be used, HAP0891 where something of that name exists, HAP0892
    for an unknown template, HAP0884 where the folder cannot be written.
    """
    known = templates()
    if template not in known:
        help = did_you_mean(template, known) or f"there are {', '.join(known)}"
        fail("HAP0892", f"there is no template `{template}`", help=help)
    check_name(name, template)
    folder = parent / name
    if folder.exists() or folder.is_symlink():
        fail("HAP0891", f"`{folder}` exists", help="choose another name, or another place with --dir")
    with replaced_folder(folder, mark=f"{name}.hap") as temporary:
        for source, path in _texts(template):
            text = source.read_text(encoding="utf-8").replace(PLACEHOLDER, name)
            (temporary / path.replace(PLACEHOLDER, name)).write_text(text, encoding="utf-8", newline="\n")
        for place, script in _SCRIPTS:
            import_module(f"hapir.templates.{place or template}.{script}").write(temporary)
        made = tuple(sorted(file.name for file in temporary.iterdir()))
    return NewProject(name, template, str(folder), made, _commands(name))


def check_name(name: str, template: str) -> None:
    """Raise HapirError (HAP0890) where a name cannot be that of a project: of its folder, spec and network."""
    rule = "a name begins with a letter and has letters, digits and `_`, at most 60 in all"
    if not _NAME.fullmatch(name):
        likely = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
        proposal = f"; `{likely}` would do" if _NAME.fullmatch(likely) and _fits(likely, template) else ""
        fail("HAP0890", f"`{name}` cannot be the name of a project", help=rule + proposal)
    if not _fits(name, template):
        what = f"`{name}` means something else in the spec of the template `{template}`"
        fail("HAP0890", what, help=f"choose another one, like `{name}_net`")


def _fits(name: str, template: str) -> bool:
    """Whether a template's spec is right when the project has this name."""
    from hapir.spec import load_spec_text

    spec = (files("hapir.templates") / template / SPEC).read_text(encoding="utf-8")
    try:
        load_spec_text(spec.replace(PLACEHOLDER, name), f"{name}.hap", Path())
    except HapirError:
        return False
    return True


def _texts(template: str) -> Iterator[tuple[Traversable, str]]:
    """The text files of a template, each with its name in the project."""
    root = files("hapir.templates")
    for folder in (root / _COMMON, root / template):
        for file in sorted(folder.iterdir(), key=lambda f: f.name):
            if file.is_file():
                yield file, ".gitignore" if file.name == "gitignore" else file.name


def _commands(name: str) -> tuple[str, ...]:
    """The commands that the project's README shows."""
    readme = (files("hapir.templates") / _COMMON / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
    return tuple(block.replace(PLACEHOLDER, name).splitlines())
