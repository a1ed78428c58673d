"""Factorizations and generators of weights: plain numpy over float64, no IR.

Filters are K x C/G x R x S as in the IR. What a factorization gives is a chain of `Stage`s: convolutions that run one
after the other in the place of one.
"""
