"""The Android app's APK: what it asks for, what lies in it, and that no word is missing."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from edge.metrics.statistics import read_back_logits
from edge.recipes import FLOAT32
from tests.apps._android import APP, SLOW, needs_tools

MOST_MB = {"dermedge-demo": 15, "dermedge-demo-arm64": 9}  # without the model


def check_permissions(apk: Path) -> None:
    said = subprocess.run(["aapt", "dump", "badging", apk], capture_output=True, text=True).stdout
    asked = [line for line in said.splitlines() if line.startswith("uses-permission")]
    assert asked == ["uses-permission: name='android.permission.CAMERA'"]


@SLOW
@needs_tools
def test_the_apk_asks_for_the_camera_alone(built: Path) -> None:
    for name, most in MOST_MB.items():
        apk = built / f"{name}.apk"
        check_permissions(apk)
        with zipfile.ZipFile(apk) as archive:
            parts = {part.filename: part for part in archive.infolist()}
            manifest = archive.read("assets/model/manifest.json")
        assert manifest == (built / "work" / "assets" / "model" / "manifest.json").read_bytes()
        model = sum(part.compress_size for file, part in parts.items() if file.startswith("assets/model/"))
        assert apk.stat().st_size - model <= most * 1e6
        natives = [part for file, part in parts.items() if file.endswith(".so")]
        assert natives and all(part.compress_type == zipfile.ZIP_STORED for part in natives)


@SLOW
@needs_tools
def test_the_gpus_library_is_in_a_build_of_its_own(built: Path, built_with_gpu: Path) -> None:
    def natives(apk: Path) -> set[str]:
        with zipfile.ZipFile(apk) as archive:
            return {name for name in archive.namelist() if name.endswith(".so")}

    def manifest(apk: Path) -> str:
        command = ["aapt", "dump", "xmltree", apk, "AndroidManifest.xml"]
        return subprocess.run(command, capture_output=True, text=True).stdout

    apk, plain = built_with_gpu / "dermedge-demo-gpu-arm64.apk", built / "dermedge-demo-arm64.apk"
    check_permissions(apk)
    assert natives(apk) - natives(plain) == {"lib/arm64-v8a/libtensorflowlite_gpu_jni.so"}
    # From API 31 on the system hides from an app what it does not name.
    assert "libOpenCL.so" in manifest(apk) and "libOpenCL.so" not in manifest(plain)


def test_the_gates_of_an_accelerator_are_those_of_fp32_files() -> None:
    text = (APP / "core/src/main/kotlin/dermedge/core/Accelerator.kt").read_text("utf-8")
    numbers = {name: float(number) for name, number in re.findall(r"private const val (\w+) = ([\d.e-]+)", text)}
    floor = inspect.signature(read_back_logits).parameters["floor"].default
    assert numbers == {
        "MOST_LOGIT_DIFFERENCE": FLOAT32.logit_difference, "LEAST_DICE": FLOAT32.mask_dice, "FLOOR": floor,
    }  # fmt: skip


@needs_tools
def test_an_app_without_a_model_is_not_built(tmp_path: Path) -> None:
    command = [sys.executable, str(APP / "build_apk.py"), str(tmp_path / "out"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode and "dermedge bundle" in done.stderr


def test_every_reason_has_words_in_each_language() -> None:
    reasons = (APP / "core/src/main/kotlin/dermedge/core/Refused.kt").read_text("utf-8")
    body = reasons.split("enum class Reason {")[1].split("\n}")[0]
    lines = [line for line in body.splitlines() if "//" not in line and "*" not in line]
    names = {word.strip() for word in ",".join(lines).split(",")}
    wanted = {f"refused_{name.lower()}" for name in names if name}
    assert len(wanted) > 20
    for folder in ("values", "values-de"):
        text = (APP / "app/src/main/res" / folder / "strings.xml").read_text("utf-8")
        assert {name for name in wanted if f'name="{name}"' not in text} == set(), folder
