"""Train a model on labelled photographs, split by patient, and write a checkpoint.

    python train/train.py --model hierattn_xs --data photographs/
    python train/train.py --qat hierattn_xs-int8.scheme.json --data photographs/

Writes to --out: checkpoint.safetensors (checkpoint.pt2 of a network of your own) and .json,
which conversion takes, history.csv, curves.png,
confusion.png, unseen.csv (the answers on patients that were kept apart), report.html and a TensorBoard log.
Ctrl-C saves; the same command with --resume goes on from there.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermedge.console import Terminated, entry, screen
from dermedge.flags import add_skip_unreadable, checkpoint_path, start_source
from edge.errors import GOOD, InputError
from edge.models import MODELS

from .._api.settings import text_of
from .._api.source import is_source
from .._rooms import room
from ._figures import answers_table, show_figures, show_masks
from ._settings import differing, read_flags

if TYPE_CHECKING:
    from dermedge._api.training import OwnNetwork
    from train._options import Machine, Split
    from train._recipe import Recipe

_recipe = room("train._recipe")
_options = room("train._options")


def parser(default: Any = None) -> argparse.ArgumentParser:
    """The flags; those of the recipe have the values of `default`, else of `Recipe`."""
    default = default or _recipe.Recipe()
    p = argparse.ArgumentParser(
        description=__doc__, epilog=qat_defaults(), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--model", default=default.model, metavar="NAME",
        help=f"one of {', '.join(MODELS)} (default: %(default)s), or a network of your own: the function that builds "
        "it from the number of classes, as package.module:build or path/to/net.py:build, with --mean and --std",
    )  # fmt: skip
    p.add_argument("--mean", help="of a network of your own: red, green, blue, such as 0.485,0.456,0.406")
    p.add_argument("--std", help="likewise, such as 0.229,0.224,0.225")
    p.add_argument("--scale", type=float, default=1.0, help="1: they are of values in 0..1; 255: of 0..255")
    p.add_argument("--name", help="of a network of your own, for file names (default: that of its class)")
    p.add_argument("--data", type=Path, help="photographs: PAD-UFES-20, ISIC or folder-per-class layout (required)")
    p.add_argument(
        "--config", type=Path, metavar="TOML",
        help="a file of settings, such as run.toml of a run's folder; flags count for more (docs/training.md)",
    )  # fmt: skip
    p.add_argument("--print-config", action="store_true", help="print all settings as such a file, and train nothing")
    p.add_argument(
        "--also", type=Path, action="append", default=[],
        help="another set with the same classes to learn from (dermoscopy, say), or one of masks alone; repeatable",
    )  # fmt: skip
    p.add_argument(
        "--init", type=start_source,
        help="checkpoint of the same model to start from, or the name of a shipped one; its last layer is taken class "
        "by class, by code. Or weights trained on ImageNet, without their last layer: `imagenet` for those of the "
        "extra `pretrained`, or a .pth or .safetensors of torchvision's or timm's",
    )  # fmt: skip
    p.add_argument(
        "--qat", type=Path, metavar="SCHEME",
        help="fine-tune --init (default: the one shipped for its model) for the 8-bit file whose scheme this is, which "
        "conversion wrote beside it; other defaults then hold, see below",
    )  # fmt: skip
    p.add_argument(
        "--teacher", type=checkpoint_path, action="append", default=[], metavar="CHECKPOINT",
        help="a trained model of the same classes, any family, whose answers this one learns beside the labels; of the "
        "folder of a cross-validation, that of the same fold; several are averaged; see docs/training.md",
    )  # fmt: skip
    p.add_argument("--out", type=Path, help="folder of the run (default: runs/<model>, with --qat runs/<model>-qat)")
    p.add_argument("--resume", action="store_true", help="continue the interrupted run in --out")
    p.add_argument("--force", action="store_true", help="replace a run that is there")
    p.add_argument(
        "--answers", action="store_true",
        help="also fit what people answered (age, region, whether it itches, …), so that the checkpoint takes answers "
        "beside the picture; see docs/answers.md",
    )  # fmt: skip
    add_skip_unreadable(p)
    split = p.add_argument_group("split (always by patient)")
    usual = _options.Split()
    split.add_argument("--folds", type=int, default=usual.folds)
    split.add_argument("--fold", type=int, default=usual.fold, help="the fold that stays unseen (default: 0)")
    split.add_argument(
        "--held-back", type=float, default=usual.held_back, help="share of patients for the temperature (default: 0.1)"
    )
    split.add_argument("--split-seed", type=int, default=usual.seed)
    recipe = p.add_argument_group("recipe")
    recipe.add_argument(
        "--stages", default=_recipe.stages_text(default.stages),
        help="SIDExEPOCHS, one after the other; the last side is the model's (default: %(default)s)",
    )  # fmt: skip
    recipe.add_argument("--batch", type=int, default=default.batch)
    recipe.add_argument(
        "--batch-norm", default=default.batch_norm, choices=list(_recipe.BATCH_NORMS),
        help="whose statistics normalise in training: own (of each process's batch), synchronised (of all processes, "
        "GPUs only), or frozen (those of --init stay); see docs/training.md (default: %(default)s)",
    )  # fmt: skip
    recipe.add_argument("--learning-rate", type=float, default=default.learning_rate)
    recipe.add_argument(
        "--final-rate", type=float, default=default.final_rate,
        help="of the learning rate, what is left of it at the end (default: %(default)s)",
    )  # fmt: skip
    recipe.add_argument(
        "--warmup", type=float, default=default.warmup,
        help="share of the run in which the learning rate rises (default: %(default)s)",
    )  # fmt: skip
    recipe.add_argument("--weight-decay", type=float, default=default.weight_decay)
    recipe.add_argument("--label-smoothing", type=float, default=default.label_smoothing)
    recipe.add_argument("--balance", type=float, default=default.balance, help="logit adjustment, 0 to 1")
    recipe.add_argument(
        "--evenness", type=float, default=default.evenness,
        help="how evenly the classes are drawn: 0 as frequent as they are, 1 all alike (default: %(default)s)",
    )  # fmt: skip
    recipe.add_argument("--mixup", type=float, default=default.mixup)
    recipe.add_argument(
        "--descriptors", type=float, default=default.descriptors,
        help="weight of predicting hand-made colour and texture descriptors beside the class; helps where "
        "photographs are few; 0 for none (default: %(default)s)",
    )  # fmt: skip
    recipe.add_argument(
        "--guide", type=float, default=default.guide,
        help="weight of agreeing with a linear classifier on those descriptors, fitted on --data; 0 for none "
        "(default: %(default)s)",
    )  # fmt: skip
    recipe.add_argument(
        "--distil", type=float, default=default.distil,
        help="weight of agreeing with --teacher on every view (default: %(default)s)",
    )  # fmt: skip
    recipe.add_argument(
        "--distil-features", type=float, default=default.distil_features,
        help="weight of predicting what the last layer of the first --teacher gets; 0 for none (default: %(default)s)",
    )  # fmt: skip
    recipe.add_argument(
        "--contrast", type=float, default=default.contrast,
        help="weight of drawing photographs of a class together, beside the class: supervised contrastive loss on two "
        "views of each, as PPCANet has it with 1 (default: %(default)s)",
    )  # fmt: skip
    recipe.add_argument(
        "--deep-supervision", type=float, default=default.deep_supervision,
        help="weight of telling the class from the maps of an eighth and a sixteenth of the side as well, as a mean "
        "over these; their classifiers are left behind after training (default: %(default)s)",
    )  # fmt: skip
    recipe.add_argument(
        "--class-weight", type=float, default=default.class_weight,
        help="weight of the class against the mask, of models that give both (default: %(default)s)",
    )  # fmt: skip
    recipe.add_argument(
        "--variants", type=int, default=default.variants,
        help="views of a photograph that are drawn once and kept in memory; 0: a new one every epoch (default: 0)",
    )  # fmt: skip
    recipe.add_argument("--ema", type=float, default=default.ema)
    recipe.add_argument("--augment", type=float, default=default.augment, help="strength, 0 for none")
    recipe.add_argument("--seed", type=int, default=default.seed)
    machine = p.add_argument_group("machine")
    machine.add_argument("--precision", default="auto", choices=list(_options.PRECISIONS))
    machine.add_argument(
        "--workers", type=int, default=0, help="processes that prepare batches (default: 0, in this one)"
    )
    machine.add_argument("--threads", type=int, help="CPU threads (default: all)")
    return p


def qat_defaults() -> str:
    """What --help says of the recipe that holds with --qat."""
    usual, own = asdict(_recipe.Recipe()), _recipe.for_qat("", 0)
    changed = {k: v for k, v in asdict(own).items() if v != usual[k] and k not in {"model", "stages"}}
    flags = " ".join(f"--{name.replace('_', '-')} {value:g}" for name, value in changed.items())
    return f"""with --qat: model, side and split are those of the checkpoint, and the defaults are
--stages SIDEx{own.epochs} {flags}"""


def recipe_of(args: argparse.Namespace) -> Recipe:
    """The recipe that the flags ask for; InputError for what no training could take."""
    values = {name: getattr(args, name) for name in asdict(_recipe.Recipe()) if name in vars(args)}
    recipe = _recipe.Recipe(**values | {"stages": _recipe.parse_stages(args.stages)})
    recipe.check()
    return recipe


def split_of(args: argparse.Namespace) -> Split:
    return _options.Split(args.folds, args.fold, args.held_back, args.split_seed)


def machine_of(args: argparse.Namespace) -> Machine:
    return _options.Machine(args.precision, args.workers, args.threads)


def own_network(args: argparse.Namespace) -> OwnNetwork:
    """The network that `--model net.py:build` names; descriptors and the guide read a layer that it may not have."""
    from dermedge._api import training
    from dermedge._api.source import three_numbers

    usual = _recipe.Recipe()
    if (args.descriptors, args.guide) == (usual.descriptors, usual.guide):
        args.descriptors = args.guide = 0.0
    if args.distil_features == usual.distil_features:
        args.distil_features = 0.0
    side = _recipe.parse_stages(args.stages)[-1][0]
    mean, std = three_numbers(args.mean, "mean"), three_numbers(args.std, "std")
    return training.own_network(args.model, args.name, side=side, mean=mean, std=std, scale=args.scale)


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    flags = parser()
    args = read_flags(argv, flags)
    if not args.print_config:
        check_inputs(args)
    tuning = None
    if args.qat:
        tuning = room("train._qat").read_fine_tuning(args.qat, args.init)
        recipe, split = tuning.defaults()
        flags = parser(recipe)
        flags.set_defaults(folds=split.folds, fold=split.fold, held_back=split.held_back, split_seed=split.seed)
        args = read_flags(argv, flags)
    settings = text_of(vars(args))
    if args.print_config:
        recipe_of(args)
        split_of(args).check()
        machine_of(args).check()
        screen().out(settings, end="", highlight=False)
        return GOOD
    said = differing(args, flags)
    own = None
    if is_source(args.model):
        own = own_network(args)
        args.model = own.name
    recipe = recipe_of(args)
    folder = args.out or Path("runs") / f"{recipe.model}{'-qat' if tuning else ''}"
    with first_process_speaks():
        screen().print(
            f"settings: {said} (all of them: {folder / room('train._folder').SETTINGS})", soft_wrap=True, markup=False
        )
        try:
            run = room("train._run").train(
                recipe,
                args.data,
                folder=folder,
                also=args.also,
                init=None if tuning else args.init,
                tuning=tuning,
                teachers=args.teacher,
                split=split_of(args),
                machine=machine_of(args),
                create=own.create if own else None,
                preprocess=own.preprocess if own else None,
                resume=args.resume,
                force=args.force,
                skip_unreadable=args.skip_unreadable,
                answers=args.answers,
                settings=settings,
                page=True,
                on_epoch=None if screen().is_terminal else print_epoch,
            )
        except room("train._stop").Interrupted as stop:
            screen().print(f"{stop}; the same command with [bold]--resume[/] goes on from there ({folder})")
            return 128 + stop.number  # as shells report a signal: 130 or 143
        except (KeyboardInterrupt, Terminated) as stop:  # before or after the epochs
            if not (folder / room("train._folder").STATE).is_file():
                raise
            raise type(stop)(
                f"interrupted; the same command with --resume goes on from the last epoch ({folder})"
            ) from stop
        show_figures(run.metrics, "unseen patients")
        if "answers" in run.metrics:
            screen().print(answers_table(run.metrics["answers"]["kinds"], "with answers, unseen patients"))
        show_masks(run.metrics.get("masks", {}))
        if run.fine_tuned:
            screen().print(run.fine_tuned.verdict, soft_wrap=True)
        screen().print(f"checkpoint: {run.checkpoint_path}")
        if run.page:
            screen().print(f"page: {run.page}")
    return GOOD


def check_inputs(args: argparse.Namespace) -> None:
    """InputError for a path that leads nowhere, before torch is loaded."""
    from edge.data.readers import check_there

    for folder in (args.data, *args.also):
        check_there(Path(folder))
    if args.init is not None:
        check_start(args.init, args.model, args.qat)


def check_start(init: Path | str, model: str, qat: Path | None) -> None:
    from edge.checkpoint import placed
    from edge.pretrained import IMAGENET, imagenet_file, is_foreign
    from edge.weight_files import check_there

    if qat is None and init == IMAGENET:
        imagenet_file(model)
    elif qat is None and is_foreign(Path(init)):
        check_there(Path(init))
    elif init == IMAGENET:
        raise InputError("`qat` fine-tunes the checkpoint that was converted; give that one as `init`")
    else:
        placed(init)


def print_epoch(row: dict) -> None:
    screen().print(" ".join(f"{name} {value:.4g}" for name, value in row.items()))


@contextmanager
def first_process_speaks() -> Iterator[None]:
    """Under torchrun every process runs this command; the screen is the first one's."""
    rank = os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or "0"
    before, screen().quiet = screen().quiet, rank != "0"
    try:
        yield
    finally:
        screen().quiet = before


if __name__ == "__main__":
    raise SystemExit(main())
