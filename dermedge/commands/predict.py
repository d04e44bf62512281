"""The answer for photographs, with any file: a checkpoint, .tflite, .mlpackage, .aimodel, .onnx, or the shipped model.

    dermedge predict photo.jpg
    dermedge predict photographs/ --with build/hierattn_xs/hierattn_xs-int8.tflite --csv predictions.csv
    dermedge predict photo.jpg --with build/own/own-answers-int8.tflite --answers answers.json

Where thresholds were measured (`decision` of the manifest) the outcome stands first: class, uncertain, or retake with
the reason; see docs/decision.md. A folder stands for every photograph in it and below; what else lies there is named on
standard error. A photograph that cannot be read is named there too, the others are answered all the same, and the exit
code is 2.

--answers names a JSON object of what a person said beside the picture, by the id of each question of the manifest; see
docs/answers.md. What counted stands below the probabilities, with what it added to the log-odds of each class.

Research and engineering use; not a medical device.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermedge.commands._noise import runtimes_quiet
from dermedge.console import entry, screen
from dermedge.flags import add_shipped_model, checkpoint_path, photo_path
from edge.errors import BAD_INPUT, GOOD, InputError
from edge.paths import MODEL_FOLDERS, named_again, printable

if TYPE_CHECKING:
    from dermedge._api.prediction import Told
    from edge.questionnaire import Answer
    from edge.runtimes.open import Opened

NOTICE = "Research and engineering use; not a medical device."


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument(
        "photos", type=photo_path, nargs="+", metavar="PHOTO", help="JPEG, PNG, WebP, HEIC or AVIF, or a folder of such"
    )
    p.add_argument(
        "--with", dest="file", type=checkpoint_path,
        help=".tflite, .mlpackage, .aimodel or .onnx beside its manifest.json, or a checkpoint .safetensors",
    )  # fmt: skip
    add_shipped_model(p, "the model to ask without --with")
    p.add_argument(
        "--mode", default="xnnpack", choices=["xnnpack", "xnnpack-fp16", "reference"], help="how a .tflite runs"
    )
    p.add_argument(
        "--answers", type=Path, metavar="FILE",
        help='what was answered beside the picture, as {"age": 54, "region": "nose", "itches": true}',
    )  # fmt: skip
    p.add_argument("--json", action="store_true", help="print JSON instead of a table")
    p.add_argument("--csv", type=Path, metavar="FILE", help="write a table, a row for each photograph")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.files import check_target
    from edge.progress import track
    from edge.runtimes.open import open_any

    photos = files_of(args.photos)
    if args.csv:
        check_target(args.csv)
    with runtimes_quiet():
        opened = open_any(args.file, model=args.model, mode=args.mode)
        try:
            beside = answers_beside(opened, args.answers, len(photos))
            answers = [
                (path, answer_or_error(opened, path, beside)) for path in track(photos, "answering", len(photos))
            ]
        finally:
            opened.runtime.close()
    if args.csv:
        write_csv(args.csv, opened, answers)
    if args.json:
        print(json.dumps([as_json(opened, path, answer) for path, answer in answers], indent=2))
    elif not args.csv:
        show(opened, answers)
    return report_errors(answers, args.csv)


Answers = list[tuple[Path, "Told | InputError"]]


def answers_beside(opened: Opened, path: Path | None, photos: int) -> dict[str, Answer]:
    """What was answered in a file, of the one photograph that it is about; InputError where that cannot count."""
    from dermedge._api.prediction import checked_for
    from edge.answers import read_answers

    if path is None:
        return {}
    if photos > 1:
        raise InputError(f"{path} has the answers about one photograph, and {photos} are named; name one of them")
    checked_for(opened, {})
    return read_answers(path, opened.questions)


def files_of(paths: Iterable[Path]) -> list[Path]:
    """The photographs named, and for a folder every one in it or below; InputError for a folder of none.

    What else lies in a folder is named on standard error.
    """
    from edge.data.listing import contents_of, notes_on

    files: list[Path] = []
    for path in map(named_again, paths):
        if not path.is_dir() or path.suffix.lower() in MODEL_FOLDERS:  # a model is told as what it is
            files.append(path)
            continue
        contents = contents_of(path)
        for note in notes_on(contents, used=contents.photos, otherwise=""):
            print(printable(f"{path}: {note}"), file=sys.stderr)
        if not contents.photos:
            raise InputError(f"{path} holds no photograph; JPEG, PNG, WebP, HEIC and AVIF are read")
        files += contents.photos
    return files


def answer_or_error(opened: Opened, path: Path, beside: dict[str, Answer]) -> Told | InputError:
    """One photograph that cannot be read must not cost the answers to the others."""
    from dermedge._api.prediction import answer_of

    try:
        return answer_of(opened, path, beside)
    except InputError as error:
        return error


def report_errors(answers: Answers, csv: Path | None) -> int:
    """Name what was not answered on standard error; the exit code."""
    errors = [answer for _, answer in answers if isinstance(answer, InputError)]
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    if csv:
        screen().print(f"{csv}: {len(answers) - len(errors)} answers", soft_wrap=True, markup=False)
    if len(answers) > 1 and errors:
        print(f"{len(errors)} of {len(answers)} photographs were not answered", file=sys.stderr)
    return BAD_INPUT if errors else GOOD


def as_json(opened: Opened, path: Path, answer: Told | InputError) -> dict[str, Any]:
    if isinstance(answer, InputError):
        return {"photo": str(path), "file": opened.name, "error": str(answer)}
    return {
        "photo": str(path),
        "file": opened.name,
        "probabilities": answer.probabilities,
        "malignant": {label.code: label.malignant for label in opened.labels},  # null: malignancy unknown
        "decision": asdict(answer.decision) if answer.decision else None,
        "malignant_threshold": answer.malignant_threshold,  # of these classes together
        "counts_as_malignant": answer.counts_as_malignant,
        "answers": [asdict(counted) for counted in answer.counted],
    }


def write_csv(target: Path, opened: Opened, answers: Answers) -> None:
    """A row for each photograph: outcome (empty without thresholds), most probable class, probabilities 0..1."""
    import csv
    import io

    codes = [label.code for label in opened.labels]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["photo", "file", "outcome", "reason", "class", *(f"p_{code}" for code in codes), "error"])
    for path, answer in answers:
        if isinstance(answer, InputError):
            writer.writerow([path, opened.name, "", "", "", *("" for _ in codes), answer])
            continue
        decided = (answer.decision.outcome, answer.decision.reason) if answer.decision else ("", "")
        shares = [f"{answer.probabilities[code]:.6f}" for code in codes]
        writer.writerow([path, opened.name, *decided, answer.best.code, *shares, ""])
    from edge.files import write_text

    write_text(target, text.getvalue())


def show(opened: Opened, answers: Answers) -> None:
    from edge.decision import RETAKE
    from edge.report.malignancy import mark
    from edge.report.words import class_title

    if opened.untrained:
        screen().print(f"[yellow]note[/] {opened.name} has random weights: its answers mean nothing")
    for notice in getattr(opened.runtime, "notices", ()):
        screen().print(f"note: the answer depends on the runtime: {notice}", soft_wrap=True, markup=False)
    labels = {label.code: label for label in opened.labels}
    for path, answer in answers:
        if isinstance(answer, InputError):
            continue
        screen().print(f"{printable(path.name)} by {opened.name}", style="bold", markup=False)
        if answer.decision:
            screen().print(f"  [bold]{answer.decision.outcome}[/] {answer.decision.reason}")
            if answer.decision.outcome == RETAKE:  # what the model says of such a picture is no answer; --json has it
                continue
        for code, p in sorted(answer.probabilities.items(), key=lambda item: -item[1]):
            remark = mark(labels[code].malignant)
            title = class_title(code, labels[code].name)
            screen().print(f"  {p:6.1%}  {'█' * round(30 * p):30s} {title}" + (f" ({remark})" if remark else ""))
        if answer.counts_as_malignant is not None:
            total = sum(answer.probabilities[code] for code, label in labels.items() if label.malignant)
            says, limit = "counts" if answer.counts_as_malignant else "does not count", answer.malignant_threshold
            screen().print(
                f"  malignant classes together {total:.1%}: {says} as malignant, which begins at {limit:.1%}"
            )
        if answer.counted:
            screen().print("  answers, and what each added to the log-odds of the classes:")
        for counted in answer.counted:
            added = ", ".join(f"{code} {share:+.2f}" for code, share in counted.log_odds.items())
            screen().print(f"    {counted.question}: {said(counted.answer)}: {added}", soft_wrap=True, markup=False)
    if any(not isinstance(answer, InputError) for _, answer in answers):
        screen().print(NOTICE)


def said(answer: Answer) -> str:
    """An answer as a person gave it."""
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    return answer if isinstance(answer, str) else f"{answer:g}"


if __name__ == "__main__":
    raise SystemExit(main())
