"""Legal Verilog names for any text: the one place where names are mangled.

Invariants: `mangle` gives a simple identifier of Verilog-2005 that is no word of Verilog, SystemVerilog (tools read
`.v` files as either) or C++ (Verilator makes members of nets). `Names` keeps the names of one scope apart: the first to
ask gets the plain name, later ones a number, so the result depends on the order of asking only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_VERILOG = """
always and assign automatic begin buf bufif0 bufif1 case casex casez cell cmos config deassign default defparam design
disable edge else end endcase endconfig endfunction endgenerate endmodule endprimitive endspecify endtable endtask event
for force forever fork function generate genvar highz0 highz1 if ifnone incdir include initial inout input instance
integer join large liblist library localparam macromodule medium module nand negedge nmos nor noshowcancelled not notif0
notif1 or output parameter pmos posedge primitive pull0 pull1 pulldown pullup pulsestyle_onevent pulsestyle_ondetect
rcmos real realtime reg release repeat rnmos rpmos rtran rtranif0 rtranif1 scalared showcancelled signed small specify
specparam strong0 strong1 supply0 supply1 table task time tran tranif0 tranif1 tri tri0 tri1 triand trior trireg
unsigned use uwire vectored wait wand weak0 weak1 while wire wor xnor xor
"""
_SYSTEM_VERILOG = """
accept_on alias always_comb always_ff always_latch assert assume before bind bins binsof bit break byte chandle checker
class clocking const constraint context continue cover covergroup coverpoint cross dist do endchecker endclass
endclocking endgroup endinterface endpackage endprogram endproperty endsequence enum eventually expect export extends
extern final first_match foreach forkjoin global iff ignore_bins illegal_bins implements implies import inside int
interconnect interface intersect join_any join_none let local logic longint matches modport nettype new nexttime null
package packed priority program property protected pure rand randc randcase randsequence ref reject_on restrict return
s_always s_eventually s_nexttime s_until s_until_with sequence shortint shortreal soft solve static std string strong
struct super sync_accept_on sync_reject_on tagged this throughout timeprecision timeunit type typedef union unique
unique0 until until_with untyped var virtual void wait_order weak wildcard with within
"""
_CPP = """
alignas alignof and_eq asm auto bitand bitor bool catch char char16_t char32_t compl concept const_cast consteval
constexpr constinit co_await co_return co_yield decltype delete double dynamic_cast explicit false float friend goto
inline long mutable namespace noexcept not_eq nullptr operator or_eq private public register reinterpret_cast requires
short sizeof static_assert static_cast switch template thread_local throw true try typeid typename using volatile
wchar_t xor_eq main NULL
"""
RESERVED = frozenset(f"{_VERILOG} {_SYSTEM_VERILOG} {_CPP}".split())


def mangle(text: str) -> str:
    """`text` as a legal identifier: other characters become `_`, a leading digit and reserved words get a mark.

    Different texts may give one identifier (`a.b` and `a_b`); `Names` keeps those apart.
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", text)
    if not name or not (name[0].isalpha() or name[0] == "_"):
        name = f"n{name}"
    return f"{name}_" if name in RESERVED else name


class Names:
    """The names taken in one scope."""

    def __init__(self, taken: Iterable[str] = ()):
        self._taken = set(taken)
        self._next: dict[str, int] = {}

    def fresh(self, text: str) -> str:
        """A name for `text` that nobody in this scope has, marked as taken: `acc`, then `acc_2`, `acc_3`, ..."""
        base = mangle(text)
        name = base
        while name in self._taken:
            self._next[base] = self._next.get(base, 1) + 1
            name = f"{base}_{self._next[base]}"
        self._taken.add(name)
        return name

    def __contains__(self, name: str) -> bool:
        return name in self._taken
