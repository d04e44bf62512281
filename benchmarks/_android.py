"""Android's own decoders on this machine: the framework and the Skia that Robolectric brings, by Maven.

Needs `mvn`, a JDK of at least 21 in $JAVA_HOME or on the path, and 900 MB of downloads the first time, which Maven
keeps. HEIC and AVIF are decoded by a phone's media service, which Robolectric does not have.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edge.errors import InputError

SOURCES = Path(__file__).with_name("android_decoders")
# The framework that Robolectric 4.16 runs for API 34, 35, 36; the test is compiled against the middle one.
FRAMEWORKS = ("14-robolectric-10818077", "15-robolectric-13954326", "16-robolectric-13921718")
VERSIONS = {34: "Android 14", 35: "Android 15", 36: "Android 16"}
DECODERS = ("ImageDecoder", "BitmapFactory")
OPEN = [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in ("lang", "lang.reflect", "io")]

Decoded = np.ndarray | str  # RGB uint8 (H, W, 3), or why there is none


def decode_all(files: Mapping[str, bytes], *, sample: int = 1) -> dict[tuple[str, str], dict[str, Decoded]]:
    """(version, decoder) -> name -> what it makes of the file, its width and height divided by `sample`.

    Raises InputError where something is missing.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        inside, outside, classes, frameworks = (folder / name for name in ("in", "out", "classes", "frameworks"))
        for place in (inside, outside, classes, frameworks):
            place.mkdir()
        for number, contents in enumerate(files.values()):
            (inside / f"{number}").write_bytes(contents)
        path = class_path(folder)
        for version in FRAMEWORKS:
            copied(f"org.robolectric:android-all-instrumented:{version}-i7:jar", frameworks)
        api = copied(f"org.robolectric:android-all:{FRAMEWORKS[1]}:jar", folder)
        run(
            [java("javac"), "-nowarn", "-proc:none", "-cp", f"{path}:{api}", "-d", classes, SOURCES / "DecodeTest.java"]
        )
        settings = {"robolectric.offline": "true", "robolectric.dependency.dir": frameworks, "decode.in": inside,
                    "decode.out": outside, "decode.sample": sample}  # fmt: skip
        flags = [f"-D{key}={value}" for key, value in settings.items()]
        run([java("java"), "-Xmx3g", *OPEN, *flags, "-cp", f"{classes}:{path}:{api}", "org.junit.runner.JUnitCore",
             "DecodeTest"])  # fmt: skip
        return {
            (version, decoder): {
                name: read(outside / f"{number}.{decoder}.{code}") for number, name in enumerate(files)
            }
            for code, version in VERSIONS.items() for decoder in DECODERS
        }  # fmt: skip


def read(path: Path) -> Decoded:
    if not path.is_file():
        reason = path.with_name(f"{path.name}.error")
        return reason.read_text("utf-8").splitlines()[0] if reason.is_file() else "nothing was written"
    contents = path.read_bytes()
    width, height = np.frombuffer(contents, ">i4", 2)
    return np.frombuffer(contents, np.uint8, offset=8).reshape(height, width, 4)[:, :, 1:]


def class_path(folder: Path) -> str:
    """Of Robolectric; of what comes as AAR the classes are taken out."""
    listed = folder / "classpath"
    run(["mvn", "-q", "-B", "-f", SOURCES / "pom.xml", "dependency:build-classpath", f"-Dmdep.outputFile={listed}"])
    entries = []
    for entry in map(Path, listed.read_text("utf-8").strip().split(":")):
        if entry.suffix == ".aar":
            target = folder / f"{entry.stem}.jar"
            with zipfile.ZipFile(entry) as archive:
                target.write_bytes(archive.read("classes.jar"))
            entry = target
        entries.append(str(entry))
    return ":".join(entries)


def copied(artifact: str, folder: Path) -> Path:
    run(["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"])
    _, name, version, kind = artifact.split(":")
    return folder / f"{name}-{version}.{kind}"


def java(program: str) -> str:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home, "bin", program)) if home else program


def run(command: list[str | Path]) -> None:
    if not shutil.which(command[0]):
        raise InputError(f"no {command[0]}; Android's decoders need Maven and a JDK of at least 21 (set JAVA_HOME)")
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"{Path(command[0]).name} failed: {(done.stdout + done.stderr).strip()[-600:]}")
