"""The browser as the engine of a .tflite: LiteRT.js in Chromium on this machine, frame by frame (edge/phones)."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np

from edge.errors import InputError
from edge.phones import browser
from edge.phones.chromium import PageError
from edge.runtimes import Refused
from edge.runtimes.engine import Input

MODE = "browser"
TYPES = {"float32": np.float32, "int32": np.int32, "uint8": np.uint8}  # all that LiteRT.js hands over


class Browser:
    """The `inputs`, shapes of the `outputs`; `version`; and `milliseconds`, of the last run as the page saw it."""

    def __init__(self, path: Path, threads: int) -> None:
        """Raises Refused for a file that LiteRT.js does not open, InputError where it is not set up."""
        if threads != 1:
            raise InputError(f"{MODE} runs files on one thread, got {threads}; leave the number out")
        self.path, self.milliseconds = path, 0.0
        try:
            self.chromium, self.site = browser.page(path.resolve())
        except PageError as error:
            raise InputError(f"LiteRT.js {browser.LITERTJS} does not start here: {error}") from error
        self.version = f"LiteRT.js {browser.LITERTJS}, {self.chromium.version}"
        try:
            facts = self.chromium.evaluate("openModel('/model.tflite')")
            self.inputs = [Input(t["name"], tuple(t["shape"]), TYPES[t["dtype"]]) for t in facts["inputs"]]
            self.outputs = [tuple(t["shape"]) for t in facts["outputs"]]
            self.types = [np.dtype(TYPES[t["dtype"]]) for t in facts["outputs"]]
        except PageError as error:
            self.close()
            raise self.refused("does not open it", error) from error

    def invoke(self, tensors: list[np.ndarray]) -> list[np.ndarray]:
        contents = [
            base64.b64encode(np.ascontiguousarray(value, tensor.dtype).tobytes()).decode()
            for value, tensor in zip(tensors, self.inputs, strict=True)
        ]
        try:
            answer = self.chromium.evaluate(f"answer({json.dumps(contents)})")
        except PageError as error:
            raise self.refused("stops in it", error) from error
        self.milliseconds = float(answer["milliseconds"])
        results = []
        for content, shape, kind in zip(answer["outputs"], self.outputs, self.types, strict=True):
            results.append(np.frombuffer(base64.b64decode(content), kind).reshape(shape))
        return results

    def refused(self, verb: str, error: PageError) -> Refused:
        return Refused(f"{self.path.name}: {MODE} ({self.version}) {verb}: {str(error)[:600]}")

    def close(self) -> None:
        """End the browser."""
        self.chromium.close()
        self.site.close()
