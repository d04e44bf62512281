"""The Android app's Kotlin core gives the bytes, numbers and outcomes that Python's gives, on this machine's Java."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests._sources import ROOT
from tests.apps._golden import GOLDEN, counted

CORE = ROOT / "apps" / "android_demo" / "core"
COMMAND = "mvn -f apps/android_demo/core/pom.xml test"
# of the compiler, and of what runs the tests
FETCHED = ("org/jetbrains/kotlin/kotlin-maven-plugin", "org/apache/maven/surefire/maven-surefire-common")
REPOSITORY = Path.home() / ".m2" / "repository"
needs_maven = pytest.mark.skipif(
    not (shutil.which("mvn") and shutil.which("javac")), reason="no mvn or javac: `apt-get install maven`"
)
needs_kotlin = pytest.mark.skipif(
    not all((REPOSITORY / part).is_dir() for part in FETCHED), reason=f"Maven has no Kotlin here: `{COMMAND}`"
)
SLOW = pytest.mark.slow(reason="compiles Kotlin: half a minute of one processor")
# One JVM, which compiles for seconds only.
JVM = {"MAVEN_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xss4m"}


def outcome_of(core: Path, out: Path) -> tuple[Counter[str], list[str]]:
    """How many tests of each class ran, and the names of those that failed; what does not compile fails at once."""
    command = ["mvn", "-o", "-q", "-B", "-f", str(core / "pom.xml"), "test", f"-Dout={out}", f"-Dgolden={GOLDEN}"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **JVM})
    reports = sorted((out / "surefire-reports").glob("*.xml"))
    assert reports, done.stdout[-2000:]
    cases = [case for path in reports for case in ElementTree.parse(path).iter("testcase")]
    assert not any(case.find("skipped") is not None for case in cases)
    failed = [
        case.get("name", "") for case in cases if case.find("failure") is not None or case.find("error") is not None
    ]
    assert (done.returncode == 0) == (not failed), done.stdout[-2000:]
    return Counter((case.get("classname") or "").rpartition(".")[2] for case in cases), failed


@SLOW
@needs_maven
@needs_kotlin
def test_the_golden_vectors_in_kotlin(tmp_path: Path) -> None:
    ran, failed = outcome_of(CORE, tmp_path / "out")
    assert failed == []
    own = {"preprocess": 2, "answers": 1}  # tests beside the vectors
    vectors = counted("exif", "opens", "manifests")
    assert {name: ran[f"{name.capitalize()}Test"] - own.get(name, 0) for name in vectors} == vectors
    assert ran["BundleTest"] >= 8 and ran["JsonTest"] >= 4 and ran["AcceleratorTest"] >= 7


@SLOW
@needs_maven
@needs_kotlin
def test_a_wrong_byte_is_seen(tmp_path: Path) -> None:
    core = tmp_path / "core"
    shutil.copytree(CORE, core, ignore=shutil.ignore_patterns("target"))
    file = core / "src/main/kotlin/dermedge/core/Preprocess.kt"
    text = file.read_text("utf-8")
    right = "(2 * total + area) / (2 * area)"
    assert right in text
    file.write_text(text.replace(right, "2 * total / (2 * area)"), "utf-8")
    _, failed = outcome_of(core, tmp_path / "out")
    assert len(failed) > 50
