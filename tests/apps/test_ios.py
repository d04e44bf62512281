"""The Swift code of apps/ios_demo: the contract is built and run on Linux, the rest is read as far as Linux can."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge import artifact
from edge.bundles.bundle import bundle
from edge.bundles.device_report import certified, read_device_report
from edge.files import sha256, size
from edge.manifest import SelfTest
from edge.phones import swift
from tests._phones import needs_swift
from tests._sources import ROOT
from tests.apps._golden import GOLDEN, counted
from tests.edge._manifests import entry, manifest

IOS = ROOT / "apps" / "ios_demo"
SIDE = 16
TESTS = 22  # of LesionKit; XCTest says "executed 0" with a good exit code too
PROJECT = IOS / "Demo.xcodeproj" / "project.pbxproj"
WORDS = ("Localizable.xcstrings", "InfoPlist.xcstrings")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the compiler sees: the app, the golden vectors and a bundle, each at its place in the repository."""
    folder = tmp_path_factory.mktemp("sources")
    shutil.copytree(IOS, folder / "apps" / "ios_demo", ignore=shutil.ignore_patterns(".build"))
    shutil.copytree(GOLDEN, folder / "tests" / "golden", ignore=shutil.ignore_patterns("__pycache__"))
    build = folder / "build"
    package = build / "net-fp16.mlpackage"
    for name, content in (("Manifest.json", b"{}"), ("Data/com.x/weights/weight.bin", b"w" * 1000), ("Data.txt", b"")):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_bytes(content)
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    Image.fromarray(pixels).save(build / "self_test_0.png")
    test = SelfTest(
        "self_test_0.png", sha256(build / "self_test_0.png"), hashlib.sha256(pixels.tobytes()).hexdigest(),
        (0.75, 0.25), {package.name: (0.7421875, 0.2578125)},
    )  # fmt: skip
    file = entry(
        package.name, layout="image", opens_from="iOS 16 / macOS 13", sha256=sha256(package), bytes=size(package)
    )
    artifact.write(build, manifest(side=SIDE, files=(file,), self_test=(test,)))
    place = bundle(build, "ios", folder).folder
    (place / "self_test_0.png.rgb").write_bytes(pixels.tobytes())  # there is no PNG decoder in Foundation on Linux
    return folder


def swift_test(sources: Path) -> subprocess.CompletedProcess[str]:
    package = f"{swift.SOURCES}/apps/ios_demo/LesionKit"
    return swift.run(
        ["swift", "test", "--package-path", package, "--scratch-path", f"{swift.BUILD}/LesionKit", "--disable-sandbox",
         "-c", "release", "-Xswiftc", "-enable-testing"],
        sources=sources, environment={"LESIONKIT_BUNDLE": f"{swift.SOURCES}/Demo/Model"},
    )  # fmt: skip


@needs_swift
@pytest.mark.timeout(3600)
@pytest.mark.slow(reason="compiles a Swift package; half a minute")
def test_the_contract_in_swift(sources: Path) -> None:
    done = swift_test(sources)
    assert done.returncode == 0, done.stdout[-4000:]
    told = re.findall(r"Executed (\d+) tests?, with (?:(\d+) tests? skipped and )?0 failures", done.stdout)
    assert told and told[-1] == (str(TESTS), ""), done.stdout[-2000:]  # the last is of all
    ran = {name: int(count) for name, count in re.findall(r"golden (\w+): (\d+)", done.stdout)}
    assert ran == counted("exif", "manifests")
    build = sources / "build"
    result = certified(
        read_device_report(sources / "Demo" / "Model" / "device-report.json"), artifact.read(build), where="LesionKit's"
    )
    assert (result.verdict, result.largest_delta_p, result.images) == ("pass", 0.0, 1)
    assert (result.run.runtime, result.run.version) == ("device-coreml", "17.4")


SLIPS = [  # file, what is right in it, a slip, the tests that notice it
    ("Preprocess.swift", "2 * total + area", "2 * total", "PreprocessTests"),
    ("Measure.swift", "if left < 0 {", "if left <= 0 {", "DecisionTests"),
    ("Answers.swift", "yes ? 0 : 1", "yes ? 1 : 0", "AnswersTests"),
    ("SelfTest.swift", "> lead &&", "> 1 &&", "BundleTests"),
    ("Answers.swift", "question.offset == next", "question.offset >= next", "ManifestTests"),
    ("SchemaRule.swift", "if case .flag(false) = inner {", "if false {", "ManifestTests"),
    ("Examination.swift", "(shown, message) = (nil, nil)", "message = nil", "ExaminationTests"),
]


@needs_swift
@pytest.mark.timeout(3600)
@pytest.mark.slow(reason="compiles a Swift package again; half a minute")
def test_slips_in_the_code_are_noticed(sources: Path) -> None:
    for file, right, wrong, _ in SLIPS:
        path = sources / "apps/ios_demo/LesionKit/Sources/LesionKit" / file
        text = path.read_text("utf-8")
        assert text.count(right) == 1, file
        path.write_text(text.replace(right, wrong), "utf-8")
    try:
        done = swift_test(sources)
    finally:
        for file, *_ in SLIPS:
            name = f"apps/ios_demo/LesionKit/Sources/LesionKit/{file}"
            shutil.copy2(ROOT / name, sources / name)
    assert done.returncode
    for *_, noticed in SLIPS:
        assert re.search(rf"error: {noticed}\.", done.stdout), noticed


@needs_swift
@pytest.mark.timeout(3600)
@pytest.mark.slow(reason="starts the Swift compiler on each file; half a minute")
def test_the_app_is_read_and_its_core_ml_part_is_type_checked(sources: Path) -> None:
    app = f"{swift.SOURCES}/apps/ios_demo"
    steps = f"""
        set -eu
        cd {app}
        for file in Demo/App/*.swift; do swiftc -frontend -parse "$file"; done
        swift format lint --strict --recursive Demo LesionKit stubs --configuration .swift-format
        mkdir -p {swift.BUILD}/stubs && cd {swift.BUILD}/stubs
        swiftc -emit-module -module-name CoreVideo {app}/stubs/CoreVideo.swift
        swiftc -emit-module -module-name CoreML -I . {app}/stubs/CoreML.swift
        swiftc -emit-module -module-name LesionKit -wmo -Xfrontend -experimental-skip-non-inlinable-function-bodies \\
            {app}/LesionKit/Sources/LesionKit/*.swift
        swiftc -typecheck -I . {app}/Demo/App/CoreMLPredictor.swift
        sed s/doubleValue/doublyValue/ {app}/Demo/App/CoreMLPredictor.swift > wrong.swift
        if swiftc -typecheck -I . wrong.swift; then exit 9; fi
        echo checked
    """
    done = swift.run(["bash", "-c", steps], sources=sources)
    assert done.returncode == 0 and done.stdout.rstrip().endswith("checked"), done.stdout[-4000:]
    assert "has no member 'doublyValue'" in done.stdout


@needs_swift
def test_the_project_file_is_a_property_list(sources: Path) -> None:
    place = f"{swift.SOURCES}/apps/ios_demo/Demo.xcodeproj/project.pbxproj"
    done = swift.run(["plistutil", "-i", place, "-f", "json"], sources=sources)
    assert done.returncode == 0, done.stdout
    whole = json.loads(done.stdout)
    objects = whole["objects"]
    assert objects[whole["rootObject"]]["isa"] == "PBXProject"
    known = re.compile(r"[0-9A-F]{24}")
    named = {text for value in objects.values() for text in texts(value) if known.fullmatch(text)}
    assert named <= objects.keys() and objects.keys() - named == {whole["rootObject"]}
    paths = {value.get("path") for value in objects.values() if value.get("sourceTree") == "<group>"} - {None}
    assert paths == {"Demo/App", "Demo/Model"} and (IOS / "Demo" / "App").is_dir()
    assert {value.get("relativePath") for value in objects.values()} == {None, "LesionKit"}


def texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from texts(part)
    elif isinstance(value, str):
        yield value


def test_the_project_is_what_the_script_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(IOS / "make_project.py"), str(tmp_path)], check=True)
    assert (tmp_path / "Demo.xcodeproj" / "project.pbxproj").read_text("utf-8") == PROJECT.read_text("utf-8")


def test_every_word_of_the_app_is_there_in_both_languages() -> None:
    known = {}
    for name in WORDS:
        known |= json.loads((IOS / "Demo" / "App" / name).read_text("utf-8"))["strings"]
    for name, entry_ in known.items():
        units = {language: text["stringUnit"]["value"] for language, text in entry_["localizations"].items()}
        assert units.keys() == {"en", "de"} and all(units.values()), name
        assert len({len(re.findall(r"%(?:\d\$)?@", text)) for text in (*units.values(), name)}) == 1, name
    code = "\n".join(path.read_text("utf-8") for path in (IOS / "Demo" / "App").glob("*.swift"))
    used = set(shown_words(code))
    assert len(used) > 20 and used <= known.keys(), used - known.keys()
    checks = json.loads((GOLDEN / "decision" / "cases.json").read_text("utf-8"))["pictures"][0]["measured"]
    assert checks.keys() <= known.keys()  # the hint of each check is looked up by its name


def shown_words(code: str) -> Iterator[str]:
    """The texts that are looked up in the catalogue; what is inserted counts as `%@`, as Xcode writes it."""
    places = r'(?:(?:Text|Button|Section|Toggle|Picker|PhotosPicker|ShareLink|TextField)\(|localized: )"'
    for match in re.finditer(places, code):
        text, depth, at = "", 0, match.end()
        while depth or code[at] != '"':
            if code[at : at + 2] == "\\(":
                text += "" if depth else "%@"
                depth, at = depth + 1, at + 2
                continue
            if depth:
                depth += {"(": 1, ")": -1}.get(code[at], 0)
            else:
                text += code[at]
            at += 1
        yield text
