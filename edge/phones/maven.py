"""Archives from Maven's repository, by Maven, which knows where that is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from edge.errors import InputError
from edge.patience import INSTALL_S, in_time


def downloaded(name: str, version: str, folder: Path) -> Path:
    """The AAR `org.tensorflow:name` of that version, in `folder`.

    InputError without Maven, for what it does not have, and where it does not come back within INSTALL_S.
    """
    if not shutil.which("mvn"):
        raise InputError("no mvn, which fetches Android's library: `apt-get install maven`, or give the file by `aar`")
    artifact = f"org.tensorflow:{name}:{version}:aar"
    command = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"]
    with in_time(f"mvn, which fetches {artifact},"):
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=INSTALL_S)
    archive = folder / f"{name}-{version}.aar"
    if done.returncode or not archive.is_file():
        reason = next((line for line in done.stdout.splitlines() if "ERROR" in line), "no reason given")
        raise InputError(f"Maven has no {artifact} for us ({reason.strip()[:200]}); is the version right?")
    return archive
