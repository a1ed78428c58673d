"""hapir: one spec, three witnesses. See README.md for what it is and `hapir --help` for the commands."""

from pathlib import Path

if not Path(__file__).with_name("dialects").is_dir():  # a checkout without symlink support
    __path__.append(str(Path(__file__).resolve().parents[1]))
