"""Handlers of the family reduce."""
