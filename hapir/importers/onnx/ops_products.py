"""Handlers of the family products."""
