"""Handlers of the family pools."""
