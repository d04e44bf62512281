"""What devices answered, in words: for a terminal, and the cells of the page's tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edge.report import words

if TYPE_CHECKING:
    from rich.table import Table

PROVES = (
    "A report shows what a device is said to have answered for the self-test images. Its digest shows accidental "
    "changes; it is no signature, so that trust in a report is trust in whoever sent it."
)
HEADINGS = ("file", "device", "runtime", "images", "largest |Δp|", "median ms", "p90 ms", "cold ms", "memory",
            "verdict")  # fmt: skip
NUMBERS = range(3, 9)  # columns that stand right
LONGEST = 40  # letters of a system; browsers name theirs in a line


def all_of(report: Mapping[str, Any]) -> list[Table | str]:
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title=escape(f"{report['model']} on devices"))
    for number, heading in enumerate(HEADINGS):
        shown.add_column(heading, justify="right" if number in NUMBERS else "left", overflow="fold")
    for row in report["rows"]:
        shown.add_row(*map(escape, cells(row)))
    return [shown, escape(PROVES)]


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    times = row["milliseconds"]
    return (
        row["file"], f"{row['model']}, {shortened(row['system'])}", runtime(row), str(len(row["images"])),
        words.small(row["largest_delta_p"]), milliseconds(times["median"]), milliseconds(times["p90"]),
        milliseconds(times["cold"]), memory(row["memory_bytes"]), row["verdict"],
    )  # fmt: skip


def runtime(row: Mapping[str, Any]) -> str:
    return f"{row['runtime']} {row['version']}, {row['accelerator']}"


def shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def milliseconds(time: float) -> str:
    return f"{time:.1f}"


def memory(count: int | None) -> str:
    return words.NOTHING if count is None else f"{count / 1e6:.0f} MB"
