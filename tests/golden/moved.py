"""A source with one of its numbers moved by one in its last digit: what golden vectors have to notice."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import CodeType


def moved(source: str) -> Iterator[tuple[str, CodeType]]:
    """Each number of a source, one less and one more in its last digit: which it is, and the source with it moved."""
    tree = ast.parse(source)
    lines = source.splitlines()
    numbers = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and type(node.value) in (int, float)]
    for node in sorted(numbers, key=lambda node: (node.lineno, node.col_offset)):
        right = node.value
        digits = len(str(right).partition(".")[2])
        for step in (-1, 1):
            node.value = round(right + step * 10**-digits, digits) if digits else right + step
            line = lines[node.lineno - 1]
            marked = f"{line[: node.col_offset]}[{right} -> {node.value}]{line[node.end_col_offset :]}"
            yield marked.strip(), compile(tree, "moved", "exec")
        node.value = right
