"""Handlers of the family quantized."""
