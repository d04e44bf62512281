"""The web page in Chromium, as a person sees and touches it."""

from __future__ import annotations

import json

from edge.phones.chromium import Chromium
from edge.phones.site import Site

# Asks again until it is true; a machine that is busy takes its time.
UNTIL = "new Promise((done) => {{ const ask = () => ({0}) ? done(true) : setTimeout(ask, 50); ask(); }})"


def text_of(chromium: Chromium, selector: str) -> str:
    return chromium.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")


def until(chromium: Chromium, condition: str) -> None:
    chromium.evaluate(UNTIL.format(condition))


def opened(chromium: Chromium, site: Site) -> None:
    chromium.open(f"{site.address}/")
    until(chromium, "document.body.dataset.state")


def probabilities(chromium: Chromium) -> dict[str, float]:
    """Of each class as the page shows them, the largest first."""
    return chromium.evaluate(
        "Object.fromEntries([...document.querySelectorAll('#ranked li')].map("
        "(item) => [item.dataset.code, Number(item.dataset.probability)]))"
    )


def press(chromium: Chromium, key: str, code: int, text: str = "") -> None:
    """A key of the keyboard, down and up."""
    for kind in ("keyDown", "keyUp"):
        chromium.call(
            "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
            **({"text": text} if text and kind == "keyDown" else {}),
        )  # fmt: skip
