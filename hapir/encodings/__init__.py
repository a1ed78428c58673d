"""Encodings of weights: how symbols lie in bytes. One file each, on the contract in `encoding.py`; no IR."""
