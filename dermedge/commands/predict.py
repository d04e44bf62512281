"""The answer for photographs, with any file: a checkpoint, a .tflite, .mlpackage or .aimodel, or the shipped model.

    dermedge predict photo.jpg
    dermedge predict photo.jpg --with build/hierattn_xs/hierattn_xs-int8.tflite

Where thresholds were measured (`decision` of the manifest) the outcome stands first: class, uncertain, or retake with
the reason; see docs/decision.md.

Research and engineering use; not a medical device.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dermedge.commands._noise import runtimes_quiet
from dermedge.console import entry, screen
from edge.models import DEFAULT_MODEL


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("photos", type=Path, nargs="+", metavar="PHOTO", help="JPEG, PNG, WebP, HEIC or AVIF")
    p.add_argument(
        "--with", dest="file", type=Path,
        help=".tflite, .mlpackage or .aimodel beside its manifest.json, or a checkpoint .safetensors",
    )  # fmt: skip
    p.add_argument("--model", default=DEFAULT_MODEL, help="shipped model to ask without --with (default: %(default)s)")
    p.add_argument(
        "--mode", default="xnnpack", choices=["xnnpack", "xnnpack-fp16", "reference"], help="how a .tflite runs"
    )
    p.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    import json
    from dataclasses import asdict

    import numpy as np

    from edge.capture import read_photo
    from edge.decision import RETAKE, decide
    from edge.errors import InputError
    from edge.preprocess import to_input
    from edge.report.malignancy import mark
    from edge.runtimes.open import open_any

    with runtimes_quiet():
        opened = open_any(args.file, model=args.model, mode=args.mode)
        answers = []
        try:
            for path in args.photos:
                square = to_input(read_photo(path), opened.side)
                probabilities = opened.runtime.run(square[None]).probabilities[0]
                if not np.isfinite(probabilities).all():
                    raise InputError(
                        f"{opened.name} gives no finite answer for {path}: its weights are damaged; convert again"
                    )
                by_class = {label.code: float(p) for label, p in zip(opened.labels, probabilities, strict=True)}
                answers.append(
                    (path, by_class, decide(square, probabilities, opened.decision) if opened.decision else None)
                )
        finally:
            opened.runtime.close()
    if args.json:
        entries = [
            {
                "photo": str(path),
                "file": opened.name,
                "probabilities": by_class,
                "malignant": {label.code: label.malignant for label in opened.labels},  # null: malignancy unknown
                "decision": asdict(decision) if decision else None,
            }
            for path, by_class, decision in answers
        ]
        print(json.dumps(entries, indent=2))
        return 0
    if opened.untrained:
        screen().print(f"[yellow]note[/] {opened.name} has random weights: its answers mean nothing")
    names = {label.code: label for label in opened.labels}
    for path, by_class, decision in answers:
        screen().print(f"[bold]{path.name}[/] by {opened.name}")
        if decision:
            screen().print(f"  [bold]{decision.outcome}[/] {decision.reason}")
            if decision.outcome == RETAKE:  # what the model says of such a picture is no answer; --json has it
                continue
        for code, p in sorted(by_class.items(), key=lambda item: -item[1]):
            remark = mark(names[code].malignant)
            screen().print(
                f"  {p:6.1%}  {'█' * round(30 * p):30s} {code} {names[code].name}" + (f" ({remark})" if remark else "")
            )
    screen().print("Research and engineering use; not a medical device.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
