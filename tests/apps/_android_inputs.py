"""What the Android app's screens are given: photographs, camera frames, and other models than the APK's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edge import camera
from edge.camera import Plane, YuvFrame
from tests._sources import ROOT
from tests.apps._drawn import FILE, lesion, painted

FILES = ROOT / "tests" / "golden" / "preprocess" / "files"
# Android's DataSpace: standard, transfer and range in one number (system/graphics.h)
JFIF, BT709_LIMITED, BT2020 = 0x8C20000, 0x10C10000, 0x8C60000
SCREENS = {0: 0, 90: 1, 180: 2, 270: 3}  # degrees of the display -> Surface.ROTATION_*


def drawn() -> np.ndarray:
    rows, columns = np.mgrid[0:400, 0:610]
    picture = np.stack((200 + 50 * np.sin(columns / 40), 150 + 40 * np.cos(rows / 30), 120 + rows / 10), axis=2)
    return picture.astype(np.uint8)


def photographs(folder: Path) -> None:
    """Files to decode, and `photo.jpg`, which is answered."""
    for file in FILES.iterdir():
        shutil.copy(file, folder)
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees
    picture = Image.fromarray(drawn())
    picture.save(folder / "photo.jpg", quality=95, exif=exif)
    picture.resize((9000, 6000)).save(folder / "large.jpg", quality=90, exif=exif)  # 54 megapixels: decoded at a half


def large(folder: Path) -> None:
    """108 megapixels, as phones' sensors make them, and the largest PNG, both to be turned by 90 degrees."""
    folder.mkdir()
    exif = Image.Exif()
    exif[274] = 6
    picture = Image.fromarray(drawn())
    picture.resize((12000, 9000)).save(folder / "108.jpg", quality=85, exif=exif)
    picture.resize((8000, 6250)).save(folder / "50.png", compress_level=1, exif=exif)


def frames(folder: Path, side: int) -> None:
    """Camera frames with the squares that they become: each turn of sensor and display, both matrices, each layout."""
    folder.mkdir()
    random = np.random.default_rng(7)
    told: list[dict[str, Any]] = []
    cases = [(sensor, screen, False) for sensor in (0, 90, 180, 270) for screen in (0, 90)]
    for number, (sensor, screen, front) in enumerate([*cases, (90, 180, False), (270, 270, False), (270, 90, True)]):
        width, height = 96 + 2 * number, 64
        apart = number % 3 == 0  # U and V in planes of their own, else alternating as most phones have them
        pixels = 1 if apart else 2
        strides = width + 16, width // 2 * pixels + 32
        planes = [random.integers(0, 256, strides[0] * height, np.uint8)]
        planes += [random.integers(0, 256, strides[1] * height // 2, np.uint8) for _ in "UV"]
        limited = number % 2 == 1
        frame = YuvFrame(
            width, height, Plane(planes[0], strides[0]), *(Plane(part, strides[1], pixels) for part in planes[1:]),
            matrix="bt709" if limited else "bt601", full_range=not limited,
        )  # fmt: skip
        turned = (sensor + screen if front else sensor - screen) % 360
        square = camera.frame_to_input(frame, side, rotation=turned)
        (folder / f"{number}.square").write_bytes(square.tobytes())
        facts: dict[str, Any] = {
            "width": width, "height": height, "sensor": sensor, "screen": SCREENS[screen], "front": front,
            "data_space": BT709_LIMITED if limited else JFIF, "expected": f"{number}.square", "planes": [],
        }  # fmt: skip
        for name, plane, row in zip("yuv", planes, (strides[0], strides[1], strides[1]), strict=True):
            (folder / f"{number}.{name}").write_bytes(plane.tobytes())
            step = 1 if name == "y" else pixels
            facts["planes"].append({"file": f"{number}.{name}", "row_stride": row, "pixel_stride": step})
        told.append(facts)
    refused = {**told[0], "data_space": BT2020}
    (folder / "frames.json").write_text(json.dumps({"frames": told, "refused": [refused], "shown": skin(folder)}))


def skin(folder: Path) -> dict[str, Any]:
    """A frame of a drawn spot on drawn skin."""
    lesion(folder / "skin.png", 480)
    with Image.open(folder / "skin.png") as picture:
        luma, blue, red = (np.asarray(part) for part in picture.convert("YCbCr").split())
    planes = {"y": luma, "u": blue[::2, ::2], "v": red[::2, ::2]}
    for name, plane in planes.items():
        (folder / f"skin.{name}").write_bytes(plane.tobytes())
    return {
        "width": 480, "height": 480, "data_space": JFIF,
        "planes": [
            {"file": f"skin.{name}", "row_stride": plane.shape[1], "pixel_stride": 1} for name, plane in planes.items()
        ],
    }  # fmt: skip


def models(folder: Path) -> None:
    """A bundle with a mask, a picture that is too dark for it, and bundles that an app must not open."""
    masked, refused = folder / "masked", folder / "refused"
    masked.mkdir()
    painted(masked)
    dark = np.asarray(Image.open(masked / "self_test_0.png")) // 8
    Image.fromarray(dark).save(masked / "dark.png")
    manifest = json.loads((masked / "manifest.json").read_text())
    changes: dict[str, dict[str, Any]] = {
        "other-schema": {"schema": "dermedge/manifest/9"}, "damaged": {"input": {"side": "32"}}, "no-file": {},
        "changed": {}, "newer": {"files": [{**manifest["files"][0], "opens_from": "LiteRT / TFLite 2.99"}]},
    }  # fmt: skip
    (refused / "nothing").mkdir(parents=True)
    for name, change in changes.items():
        (refused / name).mkdir()
        (refused / name / "manifest.json").write_text(json.dumps({**manifest, **change}))
        if name != "no-file":
            content = (masked / FILE).read_bytes()
            (refused / name / FILE).write_bytes(content + b"\0" if name == "changed" else content)
