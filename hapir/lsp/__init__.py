"""The language server of `.hap` (`hapir lsp`).

`project.py` knows the open files and analyses them; `names.py` tells what each name stands for. Upon these, one module
per feature answers in plain data: `hover`, `completion`, `navigation`, `outline`, `actions`, `signatures`. Only
`server.py` speaks the protocol and needs pygls.
"""
