"""The sources as syntax trees: who imports whom, what is called, what is said. For tests of the tree's own rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("dermedge", "edge", "train", "convert")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def called(node: ast.Call) -> str:
    """`torch.load` for the call `torch.load(...)`."""
    return ast.unparse(node.func)


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those below `if TYPE_CHECKING:`, which is never true where a program runs."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
                waiting += child.orelse
            else:
                waiting.append(child)


def imported(source: str, *, package: str = "") -> Iterator[str]:
    """The module names that a source imports, at any depth: functions, branches, `import_module("...")`, `room("...")`.

    Of `from a import b` first `a`, then `a.b`. `package` is the dotted name of the source's folder.
    """
    for node in executed(ast.parse(source)):
        yield from imported_by(node, package)


def imported_by(node: ast.AST, package: str) -> Iterator[str]:
    """What one node imports; nothing for most."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*parents, *([node.module] if node.module else [])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and called(node).split(".")[-1] in {"import_module", "__import__", "room"}:
        yield from (a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))


def module_of(path: Path, root: Path = ROOT) -> str:
    """`edge.files` for edge/files.py, `edge.models` for edge/models/__init__.py."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def import_graph(paths: list[Path], root: Path = ROOT) -> dict[str, set[str]]:
    """Module -> the modules of `paths` that it imports when it runs.

    `from edge import files` is of edge.files alone; packages that Python opens on the way are left out.
    """
    modules = {module_of(path, root): path for path in paths}
    graph: dict[str, set[str]] = {module: set() for module in modules}
    for module, path in modules.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for node in executed(ast.parse(path.read_text(encoding="utf-8"))):
            names = [name for name in imported_by(node, package) if name in modules]
            submodules = isinstance(node, ast.ImportFrom) and len(names) > len(node.names)  # every name is a module
            graph[module].update(names[1:] if submodules else names)
        graph[module].discard(module)
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Sets of modules that reach each other, each sorted."""
    reach = {module: reachable(graph, module) for module in graph}
    found = {
        tuple(sorted(other for other in reach[module] if module in reach[other]))
        for module in graph
        if module in reach[module]
    }
    return sorted(list(circle) for circle in found)


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += graph.get(module, ())
    return seen


def docstrings(tree: ast.AST) -> set[int]:
    """`id` of every string constant that is a docstring."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, kinds) and node.body and isinstance(node.body[0], ast.Expr)
    }
