"""Phones' own libraries: what is said where none is set up, how one is named, and that a real one answers."""

from __future__ import annotations

import platform
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dermedge.commands import setup
from edge.errors import InputError
from edge.phones import android, arm, browser, processor
from edge.runtimes import Refused, phone
from edge.runtimes.litert import LiteRT
from edge.runtimes.phone import Choice, choice_of
from tests._phones import needs_android, needs_arm, needs_browser, needs_legacy

HANGS = "import time; time.sleep(60)"


@pytest.mark.parametrize(
    ("mode", "choice"),
    [
        ("arm64", Choice("arm64", arm.LITERT, "cortex-a76")),
        ("arm64:cortex-a53", Choice("arm64", arm.LITERT, "cortex-a53")),
        ("android", Choice("android", "2.16.1", "cortex-a76")),
        ("android:2.12.0", Choice("android", "2.12.0", "cortex-a76")),
        ("android:2.12.0:cortex-a53", Choice("android", "2.12.0", "cortex-a53")),
        ("android:mine", Choice("android", "mine", "cortex-a76")),
        ("browser", Choice("browser", browser.LITERTJS, platform.machine())),
        ("tflite-runtime", Choice("tflite-runtime", "2.14.0", platform.machine())),
        ("litert:1.4.0", Choice("litert", "1.4.0", platform.machine())),
        ("litert:1.4.0:cortex-a53", Choice("litert", "1.4.0", "cortex-a53")),
    ],
)
def test_how_a_runtime_is_named(mode: str, choice: Choice) -> None:
    assert choice_of(mode) == choice


@pytest.mark.parametrize(
    "mode", ["arm64:2.12.0", "android:", "android:2.12.0:2.14.0", "android:cortex-a53:cortex-a76", "arm64::cortex-a53"]
)
def test_a_name_that_says_too_much_is_refused(mode: str) -> None:
    with pytest.raises(InputError, match="expected arm64"):
        choice_of(mode)
    with pytest.raises(InputError, match="own processor"):
        choice_of("android-x86_64:cortex-a53")
    with pytest.raises(InputError, match=r"browser:2\.5\.3: browser is LiteRT\.js"):
        choice_of("browser:2.5.3")


@pytest.mark.parametrize(
    ("mode", "command"),
    [
        ("arm64", "setup arm"),
        ("android:2.9.0", "android --tflite 2.9.0"),
        ("browser", "setup browser"),
        ("tensorflow:2.16.2", "setup legacy --only tensorflow"),
        ("litert:1.4.0:cortex-a53", "setup arm` and `dermedge setup legacy --only litert"),
    ],
)
@pytest.mark.usefixtures("nothing_set_up")
def test_what_is_not_set_up_says_how(fp32_file: Path, mode: str, command: str) -> None:
    with pytest.raises(InputError, match=f"run `dermedge .*{command}`"):
        LiteRT(fp32_file, mode=mode)


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param("android", marks=needs_android), pytest.param("android:cortex-a53", marks=needs_android),
        pytest.param("android-x86_64", marks=needs_android), pytest.param("android-java", marks=needs_android),
        pytest.param("arm64", marks=needs_arm), pytest.param("tflite-runtime", marks=needs_legacy),
        pytest.param("tflite-runtime:2.14.0:cortex-a76", marks=[needs_arm, needs_legacy]),
        pytest.param("browser", marks=needs_browser),
    ],
)  # fmt: skip
def test_it_answers_as_litert_does_here(fp32_file: Path, mode: str) -> None:
    images = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3), np.uint8)
    here, there = LiteRT(fp32_file), LiteRT(fp32_file, mode=mode)
    expected, outputs = here.run(images), there.run(images)
    np.testing.assert_allclose(outputs.probabilities, expected.probabilities, atol=2e-6)
    floats = images.astype(np.float32) / 2
    np.testing.assert_allclose(there.run_floats(floats).probabilities, here.run_floats(floats).probabilities, atol=2e-6)
    assert there.engine.version
    there.close()
    here.close()


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param("android", marks=needs_android), pytest.param("android-x86_64", marks=needs_android),
        pytest.param("android-java", marks=needs_android), pytest.param("browser", marks=needs_browser),
        pytest.param("tflite-runtime", marks=needs_legacy),
    ],
)  # fmt: skip
def test_a_version_that_the_library_does_not_know_is_refused(fp32_file: Path, tmp_path: Path, mode: str) -> None:
    from edge.tflite.flatbuffer import pack, unpack

    model = unpack(fp32_file.read_bytes())
    for code in model.operatorCodes:
        code.version = 99
    (tmp_path / "x.tflite").write_bytes(pack(model))
    with pytest.raises(InputError, match=f"{mode}.* does not open it: "):
        LiteRT(tmp_path / "x.tflite", mode=mode)


@needs_android
def test_a_damaged_file_is_refused_and_nothing_runs_on(fp32_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    content = bytearray(fp32_file.read_bytes())
    content[-2000:] = b"\xff" * 2000
    path.write_bytes(content[:1500])
    with pytest.raises(InputError):
        LiteRT(path, mode="android-x86_64")


@needs_android
def test_a_processor_that_this_qemu_does_not_know_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(processor.PROCESSORS, "cortex-x9", processor.PROCESSORS["cortex-a76"])
    with pytest.raises(InputError, match=r"does not know cortex-x9, but .*cortex-a76"):
        processor.emulated("cortex-x9", android.CROSS_LIBRARIES)
    with pytest.raises(InputError, match="there is no processor 'max'"):
        processor.emulated("max", android.CROSS_LIBRARIES)


def aar(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_what_is_no_library_of_androids_is_refused(tmp_path: Path, nothing_set_up: None) -> None:
    (tmp_path / "x.aar").write_bytes(b"PK not at all")
    with pytest.raises(InputError, match="no AAR"):
        android.library_in(tmp_path / "x.aar", "arm64-v8a")
    with pytest.raises(InputError, match=r"no jni/arm64-v8a/libtensorflowlite_jni\.so inside"):
        android.library_in(aar(tmp_path / "y.aar", classes=b""), "arm64-v8a")
    with pytest.raises(InputError, match=r"a version of TFLite looks like 2.16.1, got '2.16.1; rm"):
        android.set_up("2.16.1; rm -rf x")


def test_each_function_keeps_the_version_that_the_library_asks_for() -> None:
    script = android.versions({"malloc": "LIBC", "strtod_l": "LIBC_O", "strtof_l": "LIBC_O"})
    assert script == "LIBC { global: *; };\nLIBC_O { global: strtod_l; strtof_l; };\n"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["arm", "--tflite", "2.12.0"], "--tflite and --aar go with android"),
        (["android", "--aar", "x.aar"], "--tflite NAME"),
        (["android", "--aar", "x.aar", "--tflite", "mine"], "no file x.aar; --aar is an AAR"),
    ],
)
@pytest.mark.usefixtures("nothing_set_up")
def test_wrong_flags_are_2(flags: list[str], words: str, capsys) -> None:
    assert setup.main(flags) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_library_that_hangs_on_opening_is_ended(monkeypatch, tmp_path):
    monkeypatch.setattr(phone, "command_of", lambda path, choice, threads: [sys.executable, "-c", HANGS])
    monkeypatch.setattr(phone, "OPENS_WITHIN", 0.2)
    with pytest.raises(Refused, match=r"net\.tflite: android had not opened it after 0 s"):
        phone.Phone(tmp_path / "net.tflite", "android", 1)
