"""Layer by layer for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edge.questions.layers.wording import HEADINGS, cells, headline, shown

if TYPE_CHECKING:
    from rich.table import Table


def table(file: Mapping[str, Any]) -> Table | str:
    from rich.markup import escape
    from rich.table import Table

    if file["note"]:
        return escape(headline(file))
    worst = Table(title=escape(headline(file)), title_justify="left")
    for heading in HEADINGS:
        worst.add_column(heading)
    for number in shown(file):
        row = file["rows"][number]
        first, *rest = map(escape, cells(row))
        mark = "→ first: " if number == file["first"] else "off: " if row["status"] == "off" else ""
        worst.add_row(mark + first, *rest)
    return worst
