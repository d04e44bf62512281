"""Make a trained checkpoint the one that comes with dermedge, with the card that says what was measured.

    python benchmarks/ship.py runs/cv/fold-0 --cross-validation runs/cv/cross_validation.json --data PAD-UFES-20
    python benchmarks/ship.py runs/resformer_lite --data photographs/ --remarks remarks.md

Writes <model>.safetensors, .json and .md into --out: weights in half precision where that changes no class on unseen
photographs (else float32), the lists of patients, questions and what their answers add as they are. Figures, groups and
confounds of the card are computed from the logits that the runs left beside their checkpoints, out of fold where there
is a cross-validation, else of the one fold; --data are the photographs of the training.

What belongs to the weights is made afterwards: `dermedge decide --measure --checkpoint <model>` its thresholds, and the
converters its 8-bit schemes.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.ship`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

from pathlib import Path

from dermedge.console import entry, screen
from dermedge.flags import add_data
from edge.checkpoint import SHIPPED, load, save
from edge.errors import GOOD, InputError


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("run", type=Path, help="folder of a finished training run, as runs/cv/fold-0")
    p.add_argument("--cross-validation", type=Path, metavar="JSON", help="cross_validation.json of the same recipe")
    add_data(p, "of the training")
    p.add_argument("--remarks", type=Path, help="Markdown for the card: how the recipe was chosen, limits, …")
    p.add_argument("--command", help="that trains it again, where the recipe alone does not say it")
    p.add_argument("--out", type=Path, default=SHIPPED, help="folder to write into (default: that of shipped weights)")
    p.add_argument("--force", action="store_true", help="replace a shipped checkpoint of the same model")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from dataclasses import replace

    from edge.data.selection import find_sets
    from edge.files import check_writable, scratch_in, write_text
    from edge.files import replace as move

    from ._card import card
    from ._evidence import evidence_of, folders_of
    from ._ship import check_shippable, check_sizes, left_behind, smaller

    remarks = args.remarks.read_text(encoding="utf-8") if args.remarks else ""
    trained = load(args.run)
    check_shippable(trained, args.run)
    check_writable(args.out)
    stem = args.out / trained.model
    if stem.with_suffix(".safetensors").exists() and not args.force:
        raise InputError(f"{stem}.safetensors exists; replace it with --force, or give another --out")
    sets = find_sets(args.data)
    reduced, stored = smaller(trained, sets)
    checkpoint = replace(reduced, recipe={**trained.recipe, "stored": {"of_sha256": trained.sha256, **stored}})
    evidence = evidence_of(
        trained, args.run, sets, args.cross_validation, folders_of(args.data), command=args.command, stored=stored
    )
    with scratch_in(args.out) as scratch:  # nothing is replaced before all of it is made
        save(checkpoint, scratch / trained.model)
        shipped = load(scratch / trained.model)
        check_sizes(scratch / f"{trained.model}.safetensors", args.out)
        write_text(scratch / f"{trained.model}.md", card(shipped, evidence, remarks))
        for suffix in (".safetensors", ".json", ".md"):
            move(scratch / f"{trained.model}{suffix}", stem.with_suffix(suffix))
    screen().print(f"{stem}.safetensors: {stored['precision']}, card {stem}.md", soft_wrap=True, markup=False)
    stale = left_behind(stem, shipped.sha256)
    if stale:
        screen().print(f"[yellow]note[/] made for other weights, to be made again: {', '.join(stale)}", soft_wrap=True)
    return GOOD


if __name__ == "__main__":
    raise SystemExit(main())
