"""What the three converting commands share: their flags, the call, and what they print."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dermedge._api.source import is_source
from dermedge._rooms import room
from dermedge.console import screen, third_party_noise_into
from dermedge.flags import add_checkpoint, add_data, add_own_network, add_several, add_skip_unreadable
from edge.errors import GATE_FAILED, GOOD, InputError
from edge.files import check_writable
from edge.models import DEFAULT_MODEL, MODELS, USUAL_SIDE, family_name
from edge.recipes import Recipe

from ._phones import on_phones, seconds_for_phones, wrong_on_phones
from ._shipping import five_lines

if TYPE_CHECKING:
    from rich.table import Table

    from convert._convert import Conversion
    from convert._judge import Judged
    from edge.checkpoint import Checkpoint
    from edge.manifest import Parity

LOG = "convert.log"
LOG_WIDTH = 160  # characters of a line of its tables
# what follows `convert._` in the name of a room -> the class in its `format`
FORMAT_CLASSES = {
    "tflite": "TFLiteFormat", "coreml": "CoreMLFormat", "coreai": "CoreAIFormat", "onnx": "ONNXFormat",
    "onnx_tf": "OnnxTfFormat",
}  # fmt: skip
OLD_ROAD = "-onnx-tf"  # behind the name of a folder
COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow", "reported": "yellow"}


def add_flags(p: argparse.ArgumentParser, recipes: Mapping[str, Recipe]) -> None:
    p.add_argument(
        "--model", metavar="NAME",
        help=f"one of {', '.join(MODELS)} (default: the checkpoint's), or a network of your own: the function that "
        "builds it, as package.module:build or path/to/net.py:build",
    )  # fmt: skip
    add_checkpoint(p)
    add_own_network(p)
    p.add_argument(
        "--untrained", type=int, nargs="?", const=0, metavar="SEED",
        help="random weights instead of a checkpoint, for size, speed and SQNR (default: 0); the answers mean nothing",
    )  # fmt: skip
    p.add_argument(
        "--side", type=int,
        help="input side in pixels of --untrained (a multiple of 32) or of a network of your own (default: 224)",
    )  # fmt: skip
    add_several(
        p, "--recipes", "--recipe", dest="recipe", choices=list(recipes), metavar="RECIPE",
        help=f"of {', '.join(recipes)} (default: all)",
    )  # fmt: skip
    add_data(p, "to judge on")
    add_skip_unreadable(p)
    p.add_argument(
        "--measure-again", action="store_true", help="do not use what an earlier measurement for 8 bits has left"
    )
    p.add_argument(
        "--out", type=Path, help="folder to write to (default: build/<model>, of --untrained build/<model>-untrained)"
    )
    p.add_argument(
        "--answers", action="store_true",
        help="beside each file a second one, <model>-answers-<recipe>, that takes what a person answered "
        "(docs/answers.md)",
    )  # fmt: skip
    p.add_argument(
        "--verbose",
        action="store_true",
        help="print all figures and what the files are made of; the log has them always",
    )
    p.add_argument("--force", action="store_true", help="replace files that are there")
    p.add_argument(
        "--strict", action="store_true",
        help="let every gate bind, also those that are only reported, and every warning of the audit (palette6 and "
        "palette4 have no gate; that fp32 is float32 is no warning there)",
    )  # fmt: skip
    p.epilog = "recipes:\n" + "\n".join(f"  {name:13s} {recipe.purpose}" for name, recipe in recipes.items())


def run(args: argparse.Namespace, form: str) -> int:
    """Convert as the flags say; `form` is one of FORMAT_CLASSES. Returns the exit code."""
    return converted(args, form)[0]


def converted(args: argparse.Namespace, form: str) -> tuple[int, Conversion]:
    """The same, and what was converted."""
    from edge.data.selection import check_folder  # brings NumPy along, which --help does without

    check_folder(args.data)
    seconds = seconds_for_phones(args) if form == "tflite" else 0.0
    path, checkpoint = checkpoint_of(args)
    folder = args.out or Path("build") / checkpoint.model
    if path is not None and args.untrained is not None:
        folder = path.parent
    if form == "onnx_tf" and not args.out:
        folder = folder.with_name(folder.name + OLD_ROAD)
    check_writable(folder)
    log = folder / LOG
    try:
        with third_party_noise_into(log):
            formats = room(f"convert._{form}.format")
            class_name = FORMAT_CLASSES[form]
            conversion = room("convert._convert").convert(
                checkpoint,
                getattr(formats, class_name)(),
                path=path,
                folder=folder,
                recipes=args.recipe,
                data=args.data,
                force=args.force,
                strict=args.strict,
                skip_unreadable=args.skip_unreadable,
                measure_again=args.measure_again,
                fine_tune=getattr(args, "fine_tune", 0),
                answers=args.answers,
            )
    except InputError as error:
        if "Nothing was written" in str(error):
            raise InputError(f"{error} What the converter said is in {log}") from error
        raise
    from rich.console import Console

    figures = [*all_figures(conversion)]
    with log.open("a", encoding="utf-8") as file:
        plain = Console(file=file, width=LOG_WIDTH)
        for part in figures:
            plain.print(part, soft_wrap=isinstance(part, str))
    for part in figures if args.verbose else ():
        screen().print(part, soft_wrap=isinstance(part, str))
    looked = on_phones(conversion, seconds, args, log) if form == "tflite" else None
    for line in five_lines(conversion, log, looked):
        screen().print(line, soft_wrap=True)
    return (GATE_FAILED if conversion.rejected or wrong_on_phones(looked) else GOOD), conversion


def own_network(args: argparse.Namespace) -> tuple[None, Checkpoint]:
    """The network of the user's own that `--model net.py:build` and the flags beside it name."""
    from dermedge._api.source import build_network, builder_of, load_into, read_labels, three_numbers
    from dermedge._api.wrapping import wrap

    if args.checkpoint:
        raise InputError("--checkpoint reads a checkpoint of dermedge; weights of your own network go with --weights")
    if not args.labels:
        raise InputError("a network of your own needs --labels: a labels.json, or class codes joined by commas")
    if (args.weights is None) == (args.untrained is None):
        raise InputError(f"{args.model} needs --weights with its .safetensors or .pth, or --untrained for random ones")
    labels = read_labels(args.labels)
    mean, std = three_numbers(args.mean, "mean"), three_numbers(args.std, "std")
    if args.untrained is not None:
        import torch

        torch.manual_seed(args.untrained)
    network = build_network(builder_of(args.model), len(labels))
    if args.weights is not None:
        network = load_into(network, args.weights)
    side = USUAL_SIDE if args.side is None else args.side
    untrained = args.untrained is not None
    checkpoint = wrap(
        network, labels, side=side, mean=mean, std=std, scale=args.scale, name=args.name, untrained=untrained
    )
    return None, checkpoint


def refuse_own_flags(args: argparse.Namespace) -> None:
    """InputError for a flag that only a network of the user's own takes."""
    for name in ("weights", "labels", "mean", "std", "name"):
        if getattr(args, name) is not None:
            raise InputError(f"--{name} is for a network of your own: give --model path/to/net.py:build as well")


def checkpoint_of(args: argparse.Namespace) -> tuple[Path | None, Checkpoint]:
    """The checkpoint that the flags name, and where its weights lie."""
    from edge.checkpoint import load, shipped

    if args.untrained is not None and not 0 <= args.untrained < 2**63:
        raise InputError(f"--untrained is a seed from 0 to 2^63 - 1, got {args.untrained}")
    if args.untrained is not None and not is_source(args.model):
        refuse_own_flags(args)
        if args.checkpoint:
            raise InputError("--untrained makes random weights, --checkpoint reads weights; give one of them")
        path = room("convert._untrained").untrained(
            args.model or DEFAULT_MODEL, seed=args.untrained, side=args.side, folder=args.out
        )
        return path, load(path)
    if is_source(args.model):
        return own_network(args)
    refuse_own_flags(args)
    if args.side is not None:
        raise InputError("--side goes with --untrained; a checkpoint has the side that it was trained for")
    path = args.checkpoint or shipped(args.model or DEFAULT_MODEL)
    checkpoint = load(path)
    if args.model and args.model != checkpoint.model:
        if not checkpoint.program:
            family_name(args.model)
        raise InputError(f"{args.checkpoint} holds a {checkpoint.model}, not a {args.model}; drop --model or change it")
    return path, checkpoint


def audit_table(judged: Sequence[Judged]) -> Table:
    """What each file is made of."""
    from rich.table import Table

    pieces = (
        ["XNNPACK pieces"]
        if any(result.audit and result.audit.xnnpack_partitions is not None for result in judged)
        else []
    )
    table = Table(title="what the files are made of")
    table.add_column("recipe")
    for name in ("operators", "layout", "rank", "MACs", "8-bit layers", "peak memory", *pieces, "warnings"):
        table.add_column(name, justify="right")
    for result in judged:
        if result.audit:
            a = result.audit
            table.add_row(
                result.name,
                str(sum(a.operators.values())),
                f"{a.layout_operators}, {a.layout_bytes / 1e6:.1f} MB",
                str(a.largest_rank),
                f"{a.macs / 1e6:.0f} M",
                f"{a.share_8bit or 0:.0%}",
                f"{a.peak_activation_bytes / 1e6:.1f} MB",
                *("-" if a.xnnpack_partitions is None else str(a.xnnpack_partitions) for _ in pieces),
                str(len(a.warnings)),
            )
    return table


def dice_of(parity: Parity | None) -> str:
    """The median image's, of the file's mask and the float model's."""
    dice = parity.masks.dice_median if parity and parity.masks else None
    return "-" if dice is None else f"{dice:.4f}"


def result_table(conversion: Conversion) -> Table:
    from rich.table import Table

    from edge.report.header import maybe_seen
    from edge.report.words import kind_of_images, verdict_on

    photos = conversion.photos
    kind = kind_of_images(synthetic=photos.synthetic, patients_unknown=maybe_seen(conversion.checkpoint))
    weights = ", random weights" if conversion.checkpoint.untrained else ""
    model = conversion.checkpoint.model
    views = max((result.parity.views or 1 for result in conversion.judged if result.parity), default=1)
    seen = f"{len(photos)} {kind}" + (f" in {views} views each" if views > 1 else "")
    table = Table(title=f"{model}{weights}: {seen} ({photos.name}), one thread of this host")
    table.add_column("recipe")
    dice = ("mask Dice",) if conversion.masks else ()
    for name in ("bytes", "host ms", "SQNR dB", "agreement", "largest |Δp|", *dice):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for result in conversion.judged:
        entry, parity = conversion.manifest.entry(result.path.name), result.parity
        sqnr = parity.sqnr_db_median if parity else None
        colour = COLOURS[result.verdict]
        table.add_row(
            result.name,
            f"{entry.bytes:,}" if entry else "-",
            f"{result.milliseconds:.1f}" if result.milliseconds is not None else "-",
            "-" if not parity else f"{sqnr:.1f}" if sqnr is not None else "equal",
            f"{parity.agreement:.1%}" if parity else "-",
            f"{parity.largest_delta_p:.2g}" if parity else "-",
            *([dice_of(parity)] if conversion.masks else []),
            f"[{colour}]{verdict_on(result.verdict, synthetic=photos.synthetic)}[/]"
            + (" (rejected)" if result.rejected else ""),
        )
    return table


def by_remark(judged: Sequence[Judged]) -> dict[str, list[str]]:
    """Remark -> the recipes that it is about: one cause is told once."""
    recipes: dict[str, list[str]] = {}
    for result in judged:
        for remark in result.remarks:
            recipes.setdefault(remark, []).append(result.name)
    return recipes


def all_figures(conversion: Conversion) -> Iterator[Table | str]:
    """All that is known of the files, for rich's console."""
    from rich.markup import escape

    judged = conversion.judged
    yield result_table(conversion)
    if any(result.audit for result in judged):
        yield audit_table(judged)
    yield escape(conversion.remark)
    for result in judged:
        alone = next((other for other in judged if (other.recipe, other.answers) == (result.recipe, False)), result)
        told = alone.audit.warnings if result.answers and alone.audit else ()  # a file with answers adds to its other
        for warning in result.audit.warnings if result.audit else ():
            if warning not in told:
                yield f"[yellow]{escape(result.name)}[/] {escape(warning)}"
    for remark, recipes in by_remark(judged).items():
        yield f"[bold]{escape(', '.join(recipes))}[/] {escape(remark)}"
