"""The web page's own code gives the bytes, numbers and outcomes that Python's gives, under node and in Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.phones.chromium import PROGRAMS, Chromium
from edge.phones.site import Site
from tests._sources import ROOT
from tests.apps._golden import GOLDEN, counted

WEB = ROOT / "apps" / "web_demo"
needs_node = pytest.mark.skipif(not shutil.which("node"), reason="no node: `apt-get install nodejs`")
needs_chromium = pytest.mark.skipif(
    not any(map(shutil.which, PROGRAMS)), reason="no Chromium: `apt-get install chromium`"
)


def under_node(web: Path, *parts: str) -> dict:
    command = ["node", str(web / "test" / "golden_node.mjs"), str(GOLDEN), *parts]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_node
def test_the_golden_vectors_under_node() -> None:
    assert under_node(WEB) == {"checked": counted("exif", "manifests"), "failed": []}


@needs_chromium
def test_the_golden_vectors_in_chromium() -> None:
    site = Site({"/": WEB, "/golden/": GOLDEN})
    browser = Chromium()
    try:
        browser.open(f"{site.address}/package.json")  # any page of the site, so that its modules may be imported
        result = browser.evaluate(
            "import('/test/golden.js').then(({runGolden}) => "
            "runGolden((name) => fetch(`/golden/${name}/cases.json`).then((answer) => answer.json())))"
        )
    finally:
        browser.close()
        site.close()
    assert result == {"checked": counted("exif", "manifests"), "failed": []}


@needs_node
@pytest.mark.parametrize(
    ("file", "right", "wrong", "part"),
    [
        ("preprocess.js", "2 * total + area", "2 * total", "preprocess"),
        ("camera.js", "- offset) + 32", "- offset) + 31", "preprocess"),
        ("decision.js", "left -= pixels) < 0", "left -= pixels) <= 0", "decision"),
        ("answers.js", "one.from <= answered", "one.from < answered", "answers"),
        ("answers.js", "Object.hasOwn(answers, id) ? answers[id] : null", "answers[id]", "answers"),
        ("questions.js", "question.offset !== places", "question.offset > places", "manifests"),
        ("questions.js", "!differ(questions.map(({id}) => id))", "false", "manifests"),
        ("decision.js", "last + 1, questions", "1, questions", "manifests"),
        ("schema_rule.js", "inner === false ? [...place, key].join('/') : ", "", "manifests"),
        ("schema_rule.js", "[...value].length", "value.length", "manifests"),
        ("schema_rule.js", ")$`, 'u')", ")`, 'u')", "manifests"),
        ("questions.js", "Object.keys(texts)[0] === 'en'", "'en' in texts", "manifests"),
        ("manifest.js", "(mask !== undefined && mask.side !== side)", "(false)", "manifests"),
        ("exif.js", "if (!tags.has(short(at))) ", "", "exif"),
    ],
)
def test_a_slip_in_the_code_is_noticed(tmp_path: Path, file: str, right: str, wrong: str, part: str) -> None:
    shutil.copytree(WEB, tmp_path / "web")
    path = tmp_path / "web" / "core" / file
    text = path.read_text("utf-8")
    assert text.count(right) == 1
    path.write_text(text.replace(right, wrong), "utf-8")
    assert under_node(tmp_path / "web", part)["failed"]
