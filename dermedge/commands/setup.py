"""Set up a phone's own runtime on this machine, so that `dermedge parity --runtime` can run files in it.

    dermedge setup arm                       LiteRT for ARM, on an emulated phone processor
    dermedge setup android                   Android's own TFLite library, for ARM (emulated) and x86-64
    dermedge setup android --tflite 2.12.0   another version of it that Maven Central serves
    dermedge setup android --aar lib.aar     a library of your own, called by --tflite NAME
    dermedge setup browser                   LiteRT.js, which runs files in a browser
    dermedge setup swift                     Debian 13's Swift, which tests the code of apps/ios_demo
    dermedge setup legacy                    earlier TFLite interpreters, each in a locked environment of its own
    dermedge setup legacy --only litert      those of one library alone: tflite-runtime, tensorflow or litert
    dermedge setup onnx-tf                   onnx-tf and TensorFlow 2.15 for `to-tflite --route onnx-tf`, likewise
    dermedge setup mediapipe                 MediaPipe Tasks, likewise: the tests open converted files with them
    dermedge setup netron                    Netron, likewise; its readers run in Node.js

Downloads from the machine's own Debian archive, Python index, Maven repository and npm registry, into DERMEDGE_PHONES
or dermedge's cache folder; nothing is installed. Needs Debian's qemu-user-static, and for android also gcc,
gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and maven; browser needs npm and chromium alone. These
take half a minute each; swift takes two minutes and 2.6 GB. legacy needs 7 GB (1 GB without TensorFlow), onnx-tf
1.5 GB, mediapipe 0.7 GB, netron 30 MB and Node.js; these need Python 3.11 (DERMEDGE_PYTHON names one that is not on
the path). What is there already is used again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dermedge._rooms import room
from dermedge.console import entry, screen
from edge.errors import GOOD, InputError


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = ["arm", "android", "browser", "swift", "legacy", "mediapipe", "netron", "onnx-tf"]
    p.add_argument("what", choices=known, help="the runtime")
    p.add_argument("--tflite", metavar="VERSION", help="of Android's library (default: 2.16.1, the newest)")
    p.add_argument(
        "--missing",
        action="store_true",
        help="do nothing where it is set up already; legacy, mediapipe, netron and onnx-tf never do",
    )
    p.add_argument("--aar", type=Path, help="android: a library of your own, instead of a download")
    p.add_argument("--only", metavar="LIBRARY", help="legacy: tflite-runtime, tensorflow or litert alone")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.phones import android, arm, browser, legacy, mediapipe, netron, swift
    from edge.progress import busy

    if args.what != "android" and (args.tflite or args.aar):
        raise InputError("--tflite and --aar go with android")
    if args.what != "legacy" and args.only:
        raise InputError("--only goes with legacy")
    if args.aar and not args.tflite:
        raise InputError("--aar needs a name for that library: --tflite NAME")
    if args.what == "legacy":
        with busy("setting up legacy"):
            folders = legacy.set_up_all(args.only)
        for folder in folders:
            screen().print(f"{folder}: ready", soft_wrap=True, markup=False)
        return GOOD
    locked = {"mediapipe": mediapipe.set_up, "netron": netron.set_up}
    if args.what in (*locked, "onnx-tf"):
        with busy(f"setting up {args.what}"):
            folder = locked.get(args.what, lambda: room("convert._onnx_tf.road").set_up_environment())()
        screen().print(f"{folder}: ready", soft_wrap=True, markup=False)
        return GOOD
    version = args.tflite or android.TFLITE
    ways: dict[str, tuple[Path, Callable[[], bool], Callable[[], Path]]] = {
        "arm": (arm.folder_of(arm.LITERT), arm.is_set_up, arm.set_up),
        "android": (
            android.folder_of(version), partial(android.is_set_up, version), partial(android.set_up, version, args.aar),
        ),
        "browser": (browser.folder(), browser.is_set_up, browser.set_up),
        "swift": (swift.folder(), swift.is_set_up, swift.set_up),
    }  # fmt: skip
    folder, is_set_up, set_up = ways[args.what]
    if not (args.missing and is_set_up()):
        with busy(f"setting up {args.what}"):
            folder = set_up()
    screen().print(f"{folder}: ready", soft_wrap=True, markup=False)
    return GOOD


if __name__ == "__main__":
    raise SystemExit(main())
