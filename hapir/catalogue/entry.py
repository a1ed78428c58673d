"""What is known of one thing: the data behind `hapir list`, `hapir help` and the reference pages."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Option:
    """An option of an entry.

    `takes` says in words what it takes, `default` is the default as it would be written (None: the option is
    required), `bounds` what a number may be, `description` what it is for.
    """

    name: str
    takes: str
    default: str | None
    description: str = ""
    bounds: str | None = None

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is None

    @property
    def allowed(self) -> str:
        """What it takes, with its bounds."""
        return f"{self.takes}, {self.bounds}" if self.bounds else self.takes


@dataclass(frozen=True)
class Entry:
    """One thing that hapir knows.

    `kind` is one of it in words (`pass`, `IR op`), `summary` one line, `text` everything else that its documentation
    says. `law` is a pass's: exact, bounded or lossy. `example` can be run as it stands where its kind is written.
    `defined` names the Python object or the file it comes from, where a reader may want to look there.
    """

    kind: str
    name: str
    summary: str
    text: str = ""
    options: tuple[Option, ...] = ()
    law: str | None = None
    example: str | None = None
    defined: str | None = None

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict with the dataclass's fields; options also say whether they are required."""
        options = [{**asdict(option), "required": option.required} for option in self.options]
        return {**asdict(self), "options": options}
