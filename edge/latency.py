"""How long a file may take on a phone, from published measurements of other networks, or why nothing can be said.

`edge/published_latency.csv` has figures that others measured on phones, each with its source. A phone, its processor
and an arithmetic make a setting. There, a file's time is its multiply-accumulates by the mean time of one in the
known networks. How far that is off is seen by leaving one network after the other out, with all its widths and sizes:
the largest factor by which a network that was left out differs from what the others foretell. Above a factor of 1.5
nothing is foretold, and neither for a file that is unlike all of the known networks. What devices reported
(`edge/bundles/device_latency.py`) makes settings of its own beside the published ones.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from statistics import fmean

from edge.manifest import Audit

FIGURES = Path(__file__).with_name("published_latency.csv")
MOST_OFF = 1.5  # the largest factor between what is foretold and what was measured
MOST_BEYOND = 1.5  # of the multiply-accumulates of the smallest and the largest published network
FEWEST_NETWORKS = 3  # so that two are left where one is left out
FLOAT, INT8 = "float32", "int8"
WHOLLY_8BIT = 0.8  # of the multiply-accumulates of layers with weights
# What the published networks are made of, beside what prepares the picture: MobileNetV2 and V3, EfficientNet-Lite.
OPERATORS = {
    "ADD", "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "DIV", "FULLY_CONNECTED", "HARD_SWISH",
    "MEAN", "MUL", "PAD", "QUANTIZE", "RELU", "RELU6", "RESHAPE", "SOFTMAX", "SQUEEZE", "SUB",
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One measurement, published or of a device report."""

    network: str  # all widths and sizes of one design: left out together
    model: str
    macs_million: float
    parameters_million: float
    device: str
    processor: str
    threads: int | None  # None: not on the CPU, or not told
    arithmetic: str
    milliseconds: float
    runtime: str
    source: str
    published: int | None  # year; None: in a device report
    read: str  # day on which the source said so
    operators: frozenset[str] = frozenset(OPERATORS)  # of the network, or of all that are published together
    sha256: str | None = None  # of a device report: the file that ran

    @property
    def setting(self) -> tuple[str, str, str]:
        return self.device, self.processor, self.arithmetic


@dataclass(frozen=True)
class Foretold:
    """What can be said of one file in one setting; without a time, `reason` says why."""

    device: str
    processor: str
    arithmetic: str
    figures: int
    networks: int
    off: float | None  # largest factor by which a network that was left out is missed; None: too few networks
    milliseconds: float | None
    lowest: float | None  # of the interval, milliseconds
    highest: float | None
    reason: str
    sources: tuple[str, ...]
    measured: float | None = None  # milliseconds, where a device report is of this very file


def figures() -> list[Figure]:
    """The published measurements."""
    with FIGURES.open(encoding="utf-8", newline="") as file:
        return [
            Figure(
                network=row["network"],
                model=row["model"],
                device=row["device"],
                processor=row["processor"],
                arithmetic=row["arithmetic"],
                runtime=row["runtime"],
                source=row["source"],
                read=row["read"],
                macs_million=float(row["macs_million"]),
                parameters_million=float(row["parameters_million"]),
                threads=int(row["threads"]) if row["threads"] else None,
                milliseconds=float(row["milliseconds"]),
                published=int(row["published"]),
            )
            for row in csv.DictReader(file)
        ]


def rate(known: Sequence[Figure]) -> float:
    """Milliseconds for a million multiply-accumulates: the geometric mean."""
    return exp(fmean(log(figure.milliseconds / figure.macs_million) for figure in known))


def left_out_error(known: Sequence[Figure]) -> float | None:
    """The largest factor by which a network is missed that was left out, at least 1; None with too few networks."""
    networks = {figure.network for figure in known}
    if len(networks) < FEWEST_NETWORKS:
        return None
    worst = 0.0
    for network in networks:
        others = rate([figure for figure in known if figure.network != network])
        for figure in known:
            if figure.network == network:
                worst = max(worst, abs(log(others * figure.macs_million / figure.milliseconds)))
    return exp(worst)


def arithmetic_of(audit: Audit) -> str | None:
    """Which published arithmetic a .tflite computes in on a CPU; None where it is a mixture of which none is published.

    Weights that are only stored in half precision or 8 bits are expanded first and computed with in float32.
    """
    share = audit.share_8bit or 0.0
    if share == 0:
        return FLOAT
    return INT8 if share >= WHOLLY_8BIT and "QUANTIZE" in audit.operators else None


def unlike(audit: Audit, known: Sequence[Figure]) -> str:
    """Why a file is unlike every network that was measured in a setting; empty where it is like them."""
    operators = frozenset().union(*(figure.operators for figure in known))
    strange = [f"{count} {name}" for name, count in audit.operators.items() if name not in operators]
    whose = "reported" if known[0].published is None else "published"
    if strange:
        return f"none of the {whose} networks has {', '.join(strange)}"
    if arithmetic_of(audit) is None:
        return f"it computes partly in 8 bits, or measures ranges as it runs; no such network is {whose}"
    return ""


def foretell(audit: Audit, reported: Sequence[Figure] = (), sha256: str | None = None) -> list[Foretold]:
    """For each setting with figures of this file's arithmetic, a time with its interval, or why there is none.

    `audit`: of a .tflite file; `sha256`: of that file; `reported`: figures of device reports, beside the published
    ones. The interval is the time divided and multiplied by the left-out error.
    """
    settings: dict[tuple[str, str, str], list[Figure]] = defaultdict(list)
    for figure in (*figures(), *reported):
        settings[figure.setting].append(figure)
    arithmetic = arithmetic_of(audit)
    return [
        in_setting(audit.macs / 1e6, known, seen(sha256, known) or unlike(audit, known), sha256=sha256)
        for setting, known in sorted(settings.items())
        if arithmetic in (None, setting[2])
    ]


def seen(sha256: str | None, known: Sequence[Figure]) -> str:
    """That a file needs no foretelling, because it was measured itself; empty where it was not."""
    of_it = [figure for figure in known if sha256 is not None and figure.sha256 == sha256]
    return f"this very file took {of_it[0].milliseconds:.3g} ms there ({of_it[0].source})" if of_it else ""


def in_setting(
    macs_million: float, known: Sequence[Figure], reason: str = "", *, sha256: str | None = None
) -> Foretold:
    """The same in one setting; `reason`: why nothing can be said there, whatever its figures."""
    off = left_out_error(known)
    networks = sorted({figure.network for figure in known})
    least, most = (pick(figure.macs_million for figure in known) for pick in (min, max))
    if not reason and off is None:
        reason = f"the figures there are of {', '.join(networks)} alone, so that no error can be seen"
    elif not reason and off is not None and off > MOST_OFF:
        reason = f"a network that is left out is missed by up to a factor of {off:.2f} there, more than {MOST_OFF}"
    elif not reason and not least / MOST_BEYOND <= macs_million <= most * MOST_BEYOND:
        reason = (
            f"it has {macs_million:.0f} million multiply-accumulates; the networks that were measured there have "
            f"{least:.0f} to {most:.0f}"
        )
    time = None if reason or off is None else macs_million * rate(known)
    return Foretold(
        *known[0].setting,
        figures=len(known),
        networks=len(networks),
        off=off,
        milliseconds=time,
        lowest=None if time is None or off is None else time / off,
        highest=None if time is None or off is None else time * off,
        reason=reason,
        sources=tuple(sorted({figure.source for figure in known})),
        measured=next((figure.milliseconds for figure in known if sha256 and figure.sha256 == sha256), None),
    )
