"""`<name>_layer_time`: the caller's function before and after each layer, called where HAPIR_LAYER_TIME is defined."""

from __future__ import annotations

DECLARATION = """
#ifdef HAPIR_LAYER_TIME
/* Write this one to see where time goes: it is called with `end` 0 before layer number `layer` and with 1 after it, by
 * the thread that runs the network. $name_report.txt names the layers. */
void $name_layer_time(int layer, int end);
#endif
"""
"""For the header, with $name for the network."""

MACRO = """\
#ifdef HAPIR_LAYER_TIME
#define HAPIR__LAYER(number, call) ($name_layer_time(number, 0), call, $name_layer_time(number, 1))
#else
#define HAPIR__LAYER(number, call) call
#endif
"""
"""For the source: what stands around each layer's call."""
