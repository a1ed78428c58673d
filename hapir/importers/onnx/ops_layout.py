"""Handlers of the family layout."""
