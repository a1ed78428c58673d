"""What mkdocs asks while it builds the documentation: the generated pages, and an order of all pages.

Pages under `docs/pages` are written by hand; the reference is made by `hapir.catalogue.pages`. A page of the order
below that nobody has written yet is left out; one that the order does not name is a warning of mkdocs.
"""

from __future__ import annotations

from pathlib import Path

import mistakes_page  # beside this file: mkdocs looks there for what hooks import
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from hapir.catalogue.pages import reference_pages, titles

MISTAKES = "mistakes.md"
ORDER: dict[str, str | dict[str, str]] = {
    "Home": "index.md",
    "Tutorial": "tutorial.md",
    "Language": "language.md",
    "Common mistakes": MISTAKES,
    "Import": "import.md",
    "Export": "export.md",
    "Generated C": "c.md",
    "Kernels": "kernels.md",
    "Compression": "compression.md",
    "Choosing bits": "bits.md",
    "Encodings": "encodings.md",
    "Extending": {
        "A pass": "extending/pass.md",
        "A weight quantizer": "extending/quantizer.md",
        "A number format": "extending/format.md",
        "An encoding": "extending/encoding.md",
        "An approximate unit": "extending/unit.md",
        "A machine": "extending/machine.md",
        "A dataflow": "extending/dataflow.md",
        "A kernel": "extending/kernel.md",
        "An ONNX operator": "extending/operator.md",
    },
    "hapir opt": "opt.md",
}
"""Titles and pages in the order of the navigation; the reference follows."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages that exist in order."""
    generated = titles()
    written = Path(config.docs_dir)

    def exists(page: str) -> bool:
        return page == MISTAKES or page in generated or (written / page).is_file()

    nav: list[object] = []
    for title, pages in ORDER.items():
        if isinstance(pages, str):
            if exists(pages):
                nav.append({title: pages})
        elif found := [{name: page} for name, page in pages.items() if exists(page)]:
            nav.append({title: found})
    reference = [{title: page} for page, title in generated.items() if page.startswith("reference/")]
    config.nav = [*nav, {"Reference": reference}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and the picture that the README shows."""
    for page, text in {**reference_pages(), MISTAKES: mistakes_page.page()}.items():
        files.append(File.generated(config, page, content=text))
    picture = Path(config.config_file_path or "").parent / "flow.svg"
    files.append(File.generated(config, "flow.svg", content=picture.read_bytes()))
    return files
