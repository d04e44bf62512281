"""docs/add_a_model.md, followed to the letter: its code as its file, its line in the table, its commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.accelerators import is_notice

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "add_a_model.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A copy of the code with the page's file and the page's line, and nothing else changed."""
    family, line = blocks("python")
    copy = tmp_path_factory.mktemp("clone")
    for room in ("dermedge", "edge", "convert", "train"):
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    place = re.search(r"`(edge/models/\w+\.py)`, complete", PAGE)[1]
    (copy / place).write_text(family)
    table = copy / "edge" / "models" / "__init__.py"
    before, opening, rest = table.read_text().partition("MODELS = {\n")
    table.write_text(before + opening + line + rest)
    return copy


def run(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In the copy, whose rooms stand before those of an installed dermedge."""
    environment = {k: v for k, v in os.environ.items() if k != "DERMEDGE_PHOTOS"}
    environment |= {"PYTHONPATH": str(clone), "DERMEDGE_CACHE": str(clone / "cache")}
    return subprocess.run(
        [sys.executable, *arguments], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )


def test_the_network_is_as_the_page_says(clone):
    program = (
        "import torch; from edge.models import create_model, normalisation, MODELS; import edge.models as m\n"
        "assert m.__file__.startswith(__import__('os').getcwd()), m.__file__\n"
        "net = create_model('tinyres_16', 4).eval()\n"
        "for side in (32, 96): assert net(torch.rand(2, 3, side, side)).shape == (2, 4)\n"
        "print(normalisation('tinyres_16'), MODELS['tinyres_16'])"
    )
    done = run(clone, "-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)) tinyres"


@pytest.mark.slow(reason="four commands in processes of their own")
def test_the_commands_of_the_page_convert_it(clone):
    """Built, converted with random weights at the page's side, judged, described."""
    command = next(line for line in blocks("sh")[0].splitlines() if "to_tflite" in line).split()[1:]
    done = run(clone, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = json.loads((clone / "build" / "tinyres_16-untrained" / "manifest.json").read_text())
    assert (manifest["family"], manifest["input"]["side"]) == ("tinyres", 64)
    verdicts = {entry["recipe"]: entry["parity"]["verdict"] for entry in manifest["files"]}
    assert set(verdicts) == {"fp32", "fp16", "int8-weights", "int8-dynamic", "int8", "int8-io"}
    assert set(verdicts.values()) == {"pass"}
    for entry in manifest["files"]:
        assert all(map(is_notice, entry["audit"]["warnings"])) and entry["audit"]["largest_rank"] <= 4


def test_commands_and_files_of_the_page_exist():
    for named in set(re.findall(r"(?:python |`)((?:train|convert|tests|edge)/[\w/]+\.py)", PAGE)):
        assert (ROOT / named).is_file() or named == "edge/models/tinyres.py", named
    for linked in re.findall(r"\]\((\w+\.md)\)", PAGE):
        assert (ROOT / "docs" / linked).is_file(), linked
