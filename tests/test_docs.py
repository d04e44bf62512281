"""The pages: what they name is there, so that nobody follows a link, a path, a command or a flag into nothing."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from dermedge import __all__ as public
from dermedge.cli import COMMANDS, RENAMED, module_of

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "apps").glob("*/*.md")),
    *sorted((ROOT / "edge" / "weights").glob("*.md")),
]  # fmt: skip
ROOMS = ("edge", "train", "convert", "dermedge", "benchmarks", "tests", "docs", "apps", "examples")
NOT_THERE = {"edge/models/tinyres.py"}  # the reader of docs/add_a_model.md writes it
SCHEMA = re.compile(r"dermedge/[a-z]+/\d")  # the name of a schema, no path
HISTORY = {"CHANGELOG.md"}  # names places of earlier versions too
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
SCRIPT = re.compile(r"(?:train|convert|benchmarks)/\w+\.py")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


each_page = pytest.mark.parametrize("page", PAGES, ids=name)


def blocks(text: str) -> list[tuple[str, str]]:
    """(language, content) of the fenced blocks."""
    return [(language, content) for _, language, content in BLOCK.findall(text)]


def spans(text: str) -> list[str]:
    """What stands in backticks outside the blocks, on one line each."""
    return [" ".join(content.split()) for _, content in SPAN.findall(BLOCK.sub("", text))]


def lines_to_type(text: str) -> Iterator[str]:
    """Everything that a reader may type into a shell: lines of `sh` blocks, and commands in backticks."""
    for language, content in blocks(text):
        if language == "sh":
            yield from content.replace("\\\n", " ").splitlines()
    yield from spans(text)


def calls(text: str) -> Iterator[tuple[str, list[str]]]:
    """(command or script, its arguments) of each call of ours that a page shows."""
    for line in lines_to_type(text):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # a bracket or a quotation mark in prose
            continue
        while words and ("=" in words[0] or words[0].endswith("python")):
            words = words[1:]
        if len(words) >= 2 and words[0].endswith("dermedge") and re.fullmatch(r"[a-z][a-z-]*", words[1]):
            yield words[1], words[2:]
        elif words and SCRIPT.fullmatch(words[0]):
            yield words[0], words[1:]


def flags_in(words: list[str]) -> list[str]:
    return [word.partition("=")[0] for word in words if re.match(r"--\w", word)]


@cache
def parser_of(command: str) -> argparse.ArgumentParser:
    return importlib.import_module(module_of(command)).parser()


def takes(command: str, flag: str) -> bool:
    """Whether a command or a script has this flag."""
    if command in RENAMED:
        command = RENAMED[command].split()[0]
    if command.startswith("benchmarks/"):  # these import torch: their text must do
        sources = (ROOT / command, ROOT / "benchmarks" / "_flags.py", ROOT / "dermedge" / "flags.py")
        return any(f'"{flag}"' in source.read_text() for source in sources)
    if SCRIPT.fullmatch(command):
        command = Path(command).stem.replace("_", "-")
    return flag in parser_of(command)._option_string_actions


def test_the_readme_is_read_in_one_go():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@each_page
def test_links_lead_somewhere(page):
    text = BLOCK.sub("", page.read_text())
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    missing = [t for t in targets if t and "://" not in t and not (page.parent / t).exists()]
    assert not missing


@pytest.mark.parametrize("page", [page for page in PAGES if name(page) not in HISTORY], ids=name)
def test_paths_exist(page):
    """Paths in backticks and in commands; a `*` in one stands for at least one file."""
    text = page.read_text()
    words = [*spans(text), *(word for line in lines_to_type(text) for word in line.split())]
    paths = {word for word in words if re.fullmatch(rf"(?:{'|'.join(ROOMS)})/[\w./*-]*", word)}
    paths = {path for path in paths - NOT_THERE if not SCHEMA.fullmatch(path)}
    assert not {path for path in paths if not any(ROOT.glob(path.rstrip("/.")))}


@each_page
def test_commands_and_their_flags_exist(page):
    wrong = []
    for command, words in calls(page.read_text()):
        if not (SCRIPT.fullmatch(command) and (ROOT / command).is_file()) and command not in COMMANDS | RENAMED:
            wrong.append(command)
            continue
        wrong += [f"{command} {flag}" for flag in flags_in(words) if not takes(command, flag)]
    assert not wrong


@each_page
def test_flags_alone_exist(page):
    """`--flag` in prose is one of some command, or of a benchmark."""
    everywhere = {flag for command in COMMANDS for flag in parser_of(command)._option_string_actions}
    benchmarks = "".join(path.read_text() for path in (ROOT / "benchmarks").glob("*.py"))
    alone = {flag for span in spans(page.read_text()) if span.startswith("--") for flag in flags_in(span.split())}
    assert not {flag for flag in alone - everywhere if f'"{flag}"' not in benchmarks}


@each_page
def test_public_names_exist(page):
    text = page.read_text()
    code = [*spans(text), *(content for language, content in blocks(text) if language == "python")]
    named = {word for part in code for word in re.findall(r"\bdermedge\.([a-z_]\w*)", part)}
    assert not named - set(public)


@each_page
def test_extras_exist(page):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert not set(re.findall(r"'\.\[(\w+)\]'", page.read_text())) - set(extras)
    assert "dermedge[" not in page.read_text(), "dermedge is on no index: a clone or a wheel, '.[extra]'"


def test_every_command_has_its_line():
    page = (ROOT / "docs" / "commands.md").read_text()
    assert not [command for command in COMMANDS if f"`dermedge {command}" not in page]


def test_every_rewrite_has_its_row():
    page = (ROOT / "docs" / "edge_graph.md").read_text()
    passes = {path.stem for path in (ROOT / "convert" / "_graph" / "passes").glob("[!_]*.py")}
    assert not {stem for stem in passes if f"`{stem}`" not in page}
    assert {"fold_batchnorm", "undilate"} <= passes  # the list can catch something


def test_the_page_shows_a_picture_without_a_photograph():
    """The report in the README is small, and one of drawn pictures: its text says so."""
    readme = (ROOT / "README.md").read_text()
    assert "docs/report.png" in readme and "computer-drawn pictures" in readme
    assert (ROOT / "docs" / "report.png").stat().st_size < 250_000


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("```sh\ndermedge parity build/x --layers  # why\n```", []),
        ("```sh\ndermedge parity build/x \\\n  --sideways 3\n```", ["parity --sideways"]),
        ("```sh\nX=1 .venv/bin/python convert/to_tflite.py --model a --twist=2\n```", ["convert/to_tflite.py --twist"]),
        ("as `dermedge zoo\n--docs d --nothing` says", ["zoo --nothing"]),
        ("`python benchmarks/tflite.py --peers --unheard`", ["benchmarks/tflite.py --unheard"]),
        ("`dermedge simulate build/x --images 4`", []),
    ],
)
def test_the_rules_notice(text, wrong):
    """Broken pages, on purpose."""
    seen = [f"{command} {flag}" for command, words in calls(text) for flag in flags_in(words)]
    assert [s for s in seen if not takes(*s.split())] == wrong
    assert spans(BLOCK.sub("", "`` `a` `` and `b\nc`")) == ["`a`", "b c"]
