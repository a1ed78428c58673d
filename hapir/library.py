"""hapir's own library, which a wheel carries as well: machines and networks in `.hap`, tables of technologies."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

SPECS = ("machines", "networks")
"""The folders of specs, which specs import; also the fields of the registry where plug-ins add to them."""
TECHNOLOGY = "technology"
"""The folder of tables, which machines name."""


@cache
def library_files(folder: str) -> Mapping[str, Traversable]:
    """The files of one of these folders, sorted by name, without the suffix."""
    suffix = ".toml" if folder == TECHNOLOGY else ".hap"
    found = (file for file in (files("hapir.targets") / folder).iterdir() if file.name.endswith(suffix))
    return {file.name.removesuffix(suffix): file for file in sorted(found, key=lambda file: file.name)}


def library_text(path: str) -> str:
    """The text of a file by its path in the library. Raises OSError or ValueError where it cannot be read."""
    return (files("hapir.targets") / path).read_text(encoding="utf-8")
