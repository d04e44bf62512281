"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A heading, the rule below it, and a line for each row; without a final newline."""
    return "\n".join([*heading(*columns), *(line(row) for row in rows)])


def heading(*columns: str) -> list[str]:
    """The first two lines of a table."""
    return [line(columns), "|" + "---|" * len(columns)]


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
