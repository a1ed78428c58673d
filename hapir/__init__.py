"""hapir: one spec, three witnesses. See README.md for what it is and `hapir --help` for the commands.

```python
import hapir

scheduled = hapir.load("digits.hap").schedule("on_tiny")
print(scheduled.run(on="c", inputs={"image": images}).to_text())
scheduled.compile("out")
```

The names below are the public API; each is imported when it is first used.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hapir.artifacts import CompileReport
    from hapir.diagnostics import Diagnostic, HapirError
    from hapir.driver import Design, Scheduled, load
    from hapir.report.compression import CompressionReport
    from hapir.report.results import RunResult
    from hapir.report.summary import CheckReport
    from hapir.targets.estimate import EstimateReport

if not Path(__file__).with_name("dialects").is_dir():  # a checkout without symlink support
    __path__.append(str(Path(__file__).resolve().parents[1]))

__all__ = [
    "CheckReport",
    "CompileReport",
    "CompressionReport",
    "Design",
    "Diagnostic",
    "EstimateReport",
    "HapirError",
    "RunResult",
    "Scheduled",
    "load",
]

_HOMES = {
    "CheckReport": "hapir.report.summary",
    "CompileReport": "hapir.artifacts",
    "CompressionReport": "hapir.report.compression",
    "Design": "hapir.driver",
    "Diagnostic": "hapir.diagnostics",
    "EstimateReport": "hapir.targets.estimate",
    "HapirError": "hapir.diagnostics",
    "RunResult": "hapir.report.results",
    "Scheduled": "hapir.driver",
    "load": "hapir.driver",
}


def __getattr__(name: str) -> object:
    """A public name, from its module."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module `hapir` has no attribute `{name}`")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
