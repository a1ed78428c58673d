"""Passes that compress as far as an evaluator allows."""
