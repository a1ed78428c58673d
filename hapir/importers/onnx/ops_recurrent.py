"""Handlers of the family recurrent."""
