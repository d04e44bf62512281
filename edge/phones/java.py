"""Android's Java class `org.tensorflow.lite.Interpreter`, on this machine's Java with Android's library for x86-64."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

from edge.errors import InputError
from edge.patience import PROBE_S, in_time

CLASSES = "classes.jar"  # in an AAR
SOURCE = Path(__file__).with_name("Runner.java")
RELEASE = "11"  # the oldest Java that it is compiled for


def build(archives: list[Path], target: Path) -> None:
    """The classes of the archives and the runner, compiled against them. InputError without a JDK, or the class."""
    if not shutil.which("javac"):
        raise InputError("no javac, for Android's Java Interpreter: `apt-get install openjdk-17-jdk-headless`")
    jars = []
    for number, archive in enumerate(archives):
        with zipfile.ZipFile(archive) as parts:
            if CLASSES in parts.namelist():
                jars.append(target / f"classes-{number}.jar")
                jars[-1].write_bytes(parts.read(CLASSES))
    class_path = ":".join(map(str, jars))
    command = ["javac", "-nowarn", "--release", RELEASE, "-cp", class_path, "-d", str(target), str(SOURCE)]
    with in_time("javac"):
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["?"])[0][:200]
        raise InputError(f"Android's Java Interpreter cannot be compiled against: {said}")


def command(folder: Path, library: Path, path: Path, *, threads: int) -> list[str]:
    """The command line that answers for a .tflite frame by frame, as runner.c says; `library`: for x86-64."""
    class_path = ":".join(map(str, [folder, *sorted(folder.glob("*.jar"))]))
    return [
        "env", f"LD_LIBRARY_PATH={library.parent}", "java", "-cp", class_path,
        f"-Djava.library.path={library.parent}", "Runner", str(path), str(threads),
    ]  # fmt: skip
