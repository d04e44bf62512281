"""The answer for photographs, with any file: a checkpoint, a .tflite, .mlpackage or .aimodel, or the shipped model.

    dermedge predict photo.jpg
    dermedge predict photo.jpg --with build/hierattn_xs/hierattn_xs-int8.tflite

Research and engineering use; not a medical device.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.console import entry, screen


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("photos", type=Path, nargs="+", metavar="PHOTO", help="JPEG, PNG, WebP or HEIC")
    p.add_argument(
        "--with", dest="file", type=Path,
        help=".tflite, .mlpackage or .aimodel beside its manifest.json, or a checkpoint .safetensors",
    )  # fmt: skip
    p.add_argument("--model", default="hierattn_xs", help="shipped model to ask without --with (default: %(default)s)")
    p.add_argument(
        "--mode", default="xnnpack", choices=["xnnpack", "xnnpack-fp16", "reference"], help="how a .tflite runs"
    )
    p.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return p


@entry
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    import json

    import numpy as np

    from edge.capture import read_photo
    from edge.errors import InputError
    from edge.preprocess import to_input
    from edge.runtimes.open import open_any

    opened = open_any(args.file, model=args.model, mode=args.mode)
    answers = []
    try:
        for path in args.photos:
            probabilities = opened.runtime.run(to_input(read_photo(path), opened.side)[None])[0]
            if not np.isfinite(probabilities).all():
                raise InputError(
                    f"{opened.name} gives no finite answer for {path}: its weights are damaged; convert again"
                )
            answers.append(
                (path, {label.code: float(p) for label, p in zip(opened.labels, probabilities, strict=True)})
            )
    finally:
        opened.runtime.close()
    if args.json:
        print(
            json.dumps([{"photo": str(path), "file": opened.name, "probabilities": p} for path, p in answers], indent=2)
        )
        return 0
    names = {label.code: label for label in opened.labels}
    for path, probabilities in answers:
        screen().print(f"[bold]{path.name}[/] by {opened.name}")
        for code, p in sorted(probabilities.items(), key=lambda item: -item[1]):
            mark = " (malignant)" if names[code].malignant else ""
            screen().print(f"  {p:6.1%}  {'█' * round(30 * p):30s} {code} {names[code].name}{mark}")
    screen().print("Research and engineering use; not a medical device.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
