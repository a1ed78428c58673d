"""What a pass promises: exact (the same function), bounded (an error bound), or lossy (it tells what was lost).

A pass states its law once, in its module's docstring: a paragraph that begins with `Law: exact`, `Law: bounded` or
`Law: lossy`.
"""

from __future__ import annotations

import inspect
import re
from typing import Literal, cast

from xdsl.passes import ModulePass

Law = Literal["exact", "bounded", "lossy"]


def law_of(pass_class: type[ModulePass]) -> Law | None:
    """The law of a pass; None where its module states none."""
    module = inspect.getmodule(pass_class)
    found = re.search(r"^Law: (exact|bounded|lossy)\b", (module and module.__doc__) or "", re.MULTILINE)
    return None if found is None else cast(Law, found[1])
