"""What scripts that make golden files share: write, or compare with what is there."""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path


def write_or_check(text: str, file: Path, about: str | None) -> int:
    """The command line of such a script; exit code 1 if `--check` finds a difference."""
    p = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the file differs")
    if p.parse_args().check:
        same = read(file) == text
        print(f"{file.name} {'is' if same else 'differs from'} what the reference makes")
        return 0 if same else 1
    if file.suffix == ".gz":
        file.write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        file.write_text(text, "utf-8")
    print(f"{file.name}: {file.stat().st_size} bytes")
    return 0


def read(file: Path) -> str:
    """The text of a golden file, `.gz` or not."""
    return gzip.decompress(file.read_bytes()).decode() if file.suffix == ".gz" else file.read_text("utf-8")
