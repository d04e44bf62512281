"""How long the way to the model's bytes takes, beside OpenCV and Pillow doing the nearest that they can.

    python benchmarks/capture.py

Two tasks: an upright RGB photograph of 12 megapixels to 256 x 256, and a 1080p NV21 frame to a model input. One thread,
rounds interleaved in one process; memory is measured in processes of their own. Ratios can be compared between
machines, milliseconds cannot. Only dermedge's way gives the same bytes on every device. Prints tables and writes
--out/capture.json.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.capture`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dermedge.console import entry, screen
from dermedge.flags import add_rounds
from edge.errors import GOOD, at_least_one
from edge.files import write_json
from edge.questions.zoo.worker import peak_memory, pin

from ._flags import add_out
from ._side_by_side import summary, timed

SIDE = 256
PHOTO, FRAME = (3000, 4000), (1080, 1920)  # height, width
Task = Callable[[np.ndarray], np.ndarray]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_rounds(p, "runs of each way")
    add_out(p)
    return p


def photo_by_dermedge(rgb: np.ndarray) -> np.ndarray:
    from edge.preprocess import to_input

    return to_input(rgb, SIDE)


def photo_by_opencv(rgb: np.ndarray) -> np.ndarray:
    import cv2

    from edge.preprocess import square

    return np.asarray(cv2.resize(square(rgb), (SIDE, SIDE), interpolation=cv2.INTER_AREA))


def photo_by_pillow(rgb: np.ndarray) -> np.ndarray:
    from PIL import Image

    from edge.preprocess import square_in

    top, left, side = square_in(*rgb.shape[:2])
    picture = Image.fromarray(rgb)
    box = (left, top, left + side, top + side)
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box))


def frame_by_dermedge(nv21: np.ndarray) -> np.ndarray:
    from edge import camera

    return camera.frame_to_input(camera.nv21(nv21, FRAME[1], FRAME[0], matrix="bt601", full_range=False), SIDE)


def frame_by_opencv(nv21: np.ndarray) -> np.ndarray:
    import cv2

    return photo_by_opencv(cv2.cvtColor(nv21, cv2.COLOR_YUV2RGB_NV21))


# Task -> the input's shape, the way that the ratios are of, and all ways.
TASKS: dict[str, tuple[tuple[int, ...], str, dict[str, Task]]] = {
    "12-megapixel RGB to 256 x 256": (
        (*PHOTO, 3),
        "OpenCV INTER_AREA",
        {"dermedge": photo_by_dermedge, "OpenCV INTER_AREA": photo_by_opencv, "Pillow BILINEAR": photo_by_pillow},
    ),
    "1080p NV21 to 256 x 256": (
        (FRAME[0] * 3 // 2, FRAME[1]),
        "OpenCV cvtColor + INTER_AREA",
        {"dermedge": frame_by_dermedge, "OpenCV cvtColor + INTER_AREA": frame_by_opencv},
    ),
}


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(rounds=args.rounds)
    import cv2

    cv2.setNumThreads(1)
    rows: list[dict[str, Any]] = []
    for task, (shape, peer, ways) in TASKS.items():
        times = timed(ways, picture(shape), args.rounds, task)
        for way, milliseconds in times.items():
            facts = {"task": task, "way": way, "memory_bytes": extra_memory(task, way)}
            rows.append(facts | summary(milliseconds, times[peer]))
    write_json(args.out / "capture.json", {"side": SIDE, "rounds": args.rounds, "rows": rows})
    for row in rows:
        screen().print(
            f"{row['task']:30} {row['way']:29} {row['ms']:7.2f} ms  {row['ratio']:5.2f} of OpenCV  "
            f"(± {row['spread']:.2f} ms)  {row['memory_bytes'] / 1e6:5.1f} MB beside its input",
            soft_wrap=True,
        )  # fmt: skip
    return GOOD


def picture(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def extra_memory(task: str, way: str) -> int:
    """Bytes that one run adds to the high-water mark of a fresh process that has the input and the libraries."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measured_alone, (task, way))


def measured_alone(task: str, way: str) -> int:
    import cv2

    pin(1)
    cv2.setNumThreads(1)
    shape, _, ways = TASKS[task]
    image = picture(shape)
    small = tuple(max(4, n // 60 * 2) if n > 3 else n for n in shape)
    if way != "dermedge" or len(shape) == 3:  # imports and first calls, on a small picture
        ways[way](picture(small if len(shape) == 3 else (6, 4)))
    before = peak_memory()
    ways[way](image)
    return max(0, peak_memory() - before)


if __name__ == "__main__":
    raise SystemExit(main())
