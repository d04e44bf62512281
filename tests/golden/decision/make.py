"""Writes cases.json: squares, what docs/decision.md measures on them, and outcomes, made by reference.py alone.

    python tests/golden/decision/make.py            # writes
    python tests/golden/decision/make.py --check    # compares with what is there, exit code 1 if it differs

Apps are tested on this very file.
"""

from __future__ import annotations

import base64
import json
import math
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.golden.decision import reference
from tests.golden.writing import write_or_check

FILE = Path(__file__).with_name("cases.json")
ABOUT = (
    "`pictures`: a square of `side` pixels, rows of RGB bytes, as base64 in `rgb` or, from `noise`, bytes of "
    "x[n+1] = (1664525 x[n] + 1013904223) mod 2^32, each x[n+1] >> 24, starting from x[0] = seed; `measured` is what "
    "docs/decision.md takes from it. `outcomes`: numbers, limits, probabilities and threshold, and the outcome. "
    "`refused`: what is an error, before any outcome, of a square of `side` pixels; `decision` is as in a manifest; "
    "`accepted` is true for neighbours that are no error. JSON has no NaN: `null` among probabilities stands for it."
)
LABELS = ["ACK", "BCC", "MEL"]
LIMITS = {
    "light": 100,
    "clipped": 90,
    "contrast": 20,
    "fine": 300,
    "coarse": 100,
    "busy": 700,
    "warm": 150,
    "green": 20,
    "spot": 25,
}
FINE = {"light": 170, "clipped": 0, "contrast": 70, "fine": 440, "coarse": 230, "busy": 460, "warm": 990, "green": 0,
        "spot": 60}  # fmt: skip


def noise(seed: int, count: int) -> bytes:
    made, x = bytearray(), seed
    for _ in range(count):
        x = (1664525 * x + 1013904223) % 2**32
        made.append(x >> 24)
    return bytes(made)


def picture_of(data: bytes, side: int) -> reference.Picture:
    return [[list(data[3 * (y * side + x) : 3 * (y * side + x) + 3]) for x in range(side)] for y in range(side)]


def drawn(name: str, side: int, colour: Any) -> dict[str, Any]:
    """`colour`: (x, y) -> R, G, B; cut to 0..255."""
    data = bytes(max(0, min(255, v)) for y in range(side) for x in range(side) for v in colour(x, y))
    measured = reference.measure(picture_of(data, side))
    return {"name": name, "side": side, "rgb": base64.b64encode(data).decode(), "measured": measured}


def noisy(name: str, side: int, seed: int) -> dict[str, Any]:
    data = noise(seed, 3 * side * side)
    return {"name": name, "side": side, "noise": seed, "measured": reference.measure(picture_of(data, side))}


def spot(x: int, y: int, side: int, edge: int) -> int:
    """0 outside a disc to 64 inside it, over a border `edge` pixels wide."""
    far = (2 * x + 1 - side) ** 2 + (2 * y + 1 - side) ** 2
    inner, outer = (side // 2 - edge) ** 2, (side // 2 + edge) ** 2
    return max(0, min(64, 64 * (outer - far) // (outer - inner)))


def pictures() -> Iterator[dict[str, Any]]:
    for side in (5, 6, 7, 8, 13, 32):
        yield noisy(f"noise {side}", side, seed=side)
    yield noisy("noise 128", 128, seed=99)
    for level in (0, 1, 8, 9, 249, 250, 251, 255):
        yield drawn(f"grey {level}", 6, lambda x, y, v=level: (v, v, v))
    for code, rgb in {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "skin": (200, 150, 130)}.items():
        yield drawn(code, 5, lambda x, y, rgb=rgb: rgb)
    for g in (8, 9, 10, 16, 17):
        yield drawn(f"a little green {g}", 5, lambda x, y, g=g: (0, g, 0) if x else (g - 8, g, g - 9))
    for low in (149, 150, 151):  # a sixteenth of 160 is 10
        yield drawn(f"a little warm {low}", 5, lambda x, y, low=low: (160, 155, low) if y else (160, low, 161))
    yield drawn("stripes of one pixel: nothing over two", 8, lambda x, y: (220 * (x % 2),) * 3)
    yield drawn("stripes of four pixels", 16, lambda x, y: (220 * (y // 4 % 2),) * 3)
    yield drawn("a ramp", 16, lambda x, y: (12 * x + y, 9 * x + y, 8 * x))
    yield drawn("one bright pixel", 10, lambda x, y: (255 * (x == 9 and y == 0),) * 3)
    yield drawn("stripes of two pixels: nothing over four, down", 16, lambda x, y: (220 * (y // 2 % 2),) * 3)
    yield drawn("a spot in the corner alone", 32, lambda x, y: (90 if x < 7 and y < 7 else 200, 150, 130))
    yield drawn("cells of unequal size", 37, lambda x, y: (x * 6 % 256, y * 5 % 256, (x * y) % 256))
    yield drawn("all values of luma", 16, lambda x, y: (16 * y + x,) * 3)
    yield drawn("one pixel, one level", 5, lambda x, y: (int(x == y == 0),) * 3)
    for name, cell in (
        ("upper left", 4),
        ("lower right", 11),
    ):  # the first and the last cell of the middle, 2 pixels wide
        yield drawn(
            f"a spot in the {name} corner of the middle", 32,
            lambda x, y, cell=cell: (90 if x // 2 == y // 2 == cell else 200, 150, 130),
        )  # fmt: skip
    for name, edge in (("sharp", 1), ("soft", 5)):
        yield drawn(
            f"a {name} spot", 28, lambda x, y, edge=edge: [v - spot(x, y, 28, edge) for v in (200, 150, 130)]
        )  # fmt: skip


def outcome(name: str, change: dict[str, int], probabilities: list[float], threshold: float = 0.5) -> dict[str, Any]:
    measured = FINE | change
    found = reference.decide(measured, LIMITS, probabilities, threshold, LABELS)
    return {
        "name": name, "measured": measured, "limits": LIMITS, "probabilities": probabilities, "threshold": threshold,
        "labels": LABELS,
    } | found  # fmt: skip


def outcomes() -> Iterator[dict[str, Any]]:
    sure = [0.125, 0.75, 0.125]
    yield outcome("a class", {}, sure)
    yield outcome("not sure enough", {}, [0.375, 0.25, 0.375])
    yield outcome("just sure enough", {}, [0.25, 0.25, 0.5])
    yield outcome("the first of two equal ones", {}, [0.0, 0.5, 0.5])
    threshold = 0.4493  # float32 has no such number: its nearest lies below or above, and so the outcome must say
    for name, best in (
        ("the double just below the threshold", math.nextafter(threshold, 0)),
        ("the double just above the threshold", math.nextafter(threshold, 1)),
        ("the float32 nearest to the threshold", struct.unpack("f", struct.pack("f", threshold))[0]),
    ):
        yield outcome(name, {}, [0.25, best, 0.75 - best], threshold=threshold)
    yield outcome("every answer is sure enough", {}, [0.375, 0.25, 0.375], threshold=0.0)
    for name, kind in reference.ORDER:
        step = -1 if kind == "min" else 1
        yield outcome(f"{name} at its limit", {name: LIMITS[name]}, sure)
        yield outcome(f"{name} beyond its limit", {name: LIMITS[name] + step}, sure)
    yield outcome("several: in the order of the page", {"green": 500, "fine": 100, "light": 10}, sure)
    yield outcome("the picture comes before the model", {"fine": 100}, [0.375, 0.25, 0.375])


def refused() -> Iterator[dict[str, Any]]:
    """`measured` would be sent back: an error is an error also there."""
    dark = FINE | {"light": 0}
    sure: list[float | None] = [0.125, 0.75, 0.125]
    whole = {"version": "gate-2", "side": 128, "quality": LIMITS, "abstain_threshold": 0.5}

    def case(name: str, *, accepted: bool = False, answer: list[Any] = sure, side: int = 128, **decision: Any):
        section = {key: value for key, value in (whole | decision).items() if value is not None}
        return {"name": name, "accepted": accepted, "measured": dark, "side": side, "decision": section,
                "probabilities": answer, "labels": LABELS}  # fmt: skip

    yield case("nothing is wrong", accepted=True)
    yield case("other keys", accepted=True, coverage=0.9, of_tomorrow={"x": 1})
    yield case("another version", version="gate-1")
    yield case("a version of tomorrow", version="gate-3")
    yield case("no limits", quality=None)
    for name in LIMITS:
        yield case(f"no limit of {name}", quality={key: limit for key, limit in LIMITS.items() if key != name})
    yield case("no threshold", abstain_threshold=None)
    yield case("a square of another side", side=127)
    yield case("a class too few", answer=[0.25, 0.75])
    yield case("a class too many", answer=[0.125, 0.75, 0.125, 0.0])
    yield case("not a number", answer=[0.125, None, 0.125])
    for total, good in ((0.9795, False), (0.9805, True), (1.0195, True), (1.0205, False)):
        yield case(f"a sum of {total}", accepted=good, answer=[0.0, total, 0.0])
    for low, good in ((-0.015, True), (-0.02, True), (-0.0205, False)):
        yield case(f"a probability of {low}", accepted=good, answer=[low, 0.5, 0.5 - low])
    for high, good in ((1.015, True), (1.02, True), (1.0205, False)):
        yield case(f"a probability of {high}", accepted=good, answer=[-0.01, high, 1.0 - high + 0.01])


def main() -> int:
    found = {"about": ABOUT, "version": "gate-2", "pictures": list(pictures()), "outcomes": list(outcomes())}
    found["refused"] = list(refused())
    return write_or_check(json.dumps(found, indent=1) + "\n", FILE, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
