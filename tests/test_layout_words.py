"""Names that say nothing may hold a value for three lines at most: after that, a reader has to look up what it was."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests._sources import ROOT

EMPTY = {"found", "one", "made", "given", "what"}
LONGEST = 3  # lines, from where a name is bound to its last use, both counted
SCOPES = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp,
)  # fmt: skip
ROOMS = ["benchmarks", "convert", "dermedge", "edge", "train"]


def inside(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope, without those of the scopes in it."""
    for node in ast.iter_child_nodes(scope):
        yield node
        if not isinstance(node, SCOPES):
            yield from inside(node)


def long_lived(source: str) -> list[tuple[int, str]]:
    """(line, name) of every variable, parameter and loop variable with an empty name that outlives `LONGEST` lines."""
    lasting = []
    for scope in ast.walk(ast.parse(source)):
        if not isinstance(scope, (*SCOPES, ast.Module)):
            continue
        starts: dict[str, int] = {}
        for node in inside(scope):
            if isinstance(node, ast.arg):
                starts.setdefault(node.arg, node.lineno)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                starts[node.id] = min(node.lineno, starts.get(node.id, node.lineno))
        uses = [node for node in ast.walk(scope) if isinstance(node, ast.Name)]
        for name in EMPTY & starts.keys():
            lines = [starts[name], *(node.lineno for node in uses if node.id == name)]
            first = min(lines) if isinstance(scope, SCOPES[3:]) else starts[name]  # a comprehension uses, then binds
            if max(lines) - first + 1 > LONGEST:
                lasting.append((starts[name], name))
    return sorted(lasting)


def files_of(room: str) -> list[Path]:
    return sorted(path for place in ROOT.glob(room) for path in ([place] if place.is_file() else place.rglob("*.py")))


@pytest.mark.parametrize("room", ROOMS)
def test_no_empty_name_outlives_three_lines(room: str) -> None:
    files = files_of(room)
    assert files, f"no sources in {room}; was it moved?"
    lasting = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in files
        for line, name in long_lived(path.read_text(encoding="utf-8"))
    ]
    assert not lasting, f"give these the noun of what they hold: {', '.join(lasting)}"


@pytest.mark.parametrize(
    "source",
    [
        "def f(given):\n    a = 1\n    b = 2\n    return given + a + b\n",
        "def f(rows):\n    for one in rows:\n        a = 1\n        b = 2\n        print(one, a, b)\n",
        "def f(rows):\n    found = []\n    for row in rows:\n        found.append(row)\n    return found\n",
        "def f():\n    made = 1\n    a = 2\n\n    def g():\n        return made + a\n    return g\n",
        "def f(rows):\n    return [\n        one.a\n        + one.b\n        for one in rows\n        if one\n    ]\n",
        "def f():\n    with a() as what:\n        b()\n        c()\n        d(what)\n",
    ],
)
def test_a_long_lived_empty_name_is_seen(source: str) -> None:
    (lasting,) = long_lived(source)
    assert lasting[1] in EMPTY


@pytest.mark.parametrize(
    "source",
    [
        "def f(rows):\n    return [one for one in rows]\n",
        "def f(rows):\n    a = [one for one in rows]\n    b = 1\n    c = 2\n    return [one for one in a], b, c\n",
        "def f(path):\n    found = path.read()\n    return found or None\n",
        "found_in = 1\na = 2\nb = 3\nc = found_in\n",
    ],
)
def test_a_short_lived_one_is_not(source: str) -> None:
    assert long_lived(source) == []
