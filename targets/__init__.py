if __name__ != "hapir.targets":  # a second module object would register every attribute class twice
    raise ImportError("import hapir.targets, not targets")
