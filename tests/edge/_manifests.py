"""Manifests that tests start from: what has to be there, and anything else by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edge.labels import Label
from edge.manifest import FileEntry, Manifest, Output, Reference, Training

SHA = "a" * 64


def manifest(*, side: int = 64, **changes: Any) -> Manifest:
    """Of a network with two classes and no files."""
    plain = Manifest(
        model="net",
        family="net",
        checkpoint_sha256=SHA,
        reference=Reference("checkpoint", SHA),
        parameters=1,
        macs=1,
        labels=(Label("ACK", "ACK", malignant=False), Label("BCC", "BCC", malignant=True)),
        side=side,
        preprocess="area-2",
        output=Output("softmax", 1.0),
        training=Training((), ""),
        versions={},
    )
    return replace(plain, **changes)


def entry(file: str = "net-fp32.tflite", **changes: Any) -> FileEntry:
    """Of a float32 .tflite that was not judged; `net-fp16.tflite` says its format and recipe."""
    stem, _, form = file.rpartition(".")
    plain = FileEntry(
        file=file,
        format=form,
        recipe=stem.partition("-")[2] or "fp32",
        purpose="a test",
        sha256=SHA,
        bytes=1,
        layout="NHWC",
        dtype="float32",
        opens_from="LiteRT / TFLite 2.14",
        parity=None,
    )
    return replace(plain, **changes)
