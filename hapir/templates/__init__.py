"""The projects that `hapir new` starts from: a folder each, and what all of them share in `common`.

A template is `my_project.hap` and `make_weights.py`; the name `my_project` becomes the project's own in every text.
"""
