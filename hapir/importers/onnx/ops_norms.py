"""Handlers of the family norms."""
