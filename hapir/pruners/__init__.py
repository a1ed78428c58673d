"""Which weights a pruner takes: scores, masks and orders over numpy arrays, no IR."""
