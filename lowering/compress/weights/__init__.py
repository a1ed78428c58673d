"""Passes that give weights, and by annotation activations, other numbers: one file each."""
