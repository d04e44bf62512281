"""Pictures of the page for docs/apps.md, where DERMEDGE_APP_PICTURES names a folder."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

from PIL import Image

from edge.phones.chromium import Chromium

WIDTH = 360  # of a small phone, in CSS pixels
COLOURS = 64
EDGE = 12  # pixels of the page around what is shown


def keep(chromium: Chromium, name: str, first: str, last: str) -> None:
    """The page from the top of one element to the end of another, two CSS selectors."""
    folder = os.environ.get("DERMEDGE_APP_PICTURES")
    if not folder:
        return
    chromium.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    top, bottom = chromium.evaluate(
        f"[document.querySelector('{first}').getBoundingClientRect().top,"
        f" document.querySelector('{last}').getBoundingClientRect().bottom]"
    )
    top = max(top - EDGE, 0)
    clip = {"x": 0, "y": top, "width": WIDTH, "height": bottom + EDGE - top, "scale": 0.5}
    shot = chromium.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)["data"]
    picture = Image.open(io.BytesIO(base64.b64decode(shot))).convert("RGB")
    picture.quantize(COLOURS).save(Path(folder) / f"{name}.png", optimize=True)
