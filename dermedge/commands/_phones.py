"""What a conversion's files say in the phones' libraries that are set up here, before one is told which to ship."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermedge._rooms import room
from dermedge.console import third_party_noise_into

if TYPE_CHECKING:
    from convert._convert import Conversion


def seconds_for_phones(args: argparse.Namespace) -> float:
    """Seconds that phones' libraries may take; 0: they are not asked. InputError where the environment names none."""
    from edge.questions.parity.beside import seconds_allowed

    return 0.0 if args.no_phones else seconds_allowed()


def on_phones(conversion: Conversion, seconds: float, args: argparse.Namespace, log: Path) -> dict[str, Any] | None:
    """The files that are kept, the one to ship first, on the first photograph; None where that is not wanted.

    All that is said of it stands in the log too.
    """
    from edge.data.squares import load_squares
    from edge.questions.parity.beside import PHOTOGRAPHS, lines, look

    kept = [result for result in conversion.judged if not (result.rejected or result.answers)]
    if not seconds or not kept:
        return None
    order = room("convert._recommend").recommended(conversion.form, kept)
    order += [result for result in kept if result not in order]
    answers = {result.path.name: result.candidate.probabilities for result in order if result.candidate}
    side = conversion.checkpoint.preprocess.side
    with third_party_noise_into(log):
        first = replace(conversion.photos, photos=conversion.photos.photos[:PHOTOGRAPHS])
        _, squares = load_squares(first, side, skip_unreadable=args.skip_unreadable)
        looked = look(conversion.folder, answers, squares, seconds=seconds).document()
    with log.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines(looked))
    return looked


def wrong_on_phones(looked: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """File and library where a phone answers something else."""
    from edge.questions.parity.beside import differing

    return differing({"phones": looked}) if looked else []
