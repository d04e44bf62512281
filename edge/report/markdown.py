"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A heading, the rule below it, and a line for each row; without a final newline."""
    return "\n".join([line(columns), "|" + "---|" * len(columns), *(line(row) for row in rows)])


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
