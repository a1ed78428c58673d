"""Networks from other tools: each format has a package of its own that makes a `nn.network` and its weights."""
