if __name__ != "hapir.lowering":  # a second module object would register every attribute class twice
    raise ImportError("import hapir.lowering, not lowering")
