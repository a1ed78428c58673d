"""A plug-in with files: a machine and a network in the language itself, as package data."""

from importlib.resources import files

from hapir.universe import HapirUniverse

UNIVERSE = HapirUniverse(
    machines={"edge_16x8": lambda: files(__name__) / "edge_16x8.hap"},
    networks={"keyword_spotter": lambda: files(__name__) / "keyword_spotter.hap"},
)
