"""Cross-validations of the same photographs side by side: what a start, a teacher or a module gained.

    python benchmarks/compare_runs.py runs/plain runs/taught runs/taught_ppcr

The folders are of train/cross_validate.py with the same split. Balanced accuracy and area under the ROC curve for
malignancy are out of fold, each photograph answered by a run that never saw the patient; the difference from the first
run is paired, patient by patient, over the folds that both have finished. Writes --out/compare_runs.md and .json.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.compare_runs`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

from pathlib import Path
from typing import Any

from dermedge.console import entry
from edge.errors import GOOD, InputError
from edge.files import read_json, write_json, write_text

from ._flags import add_out
from ._out_of_fold import compare_runs, folds_of, sample, words


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument(
        "runs", type=Path, nargs="+", help="folders of cross-validations; the first is the one to compare to"
    )
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    report = {"rows": [row_of(run, args.runs[0]) for run in args.runs]}
    page = page_of(report)
    write_text(args.out / "compare_runs.md", page)
    write_json(args.out / "compare_runs.json", report)
    print(page)
    return GOOD


def row_of(run: Path, first: Path) -> dict[str, Any]:
    """The figures of one run, and its difference from the first."""
    finished = folds_of(run)
    if not finished:
        raise InputError(f"{run} has no finished fold (fold-K/unseen.csv); give the folder of train/cross_validate.py")
    recipe = read_json(run / f"fold-{finished[0]}" / "checkpoint.json", expected="the checkpoint of a fold")["recipe"]
    pooled = run / "cross_validation.json"
    out_of_fold = read_json(pooled, expected="a cross-validation")["out_of_fold"] if pooled.is_file() else {}
    return {
        "run": run.name,
        "model": recipe["model"],
        "stages": recipe["stages"],
        "started_from": start_of(recipe),
        "teachers": [teacher["model"] for teacher in recipe.get("teachers", [])],
        "malignant_auc": out_of_fold.get("malignant", {}).get("auc"),
        **compare_runs(first, run),
    }


def start_of(recipe: dict[str, Any]) -> str:
    """In words, the weights that a recipe began with."""
    if not recipe.get("init"):
        return "random"
    return recipe["init"]["recipe"].get("imported_from") or f"{recipe['init']['recipe'].get('model', 'a checkpoint')}"


def page_of(report: dict[str, Any]) -> str:
    from edge.report.markdown import heading, line

    header = ("run", "model", "sides", "started from", "taught by", "balanced accuracy", "malignant AUC", "difference")
    lines = [*heading(*header)]
    for row in report["rows"]:
        auc = row["malignant_auc"]
        lines.append(
            line(
                [
                    row["run"], row["model"], ", ".join(f"{side} x {epochs}" for side, epochs in row["stages"]),
                    row["started_from"], ", ".join(row["teachers"]) or "labels alone",
                    words(row["balanced_accuracy"][1]), words(auc) if auc else "",
                    "" if row is report["rows"][0] else words(row["difference"], "+"),
                ]
            )
        )  # fmt: skip
    samples = dict.fromkeys(sample(row) for row in report["rows"])
    return "\n".join([*lines, "", *samples]) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
