"""The flags that several commands take: name, type and sentence of each in one place.

Nothing but argparse is loaded here, because every `--help` imports it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from edge.models import DEFAULT_MODEL, MODELS

DEFAULT_BUILD = Path("build") / DEFAULT_MODEL


def photo_path(text: str) -> Path:
    """The path of a photograph or a folder; an empty one, of an unset variable, would be the working folder."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty; give a photograph or a folder")
    return Path(text)


def checkpoint_path(text: str) -> Path:
    """The path of a checkpoint; the name of a model is that of the checkpoint that comes with dermedge."""
    from edge.checkpoint import shipped
    from edge.errors import InputError

    if text not in MODELS or Path(text).exists():
        return Path(text)
    try:
        return shipped(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def start_source(text: str) -> Path | str:
    """What training starts from: "imagenet" (unless there is such a path), or as `checkpoint_path`."""
    from edge.pretrained import IMAGENET

    return text if text == IMAGENET and not Path(text).exists() else checkpoint_path(text)


class Several(argparse.Action):
    """A flag that takes several names: repeated, joined by commas, or both."""

    def __init__(
        self, option_strings: Sequence[str], dest: str, *, among: Sequence[str] | None = None, **options: Any
    ) -> None:
        super().__init__(option_strings, dest, **options)
        self.among = among

    def __call__(self, parser: argparse.ArgumentParser, args: argparse.Namespace, value: Any, flag: Any = None) -> None:
        names = [name.strip() for name in str(value).split(",")]
        strange = [name for name in names if not name or (self.among is not None and name not in self.among)]
        if strange:
            known = f" (choose from {', '.join(self.among)})" if self.among is not None else ""
            near = get_close_matches(strange[0], self.among or (), n=1)
            meant = f", did you mean {near[0]}?" if near else ""
            raise argparse.ArgumentError(self, f"invalid choice: {strange[0]!r}{meant}{known}")
        setattr(args, self.dest, [*(getattr(args, self.dest) or []), *names])


def add_several(
    p: argparse.ArgumentParser, *flags: str, help: str, choices: Sequence[str] | None = None, **options: Any
) -> None:
    """A flag for several names, of `choices` if these are given. Messages call it by the last of its `flags`."""
    p.add_argument(*flags, action=Several, among=choices, help=f"{help}; repeatable, or joined by commas", **options)


def add_build_and_photographs(p: argparse.ArgumentParser) -> None:
    """Of commands that run a folder of exported files on photographs, beside the checkpoint that they came from."""
    p.add_argument(
        "build", type=Path, nargs="?", default=DEFAULT_BUILD,
        help="folder with the files and manifest.json (default: %(default)s)",
    )  # fmt: skip
    add_data(p)
    p.add_argument(
        "--checkpoint",
        type=checkpoint_path,
        help="the checkpoint the files came from (default: the one shipped under their model's name)",
    )
    add_skip_unreadable(p)


def add_checkpoint(p: argparse.ArgumentParser) -> None:
    """Of commands that start from a checkpoint. None means the shipped one of --model."""
    p.add_argument(
        "--checkpoint", type=checkpoint_path,
        help="a .safetensors that training wrote, or the name of a shipped one (default: the one shipped as --model)",
    )  # fmt: skip


def add_shipped_model(p: argparse.ArgumentParser, purpose: str) -> None:
    """--model of commands that take a shipped checkpoint; `purpose` says what it is taken for."""
    from edge.checkpoint import shipped_models

    p.add_argument(
        "--model", default=DEFAULT_MODEL, metavar="NAME",
        help=f"{purpose}: one that comes with dermedge, {', '.join(shipped_models())} (default: %(default)s)",
    )  # fmt: skip


def add_own_network(p: argparse.ArgumentParser) -> None:
    """Of commands that take `--model net.py:build`: what dermedge cannot know of such a network."""
    own = p.add_argument_group("a network of your own (--model package.module:build or path/to/net.py:build)")
    own.add_argument("--weights", type=Path, help="its .safetensors, or .pth of tensors alone")
    own.add_argument("--labels", help="labels.json, or class codes in output order joined by commas")
    own.add_argument("--mean", help="red, green, blue that it is normalised with, such as 0.485,0.456,0.406")
    own.add_argument("--std", help="likewise, such as 0.229,0.224,0.225")
    own.add_argument(
        "--scale", type=float, default=1.0, help="1: mean and std are of values in 0..1; 255: of 0..255 (default: 1)"
    )
    own.add_argument("--name", help="of the model, for file names (default: that of its class)")


def add_data(p: argparse.ArgumentParser, purpose: str = "") -> None:
    """What `edge.data.selection` looks for; `purpose` says what the photographs are for, where that is not plain."""
    what = f"photographs {purpose}".rstrip()
    p.add_argument("--data", type=Path, help=f"{what} (default: $DERMEDGE_PHOTOS, else synthetic)")


def add_skip_unreadable(p: argparse.ArgumentParser) -> None:
    p.add_argument("--skip-unreadable", action="store_true", help="leave out photographs that are missing or broken")


def add_report_folder(p: argparse.ArgumentParser, default: str = "the build folder") -> None:
    p.add_argument("--out", type=Path, help=f"folder for the report (default: {default})")


def add_images(p: argparse.ArgumentParser) -> None:
    p.add_argument("--images", type=int, help="at most so many photographs (default: all unseen ones)")


def add_no_phones(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--no-phones", action="store_true",
        help="do not ask the phones' libraries that are set up here (`dermedge setup arm`, `dermedge setup android`)",
    )  # fmt: skip


def add_threads(p: argparse.ArgumentParser) -> None:
    p.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")


def add_rounds(p: argparse.ArgumentParser, what: str = "inferences of each file") -> None:
    p.add_argument("--rounds", type=int, default=30, help=f"{what} that count (default: %(default)s)")
