"""How good a network is, and how to look for a smaller one that is good enough: plain Python over numpy, no IR."""
