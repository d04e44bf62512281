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

    Of `from a import b` both `a` and `a.b`. Relative ones are of `package`, the dotted name of the source's folder.
    """
    for node in executed(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and called(node).split(".")[-1] in {"import_module", "__import__", "room"}:
            yield from (a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))


def module_of(path: Path, root: Path = ROOT) -> str:
    """`edge.files` for edge/files.py, `edge.models` for edge/models/__init__.py."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def import_graph(paths: list[Path], root: Path = ROOT) -> dict[str, set[str]]:
    """Module -> the modules of `paths` that it imports when it runs. Packages that Python opens on the way are left out."""
    modules = {module_of(path, root): path for path in paths}
    graph = {}
    for module, path in modules.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        names = set(imported(path.read_text(encoding="utf-8"), package=package))
        # `from edge import files` is of edge.files alone, unless the package itself has the name
        inner = {one.rpartition(".")[0] for one in names if one in modules}
        outer = {one for one in names if one in modules and not (one in inner and only_submodules(path, one, modules))}
        graph[module] = outer - {module}
    return graph


def only_submodules(path: Path, package: str, modules: dict[str, Path]) -> bool:
    """Whether every `from package import x` of a source takes a module, so that the package itself gives nothing."""
    own = module_of_source(path, modules)
    base_of = own if path.name == "__init__.py" else own.rpartition(".")[0]
    taken = []
    for node in executed(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import) and package in {alias.name for alias in node.names}:
            return False
        if isinstance(node, ast.ImportFrom):
            names = list(imported(ast.unparse(node), package=base_of))
            if names[0] == package:
                taken += names[1:]
    return all(one in modules for one in taken)


def module_of_source(path: Path, modules: dict[str, Path]) -> str:
    return next(module for module, source in modules.items() if source == path)


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
