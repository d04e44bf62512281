"""Read the weights that a model's authors published and write a checkpoint of ours.

    dermedge import-upstream --model hierattn_xs theirs.pth

Only tensors are read (weights_only): nothing in the file is run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dermedge.console import entry, screen
from edge.errors import InputError
from edge.models import MODELS, SIDE_MULTIPLE


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", required=True, metavar="NAME", help=f"one of {', '.join(MODELS)}")
    p.add_argument("weights", type=Path, help="their .pth or .safetensors")
    p.add_argument("--out", type=Path, help="checkpoint to write (default: <weights> with the suffix .safetensors)")
    p.add_argument(
        "--labels", type=Path, help="labels.json with the classes in output order (default: six of PAD-UFES-20)"
    )
    p.add_argument(
        "--side", type=int, help=f"input side, a multiple of {SIDE_MULTIPLE} (default: that of the published weights)"
    )
    p.add_argument("--temperature", type=float, default=1.0, help="divides the logits (default: 1)")
    p.add_argument("--force", action="store_true", help="replace a checkpoint that is there")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.weight_files import check_there

    check_there(args.weights)
    from edge.checkpoint import Checkpoint, Preprocess, check_side, save, versions_here
    from edge.models import classes_of, from_upstream, published_side
    from edge.preprocess import PREPROCESS_VERSION
    from edge.timm_files import colours_of
    from edge.weight_files import as_float32, read_foreign

    side = published_side(args.model) if args.side is None else check_side(args.side, where="--side")
    if not 0.01 <= args.temperature <= 100:
        raise InputError(f"--temperature is between 0.01 and 100, got {args.temperature}")
    if args.out and args.out.suffix not in {"", ".safetensors"}:
        raise InputError(f"--out is a checkpoint, .safetensors with a .json beside it; got {args.out}")
    target = (args.out or args.weights).with_suffix(".safetensors")
    if target.resolve() == args.weights.resolve():
        raise InputError(
            f"the checkpoint would replace the weights that it is read from; give another --out than {target}"
        )
    there = [path for path in (target, target.with_suffix(".json")) if path.exists()]
    if there and not args.force:
        raise InputError(f"{there[0]} exists; replace it with --force, or give another --out")
    theirs = read_foreign(args.weights)
    state = as_float32(from_upstream(args.model, theirs), args.weights)
    labels = labels_for(classes_of(state), args.labels)
    checkpoint = Checkpoint(
        model=args.model,
        labels=labels,
        preprocess=Preprocess(PREPROCESS_VERSION, side, *colours_of(args.weights, theirs, args.model)),
        state=state,
        temperature=args.temperature,
        recipe={"imported_from": args.weights.name},
        versions=versions_here(),
    )
    save(checkpoint, target)
    screen().print(f"{args.model}, {len(labels)} classes, {side} px: {target}")
    return 0


def labels_for(count: int, path: Path | None):
    """The classes in output order; InputError if their number is not that of the weights."""
    from edge.files import read_json
    from edge.labels import PAD_UFES_20, Label, doubtful, from_json

    if path is not None:
        labels = from_json(read_json(path, expected="class labels").get("classes"), where=str(path))
        for doubt in doubtful(labels):
            screen().print(f"[yellow]note[/] {path}: {doubt}", soft_wrap=True)
    elif count == len(PAD_UFES_20):
        labels = PAD_UFES_20
        codes = ", ".join(label.code for label in labels)
        screen().print(f"[yellow]note[/] no --labels: the classes are taken for those of PAD-UFES-20, {codes}")
    else:
        screen().print(
            f"[yellow]note[/] no --labels: the {count} classes are called class_0 …; which are malignant is unknown"
        )
        labels = tuple(Label(f"class_{i}", f"class {i}", malignant=None) for i in range(count))
    if len(labels) != count:
        raise InputError(
            f"{path} names {len(labels)} classes, the weights have {count}; they must be the same, in order"
        )
    return labels


if __name__ == "__main__":
    raise SystemExit(main())
