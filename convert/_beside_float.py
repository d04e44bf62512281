"""How long each file takes beside the float32 file of its format: what saves bytes alone is not the first to ship."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from edge.exporting import first_line
from edge.progress import track
from edge.runtimes.timing import time_ratio

from ._format import Format, Source
from ._judge import SAME_PROCESS, Judged, opened
from ._recommend import BASE

log = logging.getLogger("dermedge")


def timed_beside_float(judged: Sequence[Judged], form: Format, source: Source) -> list[Judged]:
    """The same, with the `time_ratio` of those that may be shipped, of formats that run here as on a phone.

    Times of separate runs do not do: within minutes the same machine is half as fast and again as fast as it was.
    Where a file cannot be timed, none has a ratio: what was converted is not lost for that.
    """
    base = next((result for result in judged if result.recipe == BASE and may_be_shipped(result)), None)
    if base is None or form.name not in SAME_PROCESS:
        return list(judged)
    images = source.images[: len(source.photos)]
    timed = {}
    others = [result for result in judged if result is not base and may_be_shipped(result)]
    try:
        with closing(opened(base.path, form, source)) as floats:
            for result in track(others, "timing files beside the float32 file", len(others)):
                with closing(opened(result.path, form, source)) as file:
                    timed[result.recipe] = time_ratio(file, floats, images, own_process=True)
    except Exception as error:  # of a runtime that has judged these files before
        log.warning(f"no times beside the float32 file: {first_line(error)}")
        return list(judged)
    return [result if result.answers else replace(result, time_ratio=timed.get(result.recipe)) for result in judged]


def may_be_shipped(result: Judged) -> bool:
    return not (result.rejected or result.answers)
