"""Set up what the apps' tests need, run them by platform, and say of each whether it passed, failed or was skipped.

    python tests/apps/run.py                   all platforms
    python tests/apps/run.py web --complete    one of them, and a skipped test counts as failed

Exit code 1 where a platform failed, or where its tools are there and no test ran. As root on Debian missing packages
are installed; elsewhere they are named, and the tests that need them say so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
PHONES = "DERMEDGE_PHONES"
LONGEST_S = 1800  # of a download, a build or a platform's tests
TOO_LONG = 124  # exit code, as of coreutils' timeout


PROGRAMS = {  # what packages are wanted for; where it is there, as of another JDK or Node.js, that is as good
    "nodejs": "node", "npm": "npm", "maven": "mvn", "openjdk-17-jdk-headless": "javac",
}  # fmt: skip


@dataclass(frozen=True)
class Platform:
    packages: tuple[str, ...]  # of Debian
    set_up: tuple[tuple[str, ...], ...]  # arguments of `dermedge setup`
    tests: tuple[str, ...]  # patterns, from the top of the repository
    fetches: tuple[tuple[str, ...], ...] = ()  # other commands that bring what the tests take along


PLATFORMS = {
    "web": Platform(
        ("chromium", "nodejs", "npm"), (("browser", "--missing"),),
        ("tests/apps/test_web*.py", "tests/edge/bundles/test_*.py"),
    ),
    "ios": Platform(("util-linux", "dpkg"), (("swift", "--missing"),), ("tests/apps/test_ios*.py",)),
    "android": Platform(
        (
            "maven", "openjdk-17-jdk-headless", "aapt", "zipalign", "apksigner", "dexdump", "binutils",
            "gcc", "libc6-dev", "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-user-static",
        ),
        (("android", "--missing"),), ("tests/apps/test_android*.py",),
        (  # Kotlin and JUnit; what the app's build and its screens take
            ("mvn", "-q", "-B", "-f", "apps/android_demo/core/pom.xml", "test"),
            (sys.executable, "apps/android_demo/fetch.py"),
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    word: str  # passed, failed or skipped
    details: str
    ran: int
    skipped: int


def ended(command: Sequence[str], **options: Any) -> int:
    """The exit code of a command; one that takes too long is stopped and has failed."""
    try:
        return subprocess.run(command, timeout=LONGEST_S, **options).returncode
    except subprocess.TimeoutExpired:
        return TOO_LONG


def program_of(package: str) -> str | None:
    """The path of the program that a package is wanted for, whoever installed it; None where there is none."""
    return shutil.which(PROGRAMS[package]) if package in PROGRAMS else None


def installed(package: str) -> bool:
    done = subprocess.run(["dpkg", "-s", package], capture_output=True, text=True)
    return done.returncode == 0 and "Status: install ok installed" in done.stdout


def prepare(platform: Platform) -> list[str]:
    """Install packages and run the set-ups; what is missing afterwards, in words."""
    debian = shutil.which("dpkg") is not None
    missing = [name for name in platform.packages if debian and not (program_of(name) or installed(name))]
    if missing and os.geteuid() == 0:
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        ended(["apt-get", "update", "-q"], stdout=subprocess.DEVNULL, env=quiet)
        install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
        ended(install, stdout=subprocess.DEVNULL, env=quiet)
        missing = [name for name in missing if not (program_of(name) or installed(name))]
    problems = [f"as root: apt-get install {' '.join(missing)}"] if missing else []
    for command in platform.fetches:
        if shutil.which(command[0]) and ended(command, cwd=ROOT, stdout=subprocess.DEVNULL):
            problems.append(f"{' '.join(command)} failed")
    for arguments in platform.set_up:
        if code := ended([sys.executable, "-m", "dermedge", "setup", *arguments], cwd=ROOT):
            problems.append(f"dermedge setup {' '.join(arguments)} ended with exit code {code}")
    return problems


def judged(report: Path, exit_code: int) -> Verdict:
    """What a run of pytest left as JUnit XML. A run that left none, or ended before its end, failed."""
    try:
        cases = list(ET.parse(report).getroot().iter("testcase"))
    except (OSError, ET.ParseError):
        return Verdict("failed", f"pytest ended with exit code {exit_code} and no whole report", 0, 0)
    bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    reasons = {part.get("message", "") for case in cases for part in case.findall("skipped")}
    skipped = sum(case.find("skipped") is not None for case in cases)
    ran = len(cases) - skipped
    if bad or exit_code:
        names = ", ".join(case.get("name", "?") for case in bad[:3]) or f"exit code {exit_code}"
        return Verdict("failed", f"{len(bad)} of {ran} tests: {names}", ran, skipped)
    if ran == 0:
        return Verdict("skipped", "; ".join(sorted(reasons)) or "no test was found", ran, skipped)
    words = f"{ran} tests" + (f", {skipped} skipped: {'; '.join(sorted(reasons))}" if skipped else "")
    return Verdict("passed", words, ran, skipped)


def check(name: str, platform: Platform) -> tuple[Verdict, list[str]]:
    problems = prepare(platform)
    files = sorted(str(path) for pattern in platform.tests for path in ROOT.glob(pattern))
    if not files:
        return Verdict("failed", f"no test at {' '.join(platform.tests)}", 0, 0), problems
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / f"{name}.xml"
        code = ended([sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *files], cwd=ROOT)
        return judged(report, code), problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("platforms", nargs="*", help=f"of {', '.join(PLATFORMS)} (default: all)")
    parser.add_argument("--complete", action="store_true", help="a skipped test counts as failed")
    args = parser.parse_args()
    if unknown := [name for name in args.platforms if name not in PLATFORMS]:  # `choices` refuses none on Python 3.11
        parser.error(f"{unknown[0]} is none of {', '.join(PLATFORMS)}")
    os.environ.setdefault(PHONES, str(Path.home() / ".cache" / "dermedge" / "phones"))
    lines, good = [], True
    for name in args.platforms or PLATFORMS:
        verdict, problems = check(name, PLATFORMS[name])
        lines.append(f"{name}: {verdict.word} ({'; '.join([verdict.details, *problems])})")
        nothing = verdict.ran == 0 and not problems  # its tools are there
        good = good and verdict.word != "failed" and not nothing and not (args.complete and verdict.skipped)
    print("\n" + "\n".join(lines))
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
