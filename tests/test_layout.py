"""The shape of the tree: who may import whom, what runs from where, and what never happens anywhere."""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from dermedge import cli
from dermedge.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {"edge": {"edge"}, "train": {"edge"}, "convert": {"edge"}}
SOURCES = sorted(path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))
ENTRY_POINTS = [p for p in SOURCES if p.parent.name in {"train", "convert"} and "__main__" in p.read_text()]
# Only these may be loaded to answer `--help` (0.5 s is the limit; numpy alone takes a fifth of it, torch two seconds).
OWN = {"edge", "train", "convert"}
WITHOUT_TORCH = (
    "edge.labels", "edge.files", "dermedge.console", "edge.errors", "edge.artifact", "edge.preprocess", "edge.capture",
    "edge.runtimes.litert", "edge.runtimes.coreai", "edge.metrics.statistics", "edge.data.readers", "edge.data.table",
    "edge.questions.mistakes.diagnosis", "edge.questions.mistakes.words",
    "edge.decision", "edge.thresholds",
)  # fmt: skip


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(source: str) -> Iterator[str]:
    """The absolute module names that a source imports, at any depth: functions, branches, `import_module("...")`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) in {"import_module", "importlib.import_module", "__import__"}:
            yield from (a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))


def foreign(source: str, package: str) -> set[str]:
    """What `source`, a file of `package`, imports from rooms that it may not know."""
    closed = MAY_IMPORT.keys() - MAY_IMPORT[package] - {package}
    closed |= {f"edge.{room}" for room in ("train", "convert")}  # their names in the wheel
    return {module for module in imported(source) for room in closed if f"{module}.".startswith(f"{room}.")}


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_imports_point_one_way(path):
    assert not foreign(path.read_text(), path.relative_to(ROOT).parts[0])


@pytest.mark.parametrize("path", [p for p in SOURCES if "edge" not in p.relative_to(ROOT).parts[:1]], ids=name)
def test_siblings_by_relative_import(path):
    """`from train.x import` would load a second copy of the module, or none, where the wheel calls it edge.train.x."""
    package = path.relative_to(ROOT).parts[0]
    assert package not in {module.split(".")[0] for module in imported(path.read_text())}


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("edge", "def f():\n    import convert._tflite.file"),
        ("edge", "if True:\n    from train import _loop"),
        ("edge", "from edge.train._loop import fit"),
        ("edge", "from edge import convert"),
        ("train", "from convert._graph.graph import trace"),
        ("convert", "import importlib\nimportlib.import_module('train._loop')"),
    ],
)
def test_import_rule_notices(package, source):
    assert foreign(source, package)


def test_import_rule_lets_pass():
    assert not foreign("from ._loop import fit\nfrom edge.files import size\nimport trainer, converters", "train")


@pytest.mark.parametrize("package", ["train", "convert", "benchmarks"])
def test_no_module_shadows_another(package):
    """`python convert/to_tflite.py` puts convert/ first on sys.path."""
    taken = sys.stdlib_module_names | packages_distributions().keys()
    here = {path.stem for path in (ROOT / package).iterdir()} - {"__init__", "__pycache__"}
    assert not here & taken
    assert {"calendar", "onnx", "torch"} <= taken  # the list can catch something


@pytest.mark.parametrize("script", ENTRY_POINTS, ids=name)
def test_entry_point_runs_from_anywhere(script, tmp_path):
    done = subprocess.run([sys.executable, script, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert script.name in done.stdout  # the help is that of this script


def test_entry_points_are_all_there():
    documented = {
        "convert/to_tflite.py",
        "convert/to_coreml.py",
        "convert/to_coreai.py",
        "train/train.py",
        "train/evaluate.py",
    }
    assert documented <= {name(path) for path in ENTRY_POINTS}


@pytest.mark.parametrize("command", COMMANDS)
def test_command_has_a_module(command):
    module, purpose = COMMANDS[command]
    assert (ROOT / Path(*module.split("."))).with_suffix(".py").is_file(), f"{command}: no module {module}"
    assert purpose


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_light(command, tmp_path):
    """Started as the console script starts it, in a process of its own that then lists what it loaded."""
    program = (
        "import sys, json; before = set(sys.modules)\n"
        "from dermedge.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "print('LOADED', json.dumps(sorted({m.split('.')[0] for m in set(sys.modules) - before})))"
    )
    done = subprocess.run([sys.executable, "-c", program, command, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    help_text, _, loaded = done.stdout.rpartition("LOADED ")
    assert f"usage: dermedge {command}" in help_text
    assert set(json.loads(loaded)) - sys.stdlib_module_names <= OWN


BLOCKER = """
import importlib, json, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Blocker())
broken = {}
for module in sys.argv[1:]:
    try:
        importlib.import_module(module)
    except ImportError as error:
        broken[module] = str(error)
print(json.dumps(broken))
"""


def test_imports_without_torch():
    """An app developer who only simulates has no torch."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKER, *WITHOUT_TORCH, "edge.models.hierattn"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    broken = json.loads(done.stdout)
    assert broken.pop("edge.models.hierattn", None), "the blocker does not block"
    assert not broken


def setuptools_table() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_wheel_lists_every_package():
    table = setuptools_table()
    found = [path.parent.relative_to(ROOT).parts for path in SOURCES if path.name == "__init__.py"]
    assert sorted(table["packages"]) == sorted(".".join(p if p[0] == "edge" else ("edge", *p)) for p in found)
    assert table["package-dir"] == {"edge.train": "train", "edge.convert": "convert"}
    with_code = {path.parent for path in SOURCES}
    assert with_code == {ROOT.joinpath(*parts) for parts in found}, "a folder with code has no __init__.py"


def test_wheel_carries_every_data_file():
    table = setuptools_table()["package-data"]
    for path in (ROOT / "edge").rglob("*"):
        if path.is_file() and path.suffix not in {".py", ".pyc"}:
            package = ".".join(path.parent.relative_to(ROOT).parts)
            covered = any(
                fnmatch(path.relative_to(ROOT / Path(*owner.split("."))).as_posix(), pattern)
                for owner, patterns in table.items()
                if f"{package}.".startswith(f"{owner}.")
                for pattern in patterns
            )
            assert covered, f"{name(path)} is in no package-data of pyproject.toml"


@pytest.mark.parametrize("arguments", [["fly"], ["--fly"], [""]])
def test_unknown_command(arguments, capsys):
    assert cli.main(arguments) == 2
    said = capsys.readouterr()
    assert not said.out
    assert repr(arguments[0]) in said.err
    assert all(command in said.err for command in COMMANDS)


def test_overview_names_every_command(capsys):
    assert cli.main([]) == 0
    said = capsys.readouterr().out
    assert all(f"\n  {command}" in said for command in COMMANDS)
    assert "not a medical device" in said


def test_installed_modules_are_found(monkeypatch):
    """In the wheel `train.train` is `edge.train.train`; in a bare clone it is not."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    assert cli.locate("train.train") == "train.train"
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: object())
    assert cli.locate("train.train") == "edge.train.train"
    assert cli.locate("dermedge.commands.demo") == "dermedge.commands.demo"


def called(node: ast.Call) -> str:
    """`torch.load` for the call `torch.load(...)`."""
    return ast.unparse(node.func)


def pickles(source: str) -> list[str]:
    """The calls in `source` that write or could run a pickle."""
    found = []
    tree = ast.parse(source)
    alias = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            alias.update({a.asname: a.name for a in node.names if a.asname})
        elif isinstance(node, ast.ImportFrom) and node.module:
            alias.update({a.asname or a.name: f"{node.module}.{a.name}" for a in node.names})
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        first, _, rest = called(node).partition(".")
        call = f"{alias.get(first, first)}.{rest}".rstrip(".")
        module = call.split(".")[0]
        safe = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
        if (
            call in {"torch.save", "torch.jit.load", "torch.package.PackageImporter"}
            or (call == "torch.load" and safe.get("weights_only") is not True)
            or (call in {"numpy.load", "numpy.save"} and safe.get("allow_pickle") is not False)
            or module in {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
        ):
            found.append(f"{node.lineno}: {call}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_pickle(path):
    assert not pickles(path.read_text())


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.save(x, y)",
        "import torch\ntorch.load(x)",
        "import torch\ntorch.load(x, weights_only=False)",
        "import pickle\nwith open(p) as f: pickle.load(f)",
        "import pickle as p\np.loads(x)",
        "from pickle import loads\nloads(x)",
        "from torch import load as read\nread(x)",
        "import numpy as np\ndef f(): return np.load(x)",
        "import numpy as np\nnp.load(x, allow_pickle=True)",
    ],
)
def test_pickle_rule_notices(source):
    assert pickles(source)


def test_pickle_rule_lets_pass():
    assert not pickles(
        "import torch, json\nimport numpy as np\ntorch.load(p, weights_only=True)\n"
        "np.load(p, allow_pickle=False)\njson.load(f)\nyaml.safe_load(f)"
    )


@pytest.mark.slow
def test_the_wheel_owns_one_name_and_brings_what_it_needs(tmp_path):
    """Built as a user would get it: nothing beside `edge` at the top, the weights, the page's template, the schema."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    source = tmp_path / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "runs", "*.egg-info", "__pycache__"))
    done = subprocess.run([*command, str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"edge"}
    for needed in (
        "edge/manifest.schema.json",
        "edge/questions/mistakes/mistakes.html.j2",
        "edge/questions/parity/parity.html.j2",
        "edge/report/report.html.j2",
        "edge/train/train.py",
        "edge/convert/to_tflite.py",
        "edge/weights/hierattn_xs.safetensors",
        "edge/weights/hierattn_xs.json",
        "edge/weights/hierattn_xs.decision.json",
        "edge/questions/decision/decision.html.j2",
    ):
        assert needed in names
