"""Which versions of hapir and of what it stands on are at work: for `--version` and for manifests."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

PARTS = ("hapir", "xdsl")


def versions() -> dict[str, str]:
    """Name -> version of hapir and the parts that shape its output; `source` for an uninstalled checkout."""
    found: dict[str, str] = {}
    for name in PARTS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "source"
    return found
