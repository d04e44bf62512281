"""fetch.py: all that build_apk.py and run_screens.py take from Maven (800 MB), so that they work without a network."""

from __future__ import annotations

import tempfile
from pathlib import Path

from build_apk import ARCHIVES, FRAMEWORK, GPU_ARCHIVES, R8, RESOURCES, class_path, fetched
from run_screens import INSTRUMENTED, VERSIONS


def main() -> None:
    for artifact in (*ARCHIVES, *GPU_ARCHIVES, FRAMEWORK, RESOURCES, R8):
        fetched(artifact)
    for version in VERSIONS.values():
        fetched(INSTRUMENTED.format(version=version))
    with tempfile.TemporaryDirectory() as folder:
        for pom in ("kotlinc.pom.xml", "robolectric.pom.xml"):
            class_path(pom, Path(folder))


if __name__ == "__main__":
    main()
