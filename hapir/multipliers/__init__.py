"""Models of multipliers: one file each, on the contract in `model.py`. `exact` is one of them."""
