"""What goes into an app: nothing that is missing, changed, too new for the app's runtime, or wrong in it."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermedge.commands import bundle as command
from edge import artifact
from edge.bundles import bundle as bundles
from edge.bundles.app_runtimes import AppRuntime, app_runtime, check_opens
from edge.errors import InputError
from edge.files import sha256, size
from edge.manifest import FileEntry, Run, SelfTest
from edge.phones import legacy
from edge.runtimes import Outputs
from tests.edge._manifests import entry, manifest

SIDE = 16
SURE, EXPECTED = (0.9, 0.1), (0.88, 0.12)


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build folder of two .tflite files and a package, whose contents nobody opens: no runtime is set up."""
    monkeypatch.setenv("DERMEDGE_PHONES", str(tmp_path / "none"))
    folder = tmp_path / "build"
    (folder / "net-fp16.mlpackage" / "Data").mkdir(parents=True)
    (folder / "net-fp16.mlpackage" / "Data" / "weights").write_bytes(b"w")
    for recipe in ("fp16", "int8"):
        (folder / f"net-{recipe}.tflite").write_bytes(recipe.encode())
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "self_test_0.png")
    names = ("net-fp16.mlpackage", "net-fp16.tflite", "net-int8.tflite")
    test = SelfTest(
        "self_test_0.png", sha256(folder / "self_test_0.png"), hashlib.sha256(pixels.tobytes()).hexdigest(), SURE,
        {name: EXPECTED for name in names},
    )  # fmt: skip
    files = [described(folder, name) for name in names]
    artifact.write(folder, manifest(side=SIDE, files=tuple(files), self_test=(test,)))
    return folder


def described(folder: Path, name: str) -> FileEntry:
    since = "iOS 16 / macOS 13" if name.endswith("mlpackage") else "LiteRT / TFLite 2.8"
    path = folder / name
    return entry(name, sha256=sha256(path), bytes=size(path), opens_from=since)


def rewritten(folder: Path, change: Callable[[dict], None]) -> None:
    value = json.loads((folder / "manifest.json").read_text())
    change(value)
    (folder / "manifest.json").write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("app", "file"),
    [
        ("android", "app/src/main/assets/model/net-fp16.tflite"), ("web", "model/net-fp16.tflite"),
        ("ios", "Demo/Model/net-fp16.mlpackage"),
    ],
)  # fmt: skip
def test_an_app_gets_one_file_and_what_belongs_to_it(build: Path, tmp_path: Path, app: str, file: str) -> None:
    old = tmp_path / "app" / bundles.PLACES[app] / "old.tflite"
    old.parent.mkdir(parents=True)
    old.write_text("of yesterday")
    old.with_name("manifest.json").write_text('{"schema": "dermedge/manifest/1"}')
    done = bundles.bundle(build, app, tmp_path / "app")
    assert done.folder / done.entry.file == tmp_path / "app" / file
    assert {path.name for path in done.folder.iterdir()} == {done.entry.file, "manifest.json", "self_test_0.png"}
    small, whole = artifact.read(done.folder), artifact.read(build)
    artifact.verify(done.folder, small)
    assert small == replace(
        whole, files=(whole.entry(done.entry.file),),
        self_test=(replace(whole.self_test[0], expected={done.entry.file: EXPECTED}),),
    )  # fmt: skip
    assert (done.largest_delta_p, done.seen_right) == (None, ())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda b: (b / "net-fp16.tflite").write_bytes(b"FP16"), "net-fp16.tflite is not the file that the manifest"),
        (lambda b: (b / "net-fp16.tflite").unlink(), "describes net-fp16.tflite, which is missing"),
        (lambda b: (b / "self_test_0.png").unlink(), "has no self_test_0.png"),
        (lambda b: (b / "self_test_0.png").write_bytes(b"x"), "is not the self-test image of the manifest"),
        (lambda b: (b / "manifest.json").unlink(), "manifest.json does not exist"),
        (
            lambda b: rewritten(b, lambda v: v.update(schema="dermedge/manifest/9")),
            "expected schema dermedge/manifest/3",
        ),
        (lambda b: rewritten(b, lambda v: v["preprocess"].update(version="area-9")), "area-9"),
        (lambda b: rewritten(b, lambda v: v.update(self_test=[])), "no self-test image says what net-fp16.tflite"),
        (lambda b: rewritten(b, lambda v: v["self_test"][0].update(rgb_sha256="0" * 64)), "has other pixels"),
    ],
)
def test_what_is_missing_or_changed_stays_out(build: Path, tmp_path: Path, spoil: Callable, words: str) -> None:
    kept = tmp_path / "app" / "model" / "kept"
    kept.parent.mkdir(parents=True)
    kept.touch()
    spoil(build)
    with pytest.raises(InputError, match=words):
        bundles.bundle(build, "web", tmp_path / "app")
    assert list(kept.parent.iterdir()) == [kept]  # the app is as it was


def test_a_build_without_answers_says_how_to_get_them(build: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.tflite file that takes answers; convert it again with `answers`"):
        bundles.bundle(build, "web", tmp_path / "app", answers=True)


@pytest.mark.parametrize(
    ("name", "content"), [("notes.txt", "mine"), ("manifest.json", '{"name": "my page"}'), ("manifest.json", "{")]
)
def test_a_folder_that_is_no_bundle_is_not_replaced(build: Path, tmp_path: Path, name: str, content: str) -> None:
    mine = tmp_path / "app" / "model" / name
    mine.parent.mkdir(parents=True)
    assert bundles.bundle(build, "web", tmp_path / "other").folder.is_dir()
    mine.write_text(content)
    with pytest.raises(InputError, match=r"app/model holds something else than an earlier bundle"):
        bundles.bundle(build, "web", tmp_path / "app")
    assert mine.read_text() == content
    mine.unlink()
    assert bundles.bundle(build, "web", tmp_path / "app").folder == mine.parent  # an empty folder is a place


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.mark.parametrize(
    "content",
    [
        b"no picture",
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)),
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 12000, 12000, 8, 2, 0, 0, 0)),
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\0"),
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)) + b"\0" * 12,
    ],
    ids=["no_png", "bomb", "half_a_bomb", "short_header", "broken_chunk"],
)
def test_a_picture_that_cannot_be_read_is_named(build: Path, tmp_path: Path, content: bytes) -> None:
    (build / "self_test_0.png").write_bytes(content)
    rewritten(build, lambda v: v["self_test"][0].update(sha256=sha256(build / "self_test_0.png")))
    with pytest.raises(InputError, match=r"self_test_0\.png is no PNG that can be read .*convert again"):
        bundles.bundle(build, "web", tmp_path / "app")


@pytest.mark.parametrize(
    ("since", "runtime", "opens"),
    [
        ("LiteRT / TFLite 2.16", "tflite-2.16.1", True), ("LiteRT / TFLite 2.17", "tflite-2.16.1", False),
        ("LiteRT / TFLite 2.9", "tflite-2.16.1", True), ("LiteRT / TFLite 2.16", "tflite-2.9.0", False),
        ("LiteRT / TFLite 2.17", "litert-1.4.0", True), ("LiteRT / TFLite 2.18", "litert-1.4.0", False),
        ("LiteRT / TFLite 2.20", "litert-2.3.0", True), ("one day", "litert-2.3.0", None),
    ],
)  # fmt: skip
def test_a_file_that_is_too_new_is_refused(since: str, runtime: str, opens: bool | None) -> None:
    one = entry(opens_from=since)
    if opens:
        check_opens(one, app_runtime(runtime, "android"))
        return
    with pytest.raises(InputError, match="which is older" if opens is False else "cannot be held against"):
        check_opens(one, app_runtime(runtime, "android"))


def test_ios_is_held_against_ios() -> None:
    package = entry("net-int8.mlpackage", opens_from="iOS 17 / macOS 14")
    check_opens(package, app_runtime("ios-17.2", "ios"))
    with pytest.raises(InputError, match="ios-16, which is older"):
        check_opens(package, app_runtime(None, "ios"))


@pytest.mark.parametrize(
    ("name", "app", "words"),
    [
        ("tflite", "android", "expected a name with its version"), ("tflite-2", "android", "which release"),
        ("litertjs-2.5.3", "android", "no runtime 'litertjs-2.5.3'"), ("tflite-2.16.1", "web", "such as litertjs"),
        ("litert-9.0", "android", "known are litert-1.x, litert-2.x"), ("tflite-2.16.1\n", "android", "no runtime"),
    ],
)  # fmt: skip
def test_a_runtime_that_nobody_knows_is_named(name: str, app: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        app_runtime(name, app)


def test_a_run_counts_for_the_very_version_alone() -> None:
    seen = entry(
        seen_right=(Run("android", "2.16.1", "a53"), Run("browser", "2.5.3", "x86"), Run("arm64", "2.3.0", "a"))
    )
    assert [run.processor for run in AppRuntime("tflite", (2, 16, 1)).saw_right(seen)] == ["a53"]
    assert not AppRuntime("tflite", (2, 16)).saw_right(seen)
    assert not AppRuntime("litert", (2, 16, 1)).saw_right(seen)
    assert AppRuntime("litertjs", (2, 5, 3)).saw_right(seen)


class Answers:
    """A runtime that gives these probabilities for every picture."""

    def __init__(self, name: str, *answer: float) -> None:
        self.name, self.answer, self.closed = name, answer, False

    def run(self, images: np.ndarray, answers: np.ndarray | None = None) -> Outputs:
        assert images.shape == (1, SIDE, SIDE, 3) and images.dtype == np.uint8
        return Outputs(np.array([self.answer]), None)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("answer", "right"), [((0.8, 0.2), True), ((0.4, 0.6), False), ((float("nan"), 0.5), False)])
def test_the_self_test_is_run_in_the_apps_runtime(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: tuple[float, float], right: bool
) -> None:
    opened = Answers("net-int8.tflite", *answer)
    monkeypatch.setattr(bundles, "mode_here", lambda runtime: f"android:{runtime.number}")
    monkeypatch.setattr(bundles, "open_file", lambda path, form, mode: opened)
    flags = [str(build), "--app", "android", "--recipe", "int8", "--out", str(tmp_path / "app")]
    assert command.main(flags) == (0 if right else 2)
    assert opened.closed
    assert (tmp_path / "app").exists() == right


def test_earlier_litert_is_asked_where_it_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legacy, "is_set_up", lambda env: env.name == "litert-1.2.0")
    assert bundles.mode_here(AppRuntime("litert", (1, 2, 0))) == "litert:1.2.0"
    assert bundles.mode_here(AppRuntime("litert", (1, 4, 0))) is None  # locked, and not set up
    assert bundles.mode_here(AppRuntime("litert", (1, 9, 9))) is None  # no lock is known
    assert AppRuntime("litert", (1, 2, 0)).saw_right(entry(seen_right=(Run("litert", "1.2.0", "x86_64"),)))


def test_an_app_whose_runtime_is_not_here_is_told_so(build: Path, tmp_path: Path, capsys) -> None:
    flags = [str(build), "--app", "web", "--out", str(tmp_path / "app")]
    assert command.main(flags) == 0
    assert "nobody has seen this file right in litertjs-2.5.3" in " ".join(capsys.readouterr().out.split())
    assert command.main([*flags, "--recipe", "int9"]) == 2
    assert "did you mean int8?" in capsys.readouterr().err
    run = {"runtime": "browser", "version": "2.5.3", "processor": "x86_64"}
    rewritten(build, lambda value: value["files"][1].update(seen_right=[run]))
    assert command.main(flags) == 0
    assert "seen right in litertjs-2.5.3: browser 2.5.3 on x86_64" in " ".join(capsys.readouterr().out.split())
