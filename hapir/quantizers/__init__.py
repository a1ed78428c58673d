"""Arithmetic of quantizers over numpy arrays: weights and observed activations in, codes and scales out; no IR."""
