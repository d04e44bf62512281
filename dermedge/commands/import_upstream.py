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
    from edge.checkpoint import Checkpoint, Preprocess, check_side, save, versions_here
    from edge.models import classes_of, from_upstream, normalisation, published_side
    from edge.preprocess import PREPROCESS_VERSION

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
    state = as_float32(from_upstream(args.model, read_foreign(args.weights)), args.weights)
    labels = labels_for(classes_of(state), args.labels)
    checkpoint = Checkpoint(
        model=args.model,
        labels=labels,
        preprocess=Preprocess(PREPROCESS_VERSION, side, *normalisation(args.model)),
        state=state,
        temperature=args.temperature,
        recipe={"imported_from": args.weights.name},
        versions=versions_here(),
    )
    save(checkpoint, target)
    screen().print(f"{args.model}, {len(labels)} classes, {side} px: {target}")
    return 0


def as_float32(state: dict, path: Path) -> dict:
    """Weights in the precision that networks are run in, whole numbers as they are.

    InputError where weights are NaN, infinite or become so, are complex, and where a variance is negative.
    """
    import torch

    odd = [name for name, value in state.items() if value.is_complex()]
    if odd:
        raise InputError(f"{path}: {odd[0]} is {state[odd[0]].dtype}; expected float32, or what becomes it")
    found = {name: value.to(torch.float32) if value.is_floating_point() else value for name, value in state.items()}
    broken = [
        name for name, value in found.items()
        if not value.isfinite().all() or (name.endswith("running_var") and bool((value < 0).any()))
    ]  # fmt: skip
    if broken:
        raise InputError(
            f"{path} has weights in {len(broken)} tensors that are NaN, beyond float32 or a negative variance, first "
            f"{broken[0]}; its training diverged or the file is damaged, take another"
        )
    return found


def read_foreign(path: Path) -> dict:
    """The tensors of a .pth (weights only) or .safetensors file; a `state_dict` or `model` inside is opened."""
    import warnings
    import zipfile

    import torch

    from edge.checkpoint import MAX_WEIGHT_BYTES, read_weights

    if not path.is_file():
        raise InputError(f"no weights at {path}")
    if path.stat().st_size > MAX_WEIGHT_BYTES:
        raise InputError(f"{path} is larger than {MAX_WEIGHT_BYTES} bytes; expected the weights of one model")
    if path.suffix == ".safetensors":
        return read_weights(path)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:  # a small file may unpack to a huge one
                if sum(entry.file_size for entry in archive.infolist()) > MAX_WEIGHT_BYTES:
                    raise InputError(f"{path} unpacks to more than {MAX_WEIGHT_BYTES} bytes")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception as error:  # whatever a hostile file does to the unpickler; its own advice must not be repeated
        raise InputError(
            f"{path} is cut off, or holds more than tensors ({type(error).__name__}); "
            "save the state dict alone with torch.save(model.state_dict(), …)"
        ) from error
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if (
        not isinstance(found, dict)
        or not found
        or not all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in found.items())
    ):
        raise InputError(f"{path} holds a {type(found).__name__}, expected a state dict (names -> tensors)")
    return found


def labels_for(count: int, path: Path | None):
    """The classes in output order; InputError if their number is not that of the weights."""
    from edge.files import read_json
    from edge.labels import PAD_UFES_20, Label, from_json

    if path is not None:
        labels = from_json(read_json(path, what="class labels").get("classes"), where=str(path))
    elif count == len(PAD_UFES_20):
        labels = PAD_UFES_20
    else:
        screen().print(f"[yellow]note[/] no --labels: the {count} classes are called class_0 … and none is malignant")
        labels = tuple(Label(f"class_{i}", f"class {i}", malignant=False) for i in range(count))
    if len(labels) != count:
        raise InputError(
            f"{path} names {len(labels)} classes, the weights have {count}; they must be the same, in order"
        )
    return labels


if __name__ == "__main__":
    raise SystemExit(main())
