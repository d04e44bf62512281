"""The shape of the tree: who may import whom, what runs from where, and what a wheel holds."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from dermedge import _rooms, cli
from dermedge.cli import COMMANDS
from tests._sources import ROOT, SOURCES, circles, import_graph, imported, name, reachable

# Rooms beside its own that the sources of a room may import from. The commands' shells may import dermedge as well.
MAY_IMPORT = {"dermedge": {"edge", "train", "convert"}, "edge": set(), "train": {"edge"}, "convert": {"edge"}}
SHELLS = sorted(
    path for path in SOURCES if path.parent.name in {"train", "convert"} and not path.name.startswith("_")
)  # `python train/train.py`
# Between parts of edge: module or package -> the only ones outside of it that it may import.
ONLY = {"edge.metrics": {"edge.errors", "edge.recipes", "numpy", "scipy"}}
# ... and arrows that must not be there, directly or by a detour.
NEVER = [
    ("edge.models", "edge.checkpoint"),
    ("edge.report", "edge.questions"),  # but for the literal table of names in edge.report.page
]
# Only these may be loaded to answer `--help` (0.5 s is the limit; numpy alone takes a fifth of it, torch two seconds).
OWN = {"dermedge", "edge", "train", "convert"}
WITHOUT_TORCH = (
    "edge.labels", "edge.files", "dermedge", "dermedge.console", "edge.errors", "edge.artifact", "edge.manifest",
    "edge.recipes", "edge.preprocess", "edge.capture", "edge.runtimes.litert", "edge.runtimes.coreai",
    "edge.runtimes.onnx",
    "edge.runtimes.open", "edge.metrics.statistics", "edge.metrics.gates", "edge.data.readers", "edge.data.table",
    "edge.questions.mistakes.diagnosis", "edge.questions.mistakes.words", "edge.decision", "edge.thresholds",
    "edge.answers",
)  # fmt: skip


def within(module: str, *rooms: str) -> bool:
    return any(f"{module}.".startswith(f"{room}.") for room in rooms)


def foreign(source: str, package: str) -> set[str]:
    """What `source`, a file of the dotted `package`, imports from rooms that it may not know."""
    room = package.split(".")[0]
    closed = MAY_IMPORT.keys() - MAY_IMPORT[room] - {room}
    closed |= {"edge.train", "edge.convert"}  # their names in the wheel
    return {module for module in imported(source, package=package) if within(module, *closed)}


def package_of(path: Path) -> str:
    return ".".join(path.parent.relative_to(ROOT).parts)


@pytest.mark.parametrize("path", [path for path in SOURCES if path not in SHELLS], ids=name)
def test_imports_point_one_way(path: Path) -> None:
    broken = foreign(path.read_text(), package_of(path))
    assert not broken


@pytest.mark.parametrize("path", SHELLS, ids=name)
def test_a_script_is_a_shell_around_its_command(path: Path) -> None:
    """`python convert/to_tflite.py` and `dermedge to-tflite` must be the same."""
    assert foreign(path.read_text(), package_of(path)) == {
        f"dermedge.commands.{path.stem}", f"dermedge.commands.{path.stem}.main",
    }  # fmt: skip
    assert len(path.read_text().splitlines()) < 20


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if package_of(path).split(".")[0] in {"train", "convert"}], ids=name
)
def test_siblings_by_relative_import(path: Path) -> None:
    """`from train.x import` would load a second copy of the module, or none, where the wheel calls it edge.train.x."""
    package = package_of(path).split(".")[0]
    assert not [
        module for module in imported(path.read_text(), package="here.here.here.here") if within(module, package)
    ]


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("edge", "def f():\n    import convert._tflite.file"),
        ("edge", "if True:\n    from train import _loop"),
        ("edge", "from edge.train._loop import fit"),
        ("edge", "from edge import convert"),
        ("edge.models", "from .. import train"),
        ("edge", "def f():\n    from dermedge.console import screen"),
        ("train", "from convert._graph.graph import trace"),
        ("train", "from dermedge import console"),
        ("convert", "import importlib\nimportlib.import_module('train._loop')"),
        ("dermedge.commands", "from edge.train import _loop"),
    ],
)
def test_import_rule_notices(package: str, source: str) -> None:
    assert foreign(source, package)


def test_import_rule_lets_pass() -> None:
    assert not foreign("from ._loop import fit\nfrom edge.files import size\nimport trainer, converters", "train")
    assert not foreign("from .._rooms import room\nroom('train._loop')", "dermedge.commands")
    assert not foreign(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from train._loop import Trainer", "convert"
    )


def test_no_file_imports_itself_by_a_detour() -> None:
    """Also inside functions: whoever reads one file of a circle has to read them all."""
    broken = {module for circle in circles(import_graph(SOURCES)) for module in circle}
    assert not broken


def test_circle_rule_notices(tmp_path: Path) -> None:
    def written(**sources: str) -> list[Path]:
        for file, source in sources.items():
            (tmp_path / "p" / f"{file}.py").parent.mkdir(exist_ok=True)
            (tmp_path / "p" / f"{file}.py").write_text(source)
        return sorted((tmp_path / "p").glob("*.py"))

    paths = written(
        __init__="", a="from p import b", b="def f():\n    from .c import g", c="import p.a", d="import p.c"
    )
    assert circles(import_graph(paths, tmp_path)) == [["p.a", "p.b", "p.c"]]
    paths = written(c="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import p.a")
    assert circles(import_graph(paths, tmp_path)) == []
    paths = written(__init__="from .a import x", a="from . import y")
    assert circles(import_graph(paths, tmp_path)) == [["p", "p.a"]]
    paths = written(a="from . import b")  # of b alone, not of what __init__ says
    assert circles(import_graph(paths, tmp_path)) == []


def arrows(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Module -> those that it reaches and must not."""
    return {
        module: reached
        for module in graph
        for source, target in NEVER
        if within(module, source) and (reached := {one for one in reachable(graph, module) if within(one, target)})
    }


def test_no_arrow_points_back() -> None:
    assert not arrows(import_graph(SOURCES))


def test_arrow_rule_notices() -> None:
    graph = {"edge.models.x": {"edge.files"}, "edge.files": {"edge.checkpoint"}, "edge.checkpoint": set()}
    assert arrows(graph) == {"edge.models.x": {"edge.checkpoint"}}
    assert not arrows({"edge.checkpoint": {"edge.models.x"}, "edge.models.x": set()})


def strangers(source: str, package: str) -> set[str]:
    """What `source` imports beside the few things that its package may."""
    allowed = ONLY.get(package, set()) | {package, "__future__"} | sys.stdlib_module_names
    return {
        module
        for module in imported(source, package=package)
        if not within(module, *allowed) and not any(one.startswith(f"{module}.") for one in allowed)
    }


@pytest.mark.parametrize("path", [path for path in SOURCES if package_of(path) in ONLY], ids=name)
def test_numbers_come_from_arrays_alone(path: Path) -> None:
    assert not strangers(path.read_text(), package_of(path))


def test_rule_of_strangers_notices() -> None:
    for source in ("import torch", "def f():\n    from edge.manifest import Parity", "from edge import files"):
        assert strangers(source, "edge.metrics")
    assert not strangers("import math, numpy.typing\nfrom edge.errors import InputError", "edge.metrics")


@pytest.mark.parametrize("package", ["train", "convert", "benchmarks"])
def test_no_module_shadows_another(package):
    """`python convert/to_tflite.py` puts convert/ first on sys.path."""
    taken = sys.stdlib_module_names | packages_distributions().keys()
    here = {path.stem for path in (ROOT / package).iterdir()} - {"__init__", "__pycache__"}
    assert not here & taken
    assert {"calendar", "coremltools", "torch"} <= taken  # the list can catch something


@pytest.mark.parametrize("script", SHELLS, ids=name)
def test_entry_point_runs_from_anywhere(script, tmp_path):
    done = subprocess.run([sys.executable, script, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert script.name in done.stdout  # the help is that of this script


def test_entry_points_are_all_there():
    documented = {
        "convert/to_tflite.py", "convert/to_coreml.py", "convert/to_coreai.py", "convert/to_onnx.py",
        "train/train.py", "train/evaluate.py", "train/prepare.py", "train/cross_validate.py",
    }  # fmt: skip
    assert documented <= {name(path) for path in SHELLS}


@pytest.mark.parametrize("command", COMMANDS)
def test_command_has_a_module(command):
    assert (ROOT / Path(*cli.module_of(command).split("."))).with_suffix(".py").is_file()
    assert COMMANDS[command]


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


def in_the_wheel(path: Path) -> str:
    """The dotted name that a folder of ours has in a wheel, which must not claim names as common as `train`."""
    parts = path.relative_to(ROOT).parts
    return ".".join(parts if parts[0] in {"edge", "dermedge"} else ("edge", *parts))


def test_wheel_lists_every_package():
    table = setuptools_table()
    packages = [path.parent for path in SOURCES if path.name == "__init__.py"]
    assert sorted(table["packages"]) == sorted(in_the_wheel(package) for package in packages)
    assert table["package-dir"] == {"edge.train": "train", "edge.convert": "convert"}
    assert {path.parent for path in SOURCES} == set(packages), "a folder with code has no __init__.py"


def test_wheel_carries_every_data_file():
    table = setuptools_table()["package-data"]
    for path in [path for room in OWN for path in (ROOT / room).rglob("*")]:
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
    """In the wheel `train._loop` is `edge.train._loop`, also where somebody else's `train` is installed."""
    asked: list[str] = []
    monkeypatch.setattr(_rooms.importlib, "import_module", asked.append)
    _rooms.room("train._loop")
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    _rooms.room("train._loop")
    elsewhere = importlib.util.spec_from_file_location("train", "/elsewhere/train/__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: elsewhere)
    _rooms.room("convert._convert")
    assert asked == ["train._loop", "edge.train._loop", "edge.convert._convert"]


@pytest.mark.slow(reason="builds the wheel")
def test_the_wheel_owns_two_names_and_brings_what_it_needs(tmp_path):
    """Built as a user would get it: nothing beside our two names at the top, and every file of ours."""
    flags = ["--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    source = tmp_path / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "runs", "*.egg-info", "__pycache__"))
    done = subprocess.run([sys.executable, "-m", "pip", "wheel", *flags, str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = wheel.namelist()
        scripts = next(wheel.read(entry).decode() for entry in names if entry.endswith("entry_points.txt"))
    assert re.search(r"^dermedge = dermedge\.cli:main$", scripts, re.MULTILINE) and scripts.count("=") == 1
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"dermedge", "edge"}
    files = [path for room in OWN for path in (ROOT / room).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    wanted = {f"{in_the_wheel(path.parent).replace('.', '/')}/{path.name}" for path in files}
    assert {
        "dermedge/py.typed",
        "edge/py.typed",
        "edge/train/train.py",
        "edge/weights/hierattn_xs.safetensors",
    } <= wanted
    assert wanted <= set(names)
