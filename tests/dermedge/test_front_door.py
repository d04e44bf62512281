"""`import dermedge`: quick, without torch, every name there, typed, documented and on its page."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

import dermedge

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = [name for name in dermedge.__all__ if inspect.isroutine(getattr(dermedge, name))]
CLASSES = [name for name in dermedge.__all__ if inspect.isclass(getattr(dermedge, name))]


def test_import_loads_nothing_but_its_own():
    """NumPy alone takes twice the tenth of a second that the import may take."""
    program = (
        "import sys, json; before = set(sys.modules); import dermedge\n"
        "print(json.dumps(sorted({m.split('.')[0] for m in set(sys.modules) - before})))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) - sys.stdlib_module_names <= {"dermedge", "edge"}


def test_every_name_is_there_and_listed():
    assert set(dermedge.__all__) == {*dermedge._PLACES, *dermedge._MODULES, "__version__"}
    assert dir(dermedge) == sorted(dermedge.__all__)
    assert all(getattr(dermedge, name) is not None for name in dermedge.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dermedge.nothing


def test_names_for_type_checkers_are_the_lazy_ones():
    """The block under TYPE_CHECKING is what mypy and editors see."""
    import ast

    tree = ast.parse(Path(dermedge.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == {*dermedge._PLACES, *dermedge._MODULES}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_typed_and_documented(name):
    function = getattr(dermedge, name)
    signature = inspect.signature(function)
    parameters = signature.parameters
    untyped = [name for name, p in parameters.items() if p.annotation is inspect.Parameter.empty]
    assert not untyped and signature.return_annotation is not inspect.Signature.empty
    assert len(inspect.getdoc(function) or "") > 80
    positional = [p for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert len(positional) <= 2, "the subject, and what it is judged on; all else by keyword"


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_documented(name):
    kind = getattr(dermedge, name)
    assert inspect.getdoc(kind)
    methods = [m for n, m in vars(kind).items() if not n.startswith("_") and isinstance(m, types.FunctionType)]
    assert not [method.__name__ for method in methods if not inspect.getdoc(method)]


def test_every_name_stands_on_its_page():
    page = (ROOT / "docs" / "api.md").read_text()
    missing = [name for name in dermedge.__all__ if f"`{name}" not in page and f"dermedge.{name}" not in page]
    assert not missing


@pytest.mark.parametrize("package", ["dermedge", "edge"])
def test_types_are_published(package):
    assert (ROOT / package / "py.typed").is_file()


def test_notebooks_see_tables(folder_of_photographs):
    photos = dermedge.open_photos(folder_of_photographs)
    html = photos._repr_html_()
    assert "24 photographs of 12 patients" in html and "<td>mal</td>" in html
