if __name__ != "hapir.dialects":  # a second module object would register every attribute class twice
    raise ImportError("import hapir.dialects, not dialects")
