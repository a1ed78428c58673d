"""Handlers of the family qonnx."""
