"""What nine answers beside the picture gain, out of fold, and what a blank would give away.

    python benchmarks/answers.py --data photographs/
    python benchmarks/answers.py --data photographs/ --runs runs/efficientnet_lite0-cv

The picture's part is a linear classifier on hand-made descriptors, trained anew in every fold, or with --runs the
checkpoints of a finished cross-validation (train/cross_validate.py). Answers are fitted on each fold's training
patients, scaled on its held-back ones and judged on its unseen ones, as `dermedge fit-answers` does. Beside them, for
the descriptors: the same regression without centring, which reads classes off the blanks, and features that answers
gate (x (1 + tanh(A a)), as MetaBlock does: Pacheco and Krohling, IEEE JBHI 25(9), 2021) with added log-odds.
Writes --out/answers.md and .json.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.answers`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

from pathlib import Path
from typing import Any

import numpy as np

from dermedge.console import entry
from edge.errors import GOOD, InputError, at_least_one
from edge.files import write_json, write_text

from ._flags import add_out

FOLDS = 5
COMPLETE = "all nine answered"
WORDS = {"uncentred": "answers only, not centred (a leak)", "gated": "image gated by answers, and answers"}


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, required=True, help="photographs with answers: PAD-UFES-20")
    p.add_argument("--runs", type=Path, help="folder of a finished cross-validation (fold-0, …)")
    p.add_argument("--splits", type=int, default=3, help="how many splits of the patients, without --runs (default: 3)")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(splits=args.splits)
    from edge.data.readers import open_photos

    photos = open_photos(args.data)
    runs = [from_runs(photos, args.runs)] if args.runs else [from_descriptors(photos, n) for n in range(args.splits)]
    report = {"data": photos.summary(), "runs": str(args.runs.name) if args.runs else None, "splits": runs}
    page = page_of(report)
    write_text(args.out / "answers.md", page)
    write_json(args.out / "answers.json", report)
    print(page)
    return GOOD


def from_runs(photos: Any, folder: Path) -> dict[str, Any]:
    """Figures over the folds of a finished cross-validation."""
    from edge.checkpoint import load
    from train._answers import fit_to_checkpoint

    pool = Pool(photos)
    runs = sorted(folder.glob("fold-*/checkpoint.json"))
    if not runs:
        raise InputError(
            f"{folder} has no finished fold (fold-0/checkpoint.json, …); --runs is the --out of train/cross_validate.py"
        )
    for run in runs:
        fitted = fit_to_checkpoint(load(run), photos)
        scale = fitted.checkpoint.recipe["answers"]["scale"] / fitted.checkpoint.temperature
        pool.add(fitted.unseen, fitted.logits, scale, fitted.figures["cases"])
    return pool.figures()


def from_descriptors(photos: Any, split_seed: int) -> dict[str, Any]:
    """Figures over five folds of one split, with the linear classifier for a network."""
    from edge.checkpoint import Checkpoint, Preprocess
    from edge.data.squares import load_squares
    from edge.metrics.temperature import fit_temperature
    from edge.nine_questions import QUESTIONS
    from edge.preprocess import PREPROCESS_VERSION
    from train._answer_fit import answer_arrays
    from train._answers import add_answers, learn_answers
    from train._cut import cut_photos
    from train._descriptors import SIDE
    from train._guide import fit_guide
    from train._options import Split

    from ._gated import gated

    pool, classes = Pool(photos), len(photos.classes)
    for fold in range(FOLDS):
        part = cut_photos(photos, Split(FOLDS, fold, 0.1, split_seed))
        squares = {own: load_squares(own, SIDE)[1] for own in (part.train, part.held_back, part.unseen)}
        guide = fit_guide(np.array(squares[part.train])[:, None], np.array(part.train.targets), classes)
        scaled = {own: np.array([guide.scaled(square) for square in those]) for own, those in squares.items()}
        logits = {own: (those @ guide.weight + guide.bias).astype(np.float64) for own, those in scaled.items()}
        temperature = fit_temperature(logits[part.held_back], np.array(part.held_back.targets))
        preprocess = Preprocess(PREPROCESS_VERSION, SIDE)
        checkpoint = Checkpoint("descriptors", photos.classes, preprocess, {}, temperature)
        learned = learn_answers(part.train)
        both = (logits[part.held_back], logits[part.unseen])
        fitted = add_answers(checkpoint, learned, part.held_back, part.unseen, both)
        train, unseen = (answer_arrays(own, QUESTIONS) for own in (part.train, part.unseen))
        more = {
            "uncentred": uncentred(train.vectors, np.array(part.train.targets), unseen.vectors, learned.fit.strength),
            "gated": gated(part.train, train, scaled[part.unseen], unseen, guide),
        }
        entry = fitted.checkpoint.recipe["answers"]
        pool.add(part.unseen, fitted.logits | more, entry["scale"] / temperature, fitted.figures["cases"])
    return pool.figures()


def uncentred(vectors: np.ndarray, targets: np.ndarray, judged: np.ndarray, strength: float) -> np.ndarray:
    """Logits (N, K) of the usual regression, to which a question that was not answered is a sign like any other."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000).fit(vectors, targets)
    return model.decision_function(judged)


class Pool:
    """Logits by kind of every photograph of a set, filled fold by fold."""

    def __init__(self, photos: Any) -> None:
        self.photos = photos
        self.places = {photo.image_id: place for place, photo in enumerate(photos.photos)}
        self.logits: dict[str, np.ndarray] = {}
        self.seen = np.zeros(len(photos), bool)
        self.scales: list[float] = []  # of what answers add, in units of the picture's temperature
        self.cases: list[dict] = []

    def add(self, unseen: Any, logits: dict[str, np.ndarray], scale: float, cases: dict) -> None:
        places = [self.places[photo.image_id] for photo in unseen.photos]
        assert not self.seen[places].any()
        self.seen[places] = True
        for kind, values in logits.items():
            self.logits.setdefault(kind, np.full((len(self.photos), values.shape[1]), np.nan))[places] = values
        self.scales.append(scale)
        self.cases.append(cases)

    def figures(self) -> dict[str, Any]:
        from edge.nine_questions import QUESTIONS
        from train._answer_figures import figures_of

        complete = np.array([len(photo.answers) == len(QUESTIONS) for photo in self.photos.photos])
        sets = {"all": self.seen, COMPLETE: self.seen & complete}
        targets = np.array(self.photos.targets)
        return {
            "scales": self.scales,
            "cases": {case: mean_of([fold[case] for fold in self.cases]) for case in self.cases[0]},
            **{
                name: {"images": int(chosen.sum()), "kinds": figures_of(
                    {kind: values[chosen] for kind, values in self.logits.items()}, targets[chosen],
                    np.array(self.photos.patients)[chosen].tolist(), self.photos.classes,
                )}
                for name, chosen in sets.items()
            },
        }  # fmt: skip


def mean_of(rows: list[dict[str, float | None]]) -> dict[str, float]:
    """Each value's mean over the folds that have it."""
    names = {name for row in rows for name in row}
    return {
        name: float(np.mean([row[name] for row in rows if row.get(name) is not None])) for name in sorted(names)
    }  # fmt: skip


def page_of(report: dict[str, Any]) -> str:
    """The figures as Markdown: the first split with intervals, the range over all."""
    from train._answer_figures import KINDS

    splits, words = report["splits"], {**KINDS, **WORDS}
    lines = []
    for part in ("all", COMPLETE):
        head = "| of | balanced accuracy | over splits | malignant AUC | over splits |"
        lines += [f"{part}: {splits[0][part]['images']} photographs", "", head, "|---|---|---|---|---|"]
        for kind in splits[0][part]["kinds"]:
            row = [words[kind]]
            for figure in ("balanced_accuracy", "malignant_auc"):
                own = [split[part]["kinds"][kind][figure] for split in splits]
                first, values = own[0], [value["value"] for value in own]
                row += [f"{first['value']:.3f} [{first['low']:.3f}, {first['high']:.3f}]",
                        f"{min(values):.3f} to {max(values):.3f}"]  # fmt: skip
            lines.append(f"| {' | '.join(row)} |")
        lines.append("")
    lines += ["mean over folds of the first split, operating points of held-back patients:", ""]
    cases = splits[0]["cases"]
    lines += [f"| answered | {' | '.join(cases['all'])} |", f"|---{'|---' * len(cases['all'])}|"]
    lines += [f"| {case} | {' | '.join(f'{value:.3f}' for value in row.values())} |" for case, row in cases.items()]
    scales = ", ".join(f"{scale:.2f}" for scale in splits[0]["scales"])
    return "\n".join([*lines, "", f"scales, in units of the temperature: {scales}", ""])


if __name__ == "__main__":
    raise SystemExit(main())
