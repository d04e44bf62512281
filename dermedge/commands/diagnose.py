"""Which mistake explains what an app answered for a photograph.

    dermedge diagnose --model build/hierattn_xs --photo photo.jpg --phone-output answer.json
    dermedge diagnose --photo photo.jpg --phone-output 0.02,0.81,0.03,0.05,0.08,0.01

Runs the photograph by the right path and by every wrong one of `dermedge mistakes` through the float and the int8
.tflite, and says which of them gives the app's answer: one, several that this photograph cannot tell apart, none, or
that nothing is wrong. Also found: logits without softmax, softmax taken twice, the temperature left out, classes in
another order, and which of the two files the app runs. Several photographs tell more than one: repeat --photo and
--phone-output, in the same order.

--phone-output is a JSON file, or the numbers themselves: a list in the order of the manifest's labels, or an object by
class code. A list that begins with a minus is given as --phone-output=-1.2,0.3,…

Exit codes: 0 a diagnosis was made, whatever it says; 2 bad input. Research and engineering use; not a medical device.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dermedge.commands._noise import runtimes_quiet
from dermedge.console import entry, screen
from dermedge.flags import DEFAULT_BUILD, add_threads, checkpoint_path
from edge.errors import at_least_one
from edge.progress import busy, track


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument(
        "--model", type=Path, default=DEFAULT_BUILD,
        help="folder with the files and manifest.json, or one .tflite in it (default: %(default)s)",
    )  # fmt: skip
    p.add_argument("--photo", type=Path, action="append", required=True, help="what the app was given; repeatable")
    p.add_argument(
        "--phone-output", action="append", required=True, metavar="ANSWER",
        help="what the app answered: a JSON file, or the numbers; once for each photograph",
    )  # fmt: skip
    p.add_argument(
        "--checkpoint", type=checkpoint_path,
        help="where the model's mean and std stand (default: the one shipped under its name)",
    )  # fmt: skip
    add_threads(p)
    p.add_argument("--json", action="store_true", help="print JSON instead of sentences and a table")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    import json

    from edge.errors import InputError
    from edge.questions.mistakes.diagnosis import diagnose
    from edge.questions.mistakes.model import open_folder, open_models, target_of
    from edge.questions.mistakes.phone_output import read_output
    from edge.questions.mistakes.scene import photographed, remarks
    from edge.questions.mistakes.words import RULE, as_json, sentences, table

    at_least_one(threads=args.threads)
    if len(args.photo) != len(args.phone_output):
        raise InputError(
            f"{len(args.photo)} photographs and {len(args.phone_output)} answers; give --phone-output once for each "
            "--photo, in the same order"
        )
    folder, manifest, only = open_folder(args.model)
    codes = list(manifest.codes)
    outputs = [read_output(text, codes) for text in args.phone_output]
    target = target_of(manifest, args.checkpoint)
    looked = [photographed(path, target) for path in track(args.photo, "reading", len(args.photo))]
    with runtimes_quiet():
        models = open_models(folder, manifest, threads=args.threads, only=only)
        try:
            with busy("taking every wrong path"):
                diagnosis = diagnose(
                    [scene for scene, _ in looked], outputs, models, temperature=manifest.output.temperature
                )
        finally:
            for model in models:
                model.runtime.close()
    if args.json:
        print(json.dumps(as_json(diagnosis, codes), indent=2, allow_nan=False, ensure_ascii=False))
        return 0
    first, *rest = sentences(diagnosis, codes)
    screen().print(first, style="bold", markup=False)
    for sentence in rest:
        screen().print(sentence, markup=False)
    for path, (_, orientation) in zip(args.photo, looked, strict=True):
        if orientation != 1:
            screen().print(f"{path.name} has EXIF orientation {orientation}.", markup=False)
        for remark in remarks(path):
            screen().print(f"{path.name} {remark}.", markup=False)
    screen().print(table(diagnosis))
    screen().print(RULE, markup=False)
    screen().print("Research and engineering use; not a medical device.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
