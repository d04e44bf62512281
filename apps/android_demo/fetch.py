"""fetch.py: all that build_apk.py takes from Maven (400 MB), so that it works without a network afterwards."""

from __future__ import annotations

import tempfile
from pathlib import Path

from build_apk import ARCHIVES, FRAMEWORK, R8, RESOURCES, class_path, fetched


def main() -> None:
    for artifact in (*ARCHIVES, FRAMEWORK, RESOURCES, R8):
        fetched(artifact)
    with tempfile.TemporaryDirectory() as folder:
        class_path("kotlinc.pom.xml", Path(folder))


if __name__ == "__main__":
    main()
