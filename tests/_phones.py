"""What is set up of phones' runtimes (`dermedge setup`), and the marks of tests that need it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.environments import is_set_up
from edge.phones import mediapipe, netron
from edge.phones.legacy import environment_of

HOME = os.environ.get("DERMEDGE_PHONES")
ANDROID = (
    sorted(path.parent.name.removeprefix("android-") for path in Path(HOME).glob("android-*/x86_64")) if HOME else []
)
ARM = bool(HOME) and any(Path(str(HOME)).glob("arm-*/packages"))
BROWSER = bool(HOME) and any(Path(str(HOME)).glob("browser-*/node_modules"))
LEGACY = bool(HOME) and is_set_up(environment_of("tflite-runtime", "2.14.0"))
needs_legacy = pytest.mark.skipif(
    not LEGACY, reason="DERMEDGE_PHONES has no tflite-runtime: `dermedge setup legacy --only tflite-runtime`"
)
needs_android = pytest.mark.skipif(
    not ANDROID, reason="DERMEDGE_PHONES names no folder with Android's TFLite: `dermedge setup android`"
)
needs_arm = pytest.mark.skipif(
    not ARM, reason="DERMEDGE_PHONES names no folder with LiteRT for ARM: `dermedge setup arm`"
)
needs_browser = pytest.mark.skipif(
    not BROWSER, reason="DERMEDGE_PHONES names no folder with LiteRT.js: `dermedge setup browser`"
)
needs_mediapipe = pytest.mark.skipif(
    not (HOME and is_set_up(mediapipe.wanted())), reason="DERMEDGE_PHONES has no MediaPipe: `dermedge setup mediapipe`"
)
needs_netron = pytest.mark.skipif(
    not (HOME and is_set_up(netron.wanted())), reason="DERMEDGE_PHONES has no Netron: `dermedge setup netron`"
)
SWIFT = bool(HOME) and any(Path(str(HOME)).glob("swift-*/root/usr/libexec/swift/bin/swift-frontend"))
needs_swift = pytest.mark.skipif(not SWIFT, reason="DERMEDGE_PHONES names no folder with Swift: `dermedge setup swift`")
