"""The script that builds the Android app ends in time, leaves verified APKs only, and knows Maven's folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests._sources import ROOT

SCRIPT = ROOT / "apps" / "android_demo" / "build_apk.py"


@pytest.fixture
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_apk", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("right", [True, False])
def test_an_apk_is_there_once_its_signature_is_verified(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: bool
) -> None:
    tools, work = tmp_path / "tools", tmp_path / "out" / "work"
    tools.mkdir()
    work.mkdir(parents=True)
    plain, apk, key = work / "demo.unsigned.apk", tmp_path / "out" / "demo.apk", tmp_path / "out" / "debug.keystore"
    plain.write_text("new")
    apk.write_text("old")
    program(tools / "zipalign", "exit 0")
    program(tools / "keytool", 'while [ "$1" != -keystore ]; do shift; done; echo key > "$2"')
    # signs what comes last, to what is behind --out
    sign = 'for plain; do :; done; while [ "$1" != --out ]; do shift; done; cp "$plain" "$2"'
    program(tools / "apksigner", f'if [ "$1" = verify ]; then exit {0 if right else 1}; fi; {sign}')
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    if right:
        build.signed(plain, apk, key)
    else:
        with pytest.raises(SystemExit, match="apksigner failed"):
            build.signed(plain, apk, key)
    assert apk.read_text() == ("new" if right else "old")
    assert sorted(path.name for path in apk.parent.iterdir()) == ["debug.keystore", "demo.apk", "work"]


def test_a_program_that_hangs_ends_the_build(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "LONGEST_S", 0.2)
    with pytest.raises(SystemExit, match=r"sleep was stopped after 0\.2 s"):
        build.run("sleep", 60)


def test_the_repository_is_not_where_maven_itself_lies(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DERMEDGE_M2", raising=False)
    monkeypatch.setenv("M2", "/opt/maven/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert build.repository() == tmp_path / ".m2" / "repository"
    monkeypatch.setenv("DERMEDGE_M2", str(tmp_path / "jars"))
    assert build.repository() == tmp_path / "jars"


def test_maven_runs_a_plugin_of_a_stated_version(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []

    def noted(*command: object) -> str:
        asked.append(command)
        if "-f" in command:
            (tmp_path / "x.pom.xml.classpath").write_text("/a.jar:/b.jar\n")
        return ""

    monkeypatch.setattr(build, "run", noted)
    monkeypatch.setenv("DERMEDGE_M2", str(tmp_path))
    build.fetched("g:n:1:jar")
    assert build.class_path("x.pom.xml", tmp_path) == [Path("/a.jar"), Path("/b.jar")]
    goals = [str(part) for command in asked for part in command if str(part).endswith((":get", ":build-classpath"))]
    assert [goal.rpartition(":")[2] for goal in goals] == ["get", "build-classpath"]
    assert all(goal.startswith("org.apache.maven.plugins:maven-dependency-plugin:3.") for goal in goals)
