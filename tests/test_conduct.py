"""What no source ever does: run a pickle. And what the library never does: print, exit, parse flags, name a flag."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests._sources import ROOMS, ROOT, SOURCES, called, docstrings, executed, name

LIBRARY = [path for path in SOURCES if path.relative_to(ROOT).parts[0] != "dermedge"]
# The few that may: a process of its own, which a pipe joins with ours.
MAY_PRINT = {
    "edge/questions/zoo/worker.py", "convert/_onnx_tf/step.py", "edge/phones/worker.py",
    "edge/phones/mediapipe_worker.py",
}  # fmt: skip
# Build the command line of a process of its own: a training run, which a round-trip test holds to the parser, and those
# of compilers, apt, pip and browsers.
MAY_NAME_FLAGS = {
    "edge/phones/legacy.py",
    "train/_flags.py",
    "edge/phones/android.py",
    "edge/phones/arm.py",
    "edge/phones/chromium.py",
    "edge/phones/swift.py",
}
SCREEN = {"print", "input", "sys.exit", "exit", "quit", "os._exit", "os.dup2", "sys.stdout.write", "sys.stderr.write"}
SCREENS = ("argparse", "rich.console", "rich.progress", "dermedge.console", "optparse", "click")
FLAG = re.compile(r"--[a-z]")
COMMAND = re.compile(r"`[^`]*`")  # advice that quotes a whole command: `dermedge decide --measure`


def screen_uses(source: str) -> list[str]:
    """Where a source talks to a screen or ends the process, rather than return or raise."""
    found = []
    for node in executed(ast.parse(source)):
        if isinstance(node, ast.Call) and called(node) in SCREEN | {"screen"}:
            found.append(f"{node.lineno}: {called(node)}")
        elif isinstance(node, ast.Raise) and node.exc is not None and "SystemExit" in ast.unparse(node.exc):
            found.append(f"{node.lineno}: SystemExit")
        elif isinstance(node, ast.Import):
            found += [f"{node.lineno}: {alias.name}" for alias in node.names if alias.name in SCREENS]
        elif isinstance(node, ast.ImportFrom):
            names = {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
            found += [f"{node.lineno}: {module}" for module in sorted(names & set(SCREENS))]
    return found


def is_shell(path: Path) -> bool:
    """`train/train.py`, which is a command."""
    return path.parent in {ROOT / "train", ROOT / "convert"} and not path.name.startswith("_")


@pytest.mark.parametrize("path", [path for path in LIBRARY if not is_shell(path)], ids=name)
def test_the_library_leaves_the_screen_and_the_process_alone(path: Path) -> None:
    uses = screen_uses(path.read_text(encoding="utf-8"))
    assert bool(uses) == (name(path) in MAY_PRINT), uses


@pytest.mark.parametrize(
    "source",
    [
        "print('done')",
        "import sys\nsys.exit(1)",
        "raise SystemExit(2)",
        "import os\nos.dup2(1, 2)",
        "def f():\n    import argparse",
        "from rich.console import Console",
        "from rich import console",
        "import rich.progress",
        "from somewhere import screen\nscreen().print('x')",
        "import sys\nsys.stderr.write('x')",
    ],
)
def test_screen_rule_notices(source: str) -> None:
    assert screen_uses(source)


def test_screen_rule_lets_pass() -> None:
    assert not screen_uses(
        "from rich.table import Table\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import argparse\n"
        "log.info('read')\nraise InputError('no')\nPROGRAM = 'print(1)'"
    )


def flags_named(source: str) -> Iterator[str]:
    """Texts of a source that name a flag, but docstrings, whole commands in backticks and lists of arguments."""
    tree = ast.parse(source)
    docs = docstrings(tree)
    arguments = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.List | ast.ListComp) for part in ast.walk(node)
        if not isinstance(part, ast.JoinedStr)
    }  # fmt: skip
    whole = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    inside = {id(part) for node in whole for part in ast.walk(node)} - {id(node) for node in whole}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | inside:
            text = node.value
            if id(node) in arguments and re.fullmatch(r"--[a-z-]+", text):
                continue  # one word of a command line that is run
        else:
            continue
        if FLAG.search(COMMAND.sub("", text)) and "{" not in text:  # a style sheet has --variables
            yield f"{node.lineno}: {text[:80]}"


@pytest.mark.parametrize("path", [path for path in LIBRARY if not is_shell(path)], ids=name)
def test_the_library_names_parameters_and_no_flags(path: Path) -> None:
    """In a notebook there is no --skip-unreadable; `skip_unreadable` is a parameter, and commands show their flag."""
    named = list(flags_named(path.read_text(encoding="utf-8")))
    assert bool(named) == (name(path) in MAY_NAME_FLAGS), named


@pytest.mark.parametrize(
    "source",
    [
        "raise InputError('give it with --checkpoint')",
        "raise InputError(f'{x} is too small; lower --folds')",
        "said = ['use --data or --also instead']",
        "return '--phone-output', text",
    ],
)
def test_flag_rule_notices(source: str) -> None:
    assert list(flags_named(f"def f():\n    {source}"))


def test_flag_rule_lets_pass() -> None:
    assert not list(
        flags_named(
            '"""Answers `--help`."""\nrun(["--model", model, *("--out", out)])\nraise InputError(f"give `{name}`; '
            'see `dermedge decide --measure`")\nSTYLE = "a{color:var(--fail)}"'
        )
    )


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


MARKER = re.compile(r"^(<<<<<<<|>>>>>>>) ", re.MULTILINE)
TEXTS = {
    ".py",
    ".md",
    ".kt",
    ".kts",
    ".swift",
    ".js",
    ".html",
    ".css",
    ".xml",
    ".json",
    ".toml",
    ".xcstrings",
    ".j2",
    ".csv",
}


@pytest.mark.parametrize("room", [*ROOMS, "apps", "benchmarks", "docs", "tests"])
def test_no_merge_is_left_unfinished(room: str) -> None:
    """What no compiler here reads, such as the app for iOS, would be shipped with both halves."""
    texts = [path for path in (ROOT / room).rglob("*") if path.suffix in TEXTS and "node_modules" not in path.parts]
    assert texts
    assert not [name(path) for path in texts if MARKER.search(path.read_text(encoding="utf-8", errors="replace"))]
